"""What the SPI and whoever is paid say to each other: messages read, orders answered, questions asked.

Nothing is logged but ids and codes: orders name people.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from apps.kit import metrics
from apps.ledger.transfer import Transfer
from apps.pix import incoming, outgoing, spi, spi_reading, spi_writing
from apps.pix.spi import SPI_ISPB, Header, Message, Signer, StatusReport, Transport
from apps.pix.xml_document import BadXml

_log = logging.getLogger(__name__)


class Unusable(OSError):  # noqa: N818
    """The SPI answered, and the answer is none."""


class Rail:
    """The SPI as who is paid sees it. `ispb` is our own, `now` the clock. Threads may share it."""

    def __init__(self, transport: Transport, signer: Signer, ispb: str, now: Callable[[], datetime]) -> None:
        self._transport = transport
        self._signer = signer
        self.ispb = ispb
        self.now = now

    def read(self, body: bytes) -> Message | None:
        """A message, if it is one of the SPI's to us."""
        try:
            message = spi_reading.read(body, self._signer)
            if (message.header.sender, message.header.receiver) != (SPI_ISPB, self.ispb):
                raise BadXml("it is not from the SPI to us")  # noqa: TRY301 (one way out)
        except BadXml as bad:
            # Nobody is told: who sent an order hears from the SPI that its time is over.
            _log.error("a message of the SPI is refused", extra={"reason": str(bad)})
            metrics.emit("messages_unread", 1)
            return None
        return message

    def reply(
        self, order_id: str, code: str | None, accepted_at: datetime, *, end_to_end_id: str | None
    ) -> None:
        """Says yes to an order, or no with a code, unless its time is over; `end_to_end_id` is that of the
        payment, for a return. A reply that is lost is said again when the promise is looked at."""
        now = self.now()
        said = {
            "transfer_id": incoming.transfer_id(order_id),
            "end_to_end_id": order_id,
            "rail_message": "pacs.002",
            "status": "ACSP" if code is None else "RJCT",
            "code": code,
        }
        if not outgoing.may_leave(accepted_at, now):
            _log.warning("too late to answer", extra=said)
            metrics.emit("answers_too_late", 1)
            return
        report = StatusReport(
            Header(self.ispb, SPI_ISPB, spi.new_message_id(self.ispb), now),
            order_id,
            "ACSP" if code is None else "RJCT",
            reason=code,
            end_to_end_id=end_to_end_id,
        )
        try:
            self._transport.send(spi_writing.status_report(report, self._signer))
        except OSError as error:
            _log.warning(
                "nobody knows whether the SPI has the answer",
                extra={**said, "error": type(error).__name__},
            )
            metrics.emit("spi_unanswered", 1, call="answer")
            return
        _log.info("the SPI was answered", extra=said)

    def ask(self, transfer: Transfer) -> StatusReport | None:
        """What the SPI says of a transfer; `None`: it knows none. Raises `OSError`, also for an answer that
        is none."""
        assert transfer.end_to_end_id is not None
        answer = self._transport.status(transfer.end_to_end_id)
        said = {"transfer_id": transfer.transfer_id, "rail_message": "pacs.002"}
        if answer is None:
            _log.info("the SPI was asked", extra={**said, "status": "not found", "code": None})
            return None
        try:
            report = spi_reading.read(answer, self._signer)
        except BadXml as bad:
            raise Unusable(str(bad)) from None
        if not isinstance(report, StatusReport) or report.original_id != transfer.end_to_end_id:
            _log.error("the SPI answered for another", extra={"transfer_id": transfer.transfer_id})
            raise Unusable("it is about another")
        _log.info("the SPI was asked", extra={**said, "status": report.status, "code": report.reason})
        return report

"""One payment to another bank and the SPI: its order written, sent, sent again, and asked for.

Nothing here writes to the ledger, and nothing is logged but ids and codes: an order names people.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from apps.kit import metrics
from apps.ledger.transfer import Attempt, Sent, Transfer
from apps.pix import outgoing, spi_reading
from apps.pix.outgoing import Undecided, Verdict
from apps.pix.spi import Signer, StatusReport, Transport
from apps.pix.xml_document import BadXml

_log = logging.getLogger(__name__)


class Orders:
    """The SPI as one sender sees it. `now` is the clock that acceptance was read from. Threads may share
    it."""

    def __init__(self, transport: Transport, signer: Signer, now: Callable[[], datetime]) -> None:
        self._transport = transport
        self._signer = signer
        self._now = now

    def prepare(self, held: Transfer, attempt: Attempt) -> Sent:
        """The order of a payment, for good. Raises `outgoing.BadPayment` or `spi_writing.Unwritable`."""
        assert held.payment is not None
        assert held.end_to_end_id is not None
        made = outgoing.ordered(
            outgoing.read(held.payment),
            end_to_end_id=held.end_to_end_id,
            amount_cents=held.amount_cents,
            description=held.description,
            accepted_at=attempt.now,
            signer=self._signer,
        )
        return Sent(made.order, made.message_id, attempt.at)

    def leave(self, sent: Transfer, *, again: bool) -> None:
        """Sends the bytes that stand, unless their forty seconds are over. Whether the SPI has them then is
        only known by asking."""
        assert sent.sent_order is not None
        if not outgoing.may_leave(_accepted(sent), self._now()):
            _log.warning("too late to send", extra={"transfer_id": sent.transfer_id})
            return
        message = "pacs.004" if sent.kind == "return" else "pacs.008"
        said = {"transfer_id": sent.transfer_id, "rail_message": message, "message_id": sent.message_id}
        try:
            self._transport.send(sent.sent_order.encode())
        except OSError as error:
            _log.warning("nobody knows whether the SPI has it", extra={**said, "error": type(error).__name__})
            metrics.emit("spi_unanswered", 1, call="send")
            return
        _log.info("sent to the SPI", extra={**said, "again": again})

    def ask(self, sent: Transfer) -> Verdict:
        """What the SPI says became of it. No answer, or one that cannot be read, decides nothing."""
        assert sent.end_to_end_id is not None
        # Before asking: "not found" counts from when the question left.
        now = self._now()
        try:
            answer = self._transport.status(sent.end_to_end_id)
            report = None if answer is None else spi_reading.read(answer, self._signer)
        except (OSError, BadXml) as error:
            _log.warning(
                "the SPI gave no answer that can be used",
                extra={"transfer_id": sent.transfer_id, "error": type(error).__name__},
            )
            metrics.emit("spi_unanswered", 1, call="status")
            return Undecided()
        if report is not None and not _is_about(report, sent.end_to_end_id):
            _log.error("the SPI answered for another payment", extra={"transfer_id": sent.transfer_id})
            return Undecided()
        assert report is None or isinstance(report, StatusReport)
        _log.info(
            "the SPI was asked",
            extra={
                "transfer_id": sent.transfer_id,
                "rail_message": "pacs.002",
                "status": report.status if report else "not found",
                "code": report.reason if report else None,
            },
        )
        return outgoing.judged(report, _accepted(sent), now)


def _is_about(report: object, end_to_end_id: str) -> bool:
    return isinstance(report, StatusReport) and report.original_id == end_to_end_id


def _accepted(sent: Transfer) -> datetime:
    assert sent.accepted_at is not None
    return datetime.fromisoformat(sent.accepted_at)

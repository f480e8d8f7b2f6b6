"""What stands ACCEPTED, until the SPI has said what became of it: credited once, or ended.

Only the SPI's word decides, said by itself or asked for. A rejection is always asked for once more: a promise
that was ended could not be kept.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from apps.consumers.pix_rail import Rail
from apps.kit import metrics
from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.ledger.items import OPEN_SHARDS, Corrupted
from apps.ledger.receiving import Receiving
from apps.ledger.store import Ledger
from apps.ledger.transfer import Transfer
from apps.pix import incoming, outgoing
from apps.pix.rejections import reason_of
from apps.pix.spi import StatusReport

SECONDS = 3.0
LOOK_SECONDS = 2.0
"""A turn of looks ends then: the stream must not wait."""
LOOKS = 50

_log = logging.getLogger(__name__)


class Promises:
    """Ends what was accepted."""

    def __init__(self, ledger: Ledger, rail: Rail) -> None:
        self._ledger = ledger
        self._receiving = Receiving(ledger)
        self._rail = rail

    def hear(self, reports: Sequence[StatusReport]) -> None:
        """Takes what the SPI says by itself. What fails is in the ledger, and is looked at from there."""
        settled: dict[str, str] = {}
        for report in reports:
            if incoming.is_of(report.original_id, self._rail.ispb):
                continue  # ours to another bank: who sent it asks for itself
            transfer_id = incoming.transfer_id(report.original_id)
            _log.info(
                "the SPI has said",
                extra={
                    "transfer_id": transfer_id,
                    "rail_message": "pacs.002",
                    "status": report.status,
                    "code": report.reason,
                },
            )
            if report.status in {"ACCC", "ACSC"}:
                settled[transfer_id] = report.original_id
            elif report.status == "RJCT":
                try:
                    self.look_at(transfer_id)
                except (OSError, Unavailable, OutcomeUnknown, Corrupted) as error:
                    metrics.emit("looks_failed", 1, reason=type(error).__name__)
        self._credit(settled)

    def look(self) -> int:
        """Asks what became of promises that have stood for a while; gives how many were asked about.

        A turn ends when the SPI or the ledger does not answer: the next one goes on."""
        ends = Deadline.after(LOOK_SECONDS)
        looked = 0
        try:
            for shard in range(OPEN_SHARDS):
                for transfer_id in self._ledger.due(shard, LOOKS, accepted=True):
                    if ends.passed:
                        return looked
                    looked += 1
                    self._look_at_one(transfer_id)
        except (OSError, Unavailable, OutcomeUnknown) as error:
            metrics.emit("looks_failed", 1, reason=type(error).__name__)
        return looked

    def _look_at_one(self, transfer_id: str) -> None:
        """A look that keeps none of the others from theirs. Raises `OSError`, `Unavailable` or
        `OutcomeUnknown`."""
        try:
            self.look_at(transfer_id)
        except (OSError, Unavailable, OutcomeUnknown):
            raise
        except Exception as error:  # noqa: BLE001 (the border of one promise; the auditor names a damaged record)
            said = {"transfer_id": transfer_id, "error": type(error).__name__}
            _log.error("a promise cannot be looked at", extra=said)
            metrics.emit("promises_stuck", 1)

    def look_at(self, transfer_id: str) -> None:
        """Asks what became of one promise, and ends it if the SPI has. Raises `OSError`, `Unavailable`,
        `OutcomeUnknown` or `Corrupted`."""
        promised = self._ledger.transfer(transfer_id)
        if promised is None or promised.status != "ACCEPTED":
            return
        # Before asking: "not found" counts from when the question left.
        now = self._rail.now()
        accepted_at = _accepted(promised)
        report = self._rail.ask(promised)
        if report is not None and report.status in {"ACCC", "ACSC"}:
            self._credit({transfer_id: str(promised.end_to_end_id)})
        elif report is not None and report.status == "RJCT":
            self._turn_away(promised, reason_of(report.reason or "").code)
        elif report is None and now >= accepted_at + outgoing.SENDABLE_FOR + outgoing.MARGIN:
            self._turn_away(promised, reason_of(outgoing.NOT_SENT).code)
        elif report is not None and outgoing.may_leave(accepted_at, now):
            # The SPI waits for us: our yes was lost.
            assert promised.payment is not None
            returns = outgoing.read(promised.payment).returns
            self._rail.reply(str(promised.end_to_end_id), None, accepted_at, end_to_end_id=returns)
        # Nobody else looks again at once. What has ended is not touched.
        self._ledger.look_later(promised)

    def _credit(self, settled: Mapping[str, str]) -> None:
        """Credits transfers (by id, with the id that the SPI knows them by)."""
        ids = list(settled)
        if not ids:
            return
        outcomes = self._receiving.credit(ids, Deadline.after(SECONDS))
        for transfer_id, outcome in zip(ids, outcomes, strict=True):
            said = {"transfer_id": transfer_id, "end_to_end_id": settled[transfer_id]}
            match outcome:
                case Transfer(status="SETTLED"):
                    _log.info("a payment of another bank has arrived", extra=said)
                case Transfer() | None:
                    # Money that the SPI has moved and that nobody here said yes to.
                    _log.error("the SPI settled what was never promised", extra=said)
                    metrics.emit("arrivals_unmatched", 1)
                case _:
                    # It stands ACCEPTED and is looked at again; a frozen account waits for an operator.
                    _log.warning("a credit waits", extra={**said, "error": type(outcome).__name__})
                    metrics.emit("credits_waiting", 1, reason=type(outcome).__name__)

    def _turn_away(self, promised: Transfer, reason: str) -> None:
        outcome = self._receiving.turn_away(promised.transfer_id, reason, Deadline.after(SECONDS))
        ended = isinstance(outcome, Transfer)
        _log.info(
            "a payment of another bank does not arrive",
            extra={"transfer_id": promised.transfer_id, "reason": reason, "ended": ended},
        )


def _accepted(promised: Transfer) -> datetime:
    assert promised.accepted_at is not None
    return datetime.fromisoformat(promised.accepted_at)

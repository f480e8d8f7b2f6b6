"""Looks after transfers that nobody has decided yet: ends holds whose time is over, and brings an event
back that Kafka took but whose effect never came.

The index that finds them may lag, so each transfer is read again before anything is done.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from apps.consumers.process import LoopSettings, working
from apps.kit import dynamo, metrics, settings
from apps.kit.dynamo import Deadline, OutcomeUnknown, TableCheck, Unavailable
from apps.ledger import transfer as rules
from apps.ledger.account import Frozen
from apps.ledger.items import OPEN_SHARDS, Corrupted
from apps.ledger.outbox import Outbox
from apps.ledger.store import Ledger, Tables
from apps.ledger.transfer import LONGEST_LOOK

REST_SECONDS = 1.0
BATCH = 50
SECONDS = 5
REPORT = LONGEST_LOOK
"""A hold is looked at at least this often, so no report misses one."""

_log = logging.getLogger(__name__)


class SweepSettings(LoopSettings):
    """What this worker reads from its environment."""

    table_accounts: str
    table_transactions: str
    table_events: str


class Sweep:
    """Reads the index `open`, a shard at a time."""

    def __init__(self, ledger: Ledger, outbox: Outbox) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._oldest = timedelta(0)
        self._oldest_sent = timedelta(0)
        self._reported_at: datetime | None = None

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Works until told to stop."""
        while not stop.is_set():
            for shard in range(OPEN_SHARDS):
                self.turn(shard, beat)
            self.report()
            stop.wait(REST_SECONDS)

    def turn(self, shard: int, beat: Callable[[], None] = lambda: None) -> int:
        """One look at the transfers of a shard that are due; gives how many there were."""
        beat()
        try:
            due = self._ledger.due(shard, BATCH)
        except Unavailable as error:
            metrics.emit("sweep_failures", 1, reason=type(error).__name__)
            return 0
        for transfer_id in due:
            beat()
            try:
                self.look(transfer_id)
            except (Unavailable, OutcomeUnknown, Corrupted) as error:
                # It stays due: the next turn looks again.
                metrics.emit("sweep_failures", 1, reason=type(error).__name__)
        return len(due)

    def look(self, transfer_id: str) -> None:
        """Ends the hold, or brings its event back, which for one that is SENT lets its sender ask what became
        of it. Raises `Unavailable`, `OutcomeUnknown` or `Corrupted`."""
        transfer = self._ledger.transfer(transfer_id)
        if transfer is None or transfer.decided_at is not None:
            return
        if transfer.status == "HELD":
            age = self._ledger.clock.now() - datetime.fromisoformat(transfer.created_at)
            self._oldest = max(self._oldest, age)
        elif transfer.status == "SENT" and transfer.accepted_at is not None:
            age = self._ledger.clock.now() - datetime.fromisoformat(transfer.accepted_at)
            self._oldest_sent = max(self._oldest_sent, age)
        if rules.expired(transfer, self._ledger.clock.now()):
            try:
                self._ledger.expire(transfer_id, Deadline.after(SECONDS))
            except Frozen:
                self._ledger.look_later(transfer)
            return
        # An event without a history row still waits in the outbox: the relay has it.
        try:
            row = self._outbox.history(transfer_id, transfer.event_id)
        except Corrupted as corrupted:
            # Nothing brings the event back; the transfer is looked at all the same, and ends in its time.
            _log.error("an event is damaged", extra={"place": corrupted.place, "what": corrupted.detail})
            metrics.emit("damaged_events", 1)
            row = None
        if row is not None:
            self._outbox.put_back(row)
            metrics.emit("events_put_back", 1)
        self._ledger.look_later(transfer)

    def report(self) -> None:
        """A heartbeat: how old the oldest hold was that was looked at since the last one, and how long ago
        the oldest payment left of which the SPI has not said what became. None is looked at before its sixth
        second, so both are zero while all is well."""
        now = self._ledger.clock.now()
        if self._reported_at is not None and now - self._reported_at < REPORT:
            return
        self._reported_at = now
        metrics.emit("hold_age_seconds", self._oldest.total_seconds(), unit="Seconds")
        metrics.emit("sent_age_seconds", self._oldest_sent.total_seconds(), unit="Seconds")
        self._oldest = self._oldest_sent = timedelta(0)


def main() -> None:
    """Sweeps until told to stop."""
    config = settings.read(SweepSettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    sweep = Sweep(Ledger(client, tables, config.outbox_shards), Outbox(client, config.table_events))
    with working(config, [TableCheck(client, config.table_transactions)]) as (stop, beat):
        sweep.run(stop, beat)


if __name__ == "__main__":
    settings.run(main)

"""Carries events from the outbox to Kafka: at least once each, even if the broker loses its memory.

One process at a time holds the lease of a shard. After the broker's delivery reports one transaction puts
the history rows, deletes the outbox rows and writes the lease, if that is still held. A report at or below
the last one means that the broker lost what it had, so everything it took within the topic's retention goes
back to the outbox.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import Field

from apps.consumers.process import WorkerSettings, working
from apps.kit import dynamo, events, metrics, settings
from apps.kit.dynamo import OutcomeUnknown, TableCheck, Unavailable
from apps.kit.kafka import Delivery, Producer, PublishFailed
from apps.ledger.outbox import BATCH, Lease, Outbox, Published
from apps.ledger.store import Clock

LEASE = timedelta(seconds=10)
FIRST_REST_SECONDS = 0.02
LONGEST_REST_SECONDS = 0.2
LOST_AGAIN = timedelta(seconds=30)
"""The history's index may lag: what was lost is looked for again this long after the loss was seen."""
REPORT = timedelta(seconds=30)


class RelaySettings(WorkerSettings):
    """What the relay reads from its environment."""

    table_events: str
    retention_hours_transfers: Annotated[int, Field(ge=1)]


class Publisher(Protocol):
    """The part of the producer that the relay needs."""

    def send(self, records: Sequence[events.Record]) -> list[Delivery]: ...


@dataclass
class Shard:
    """What this process knows of a shard that it relays."""

    number: int
    lease: Lease | None = None
    look_for_lost_until: datetime | None = None


class Relay:
    """Relays all shards whose lease it can get.

    `retention` is how long the topic keeps an event; older ones reached their readers long ago.
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        shards: int,
        owner: str,
        retention: timedelta,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._owner = owner
        self._retention = retention
        self._clock = clock or Clock()
        self._shards = [Shard(number) for number in range(shards)]
        self._reported_at: datetime | None = None

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Works until told to stop; rests longer while there is nothing to do."""
        rest = FIRST_REST_SECONDS
        while not stop.is_set():
            beat()
            rest = FIRST_REST_SECONDS if self.turn() else min(rest * 1.5, LONGEST_REST_SECONDS)
            stop.wait(rest)

    def turn(self) -> int:
        """One look at every shard; gives how many events Kafka took."""
        taken = 0
        for shard in self._shards:
            try:
                taken += self._relay(shard)
            except (Unavailable, OutcomeUnknown, PublishFailed) as error:
                # The rows stay where they are. The lease is read again, since a write of it may stand.
                metrics.emit("relay_failures", 1, reason=type(error).__name__)
                shard.lease = None
        self._report()
        return taken

    def _relay(self, shard: Shard) -> int:
        lease = self._held(shard)
        if lease is None:
            return 0
        if shard.look_for_lost_until is not None:
            self._put_lost_back(shard, lease)
        rows = self._outbox.waiting(shard.number, BATCH)
        if not rows:
            return 0
        deliveries = self._publisher.send([events.record_from_json(row.record) for row in rows])
        batch = [
            Published(row, each.partition, each.offset) for row, each in zip(rows, deliveries, strict=True)
        ]
        self._noted(shard, lease, batch)
        return len(rows)

    def _held(self, shard: Shard) -> Lease | None:
        """The shard's lease, taken or renewed while half of its time is left."""
        now = self._clock.now()
        if shard.lease is not None and datetime.fromisoformat(shard.lease.until) - now > LEASE / 2:
            return shard.lease
        seen = self._outbox.lease(shard.number)
        taken = self._outbox.take_lease(seen, shard.number, self._owner, until=now + LEASE, now=now)
        if taken is not None and taken.memory > 1 and shard.lease is None:
            # The holder before may have stopped while it was putting back what a broker had lost.
            shard.look_for_lost_until = now
        shard.lease = taken
        return taken

    def _noted(self, shard: Shard, lease: Lease, batch: Sequence[Published]) -> None:
        """Writes down what the broker took, and notices when it has forgotten what it took before."""
        lost = any(each.offset <= lease.offsets.get(each.partition, -1) for each in batch)
        offsets = {} if lost else dict(lease.offsets)
        for each in batch:
            offsets[each.partition] = max(each.offset, offsets.get(each.partition, -1))
        now = self._clock.now()
        noted = replace(lease, offsets=offsets, memory=lease.memory + lost)
        if not self._outbox.published(batch, noted, lease, now):
            shard.lease = None
            return
        shard.lease = noted
        if lost:
            metrics.emit("broker_memory_lost", 1)
            shard.look_for_lost_until = now + LOST_AGAIN

    def _put_lost_back(self, shard: Shard, lease: Lease) -> None:
        now = self._clock.now()
        for row in self._outbox.lost(lease, now - self._retention):
            self._outbox.put_back(row)
        if shard.look_for_lost_until is not None and now >= shard.look_for_lost_until:
            shard.look_for_lost_until = None

    def _report(self) -> None:
        """A heartbeat: no news of the outbox's age is bad news. All shards count, whoever holds their leases,
        since a lease is let go just when nothing can be published."""
        now = self._clock.now()
        if self._reported_at is not None and now - self._reported_at < REPORT:
            return
        self._reported_at = now
        try:
            oldest = self._outbox.oldest(len(self._shards))
        except Unavailable:
            return
        age = now - (now if oldest is None else datetime.fromisoformat(oldest))
        metrics.emit("outbox_age_seconds", max(0.0, age.total_seconds()), unit="Seconds")


def main() -> None:
    """Relays until told to stop."""
    config = settings.read(RelaySettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    with closing(Producer(config)) as producer:
        clock = Clock()
        relay = Relay(
            Outbox(client, config.table_events),
            producer,
            config.outbox_shards,
            clock.new_id(),
            timedelta(hours=config.retention_hours_transfers),
            clock=clock,
        )
        ready: list[Callable[[], None]] = [TableCheck(client, config.table_events), producer.ready]
        with working(config, ready) as (stop, beat):
            relay.run(stop, beat)


if __name__ == "__main__":
    settings.run(main)

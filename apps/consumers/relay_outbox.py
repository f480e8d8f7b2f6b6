"""Carries events from the outbox to Kafka: at least once each, even if the broker loses its memory.

One process at a time holds the lease of a shard. After the broker's delivery reports one transaction puts
the history rows, deletes the outbox rows and writes the lease, if that is still held. A report at or below
the last one, of whichever shard, means that the broker lost what it had: then everything that it took within
the topic's retention goes back to the outbox, shard by shard and a page each turn. How far that got stands in
the lease, so that the next holder goes on from there.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import Field

from apps.consumers.process import WorkerSettings, working
from apps.kit import dynamo, events, metrics, settings
from apps.kit.dynamo import OutcomeUnknown, TableCheck, Unavailable
from apps.kit.kafka import Delivery, Producer, PublishFailed
from apps.ledger.outbox import BATCH, Lease, Outbox, Published, Search
from apps.ledger.store import Clock
from apps.ledger.transfer import iso

LEASE = timedelta(seconds=10)
SHORTEST_REST_SECONDS = 0.01
"""After a full batch: more is waiting."""
FIRST_REST_SECONDS = 0.05
"""After any other. A transfer waits half of it here; shorter rests make smaller batches, each of which costs
a transaction."""
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
    """What this process knows of a shard that it relays. `unchanged_since` (monotonic) is when it first saw
    the lease as it last `saw` it."""

    number: int
    lease: Lease | None = None
    saw: Lease | None = None
    unchanged_since: float = 0.0

    @property
    def searching(self) -> bool:
        """Whether there is more of the history to look through right now."""
        search = self.lease.search if self.lease else None
        return search is not None and search.phase != "rest"

    def abandoned(self, seen: Lease | None, now: float) -> bool:
        """Whether nobody has renewed the lease for a whole lease's time, by this process's own watch. Its end
        may be far ahead all the same: then the clock that set it was."""
        if seen != self.saw:
            self.saw, self.unchanged_since = seen, now
        return seen is not None and now - self.unchanged_since > LEASE.total_seconds()


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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._outbox = outbox
        self._publisher = publisher
        self._owner = owner
        self._retention = retention
        self._clock = clock or Clock()
        self._shards = [Shard(number) for number in range(shards)]
        self._known: dict[int, Lease] = {}
        """The lease of each shard as last seen, whoever holds it: partitions are shared by all of them."""
        self._reported_at: datetime | None = None
        self._lag = timedelta(0)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Works until told to stop; rests longer while there is nothing to do."""
        rest = FIRST_REST_SECONDS
        while not stop.is_set():
            taken = self.turn(beat)
            if taken >= BATCH or any(shard.searching for shard in self._shards):
                rest = SHORTEST_REST_SECONDS
            elif taken:
                rest = FIRST_REST_SECONDS
            else:
                rest = min(max(rest, FIRST_REST_SECONDS) * 1.5, LONGEST_REST_SECONDS)
            stop.wait(rest)

    def turn(self, beat: Callable[[], None] = lambda: None) -> int:
        """One look at every shard; gives how many events Kafka took."""
        # All leases first: what another shard was told of the partitions counts for every shard.
        for shard in self._shards:
            beat()
            self._guarded(self._hold, shard)
        taken = 0
        for shard in self._shards:
            beat()
            taken += self._guarded(self._relay, shard)
        self._report()
        return taken

    def _guarded(self, step: Callable[[Shard], int], shard: Shard) -> int:
        try:
            return step(shard)
        except (Unavailable, OutcomeUnknown, PublishFailed) as error:
            # The rows stay where they are. The lease is read again, since a write of it may stand.
            metrics.emit("relay_failures", 1, reason=type(error).__name__)
            shard.lease = None
            return 0

    def _relay(self, shard: Shard) -> int:
        self._look_for_lost(shard)
        if shard.lease is None:
            return 0
        rows = self._outbox.waiting(shard.number, BATCH)
        if not rows:
            return 0
        # Before sending: what is reported from now on must lie above.
        reported = self._reported(shard.lease.memory)
        deliveries = self._publisher.send([events.record_from_json(row.record) for row in rows])
        batch = [
            Published(row, each.partition, each.offset) for row, each in zip(rows, deliveries, strict=True)
        ]
        self._note(shard, batch, reported)
        return len(rows)

    def _hold(self, shard: Shard) -> int:
        """Takes the shard's lease, or renews it while half of its time is left."""
        now = self._clock.now()
        # More than a whole lease is left where the clock was ahead when it was taken.
        if shard.lease is None or not LEASE / 2 < datetime.fromisoformat(shard.lease.until) - now <= LEASE:
            seen = self._outbox.lease(shard.number)
            if seen is not None:
                self._known[shard.number] = seen
            shard.lease = self._outbox.take_lease(
                seen,
                shard.number,
                self._owner,
                until=now + LEASE,
                now=now,
                abandoned=shard.abandoned(seen, self._monotonic()),
            )
        if shard.lease is not None:
            self._known[shard.number] = shard.lease
        return 0

    def _reported(self, memory: int) -> Mapping[int, int]:
        """The last offset that this memory of the broker has reported for each partition, to any shard."""
        offsets: dict[int, int] = {}
        for lease in self._known.values():
            if lease.memory == memory:
                for partition, offset in lease.offsets.items():
                    offsets[partition] = max(offset, offsets.get(partition, -1))
        return offsets

    def _note(self, shard: Shard, batch: Sequence[Published], reported: Mapping[int, int]) -> None:
        """Writes down what the broker took, and notices when it has forgotten what it took before."""
        seen = shard.lease
        assert seen is not None
        now = self._clock.now()
        noted = seen
        if lost := any(each.offset <= reported.get(each.partition, -1) for each in batch):
            noted = _forgotten(seen, seen.memory + 1, now)
        offsets = dict(noted.offsets)
        for each in batch:
            offsets[each.partition] = max(each.offset, offsets.get(each.partition, -1))
        noted = replace(noted, offsets=offsets)
        waited = [now - datetime.fromisoformat(each.row.sort.partition("#")[0]) for each in batch]
        self._lag = max(self._lag, *waited)
        self._keep(shard, noted, written=self._outbox.published(batch, noted, seen, now))
        if lost:
            metrics.emit("broker_memory_lost", 1)

    def _look_for_lost(self, shard: Shard) -> None:
        """Puts a page of what the broker has lost back, if it has and this shard's part is not done yet."""
        seen = lease = shard.lease
        if seen is None or lease is None:
            return
        now = self._clock.now()
        newest = max(each.memory for each in self._known.values())
        if lease.memory < newest:
            # Another shard saw it. Its partitions are ours too.
            lease = _forgotten(lease, newest, now)
        search = lease.search
        if search is None or (search.phase == "rest" and iso(now) < search.again_at):
            return
        if search.phase == "rest":
            search = Search("last", search.again_at)
        rows, after = self._outbox.lost(lease, now - self._retention, search.after)
        following: Search | None = None
        if after is not None:
            following = replace(search, after=after)
        elif search.phase == "first":
            following = Search("rest", search.again_at)
        lease = replace(lease, search=following)
        self._keep(shard, lease, written=self._outbox.put_lost_back(rows, lease, seen))
        metrics.emit("events_put_back", len(rows))

    def _keep(self, shard: Shard, lease: Lease, *, written: bool) -> None:
        """What this process knows after a write of the lease, which another holder may have prevented."""
        shard.lease = lease if written else None
        if written:
            self._known[shard.number] = lease

    def _report(self) -> None:
        """A heartbeat: how long an event has waited at most since the last one, and how old the outbox is. No
        news of it is bad news. All shards count, whoever holds their leases,
        since a lease is let go just when nothing can be published."""
        now = self._clock.now()
        if self._reported_at is not None and now - self._reported_at < REPORT:
            return
        self._reported_at = now
        metrics.emit("relay_lag_seconds", self._lag.total_seconds(), unit="Seconds")
        self._lag = timedelta(0)
        try:
            oldest = self._outbox.oldest(len(self._shards))
        except Unavailable:
            return
        age = now - (now if oldest is None else datetime.fromisoformat(oldest))
        metrics.emit("outbox_age_seconds", max(0.0, age.total_seconds()), unit="Seconds")


def _forgotten(lease: Lease, memory: int, now: datetime) -> Lease:
    """The lease when the broker has lost its memory: nothing reported yet, everything to look for."""
    return replace(lease, memory=memory, offsets={}, search=Search("first", iso(now + LOST_AGAIN)))


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

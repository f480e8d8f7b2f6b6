"""Carries events from the outbox to Kafka: at least once each, even if the broker loses its memory.

One process at a time holds the lease of a shard. After the broker's delivery reports one transaction puts
the history rows, deletes the outbox rows and writes the lease, if that is still held. A report at or below
the last one, of whichever shard, means that the broker lost what it had. What was sent without a report, or
by another holder, may have filled the place of what was lost and hide that; so now and then, and after each
failure, the broker is asked for an event that it had. After a loss everything that it took within the topic's
retention goes back to the outbox, shard by shard and a page each turn. How far that got stands in
the lease, so that the next holder goes on from there.
"""

import logging
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
from apps.kit.topics import Stored, TopicReader, TopicUnavailable
from apps.ledger.outbox import BATCH, TOPIC, Found, Lease, Mark, Outbox, Published, Row, Search
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
ASK_SECONDS = 30.0
"""So often the broker is asked whether it still has what it had, besides after each failure."""

_log = logging.getLogger(__name__)


class RelaySettings(WorkerSettings):
    """What the relay reads from its environment."""

    table_events: str
    retention_hours_transfers: Annotated[int, Field(ge=1)]


class Publisher(Protocol):
    """The part of the producer that the relay needs."""

    def send(self, records: Sequence[events.Record]) -> list[Delivery]: ...


class Reader(Protocol):
    """The part of the topic reader that the relay needs."""

    def one(self, topic: str, partition: int, offset: int) -> Stored | None: ...

    def begins_after(self, topic: str, partition: int, offset: int) -> bool: ...

    def close(self) -> None: ...


@dataclass
class Shard:
    """What this process knows of a shard that it relays. `ask_at` (monotonic) is when to make sure that the
    broker has lost nothing; `unchanged_since` (monotonic) when it first saw the lease as it last `saw` it."""

    number: int
    lease: Lease | None = None
    ask_at: float = float("-inf")
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
        reader: Reader,
        shards: int,
        owner: str,
        *,
        retention: timedelta,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._outbox = outbox
        self._publisher = publisher
        self._reader = reader
        self._owner = owner
        self._retention = retention
        self._clock = clock or Clock()
        self._shards = [Shard(number) for number in range(shards)]
        self._known: dict[int, Lease] = {}
        """The lease of each shard as last seen, whoever holds it: partitions are shared by all of them."""
        self._reported_at: datetime | None = None
        self._lag = timedelta(0)
        self._damaged: set[str] = set()
        """Where rows are, since the last report, that cannot be read."""

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
        except (Unavailable, OutcomeUnknown, PublishFailed, TopicUnavailable) as error:
            # The rows stay where they are. The lease is read again, since a write of it may stand.
            metrics.emit("relay_failures", 1, reason=type(error).__name__)
            shard.lease = None
            return 0

    def _relay(self, shard: Shard) -> int:
        self._ask_for_witnesses(shard)
        self._look_for_lost(shard)
        if shard.lease is None:
            return 0
        rows = self._readable(self._outbox.look(shard.number, BATCH))
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

    def _readable(self, found: Found) -> list[Row]:
        """The rows that can be sent. The others stay where they are until a person has looked at them."""
        for each in found.damaged:
            if each.place not in self._damaged:
                _log.error("an event is damaged", extra={"place": each.place, "what": each.detail})
            self._damaged.add(each.place)
        return found.rows

    def _hold(self, shard: Shard) -> int:
        """Takes the shard's lease, or renews it while half of its time is left."""
        now = self._clock.now()
        # More than a whole lease is left where the clock was ahead when it was taken.
        if shard.lease is None or not LEASE / 2 < datetime.fromisoformat(shard.lease.until) - now <= LEASE:
            if shard.lease is None:
                # Something may have been sent since of which nobody got a report.
                shard.ask_at = float("-inf")
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

    def _ask_for_witnesses(self, shard: Shard) -> None:
        """Makes sure that the broker still has what it had. While it has, all that it reported since is in
        the same log: that bears witness from now on."""
        seen = shard.lease
        if seen is None or self._monotonic() < shard.ask_at:
            return
        with closing(self._reader):
            lost = not all(self._kept(partition, mark) for partition, mark in seen.witnesses.items())
        now = self._clock.now()
        lease = _forgotten(seen, seen.memory + 1, now) if lost else replace(seen, witnesses=seen.last)
        if lease != seen:
            self._keep(shard, self._outbox.put_lost_back([], lease, seen))
        if lost:
            metrics.emit("broker_memory_lost", 1)
        shard.ask_at = self._monotonic() + ASK_SECONDS

    def _kept(self, partition: int, mark: Mark) -> bool:
        """Whether the broker still has an event where it said, or has let it go with time."""
        stored = self._reader.one(TOPIC, partition, mark.offset)
        if stored is None:
            return self._reader.begins_after(TOPIC, partition, mark.offset)
        return dict(stored.headers).get("ce_id") == mark.event_id.encode()

    def _reported(self, memory: int) -> Mapping[int, int]:
        """The last offset that this memory of the broker has reported for each partition, to any shard."""
        offsets: dict[int, int] = {}
        for lease in self._known.values():
            if lease.memory == memory:
                for partition, mark in lease.last.items():
                    offsets[partition] = max(mark.offset, offsets.get(partition, -1))
        return offsets

    def _note(self, shard: Shard, batch: Sequence[Published], reported: Mapping[int, int]) -> None:
        """Writes down what the broker took, and notices when it has forgotten what it took before."""
        seen = shard.lease
        assert seen is not None
        now = self._clock.now()
        noted = seen
        if lost := any(each.offset <= reported.get(each.partition, -1) for each in batch):
            noted = _forgotten(seen, seen.memory + 1, now)
        last = dict(noted.last)
        for each in batch:
            if each.partition not in last or each.offset > last[each.partition].offset:
                last[each.partition] = Mark(each.offset, each.row.event_id)
        noted = replace(noted, last=last, witnesses={**last, **noted.witnesses})
        waited = [now - each.row.written_at for each in batch]
        self._lag = max(self._lag, *waited)
        self._keep(shard, self._outbox.published(batch, noted, seen, now))
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
        found, after = self._outbox.lost(lease, now - self._retention, search.after)
        rows = self._readable(found)
        following: Search | None = None
        if after is not None:
            following = replace(search, after=after)
        elif search.phase == "first":
            following = Search("rest", search.again_at)
        lease = replace(lease, search=following)
        self._keep(shard, self._outbox.put_lost_back(rows, lease, seen))
        metrics.emit("events_put_back", len(rows))

    def _keep(self, shard: Shard, written: Lease | None) -> None:
        """What this process knows after a write of the lease, which another may have prevented."""
        shard.lease = written
        if written is not None:
            self._known[shard.number] = written

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
        metrics.emit("damaged_events", len(self._damaged))
        self._damaged = set()
        try:
            oldest = self._outbox.oldest(len(self._shards))
        except Unavailable:
            return
        age = now - (now if oldest is None else datetime.fromisoformat(oldest))
        metrics.emit("outbox_age_seconds", max(0.0, age.total_seconds()), unit="Seconds")


def _forgotten(lease: Lease, memory: int, now: datetime) -> Lease:
    """The lease when the broker has lost its memory: nothing reported yet, everything to look for."""
    search = Search("first", iso(now + LOST_AGAIN))
    return replace(lease, memory=memory, last={}, witnesses={}, search=search)


def main() -> None:
    """Relays until told to stop."""
    config = settings.read(RelaySettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    with closing(Producer(config)) as producer:
        clock = Clock()
        relay = Relay(
            Outbox(client, config.table_events),
            producer,
            TopicReader(config),
            config.outbox_shards,
            clock.new_id(),
            retention=timedelta(hours=config.retention_hours_transfers),
            clock=clock,
        )
        ready: list[Callable[[], None]] = [TableCheck(client, config.table_events), producer.ready]
        with working(config, ready) as (stop, beat):
            relay.run(stop, beat)


if __name__ == "__main__":
    settings.run(main)

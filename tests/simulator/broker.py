"""A broker in a world: records come late, twice and in any order across partitions; it goes away, loses its
memory, and gives a partition to somebody else while the first is still at work.

It is what kafka-python's clients see, so that the kit's own producer and worker run on it. It also looks at
each offset that is committed: what is committed must have had its effect.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from kafka.errors import KafkaConnectionError, KafkaTimeoutError
from kafka.structs import MemberState, TopicPartition

from apps.kit import topics
from apps.ledger.transfer import HELD
from tests.simulator.world import Killed, Process, Signal, World

TOPIC = "transfers"
DEAD_LETTERS = "transfers.dead-letter"


class Stored(NamedTuple):
    """A record as a consumer gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    leader_epoch: int
    seen_from: float

    def header(self, name: str) -> str:
        return next(value.decode() for each, value in self.headers if each == name)


class Report(NamedTuple):
    """A delivery report."""

    partition: int
    offset: int


@dataclass(frozen=True)
class Chances:
    """How probably each of these happens at a call; zero everywhere is a calm broker."""

    lost: float = 0.0
    """A record without a report: written or not."""
    twice: float = 0.0
    """A record is written twice."""
    delayed: float = 0.0
    """A record is not to be seen for a while."""
    again: float = 0.0
    """A poll brings what an earlier one has brought."""
    uncommitted: float = 0.0
    """A commit fails."""
    away: float = 0.0
    """The broker goes away for a while."""
    moved: float = 0.0
    """A partition goes to another member."""
    killed: float = 0.0
    """The process that calls is killed, before or after."""


CALM = Chances()


@dataclass
class Group:
    """A group of `members` that reads the topic, for payments by `rail` alone; the other events pass."""

    members: int
    rail: str | None
    committed: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)


@dataclass
class Broker:
    """One topic with partitions, and the groups that read it: one settles, one sends. `status` tells how a
    transfer stands; `memory` counts how often everything was lost."""

    world: World
    partitions: int
    settling: Group
    sending: Group
    status: Callable[[str], str | None]
    chances: Chances = CALM
    memory: int = 0
    away_until: float = 0.0

    def __post_init__(self) -> None:
        self.logs: list[list[Stored]] = [[] for _ in range(self.partitions)]
        for group in (self.settling, self.sending):
            group.committed = [0] * self.partitions
            group.owners = [number % group.members for number in range(self.partitions)]
        self.changed: Signal = self.world.signal()

    def forget(self) -> None:
        """The broker starts again with nothing: no record, no offset of any group."""
        self.memory += 1
        self.logs = [[] for _ in range(self.partitions)]
        for group in (self.settling, self.sending):
            group.committed = [0] * self.partitions
        self.changed.set()

    def calm(self) -> None:
        """Nothing happens any more but what is asked for."""
        self.chances = CALM
        self.away_until = 0.0

    def call(self, process: Process, what: str) -> None:
        """A process says something to the broker. Raises `KafkaConnectionError` while that is away."""
        self.world.step(what)
        chances, chance = self.chances, self.world.chance
        if chances is not CALM:
            self.meet(process)
            if chance.random() < chances.away:
                self.away_until = self.world.now + chance.uniform(0.0, 5.0)
            if chance.random() < chances.moved:
                group = chance.choice((self.settling, self.sending))
                group.owners[chance.randrange(self.partitions)] = chance.randrange(group.members)
        if self.world.now < self.away_until:
            raise KafkaConnectionError

    def meet(self, process: Process) -> None:
        """The process may die here."""
        if self.chances.killed and self.world.chance.random() < self.chances.killed:
            self.world.kill(process)
            raise Killed

    def append(self, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> Report:
        """Writes a record."""
        number = self.partition(key)
        seen_from = self.world.now
        if self.chances.delayed and self.world.chance.random() < self.chances.delayed:
            seen_from += self.world.chance.uniform(0.0, 3.0)
        log = self.logs[number]
        log.append(Stored(TOPIC, number, len(log), key, value, tuple(headers), 0, seen_from))
        self.changed.set()
        return Report(number, len(log) - 1)

    def partition(self, key: bytes) -> int:
        """Where all records with this key are."""
        return zlib.crc32(key) % self.partitions

    def commit(self, group: Group, number: int, offset: int) -> None:
        """Keeps where the group is, once all up to there has had its effect."""
        for record in self.logs[number][group.committed[number] : offset]:
            transfer_id = record.header("ce_subject")
            if record.header("ce_type") != HELD or json.loads(record.value or b"{}")["rail"] != group.rail:
                continue
            if self.status(transfer_id) in {"HELD", None}:
                self.world.violated(f"offset {offset} is committed before {transfer_id} is decided or sent")
        group.committed[number] = offset


@dataclass
class Producing:
    """The part of `kafka.KafkaProducer` that the kit uses, for one process."""

    broker: Broker
    process: Process

    def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> "Producing._Sent":
        broker, chance = self.broker, self.broker.world.chance
        try:
            broker.call(self.process, "send")
        except KafkaConnectionError as error:
            raise KafkaTimeoutError from error
        if topic != TOPIC:
            broker.world.violated(f"a record went to {topic}")
            return self._Sent(broker, Report(0, 0))
        lost = broker.chances.lost and chance.random() < broker.chances.lost
        if lost and chance.random() < 0.5:
            return self._Sent(broker, None)
        report = broker.append(key or b"", value, headers or [])
        if broker.chances.twice and chance.random() < broker.chances.twice:
            report = broker.append(key or b"", value, headers or [])
        return self._Sent(broker, None if lost else report)

    def close(self, timeout: float | None = None) -> None:
        """Nothing is open."""

    @dataclass
    class _Sent:
        broker: Broker
        report: Report | None

        def get(self, timeout: float | None = None) -> Report:
            self.broker.world.step("report")
            if self.report is None:
                raise KafkaTimeoutError
            return self.report


@dataclass
class Reading:
    """The part of the kit's topic reader that the relay uses, for one process."""

    broker: Broker
    process: Process

    def one(self, topic: str, partition: int, offset: int) -> topics.Stored | None:
        try:
            self.broker.call(self.process, "read")
        except KafkaConnectionError as error:
            raise topics.TopicUnavailable from error
        log = self.broker.logs[partition]
        if offset >= len(log):
            return None
        found = log[offset]
        headers = tuple(found.headers)
        return topics.Stored(topic, partition, offset, "", found.key, found.value, headers)

    def begins_after(self, topic: str, partition: int, offset: int) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


class Consuming:
    """The part of `kafka.KafkaConsumer` that the kit uses, for one member of the group."""

    def __init__(self, broker: Broker, group: Group, process: Process, number: int) -> None:
        broker.call(process, "connect")
        self._group = group
        self._broker = broker
        self._process = process
        self._number = number
        self._memory = broker.memory
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()

    def poll(self, timeout_ms: int) -> dict[Any, list[Stored]]:
        broker = self._broker
        broker.call(self._process, "poll")
        if not (found := self._fetched()):
            broker.changed.clear()
            broker.changed.wait(timeout_ms / 1000)
            found = self._fetched()
        return found

    def _fetched(self) -> dict[Any, list[Stored]]:
        broker, chance = self._broker, self._broker.world.chance
        if self._memory != broker.memory:
            self._memory = broker.memory
            self._positions.clear()
        mine = [number for number, owner in enumerate(self._group.owners) if owner == self._number]
        committed = self._group.committed
        self._positions = {number: self._positions.get(number, committed[number]) for number in mine}
        # Whoever loses a partition and gets it back begins anew with it, in kafka-python too.
        self._paused.intersection_update(mine)
        found: dict[Any, list[Stored]] = {}
        chance.shuffle(mine)
        for number in mine:
            position = self._positions[number]
            if number in self._paused:
                continue
            if broker.chances.again and chance.random() < broker.chances.again:
                position = max(0, position - chance.randrange(4))
            ready = []
            for record in broker.logs[number][position : position + chance.randrange(1, 100)]:
                if record.seen_from > broker.world.now:
                    break
                ready.append(record)
            if ready:
                found[TopicPartition(TOPIC, number)] = ready
                self._positions[number] = position + len(ready)
        return found

    def commit(self, offsets: Mapping[Any, Any], timeout_ms: int) -> None:
        broker = self._broker
        broker.call(self._process, "commit")
        if self._memory != broker.memory:
            raise KafkaTimeoutError
        if broker.chances.uncommitted and broker.world.chance.random() < broker.chances.uncommitted:
            raise KafkaTimeoutError
        for partition, offset in offsets.items():
            broker.commit(self._group, partition.partition, offset.offset)
        broker.meet(self._process)

    def seek(self, partition: Any, offset: int) -> None:
        self._positions[partition.partition] = offset

    def pause(self, *partitions: Any) -> None:
        self._paused |= {each.partition for each in partitions}

    def resume(self, *partitions: Any) -> None:
        self._paused -= {each.partition for each in partitions}

    def assignment(self) -> set[Any]:
        owners = enumerate(self._group.owners)
        return {TopicPartition(TOPIC, number) for number, owner in owners if owner == self._number}

    def group_metadata(self) -> Any:
        return SimpleNamespace(state=MemberState.STABLE)

    def close(self, *, timeout_ms: int) -> None:
        """Nothing is open."""

"""A broker in memory, as the kit's producer and worker know one, with switches for faults."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from kafka.errors import KafkaConnectionError, KafkaTimeoutError, TopicAuthorizationFailedError
from kafka.structs import MemberState, TopicPartition


class Stored(NamedTuple):
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    leader_epoch: int = 0
    timestamp: int = 1_795_608_000_000


class Report(NamedTuple):
    partition: int
    offset: int


@dataclass
class Sent:
    report: Report | None

    def get(self, timeout: float | None = None) -> Report:
        if self.report is None:
            raise TopicAuthorizationFailedError
        return self.report


@dataclass
class FakeBroker:
    """`topics` gives partition counts. `away` refuses connections; `refused` topics cannot be written;
    `vague`, it knows a record without knowing its offset."""

    topics: Mapping[str, int]
    away: bool = False
    vague: bool = False
    refused: set[str] = field(default_factory=set)
    committed: dict[tuple[str, Any], int] = field(default_factory=dict)
    logs: dict[Any, list[Stored]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    connections: int = 0

    def producer(self) -> "FakeProducer":
        self.connect()
        return FakeProducer(self)

    def consumer(self, topic: str, group: str) -> "FakeConsumer":
        self.connect()
        return FakeConsumer(self, topic, group)

    def reader(self) -> "FakeReader":
        self.connect()
        return FakeReader(self)

    def connect(self) -> None:
        self.connections += 1
        if self.away:
            raise KafkaConnectionError

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> Report:
        partition = TopicPartition(topic, sum(key or b"") % self.topics[topic])
        with self.changed:
            log = self.logs.setdefault(partition, [])
            log.append(Stored(topic, partition.partition, len(log), key, value, tuple(headers)))
            self.changed.notify_all()
            return Report(partition.partition, len(log) - 1)

    def records(self, topic: str) -> list[Stored]:
        with self.changed:
            return [
                record for partition, log in self.logs.items() if partition.topic == topic for record in log
            ]


@dataclass
class FakeProducer:
    broker: FakeBroker
    closed: bool = False

    def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> Sent:
        assert not self.closed
        assert key is not None or value is not None, "kafka-python refuses this"
        if self.broker.away:
            raise KafkaTimeoutError
        if topic in self.broker.refused:
            return Sent(None)
        report = self.broker.append(topic, key, value, headers or [])
        return Sent(report._replace(offset=-1) if self.broker.vague else report)

    def close(self, timeout: float | None = None) -> None:
        self.closed = True


class FakeConsumer:
    """The only member of its group."""

    def __init__(self, broker: FakeBroker, topic: str, group: str) -> None:
        self.broker = broker
        self.group = group
        self.partitions = {TopicPartition(topic, number) for number in range(broker.topics[topic])}
        self.positions = {
            partition: broker.committed.get((group, partition), 0) for partition in self.partitions
        }
        self.paused: set[Any] = set()
        self.closed = False

    def poll(self, timeout_ms: int) -> dict[Any, list[Stored]]:
        if self.broker.away:
            raise KafkaConnectionError
        with self.broker.changed:
            batches = self._fetched()
            if not batches:
                self.broker.changed.wait(min(timeout_ms, 20) / 1000)
                batches = self._fetched()
        return batches

    def _fetched(self) -> dict[Any, list[Stored]]:
        batches = {}
        for partition in self.partitions - self.paused:
            if records := self.broker.logs.get(partition, [])[self.positions[partition] :]:
                batches[partition] = records
                self.positions[partition] += len(records)
        return batches

    def commit(self, offsets: Mapping[Any, Any], timeout_ms: int) -> None:
        if self.broker.away:
            raise KafkaTimeoutError
        for partition, offset in offsets.items():
            self.broker.committed[self.group, partition] = offset.offset

    def seek(self, partition: Any, offset: int) -> None:
        self.positions[partition] = offset

    def pause(self, *partitions: Any) -> None:
        self.paused |= set(partitions)

    def resume(self, *partitions: Any) -> None:
        self.paused -= set(partitions)

    def assignment(self) -> set[Any]:
        return set(self.partitions)

    def group_metadata(self) -> Any:
        return SimpleNamespace(state=MemberState.STABLE)

    def close(self, *, timeout_ms: int) -> None:
        self.closed = True


class FakeReader:
    """A consumer without a group. `cut` is how many of each partition's oldest records have ended."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.positions: dict[Any, int] = {}
        self.cut = 0
        self.closed = False

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self.broker.topics[topic])) if topic in self.broker.topics else None

    def assign(self, partitions: Sequence[Any]) -> None:
        self.positions = dict.fromkeys(partitions, 0)

    def seek(self, partition: Any, offset: int) -> None:
        self.positions[partition] = offset

    def position(self, partition: Any) -> int:
        return self.positions[partition]

    def beginning_offsets(self, partitions: Sequence[Any]) -> dict[Any, int]:
        return {each: min(self.cut, len(self.broker.logs.get(each, []))) for each in partitions}

    def end_offsets(self, partitions: Sequence[Any]) -> dict[Any, int]:
        if self.broker.away:
            raise KafkaTimeoutError
        return {each: len(self.broker.logs.get(each, [])) for each in partitions}

    def poll(self, timeout_ms: int) -> dict[Any, list[Stored]]:
        if self.broker.away:
            raise KafkaConnectionError
        batches = {}
        for partition, position in self.positions.items():
            # One at a time, so that whoever reads must go on.
            if records := self.broker.logs.get(partition, [])[position : position + 1]:
                batches[partition] = records
                self.positions[partition] += 1
        return batches

    def close(self) -> None:
        self.closed = True


@contextmanager
def running(worker: Any) -> Iterator[threading.Event]:
    """The worker at work in a thread, stopped at the end; what it raised is raised here."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            worker.run(stop)
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive(), "the worker did not stop"
    if raised:
        raise raised[0]


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait until the condition holds; fail at the deadline."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not become true in time")

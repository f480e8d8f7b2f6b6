"""Looking into topics without a group: nothing is taken from whoever consumes them, and nothing committed.

A reader refuses a topic that its settings do not list, and connects when it is first used.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from kafka import KafkaConsumer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import TopicPartition

from apps.kit.kafka import ForbiddenTopic, client_options, connected
from apps.kit.settings import KafkaSettings

CONNECT_TIMEOUT_MS = 5_000
POLL_MS = 200
READ_SECONDS = 20.0
"""The brokers may be silent this long in the middle of a topic."""
BEYOND_SECONDS = 1.0


class TopicUnavailable(Exception):  # noqa: N818
    """The brokers do not answer, or stop answering."""


class Client(Protocol):
    """The part of `kafka.KafkaConsumer` that is used here."""

    def partitions_for_topic(self, topic: str) -> set[int] | None: ...

    def assign(self, partitions: Sequence[Any]) -> None: ...

    def seek(self, partition: Any, offset: int) -> None: ...

    def position(self, partition: Any) -> int: ...

    def beginning_offsets(self, partitions: Sequence[Any]) -> Mapping[Any, int]: ...

    def end_offsets(self, partitions: Sequence[Any]) -> Mapping[Any, int]: ...

    def poll(self, timeout_ms: int) -> Mapping[Any, Sequence[Any]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Stored:
    """A record where it is: `topic` is its name on the brokers, `at` when they took it (ISO 8601)."""

    topic: str
    partition: int
    offset: int
    at: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class TopicReader:
    """Reads the topics that its settings list under `kafka_reads`."""

    def __init__(self, settings: KafkaSettings, connect: Callable[[], Client] | None = None) -> None:
        self._topics = {name: settings.topics[name] for name in settings.kafka_reads}
        self._connect = connect or (lambda: _connected(settings))
        self._client: Client | None = None
        self._begins: dict[Any, int] = {}

    def name_of(self, physical: str) -> str | None:
        """The catalog name of a topic that the brokers know by this one."""
        return next((name for name, called in self._topics.items() if called == physical), None)

    def stored(self, topic: str, *, last: int | None = None) -> list[Stored]:
        """What is in a topic now, oldest first; of each partition the `last` records only, or all.

        Raises `ForbiddenTopic` or `TopicUnavailable`, as everything here does.
        """
        found = [each for batch in self._until_end(self._started(topic, last)) for each in batch]
        if last is None:
            return found
        newest: list[Stored] = []
        for partition in sorted({each.partition for each in found}):
            newest += [each for each in found if each.partition == partition][-last:]
        return newest

    def one(self, topic: str, partition: int, offset: int) -> Stored | None:
        """The record at a place, if it is (still) there."""
        try:
            client, partitions = self._assigned(topic)
            wanted = next((each for each in partitions if each.partition == partition), None)
            if wanted is None:
                return None
            if offset < client.beginning_offsets([wanted])[wanted]:
                return None
            # Tansu 0.6 tells of an end that is too early where one batch had several records: what is beyond
            # it is asked for all the same, with less patience.
            there = offset < client.end_offsets([wanted])[wanted]
            self._go_to(client, {wanted: offset})
        except (KafkaError, OSError) as error:
            raise TopicUnavailable(type(error).__name__) from error
        deadline = time.monotonic() + (READ_SECONDS if there else BEYOND_SECONDS)
        while time.monotonic() < deadline:
            for each in self._poll():
                return each if each.offset == offset else None
        if there:
            raise TopicUnavailable("silent")
        return None

    def begins_after(self, topic: str, partition: int, offset: int) -> bool:
        """Whether a partition begins after this offset: what was there has served its time."""
        try:
            client, partitions = self._assigned(topic)
            wanted = [each for each in partitions if each.partition == partition]
            return any(begin > offset for begin in client.beginning_offsets(wanted).values())
        except (KafkaError, OSError) as error:
            raise TopicUnavailable(type(error).__name__) from error

    def follow(self, topic: str, last: int, stopped: Callable[[], bool]) -> Iterator[Stored]:
        """The newest `last` records of a topic, and then each that comes, until told to stop."""
        ends = self._started(topic, last)
        seen = sorted((each for batch in self._until_end(ends) for each in batch), key=lambda each: each.at)
        yield from seen[len(seen) - min(last, len(seen)) :]
        while not stopped():
            yield from self._poll()

    def close(self) -> None:
        """Lets go of the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _assigned(self, topic: str) -> tuple[Client, list[Any]]:
        physical = self._topics.get(topic)
        if physical is None:
            raise ForbiddenTopic(f"this service does not read '{topic}'")
        if self._client is None:
            self._client = self._connect()
        numbers = self._client.partitions_for_topic(physical) or set()
        return self._client, [TopicPartition(physical, number) for number in sorted(numbers)]

    def _started(self, topic: str, last: int | None) -> dict[Any, int]:
        """Goes to where reading begins, and gives where each partition ends now."""
        try:
            client, partitions = self._assigned(topic)
            begins, ends = client.beginning_offsets(partitions), client.end_offsets(partitions)
            if last is not None:
                begins = {each: max(begins[each], ends[each] - last) for each in partitions}
            self._go_to(client, begins)
        except (KafkaError, OSError) as error:
            raise TopicUnavailable(type(error).__name__) from error
        return dict(ends)

    def _go_to(self, client: Client, begins: Mapping[Any, int]) -> None:
        self._begins = dict(begins)
        client.assign(list(begins))
        for partition, offset in begins.items():
            client.seek(partition, offset)

    def _until_end(self, ends: Mapping[Any, int]) -> Iterator[list[Stored]]:
        assert self._client is not None
        deadline = time.monotonic() + READ_SECONDS
        try:
            while any(self._client.position(each) < end for each, end in ends.items()):
                if found := self._poll():
                    deadline = time.monotonic() + READ_SECONDS
                    yield found
                elif time.monotonic() > deadline:
                    raise KafkaTimeoutError("the topic does not come to its end")
        except (KafkaError, OSError) as error:
            raise TopicUnavailable(type(error).__name__) from error

    def _poll(self) -> list[Stored]:
        assert self._client is not None
        try:
            batches = self._client.poll(timeout_ms=POLL_MS)
        except (KafkaError, OSError) as error:
            raise TopicUnavailable(type(error).__name__) from error
        # A broker answers with the whole batch that an offset is in.
        return [
            _stored(record)
            for partition, batch in batches.items()
            for record in batch
            if record.offset >= self._begins.get(partition, 0)
        ]


def _stored(record: Any) -> Stored:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return Stored(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )


def _connected(settings: KafkaSettings) -> Client:
    client: Client = connected(
        KafkaConsumer,
        **client_options(settings),
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        # Tansu answers an empty fetch only at the end of this time.
        fetch_max_wait_ms=50,
        bootstrap_timeout_ms=CONNECT_TIMEOUT_MS,
    )
    return client

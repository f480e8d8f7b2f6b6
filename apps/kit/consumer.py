"""The Kafka consumer of a worker, and its partitions that wait for a record to be tried again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor

from apps.kit.kafka import client_options, connected
from apps.kit.settings import KafkaSettings

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 60.0
CONNECT_TIMEOUT_MS = 5_000
FETCH_BYTES = 64 * 1024
"""Of a partition, about a hundred events: what a poll gives is handled before the next one."""
FETCH_WAIT_MS = 500
BLIND_FETCH_WAIT_MS = 50
"""Where a fetch that waits is not woken by a record: all of this passes before the record is seen."""
QUIET_AFTER_SECONDS = 2.0
QUIET_REST_SECONDS = 0.15
"""A fetch costs some milliseconds of CPU, here and at the broker, twenty times a second where it is blind."""
ALL_FETCHED = 1_000_000
"""Records that a poll may give: more than it can have fetched, so that none are left over. A partition
that is paused with some left over is never fetched again once another one moves (kafka-python 3.0.12)."""


class Consumer(Protocol):
    """The part of `kafka.KafkaConsumer` that is used here."""

    def poll(self, timeout_ms: int) -> Mapping[Any, Sequence[Any]]: ...

    def commit(self, offsets: Mapping[Any, Any], timeout_ms: int) -> None: ...

    def seek(self, partition: Any, offset: int) -> None: ...

    def pause(self, *partitions: Any) -> None: ...

    def resume(self, *partitions: Any) -> None: ...

    def assignment(self) -> set[Any]: ...

    def group_metadata(self) -> Any: ...

    def close(self, *, timeout_ms: int) -> None: ...


@dataclass(frozen=True)
class Backoff:
    """Delays that double from `FIRST_DELAY_SECONDS`, spread by `jitter` (0 to 1) over their upper half."""

    jitter: Callable[[], float]

    def delay(self, attempts: int, longest: float) -> float:
        """Seconds to wait after `attempts` failures in a row."""
        doubled = FIRST_DELAY_SECONDS * 2.0 ** min(attempts - 1, 20)
        return min(longest, doubled) * (0.5 + 0.5 * self.jitter())


@dataclass(frozen=True)
class _Wait:
    """A record that failed `attempts` times; its partition goes on at `resume_at`, or already does."""

    attempts: int
    resume_at: float | None


class Waits:
    """The partitions that are paused, because their next record could not be handled, until its next try."""

    def __init__(self, backoff: Backoff, clock: Callable[[], float]) -> None:
        self._backoff = backoff
        self._clock = clock
        self._waits: dict[Any, _Wait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def clear(self) -> None:
        """Forget all: the consumer is a new one."""
        self._waits.clear()

    def hold(self, consumer: Consumer, partition: Any, offset: int) -> None:
        """Go back to the record at `offset` and pause its partition, longer each time in a row."""
        attempts = self._waits.get(partition, _Wait(0, None)).attempts + 1
        # The client keeps its position across a rebalance, so going back is always said explicitly.
        consumer.seek(partition, offset)
        consumer.pause(partition)
        delay = self._backoff.delay(attempts, MAX_DELAY_SECONDS)
        self._waits[partition] = _Wait(attempts, self._clock() + delay)

    def over(self, partition: Any) -> None:
        """The record was handled."""
        self._waits.pop(partition, None)

    def resume_what_is_due(self, consumer: Consumer) -> None:
        """Let partitions go on whose time has come, and forget those that went to another member."""
        if not self._waits:
            return
        assigned = consumer.assignment()
        for partition, wait in list(self._waits.items()):
            if partition not in assigned:
                del self._waits[partition]
            elif wait.resume_at is not None and wait.resume_at <= self._clock():
                consumer.resume(partition)
                self._waits[partition] = replace(wait, resume_at=None)

    def poll_ms(self, longest: int) -> int:
        """How long a poll may take so that the next partition goes on in time."""
        due = [wait.resume_at for wait in self._waits.values() if wait.resume_at is not None]
        if not due:
            return longest
        return max(10, min(longest, int((min(due) - self._clock()) * 1000)))


@dataclass
class Pace:
    """How long to rest before the next poll.

    Always `rest` seconds, for whom nobody waits: what comes meanwhile is polled together. And where fetches
    are `blind`, a while longer once nothing has come for some time; the first record after that waits for it.
    """

    rest: float
    blind: bool
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self.noted()

    def noted(self) -> None:
        """A record has come."""
        self._busy_until = self.clock() + QUIET_AFTER_SECONDS

    @property
    def quiet(self) -> bool:
        """Whether the next poll is to come back after one blind fetch, for the rest that follows it."""
        return self.blind and self.clock() >= self._busy_until

    def seconds(self) -> float:
        """The rest that is due now."""
        return max(self.rest, QUIET_REST_SECONDS) if self.quiet else self.rest


def connected_consumer(settings: KafkaSettings, topic: str) -> Consumer:
    """A member of the settings' group that reads `topic` from where the group is. Raises `KafkaError`."""
    session_ms = settings.kafka_session_timeout_ms
    consumer: Consumer = connected(
        KafkaConsumer,
        topic,
        **client_options(settings),
        group_id=settings.kafka_group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        max_poll_records=ALL_FETCHED,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_min_bytes=1,
        fetch_max_wait_ms=FETCH_WAIT_MS if settings.kafka_wakes_fetches else BLIND_FETCH_WAIT_MS,
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=min(3_000, session_ms // 4),
        # Eager: with cooperative assignors Tansu leaves a second member without partitions.
        partition_assignment_strategy=(RangePartitionAssignor,),
        bootstrap_timeout_ms=CONNECT_TIMEOUT_MS,
        reconnect_backoff_max_ms=1_000,
    )
    return consumer

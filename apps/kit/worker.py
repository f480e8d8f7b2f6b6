"""A Kafka consumer loop that loses nothing: at least once, in order per partition, for idempotent handlers.

Per record there are four ways on:
- the handler returns: the offset is committed at the end of the poll;
- its type is one that this worker skips: its body is not even read, and where a poll brought nothing else the
  offsets are committed once a second, or with the next ones;
- the record can never be handled (`Poison`, malformed, a type that nobody here knows): it goes to the
  dead-letter topic with its bytes and headers as they are, and only then is its offset committed;
- anything else (`TryAgain`, an event from a newer version than the handler knows, any other exception):
  its partition pauses and the record is delivered again, later and later, while other partitions move.

Events that are handled `together` are all those of one poll: one that has to come again does not keep its
neighbours from being handled, only their offsets from being committed, so they may come again too.

A broker that is away never ends the loop; too many dead letters in a row do (`TooManyDeadLetters`),
because then the fault is more likely here than in the records.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kafka.errors import KafkaError
from kafka.structs import MemberState, OffsetAndMetadata

from apps.kit import logs, metrics
from apps.kit.consumer import BLIND_FETCH_WAIT_MS, Backoff, Consumer, Pace, Waits, connected_consumer
from apps.kit.events import Event, Malformed, decode, type_and_version
from apps.kit.kafka import ForbiddenTopic, Producer, PublishFailed
from apps.kit.settings import KafkaSettings

MAX_CONSECUTIVE_DEAD_LETTERS = 25
POLL_MS = 500
MAX_RECONNECT_SECONDS = 5.0
COMMIT_TIMEOUT_MS = 2_000
SKIPPED_COMMIT_SECONDS = 1.0
CLOSE_TIMEOUT_MS = 5_000

_log = logging.getLogger(__name__)


class TryAgain(Exception):  # noqa: N818
    """The event could not be handled now. Nothing after it on its partition is delivered before it."""


class Poison(Exception):  # noqa: N818
    """The event can never be handled. `reason` goes with it to the dead-letter topic."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NewerVersion(TryAgain):
    """An event of a known type in a version from the future: it waits for the handler's next release."""


class TooManyDeadLetters(Exception):  # noqa: N818
    """So many records in a row went to the dead-letter topic that a person should look."""


class NotReady(Exception):  # noqa: N818
    """The worker is not a member of its consumer group at the moment."""


@dataclass(frozen=True)
class Handler:
    """What handles one type of event, and the newest version of that type which it knows."""

    version: int
    function: Callable[[Event], None]


Together = Callable[[Sequence[Event]], Sequence[Exception | None]]
"""Handles many events, and says of each what a handler would have raised."""


@dataclass(frozen=True)
class JointHandler:
    """What handles all events of one type that a poll brings."""

    version: int
    function: Together


@dataclass(frozen=True)
class Skip:
    """A type of event that needs nothing here, up to the newest version of which that is known."""

    version: int


Outcomes = Mapping[tuple[str, int, int], Exception | None]
"""What became of the records that were handled together, by topic, partition and offset."""


class Worker:
    """Reads the one topic that its settings name, as a member of the group that they name.

    `skips` are types of event that are let pass, up to a version; whoever handles them says when one is
    malformed. A worker that nobody waits for rests for `rest_seconds` after each poll.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        handlers: Mapping[str, tuple[int, Callable[[Event], None]]],
        producer: Producer,
        beat: Callable[[], None],
        *,
        together: Mapping[str, tuple[int, Together]] | None = None,
        skips: Mapping[str, int] | None = None,
        rest_seconds: float = 0.0,
        connect: Callable[[], Consumer] | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if settings.kafka_consumes is None or settings.kafka_group is None:
            raise ForbiddenTopic("this service does not consume a topic")
        if settings.kafka_dead_letter is None or settings.kafka_dead_letter not in settings.kafka_produces:
            raise ForbiddenTopic("this service has no dead-letter topic that it may produce to")
        topic = settings.topics[settings.kafka_consumes]
        self._dead_letter_topic = settings.kafka_dead_letter
        self._handlers: dict[str, Handler | JointHandler | Skip] = {
            **{kind: Skip(version) for kind, version in (skips or {}).items()},
            **{kind: Handler(*handler) for kind, handler in handlers.items()},
            **{kind: JointHandler(*handler) for kind, handler in (together or {}).items()},
        }
        self._producer = producer
        self._beat = beat
        self._connect = connect or (lambda: connected_consumer(settings, topic))
        self._clock = clock
        self._joined = threading.Event()
        self._backoff = Backoff(jitter)
        self._waits = Waits(self._backoff, clock)
        self._pace = Pace(rest_seconds, not settings.kafka_wakes_fetches, clock)
        self._uncommitted: dict[Any, Any] = {}
        self._membership: Any = None
        self._committed_at = clock()
        self._dead_letters_in_a_row = 0

    def ready(self) -> None:
        """Raise `NotReady` unless this worker is a member of its group now. Any thread may ask."""
        if not self._joined.is_set():
            raise NotReady("not a member of the consumer group")

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Raises `TooManyDeadLetters`, never because a broker is away."""
        failures = 0
        while not stop.is_set():
            self._beat()
            try:
                self._work(self._connect(), stop)
            except (KafkaError, OSError) as error:
                failures = 1 if self._joined.is_set() else failures + 1
                _log.warning(
                    "the brokers do not answer as they should", extra={"error": type(error).__name__}
                )
                self._joined.clear()
                self._pause(stop, self._backoff.delay(failures, MAX_RECONNECT_SECONDS))
            finally:
                self._joined.clear()

    def _pause(self, stop: threading.Event, seconds: float) -> None:
        """Wait, without looking dead to whoever watches the heart beat."""
        end = self._clock() + seconds
        while not stop.is_set() and (left := end - self._clock()) > 0:
            self._beat()
            stop.wait(min(left, POLL_MS / 1000))

    def _work(self, consumer: Consumer, stop: threading.Event) -> None:
        self._waits.clear()
        self._uncommitted.clear()
        self._pace.noted()
        try:
            while not stop.is_set():
                self._beat()
                self._waits.resume_what_is_due(consumer)
                batches = consumer.poll(timeout_ms=self._waits.poll_ms(self._poll_ms()))
                self._note_membership(consumer)
                if batches:
                    self._pace.noted()
                    self._take_all(consumer, batches, stop)
                self._commit_skipped(consumer, after_seconds=SKIPPED_COMMIT_SECONDS)
                if (rest := self._pace.seconds()) > 0 and self._joined.is_set():
                    stop.wait(self._waits.poll_ms(int(rest * 1000)) / 1000)
            self._commit_skipped(consumer, after_seconds=0)
        finally:
            try:
                consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)
            except KafkaError as error:
                _log.warning("the consumer did not close in time", extra={"error": type(error).__name__})

    def _poll_ms(self) -> int:
        """How long a poll may take. Only a member may be brief: a join takes longer than one fetch."""
        return BLIND_FETCH_WAIT_MS if self._pace.quiet and self._joined.is_set() else POLL_MS

    def _note_membership(self, consumer: Consumer) -> None:
        membership = consumer.group_metadata()
        if membership.state == MemberState.STABLE:
            self._joined.set()
        else:
            self._joined.clear()
        if membership != self._membership:
            # What was skipped as another member comes again, to whoever has it now, and is committed then.
            self._membership = membership
            self._uncommitted.clear()

    def _handled_together(self, batches: Iterable[Sequence[Any]]) -> Outcomes:
        """Handles what is to be handled together, up to the first event of each partition that is of a newer
        version; gives what became of each."""
        found: dict[JointHandler, list[tuple[tuple[str, int, int], Event]]] = {}
        for records in batches:
            for record in records:
                try:
                    handler = self._handler(record)
                    if isinstance(handler, JointHandler):
                        event = decode(record.headers, record.value)
                        found.setdefault(handler, []).append((_key(record), event))
                except NewerVersion:
                    break
                except (Malformed, Poison):
                    continue
        outcomes: dict[tuple[str, int, int], Exception | None] = {}
        for handler, each in found.items():
            self._beat()
            events = [event for _, event in each]
            try:
                answers = handler.function(events)
            except Exception as error:  # noqa: BLE001 (as for a handler of one event)
                answers = [error] * len(events)
            outcomes |= zip((key for key, _ in each), answers, strict=True)
        return outcomes

    def _take_all(
        self, consumer: Consumer, batches: Mapping[Any, Sequence[Any]], stop: threading.Event
    ) -> None:
        """Handles what a poll brought, and commits what is done of all partitions at once."""
        outcomes = self._handled_together(batches.values())
        done: dict[Any, Any] = {}
        try:
            for partition, records in batches.items():
                if (last := self._take(consumer, partition, records, outcomes, stop)) is not None:
                    done[partition] = last
        finally:
            only_skipped = all(self._skips(each) for records in batches.values() for each in records)
            self._uncommitted |= done
            if not only_skipped:
                self._commit(consumer)
        if self._dead_letters_in_a_row >= MAX_CONSECUTIVE_DEAD_LETTERS:
            raise TooManyDeadLetters(f"{self._dead_letters_in_a_row} records in a row")

    def _take(
        self,
        consumer: Consumer,
        partition: Any,
        records: Sequence[Any],
        outcomes: Outcomes,
        stop: threading.Event,
    ) -> Any | None:
        """Handles the records in order up to the first that must wait; gives the last that is done."""
        done: Any | None = None
        for record in records:
            if stop.is_set() and _key(record) not in outcomes:
                break
            self._beat()
            if not self._handled(record, outcomes):
                self._waits.hold(consumer, partition, record.offset)
                break
            self._waits.over(partition)
            done = record
        return done

    def _handled(self, record: Any, outcomes: Outcomes) -> bool:
        """Whether this record needs no second delivery."""
        try:
            self._handle(record, outcomes)
        except (Malformed, Poison) as poison:
            return self._dead_letter(record, poison.reason)
        except NewerVersion as newer:
            _log.error("an event of a newer version waits", extra={**_place(record), "error": str(newer)})
            metrics.emit("newer_event_version", 1)
            return False
        except TryAgain as error:
            _log.warning("an event is tried again", extra={**_place(record), "error": type(error).__name__})
            metrics.emit("event_retries", 1)
            return False
        except Exception as error:  # noqa: BLE001
            # Not knowing what went wrong is no reason to lose an event.
            _log.error("a handler failed", extra={**_place(record), "error": type(error).__name__})
            metrics.emit("event_retries", 1)
            return False
        self._dead_letters_in_a_row = 0
        return True

    def _skips(self, record: Any) -> bool:
        try:
            return isinstance(self._handler(record), Skip)
        except (Malformed, Poison, NewerVersion):
            return False

    def _handle(self, record: Any, outcomes: Outcomes) -> None:
        handler = self._handler(record)
        if isinstance(handler, Skip):
            return
        if isinstance(handler, Handler):
            event = decode(record.headers, record.value)
            with logs.bound(request_id=event.request_id):
                handler.function(event)
        elif _key(record) not in outcomes:
            # It could not even be decoded: say why.
            decode(record.headers, record.value)
            raise TryAgain("not handled yet")
        elif (error := outcomes[_key(record)]) is not None:
            raise error

    def _handler(self, record: Any) -> Handler | JointHandler | Skip:
        """Who handles this record. Raises `Malformed`, `Poison` or `NewerVersion`."""
        kind, version = type_and_version(record.headers)
        handler = self._handlers.get(kind)
        if handler is None:
            raise Poison("nobody here knows this type of event")
        if version > handler.version:
            raise NewerVersion(f"version {version}; {handler.version} is the newest known here")
        return handler

    def _dead_letter(self, record: Any, reason: str) -> bool:
        headers = (
            *record.headers,
            ("dl_reason", reason.encode()),
            ("dl_topic", record.topic.encode()),
            ("dl_partition", str(record.partition).encode()),
            ("dl_offset", str(record.offset).encode()),
            ("dl_at", datetime.now(UTC).isoformat(timespec="milliseconds").encode()),
        )
        try:
            self._producer.forward(self._dead_letter_topic, record.key, record.value, headers)
        except PublishFailed as error:
            _log.error("a dead letter was not delivered", extra={**_place(record), "error": error.cause})
            return False
        _log.error("a record went to the dead-letter topic", extra={**_place(record), "reason": reason})
        metrics.emit("dead_letters", 1)
        self._dead_letters_in_a_row += 1
        return True

    def _commit_skipped(self, consumer: Consumer, *, after_seconds: float) -> None:
        """Commits what was only skipped, if the last commit was so long ago."""
        if self._uncommitted and self._clock() - self._committed_at >= after_seconds:
            self._commit(consumer)

    def _commit(self, consumer: Consumer) -> None:
        """Commits all that is done and not committed, of all partitions in one call."""
        done, self._uncommitted = self._uncommitted, {}
        if not done:
            return
        offsets = {
            partition: OffsetAndMetadata(
                record.offset + 1, "", -1 if record.leader_epoch is None else record.leader_epoch
            )
            for partition, record in done.items()
        }
        self._committed_at = self._clock()
        try:
            consumer.commit(offsets, timeout_ms=COMMIT_TIMEOUT_MS)
        except KafkaError as error:
            # Whoever has the partitions now gets these records again; handlers are idempotent.
            places = [_place(record) for record in done.values()]
            _log.warning(
                "offsets were not committed", extra={"places": places, "error": type(error).__name__}
            )


def _key(record: Any) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def _place(record: Any) -> dict[str, object]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}

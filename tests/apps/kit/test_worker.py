"""The worker against faults that no real broker shows on demand; its promises are in tests/contract."""

import json
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import CommitFailedError
from kafka.structs import MemberState, TopicPartition

from apps.kit import worker as module
from apps.kit.consumer import BLIND_FETCH_WAIT_MS, QUIET_AFTER_SECONDS, QUIET_REST_SECONDS, Backoff
from apps.kit.events import Event, encode
from apps.kit.kafka import ForbiddenTopic, Producer
from apps.kit.settings import KafkaSettings, read
from apps.kit.worker import NotReady, Poison, Together, TooManyDeadLetters, TryAgain, Worker
from tests.apps.kit.fake_kafka import FakeBroker, FakeConsumer, running, until

ENVIRONMENT = {
    "SERVICE": "settle_transfers",
    "ENVIRONMENT": "local",
    "AWS_REGION": "sa-east-1",
    "PORT": "8011",
    "KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "KAFKA_SECURITY": "PLAINTEXT",
    "TOPIC_TRANSFERS": "local-transfers",
    "TOPIC_TRANSFERS_DEAD_LETTER": "local-transfers.dead-letter",
    "KAFKA_PRODUCES": "transfers.dead-letter",
    "KAFKA_CONSUMES": "transfers",
    "KAFKA_GROUP": "local-settle-transfers",
    "KAFKA_DEAD_LETTER": "transfers.dead-letter",
}
HELD = "br.gobanking.transfer.held"
GROUP = "local-settle-transfers"
PARTITION = TopicPartition("local-transfers", 0)


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({"local-transfers": 1, "local-transfers.dead-letter": 1})


def put(broker: FakeBroker, name: str, version: int = 1) -> None:
    event = Event(name, HELD, version, "/ledger", "transfer/1", "2026-11-25T03:00:00Z", {"n": 1}, "req-1")
    record = encode(event, "transfers", "k")
    broker.append("local-transfers", b"k", record.value, record.headers)


def put_rubbish(broker: FakeBroker) -> None:
    broker.append("local-transfers", b"k", b"rubbish", [])


def worker(
    broker: FakeBroker, handler: Callable[[Event], None], connect: Callable[[], Any] | None = None
) -> Worker:
    settings = read(KafkaSettings, ENVIRONMENT)
    return Worker(
        settings,
        {HELD: (1, handler)},
        Producer(settings, broker.producer),
        lambda: None,
        connect=connect or (lambda: broker.consumer("local-transfers", GROUP)),
        jitter=lambda: 0.0,
    )


def joint_worker(broker: FakeBroker, together: Together, version: int = 1) -> Worker:
    """A worker that handles all events of a poll together."""
    settings = read(KafkaSettings, ENVIRONMENT)
    return Worker(
        settings,
        {},
        Producer(settings, broker.producer),
        lambda: None,
        together={HELD: (version, together)},
        connect=lambda: broker.consumer("local-transfers", GROUP),
        jitter=lambda: 0.0,
    )


def ready(worker: Worker) -> bool:
    try:
        worker.ready()
    except NotReady:
        return False
    return True


def test_a_broker_that_is_away_is_waited_for_and_readiness_says_so(broker: FakeBroker) -> None:
    seen: list[str] = []
    broker.away = True
    subject = worker(broker, lambda event: seen.append(event.id))
    with running(subject):
        until(lambda: broker.connections >= 3)
        assert not ready(subject)
        broker.away = False
        put(broker, "first")
        until(lambda: seen == ["first"] and ready(subject))
        broker.away = True
        until(lambda: not ready(subject))
        broker.away = False
        put(broker, "second")
        until(lambda: seen[-1] == "second")
    assert not ready(subject)


def test_too_many_dead_letters_in_a_row_end_the_worker_after_their_offsets_are_committed(
    broker: FakeBroker,
) -> None:
    for _ in range(module.MAX_CONSECUTIVE_DEAD_LETTERS):
        put_rubbish(broker)
    with pytest.raises(TooManyDeadLetters):
        worker(broker, lambda event: None).run(threading.Event())
    assert len(broker.records("local-transfers.dead-letter")) == module.MAX_CONSECUTIVE_DEAD_LETTERS
    assert broker.committed[GROUP, PARTITION] == module.MAX_CONSECUTIVE_DEAD_LETTERS


def test_a_good_record_between_dead_letters_starts_the_count_again(broker: FakeBroker) -> None:
    for _ in range(3):
        for _ in range(module.MAX_CONSECUTIVE_DEAD_LETTERS - 1):
            put_rubbish(broker)
        put(broker, "good")
    seen: list[str] = []
    with running(worker(broker, lambda event: seen.append(event.id))):
        until(lambda: seen == ["good"] * 3)


def test_an_unexpected_exception_of_a_handler_loses_nothing(broker: FakeBroker) -> None:
    failures = [ZeroDivisionError("secret 123"), KeyError("x")]
    seen: list[str] = []

    def handler(event: Event) -> None:
        if failures:
            raise failures.pop()
        seen.append(event.id)

    put(broker, "one")
    put(broker, "two")
    with running(worker(broker, handler)):
        until(lambda: seen == ["one", "two"])
    assert broker.committed[GROUP, PARTITION] == 2
    assert broker.records("local-transfers.dead-letter") == []


def emitted(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, float]]:
    """Every metric of the worker's so far, by name."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = ("dead_letters", "newer_event_version", "event_retries")
    return [(name, line[name]) for line in lines for name in names if name in line]


def test_each_dead_letter_is_counted(broker: FakeBroker, capsys: pytest.CaptureFixture[str]) -> None:
    put_rubbish(broker)
    put(broker, "poison")

    def refuse(event: Event) -> None:
        raise Poison("never")

    with running(worker(broker, refuse)):
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 2)
    assert emitted(capsys) == [("dead_letters", 1), ("dead_letters", 1)]


def test_each_look_at_an_event_of_a_newer_version_is_counted(
    broker: FakeBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    put(broker, "future", version=2)
    found: list[tuple[str, float]] = []

    def counted() -> bool:
        found.extend(emitted(capsys))
        return len(found) >= 2

    with running(worker(broker, lambda _: None)):
        until(counted)
    assert set(found) == {("newer_event_version", 1)}


@pytest.mark.parametrize("error", [TryAgain("busy"), RuntimeError("a fault")], ids=["again", "fault"])
def test_each_retry_is_counted(
    broker: FakeBroker, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    put(broker, "first")
    fails = iter([error, error])

    def stumble(_: Event) -> None:
        for each in fails:
            raise each

    with running(worker(broker, stumble)):
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 1)
    assert emitted(capsys) == [("event_retries", 1), ("event_retries", 1)]


def test_what_an_exception_says_is_not_logged(broker: FakeBroker, caplog: pytest.LogCaptureFixture) -> None:
    failures = [ZeroDivisionError("tax id 12345678909"), TryAgain("tax id 12345678909")]
    seen: list[str] = []

    def handler(event: Event) -> None:
        if failures:
            raise failures.pop()
        seen.append(event.id)

    put(broker, "one")
    with running(worker(broker, handler)):
        until(lambda: seen == ["one"])
    assert caplog.records
    for record in caplog.records:
        assert "12345678909" not in str(record.__dict__)


def test_a_commit_that_fails_is_left_to_the_next_delivery(broker: FakeBroker) -> None:
    class Losing(FakeConsumer):
        losses = 2

        def commit(self, offsets: Any, timeout_ms: int) -> None:
            if self.losses:
                self.losses -= 1
                raise CommitFailedError
            super().commit(offsets, timeout_ms)

    seen: list[str] = []
    subject = worker(
        broker, lambda event: seen.append(event.id), lambda: Losing(broker, "local-transfers", GROUP)
    )
    with running(subject):
        for number in range(3):
            put(broker, str(number))
            until(lambda number=number: len(seen) == number + 1)
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 3)


def test_stopping_finishes_the_record_in_hand_commits_it_and_leaves_the_rest(broker: FakeBroker) -> None:
    stop = threading.Event()
    seen: list[str] = []

    def handler(event: Event) -> None:
        seen.append(event.id)
        stop.set()

    put(broker, "one")
    put(broker, "two")
    consumer = broker.consumer("local-transfers", GROUP)
    worker(broker, handler, lambda: consumer).run(stop)
    assert seen == ["one"]
    assert broker.committed[GROUP, PARTITION] == 1
    assert consumer.closed


def test_a_partition_that_went_to_another_member_takes_its_wait_along(broker: FakeBroker) -> None:
    class Rebalanced(FakeConsumer):
        def assignment(self) -> set[Any]:
            return set() if resumable.is_set() else super().assignment()

        def resume(self, *partitions: Any) -> None:
            raise KeyError(partitions)

    resumable = threading.Event()
    tried = threading.Event()

    def handler(event: Event) -> None:
        tried.set()
        resumable.set()
        raise TryAgain

    put(broker, "one")
    consumer = Rebalanced(broker, "local-transfers", GROUP)
    subject = worker(broker, handler, lambda: consumer)
    with running(subject):
        until(tried.is_set)
        until(lambda: len(subject._waits) == 0)


def test_waits_grow_to_a_limit_and_are_spread() -> None:
    shortest, longest = Backoff(lambda: 0.0), Backoff(lambda: 1.0)
    assert [shortest.delay(attempts, 60.0) for attempts in (1, 2, 3, 50, 5_000)] == [
        0.05,
        0.1,
        0.2,
        30.0,
        30.0,
    ]
    assert [longest.delay(attempts, 60.0) for attempts in (1, 2, 3, 50, 5_000)] == [0.1, 0.2, 0.4, 60.0, 60.0]


@pytest.mark.parametrize("name", ["KAFKA_CONSUMES", "KAFKA_GROUP", "KAFKA_DEAD_LETTER", "KAFKA_PRODUCES"])
def test_a_worker_refuses_topics_that_its_settings_do_not_give_it(name: str) -> None:
    environment = {**ENVIRONMENT, name: ""}
    if name != "KAFKA_PRODUCES":
        del environment[name]
    settings = read(KafkaSettings, environment)
    with pytest.raises(ForbiddenTopic):
        Worker(settings, {}, Producer(settings), lambda: None)


def test_what_a_poll_brings_is_handled_together_and_committed_after(broker: FakeBroker) -> None:
    polls: list[tuple[list[str], int]] = []

    def together(events: Sequence[Event]) -> list[Exception | None]:
        polls.append(([event.id for event in events], broker.committed.get((GROUP, PARTITION), 0)))
        return [None] * len(events)

    for name in ("one", "two", "three"):
        put(broker, name)
    with running(joint_worker(broker, together)):
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 3)
    assert polls == [(["one", "two", "three"], 0)]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("failure", [TryAgain(), ZeroDivisionError()], ids=["try again", "a fault"])
def test_one_that_has_to_come_again_keeps_no_neighbour_from_being_handled(
    broker: FakeBroker, place: int, failure: Exception
) -> None:
    failing = True
    polls: list[list[str]] = []

    def together(events: Sequence[Event]) -> list[Exception | None]:
        polls.append([event.id for event in events])
        return [failure if event.id == str(place) and failing else None for event in events]

    for number in range(3):
        put(broker, str(number))
    with running(joint_worker(broker, together)):
        until(lambda: len(polls) >= 3)
        assert polls[0] == ["0", "1", "2"]
        assert broker.committed.get((GROUP, PARTITION), 0) == place
        failing = False
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 3)
    assert polls[-1] == ["0", "1", "2"][place:]
    assert broker.records("local-transfers.dead-letter") == []


def test_a_poisoned_neighbour_goes_to_the_dead_letters_alone(broker: FakeBroker) -> None:
    seen: list[str] = []

    def together(events: Sequence[Event]) -> list[Exception | None]:
        seen.extend(event.id for event in events)
        return [Poison("no such thing") if event.id == "poison" else None for event in events]

    put(broker, "one")
    put_rubbish(broker)
    put(broker, "poison")
    put(broker, "two")
    with running(joint_worker(broker, together)):
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 4)
    assert seen == ["one", "poison", "two"]
    letters = broker.records("local-transfers.dead-letter")
    reasons = [dict(letter.headers)["dl_reason"] for letter in letters]
    assert reasons == [b"ce_schemaversion is missing", b"no such thing"]
    assert letters[0].value == b"rubbish"


def test_what_lies_behind_a_newer_version_is_not_handled_with_what_lies_before(broker: FakeBroker) -> None:
    seen: list[str] = []

    def together(events: Sequence[Event]) -> list[Exception | None]:
        seen.extend(event.id for event in events)
        return [None] * len(events)

    put(broker, "before")
    put(broker, "newer", version=2)
    put(broker, "behind")
    subject = joint_worker(broker, together)
    with running(subject):
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 1 and len(subject._waits) == 1)
    assert seen == ["before"]
    with running(joint_worker(broker, together, version=2)):
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 3)
    assert seen == ["before", "newer", "behind"]
    assert broker.records("local-transfers.dead-letter") == []


def test_a_fault_of_the_joint_handler_loses_nothing(broker: FakeBroker) -> None:
    failures = [ZeroDivisionError(), KeyError()]
    seen: list[str] = []

    def together(events: Sequence[Event]) -> list[Exception | None]:
        if failures:
            raise failures.pop()
        seen.extend(event.id for event in events)
        return [None] * len(events)

    put(broker, "one")
    put(broker, "two")
    with running(joint_worker(broker, together)):
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 2)
    assert seen == ["one", "two"]


def test_stopping_commits_all_that_was_handled_together(broker: FakeBroker) -> None:
    stop = threading.Event()

    def together(events: Sequence[Event]) -> list[Exception | None]:
        stop.set()
        return [None] * len(events)

    put(broker, "one")
    put(broker, "two")
    joint_worker(broker, together).run(stop)
    assert broker.committed[GROUP, PARTITION] == 2


SETTLED = "br.gobanking.transfer.settled"


class Committing(FakeConsumer):
    """Takes note of what each commit says, as offsets by partition."""

    commits: list[dict[int, int]]

    def commit(self, offsets: Any, timeout_ms: int) -> None:
        super().commit(offsets, timeout_ms)
        self.commits.append({each.partition: offset.offset for each, offset in offsets.items()})


class Time:
    """A clock that tests move, and what was waited for by it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def skipping_worker(
    broker: FakeBroker, consumer: FakeConsumer, clock: Callable[[], float], **more: Any
) -> Worker:
    """A worker that handles HELD and skips SETTLED."""
    settings = read(KafkaSettings, ENVIRONMENT | more.pop("environment", {}))
    return Worker(
        settings,
        {HELD: (1, more.pop("handler", lambda event: None))},
        Producer(settings, broker.producer),
        lambda: None,
        skips={SETTLED: 1},
        connect=lambda: consumer,
        clock=clock,
        jitter=lambda: 0.0,
        **more,
    )


def committing(broker: FakeBroker) -> Committing:
    consumer = Committing(broker, "local-transfers", GROUP)
    consumer.commits = []
    return consumer


def put_settled(broker: FakeBroker, value: bytes, version: int = 1, key: bytes = b"k") -> None:
    event = Event("s", SETTLED, version, "/ledger", "transfer/1", "2026-11-25T03:00:00Z", {"n": 1}, "req-1")
    broker.append("local-transfers", key, value, encode(event, "transfers", "k").headers)


def test_the_body_of_a_skipped_event_is_not_even_read(broker: FakeBroker) -> None:
    seen: list[str] = []
    put_settled(broker, b"\xff no JSON")
    put(broker, "held")
    subject = skipping_worker(broker, committing(broker), Time(), handler=lambda event: seen.append(event.id))
    with running(subject):
        until(lambda: broker.committed.get((GROUP, PARTITION)) == 2)
    assert seen == ["held"]
    assert broker.records("local-transfers.dead-letter") == []


def test_a_newer_version_of_a_skipped_event_waits(broker: FakeBroker) -> None:
    put(broker, "held")
    put_settled(broker, b"{}", version=2)
    put(broker, "behind")
    subject = skipping_worker(broker, committing(broker), Time())
    with running(subject):
        until(lambda: len(subject._waits) == 1)
        assert broker.committed[GROUP, PARTITION] == 1
    assert broker.committed[GROUP, PARTITION] == 1


def test_what_was_only_skipped_is_committed_once_a_second(broker: FakeBroker) -> None:
    clock, consumer = Time(), committing(broker)
    subject = skipping_worker(broker, consumer, clock)
    with running(subject):
        put_settled(broker, b"{}")
        until(lambda: consumer.positions[PARTITION] == 1)
        put_settled(broker, b"{}")
        until(lambda: consumer.positions[PARTITION] == 2)
        assert consumer.commits == []
        clock.now += module.SKIPPED_COMMIT_SECONDS
        until(lambda: consumer.commits == [{0: 2}])


def test_what_was_skipped_is_committed_with_what_is_handled_after_it(broker: FakeBroker) -> None:
    clock, consumer = Time(), committing(broker)
    with running(skipping_worker(broker, consumer, clock)):
        put_settled(broker, b"{}")
        until(lambda: consumer.positions[PARTITION] == 1)
        put(broker, "held")
        until(lambda: consumer.commits == [{0: 2}])


def test_stopping_commits_what_was_skipped(broker: FakeBroker) -> None:
    consumer = committing(broker)
    with running(skipping_worker(broker, consumer, Time())):
        put_settled(broker, b"{}")
        until(lambda: consumer.positions[PARTITION] == 1)
    assert consumer.commits == [{0: 1}]


def test_another_membership_commits_nothing_that_was_skipped_before(broker: FakeBroker) -> None:
    class Rejoining(Committing):
        generation = 1

        def group_metadata(self) -> Any:
            return SimpleNamespace(state=MemberState.STABLE, generation_id=self.generation)

    clock = Time()
    consumer = Rejoining(broker, "local-transfers", GROUP)
    consumer.commits = []
    subject = skipping_worker(broker, consumer, clock)
    with running(subject):
        put_settled(broker, b"{}")
        until(lambda: len(subject._uncommitted) == 1)
        consumer.generation = 2
        until(lambda: len(subject._uncommitted) == 0)
        clock.now += module.SKIPPED_COMMIT_SECONDS
    assert consumer.commits == []


def test_one_commit_says_all_partitions_of_a_poll() -> None:
    broker = FakeBroker({"local-transfers": 2, "local-transfers.dead-letter": 1})
    event = Event("e", HELD, 1, "/ledger", "transfer/1", "2026-11-25T03:00:00Z", {"n": 1}, "req-1")
    record = encode(event, "transfers", "k")
    for key in (b"a", b"b", b"b"):
        broker.append("local-transfers", key, record.value, record.headers)
    consumer = committing(broker)
    with running(skipping_worker(broker, consumer, Time())):
        until(lambda: len(consumer.commits) > 0)
    assert sorted(consumer.commits[0].values()) == [1, 2]
    assert len(consumer.commits) == 1


class Resting(threading.Event):
    """Stops after some rests, and takes note of each."""

    def __init__(self, clock: Time, rests: int) -> None:
        super().__init__()
        self.clock, self.left = clock, rests
        self.rests: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.rests.append(timeout)
        self.clock.now += timeout
        self.left -= 1
        if self.left == 0:
            self.set()
        return self.is_set()


class Polling(Committing):
    """Says how long each poll might take, which passes by the clock while nothing comes."""

    clock: Time
    polls: list[int]

    def poll(self, timeout_ms: int) -> Any:
        batches = super().poll(0)
        if not batches:
            self.clock.now += timeout_ms / 1000
        self.polls.append(timeout_ms)
        return batches


def polling(broker: FakeBroker, clock: Time) -> Polling:
    consumer = Polling(broker, "local-transfers", GROUP)
    consumer.clock, consumer.commits, consumer.polls = clock, [], []
    return consumer


BLIND = {"KAFKA_WAKES_FETCHES": "false"}


def test_where_fetches_are_blind_a_quiet_worker_rests_between_brief_polls(broker: FakeBroker) -> None:
    clock = Time()
    consumer = polling(broker, clock)
    stop = Resting(clock, rests=3)
    skipping_worker(broker, consumer, clock, environment=BLIND).run(stop)
    quiet = int(QUIET_AFTER_SECONDS * 1000 / module.POLL_MS)
    assert consumer.polls == [module.POLL_MS] * quiet + [BLIND_FETCH_WAIT_MS] * 2
    assert stop.rests == pytest.approx([QUIET_REST_SECONDS] * 3)


def test_a_record_ends_the_quiet(broker: FakeBroker) -> None:
    clock = Time()
    consumer = polling(broker, clock)

    class Interrupted(Resting):
        def wait(self, timeout: float | None = None) -> bool:
            if not self.rests:
                put(broker, "held")
            return super().wait(timeout)

    stop = Interrupted(clock, rests=2)
    skipping_worker(broker, consumer, clock, environment=BLIND).run(stop)
    after = consumer.polls[consumer.polls.index(BLIND_FETCH_WAIT_MS) + 1 :]
    assert after[:2] == [module.POLL_MS] * 2
    assert broker.committed[GROUP, PARTITION] == 1


def test_where_a_record_wakes_a_fetch_nobody_rests(broker: FakeBroker) -> None:
    clock = Time()
    consumer = polling(broker, clock)
    with running(skipping_worker(broker, consumer, clock)):
        until(lambda: len(consumer.polls) > 20)
    assert set(consumer.polls) == {module.POLL_MS}


def test_a_worker_that_nobody_waits_for_rests_after_each_poll(broker: FakeBroker) -> None:
    clock = Time()
    consumer = polling(broker, clock)
    stop = Resting(clock, rests=2)
    put(broker, "held")
    skipping_worker(broker, consumer, clock, rest_seconds=0.5).run(stop)
    assert stop.rests == pytest.approx([0.5, 0.5])
    assert len(consumer.polls) == 2

"""The worker against faults that no real broker shows on demand; its promises are in tests/contract."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from kafka.errors import CommitFailedError
from kafka.structs import TopicPartition

from apps.kit import worker as module
from apps.kit.consumer import Backoff
from apps.kit.events import Event, encode
from apps.kit.kafka import ForbiddenTopic, Producer
from apps.kit.settings import KafkaSettings, read
from apps.kit.worker import NotReady, TooManyDeadLetters, TryAgain, Worker
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


def put(broker: FakeBroker, name: str) -> None:
    event = Event(name, HELD, 1, "/ledger", "transfer/1", "2026-11-25T03:00:00Z", {"n": 1}, "req-1")
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

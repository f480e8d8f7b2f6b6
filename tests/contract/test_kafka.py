"""What the kit promises on Kafka: the same on a fake, on Tansu and on Apache Kafka with ACLs."""

import gc
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from kafka.errors import KafkaTimeoutError

from apps.catalog import CATALOG
from apps.kit.events import Event, Record, encode
from apps.kit.kafka import Delivery, ForbiddenTopic, Producer, PublishFailed
from apps.kit.worker import NotReady, Poison, TryAgain, Worker
from environments.local.broker import provision
from tests.apps.kit.fake_kafka import running, until
from tests.contract.kafka_brokers import Place, RealPlace, prepared, started

HELD = "br.gobanking.transfer.held"
EVENT = Event("one", HELD, 1, "/ledger", "transfer/1", "2026-11-25T03:00:00Z", {"amount_cents": 1}, "req-1")
ELSEWHERE = "a"
"""A key of another partition than "k", on each broker."""


def event(name: str, key: str = "k", version: int = 1, kind: str = HELD) -> Record:
    return encode(replace(EVENT, id=name, version=version, type=kind), "transfers", key)


def put(place: Place, *records: Record) -> list[Delivery]:
    producer = place.producer(place.settings("relay_outbox"))
    try:
        return producer.send(records)
    finally:
        producer.close()


class Seen(list[str]):
    """A handler that takes note of each event, and fails as it is told."""

    def __init__(self, failure: Callable[[Event], Exception | None] = lambda event: None) -> None:
        super().__init__()
        self.failure = failure
        self.deliveries = 0

    def __call__(self, event: Event) -> None:
        self.deliveries += 1
        if (failure := self.failure(event)) is not None:
            raise failure
        self.append(event.id)


def is_member(worker: Worker) -> bool:
    try:
        worker.ready()
    except NotReady:
        return False
    return True


def test_each_record_has_a_delivery_report_with_its_partition_and_offset(place: Place) -> None:
    sent = [event(str(number), key=f"key-{number % 7}") for number in range(40)]
    deliveries = put(place, *sent)
    stored = {Delivery(record.partition, record.offset): record for record in place.records("transfers")}
    assert len(stored) == len(sent) == len(deliveries)
    for record, delivery in zip(sent, deliveries, strict=True):
        found = stored[delivery]
        assert (found.key, found.value, tuple(found.headers)) == (
            record.key.encode(),
            record.value,
            record.headers,
        )
    for number in range(7):
        assert len({delivery.partition for delivery in deliveries[number::7]}) == 1


def test_a_worker_resumes_after_what_was_handled(place: Place) -> None:
    put(place, event("a"), event("b"))
    first = Seen()
    worker = place.worker({HELD: (1, first)})
    with running(worker):
        until(lambda: first == ["a", "b"] and is_member(worker))
    assert not is_member(worker)
    put(place, event("c"))
    second = Seen()
    with running(place.worker({HELD: (1, second)})):
        until(lambda: second == ["c"])


def test_a_record_that_can_never_be_handled_goes_to_the_dead_letter_topic_and_the_worker_goes_on(
    place: Place,
) -> None:
    malformed = Record("transfers", "k", b"\xff{", event("m").headers)
    unknown = event("u", kind="br.gobanking.unknown")
    poison = event("p")
    bare = Record("transfers", "k", b"", ())
    put(place, malformed, unknown, bare, poison, event("good"))
    seen = Seen(lambda event: Poison("no such thing") if event.id == "p" else None)
    with running(place.worker({HELD: (1, seen)})):
        until(lambda: seen == ["good"])
    letters = place.records("transfers.dead-letter")
    assert [dict(letter.headers)["dl_reason"] for letter in letters] == [
        b"the data is not UTF-8 text",
        b"nobody here knows this type of event",
        b"ce_schemaversion is missing",
        b"no such thing",
    ]
    for offset, (letter, record) in enumerate(zip(letters, (malformed, unknown, bare, poison), strict=True)):
        assert (letter.key, letter.value) == (b"k", record.value)
        assert tuple(letter.headers)[: len(record.headers)] == record.headers
        added = dict(tuple(letter.headers)[len(record.headers) :])
        assert set(added) == {"dl_reason", "dl_topic", "dl_partition", "dl_offset", "dl_at"}
        assert added["dl_topic"] == place.settings("settle_transfers").topics["transfers"].encode()
        assert added["dl_offset"] == str(offset).encode()


def test_a_newer_version_waits_on_its_partition_and_loses_nothing(place: Place) -> None:
    put(place, event("before"), event("newer", version=2), event("after"), event("other", key=ELSEWHERE))
    old = Seen()
    with running(place.worker({HELD: (1, old)})):
        until(lambda: sorted(old) == ["before", "other"])
        put(place, event("still moving", key=ELSEWHERE))
        until(lambda: "still moving" in old)
    assert "after" not in old
    assert place.records("transfers.dead-letter") == []
    upgraded = Seen()
    with running(place.worker({HELD: (2, upgraded)})):
        until(lambda: upgraded == ["newer", "after"])


def test_try_again_delivers_in_order_while_other_partitions_move(place: Place) -> None:
    obstacle = {"b"}
    seen = Seen(lambda event: TryAgain() if event.id in obstacle else None)
    put(place, event("a"), event("b"), event("c"))
    with running(place.worker({HELD: (1, seen)})):
        until(lambda: seen == ["a"] and seen.deliveries >= 3)
        put(place, event("elsewhere", key=ELSEWHERE))
        until(lambda: seen == ["a", "elsewhere"])
        obstacle.clear()
        until(lambda: seen == ["a", "elsewhere", "b", "c"])
    assert place.records("transfers.dead-letter") == []


def test_a_backlog_that_waited_is_read_to_its_end_although_others_moved_meanwhile(place: Place) -> None:
    """kafka-python 3.0.12 forgets a paused partition of which it has records left, once another one moves."""
    backlog = [f"b {number}" for number in range(250)]
    obstacle = {"b 0"}
    seen = Seen(lambda event: TryAgain() if event.id in obstacle else None)
    put(place, *map(event, backlog))
    with running(place.worker({HELD: (1, seen)})):
        until(lambda: seen.deliveries >= 2)
        put(place, event("elsewhere", key=ELSEWHERE))
        until(lambda: seen == ["elsewhere"])
        obstacle.clear()
        until(lambda: seen == ["elsewhere", *backlog])


def test_a_dead_letter_that_was_not_delivered_keeps_its_record_uncommitted(place: Place) -> None:
    attempts = 0

    def broken() -> Producer:
        nonlocal attempts
        attempts += 1
        raise KafkaTimeoutError

    put(place, Record("transfers", "k", b"rubbish", ()), event("good"))
    seen = Seen()
    failing = Producer(place.settings("settle_transfers"), broken)  # type: ignore[arg-type]
    with running(place.worker({HELD: (1, seen)}, failing)):
        until(lambda: attempts >= 2)
    assert seen == []
    assert place.records("transfers.dead-letter") == []
    with running(place.worker({HELD: (1, seen)})):
        until(lambda: seen == ["good"])
    assert [letter.value for letter in place.records("transfers.dead-letter")] == [b"rubbish"]


def test_the_kit_refuses_a_topic_that_the_catalog_does_not_give_the_service(place: Place) -> None:
    producer = place.producer(place.settings("settle_transfers"))
    with pytest.raises(ForbiddenTopic):
        producer.send([event("forged")])
    assert place.records("transfers") == []


@pytest.mark.parametrize("broker", ["apache"], indirect=True)
def test_apache_refuses_a_service_outside_its_acls_whatever_its_settings_say(place: Place) -> None:
    forged = place.settings("settle_transfers", KAFKA_PRODUCES="transfers,transfers.dead-letter")
    with pytest.raises(PublishFailed, match="TopicAuthorizationFailedError"):
        place.producer(forged).send([event("forged")])
    impostor = place.settings("relay_outbox", KAFKA_PASSWORD="guessed")
    with pytest.raises(PublishFailed):
        place.producer(impostor).send([event("forged")])
    assert place.records("transfers") == []
    assert len(put(place, event("honest"))) == 1


@pytest.mark.parametrize("broker", ["apache"], indirect=True)
def test_apache_keeps_a_service_out_of_another_services_group(place: Place) -> None:
    put(place, event("secret"))
    seen = Seen()
    settle = place.settings("settle_transfers")
    account = place.settings(
        "settle_transfers",
        KAFKA_USERNAME="relay_outbox",
        KAFKA_PASSWORD=str(place.settings("relay_outbox").kafka_password),
    )
    beats: list[None] = []
    intruder = Worker(account, {HELD: (1, seen)}, place.producer(settle), lambda: beats.append(None))
    with running(intruder):
        until(lambda: len(beats) >= 4)
        assert not is_member(intruder)
    assert seen == []


@pytest.mark.parametrize("broker", ["tansu", "apache"], indirect=True)
def test_two_workers_share_the_partitions_and_one_takes_over_from_the_other(place: Place) -> None:
    keys = [f"key-{number}" for number in range(30)]
    one, two = Seen(), Seen()
    with running(place.worker({HELD: (1, one)})):
        put(place, event("warm"))
        until(lambda: one == ["warm"])
        with running(place.worker({HELD: (1, two)})):
            rounds = 0

            def both_work() -> bool:
                nonlocal rounds
                rounds += 1
                put(place, *(event(f"{rounds}/{key}", key) for key in keys))
                return bool(two) and any(name.startswith(f"{rounds - 1}/") for name in one)

            until(both_work)
        total = 1 + rounds * len(keys)
        until(lambda: len({*one, *two}) == total)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_broker_that_forgot_everything_and_came_back_is_used_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # kafka-python 3.0.12 leaves refused sockets to the garbage collector, and its log records hold them.
    caplog.set_level(logging.CRITICAL, logger="kafka")
    broker = prepared("tansu", tmp_path)
    seen = Seen()
    with ExitStack() as cleanup:
        cleanup.callback(gc.collect)
        process = cleanup.enter_context(started(broker, tmp_path / "log"))
        place = RealPlace("tansu", broker)
        cleanup.callback(place.close)
        producer = place.producer(place.settings("relay_outbox"))
        cleanup.enter_context(running(place.worker({HELD: (1, seen)})))
        producer.send([event(f"old {number}") for number in range(5)])
        until(lambda: len(seen) == 5)
        process.kill()
        process.wait()
        with pytest.raises(PublishFailed):
            producer.send([event("nobody hears this")])
        cleanup.enter_context(started(broker, tmp_path / "log"))
        provision(broker, CATALOG, place.names)
        producer.send([event(f"new {number}") for number in range(3)])
        until(lambda: seen[5:] == ["new 0", "new 1", "new 2"])

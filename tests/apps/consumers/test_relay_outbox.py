"""The relay: an event leaves the outbox only after Kafka has it, and outlives a broker's memory."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from apps.consumers.relay_outbox import ASK_SECONDS, LEASE, LOST_AGAIN, REPORT, Relay
from apps.kit import events
from apps.kit.dynamo import Cancelled
from apps.kit.events import Record
from apps.kit.kafka import Delivery, PublishFailed
from apps.kit.topics import Stored, TopicUnavailable
from apps.ledger.outbox import BATCH, Lease, Outbox, Row
from apps.ledger.store import Clock
from apps.ledger.transfer import iso
from tests.apps.kit.faulty_dynamo import Faulty, cancel, lose_reply, refuse
from tests.apps.ledger.bank import Bank, fake_bank

MOMENT = timedelta(milliseconds=1)
RETENTION = timedelta(days=7)


@dataclass
class Broker:
    """Takes records and reports where they are. `during` happens before it takes any."""

    partition_of: Callable[[Record], int] = lambda record: 0
    during: Callable[[], object] = lambda: None
    away: bool = False
    silent: bool = False
    logs: dict[int, list[Record]] = field(default_factory=dict)
    begins: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)

    def send(self, records: Sequence[Record]) -> list[Delivery]:
        self.during()
        if self.away:
            raise PublishFailed(range(len(records)), "away")
        deliveries = [self._append(record) for record in records]
        if self.silent:
            raise PublishFailed(range(len(records)), "silent")
        return deliveries

    def _append(self, record: Record) -> Delivery:
        log = self.logs.setdefault(self.partition_of(record), [])
        log.append(record)
        return Delivery(self.partition_of(record), len(log) - 1)

    def lose_its_memory(self) -> None:
        self.logs = {}
        self.begins = 0

    def one(self, topic: str, partition: int, offset: int) -> Stored | None:
        assert topic == "transfers"
        if self.away:
            raise TopicUnavailable("away")
        self.asked.append((partition, offset))
        log = self.logs.get(partition, [])
        if not self.begins <= offset < len(log):
            return None
        found = log[offset]
        return Stored(topic, partition, offset, "", found.key.encode(), found.value, tuple(found.headers))

    def begins_after(self, topic: str, partition: int, offset: int) -> bool:
        return offset < self.begins

    def close(self) -> None:
        """Nothing is open."""

    @property
    def taken(self) -> list[Record]:
        return [record for log in self.logs.values() for record in log]


@dataclass
class Watch:
    """A monotonic clock."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


@pytest.fixture
def broker() -> Broker:
    return Broker()


def relay(
    bank: Bank,
    broker: Broker,
    owner: str = "first",
    client: Any = None,
    shards: int = 1,
    *,
    watch: Callable[[], float] = lambda: 0.0,
) -> Relay:
    outbox = Outbox(client or bank.client, bank.tables.events)
    clock = Clock(now=bank.time)
    return Relay(outbox, broker, broker, shards, owner, retention=RETENTION, clock=clock, monotonic=watch)


def event(bank: Bank) -> Row:
    """One more event that waits: an account's opening grant."""
    before = bank.outbox.waiting(0, 100)
    bank.open(f"subject-{bank.time.moment.isoformat()}-{len(before)}")
    bank.time.moment += MOMENT
    (row,) = [each for each in bank.outbox.waiting(0, 100) if each not in before]
    return row


def always(partition: int) -> Callable[[Record], int]:
    return lambda _: partition


def waiting(bank: Bank) -> list[Row]:
    return bank.outbox.waiting(0, 100)


def in_history(bank: Bank, row: Row) -> bool:
    return bank.outbox.history(row.transfer_id, row.event_id) is not None


def record(row: Row) -> Record:
    return events.record_from_json(row.record)


def offsets(lease: Lease) -> dict[int, int]:
    return {partition: mark.offset for partition, mark in lease.last.items()}


def metrics(capsys: pytest.CaptureFixture[str], name: str) -> list[float]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line[name] for line in lines if name in line]


def test_what_waits_is_published_in_order_and_kept_in_the_history(bank: Bank, broker: Broker) -> None:
    rows = [event(bank), event(bank), event(bank)]
    assert relay(bank, broker).turn() == 3
    assert broker.taken == [record(row) for row in rows]
    assert waiting(bank) == []
    assert [bank.outbox.history(row.transfer_id, row.event_id) for row in rows] == rows


def test_nothing_to_do_is_nothing_done(bank: Bank, broker: Broker) -> None:
    assert relay(bank, broker).turn() == 0
    assert broker.taken == []


def test_a_row_is_deleted_only_after_the_delivery_report(bank: Bank, broker: Broker) -> None:
    row = event(bank)
    seen: list[tuple[list[Row], bool]] = []
    broker.during = lambda: seen.append((waiting(bank), in_history(bank, row)))
    assert relay(bank, broker).turn() == 1
    assert seen == [([row], False)]
    assert (waiting(bank), in_history(bank, row)) == ([], True)


def test_one_turn_takes_what_one_transaction_takes(bank: Bank, broker: Broker) -> None:
    rows = [event(bank) for _ in range(BATCH + 2)]
    worker = relay(bank, broker)
    assert [worker.turn(), worker.turn(), worker.turn()] == [BATCH, 2, 0]
    assert broker.taken == [record(row) for row in rows]


@pytest.mark.parametrize("switch", ["away", "silent"])
def test_without_a_delivery_report_the_rows_stay_and_go_again(
    bank: Bank, broker: Broker, switch: str
) -> None:
    rows = [event(bank), event(bank)]
    worker = relay(bank, broker)
    setattr(broker, switch, True)
    assert worker.turn() == 0
    assert waiting(bank) == rows
    assert not in_history(bank, rows[0])
    setattr(broker, switch, False)
    assert worker.turn() == 2
    assert broker.taken[-2:] == [record(row) for row in rows]
    assert waiting(bank) == []


def test_a_crash_after_publishing_sends_the_same_bytes_again(bank: Bank, broker: Broker) -> None:
    row = event(bank)
    client = Faulty(bank.raw, "transact_write_items", [refuse("AccessDeniedException")])
    crashing = relay(bank, broker, "first", client)
    with pytest.raises(Exception, match="AccessDenied"):
        crashing.turn()
    assert waiting(bank) == [row]
    bank.time.moment += LEASE
    assert relay(bank, broker, "second").turn() == 1
    assert broker.taken == [record(row), record(row)]
    assert waiting(bank) == []


def test_a_lost_reply_to_the_write_sends_nothing_twice(bank: Bank, broker: Broker) -> None:
    row = event(bank)
    bank.client.faults = [lose_reply]
    worker = relay(bank, broker)
    assert worker.turn() == 1
    assert worker.turn() == 0
    assert broker.taken == [record(row)]


def test_a_store_that_does_not_answer_is_tried_again_next_turn(bank: Bank, broker: Broker) -> None:
    row = event(bank)
    client = Faulty(bank.raw, "query", [refuse("InternalServerError", 500)] * 3)
    worker = relay(bank, broker, "first", client)
    assert worker.turn() == 0
    assert broker.taken == []
    assert worker.turn() == 1
    assert broker.taken == [record(row)]


def test_a_lease_that_another_holds_is_left_alone(bank: Bank, broker: Broker) -> None:
    relay(bank, broker, "first").turn()
    lease = bank.outbox.lease(0)
    row = event(bank)
    assert relay(bank, broker, "second").turn() == 0
    assert broker.taken == []
    assert waiting(bank) == [row]
    assert bank.outbox.lease(0) == lease


def test_a_lease_is_taken_over_when_its_time_is_over(bank: Bank, broker: Broker) -> None:
    rows = [event(bank)]
    relay(bank, broker, "first").turn()
    rows.append(event(bank))
    first = bank.outbox.lease(0)
    assert first is not None
    bank.time.moment += LEASE
    assert relay(bank, broker, "second").turn() == 1
    second = bank.outbox.lease(0)
    assert second is not None
    assert (second.owner, second.epoch, second.memory) == ("second", first.epoch + 1, first.memory)
    assert (offsets(first), offsets(second)) == ({0: 0}, {0: 1})
    assert broker.taken == [record(row) for row in rows]


def test_a_lease_from_a_clock_that_was_ahead_is_taken_when_nobody_renews_it(
    bank: Bank, broker: Broker
) -> None:
    """Its holder died, and the clock that set its end was a day ahead: nobody may wait for that day."""
    bank.time.moment += timedelta(days=1)
    relay(bank, broker, "dead").turn()
    bank.time.moment -= timedelta(days=1)
    row = event(bank)
    watch = Watch()
    second = relay(bank, broker, "second", watch=watch)
    assert second.turn() == 0
    watch.seconds = LEASE.total_seconds()
    assert second.turn() == 0
    watch.seconds += 1
    assert second.turn() == 1
    assert broker.taken == [record(row)]


def test_a_lease_that_is_renewed_is_never_taken_for_abandoned(bank: Bank, broker: Broker) -> None:
    first = relay(bank, broker, "first")
    watch = [0.0]
    second = relay(bank, broker, "second", watch=lambda: watch[0])
    for _ in range(5):
        first.turn()
        assert second.turn() == 0
        bank.time.moment += LEASE / 2
        watch[0] += LEASE.total_seconds() / 2
    lease = bank.outbox.lease(0)
    assert lease is not None
    assert (lease.owner, lease.epoch) == ("first", 1)


def test_a_holder_whose_clock_comes_back_sets_the_end_of_its_lease_right(bank: Bank, broker: Broker) -> None:
    worker = relay(bank, broker)
    bank.time.moment += timedelta(days=1)
    worker.turn()
    bank.time.moment -= timedelta(days=1)
    worker.turn()
    lease = bank.outbox.lease(0)
    assert lease is not None
    assert lease.until == iso(bank.time.moment + LEASE)
    assert lease.epoch == 1


def test_a_holder_renews_its_lease_at_half_time_and_keeps_its_epoch(bank: Bank, broker: Broker) -> None:
    worker = relay(bank, broker)
    worker.turn()
    first = bank.outbox.lease(0)
    assert first is not None
    bank.time.moment += LEASE / 2 - MOMENT
    worker.turn()
    assert bank.outbox.lease(0) == first
    bank.time.moment += MOMENT
    worker.turn()
    renewed = bank.outbox.lease(0)
    assert renewed is not None
    assert renewed.until > first.until
    assert renewed.epoch == first.epoch
    bank.time.moment += LEASE - MOMENT
    assert relay(bank, broker, "second").turn() == 0
    lease = bank.outbox.lease(0)
    assert lease is not None
    assert lease.owner == "first"


def test_a_mistake_of_ours_is_not_taken_for_a_lost_lease(bank: Bank, broker: Broker) -> None:
    event(bank)
    client = Faulty(bank.raw, "transact_write_items", [cancel("None", "ValidationError")])
    with pytest.raises(Cancelled, match="ValidationError"):
        relay(bank, broker, "first", client).turn()


def test_a_holder_that_lost_its_lease_on_the_way_deletes_nothing(bank: Bank, broker: Broker) -> None:
    row = event(bank)
    second = relay(bank, Broker(), "second")

    def overslept() -> None:
        bank.time.moment += LEASE
        lease = bank.outbox.lease(0)
        now = bank.time()
        assert bank.outbox.take_lease(lease, 0, "second", until=now + LEASE, now=now) is not None

    broker.during = overslept
    first = relay(bank, broker, "first")
    first.turn()
    assert waiting(bank) == [row]
    assert not in_history(bank, row)
    broker.during = lambda: None
    assert first.turn() == 0
    assert waiting(bank) == [row]
    assert second.turn() == 1
    assert waiting(bank) == []


def test_a_write_of_the_lease_that_arrives_late_overwrites_nothing(bank: Bank, broker: Broker) -> None:
    late: list[Callable[[], object]] = []

    def delay(_: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        late.append(call)
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

    worker = relay(bank, broker, client=Faulty(bank.raw, "put_item", [lambda _, call: call(), delay]))
    worker.turn()
    bank.time.moment += LEASE / 2
    worker.turn()
    event(bank)
    worker.turn()
    lease = bank.outbox.lease(0)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        late.pop()()
    assert bank.outbox.lease(0) == lease


def test_a_broker_that_lost_its_memory_gets_everything_again_with_the_same_bytes(
    bank: Bank, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = relay(bank, broker)
    old = [event(bank), event(bank), event(bank)]
    worker.turn()
    broker.lose_its_memory()
    new = event(bank)
    assert worker.turn() == 1
    assert metrics(capsys, "broker_memory_lost") == [1]
    assert worker.turn() == 3
    assert broker.taken == [record(row) for row in [new, *old]]
    assert waiting(bank) == []
    lease = bank.outbox.lease(0)
    assert lease is not None
    assert (lease.memory, offsets(lease)) == (2, {0: 3})


def test_what_the_new_memory_has_never_comes_back(bank: Bank, broker: Broker) -> None:
    worker = relay(bank, broker)
    event(bank)
    worker.turn()
    broker.lose_its_memory()
    event(bank)
    worker.turn()
    worker.turn()
    for _ in range(5):
        bank.time.moment += LOST_AGAIN / 3
        assert worker.turn() == 0
    assert len(broker.taken) == 2
    assert worker.turn() == 0


def test_a_broker_can_lose_its_memory_twice(bank: Bank, broker: Broker) -> None:
    worker = relay(bank, broker)
    rows: list[Row] = []
    for _ in range(3):
        rows.append(event(bank))
        worker.turn()
        worker.turn()
        broker.lose_its_memory()
    rows.append(event(bank))
    worker.turn()
    worker.turn()
    assert sorted(map(str, broker.taken)) == sorted(str(record(row)) for row in rows)


@pytest.mark.parametrize(
    ("offset", "lost"), [(0, True), (1, True), (2, False)], ids=["below", "the same", "above"]
)
def test_only_an_offset_at_or_below_the_last_one_is_a_loss(
    bank: Bank, broker: Broker, offset: int, lost: bool
) -> None:
    worker = relay(bank, broker)
    event(bank)
    event(bank)
    worker.turn()
    broker.logs[0] = broker.logs[0][:offset]
    event(bank)
    worker.turn()
    lease = bank.outbox.lease(0)
    assert lease is not None
    assert lease.memory == (2 if lost else 1)


@pytest.mark.parametrize("unreported", [1, 2, 5])
def test_a_loss_shows_although_what_was_sent_without_a_report_has_filled_its_place(
    bank: Bank, broker: Broker, unreported: int
) -> None:
    lost = event(bank)
    running = relay(bank, broker)
    running.turn()
    broker.lose_its_memory()
    later = [event(bank) for _ in range(unreported)]
    broker.silent = True
    running.turn()
    broker.silent = False
    for _ in range(3):
        running.turn()
    assert record(lost) in broker.taken
    assert {row.event_id for row in later} <= {dict(each.headers)["ce_id"].decode() for each in broker.taken}
    assert waiting(bank) == []


def test_the_next_holder_sees_a_loss_before_anything_new_is_sent(bank: Bank, broker: Broker) -> None:
    lost = event(bank)
    relay(bank, broker).turn()
    broker.lose_its_memory()
    bank.time.moment += LEASE
    second = relay(bank, broker, "second")
    second.turn()
    second.turn()
    assert broker.taken == [record(lost)]


def test_a_loss_shows_in_time_although_another_holder_has_filled_its_place(
    bank: Bank, broker: Broker
) -> None:
    """Two shards share the partition, each with a holder that knows little of the other."""
    watch = Watch()
    lost = event(bank)
    running = relay(bank, broker, watch=watch)
    running.turn()
    broker.lose_its_memory()
    # What somebody else sent meanwhile.
    broker.logs[0] = [record(event(bank)) for _ in range(3)]
    running.turn()
    assert record(lost) not in broker.taken
    watch.seconds += ASK_SECONDS
    running.turn()
    running.turn()
    assert record(lost) in broker.taken


def test_the_broker_is_asked_after_a_failure_by_a_new_holder_and_now_and_then(
    bank: Bank, broker: Broker
) -> None:
    watch = Watch()
    running = relay(bank, broker, watch=watch)
    for _ in range(3):
        event(bank)
        running.turn()
    assert broker.asked == []
    watch.seconds += ASK_SECONDS
    running.turn()
    running.turn()
    assert broker.asked == [(0, 0)]
    broker.away = True
    event(bank)
    running.turn()
    broker.away = False
    running.turn()
    running.turn()
    assert broker.asked == [(0, 0), (0, 2)]
    bank.time.moment += LEASE
    relay(bank, broker, "second").turn()
    assert broker.asked == [(0, 0), (0, 2), (0, 2)]


def test_what_has_served_its_time_on_the_topic_is_no_loss(bank: Bank, broker: Broker) -> None:
    event(bank)
    relay(bank, broker).turn()
    broker.begins = 1
    bank.time.moment += LEASE
    second = relay(bank, broker, "second")
    second.turn()
    second.turn()
    assert len(broker.taken) == 1
    assert waiting(bank) == []


def test_nothing_is_sent_while_nobody_says_whether_the_last_is_there(bank: Bank, broker: Broker) -> None:
    event(bank)
    relay(bank, broker).turn()
    broker.away = True
    event(bank)
    bank.time.moment += LEASE
    assert relay(bank, broker, "second").turn() == 0
    assert len(waiting(bank)) == 1


def test_partitions_have_offsets_of_their_own(bank: Bank, broker: Broker) -> None:
    worker = relay(bank, broker)
    for partition in (3, 5, 3, 5):
        broker.partition_of = always(partition)
        event(bank)
        worker.turn()
    lease = bank.outbox.lease(0)
    assert lease is not None
    assert (lease.memory, offsets(lease)) == (1, {3: 1, 5: 1})


@pytest.mark.parametrize(
    ("age", "back"), [(RETENTION, True), (RETENTION + MOMENT, False)], ids=["young enough", "too old"]
)
def test_exactly_what_the_topic_would_still_keep_comes_back(
    bank: Bank, broker: Broker, age: timedelta, back: bool
) -> None:
    row = event(bank)
    relay(bank, broker).turn()
    published = bank.time()
    bank.time.moment = published + age - MOMENT
    broker.lose_its_memory()
    new = event(bank)
    assert bank.time() == published + age
    worker = relay(bank, broker, "second")
    worker.turn()
    worker.turn()
    assert broker.taken == [*([record(row)] if back else []), record(new)]


class Lagging:
    """A client whose index `history` shows nothing while it `lags`."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.lags = True
        self.looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def query(self, **request: Any) -> Mapping[str, Any]:
        if request.get("IndexName") == "history":
            self.looks += 1
            if self.lags:
                return {"Items": []}
        answer: Mapping[str, Any] = self.raw.query(**request)
        return answer


def test_what_the_index_shows_late_is_still_found(bank: Bank, broker: Broker) -> None:
    client = Lagging(bank.raw)
    worker = relay(bank, broker, client=client)
    row = event(bank)
    worker.turn()
    broker.lose_its_memory()
    new = event(bank)
    worker.turn()
    assert worker.turn() == 0
    client.lags = False
    bank.time.moment += LOST_AGAIN
    assert worker.turn() == 1
    assert broker.taken == [record(new), record(row)]


def test_it_looks_for_what_was_lost_at_once_and_once_more_and_then_no_more(
    bank: Bank, broker: Broker
) -> None:
    client = Lagging(bank.raw)
    worker = relay(bank, broker, client=client)
    event(bank)
    worker.turn()
    assert client.looks == 0
    broker.lose_its_memory()
    event(bank)
    worker.turn()
    lost_at = bank.time()
    for seconds in (0, 10, 20, 29, 30):
        bank.time.moment = lost_at + timedelta(seconds=seconds)
        worker.turn()
    assert client.looks == 2
    bank.time.moment += LOST_AGAIN
    worker.turn()
    assert client.looks == 2


def test_a_loss_that_the_holder_before_saw_is_looked_after_by_the_next(bank: Bank, broker: Broker) -> None:
    first = relay(bank, broker, "first")
    row = event(bank)
    first.turn()
    broker.lose_its_memory()
    new = event(bank)
    first.turn()
    bank.time.moment += LEASE
    second = relay(bank, broker, "second")
    assert second.turn() == 1
    assert broker.taken == [record(new), record(row)]


def put(bank: Bank, shard: int, name: str) -> Row:
    """An event that waits in a shard."""
    stored = events.record_to_json(Record("transfers", name, name.encode(), ()))
    row = Row(shard, f"{bank.time.moment.isoformat()}#{name}", name, name, stored)
    bank.outbox.put_back(row)
    bank.time.moment += MOMENT
    return row


@pytest.mark.parametrize("holders", [1, 2], ids=["one relay has both shards", "each relay has one"])
def test_a_loss_that_one_shard_sees_brings_back_the_events_of_all(
    bank: Bank, broker: Broker, holders: int
) -> None:
    first, second = relay(bank, broker, "first", shards=2), relay(bank, broker, "second", shards=2)
    relays = [first, second][:holders]
    now = bank.time()
    assert bank.outbox.take_lease(None, 1, relays[-1]._owner, until=now + LEASE, now=now) is not None
    lost = put(bank, 1, "lost")
    for each in relays:
        each.turn()
    broker.lose_its_memory()
    # The other shard's events fill the partition, so that the next offset of this one looks like progress.
    for number in range(3):
        put(bank, 0, f"other {number}")
        for each in relays:
            each.turn()
    late = put(bank, 1, "late")
    for _ in range(3):
        for each in relays:
            each.turn()
    assert {record(lost), record(late)} <= set(broker.taken)
    assert all(bank.outbox.waiting(shard, 1) == [] for shard in (0, 1))


def test_a_long_history_comes_back_page_by_page_whoever_holds_the_lease(bank: Bank, broker: Broker) -> None:
    first, second = relay(bank, broker, "first"), relay(bank, broker, "second")
    rows = [put(bank, 0, f"event {number:04}") for number in range(5 * BATCH)]
    while first.turn():
        second.turn()
    broker.lose_its_memory()
    rows.append(put(bank, 0, "the one that shows it"))
    turns = 0
    while len(broker.taken) < len(rows):
        # The lease changes hands every other turn, as when a turn takes longer than the lease lasts.
        holder = (first, second)[turns // 2 % 2]
        holder.turn()
        turns += 1
        if turns % 2 == 0:
            bank.time.moment += LEASE
        assert turns < 20, f"{len(broker.taken)} of {len(rows)} after {turns} turns"
    assert {each.key for each in broker.taken} == {row.transfer_id for row in rows}


def test_each_shard_shows_a_heartbeat(bank: Bank, broker: Broker) -> None:
    beats: list[None] = []
    relay(bank, broker, shards=3).turn(lambda: beats.append(None))
    assert len(beats) >= 3


def test_it_tells_the_age_of_the_oldest_event_now_and_then(
    bank: Bank, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = relay(bank, broker)
    told = []
    for seconds in (0, REPORT.total_seconds() - 1, 1):
        bank.time.moment += timedelta(seconds=seconds)
        event(bank)
        worker.turn()
        told.append(metrics(capsys, "outbox_age_seconds"))
    assert told == [[0.0], [], [0.0]]


def test_how_long_an_event_waited_at_most_is_told_with_the_next_report(
    bank: Bank, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = relay(bank, broker)
    worker.turn()
    capsys.readouterr()
    event(bank)
    bank.time.moment += timedelta(seconds=7) - 2 * MOMENT
    event(bank)
    worker.turn()
    bank.time.moment += REPORT
    worker.turn()
    assert metrics(capsys, "relay_lag_seconds") == [7.0]
    bank.time.moment += REPORT
    worker.turn()
    assert metrics(capsys, "relay_lag_seconds") == [0.0]


def test_while_kafka_is_away_the_outbox_is_told_to_age(
    bank: Bank, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    event(bank)
    broker.away = True
    bank.time.moment += timedelta(seconds=12) - MOMENT
    relay(bank, broker).turn()
    assert metrics(capsys, "outbox_age_seconds") == [12.0]


def test_a_store_that_does_not_answer_for_the_age_ends_nothing(
    bank: Bank, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    row = event(bank)
    down = refuse("InternalServerError", 500)
    client = Faulty(bank.raw, "query", [lambda _, call: call(), down, down, down])
    assert relay(bank, broker, client=client).turn() == 1
    assert broker.taken == [record(row)]
    assert metrics(capsys, "outbox_age_seconds") == []


class Stop(threading.Event):
    """Says stop after so many rests, and notes how long they were."""

    def __init__(self, rests: int) -> None:
        super().__init__()
        self.left = rests
        self.rests: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.rests.append(round(timeout, 3))
        self.left -= 1
        if self.left == 0:
            self.set()
        return self.is_set()


def test_it_rests_longer_while_there_is_nothing_to_do(bank: Bank, broker: Broker) -> None:
    event(bank)
    stop, beats = Stop(rests=9), list[None]()
    relay(bank, broker).run(stop, lambda: beats.append(None))
    assert stop.rests == [0.05, 0.075, 0.113, 0.169, 0.2, 0.2, 0.2, 0.2, 0.2]
    assert len(beats) >= 9


def test_it_hardly_rests_while_full_batches_wait(bank: Bank, broker: Broker) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    for _ in range(BATCH + 2):
        bank.pay("ana", ana, bruno, 1)
    stop = Stop(rests=4)
    relay(bank, broker).run(stop, lambda: None)
    assert stop.rests == [0.01, 0.05, 0.075, 0.113]
    assert len(broker.taken) == BATCH + 2

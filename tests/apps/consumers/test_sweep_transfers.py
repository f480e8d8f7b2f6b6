"""The sweep ends holds whose time is over, and brings events back that Kafka took once: nothing else."""

import json
import threading
from datetime import datetime, timedelta

import pytest

from apps.consumers.pix_orders import Orders
from apps.consumers.sweep_transfers import REPORT, REST_SECONDS, Sweep
from apps.ledger import items
from apps.ledger.entries import Drift
from apps.ledger.items import OPEN_SHARDS
from apps.ledger.outbox import Lease, Published, Row
from apps.ledger.transfer import Transfer
from apps.pix.spi import UNSIGNED
from tests.apps.consumers.fake_spi import FakeSpi
from tests.apps.kit.faulty_dynamo import Faulty, refuse
from tests.apps.ledger.bank import GRANT_CENTS, Bank, bank_on, fake_bank, soon
from tests.apps.operators.test_trace import MARIA

EXPIRY = timedelta(minutes=30)


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


def sweep(bank: Bank) -> Sweep:
    return Sweep(bank.ledger, bank.outbox)


def held(bank: Bank, cents: int = 300) -> tuple[Transfer, Row]:
    """A transfer from ana to bruno, and the row of its event."""
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer = bank.pay("ana", ana, bruno, cents).transfer
    (row,) = bank.outbox.waiting(0, 10)
    return transfer, row


def published(bank: Bank, row: Row) -> None:
    """What the relay does once Kafka has the event."""
    now = bank.time()
    lease = bank.outbox.take_lease(bank.outbox.lease(0), 0, "relay", until=now, now=now)
    assert isinstance(lease, Lease)
    assert bank.outbox.published([Published(row, 0, 0)], lease, lease, now)


def now_as(bank: Bank, transfer_id: str) -> Transfer:
    transfer = bank.ledger.transfer(transfer_id)
    assert transfer is not None
    return transfer


def wait(transfer: Transfer, bank: Bank) -> float:
    assert transfer.due_at is not None
    return (datetime.fromisoformat(transfer.due_at) - bank.time()).total_seconds()


@pytest.mark.parametrize(
    ("after", "status"), [(EXPIRY - timedelta(milliseconds=1), "HELD"), (EXPIRY, "REJECTED")]
)
def test_a_hold_ends_when_its_time_is_over(bank: Bank, after: timedelta, status: str) -> None:
    transfer, _ = held(bank)
    bank.time.moment += after
    sweep(bank).look(transfer.transfer_id)
    assert now_as(bank, transfer.transfer_id).status == status
    given_back = status == "REJECTED"
    assert bank.available(transfer.payer) == GRANT_CENTS - (0 if given_back else 300)
    assert bank.auditor.audit().ok


def test_the_end_of_a_hold_has_its_reason_and_its_event(bank: Bank) -> None:
    transfer, row = held(bank)
    bank.time.moment += EXPIRY
    sweep(bank).look(transfer.transfer_id)
    ended = now_as(bank, transfer.transfer_id)
    assert (ended.reason, ended.due_at) == ("hold_expired", None)
    assert [each.event_id for each in bank.outbox.waiting(0, 10)] == [row.event_id, ended.event_id]


def test_an_event_that_still_waits_is_left_to_the_relay(bank: Bank) -> None:
    transfer, row = held(bank)
    sweep(bank).look(transfer.transfer_id)
    assert bank.outbox.waiting(0, 10) == [row]


def test_an_event_that_kafka_took_comes_back_with_the_same_id_and_bytes(bank: Bank) -> None:
    transfer, row = held(bank)
    published(bank, row)
    assert bank.outbox.waiting(0, 10) == []
    for _ in range(2):
        sweep(bank).look(transfer.transfer_id)
        assert bank.outbox.waiting(0, 10) == [row]


@pytest.mark.parametrize("end", ["settled", "expired"])
def test_a_decided_transfer_is_left_as_it_is(bank: Bank, end: str) -> None:
    transfer, row = held(bank)
    published(bank, row)
    if end == "settled":
        bank.settle_all()
        bank.ledger.settle(transfer.transfer_id, (), soon())
    else:
        bank.time.moment += EXPIRY
        sweep(bank).look(transfer.transfer_id)
    decided, waiting = now_as(bank, transfer.transfer_id), bank.outbox.waiting(0, 10)
    bank.time.moment += EXPIRY
    sweep(bank).look(transfer.transfer_id)
    assert now_as(bank, transfer.transfer_id) == decided
    assert bank.outbox.waiting(0, 10) == waiting


def test_looks_are_further_and_further_apart_but_never_past_the_end(bank: Bank) -> None:
    transfer, _ = held(bank)
    transfer_id = transfer.transfer_id
    waits = []
    while transfer.status == "HELD":
        waits.append(wait(transfer, bank))
        bank.time.moment += timedelta(seconds=waits[-1])
        assert sweep(bank).turn(shard_of(transfer_id)) == 1
        transfer = now_as(bank, transfer_id)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 285]
    assert sum(waits) == EXPIRY.total_seconds()
    assert sweep(bank).turn(shard_of(transfer_id)) == 0


def test_a_transfer_is_not_looked_at_before_it_is_due(bank: Bank) -> None:
    transfer, row = held(bank)
    published(bank, row)
    bank.time.moment += timedelta(seconds=4.999)
    assert sweep(bank).turn(shard_of(transfer.transfer_id)) == 0
    assert bank.outbox.waiting(0, 10) == []


def test_the_hold_of_a_frozen_account_waits_and_ends_when_it_moves_again(bank: Bank) -> None:
    transfer, _ = held(bank)
    bank.auditor.freeze(Drift(transfer.payer, "wrong_sum", "a test"))
    bank.time.moment += EXPIRY
    sweep(bank).look(transfer.transfer_id)
    waiting = now_as(bank, transfer.transfer_id)
    assert (waiting.status, waiting.looks) == ("HELD", 1)
    assert wait(waiting, bank) == 10
    assert bank.auditor.unfreeze(transfer.payer) == ()
    sweep(bank).look(transfer.transfer_id)
    assert now_as(bank, transfer.transfer_id).status == "REJECTED"
    assert bank.available(transfer.payer) == GRANT_CENTS


def test_an_id_without_a_transfer_is_passed_over(bank: Bank) -> None:
    transfer, _ = held(bank)
    mark = "00000000-0000-0000-0000-000000000000"
    assert bank.ledger.refuse(mark, None, "[]") is None
    for each in (mark, "ffffffff-0000-0000-0000-000000000000"):
        sweep(bank).look(each)
    assert bank.ledger.transfer(mark) is None
    assert now_as(bank, transfer.transfer_id) == transfer


def test_a_transfer_that_cannot_be_read_keeps_no_other_from_its_look(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    ids = [bank.pay("ana", ana, bruno, 1).transfer.transfer_id for _ in range(12)]
    shard = max(range(OPEN_SHARDS), key=lambda each: sum(shard_of(one) == each for one in ids))
    due = [each for each in ids if shard_of(each) == shard]
    assert len(due) >= 2
    bank.time.moment += EXPIRY
    down = refuse("InternalServerError", 500)
    faulty = bank_on(Faulty(bank.raw, "get_item", [down] * 3), bank.tables, bank.time)
    assert sweep(faulty).turn(shard) == len(due)
    states = [now_as(bank, each).status for each in due]
    assert sorted(states) == ["HELD", *["REJECTED"] * (len(due) - 1)]
    assert sweep(bank).turn(shard) == 1
    assert {now_as(bank, each).status for each in due} == {"REJECTED"}


def test_an_index_that_does_not_answer_is_asked_again_next_turn(bank: Bank) -> None:
    transfer, _ = held(bank)
    bank.time.moment += EXPIRY
    client = Faulty(bank.raw, "query", [refuse("InternalServerError", 500)] * 3)
    worker = sweep(bank_on(client, bank.tables, bank.time))
    assert worker.turn(shard_of(transfer.transfer_id)) == 0
    assert worker.turn(shard_of(transfer.transfer_id)) == 1


class Stop(threading.Event):
    """Says stop at the first rest."""

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == REST_SECONDS
        self.set()
        return True


def test_it_goes_through_every_shard_with_a_heartbeat_for_each_and_for_each_transfer(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    ids: list[str] = []
    while {shard_of(each) for each in ids} != set(range(OPEN_SHARDS)):
        ids.append(bank.pay("ana", ana, bruno, 1).transfer.transfer_id)
    bank.time.moment += EXPIRY
    beats = list[None]()
    sweep(bank).run(Stop(), lambda: beats.append(None))
    assert {now_as(bank, each).status for each in ids} == {"REJECTED"}
    assert len(beats) >= OPEN_SHARDS + len(ids)


def shard_of(transfer_id: str) -> int:
    return int(items.open_shard(transfer_id))


def hold_ages(capsys: pytest.CaptureFixture[str]) -> list[float]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line["hold_age_seconds"] for line in lines if "hold_age_seconds" in line]


def test_the_age_of_the_oldest_hold_is_told_every_few_minutes(
    bank: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    transfer, _ = held(bank)
    worker = sweep(bank)
    worker.report()
    assert hold_ages(capsys) == [0.0]
    bank.time.moment += REPORT
    worker.look(transfer.transfer_id)
    worker.report()
    bank.time.moment += timedelta(seconds=1)
    worker.report()
    assert hold_ages(capsys) == [REPORT.total_seconds()]
    bank.ledger.settle(transfer.transfer_id, (), soon())
    bank.time.moment += REPORT
    worker.look(transfer.transfer_id)
    worker.report()
    assert hold_ages(capsys) == [0.0]


def sent_ages(capsys: pytest.CaptureFixture[str]) -> list[float]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line["sent_age_seconds"] for line in lines if "sent_age_seconds" in line]


def test_a_payment_of_which_the_spi_never_says_what_became_ages_in_the_operators_sight(
    bank: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = bank.pay("ana", bank.rich("ana"), MARIA, 300).transfer
    order = Orders(FakeSpi(), UNSIGNED, bank.time).prepare
    assert bank.ledger.send(sent.transfer_id, order, soon())[0] is not None
    worker = sweep(bank)
    for looks in (1, 2):
        bank.time.moment += REPORT
        worker.look(sent.transfer_id)
        worker.report()
        assert sent_ages(capsys) == [looks * REPORT.total_seconds()]
    assert now_as(bank, sent.transfer_id).status == "SENT", "it is told of, and never ended"
    bank.ledger.arrive(sent.transfer_id, soon())
    bank.time.moment += REPORT
    worker.look(sent.transfer_id)
    worker.report()
    assert sent_ages(capsys) == [0.0]


def test_a_damaged_transfer_does_not_keep_the_sweep_from_the_others(bank: Bank) -> None:
    first, _ = held(bank)
    while True:
        second = bank.pay("ana", first.payer, first.payee, 1).transfer
        if items.open_shard(second.transfer_id) == items.open_shard(first.transfer_id):
            break
    key = items.transfer_key(first.transfer_id)
    whole = bank.raw.get_item(TableName=bank.tables.transactions, Key=key)["Item"]
    damaged = {name: value for name, value in whole.items() if name != "payer_owner"}
    bank.raw.put_item(TableName=bank.tables.transactions, Item=damaged)
    bank.time.moment += EXPIRY
    assert sweep(bank).turn(int(items.open_shard(first.transfer_id))) >= 2
    assert now_as(bank, second.transfer_id).status == "REJECTED"

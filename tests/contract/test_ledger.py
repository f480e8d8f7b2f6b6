"""The ledger's promises on a DynamoDB that keeps DynamoDB's: conditions, transactions, tokens."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from apps.account.account import Opening
from apps.consumers.sweep_transfers import Sweep
from apps.kit import dynamo
from apps.kit.dynamo import Cancelled, Deadline, OutcomeUnknown, Unavailable
from apps.ledger import items
from apps.ledger.account import Frozen, Refusal
from apps.ledger.entries import Drift
from apps.ledger.items import Mark, text
from apps.ledger.outbox import Published
from apps.ledger.store import Ledger
from apps.ledger.transfer import Transfer
from apps.transaction.request import KeyReused, Payment, Unknown
from tests.apps.kit.faulty_dynamo import conflict, lose_reply, lose_request, refuse
from tests.apps.ledger.bank import GRANT_CENTS, Bank, Time, bank_on, soon
from tests.contract.ministack import Store


@pytest.fixture
def bank(store: Store, time: Time) -> Bank:
    return bank_on(store.client, store.tables, time)


def test_the_first_account_of_a_tax_id_gets_the_grant_and_the_second_none(bank: Bank) -> None:
    first = bank.open("ana", "52998224725")
    second = bank.open("ana", "52998224725")
    bank.settle_all()
    assert bank.available(first) == GRANT_CENTS
    assert bank.available(second) == 0
    assert bank.auditor.audit().ok


def test_opening_again_with_the_same_key_gives_the_same_account(bank: Bank) -> None:
    first = bank.open("ana", "52998224725", "key")
    assert bank.open("ana", "52998224725", "key") == first
    bank.settle_all()
    assert bank.available(first) == GRANT_CENTS


@pytest.mark.parametrize(("subject", "tax_id"), [("bruno", "52998224725"), ("ana", "11144477735")])
def test_subject_and_tax_id_are_bound_both_ways(bank: Bank, subject: str, tax_id: str) -> None:
    bank.open("ana", "52998224725")
    with pytest.raises(Refusal) as refused:
        bank.open(subject, tax_id)
    assert refused.value.code == "tax_id_bound"


def test_a_lost_reply_to_an_opening_opens_one_account(bank: Bank) -> None:
    bank.client.faults = [lose_reply]
    account_id = bank.open("ana")
    bank.settle_all()
    assert bank.available(account_id) == GRANT_CENTS
    assert bank.auditor.audit().ok


def test_a_hold_sets_money_aside_and_settling_moves_it(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    answer = bank.pay("ana", ana, bruno, 300)
    held = bank.ledger.balance(ana)
    assert held is not None
    assert (held.available, held.on_hold) == (GRANT_CENTS - 300, 300)
    bank.settle_all()
    after = bank.ledger.balance(ana)
    assert after is not None
    assert (after.available, after.on_hold) == (GRANT_CENTS - 300, 0)
    assert bank.available(bruno) == GRANT_CENTS + 300
    settled = bank.ledger.transfer(answer.transfer.transfer_id)
    assert settled is not None
    assert settled.status == "SETTLED"
    assert bank.auditor.audit().ok


def test_settling_again_moves_nothing(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    for _ in range(3):
        bank.ledger.settle(transfer_id, (ana, bruno), soon())
    assert bank.available(bruno) == GRANT_CENTS + 300
    assert bank.auditor.audit().ok


def test_parties_that_an_event_names_wrongly_are_not_believed(bank: Bank) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    bank.ledger.settle(transfer_id, (bruno, carla), soon())
    assert bank.available(carla) == GRANT_CENTS
    assert bank.available(bruno) == GRANT_CENTS + 300


def test_a_replayed_key_answers_the_first_transfer_byte_for_byte(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    first = bank.pay("ana", ana, bruno, 300, "key")
    bank.settle_all()
    again = bank.pay("ana", ana, bruno, 300, "key")
    assert (first.replayed, again.replayed) == (False, True)
    assert again.transfer.answer == first.transfer.answer
    assert bank.available(ana) == GRANT_CENTS - 300


def test_a_key_with_another_body_is_refused(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.pay("ana", ana, bruno, 300, "key")
    with pytest.raises(KeyReused):
        bank.pay("ana", ana, bruno, 301, "key")
    assert bank.available(ana) == GRANT_CENTS - 300


def test_commit_lose_the_reply_drain_the_balance_retry(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.faults = [lose_reply] * 1000
    with pytest.raises(Unknown):
        bank.pay("ana", ana, bruno, 60_000, "key")
    bank.client.faults = []
    bank.pay("ana", ana, bruno, 40_000)
    assert bank.available(ana) == 0
    again = bank.pay("ana", ana, bruno, 60_000, "key")
    assert again.transfer.status == "HELD"
    assert again.transfer.amount_cents == 60_000
    bank.settle_all()
    assert bank.available(bruno) == 2 * GRANT_CENTS
    assert bank.auditor.audit().ok


def test_an_unknown_outcome_is_repeated_with_the_same_bytes_under_the_same_token(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.seen.clear()
    bank.client.faults = [lose_reply, refuse("InternalServerError", 500), lose_request]
    bank.pay("ana", ana, bruno, 300)
    requests = bank.client.seen
    assert len(requests) == 4
    assert all(each == requests[0] for each in requests)
    assert bank.available(ana) == GRANT_CENTS - 300


@pytest.mark.parametrize(
    "fault",
    [conflict, refuse("ThrottlingException"), refuse("TransactionInProgressException"), lose_request],
)
def test_contention_and_lost_requests_only_delay(bank: Bank, fault: Any) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.faults = [fault, fault]
    bank.pay("ana", ana, bruno, 300)
    bank.client.faults = [fault, fault]
    bank.settle_all()
    assert bank.available(bruno) == GRANT_CENTS + 300
    assert bank.auditor.audit().ok


def test_a_refusal_writes_its_mark_and_nothing_else(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    before = (bank.count(bank.tables.accounts), bank.count(bank.tables.events), bank.ledger.balance(ana))
    with pytest.raises(Refusal) as refused:
        bank.pay("ana", ana, bruno, GRANT_CENTS + 1, "key")
    assert refused.value.code == "insufficient_funds"
    assert refused.value.facts == {"available_cents": GRANT_CENTS}
    after = (bank.count(bank.tables.accounts), bank.count(bank.tables.events), bank.ledger.balance(ana))
    assert after == before
    payment = Payment("ana", "key", ana, bruno, GRANT_CENTS + 1, None, None)
    assert isinstance(bank.ledger.find(payment.transfer_id), Mark)
    assert bank.ledger.transfer(payment.transfer_id) is None


def test_a_refused_key_stays_free(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    for _ in range(2):
        with pytest.raises(Refusal):
            bank.pay("ana", ana, bruno, GRANT_CENTS + 1, "key")
    bank.pay("bruno", bruno, ana, 1)
    bank.settle_all()
    assert bank.pay("ana", ana, bruno, GRANT_CENTS + 1, "key").transfer.status == "HELD"


def test_no_attempt_in_flight_commits_after_a_refusal(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payment = Payment("ana", "key", ana, bruno, 300, None, None)

    def another_request_is_refused(_: str, call: Any) -> Any:
        assert bank.ledger.refuse(payment.transfer_id, None, '["insufficient_funds", "no", {}]') is None
        return call()

    bank.client.faults = [another_request_is_refused]
    with pytest.raises(Refusal) as refused:
        bank.transfers.request(payment, soon())
    assert refused.value.code == "insufficient_funds"
    assert bank.ledger.transfer(payment.transfer_id) is None
    assert bank.available(ana) == GRANT_CENTS


def test_a_refusal_that_finds_a_transfer_answers_the_transfer(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer = bank.pay("ana", ana, bruno, 300).transfer
    found = bank.ledger.refuse(transfer.transfer_id, None, "[]")
    assert found == transfer


@pytest.mark.parametrize(
    ("payer", "payee", "code"),
    [
        ("bruno", "bruno", "account_not_found"),
        ("ana", "ana", "same_account"),
        ("ana", "nobody", "payee_not_found"),
        ("ana", "treasury#0", "payee_not_found"),
        ("nobody", "bruno", "account_not_found"),
        ("treasury#0", "bruno", "account_not_found"),
    ],
)
def test_who_may_pay_whom(bank: Bank, payer: str, payee: str, code: str) -> None:
    ids = {"ana": bank.rich("ana"), "bruno": bank.rich("bruno"), "nobody": str(uuid.uuid4())}
    with pytest.raises(Refusal) as refused:
        bank.pay("ana", ids.get(payer, payer), ids.get(payee, payee), 1)
    assert refused.value.code == code


def test_parallel_settles_of_one_hold_have_one_winner(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: bank.ledger.settle(transfer_id, (ana, bruno), Deadline.after(10)), range(8)))
    assert bank.available(bruno) == GRANT_CENTS + 300
    assert bank.auditor.audit().ok


def test_settle_against_expiry_has_one_winner(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    ids = [bank.pay("ana", ana, bruno, 10).transfer.transfer_id for _ in range(6)]
    bank.time.moment += timedelta(minutes=31)
    with ThreadPoolExecutor(4) as pool:
        for each in ids:
            pool.submit(bank.ledger.settle, each, (ana, bruno), Deadline.after(10))
            pool.submit(bank.ledger.expire, each, Deadline.after(10))
    transfers = [bank.ledger.transfer(each) for each in ids]
    settled = sum(each.status == "SETTLED" for each in transfers if each)
    assert settled + sum(each.status == "REJECTED" for each in transfers if each) == 6
    assert bank.available(bruno) == GRANT_CENTS + 10 * settled
    assert bank.available(ana) == GRANT_CENTS - 10 * settled
    assert bank.auditor.audit().ok


def test_many_threads_lose_no_update_and_the_sum_stays_zero(bank: Bank) -> None:
    ids = {name: bank.rich(name) for name in ("ana", "bruno", "carla", "davi")}
    names = list(ids)
    refused = threading.Event()

    def work(number: int) -> int:
        paid = 0
        for turn in range(6):
            payer, payee = names[(number + turn) % 4], names[(number + turn + 1 + number % 3) % 4]
            try:
                answer = bank.transfers.request(
                    Payment(payer, uuid.uuid4().hex, ids[payer], ids[payee], 7, None, None),
                    Deadline.after(20),
                )
                bank.ledger.settle(answer.transfer.transfer_id, (), Deadline.after(20))
                paid += 1
            except Refusal:
                refused.set()
        return paid

    with ThreadPoolExecutor(16) as pool:
        paid = sum(pool.map(work, range(16)))
    assert paid == 16 * 6
    assert not refused.is_set()
    report = bank.auditor.audit()
    assert report.ok, report.drift
    assert sum(bank.available(each) for each in ids.values()) == 4 * GRANT_CENTS
    assert report.transfers == 16 * 6 + 4


def test_an_audit_beside_writers_raises_no_false_alarm(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            answer = bank.transfers.request(
                Payment("ana", uuid.uuid4().hex, ana, bruno, 1, None, None), Deadline.after(20)
            )
            bank.ledger.settle(answer.transfer.transfer_id, (), Deadline.after(20))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reports = [bank.auditor.audit() for _ in range(15)]
    finally:
        stop.set()
        writer.join()
    assert [report.document() for report in reports if not report.ok] == []


def test_a_hold_whose_time_is_over_goes_back(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    assert bank.ledger.expire(transfer_id, soon()) == bank.ledger.transfer(transfer_id)
    assert bank.available(ana) == GRANT_CENTS - 300
    bank.time.moment += timedelta(minutes=31)
    Sweep(bank.ledger, bank.outbox).look(transfer_id)
    expired = bank.ledger.transfer(transfer_id)
    assert expired is not None
    assert (expired.status, expired.reason) == ("REJECTED", "hold_expired")
    assert bank.available(ana) == GRANT_CENTS
    assert bank.auditor.audit().ok


def test_the_sweep_brings_back_only_what_kafka_took_once(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    (row,) = bank.outbox.waiting(0, 10)
    sweep = Sweep(bank.ledger, bank.outbox)
    bank.time.moment += timedelta(seconds=6)
    sweep.look(transfer_id)
    assert bank.outbox.waiting(0, 10) == [row]
    lease = bank.outbox.take_lease(
        None, 0, "relay", until=bank.time() + timedelta(seconds=10), now=bank.time()
    )
    assert lease is not None
    assert bank.outbox.published([Published(row, 2, 7)], lease, lease, bank.time())
    assert bank.outbox.waiting(0, 10) == []
    sweep.look(transfer_id)
    assert bank.outbox.waiting(0, 10) == [row]


def test_the_sweep_finds_what_is_due_and_looks_less_and_less_often(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    shard = int(items.open_shard(transfer_id))
    assert bank.ledger.due(shard, 10) == []
    waits = []
    for _ in range(8):
        transfer = bank.ledger.transfer(transfer_id)
        assert transfer is not None
        assert transfer.due_at is not None
        due_at = datetime.fromisoformat(transfer.due_at)
        waits.append(round((due_at - bank.time()).total_seconds()))
        bank.time.moment = due_at
        assert bank.ledger.due(shard, 10) == [transfer_id]
        bank.ledger.look_later(transfer)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]
    bank.ledger.settle(transfer_id, (), soon())
    bank.time.moment += timedelta(minutes=6)
    assert bank.ledger.due(shard, 10) == []


def test_a_lease_has_one_holder_and_a_late_holder_writes_nothing(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.pay("ana", ana, bruno, 300)
    now, until = bank.time(), bank.time() + timedelta(seconds=10)
    first = bank.outbox.take_lease(None, 0, "first", until=until, now=now)
    assert first is not None
    assert bank.outbox.take_lease(bank.outbox.lease(0), 0, "second", until=until, now=now) is None
    later = until + timedelta(seconds=1)
    second = bank.outbox.take_lease(bank.outbox.lease(0), 0, "second", until=later, now=later)
    assert second is not None
    assert second.epoch == first.epoch + 1
    (row,) = bank.outbox.waiting(0, 10)
    assert not bank.outbox.published([Published(row, 0, 1)], first, first, later)
    assert bank.outbox.waiting(0, 10) == [row]
    assert bank.outbox.history(row.transfer_id, row.event_id) is None


def test_a_frozen_account_waits_and_goes_on_when_it_is_clean(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    bank.auditor.freeze(Drift(bruno, "wrong_sum", "a test"))
    with pytest.raises(Frozen):
        bank.ledger.settle(transfer_id, (), soon())
    with pytest.raises(Refusal) as refused:
        bank.pay("bruno", bruno, ana, 1)
    assert refused.value.code == "account_frozen"
    held = bank.ledger.transfer(transfer_id)
    assert held is not None
    assert held.status == "HELD"
    assert bank.auditor.unfreeze(bruno) == ()
    bank.settle_all()
    assert bank.available(bruno) == GRANT_CENTS + 300


def _change(bank: Bank, key: Any, update: str, values: Any, table: str | None = None) -> None:
    bank.raw.update_item(
        TableName=table or bank.tables.accounts,
        Key=key,
        UpdateExpression=update,
        ExpressionAttributeValues=values,
    )


def _spoil(bank: Bank, how: str, account_id: str, transfer: Transfer) -> None:
    entry = items.key(
        items.entries_partition(account_id, transfer.created_at[:4] + transfer.created_at[5:7]),
        items.entry_sort(3),
    )
    balance = items.balance_key(account_id)
    if how == "balance changed":
        _change(bank, balance, "SET available = :n", {":n": {"N": "999999"}})
    elif how == "negative balance":
        _change(bank, balance, "SET available = :n", {":n": {"N": "-1"}})
    elif how == "hash changed":
        _change(bank, balance, "SET last_hash = :h", {":h": text("0" * 64)})
    elif how == "entry missing":
        bank.raw.delete_item(TableName=bank.tables.accounts, Key=entry)
    elif how == "entry changed":
        _change(bank, entry, "SET delta_available = :n", {":n": {"N": "-299"}})
    elif how == "transfer missing":
        bank.raw.delete_item(TableName=bank.tables.transactions, Key=items.transfer_key(transfer.transfer_id))
    else:
        assert how == "amount changed"
        _change(
            bank,
            items.transfer_key(transfer.transfer_id),
            "SET amount_cents = :n",
            {":n": {"N": "301"}},
            bank.tables.transactions,
        )


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("balance changed", "wrong_available"),
        ("negative balance", "negative"),
        ("hash changed", "wrong_last_hash"),
        ("entry missing", "gap"),
        ("entry changed", "wrong_hash"),
        ("transfer missing", "orphan_entry"),
        ("amount changed", "transfer_mismatch"),
    ],
)
def test_the_auditor_finds_and_names(bank: Bank, how: str, what: str) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer = bank.pay("ana", ana, bruno, 300).transfer
    for _ in range(2):
        bank.pay("ana", ana, bruno, 1)
    bank.settle_all()
    assert bank.auditor.audit().ok
    _spoil(bank, how, ana, transfer)
    report = bank.auditor.audit()
    assert not report.ok
    assert (ana, what) in {(each.account_id, each.what) for each in report.drift}
    for drift in report.drift:
        bank.auditor.freeze(drift)
    assert bank.auditor.unfreeze(ana) != ()
    with pytest.raises(Refusal):
        bank.pay("ana", ana, bruno, 1)


def test_a_write_whose_outcome_is_unknown_says_so(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.faults = [lose_request] * 1000
    with pytest.raises(Unknown):
        bank.pay("ana", ana, bruno, 300)
    bank.client.faults = [lose_request] * 1000
    with pytest.raises(OutcomeUnknown):
        dynamo.transact(
            bank.client, [{"Put": {"TableName": bank.tables.events, "Item": items.key("a", "b")}}], soon()
        )


def test_a_send_that_may_stand_is_not_forgotten_when_the_next_attempt_is_throttled(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payment = Payment("ana", "key", ana, bruno, 300, None, None)
    bank.client.faults = [lose_request, conflict, *[refuse("ThrottlingException")] * 1000]
    with pytest.raises(Unknown):
        bank.transfers.request(payment, Deadline.after(0.3))


def test_an_opening_that_may_stand_is_not_forgotten_when_the_next_attempt_is_throttled(bank: Bank) -> None:
    opening = Opening("ana", "ana", "52998224725", "CACC", "key", None)
    bank.client.faults = [lose_request, conflict, *[refuse("ThrottlingException")] * 1000]
    with pytest.raises(OutcomeUnknown):
        bank.accounts.open(opening, lambda each: each.account_id, Deadline.after(0.3))


def test_a_refusal_after_a_send_that_may_stand_is_unknown_until_its_mark_stands(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")

    def money_goes_and_the_mark_is_throttled(name: str, call: Any) -> Any:
        bank.pay("ana", ana, bruno, GRANT_CENTS)
        bank.client.operation = "put_item"
        bank.client.faults = [refuse("ThrottlingException")]
        return conflict(name, call)

    bank.client.faults = [lose_request, money_goes_and_the_mark_is_throttled]
    with pytest.raises(Unknown):
        bank.pay("ana", ana, bruno, 300, "key")
    assert bank.client.faults == []
    with pytest.raises(Refusal) as refused:
        bank.pay("ana", ana, bruno, 300, "key")
    assert refused.value.code == "insufficient_funds"


@pytest.mark.parametrize("decision", ["settle", "expire"])
def test_a_read_that_another_worker_cuts_in_two_is_read_again(bank: Bank, decision: str) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    other = Ledger(bank.raw, bank.tables, 1, clock=bank.ledger.clock)

    def settled_in_between(_: str, call: Any) -> Any:
        early = call()["Responses"][bank.tables.transactions]
        other.settle(transfer_id, (ana, bruno), soon())
        late = call()["Responses"][bank.tables.accounts]
        return {"Responses": {bank.tables.transactions: early, bank.tables.accounts: late}}

    def settled_before(_: str, call: Any) -> Any:
        other.settle(transfer_id, (ana, bruno), soon())
        return call()

    bank.client.operation = "batch_get_item"
    if decision == "settle":
        bank.client.faults = [settled_in_between]
        found = bank.ledger.settle(transfer_id, (ana, bruno), soon())
    else:
        bank.time.moment += timedelta(minutes=31)
        # Only the transfer says whose balances are to be read: those are a call of their own.
        bank.client.faults = [lambda _, call: call(), settled_before]
        found = bank.ledger.expire(transfer_id, soon())
    assert bank.client.faults == []
    assert found == other.transfer(transfer_id)
    assert found is not None
    assert found.status == "SETTLED"
    assert bank.available(bruno) == GRANT_CENTS + 300


def test_an_undisturbed_settle_reads_once(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    bank.client.operation = "batch_get_item"
    bank.client.seen.clear()
    bank.ledger.settle(transfer_id, (ana, bruno), soon())
    assert len(bank.client.seen) == 1


def test_money_that_is_missing_from_a_hold_stops_its_transfer_and_no_worker(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    _change(bank, items.balance_key(ana), "SET on_hold = :n", {":n": {"N": "299"}})
    with pytest.raises(Unavailable):
        bank.ledger.settle(transfer_id, (ana, bruno), Deadline.after(0.05))
    bank.auditor.freeze(Drift(ana, "wrong_on_hold", "a test"))
    with pytest.raises(Frozen):
        bank.ledger.settle(transfer_id, (ana, bruno), soon())


def _end_mark(bank: Bank, transfer_id: str) -> None:
    """What DynamoDB does once the mark's `ttl` is over."""
    bank.raw.delete_item(TableName=bank.tables.transactions, Key=items.transfer_key(transfer_id))


def test_a_refusal_whose_earlier_mark_has_ended_leaves_a_mark(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payment = Payment("ana", "key", ana, bruno, GRANT_CENTS + 1, None, None)
    with pytest.raises(Refusal):
        bank.transfers.request(payment, soon())
    seen = bank.ledger.find(payment.transfer_id)
    assert isinstance(seen, Mark)
    _end_mark(bank, payment.transfer_id)
    assert bank.ledger.refuse(payment.transfer_id, seen, seen.problem) is None
    # One above what was read, so that no hold that still waits for the ended mark can take this one for it.
    assert bank.ledger.find(payment.transfer_id) == Mark(seen.refused + 1, seen.problem)


def test_a_refusal_whose_earlier_mark_has_ended_finds_what_came_after_it(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer = bank.pay("ana", ana, bruno, 300).transfer
    real = bank.raw.put_item
    bank.client.operation = "put_item"

    def ended_before(_: str, call: Any) -> Any:
        item = bank.raw.get_item(
            TableName=bank.tables.transactions, Key=items.transfer_key(transfer.transfer_id)
        )["Item"]
        _end_mark(bank, transfer.transfer_id)
        try:
            return call()
        finally:
            real(TableName=bank.tables.transactions, Item=item)

    bank.client.faults = [ended_before]
    assert bank.ledger.refuse(transfer.transfer_id, Mark(1, "[]"), "[]") == transfer


def test_a_hold_whose_earlier_mark_ends_meanwhile_starts_again(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payment = Payment("ana", "key", ana, bruno, GRANT_CENTS + 1, None, None)
    with pytest.raises(Refusal):
        bank.transfers.request(payment, soon())
    bank.pay("bruno", bruno, ana, 1)
    bank.settle_all()

    def ended_before(_: str, call: Any) -> Any:
        _end_mark(bank, payment.transfer_id)
        return call()

    bank.client.seen.clear()
    bank.client.faults = [ended_before]
    assert bank.transfers.request(payment, soon()).transfer.status == "HELD"
    assert len(bank.client.seen) == 2


def _cancelled_for(*codes: str) -> Any:
    def fault(name: str, call: Any) -> Any:
        raise ClientError(
            {
                "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
                "CancellationReasons": [{"Code": code} for code in codes],
            },
            name,
        )

    return fault


@pytest.mark.parametrize("code", ["ValidationError", "ItemCollectionSizeLimitExceeded"])
def test_a_transaction_that_can_never_pass_is_a_mistake_and_is_sent_once(bank: Bank, code: str) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.seen.clear()
    bank.client.faults = [_cancelled_for("ConditionalCheckFailed", code)]
    with pytest.raises(Cancelled):
        bank.pay("ana", ana, bruno, 300)
    bank.client.faults = [_cancelled_for("None", code)]
    with pytest.raises(Cancelled):
        bank.open("carla")
    assert len(bank.client.seen) == 2


def test_a_mistake_after_a_send_that_may_stand_decides_nothing(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.faults = [lose_request, _cancelled_for("ValidationError")]
    with pytest.raises(Unknown):
        bank.pay("ana", ana, bruno, 300)
    bank.client.faults = [lose_request, _cancelled_for("ValidationError")]
    with pytest.raises(OutcomeUnknown):
        bank.open("carla")


def test_a_cancellation_without_reasons_only_delays(bank: Bank) -> None:
    bank.client.faults = [_cancelled_for()]
    account_id = bank.open("ana")
    bank.settle_all()
    assert bank.available(account_id) == GRANT_CENTS


def test_a_payer_without_a_balance_keeps_nobody_else_from_being_decided(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    bank.raw.delete_item(TableName=bank.tables.accounts, Key=items.balance_key(ana))
    with pytest.raises(Frozen):
        bank.ledger.settle(transfer_id, (), soon())
    bank.time.moment += timedelta(minutes=31)
    with pytest.raises(Frozen):
        bank.ledger.expire(transfer_id, soon())
    found = bank.ledger.transfer(transfer_id)
    assert found is not None
    assert found.status == "HELD"


def test_the_number_of_an_ended_mark_never_comes_again(bank: Bank) -> None:
    assert bank.ledger.refuse("key", None, "[]") is None
    first = bank.ledger.find("key")
    bank.raw.delete_item(TableName=bank.tables.transactions, Key=items.transfer_key("key"))
    bank.time.moment += timedelta(days=1)
    assert bank.ledger.refuse("key", None, "[]") is None
    second = bank.ledger.find("key")
    assert isinstance(first, Mark)
    assert isinstance(second, Mark)
    assert second.refused > first.refused + 1


def test_many_settlements_share_transactions_of_at_most_a_hundred_actions(bank: Bank) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    made = [
        bank.pay(*(("ana", ana) if n % 2 else ("carla", carla)), bruno, 1 + n).transfer for n in range(30)
    ]
    bank.client.seen.clear()
    wanted = [(each.transfer_id, (each.payer, each.payee)) for each in made]
    outcomes = bank.ledger.settle_together(wanted, Deadline.after(20))
    assert [each.status for each in outcomes if isinstance(each, Transfer)] == ["SETTLED"] * 30
    sizes = [len(request["TransactItems"]) for request in bank.client.seen]
    assert len(sizes) == 2
    assert max(sizes) <= 100
    assert bank.available(bruno) == GRANT_CENTS + 31 * 15
    assert bank.auditor.audit().ok


def test_a_batch_loses_only_what_others_decided_and_reads_only_what_moved(bank: Bank) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    made = [bank.pay("ana", ana, each, 10).transfer for each in (bruno, carla, bruno)]
    other = bank_on(bank.raw, bank.tables, bank.time)

    def others_are_first(_: str, call: Any) -> Any:
        other.ledger.settle(made[1].transfer_id, (), soon())
        other.pay("bruno", bruno, ana, 1)
        return call()

    bank.client.seen.clear()
    bank.client.faults = [others_are_first]
    outcomes = bank.ledger.settle_together([(each.transfer_id, (ana,)) for each in made], Deadline.after(20))
    assert [each.status for each in outcomes if isinstance(each, Transfer)] == ["SETTLED"] * 3
    assert len(bank.client.seen) == 2
    assert bank.available(bruno) == GRANT_CENTS + 19
    assert bank.auditor.audit().ok


def test_holds_of_many_threads_on_one_account_share_transactions_and_take_no_more_than_there_is(
    bank: Bank,
) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.seen.clear()

    def work(_: int) -> tuple[int, int]:
        held = refused = 0
        for _ in range(8):
            payment = Payment("ana", uuid.uuid4().hex, ana, bruno, GRANT_CENTS // 100, None, None)
            try:
                bank.transfers.request(payment, Deadline.after(20))
                held += 1
            except Refusal:
                refused += 1
        return held, refused

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(work, range(16)))
    assert sum(held for held, _ in results) == 100
    assert sum(refused for _, refused in results) == 28
    assert bank.available(ana) == 0
    assert len(bank.client.seen) < 100
    report = bank.auditor.audit()
    assert report.ok, report.drift

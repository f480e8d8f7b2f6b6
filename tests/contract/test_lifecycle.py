"""Accounts that are blocked and closed, returns, and the past, on a DynamoDB that keeps its promises; and who
wins where two of them meet."""

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from apps.kit.dynamo import Deadline, OutcomeUnknown
from apps.ledger import account, items
from apps.ledger.account import Refusal
from apps.ledger.items import Corrupted
from apps.ledger.transfer import iso
from apps.transaction.request import KeyReused
from tests.apps.kit.faulty_dynamo import conflict, lose_reply, lose_request
from tests.apps.ledger.bank import GRANT_CENTS, Bank, Time, bank_on, soon
from tests.contract.ministack import Store

THREADS = 6


@pytest.fixture
def bank(store: Store, time: Time) -> Bank:
    return bank_on(store.client, store.tables, time)


def together(*calls: Callable[[], object]) -> list[object]:
    """What the calls gave, or raised, all of them at once."""

    def caught(call: Callable[[], object]) -> object:
        try:
            return call()
        except Exception as error:  # noqa: BLE001
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(caught, call) for call in calls]]


def later() -> Deadline:
    return Deadline.after(20)


def status(bank: Bank, account_id: str) -> str:
    balance = bank.ledger.balance(account_id)
    assert balance is not None
    return balance.status


def kinds(bank: Bank, account_id: str) -> list[str]:
    """The kinds of an account's entries of this month, in order."""
    entries, _ = bank.accounts.entries_before(account_id, account.month_of(iso(bank.time())), None, 100)
    return [each.kind for each in reversed(entries)]


def test_a_blocked_account_neither_pays_nor_is_paid_and_what_was_held_goes_its_way(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    promised = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    assert bank.ledger.change_status(ana, account.block, soon())[1]
    with pytest.raises(Refusal, match="account_blocked"):
        bank.pay("ana", ana, bruno, 1)
    coming = bank.pay("bruno", bruno, ana, 20).transfer.transfer_id
    bank.settle_all()
    assert bank.standing_of(promised).status == "SETTLED"
    refused = bank.standing_of(coming)
    assert (refused.status, refused.reason) == ("REJECTED", "payee_blocked")
    assert (bank.available(ana), bank.available(bruno)) == (GRANT_CENTS - 300, GRANT_CENTS + 300)
    assert bank.ledger.change_status(ana, account.unblock, soon())[1]
    bank.paid("bruno", bruno, ana, 20)
    assert bank.available(ana) == GRANT_CENTS - 280
    assert kinds(bank, ana) == ["open", "credit", "hold", "block", "debit", "unblock", "credit"]
    assert bank.auditor.audit().ok


def test_an_account_is_closed_once_it_is_empty_and_for_good(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    with pytest.raises(Refusal) as refused:
        bank.accounts.close(ana, soon())
    assert refused.value.facts == {
        "available_cents": GRANT_CENTS,
        "on_hold_cents": 0,
        "pending_credits_cents": 0,
    }
    transfer_id = bank.pay("ana", ana, bruno, GRANT_CENTS).transfer.transfer_id
    with pytest.raises(Refusal, match="account_not_empty"):
        bank.accounts.close(ana, soon())
    coming = bank.pay("bruno", bruno, ana, 1).transfer.transfer_id
    bank.ledger.settle(transfer_id, (), soon())
    for _ in range(2):
        bank.accounts.close(ana, soon())
    bank.ledger.settle(coming, (), soon())
    assert bank.standing_of(coming).reason == "payee_closed"
    with pytest.raises(Refusal, match="payee_closed"):
        bank.pay("bruno", bruno, ana, 1)
    with pytest.raises(Refusal, match="account_closed"):
        bank.pay("ana", ana, bruno, 1)
    assert status(bank, ana) == "CLOSED"
    assert kinds(bank, ana)[-1] == "close"
    assert bank.auditor.audit().ok


@pytest.mark.parametrize(
    "faults", [[lose_reply], [lose_request], [conflict, conflict]], ids=["reply", "request", "conflict"]
)
def test_a_block_whose_reply_is_lost_is_one_block(bank: Bank, faults: list[Any]) -> None:
    ana = bank.rich("ana")
    bank.client.faults = list(faults)
    assert bank.ledger.change_status(ana, account.block, soon())[1]
    assert not bank.ledger.change_status(ana, account.block, soon())[1]
    assert kinds(bank, ana) == ["open", "credit", "block"]


def test_a_closing_whose_outcome_stays_unknown_says_so(bank: Bank) -> None:
    ana = bank.open("ana", "52998224725")
    second = bank.open("ana", "52998224725")
    bank.client.faults = [lose_reply] * 100
    with pytest.raises(OutcomeUnknown):
        bank.accounts.close(second, Deadline.after(0.05))
    bank.client.faults = []
    bank.accounts.close(second, soon())
    assert (status(bank, ana), status(bank, second)) == ("ACTIVE", "CLOSED")


def test_nobody_elses_status_is_changed(bank: Bank) -> None:
    bank.rich("ana")
    with pytest.raises(LookupError, match="nobody"):
        bank.ledger.change_status("nobody", account.block, soon())
    with pytest.raises(LookupError, match="treasury#9"):
        bank.ledger.change_status("treasury#9", account.close, soon())


def test_a_return_goes_back_and_what_is_left_goes_down(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    original = bank.paid("ana", ana, bruno, 300)
    assert bank.standing_of(original).returnable_cents == 300
    giving = bank.give_back("bruno", original, 200, "key")
    assert (giving.transfer.kind, giving.transfer.original_transfer_id) == ("return", original)
    assert bank.standing_of(original).returnable_cents == 100
    bank.settle_all()
    assert bank.standing_of(giving.transfer.transfer_id).returnable_cents == 0
    again = bank.give_back("bruno", original, 200, "key")
    assert again.replayed
    assert again.transfer.answer == giving.transfer.answer
    with pytest.raises(KeyReused):
        bank.give_back("bruno", original, 100, "key")
    assert (bank.available(ana), bank.available(bruno)) == (GRANT_CENTS - 100, GRANT_CENTS + 100)
    assert bank.auditor.audit().ok


def test_a_return_cannot_be_returned_nor_a_grant(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    giving = bank.give_back("bruno", bank.paid("ana", ana, bruno, 300), 300).transfer
    bank.settle_all()
    grant = str(uuid.uuid5(uuid.UUID(ana), "grant"))
    for transfer_id in (giving.transfer_id, grant):
        with pytest.raises(Refusal, match="not_returnable"):
            bank.give_back("ana", transfer_id, 1)


@pytest.mark.parametrize("how", ["expired", "payee blocked"])
def test_a_return_that_is_rejected_puts_back_what_it_took(bank: Bank, how: str) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    original = bank.paid("ana", ana, bruno, 300)
    giving = bank.give_back("bruno", original, 200).transfer
    if how == "expired":
        bank.time.moment += timedelta(minutes=31)
        bank.ledger.expire(giving.transfer_id, soon())
    else:
        bank.ledger.change_status(ana, account.block, soon())
        bank.settle_all()
    assert bank.standing_of(giving.transfer_id).status == "REJECTED"
    assert bank.standing_of(original).returnable_cents == 300
    assert bank.available(bruno) == GRANT_CENTS + 300
    assert bank.auditor.audit().ok


@pytest.mark.parametrize(
    "faults", [[lose_reply], [lose_request], [conflict]], ids=["reply", "request", "conflict"]
)
def test_a_return_whose_reply_is_lost_takes_once(bank: Bank, faults: list[Any]) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    original = bank.paid("ana", ana, bruno, 300)
    bank.client.faults = list(faults)
    bank.give_back("bruno", original, 200)
    assert bank.standing_of(original).returnable_cents == 100
    bank.settle_all()
    assert bank.available(ana) == GRANT_CENTS - 100
    assert bank.auditor.audit().ok


def test_of_two_returns_at_once_only_as_much_goes_back_as_came(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    original = bank.paid("ana", ana, bruno, 300)
    tried = together(*[lambda: bank.give_back("bruno", original, 200, seconds=20) for _ in range(THREADS)])
    refused = [each for each in tried if isinstance(each, Refusal)]
    assert [(each.code, each.facts) for each in refused] == [
        ("return_exceeds_amount", {"returnable_cents": 100})
    ] * (THREADS - 1)
    bank.settle_all()
    assert bank.available(ana) == GRANT_CENTS - 100
    assert bank.standing_of(original).returnable_cents == 100
    assert bank.auditor.audit().ok


def test_an_original_that_was_read_before_another_return_gives_no_more_than_is_left(bank: Bank) -> None:
    """One call reads original and balances, but not at one moment."""
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    original = bank.paid("ana", ana, bruno, 300)
    other = bank_on(bank.raw, bank.tables, bank.time)

    def another_in_between(_: str, call: Any) -> Any:
        early = call()["Responses"][bank.tables.transactions]
        other.give_back("bruno", original, 200)
        late = call()["Responses"][bank.tables.accounts]
        return {"Responses": {bank.tables.transactions: early, bank.tables.accounts: late}}

    bank.client.operation = "batch_get_item"
    bank.client.faults = [lambda _, call: call(), another_in_between]
    with pytest.raises(Refusal) as refused:
        bank.give_back("bruno", original, 200)
    assert bank.client.faults == []
    assert (refused.value.code, refused.value.facts) == ("return_exceeds_amount", {"returnable_cents": 100})
    assert bank.standing_of(original).returnable_cents == 100
    assert bank.auditor.audit().ok


def test_of_many_settles_of_one_hold_exactly_one_moves_the_money(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer_id = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    found = together(
        *[lambda: bank.ledger.settle(transfer_id, (ana, bruno), later()) for _ in range(THREADS)]
    )
    assert found == [bank.standing_of(transfer_id)] * THREADS
    assert bank.available(bruno) == GRANT_CENTS + 300
    assert [kinds(bank, ana).count("debit"), kinds(bank, bruno).count("credit")] == [1, 2]
    assert bank.auditor.audit().ok


def test_a_return_that_settles_and_expires_at_once_ends_one_way(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    original = bank.paid("ana", ana, bruno, 300)
    giving = bank.give_back("bruno", original, 200).transfer.transfer_id
    bank.time.moment += timedelta(minutes=31)
    together(
        lambda: bank.ledger.settle(giving, (bruno, ana), later()),
        lambda: bank.ledger.expire(giving, later()),
        lambda: bank.ledger.settle(giving, (bruno, ana), later()),
        lambda: bank.ledger.expire(giving, later()),
    )
    settled = bank.standing_of(giving).status == "SETTLED"
    assert bank.standing_of(original).returnable_cents == (100 if settled else 300)
    assert bank.available(ana) == GRANT_CENTS - (100 if settled else 300)
    assert bank.auditor.audit().ok


def test_a_closing_against_a_credit_never_closes_money_in(bank: Bank) -> None:
    ana = bank.rich("ana")
    empty = [bank.open("bruno", "52998224725") for _ in range(5)]
    bank.settle_all()
    for each in empty[1:]:
        transfer_id = bank.pay("ana", ana, each, 10).transfer.transfer_id
        closed, settled = together(
            lambda each=each: bank.accounts.close(each, later()),  # type: ignore[misc]
            lambda each=each, made=transfer_id: bank.ledger.settle(made, (ana, each), later()),  # type: ignore[misc]
        )
        if status(bank, each) == "CLOSED":
            assert closed is None
            assert (bank.standing_of(transfer_id).reason, bank.available(each)) == ("payee_closed", 0)
        else:
            assert isinstance(closed, Refusal)
            assert closed.code == "account_not_empty"
            assert (bank.standing_of(transfer_id).status, bank.available(each)) == ("SETTLED", 10)
        assert settled == bank.standing_of(transfer_id)
    assert bank.auditor.audit().ok


def test_a_block_against_holds_lets_none_through_after_it(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    calls: Sequence[Callable[[], object]] = [
        *[lambda: bank.pay("ana", ana, bruno, 7) for _ in range(THREADS)],
        lambda: bank.ledger.change_status(ana, account.block, later()),
    ]
    tried = together(*calls)
    paid = [each for each in tried[:-1] if not isinstance(each, Exception)]
    assert {each.code for each in tried if isinstance(each, Refusal)} <= {"account_blocked"}
    order = kinds(bank, ana)
    assert order.count("hold") == len(paid)
    assert "hold" not in order[order.index("block") :]
    bank.settle_all()
    assert bank.available(bruno) == GRANT_CENTS + 7 * len(paid)
    assert bank.auditor.audit().ok


def test_the_past_of_an_account_over_months(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    moments = []
    for cents in (1, 2, 3):
        moments.append(bank.time())
        bank.time.moment += timedelta(days=40)
        bank.paid("ana", ana, bruno, cents)
    bank.time.moment += timedelta(days=200)
    balance = bank.accounts.balance(bruno)
    found = [bank.accounts.at_moment(balance, iso(moment)).available for moment in (*moments, bank.time())]
    assert found == [GRANT_CENTS, GRANT_CENTS + 1, GRANT_CENTS + 3, GRANT_CENTS + 6]
    held = bank.accounts.at_moment(bank.accounts.balance(ana), iso(bank.time()))
    assert (held.available, held.on_hold) == (GRANT_CENTS - 6, 0)
    bank.paid("ana", ana, bruno, 4)
    assert bank.auditor.audit().ok


def test_many_balances_are_read_in_few_calls(bank: Bank) -> None:
    ids = [bank.open("ana", "52998224725") for _ in range(3)]
    bank.client.operation = "batch_get_item"
    bank.client.seen.clear()
    assert set(bank.accounts.balances_of(ids)) == set(ids)
    assert len(bank.client.seen) == 1
    assert bank.accounts.balances_of([]) == {}
    assert len(bank.client.seen) == 1


SPOILT: dict[str, tuple[str, str]] = {
    "no seq": ("REMOVE seq", "unreadable_balance"),
    "no owner": ("REMOVE owner_subject", "unreadable_balance"),
    "seq of another type": ("SET seq = :text", "unreadable_balance"),
    "a status that there is not": ("SET #status = :text", "unreadable_balance"),
    "another status": ("SET #status = :blocked", "wrong_status"),
    "a negative balance": ("SET available = :below", "wrong_available"),
    "less than nothing on hold": ("SET on_hold = :below", "wrong_on_hold"),
}


@pytest.mark.parametrize(("update", "what"), SPOILT.values(), ids=SPOILT)
def test_a_damaged_balance_is_named_stops_its_account_and_nobody_else(
    bank: Bank, update: str, what: str
) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    waiting = bank.pay("bruno", bruno, ana, 5).transfer.transfer_id
    values = {":text": {"S": "x"}, ":blocked": {"S": "BLOCKED"}, ":below": {"N": "-1"}}
    request: dict[str, Any] = {
        "TableName": bank.tables.accounts,
        "Key": items.balance_key(ana),
        "UpdateExpression": update,
    }
    if used := {name: value for name, value in values.items() if name in update}:
        request["ExpressionAttributeValues"] = used
    if "#status" in update:
        request["ExpressionAttributeNames"] = {"#status": "status"}
    bank.raw.update_item(**request)
    codes = {"account_frozen", "account_blocked", "account_not_found"}
    with pytest.raises(Refusal) as refused:
        bank.pay("ana", ana, bruno, 1)
    assert refused.value.code in codes
    found = bank.auditor.audit().drift
    assert {each.account_id for each in found} == {ana}
    assert what in {each.what for each in found}
    for drift in found:
        bank.auditor.freeze(drift)
    with pytest.raises(account.Frozen):
        bank.ledger.settle(waiting, (), soon())
    with pytest.raises(Refusal) as refused:
        bank.pay("ana", ana, bruno, 1)
    assert refused.value.code == ("account_not_found" if "owner" in update else "account_frozen")
    assert bank.auditor.unfreeze(ana) != ()
    bank.ledger.settle(bank.pay("carla", carla, bruno, 7).transfer.transfer_id, (), soon())
    assert bank.available(bruno) == GRANT_CENTS + 2


def test_damaged_entries_and_transfers_are_named_and_raise_nothing(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    original = bank.paid("ana", ana, bruno, 300)
    month = account.month_of(iso(bank.time()))
    entry = items.key(items.entries_partition(ana, month), items.entry_sort(3))
    for table, key, attribute in (
        (bank.tables.accounts, entry, "hash"),
        (bank.tables.transactions, items.transfer_key(original), "amount_cents"),
        (bank.tables.accounts, items.opening_key(bruno, month), "seq"),
    ):
        bank.raw.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="REMOVE #name",
            ExpressionAttributeNames={"#name": attribute},
        )
    found = {(each.account_id, each.what) for each in bank.auditor.audit().drift}
    assert {(ana, "unreadable_entry"), (bruno, "unreadable_opening")} <= found
    with pytest.raises(Corrupted):
        bank.ledger.settle(original, (), soon())


def test_an_entry_that_is_forged_above_the_balance_is_named(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.paid("ana", ana, bruno, 300)
    balance = bank.accounts.balance(ana)
    forged = account.credit(balance, 1_000, "forged", iso(bank.time())).entry
    bank.raw.put_item(TableName=bank.tables.accounts, Item=items.entry_item(forged))
    assert {(each.account_id, each.what) for each in bank.auditor.audit().drift} == {(ana, "entry_above_seq")}


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_what_a_month_begins_with_is_held_against_the_months_before(bank: Bank, how: str) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.time.moment += timedelta(days=40)
    bank.paid("ana", ana, bruno, 300)
    assert bank.auditor.audit().ok
    key = items.opening_key(ana, account.month_of(iso(bank.time())))
    if how == "gone":
        bank.raw.delete_item(TableName=bank.tables.accounts, Key=key)
    else:
        bank.raw.update_item(
            TableName=bank.tables.accounts,
            Key=key,
            UpdateExpression="SET available = available + :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
    report = bank.auditor.audit()
    assert (ana, "wrong_opening") in {(each.account_id, each.what) for each in report.drift}


def test_what_can_be_returned_is_held_against_the_returns_there_are(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    untouched, shared = bank.paid("ana", ana, bruno, 300), bank.paid("ana", ana, bruno, 300)
    bank.give_back("bruno", shared, 100)
    assert bank.auditor.audit().ok
    for transfer_id, cents in ((untouched, 299), (shared, 201)):
        before = bank.standing_of(transfer_id).returnable_cents
        for value, expected in ((cents, {(bruno, "wrong_returnable")}), (before, set())):
            bank.raw.update_item(
                TableName=bank.tables.transactions,
                Key=items.transfer_key(transfer_id),
                UpdateExpression="SET returnable_cents = :cents",
                ExpressionAttributeValues={":cents": {"N": str(value)}},
            )
            assert {(each.account_id, each.what) for each in bank.auditor.audit().drift} == expected


def test_an_audit_from_last_month_on_reads_less_and_finds_what_is_new(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    for _ in range(4):
        bank.time.moment += timedelta(days=40)
        bank.paid("ana", ana, bruno, 1)
    whole, recent = bank.auditor.audit(), bank.auditor.audit(since=bank.auditor.last_month())
    assert whole.ok
    assert recent.ok, recent.drift
    assert recent.accounts == whole.accounts
    assert recent.entries < whole.entries
    bank.raw.update_item(
        TableName=bank.tables.accounts,
        Key=items.balance_key(ana),
        UpdateExpression="SET available = available + :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    assert [each.what for each in bank.auditor.audit(since=bank.auditor.last_month()).drift] == [
        "wrong_available"
    ]


def test_returns_beside_an_audit_raise_no_false_alarm(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    originals = [bank.paid("ana", ana, bruno, 100) for _ in range(3)]

    def give() -> None:
        for turn in range(8):
            giving = bank.give_back("bruno", originals[turn % 3], 10, seconds=20).transfer
            bank.ledger.settle(giving.transfer_id, (), later())

    with ThreadPoolExecutor(1) as pool:
        giving = pool.submit(give)
        reports = [bank.auditor.audit() for _ in range(6)]
        giving.result()
    assert [report.document() for report in reports if not report.ok] == []
    assert bank.auditor.audit().ok

"""The auditor finds every single item that was tampered with, names it, and is not fooled by what moves."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from apps.ledger import account, items
from apps.ledger.account import Balance, Frozen, Posting, Refusal
from apps.ledger.audit import Auditor
from apps.ledger.entries import Drift, Entry
from apps.ledger.store import Clock
from tests.apps.kit.faulty_dynamo import Faulty
from tests.apps.ledger.bank import GRANT_CENTS, Bank, fake_bank, soon


@dataclass
class Book:
    """A bank with some history: ana has paid bruno three times, the last one is still on hold."""

    bank: Bank
    ana: str
    bruno: str
    settled: str
    held: str

    def entry(self, account_id: str, seq: int) -> Entry:
        month = self.balance(account_id).month
        place = items.key(items.entries_partition(account_id, month), items.entry_sort(seq))
        return items.entry_of(self.item(place))

    def last(self, account_id: str) -> Entry:
        return self.entry(account_id, self.balance(account_id).seq)

    def item(self, key: Any) -> Any:
        return self.bank.raw.get_item(TableName=self.bank.tables.accounts, Key=key)["Item"]

    def change(self, key: Any, table: str | None, **values: str | int) -> None:
        table = table or self.bank.tables.accounts
        item = self.bank.raw.get_item(TableName=table, Key=key)["Item"]
        self.bank.raw.put_item(TableName=table, Item=item | items.attributes(values))

    def change_balance(self, **values: str | int) -> None:
        self.change(items.balance_key(self.ana), None, **values)

    def put(self, entry: Entry) -> None:
        self.bank.raw.put_item(TableName=self.bank.tables.accounts, Item=items.entry_item(entry))

    def delete(self, key: Any, table: str | None = None) -> None:
        self.bank.raw.delete_item(TableName=table or self.bank.tables.accounts, Key=key)

    def delete_entry(self, entry: Entry) -> None:
        self.delete(
            items.key(items.entries_partition(entry.account_id, entry.month), items.entry_sort(entry.seq))
        )

    def balance(self, account_id: str) -> Balance:
        return items.balance_of(self.item(items.balance_key(account_id)))

    def forge(self, posting: Posting) -> None:
        """Writes a balance and its entry, both sound, that no transfer explains."""
        self.put(posting.entry)
        self.write(posting.after)

    def write(self, balance: Balance) -> None:
        self.change(
            items.balance_key(balance.account_id),
            None,
            seq=balance.seq,
            available=balance.available,
            on_hold=balance.on_hold,
            last_hash=balance.last_hash,
        )

    def internal(self) -> list[str]:
        balances = [
            items.balance_of(item)
            for item in self.bank.raw.scan(TableName=self.bank.tables.accounts)["Items"]
            if item["sk"] == items.text(items.BALANCE_SORT)
        ]
        return [each.account_id for each in balances if each.internal]

    def found(self) -> set[tuple[str, str]]:
        names = {self.ana: "ana", self.bruno: "bruno"}
        return {
            (names.get(each.account_id, each.account_id), each.what)
            for each in self.bank.auditor.audit().drift
        }


@pytest.fixture
def book() -> Book:
    return fresh_book()


def fresh_book() -> Book:
    bank = fake_bank()
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    settled = bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    bank.pay("ana", ana, bruno, 1)
    bank.settle_all()
    held = bank.pay("ana", ana, bruno, 20).transfer.transfer_id
    return Book(bank, ana, bruno, settled, held)


Tamper = Callable[[Book], None]

TAMPERED: dict[str, tuple[Tamper, str, str]] = {
    "an entry is gone": (lambda book: book.delete_entry(book.entry(book.ana, 3)), "ana", "gap"),
    "the first entry is gone": (lambda book: book.delete_entry(book.entry(book.ana, 1)), "ana", "gap"),
    "the last entry is gone": (lambda book: book.delete_entry(book.last(book.ana)), "ana", "wrong_seq"),
    "an entry follows another one": (
        lambda book: book.put(replace(book.entry(book.ana, 3), prev_hash="0" * 64)),
        "ana",
        "broken_chain",
    ),
    "an entry says another amount": (
        lambda book: book.put(replace(book.entry(book.ana, 3), delta_available=-299)),
        "ana",
        "wrong_hash",
    ),
    "an entry names another transfer": (
        lambda book: book.put(replace(book.entry(book.ana, 3), transfer_id=book.held)),
        "ana",
        "wrong_hash",
    ),
    "an entry is sealed anew with another amount": (
        lambda book: book.put(replace(book.last(book.ana), delta_available=-1).sealed()),
        "ana",
        "wrong_sum",
    ),
    "an entry belongs to another account": (
        lambda book: book.change(
            items.key(
                items.entries_partition(book.ana, book.last(book.ana).month),
                items.entry_sort(book.last(book.ana).seq),
            ),
            None,
            account_id=book.bruno,
        ),
        "ana",
        "foreign_entry",
    ),
    "the balance has another number": (lambda book: book.change_balance(seq=99), "ana", "wrong_seq"),
    "more is available": (lambda book: book.change_balance(available=999_999), "ana", "wrong_available"),
    "less is available than nothing": (lambda book: book.change_balance(available=-1), "ana", "negative"),
    "less is on hold": (lambda book: book.change_balance(on_hold=0), "ana", "wrong_on_hold"),
    "the balance has another hash": (
        lambda book: book.change_balance(last_hash="0" * 64),
        "ana",
        "wrong_last_hash",
    ),
    "a transfer is gone": (
        lambda book: book.delete(items.transfer_key(book.settled), book.bank.tables.transactions),
        "bruno",
        "orphan_entry",
    ),
    "a transfer says another amount": (
        lambda book: book.change(
            items.transfer_key(book.settled), book.bank.tables.transactions, amount_cents=301
        ),
        "bruno",
        "transfer_mismatch",
    ),
    "a transfer says another status": (
        lambda book: book.change(
            items.transfer_key(book.settled), book.bank.tables.transactions, status="REJECTED"
        ),
        "ana",
        "transfer_mismatch",
    ),
    "a held transfer says that it is settled": (
        lambda book: book.change(
            items.transfer_key(book.held), book.bank.tables.transactions, status="SETTLED"
        ),
        "bruno",
        "transfer_mismatch",
    ),
    "an account is gone": (
        lambda book: book.delete(items.balance_key(book.bruno)),
        "bruno",
        "transfer_mismatch",
    ),
}


@pytest.mark.parametrize(("tamper", "who", "what"), TAMPERED.values(), ids=TAMPERED)
def test_it_finds_and_names(book: Book, tamper: Tamper, who: str, what: str) -> None:
    assert book.found() == set()
    tamper(book)
    assert (who, what) in book.found()


def test_a_sound_ledger_is_reported_with_its_numbers(book: Book) -> None:
    book.bank.time.moment += timedelta(seconds=7)
    report = book.bank.auditor.audit()
    assert report.ok
    assert report.transfers == len(["grant", "grant", "settled", "settled", "held"])
    assert report.accounts == len({book.ana, book.bruno, *book.internal()})
    entries = [book.last(each).seq for each in (book.ana, book.bruno, *book.internal())]
    assert report.entries == sum(entries)
    assert report.sum_cents == 0
    assert report.outbox_age_seconds == 7
    assert report.document()["ok"] is True


def test_entries_of_many_months_and_pages_add_up(book: Book) -> None:
    bank = book.bank
    for _ in range(3):
        bank.time.moment += timedelta(days=40)
        bank.pay("ana", book.ana, book.bruno, 1)
        bank.settle_all()
    bank.raw.page_items = 2
    report = bank.auditor.audit()
    assert report.ok, report.drift
    assert report.transfers == 2 + 3 + 3


def test_a_clock_that_is_behind_the_entries_hides_none(book: Book) -> None:
    book.bank.time.moment -= timedelta(days=60)
    assert book.found() == set()


def test_money_that_no_entry_explains_shows_in_the_sum(book: Book) -> None:
    treasury = next(iter(book.internal()))
    granted = book.last(treasury).available_after
    book.change(items.balance_key(treasury), None, available=0)
    report = book.bank.auditor.audit()
    assert report.sum_cents == -granted > 0
    assert not report.ok


def test_a_frozen_account_moves_no_money_until_its_audit_is_clean(book: Book) -> None:
    bank = book.bank
    before = book.item(items.balance_key(book.ana))
    book.change_balance(available=999_999)
    (drift,) = bank.auditor.audit().drift
    bank.auditor.freeze(drift)
    frozen = book.item(items.balance_key(book.ana))
    assert frozen["frozen"] == items.text("wrong_available")
    assert frozen["seq"] == before["seq"]
    with pytest.raises(Refusal, match="account_frozen"):
        bank.pay("ana", book.ana, book.bruno, 1)
    with pytest.raises(Frozen):
        bank.ledger.settle(book.held, (), soon())
    assert [each.what for each in bank.auditor.unfreeze(book.ana)] == ["wrong_available"]
    book.change_balance(available=int(before["available"]["N"]))
    assert bank.auditor.unfreeze(book.ana) == ()
    assert book.item(items.balance_key(book.ana)) == before
    bank.settle_all()
    assert bank.available(book.bruno) == GRANT_CENTS + 321


def test_freezing_keeps_the_evidence_and_is_no_drift_itself(book: Book) -> None:
    book.bank.auditor.freeze(Drift(book.ana, "gap", "a test"))
    assert book.found() == set()


@pytest.mark.parametrize("account_id", ["nobody", "treasury#99"])
def test_an_account_that_is_not_there_is_neither_frozen_nor_unfrozen(book: Book, account_id: str) -> None:
    with pytest.raises(LookupError, match=account_id):
        book.bank.auditor.freeze(Drift(account_id, "gap", "a test"))
    with pytest.raises(LookupError, match=account_id):
        book.bank.auditor.unfreeze(account_id)


def watched(bank: Bank, *between: Callable[[], object], operation: str = "scan") -> tuple[Auditor, Faulty]:
    """An auditor, and its client, that does one of `between` after each of its calls of `operation`."""
    client = Faulty(bank.raw, operation)

    def fault(act: Callable[[], object]) -> Any:
        def answer_first(_: str, call: Callable[[], Any]) -> Any:
            answer = call()
            act()
            return answer

        return answer_first

    client.faults = [fault(act) for act in between]
    return Auditor(client, bank.tables, 1, clock=Clock(now=bank.time)), client


def test_what_a_second_pass_does_not_show_is_no_drift(book: Book) -> None:
    sound = book.item(items.balance_key(book.ana))
    book.change_balance(available=999_999)

    def mend() -> None:
        book.bank.raw.put_item(TableName="accounts", Item=sound)

    auditor, client = watched(book.bank, lambda: None, mend)
    report = auditor.audit()
    assert report.ok, report.drift
    assert len(client.seen) == 2


def test_a_clean_ledger_is_read_once(book: Book) -> None:
    auditor, client = watched(book.bank)
    assert auditor.audit().ok
    assert len(client.seen) == 1


def test_money_on_an_account_that_the_transfer_does_not_concern_is_a_mismatch(book: Book) -> None:
    carla = book.bank.rich("carla")
    balance = book.balance(carla)
    book.forge(account.credit(balance, 300, book.settled, balance.opened_at))
    assert book.found() == {(carla, "transfer_mismatch")}


def test_entries_that_cancel_each_other_on_a_stranger_are_no_drift(book: Book) -> None:
    carla = book.bank.rich("carla")
    balance = book.balance(carla)
    book.forge(account.hold(balance, 300, book.settled, balance.opened_at))
    book.forge(account.release(book.balance(carla), 300, book.settled, balance.opened_at))
    assert book.found() == set()


class Interrupted:
    """A client that does `act` once, right after its call number `at`."""

    def __init__(self, raw: Any, at: int, act: Callable[[], object]) -> None:
        self.raw = raw
        self.left = at
        self.act = act
        self.scans = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            answer = getattr(self.raw, name)(**request)
            self.scans += name == "scan"
            self.left -= 1
            if self.left == 0:
                self.act()
            return answer

        return call


def newcomers(book: Book) -> None:
    """Money goes to accounts that are opened now, through three hands."""
    bank = book.bank
    dora, edu, fabia = (bank.rich(name) for name in ("dora", "edu", "fabia"))
    bank.pay("ana", book.ana, dora, 50)
    bank.settle_all()
    bank.pay("dora", dora, edu, 40)
    bank.settle_all()
    bank.pay("edu", edu, fabia, 30)
    bank.settle_all()


def expiry(book: Book) -> None:
    book.bank.time.moment += timedelta(minutes=31)
    assert book.bank.ledger.expire(book.held, soon())


def a_hold_and_its_end(book: Book) -> None:
    book.bank.pay("bruno", book.bruno, book.ana, 7)
    book.bank.settle_all()


def opening(book: Book) -> str:
    """An account that is opened now, paid by a transfer that is not settled yet."""
    dora = book.bank.rich("dora")
    book.bank.pay("ana", book.ana, dora, 50)
    return dora


@pytest.mark.parametrize("act", [newcomers, expiry, a_hold_and_its_end], ids=lambda act: act.__name__)
def test_what_moves_anywhere_during_an_audit_raises_no_suspicion(act: Callable[[Book], None]) -> None:
    for at in range(1, 200):
        book = fresh_book()
        client = Interrupted(book.bank.raw, at, partial(act, book))
        report = Auditor(client, book.bank.tables, 1, clock=Clock(now=book.bank.time)).audit()
        assert (at, report.drift, report.sum_cents, client.scans) == (at, (), 0, 1)
        if client.left > 0:
            return
    raise AssertionError("an audit of a small ledger has no end")


def test_a_payee_who_is_new_and_paid_during_an_audit_raises_no_suspicion() -> None:
    for at in range(2, 200):
        book = fresh_book()
        inner = Interrupted(book.bank.raw, at, book.bank.settle_all)
        client = Interrupted(inner, 1, partial(opening, book))
        report = Auditor(client, book.bank.tables, 1, clock=Clock(now=book.bank.time)).audit()
        assert (at, report.drift, report.sum_cents, client.scans) == (at, (), 0, 1)
        if inner.left > 0:
            return
    raise AssertionError("an audit of a small ledger has no end")


def test_a_sum_that_only_one_pass_shows_is_no_alarm(book: Book) -> None:
    treasury = book.balance(book.internal()[0])
    book.forge(account.post(treasury, "open", None, treasury.opened_at, available=100, on_hold=0))

    def mend() -> None:
        book.delete_entry(book.last(treasury.account_id))
        book.write(treasury)

    auditor, client = watched(book.bank, lambda: None, mend)
    report = auditor.audit()
    assert (report.sum_cents, report.drift) == (0, ())
    assert len(client.seen) == 2


def test_a_sum_that_only_the_second_pass_shows_is_no_alarm(book: Book) -> None:
    sound = book.item(items.balance_key(book.ana))
    book.change_balance(last_hash="0" * 64)
    treasury = book.balance(book.internal()[0])

    def mend_and_spoil() -> None:
        book.bank.raw.put_item(TableName="accounts", Item=sound)
        book.forge(account.post(treasury, "open", None, treasury.opened_at, available=100, on_hold=0))

    auditor, client = watched(book.bank, lambda: None, mend_and_spoil)
    assert auditor.audit().ok
    assert len(client.seen) == 2
    assert auditor.audit().sum_cents == 100


def test_a_sum_that_two_passes_show_is_an_alarm_without_any_drift(book: Book) -> None:
    treasury = book.balance(book.internal()[0])
    book.forge(account.post(treasury, "open", None, treasury.opened_at, available=100, on_hold=0))
    auditor, client = watched(book.bank)
    report = auditor.audit()
    assert (report.ok, report.sum_cents, report.drift) == (False, 100, ())
    assert len(client.seen) == 2

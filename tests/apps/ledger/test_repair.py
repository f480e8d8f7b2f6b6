"""What one table lacks after a restore is derived from the others, or named; and no money is made up.

Each restore here takes some of the last writes of one table away and leaves the others as they are.
"""

import contextlib
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.kit.dynamo import Item
from apps.ledger import account, items
from apps.ledger.evidence import Finding
from apps.ledger.outbox import Published
from apps.ledger.receiving import Receiving
from apps.ledger.repair import Plan, planned
from apps.ledger.restored import Moved, Restored, events_since
from apps.ledger.transfer import Sent, Transfer
from tests.apps.ledger import values
from tests.apps.ledger.bank import Bank, fake_bank, soon

TABLES = ("accounts", "transactions", "events")
LIFETIME = timedelta(minutes=30)
Images = dict[str, dict[tuple[str, str], Item]]


@dataclass
class Restore:
    """A bank that remembers how its tables were after each step, so that one can be taken back there."""

    bank: Bank = field(default_factory=fake_bank)
    past: list[Images] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tick()

    def tick(self) -> None:
        """One step is over: its writes are a second older than those of the next."""
        self.past.append({name: self.image(name) for name in TABLES})
        self.bank.time.moment += timedelta(seconds=1)

    def image(self, table: str) -> dict[tuple[str, str], Item]:
        found = self.bank.raw.scan(TableName=table)["Items"]
        return {(each["pk"]["S"], each["sk"]["S"]): copy.deepcopy(each) for each in found}

    def take_back(
        self, table: str, steps: int, keeps: Callable[[tuple[str, str]], bool] = lambda _: False
    ) -> None:
        """One table as it was some steps ago, but for items that its restore had caught already."""
        then, now = self.past[-1 - steps][table], self.image(table)
        for key in sorted({*then, *now}):
            if then.get(key) == now.get(key) or keeps(key):
                continue
            if key in then:
                self.bank.raw.put_item(TableName=table, Item=then[key])
            else:
                self.bank.raw.delete_item(TableName=table, Key=items.key(*key))

    @property
    def restored(self) -> Restored:
        return Restored(self.bank.client, self.bank.tables, 1)

    def plan(self) -> Plan:
        since = events_since(self.bank.time.moment)
        return planned(self.restored.records(), LIFETIME, since)

    def repair(self) -> Plan:
        plan = self.plan()
        self.restored.write(plan)
        again = self.plan()
        assert again.mended == [], "a second repair has nothing to do"
        assert again.left == plan.left or not again.left
        return plan

    def pay(self, payer: str, payee: str, cents: int) -> str:
        transfer = self.bank.pay(self.owner(payer), payer, payee, cents).transfer
        self.tick()
        return transfer.transfer_id

    def settle(self) -> None:
        self.publish()
        self.tick()

    def publish(self) -> None:
        """What relay and worker do: Kafka takes each event, and who is paid gets the money."""
        outbox, now = self.bank.outbox, self.bank.time.moment
        while rows := outbox.waiting(0, 40):
            for row in rows:
                self.bank.ledger.settle(row.transfer_id, (), soon())
            lease = outbox.take_lease(outbox.lease(0), 0, "relay", until=now, now=now)
            assert lease is not None
            outbox.published([Published(row, 0, 0) for row in rows], lease, lease, now)

    def owner(self, account_id: str) -> str:
        balance = self.bank.ledger.balance(account_id)
        assert balance is not None
        return balance.owner

    def sound(self) -> bool:
        return self.bank.auditor.audit().ok


@dataclass
class Book(Restore):
    """Ana and Bruno have their welcome money."""

    ana: str = ""
    bruno: str = ""

    def __post_init__(self) -> None:
        self.ana, self.bruno = (self.bank.open(each, key=each) for each in ("ana", "bruno"))
        self.settle()
        super().__post_init__()


@pytest.fixture
def book() -> Book:
    return Book()


def told(plan: Plan) -> set[str]:
    return {each.what for each in plan.mended}


def everything(restore: Restore) -> Images:
    return {name: restore.image(name) for name in TABLES}


def test_where_nothing_is_missing_nothing_is_written(book: Book) -> None:
    book.pay(book.ana, book.bruno, 5)
    before = everything(book)
    assert book.repair() == Plan()
    assert everything(book) == before


@pytest.mark.parametrize("settled", [False, True])
def test_accounts_that_lack_what_a_transfer_did_get_it_again(book: Book, settled: bool) -> None:
    book.pay(book.ana, book.bruno, 500)
    if settled:
        book.settle()
    expected = book.image("accounts")
    book.take_back("accounts", 1 + settled)
    # The auditor goes from entries to transfers: what no entry names is found by the repair alone.
    assert book.sound()
    plan = book.repair()
    assert {"entry", "balance"} <= told(plan)
    assert plan.left == []
    assert book.sound()
    assert book.image("accounts") == expected, "byte for byte what the services had written"


def test_a_balance_behind_its_entries_follows_them(book: Book) -> None:
    book.pay(book.ana, book.bruno, 500)
    expected = book.image("accounts")
    book.take_back("accounts", 1, keeps=lambda key: key[0].startswith("ENT#"))
    plan = book.repair()
    assert "entry" not in told(plan)
    assert plan.left == []
    assert book.image("accounts") == expected


@pytest.mark.parametrize("entries_stand", [False, True])
def test_a_month_that_began_with_what_was_lost_begins_again(book: Book, entries_stand: bool) -> None:
    book.bank.time.moment += timedelta(days=7)
    book.pay(book.ana, book.bruno, 500)
    expected = book.image("accounts")
    assert (f"ACC#{book.ana}", "MONTH#202612") in expected
    book.take_back("accounts", 1, keeps=lambda key: entries_stand and key[0].startswith("ENT#"))
    assert book.repair().left == []
    assert book.image("accounts") == expected


def test_entries_below_the_balance_come_back_if_they_give_its_hash(book: Book) -> None:
    for cents in (1, 2, 3):
        book.pay(book.ana, book.bruno, cents)
    expected = book.image("accounts")
    book.take_back("accounts", 3, keeps=lambda key: key[1] == "BAL")
    plan = book.repair()
    assert plan.left == []
    assert book.image("accounts") == expected


def test_an_entry_in_the_middle_comes_back_if_it_gives_the_next_ones_hash(book: Book) -> None:
    for cents in (1, 2, 3):
        book.pay(book.ana, book.bruno, cents)
    expected = book.image("accounts")
    place = items.key(items.entries_partition(book.ana, "202611"), items.entry_sort(3))
    book.bank.raw.delete_item(TableName="accounts", Key=place)
    assert book.repair().left == []
    assert book.image("accounts") == expected


def test_an_entry_that_no_hash_proves_is_named_and_not_made_up(book: Book) -> None:
    book.pay(book.ana, book.bruno, 1)
    book.bank.ledger.change_status(book.ana, account.block, soon())
    book.tick()
    book.take_back("accounts", 1, keeps=lambda key: key[1] == "BAL")
    before = book.image("accounts")
    plan = book.repair()
    assert [(each.what, each.account_id) for each in plan.left] == [("entries_lost", book.ana)]
    assert book.image("accounts") == before
    assert {each.account_id for each in book.bank.auditor.audit().drift} == {book.ana}


def test_limits_that_only_the_balance_knew_are_named(book: Book) -> None:
    entries = book.image("accounts")
    balance = book.bank.ledger.balance(book.ana)
    assert balance is not None
    limits = replace(balance.allowed, day=replace(balance.allowed.day, value=1))
    book.bank.ledger.change_status(book.ana, lambda at, when: account.limit(at, limits, when), soon())
    assert entries != book.image("accounts")
    book.tick()
    book.take_back("accounts", 1, keeps=lambda key: key[0].startswith("ENT#"))
    assert [each.what for each in book.repair().left] == ["limits_lost"]
    assert book.sound()


def test_a_hold_that_entries_and_event_show_is_put_back(book: Book) -> None:
    one = book.pay(book.ana, book.bruno, 500)
    was = book.bank.standing_of(one)
    book.take_back("transactions", 1)
    plan = book.repair()
    assert {"transfer", "end_to_end_id"} == told(plan)
    assert "idempotency_key_reused" in plan.mended[0].detail
    found = book.bank.standing_of(one)
    assert found == replace(was, request_hash="", answer="")
    assert book.bank.ledger.paid_as(found.end_to_end_id or "") == one
    assert book.sound()
    book.settle()
    assert book.bank.standing_of(one).status == "SETTLED"
    assert book.sound()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_transfer_still_held_that_was_settled_is_settled(book: Book, steps: int) -> None:
    one = book.pay(book.ana, book.bruno, 500)
    book.bank.ledger.settle(one, (), soon())
    book.tick()
    was = book.bank.standing_of(one)
    book.take_back("transactions", steps)
    plan = book.repair()
    assert plan.left == []
    found = book.bank.standing_of(one)
    assert replace(found, request_hash=was.request_hash, answer=was.answer) == was
    assert book.sound()


def test_a_transfer_still_held_that_was_given_back_is_rejected_for_the_same_reason(book: Book) -> None:
    one = book.pay(book.ana, book.bruno, 500)
    book.bank.time.moment += LIFETIME
    book.bank.ledger.expire(one, soon())
    book.tick()
    was = book.bank.standing_of(one)
    book.take_back("transactions", 1)
    assert told(book.repair()) == {"status"}
    assert book.bank.standing_of(one) == was
    assert book.sound()


def test_what_a_return_took_of_its_original_is_taken_again(book: Book) -> None:
    one = book.pay(book.ana, book.bruno, 500)
    book.settle()
    book.bank.give_back("bruno", one, 200)
    book.tick()
    book.take_back("transactions", 1)
    assert book.bank.standing_of(one).returnable_cents == 500
    plan = book.repair()
    assert {"transfer", "end_to_end_id", "returnable"} == told(plan)
    assert book.bank.standing_of(one).returnable_cents == 300
    assert book.sound()


def test_events_that_no_table_knows_go_out_again_with_their_ids_and_bytes(book: Book) -> None:
    one = book.pay(book.ana, book.bruno, 500)
    expected = book.image("events")
    book.take_back("events", 1)
    assert not book.bank.outbox.waiting(0, 1)
    plan = book.repair()
    assert Finding("event", "held goes to the outbox again", one) in plan.mended
    now = book.image("events")
    assert {key: now[key] for key in expected} == expected
    book.settle()
    assert book.bank.standing_of(one).status == "SETTLED"


def test_events_older_than_the_history_are_not_missed(book: Book) -> None:
    book.pay(book.ana, book.bruno, 500)
    book.settle()
    book.bank.time.moment += timedelta(days=401)
    assert book.repair() == Plan()


def test_an_account_that_is_gone_is_named_and_its_payer_keeps_the_hold(book: Book) -> None:
    carla = book.bank.open("carla")
    book.tick()
    book.settle()
    book.take_back("accounts", 2)
    plan = book.repair()
    assert {each.what for each in plan.left} == {"account_lost", "posting_impossible"}
    assert {each.account_id for each in plan.left} >= {carla}
    report = book.bank.auditor.audit()
    assert report.sum_cents == 0
    assert {each.what for each in report.drift} == {"transfer_mismatch"}


def pix(book: Book) -> str:
    """A Pix to another bank, held."""
    order = replace(
        values.PIX,
        payer=book.ana,
        subject="ana",
        payee=account.internal_item(account.SETTLEMENT, values.PIX.transfer_id),
    )
    first = book.bank.ledger.standing(order.transfer_id, (order.payer, order.payee))
    book.bank.ledger.hold(order, first, LIFETIME, lambda _: "{}", soon())
    book.tick()
    return order.transfer_id


def test_a_pix_that_was_sent_is_never_held_again(book: Book) -> None:
    one = pix(book)
    book.bank.ledger.send(one, lambda _, at: Sent("<order/>", "M1", at.at), soon())
    book.tick()
    was = book.bank.standing_of(one)
    book.take_back("transactions", 1)
    plan = book.repair()
    assert [(each.what, each.transfer_id) for each in plan.left] == [("order_lost", one)]
    assert book.bank.standing_of(one) == replace(was, sent_order=None, message_id=None)
    assert book.bank.ledger.arrive(one, soon()).status == "SETTLED"  # type: ignore[union-attr]
    assert book.sound()


def test_a_pix_whose_item_is_gone_is_named_with_its_id(book: Book) -> None:
    one = pix(book)
    book.take_back("transactions", 1)
    plan = book.repair()
    assert [(each.what, each.transfer_id) for each in plan.left] == [("payment_lost", one)]
    assert {each.what for each in book.bank.auditor.audit().drift} == {"orphan_entry"}


@pytest.mark.parametrize("credited", [False, True])
def test_a_promise_to_another_bank_and_its_credit_come_back(book: Book, credited: bool) -> None:
    receiving = Receiving(book.bank.ledger)
    order = replace(values.PIX_IN, payee=book.ana)
    receiving.accept([order], soon())
    book.tick()
    if credited:
        receiving.credit([order.transfer_id], soon())
        book.tick()
    expected = book.image("accounts")
    book.take_back("accounts", 1 + credited)
    assert book.repair().left == []
    assert book.image("accounts") == expected
    assert book.sound()


def test_a_contradiction_is_left_to_people(book: Book) -> None:
    one = book.pay(book.ana, book.bruno, 500)
    book.bank.ledger.settle(one, (), soon())
    book.bank.raw.update_item(
        TableName="transactions",
        Key=items.transfer_key(one),
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "REJECTED"}},
    )
    before = everything(book)
    assert [(each.what, each.transfer_id) for each in book.repair().left] == [("contradiction", one)]
    now = everything(book)
    assert now["accounts"] == before["accounts"]
    assert now["transactions"] == before["transactions"]


def test_a_service_that_writes_meanwhile_makes_the_repair_stop(book: Book) -> None:
    book.pay(book.ana, book.bruno, 500)
    book.take_back("accounts", 1)
    plan = book.plan()
    book.bank.ledger.change_status(book.ana, account.block, soon())
    before = book.image("accounts")
    with pytest.raises(Moved):
        book.restored.write(plan)
    assert book.image("accounts") == before


def test_an_item_that_cannot_be_read_is_named_and_nothing_is_written_by_it(book: Book) -> None:
    one = book.pay(book.ana, book.bruno, 500)
    book.bank.raw.update_item(
        TableName="transactions",
        Key=items.transfer_key(one),
        UpdateExpression="REMOVE payer",
    )
    plan = book.repair()
    assert [(each.what, each.transfer_id) for each in plan.left] == [("unreadable_transfer", one)]


@dataclass(frozen=True)
class Happening:
    """One thing that happens at the bank, or is refused, by the number of whom it concerns."""

    what: str
    one: int
    other: int
    cents: int


HAPPENINGS = st.lists(
    st.builds(
        Happening,
        st.sampled_from(["pay", "pay", "settle", "publish", "expire", "give_back", "open", "block"]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(1, 70_000),
    ),
    min_size=1,
    max_size=12,
)
CAUGHT = st.just([False]) | st.lists(st.booleans(), min_size=20, max_size=20)
"""Of the items that were written last, those that the table's restore has all the same."""


@dataclass
class Days:
    """What happens at a bank with some people."""

    book: Book
    people: list[str]

    def happens(self, each: Happening) -> None:
        with contextlib.suppress(account.Refusal):
            getattr(self, each.what)(each)
        self.book.tick()

    def pay(self, each: Happening) -> None:
        payer = self.person(each.one)
        to, key = self.person(each.other), str(len(self.book.past))
        self.book.bank.pay(self.book.owner(payer), payer, to, each.cents, key=key)

    def settle(self, _: Happening) -> None:
        for transfer in transfers(self.book):
            self.book.bank.ledger.settle(transfer.transfer_id, (), soon())

    def publish(self, _: Happening) -> None:
        self.book.publish()

    def expire(self, _: Happening) -> None:
        self.book.bank.time.moment += LIFETIME
        for transfer in transfers(self.book):
            self.book.bank.ledger.expire(transfer.transfer_id, soon())

    def give_back(self, each: Happening) -> None:
        who, key = self.person(each.one), str(len(self.book.past))
        for transfer in transfers(self.book):
            if transfer.payee == who and transfer.returnable_cents:
                cents = min(each.cents, transfer.returnable_cents)
                self.book.bank.give_back(self.book.owner(who), transfer.transfer_id, cents, key)
                return

    def open(self, _: Happening) -> None:
        self.people.append(self.book.bank.open(f"number {len(self.people)}", key="first"))

    def block(self, each: Happening) -> None:
        rule = account.block if each.cents % 2 else account.unblock
        self.book.bank.ledger.change_status(self.person(each.one), rule, soon())

    def person(self, number: int) -> str:
        return self.people[number % len(self.people)]


def transfers(book: Book) -> list[Transfer]:
    found = [items.found_of(each) for key, each in book.image("transactions").items() if key[1] == "TX"]
    return sorted((each for each in found if isinstance(each, Transfer)), key=lambda each: each.created_at)


@settings(max_examples=40)
@given(HAPPENINGS, st.sampled_from(TABLES), st.integers(1, 6), CAUGHT)
def test_whatever_one_table_lacks_the_audit_is_clean_or_what_is_left_is_named(
    happenings: list[Happening], table: str, back: int, caught: list[bool]
) -> None:
    book = Book()
    days = Days(book, [book.ana, book.bruno])
    for each in happenings:
        days.happens(each)
    back = min(back, len(book.past) - 1)
    chance = cycle(caught)
    book.take_back(table, back, keeps=lambda _: next(chance))
    plan = book.repair()
    report = book.bank.auditor.audit()
    named = {each.account_id for each in plan.left} | {
        party
        for each in plan.left
        if (transfer := book.bank.ledger.transfer(each.transfer_id or "")) is not None
        for party in (transfer.payer, transfer.payee)
    }
    assert {each.account_id for each in report.drift} <= named, json.dumps(plan.document(), indent=1)
    if table != "accounts" and not any(caught):
        assert report.ok
    if report.ok:
        assert report.sum_cents == 0
    for account_id in days.people:
        balance = book.bank.ledger.balance(account_id)
        assert balance is None or balance.available >= 0

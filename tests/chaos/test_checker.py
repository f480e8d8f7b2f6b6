"""The checker is tested like the bank: what is in order passes, and each thing that is not is found.

The tables here are written by hand, item by item, and then corrupted by hand.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest

from apps.ledger.entries import Entry
from tests.chaos.books import Books
from tests.chaos.checker import (
    GENESIS,
    Answered,
    Asked,
    History,
    counted,
    on_topic,
    sealed,
    violations,
)
from tests.chaos.soak import Memory

Item = dict[str, Any]
ANA, BRUNO, TREASURY, SETTLEMENT = "ana", "bruno", "treasury#0", "settlement#0"
KEY = "maria@example.com"
AT = "2026-11-25T12:00:00.000Z"


def attributes(pk: str, sk: str, **values: Any) -> Item:
    item: Item = {"pk": {"S": pk}, "sk": {"S": sk}}
    for name, value in values.items():
        if value is not None:
            item[name] = {"N": str(value)} if isinstance(value, int) else {"S": value}
    return item


@dataclass
class Hand:
    """Tables that are written by hand: balances and entries as postings come, transfers and their events."""

    accounts: dict[str, Item] = field(default_factory=dict)
    transactions: dict[str, Item] = field(default_factory=dict)
    events: dict[str, Item] = field(default_factory=dict)
    _last: dict[str, Entry] = field(default_factory=dict)
    _promised: Counter[str] = field(default_factory=Counter)

    def post(self, account: str, kind: str, transfer: str | None, available: int, on_hold: int) -> None:
        last = self._last.get(account)
        entry = Entry(
            account_id=account,
            seq=last.seq + 1 if last else 1,
            kind=kind,  # type: ignore[arg-type]
            transfer_id=transfer,
            delta_available=available,
            delta_on_hold=on_hold,
            available_after=(last.available_after if last else 0) + available,
            on_hold_after=(last.on_hold_after if last else 0) + on_hold,
            at=AT,
            month="202611",
            prev_hash=last.hash if last else GENESIS,
        )
        self.put(replace(entry, hash=sealed(entry)))

    def put(self, entry: Entry) -> None:
        """Writes an entry, and the balance as it is after it."""
        self._last[entry.account_id] = entry
        values = {each.name: getattr(entry, each.name) for each in fields(Entry)}
        self.accounts[f"{entry.account_id} {entry.seq}"] = attributes(
            f"ENT#{entry.account_id}#202611", f"{entry.seq:012d}", **values
        )
        self.accounts[entry.account_id] = attributes(
            f"ACC#{entry.account_id}",
            "BAL",
            account_id=entry.account_id,
            owner_subject="",
            seq=entry.seq,
            available=entry.available_after,
            on_hold=entry.on_hold_after,
            pending_credits=self._promised[entry.account_id],
            last_hash=entry.hash,
        )

    def transfer(
        self, name: str, status: str, payer: str, payee: str, cents: int, *, kind: str = "transfer"
    ) -> None:
        self.post(payer, "hold", name, -cents, cents)
        if status == "SETTLED":
            self.post(payer, "debit", name, 0, -cents)
            self.post(payee, "credit", name, cents, 0)
        elif status == "REJECTED":
            self.post(payer, "release", name, cents, -cents)
        self._stands(name, status, payer, payee, cents, first="HELD", kind=kind)

    def pix_out(self, name: str, status: str, payer: str, cents: int) -> None:
        """A Pix to another bank that was SENT at least."""
        self.transfer(name, status, payer, SETTLEMENT, cents)
        self.event(name, "SENT")
        payment = json.dumps({"key": KEY})
        self.transactions[name] |= attributes(
            f"TX#{name}", "TX", accepted_at=AT, end_to_end_id=f"E{name}", payment=payment
        )

    def pix_in(self, name: str, status: str, payee: str, cents: int) -> None:
        """A Pix from another bank."""
        self._promised[payee] += cents
        self.post(payee, "accept", name, 0, 0)
        if status != "ACCEPTED":
            self._promised[payee] -= cents
        if status == "SETTLED":
            self.post(SETTLEMENT, "debit", name, -cents, 0)
            self.post(payee, "credit", name, cents, 0)
        elif status == "REJECTED":
            self.post(payee, "reject", name, 0, 0)
        self._stands(name, status, SETTLEMENT, payee, cents, first="ACCEPTED", kind="transfer")
        self.transactions[name] |= attributes(f"TX#{name}", "TX", accepted_at=AT, end_to_end_id=f"E{name}")

    def _stands(
        self, name: str, status: str, payer: str, payee: str, cents: int, *, first: str, kind: str
    ) -> None:
        self.transactions[name] = attributes(
            f"TX#{name}",
            "TX",
            transfer_id=name,
            kind=kind,
            status=status,
            payer=payer,
            payee=payee,
            amount_cents=cents,
            description=f"key of {name}" if kind == "transfer" else None,
            event_id=f"{name} {status}",
        )
        for told in dict.fromkeys([first, status]):
            self.event(name, told)

    def event(self, name: str, told: str, event_id: str | None = None) -> None:
        event_id = event_id or f"{name} {told}"
        record = f'{{"headers":[["ce_type","br.gobanking.transfer.{told.lower()}"]]}}'
        self.events[event_id] = attributes(
            f"HIS#{name}", event_id, transfer_id=name, event_id=event_id, record=record
        )

    def books(self) -> Books:
        return Books.of(self.accounts.values(), self.transactions.values(), self.events.values())


@pytest.fixture
def hand() -> Hand:
    """Two people with a grant each, a transfer that was settled and one that was rejected."""
    tables = Hand()
    for person in (ANA, BRUNO):
        tables.post(person, "open", None, 0, 0)
        tables.transfer(f"grant of {person}", "SETTLED", TREASURY, person, 1000, kind="grant")
    tables.transfer("settled", "SETTLED", ANA, BRUNO, 300)
    tables.transfer("rejected", "REJECTED", BRUNO, ANA, 50)
    tables.transactions["refused"] = attributes("TX#refused", "TX", refused=1, problem="[]")
    return tables


@pytest.fixture
def history() -> History:
    """What the clients of these tables were told: both transfers, and a refusal."""
    told = History()
    for number, (name, payer, payee, cents) in enumerate(
        [("settled", ANA, BRUNO, 300), ("rejected", BRUNO, ANA, 50), ("refused", ANA, BRUNO, 5000)]
    ):
        key = f"key of {name}"
        told.asked[key] = Asked(key, payer, payee, cents)
        if name == "refused":
            told.answered[key].append(Answered("refused", number, number + 0.5, code="insufficient_funds"))
        else:
            told.answered[key].append(Answered("acked", number, number + 0.5, name, text=f"{name} held"))
    told.seen = {"settled": "SETTLED", "rejected": "REJECTED"}
    told.snapshots = [{ANA: (700, 0), BRUNO: (1250, 50), TREASURY: (-2000, 0)}]
    return told


def set_to(table: str, item: str, name: str, value: Any) -> Callable[[Hand], None]:
    """Changes one attribute by hand."""

    def change(hand: Hand) -> None:
        kind = "N" if isinstance(value, int) else "S"
        getattr(hand, table)[item][name] = {kind: str(value)}

    return change


def without(table: str, item: str) -> Callable[[Hand], None]:
    """Takes an item out by hand."""

    def change(hand: Hand) -> None:
        del getattr(hand, table)[item]

    return change


def both_of(*changes: Callable[[Hand], None]) -> Callable[[Hand], None]:
    """Makes several changes by hand."""

    def change(hand: Hand) -> None:
        for each in changes:
            each(hand)

    return change


def of(hand: Hand, account: str, seq: int) -> Entry:
    return next(entry for entry in hand.books().entries[account] if entry.seq == seq)


def reseal(hand: Hand) -> None:
    """A forger who knows the hash: the last entry says more, and so does the balance."""
    last = of(hand, ANA, 4)
    forged = replace(last, delta_available=100, available_after=last.available_after + 100)
    hand.put(replace(forged, hash=sealed(forged)))


def overdraw(hand: Hand) -> None:
    """More is paid than there is, properly booked."""
    hand.transfer("too much", "SETTLED", ANA, BRUNO, 800, kind="grant")


def hold_for_ever(hand: Hand) -> None:
    hand.transfer("waiting", "HELD", ANA, BRUNO, 10, kind="grant")


def two_events(hand: Hand) -> None:
    hand.event("settled", "SETTLED", "another")


def forgotten_hold(hand: Hand) -> None:
    """The status says rejected, and the money is still on hold."""
    hold_for_ever(hand)
    hand.transactions["waiting"] |= {"status": {"S": "REJECTED"}, "event_id": {"S": "waiting REJECTED"}}
    hand.event("waiting", "REJECTED")


def foreign_entry(hand: Hand) -> None:
    entry = replace(of(hand, ANA, 1), account_id=BRUNO)
    hand.accounts["ana 1"]["account_id"] = {"S": entry.account_id}


CORRUPTIONS: dict[str, tuple[Callable[[Hand], None], set[str]]] = {
    "a balance raised": (
        set_to("accounts", ANA, "available", 701),
        {"sum_is_not_zero", "balance_is_not_its_entries"},
    ),
    "a balance below zero": (
        set_to("accounts", ANA, "available", -1),
        {"sum_is_not_zero", "balance_is_not_its_entries", "negative"},
    ),
    "a hold on the balance alone": (
        set_to("accounts", ANA, "on_hold", 5),
        {"sum_is_not_zero", "balance_is_not_its_entries", "on_hold_is_not_the_held_transfers"},
    ),
    "a balance with another number": (
        set_to("accounts", ANA, "seq", 9),
        {"balance_is_not_its_entries"},
    ),
    "a balance with another hash": (
        set_to("accounts", ANA, "last_hash", "f" * 64),
        {"balance_is_not_its_entries"},
    ),
    "a frozen account": (set_to("accounts", ANA, "frozen", "negative"), {"frozen"}),
    "a balance gone": (without("accounts", ANA), {"sum_is_not_zero", "entries_without_a_balance"}),
    "an entry gone": (
        without("accounts", "ana 3"),
        {
            "gap",
            "broken_chain",
            "wrong_running_balance",
            "was_negative",
            "entries_are_not_the_transfer",
            "balance_is_not_its_entries",
        },
    ),
    "the last entry gone": (
        without("accounts", "ana 4"),
        {"balance_is_not_its_entries", "entries_are_not_the_transfer"},
    ),
    "an entry's amount changed": (
        set_to("accounts", "ana 2", "delta_available", 1001),
        {
            "wrong_hash",
            "wrong_running_balance",
            "entries_are_not_the_transfer",
            "balance_is_not_its_entries",
        },
    ),
    "an entry's time changed": (set_to("accounts", "ana 2", "at", "2026-11-26"), {"wrong_hash"}),
    "an entry after another": (
        set_to("accounts", "ana 3", "prev_hash", GENESIS),
        {"broken_chain", "wrong_hash"},
    ),
    "an entry of another account": (foreign_entry, {"foreign_entry", "wrong_hash"}),
    "a forged last entry": (reseal, {"sum_is_not_zero", "entries_are_not_the_transfer"}),
    "an overdraft": (overdraw, {"negative", "was_negative"}),
    "a transfer gone": (
        without("transactions", "settled"),
        {"entries_without_a_transfer", "event_without_a_transfer"},
    ),
    "a settled transfer called rejected": (
        set_to("transactions", "settled", "status", "REJECTED"),
        {"entries_are_not_the_transfer", "event_missing", "event_that_never_was"},
    ),
    "a transfer of another amount": (
        set_to("transactions", "settled", "amount_cents", 301),
        {"entries_are_not_the_transfer"},
    ),
    "a transfer to another payee": (
        set_to("transactions", "settled", "payee", TREASURY),
        {"entries_are_not_the_transfer"},
    ),
    "a hold that nobody ends": (hold_for_ever, {"undecided"}),
    "a Pix of which the SPI never said anything": (
        lambda hand: hand.pix_out("sent", "SENT", ANA, 10),
        {"undecided"},
    ),
    "a Pix that was settled and never sent": (
        both_of(lambda hand: hand.pix_out("gone", "SETTLED", ANA, 10), without("events", "gone SENT")),
        {"event_missing"},
    ),
    "a promise that nobody keeps": (
        lambda hand: hand.pix_in("promise", "ACCEPTED", BRUNO, 10),
        {"undecided"},
    ),
    "a promise that only the balance knows": (
        set_to("accounts", ANA, "pending_credits", 5),
        {"pending_credits_are_not_the_promises"},
    ),
    "a promise that only the transfer knows": (
        both_of(
            lambda hand: hand.pix_in("promise", "ACCEPTED", BRUNO, 10),
            set_to("accounts", BRUNO, "pending_credits", 0),
        ),
        {"undecided", "pending_credits_are_not_the_promises"},
    ),
    "a rejected hold not given back": (
        forgotten_hold,
        {"entries_are_not_the_transfer", "on_hold_is_not_the_held_transfers"},
    ),
    "an event never sent": (without("events", "settled SETTLED"), {"event_missing"}),
    "an event of nothing": (lambda hand: hand.event("never was", "HELD"), {"event_without_a_transfer"}),
    "two events of one change": (two_events, {"two_events_of_one_change", "event_of_another_attempt"}),
    "an event of another attempt": (
        set_to("transactions", "settled", "event_id", "another"),
        {"event_of_another_attempt"},
    ),
    "an event that still waits": (
        lambda hand: hand.events.update(waiting=attributes("OUT#0", "1")),
        {"outbox_not_empty"},
    ),
}


def test_tables_in_order_have_no_violation(hand: Hand, history: History) -> None:
    books = hand.books()
    assert (len(books.accounts), len(books.payments), len(books.history)) == (3, 4, 8)
    assert violations(books, history) == []
    assert on_topic(books, [row.event_id for row in books.history]) == []


@pytest.mark.parametrize("status", ["SETTLED", "REJECTED"])
def test_pix_in_order_has_no_violation(hand: Hand, history: History, status: str) -> None:
    hand.pix_out("out", status, ANA, 10)
    hand.pix_in("in", status, BRUNO, 20)
    history.asked["key of out"] = Asked("key of out", ANA, "", 10, pix_key=KEY)
    history.answered["key of out"].append(Answered("acked", 3, 4, "out", text="out held"))
    assert violations(hand.books(), history) == []
    history.asked["key of out"] = Asked("key of out", ANA, "", 10, pix_key="another@example.com")
    assert counted(violations(hand.books(), history)) == {"not_what_was_asked": 1}


@pytest.mark.parametrize(("corrupt", "found"), CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_what_a_hand_changed_in_the_tables_is_found(
    hand: Hand, corrupt: Callable[[Hand], None], found: set[str]
) -> None:
    corrupt(hand)
    assert set(counted(violations(hand.books()))) == found


def test_an_event_that_is_not_on_the_topic_is_found_and_one_too_many_as_well(hand: Hand) -> None:
    books = hand.books()
    there = {row.event_id for row in books.history} - {"settled HELD"} | {"made up"}
    assert counted(on_topic(books, there)) == {"event_not_on_the_topic": 1, "event_not_in_the_history": 1}


def answer(key: str, outcome: Any, at: float, **more: Any) -> Callable[[History], None]:
    """One more answer to a key."""
    return lambda history: history.answered[f"key of {key}"].append(Answered(outcome, at, at + 0.5, **more))


def asked(key: str, cents: int = 1) -> Callable[[History], None]:
    return lambda history: history.asked.update({f"key of {key}": Asked(f"key of {key}", ANA, BRUNO, cents)})


def both(*changes: Callable[[History], None]) -> Callable[[History], None]:
    def change(history: History) -> None:
        for each in changes:
            each(history)

    return change


def never_asked(history: History) -> None:
    del history.asked["key of settled"], history.answered["key of settled"]


def refused_only(history: History) -> None:
    history.answered["key of settled"] = [Answered("refused", 0, 0.5, code="insufficient_funds")]


LIES: dict[str, tuple[Callable[[History], None], set[str]]] = {
    "acknowledged and absent": (
        both(asked("lost"), answer("lost", "acked", 5, transfer_id="lost")),
        {"acknowledged_but_absent"},
    ),
    "refused and present": (refused_only, {"refused_but_present"}),
    "refused after a time-out, and present": (
        both(
            refused_only,
            lambda history: history.answered["key of settled"].insert(0, Answered("unknown", -2, -1)),
        ),
        {"carried_out_after_its_refusal"},
    ),
    "nobody asked": (never_asked, {"nobody_asked"}),
    "never decided": (both(asked("open"), answer("open", "unknown", 5)), {"never_decided"}),
    "never answered": (asked("silent"), {"never_decided"}),
    "two ids for one key": (
        answer("settled", "acked", 5, transfer_id="other", text="settled held"),
        {"two_transfers_of_one_key", "acknowledged_but_absent"},
    ),
    "one id for two keys": (
        both(asked("copy"), answer("copy", "acked", 5, transfer_id="settled")),
        {"two_keys_of_one_transfer", "acknowledged_but_absent"},
    ),
    "another amount than asked for": (asked("settled", 299), {"not_what_was_asked"}),
    "another answer to the same key": (
        answer("settled", "acked", 5, transfer_id="settled", text="settled"),
        {"answers_differ"},
    ),
    "refused after it was acknowledged": (
        answer("settled", "refused", 5, code="insufficient_funds"),
        {"refused_after_acknowledged"},
    ),
    "another body taken": (
        answer("settled", "acked", 5, transfer_id="settled", other_body=True),
        {"another_body_was_taken"},
    ),
    "another body refused for something else": (
        answer("settled", "refused", 5, code="insufficient_funds", other_body=True),
        {"another_body_was_taken"},
    ),
    "GET says something else": (
        lambda history: history.seen.update(settled="HELD"),
        {"get_disagrees"},
    ),
    "a snapshot with money too much": (
        lambda history: history.snapshots.append({ANA: (1, 0), TREASURY: (0, 0)}),
        {"snapshot_sum_is_not_zero"},
    ),
    "a snapshot below zero": (
        lambda history: history.snapshots.append({ANA: (-1, 0), TREASURY: (1, 0)}),
        {"snapshot_negative"},
    ),
}


@pytest.mark.parametrize(("lie", "found"), LIES.values(), ids=LIES.keys())
def test_what_the_bank_said_and_did_not_do_is_found(
    hand: Hand, history: History, lie: Callable[[History], None], found: set[str]
) -> None:
    lie(history)
    assert set(counted(violations(hand.books(), history))) == found


def test_a_key_that_was_refused_may_be_taken_later(hand: Hand, history: History) -> None:
    history.answered["key of settled"].insert(0, Answered("refused", -2, -1, code="insufficient_funds"))
    history.answered["key of settled"].append(Answered("unknown", 5, 6))
    history.answered["key of settled"].append(
        Answered("refused", 7, 8, code="idempotency_key_reused", other_body=True)
    )
    assert violations(hand.books(), history) == []


@pytest.mark.parametrize(
    ("name", "mib_per_hour", "grew"),
    [("transaction", 60.0, True), ("transaction", 2.0, False), ("ministack", 60.0, False)],
)
def test_a_process_of_ours_that_grows_is_found(name: str, mib_per_hour: float, grew: bool) -> None:
    samples = [(age, 80 + age / 3600 * mib_per_hour) for age in map(float, range(0, 3600, 30))]
    memory = Memory(None, {(name, 1): samples})  # type: ignore[arg-type]
    assert bool(memory.grown()) is grew

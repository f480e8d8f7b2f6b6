"""The rules on a small bank in memory: money is neither made nor lost, whatever happens in which order."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.ledger import account, returns
from apps.ledger.account import TREASURY, Balance, Refusal, internal_item, unopened
from apps.ledger.entries import Entry, fold
from apps.ledger.transfer import Attempt, Change, Order, Transfer, hold, iso, reject, settle
from tests.apps.ledger.values import AT, LIFETIME, NOON

NAMES = ("ana", "bruno", "carla")


class Bank:
    """Three customers and the bank's own items, kept in memory, moved by the rules alone."""

    def __init__(self) -> None:
        self.balances: dict[str, Balance] = {}
        self.entries: dict[str, list[Entry]] = {}
        self.transfers: dict[str, Transfer] = {}
        self.now = NOON
        for name in NAMES:
            self._keep(account.open_account(unopened(name, name, AT), AT))

    def _keep(self, posting: account.Posting) -> None:
        name = posting.after.account_id
        assert self.balances.get(name, posting.before) == posting.before
        self.balances[name] = posting.after
        self.entries.setdefault(name, []).append(posting.entry)

    def balance(self, name: str) -> Balance:
        return self.balances.get(name) or unopened(name, "", iso(self.now))

    def _attempt(self) -> Attempt:
        return Attempt(self.now, f"event-{sum(map(len, self.entries.values()))}")

    def hold(self, number: int, payer: str, payee: str, amount: int) -> None:
        transfer_id = f"{number:08x}"
        grant = payer == TREASURY
        source = internal_item(TREASURY, transfer_id) if grant else payer
        order = Order(
            transfer_id,
            "grant" if grant else "transfer",
            "" if grant else payer,
            source,
            payee,
            amount,
            None,
            None,
            "",
            None,
        )
        before, after = self.balance(source), self.balance(payee)
        pays = grant or (before.available >= amount and before.status == "ACTIVE")
        if payer == payee or not pays or after.status == "CLOSED":
            with pytest.raises(Refusal):
                hold(order, before, after, LIFETIME, self._attempt())
            return
        self._apply(hold(order, before, after, LIFETIME, self._attempt()), None)

    def give_back(self, number: int, amount: int) -> None:
        """A return of some transfer that was settled, by whoever was paid."""
        settled = [each for each in self.transfers.values() if each.status == "SETTLED"]
        if not settled:
            return
        original = settled[amount % len(settled)]
        payer, payee = self.balance(original.payee), self.balance(original.payer)
        order = Order(
            transfer_id=f"{number:08x}",
            kind="return",
            subject=original.payee,
            payer=original.payee,
            payee=original.payer,
            amount_cents=amount,
            description=None,
            end_to_end_id=None,
            request_hash="",
            request_id=None,
            original_transfer_id=original.transfer_id,
        )
        allowed = (
            original.kind == "transfer"
            and amount <= self.returnable(original)
            and payer.status == "ACTIVE"
            and payer.available >= amount
            and payee.status != "CLOSED"
        )
        if allowed:
            self._apply(
                returns.hold(order, original, payer, payee, lifetime=LIFETIME, attempt=self._attempt()),
                None,
            )
            return
        with pytest.raises(Refusal):
            returns.hold(order, original, payer, payee, lifetime=LIFETIME, attempt=self._attempt())

    def returnable(self, original: Transfer) -> int:
        """What is left of a settled transfer, by looking at every return of it."""
        return original.amount_cents - sum(
            each.amount_cents
            for each in self.transfers.values()
            if each.original_transfer_id == original.transfer_id and each.status != "REJECTED"
        )

    def change_status(self, name: str, how: str) -> None:
        before = self.balance(name)
        rule = {"block": account.block, "unblock": account.unblock, "close": account.close}[how]
        empty = (before.available, before.on_hold) == (0, 0)
        refused = before.status == "CLOSED" and how != "close"
        if how == "close":
            refused = before.status == "BLOCKED" or (before.status == "ACTIVE" and not empty)
        if refused:
            with pytest.raises(Refusal):
                rule(before, iso(self.now))
            return
        posting = rule(before, iso(self.now))
        after = {"block": "BLOCKED", "unblock": "ACTIVE", "close": "CLOSED"}[how]
        assert (posting is None) == (before.status == after)
        if posting is not None:
            assert (posting.entry.delta_available, posting.entry.delta_on_hold) == (0, 0)
            assert (posting.entry.kind, posting.after.status) == (how, after)
            self._keep(posting)

    def decide(self, number: int, how: str) -> None:
        held = [each for each in self.transfers.values() if each.status == "HELD"]
        if not held:
            return
        transfer = held[number % len(held)]
        payer, payee = self.balance(transfer.payer), self.balance(transfer.payee)
        if how == "reject":
            change = reject(transfer, payer, "hold_expired", self._attempt())
        else:
            change = settle(transfer, payer, payee if how == "settle" else None, self._attempt())
        self._apply(change, transfer)

    def moved(self, status: str, *, payer: str | None = None, payee: str | None = None) -> int:
        """The sum of all transfers of that status that this payer, or this payee, has."""
        return sum(
            each.amount_cents
            for each in self.transfers.values()
            if each.status == status and (each.payer == payer or each.payee == payee)
        )

    def _apply(self, change: Change, before: Transfer | None) -> None:
        """What one transaction does; every change on its own makes and loses no money."""
        entries = [posting.entry for posting in change.postings]
        assert sum(entry.delta_available + entry.delta_on_hold for entry in entries) == 0
        assert len({entry.account_id for entry in entries}) == len(entries)
        assert {entry.transfer_id for entry in entries} == {change.transfer.transfer_id}
        transition = (before.status if before else None, change.transfer.status)
        assert transition in {(None, "HELD"), ("HELD", "SETTLED"), ("HELD", "REJECTED")}
        if before is not None:
            decided: dict[str, Any] = {
                name: getattr(change.transfer, name)
                for name in ("status", "reason", "decided_at", "due_at", "event_id", "returnable_cents")
            }
            assert replace(before, **decided) == change.transfer
            assert change.transfer.due_at is None
        assert change.event.id == change.transfer.event_id
        assert change.event.subject == change.transfer.transfer_id
        for posting in change.postings:
            self._keep(posting)
        self.transfers[change.transfer.transfer_id] = change.transfer
        if change.returnable is not None:
            original = self.transfers[change.returnable.transfer_id]
            left = original.returnable_cents + change.returnable.cents
            assert 0 <= left <= original.amount_cents
            self.transfers[original.transfer_id] = replace(original, returnable_cents=left)


acts = st.lists(
    st.one_of(
        st.tuples(
            st.just("hold"),
            st.sampled_from([TREASURY, *NAMES]),
            st.sampled_from(NAMES),
            st.integers(1, 100),
        ),
        st.tuples(
            st.just("decide"),
            st.sampled_from(["settle", "reject", "payee gone"]),
            st.just(""),
            st.integers(0, 9),
        ),
        st.tuples(st.just("return"), st.just(""), st.just(""), st.integers(1, 100)),
        st.tuples(
            st.just("status"),
            st.sampled_from(NAMES),
            st.sampled_from(["block", "unblock", "close"]),
            st.just(0),
        ),
    ),
    max_size=40,
)


@example(
    acts=[
        ("hold", TREASURY, "ana", 100),
        ("decide", "settle", "", 0),
        ("hold", "ana", "bruno", 60),
        ("hold", "ana", "carla", 40),
        ("hold", "ana", "carla", 1),
        ("decide", "settle", "", 0),
        ("decide", "payee gone", "", 0),
        ("hold", "bruno", "ana", 60),
        ("decide", "reject", "", 0),
        ("return", "", "", 41),
        ("status", "bruno", "block", 0),
        ("decide", "settle", "", 0),
        ("status", "bruno", "unblock", 0),
        ("return", "", "", 60),
        ("status", "carla", "close", 0),
    ],
    clock=[0] * 40,
)
@given(acts=acts, clock=st.lists(st.integers(-40, 40), min_size=40, max_size=40))
def test_money_is_neither_made_nor_lost(acts: list[tuple[str, str, str, int]], clock: list[int]) -> None:
    bank = Bank()
    for number, (act, first, second, amount) in enumerate(acts):
        bank.now = NOON + timedelta(days=clock[number])
        if act == "hold":
            bank.hold(number, first, second, amount)
        elif act == "return":
            bank.give_back(number, amount)
        elif act == "status":
            bank.change_status(first, second)
        else:
            bank.decide(amount, first)
        assert sum(each.total for each in bank.balances.values()) == 0
    for name, standing in bank.balances.items():
        folded = fold(name, bank.entries[name])
        assert (folded.seq, folded.available, folded.on_hold, folded.status) == (
            standing.seq,
            standing.available,
            standing.on_hold,
            standing.status,
        )
        assert standing.internal or standing.available >= 0
        assert standing.on_hold == bank.moved("HELD", payer=name)
        assert standing.status != "CLOSED" or standing.total == 0
        assert standing.total == bank.moved("SETTLED", payee=name) - bank.moved("SETTLED", payer=name)
    for transfer in bank.transfers.values():
        whole = (transfer.kind, transfer.status) == ("transfer", "SETTLED")
        assert transfer.returnable_cents == (bank.returnable(transfer) if whole else 0)

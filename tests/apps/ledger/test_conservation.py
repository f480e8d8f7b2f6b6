"""The rules on a small bank in memory: money is neither made nor lost, whatever happens in which order."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.ledger import account
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
        before = self.balance(source)
        if payer == payee or not (grant or before.available >= amount):
            with pytest.raises(Refusal):
                hold(order, before, self.balance(payee), LIFETIME, self._attempt())
            return
        self._apply(hold(order, before, self.balance(payee), LIFETIME, self._attempt()), None)

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
                for name in ("status", "reason", "decided_at", "due_at", "event_id")
            }
            assert replace(before, **decided) == change.transfer
            assert change.transfer.due_at is None
        assert change.event.id == change.transfer.event_id
        assert change.event.subject == change.transfer.transfer_id
        for posting in change.postings:
            self._keep(posting)
        self.transfers[change.transfer.transfer_id] = change.transfer


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
        else:
            bank.decide(amount, first)
        assert sum(each.total for each in bank.balances.values()) == 0
    for name, standing in bank.balances.items():
        folded = fold(name, bank.entries[name])
        assert (folded.seq, folded.available, folded.on_hold) == (
            standing.seq,
            standing.available,
            standing.on_hold,
        )
        assert standing.internal or standing.available >= 0
        assert standing.on_hold == bank.moved("HELD", payer=name)
        assert standing.total == bank.moved("SETTLED", payee=name) - bank.moved("SETTLED", payer=name)

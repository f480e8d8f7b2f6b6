"""Rules of Pix from other banks, and of returns by the rail, broken on purpose."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from apps.consumers.pix_arrivals import ATTEMPT_SECONDS, Arrivals, Verdict, Yes
from apps.consumers.pix_promises import Promises
from apps.consumers.pix_wishes import Order
from apps.kit.dynamo import Deadline
from apps.ledger import account, incoming
from apps.ledger import transfer as rules
from apps.ledger.account import Balance, Posting
from apps.ledger.incoming import Incoming
from apps.ledger.transfer import Attempt, Change, Returnable, Transfer
from tests.simulator.mutants import Mutant


def _credit_before_accc(real: Callable[..., list[Verdict]]) -> Callable[..., list[Verdict]]:
    def verdicts(self: Arrivals, orders: Sequence[Order]) -> list[Verdict]:
        said = real(self, orders)
        promised = [each.transfer_id for each in self._wishes.of(orders) if isinstance(each, Incoming)]
        self._receiving.credit(promised, Deadline.after(ATTEMPT_SECONDS))
        return said

    return verdicts


def _yes_before_accepted(real: Callable[..., list[Verdict]]) -> Callable[..., list[Verdict]]:
    def verdicts(self: Arrivals, orders: Sequence[Order]) -> list[Verdict]:
        for order, wish in zip(orders, self._wishes.of(orders), strict=True):
            if isinstance(wish, Incoming):
                self._say(order, Yes())
        return real(self, orders)

    return verdicts


def _nobody_asks(_: Callable[..., int]) -> Callable[..., int]:
    return lambda self: 0


def _blocked_payee_refused(real: Callable[..., Change]) -> Callable[..., Change]:
    def credit(accepted: Transfer, settlement: Balance, payee: Balance, attempt: Attempt) -> Change:
        if payee.status == "BLOCKED":
            return incoming.turn_away(accepted, payee, "payee_blocked", attempt)
        return real(accepted, settlement, payee, attempt)

    return credit


def _closed_against_promises(real: Callable[..., Posting | None]) -> Callable[..., Posting | None]:
    def close(balance: Balance, at: str) -> Posting | None:
        closed = real(replace(balance, pending_credits=0), at)
        if closed is None:
            return None
        return replace(closed, after=replace(closed.after, pending_credits=balance.pending_credits))

    return close


def _silence_is_a_no(real: Callable[..., None]) -> Callable[..., None]:
    def look_at(self: Promises, transfer_id: str) -> None:
        real(self, transfer_id)
        promised = self._ledger.transfer(transfer_id)
        if promised is not None and promised.status == "ACCEPTED" and promised.looks >= 1:
            self._turn_away(promised, "payee_bank_failed")

    return look_at


def _rejected_return_keeps(_: Callable[..., Returnable | None]) -> Callable[..., Returnable | None]:
    return lambda transfer: None


def _return_takes_nothing(real: Callable[..., Change]) -> Callable[..., Change]:
    def accept(order: Incoming, *others: Any) -> Change:
        return replace(real(order, *others), returnable=None)

    return accept


RAIL_MUTANTS = [
    Mutant(
        "credit before ACCC",
        Arrivals,
        "_verdicts",
        _credit_before_accc,
        "is SETTLED, and its money has not moved",
    ),
    Mutant(
        "yes before ACCEPTED is durable",
        Arrivals,
        "_verdicts",
        _yes_before_accepted,
        "a yes to E.* left, and no promise",
    ),
    Mutant("nobody asks after a lost ACCC", Promises, "look", _nobody_asks, "transfers are held"),
    Mutant(
        "a blocked payee is refused after ACCC",
        incoming,
        "credit",
        _blocked_payee_refused,
        "is REJECTED, and its money has moved",
        first=28,
    ),
    Mutant(
        "an account closes against a promise",
        account,
        "close",
        _closed_against_promises,
        "is closed and has",
        first=83,
    ),
    Mutant(
        "silence of the SPI taken for a no",
        Promises,
        "look_at",
        _silence_is_a_no,
        "is REJECTED, and its money has moved",
        first=21,
    ),
    Mutant(
        "a rejected return is not given back", rules, "given_back", _rejected_return_keeps, "can be returned"
    ),
    Mutant(
        "a return of another bank takes nothing off",
        incoming,
        "accept",
        _return_takes_nothing,
        "can be returned",
    ),
]

"""Pix from other banks in the ledger: many at a time, each with an outcome of its own.

What is accepted, credited or turned away is decided by `incoming` and committed by the ledger's own
committer; here it only stands which items each of them concerns.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.kit.dynamo import Deadline
from apps.ledger import incoming
from apps.ledger.account import Balance, Frozen
from apps.ledger.committer import Found, Unread
from apps.ledger.group import AGAIN, Action, Decided
from apps.ledger.incoming import Incoming
from apps.ledger.store import Ledger
from apps.ledger.transfer import Attempt, Change, Transfer

Outcome = Transfer | Exception | None
Rule = Callable[[Transfer, Mapping[str, Balance], Attempt], Change]


class Receiving:
    """Accepts and ends Pix from other banks. None of those given together fails another.

    An outcome is the transfer as it stands, `None` where there is none, or what kept it from being decided:
    `Refusal` (of `accept` alone), `Frozen`, `Unavailable` or `OutcomeUnknown`. All may be repeated.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def accept(self, orders: Sequence[Incoming], deadline: Deadline) -> list[Outcome]:
        """Promises payees their money, durably; one that stands already is given as it is."""
        wishes = {order.transfer_id: _Acceptance(self._ledger, order) for order in orders}
        outcomes = self._ledger.carry_out(wishes, deadline)
        return [outcomes[order.transfer_id] for order in orders]

    def credit(self, transfer_ids: Sequence[str], deadline: Deadline) -> list[Outcome]:
        """Credits what the SPI has settled, once."""
        return self._end(transfer_ids, _credited, deadline)

    def turn_away(self, transfer_id: str, reason: str, deadline: Deadline) -> Outcome:
        """Ends the promise of what the SPI will never settle."""

        def rejected(accepted: Transfer, balances: Mapping[str, Balance], attempt: Attempt) -> Change:
            return incoming.turn_away(accepted, _of(accepted.payee, balances), reason, attempt)

        (outcome,) = self._end([transfer_id], rejected, deadline)
        return outcome

    def _end(self, transfer_ids: Sequence[str], rule: Rule, deadline: Deadline) -> list[Outcome]:
        wishes = {each: _Ending(self._ledger, rule) for each in transfer_ids}
        outcomes = self._ledger.carry_out(wishes, deadline)
        return [outcomes[each] for each in transfer_ids]


@dataclass
class _Acceptance:
    """Accepts. The original of a return is read anew by each attempt: its own item guards it."""

    ledger: Ledger
    order: Incoming

    def accounts(self, found: Found | Unread) -> Iterable[str]:
        """The payee, while nothing stands."""
        return () if isinstance(found, Transfer) else (self.order.payee,)

    def decide(self, found: Found, balances: Mapping[str, Balance]) -> Decided:
        """The promise, or the transfer that stands already. Raises `Refusal`."""
        if isinstance(found, Transfer):
            return found
        original = None
        if self.order.original_transfer_id is not None:
            original = self.ledger.transfer(self.order.original_transfer_id)
        attempt = self.ledger.clock.attempt()
        return incoming.accept(self.order, balances.get(self.order.payee), original, attempt)

    def own(self, change: Change) -> Sequence[Action]:
        """Transfer, original and outbox row."""
        return self.ledger.own_accepted(change)


@dataclass
class _Ending:
    """Ends what is ACCEPTED by a rule, and nothing else."""

    ledger: Ledger
    rule: Rule

    def accounts(self, found: Found | Unread) -> Iterable[str]:
        """Both parties of the transfer, once it is read."""
        if isinstance(found, Unread) or not isinstance(found, Transfer) or found.status != "ACCEPTED":
            return ()
        return found.payer, found.payee

    def decide(self, found: Found, balances: Mapping[str, Balance]) -> Decided:
        """The end, or how the transfer stands. Raises `Frozen`."""
        if not isinstance(found, Transfer):
            return None
        if found.status != "ACCEPTED":
            return found
        payee = _of(found.payee, balances)
        if payee.pending_credits < found.amount_cents and not payee.halted:
            # Another worker ended it after the transfer was read and before the balance was.
            return AGAIN
        return self.rule(found, balances, self.ledger.clock.attempt())

    def own(self, change: Change) -> Sequence[Action]:
        """Transfer, original and outbox row."""
        return self.ledger.own_decided(change)


def _credited(accepted: Transfer, balances: Mapping[str, Balance], attempt: Attempt) -> Change:
    return incoming.credit(accepted, _of(accepted.payer, balances), _of(accepted.payee, balances), attempt)


def _of(account_id: str, balances: Mapping[str, Balance]) -> Balance:
    """A party's balance. Without one nothing can be decided: as if it were frozen."""
    if account_id not in balances:
        raise Frozen(account_id)
    return balances[account_id]

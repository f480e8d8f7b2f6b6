"""A ledger in memory, with the promises of the one on DynamoDB, and room for what happens in between."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from apps.kit.dynamo import Deadline
from apps.ledger import account, returns
from apps.ledger import transfer as rules
from apps.ledger.account import Balance
from apps.ledger.items import Mark
from apps.ledger.store import Clock, Ledger, Standing, Superseded
from apps.ledger.transfer import Order, Transfer

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class FakeLedger(Ledger):
    """`before` runs ahead of the named call, and `after` behind it: to let others act, or to raise.

    `log` is the calls in their order; `standing_at` is what stands at each transfer's id.
    """

    def __init__(self, *balances: Balance) -> None:
        self.clock = Clock(now=lambda: NOON)
        self.balances = {each.account_id: each for each in balances}
        self.standing_at: dict[str, Transfer | Mark] = {}
        self.log: list[str] = []
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}

    def find(self, transfer_id: str) -> Transfer | Mark | None:
        self._begin("find")
        return self.standing_at.get(transfer_id)

    def balance(self, account_id: str) -> Balance | None:
        self._begin("balance")
        return self.balances.get(account_id)

    def standing(
        self, transfer_id: str, account_ids: Iterable[str], original_id: str | None = None
    ) -> Standing:
        self._begin("standing")
        there = {each: one for each in account_ids if (one := self._standing(each)) is not None}
        original = self.standing_at.get(original_id or "")
        found = Standing(
            self.standing_at.get(transfer_id), there, original if isinstance(original, Transfer) else None
        )
        self._end("standing")
        return found

    def hold(
        self,
        order: Order,
        first: Standing,
        lifetime: timedelta,
        render: Callable[[Transfer], str],
        deadline: Deadline,
    ) -> Transfer:
        self._begin("hold")
        assert not deadline.passed
        found = self.standing_at.get(order.transfer_id)
        if isinstance(found, Transfer):
            return found
        if found is not None and found != first.found:
            raise Superseded(found)
        payer, payee = self._standing(order.payer), self._standing(order.payee)
        attempt = self.clock.attempt()
        if order.original_transfer_id is None:
            change = rules.hold(order, payer, payee, lifetime, attempt)
        else:
            original = self.transfer(order.original_transfer_id)
            change = returns.hold(order, original, payer, payee, lifetime=lifetime, attempt=attempt)
        if change.returnable is not None and original is not None:
            left = original.returnable_cents + change.returnable.cents
            self.standing_at[original.transfer_id] = replace(original, returnable_cents=left)
        transfer = replace(change.transfer, answer=render(change.transfer))
        self.standing_at[order.transfer_id] = transfer
        self.balances |= {each.after.account_id: each.after for each in change.postings}
        self._end("hold")
        return transfer

    def refuse(self, transfer_id: str, seen: Mark | None, problem: str) -> Transfer | None:
        self._begin("refuse")
        found = self.standing_at.get(transfer_id)
        if isinstance(found, Transfer):
            return found
        if found == seen:
            self.standing_at[transfer_id] = Mark((seen.refused if seen else 0) + 1, problem)
        self._end("refuse")
        return None

    def _standing(self, account_id: str) -> Balance | None:
        """An internal item is there before it is used."""
        if account.is_internal(account_id) and account_id not in self.balances:
            return account.unopened(account_id, "", rules.iso(NOON))
        return self.balances.get(account_id)

    def _begin(self, name: str) -> None:
        self.log.append(name)
        self.before.get(name, _nothing)()

    def _end(self, name: str) -> None:
        self.after.get(name, _nothing)()


def funded(account_id: str, owner: str, available: int) -> Balance:
    """An account with money on it."""
    empty = account.unopened(account_id, owner, "2026-11-01T09:00:00.000Z")
    return account.post(empty, "credit", None, empty.opened_at, available=available, on_hold=0).after


def _nothing() -> None:
    """What happens in between, as a rule."""

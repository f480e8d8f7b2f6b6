"""Returns: who was paid gives all or some of it back, by a transfer of its own. Rules only, no I/O.

What is left to give back stands on the original and goes down in the transaction that creates the return,
so that two returns at once never give back more than was paid; a return that is rejected puts it back
(`transfer.reject`).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from apps.ledger import transfer
from apps.ledger.account import Balance, Refusal
from apps.ledger.transfer import Attempt, Change, Order, Returnable, Transfer

RETURNABLE_FOR = timedelta(days=90)
"""A return begins within so long after the original has settled (Resolução BCB 103/2021)."""


def check(original: Transfer | None, subject: str, amount_cents: int, now: datetime) -> Transfer:
    """The original, if `subject` may return so much of it now. Raises `Refusal`."""
    if original is None or not original.seen_by(subject):
        raise Refusal("transfer_not_found", "You have no such transfer.")
    if original.payee_owner != subject:
        raise Refusal("not_the_payee", "Only who was paid can return a transfer.")
    return check_left(original, amount_cents, now)


def check_left(original: Transfer | None, amount_cents: int, now: datetime) -> Transfer:
    """The original, if so much of it can still be returned now, whoever does it. Raises `Refusal`."""
    if original is None:
        raise Refusal("transfer_not_found", "There is no such transfer.")
    if original.kind != "transfer":
        raise Refusal("not_returnable", f"A {original.kind} cannot be returned.")
    if original.status != "SETTLED":
        raise Refusal(
            "transfer_not_settled",
            "Only a transfer that is settled can be returned.",
            {"transfer_status": original.status},
        )
    assert original.decided_at is not None
    if now > datetime.fromisoformat(original.decided_at) + RETURNABLE_FOR:
        raise Refusal("return_too_late", "A transfer can be returned for 90 days.")
    if original.returnable_cents < amount_cents:
        raise Refusal(
            "return_exceeds_amount",
            "Less is left to return than the amount.",
            {"returnable_cents": original.returnable_cents},
        )
    return original


def hold(
    order: Order,
    original: Transfer | None,
    payer: Balance | None,
    payee: Balance | None,
    *,
    lifetime: timedelta,
    attempt: Attempt,
) -> Change:
    """Sets the money of a return aside and takes it off what can still be returned. Raises `Refusal`."""
    found = check(original, order.subject, order.amount_cents, attempt.now)
    assert found.transfer_id == order.original_transfer_id, f"{found.transfer_id} is not what is returned"
    assert (found.payee, found.payer) == (order.payer, order.payee), "a return goes the way back"
    change = transfer.hold(order, payer, payee, lifetime, attempt)
    return replace(change, returnable=Returnable(found.transfer_id, -order.amount_cents))

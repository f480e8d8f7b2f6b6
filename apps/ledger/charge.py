"""A charge: what a dynamic QR code asks for, once. Rules only, no I/O.

The transaction that holds the money for a charge takes it, so that of two payers at once one pays; whatever
makes that payment REJECTED gives the charge back.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from apps.ledger import transfer
from apps.ledger.account import Balance, Refusal
from apps.ledger.transfer import Attempt, Change, Order


@dataclass(frozen=True)
class Charge:
    """What somebody here asks for. Times are ISO 8601 UTC; `code` is the text of its QR code, `taken_by` the
    transfer that pays it."""

    charge_id: str
    subject: str
    account_id: str
    amount_cents: int
    description: str | None
    created_at: str
    expires_at: str
    request_hash: str
    code: str = field(repr=False)
    taken_by: str | None = None


def check(charge: Charge | None, amount_cents: int, at: str) -> Charge:
    """The charge, if so much may be paid for it now. Raises `Refusal`."""
    if charge is None:
        raise Refusal("qr_code_unknown", "The QR code's charge does not exist.")
    if charge.taken_by is not None:
        raise Refusal("qr_code_paid", "The QR code is paid already; it can be paid once.")
    if at >= charge.expires_at:
        raise Refusal("qr_code_expired", "The QR code has expired.", {"expired_at": charge.expires_at})
    check_amount(charge.amount_cents, amount_cents)
    return charge


def check_amount(asked_cents: int | None, amount_cents: int) -> None:
    """A code that names an amount is paid with exactly that. Raises `Refusal`."""
    if asked_cents not in {None, amount_cents}:
        raise Refusal("qr_code_amount", "The QR code asks for another amount.", {"amount_cents": asked_cents})


def hold(
    order: Order,
    charge: Charge | None,
    payer: Balance | None,
    payee: Balance | None,
    *,
    lifetime: timedelta,
    attempt: Attempt,
) -> Change:
    """Sets the money for a charge aside and takes the charge. Raises `Refusal`."""
    found = check(charge, order.amount_cents, attempt.at)
    assert found.account_id == order.payee, "a charge is paid to whoever asks for it"
    change = transfer.hold(order, payer, payee, lifetime, attempt)
    return replace(change, transfer=replace(change.transfer, charge_id=found.charge_id))

"""A Pix from another bank: promised before we say yes, credited once it has settled. Rules only, no I/O.

`ACCEPTED → SETTLED | REJECTED`. The money comes from an item of `settlement`; on the payee's balance the
promise stands as `pending_credits`, so that the account cannot be closed before the money is there. Once the
SPI has settled, nothing refuses it any more: a blocked payee is credited all the same, a frozen one waits.

A return that another bank makes of a Pix that was sent from here is such a transfer too. The transaction that
accepts it takes its amount off what can still be returned of the original, and one that rejects it gives it
back.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from apps.ledger import account, returns, transfer
from apps.ledger.account import Balance, Frozen, Refusal
from apps.ledger.transfer import FIRST_LOOK, Attempt, Change, Kind, Returnable, Transfer, iso


@dataclass(frozen=True)
class Incoming:
    """What another bank wants to pay, checked for shape. `payer` is an item of `settlement`, `payee` a
    customer's account; `end_to_end_id` is that of a return (`D…`) for a return. `payment` says who pays whom,
    as one text. `accepted_at` (ISO 8601 UTC) started its time at the SPI; `request_hash` tells one from
    another that came under the same id."""

    transfer_id: str
    kind: Kind
    payer: str
    payee: str
    amount_cents: int
    description: str | None
    end_to_end_id: str
    accepted_at: str
    request_hash: str
    payment: str = field(repr=False)
    original_transfer_id: str | None = None


def accept(order: Incoming, payee: Balance | None, original: Transfer | None, attempt: Attempt) -> Change:
    """The promise to credit the payee; `original` is what a return gives back from. Raises `Refusal`
    `payee_not_found`, what `account.accept` says, or what `returns.check_left` says."""
    assert account.is_internal(order.payer), "a customer here pays by a hold"
    if payee is None or payee.internal:
        raise Refusal("payee_not_found", "No such account takes the money.")
    assert payee.account_id == order.payee, f"{payee.account_id} is not the party paid"
    taken = None
    if order.original_transfer_id is not None:
        found = returns.check_left(original, order.amount_cents, attempt.now)
        assert found.transfer_id == order.original_transfer_id, f"{found.transfer_id} is not what is returned"
        assert (found.payer, found.incoming) == (order.payee, False), "a return goes the way back"
        taken = Returnable(found.transfer_id, -order.amount_cents)
    accepted = Transfer(
        transfer_id=order.transfer_id,
        kind=order.kind,
        status="ACCEPTED",
        payer=order.payer,
        payee=order.payee,
        payer_owner="",
        payee_owner=payee.owner,
        amount_cents=order.amount_cents,
        description=order.description,
        end_to_end_id=order.end_to_end_id,
        created_at=attempt.at,
        # It never expires: only the SPI's answer ends it.
        expires_at=iso(datetime.max.replace(tzinfo=UTC)),
        due_at=iso(attempt.now + FIRST_LOOK),
        looks=0,
        decided_at=None,
        reason=None,
        request_hash=order.request_hash,
        request_id=None,
        event_id=attempt.event_id,
        original_transfer_id=order.original_transfer_id,
        payment=order.payment,
        accepted_at=order.accepted_at,
    )
    posting = account.accept(payee, order.amount_cents, order.transfer_id, attempt.at)
    return Change(accepted, (posting,), transfer.event_of(accepted, attempt), taken)


def credit(accepted: Transfer, settlement: Balance, payee: Balance, attempt: Attempt) -> Change:
    """Moves the money that has arrived to the payee, whatever the account's status. Raises `Frozen`."""
    _check(accepted, payee)
    assert settlement.account_id == accepted.payer, f"{settlement.account_id} is not the party paying"
    settled = transfer.decided(accepted, "SETTLED", None, attempt)
    if accepted.kind == "transfer":
        settled = replace(settled, returnable_cents=accepted.amount_cents)
    postings = (
        account.pay_out(settlement, accepted.amount_cents, accepted.transfer_id, attempt.at),
        account.fulfil(payee, accepted.amount_cents, accepted.transfer_id, attempt.at),
    )
    return Change(settled, postings, transfer.event_of(settled, attempt), before="ACCEPTED")


def turn_away(accepted: Transfer, payee: Balance, reason: str, attempt: Attempt) -> Change:
    """Ends the promise, because the SPI has said that the money will not come. Raises `Frozen`."""
    _check(accepted, payee)
    rejected = transfer.decided(accepted, "REJECTED", reason, attempt)
    posting = account.forgo(payee, accepted.amount_cents, accepted.transfer_id, attempt.at)
    event = transfer.event_of(rejected, attempt)
    return Change(rejected, (posting,), event, transfer.given_back(accepted), "ACCEPTED")


def _check(accepted: Transfer, payee: Balance) -> None:
    assert accepted.status == "ACCEPTED"
    assert payee.account_id == accepted.payee, f"{payee.account_id} is not the party paid"
    if payee.halted:
        raise Frozen(payee.account_id)

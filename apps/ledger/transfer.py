"""A transfer: its states, and who decides each change. Rules only, no I/O.

`HELD → SETTLED | REJECTED`, for a Pix to another bank `HELD → SENT → SETTLED | REJECTED`, and for one from
there `ACCEPTED → SETTLED | REJECTED` (`incoming`); no other change exists. Each function takes what was read
and gives everything that one transaction writes: the transfer as it becomes, the postings on the balances,
and the event that tells the world. The status is the only thing that keeps money from moving twice, so every
write of the result carries the condition that the status is still the one that was read.

A Pix to another bank is SENT before its order may leave. From then on only an answer of the SPI decides it:
it never expires.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from apps.kit.events import Event
from apps.ledger import account
from apps.ledger.account import Balance, Posting, Refusal
from apps.ledger.entries import AccountStatus
from apps.pix import limits
from apps.pix.limits import OverLimit, Receiver

Status = Literal["HELD", "SENT", "ACCEPTED", "SETTLED", "REJECTED"]
Kind = Literal["transfer", "grant", "return"]

SOURCE = "/gobanking/ledger"
EVENT_VERSION = 3
"""Version 2 names the original of a return, version 3 the rail of a payment to another bank."""
HELD = "br.gobanking.transfer.held"
SENT = "br.gobanking.transfer.sent"
ACCEPTED = "br.gobanking.transfer.accepted"
SETTLED = "br.gobanking.transfer.settled"
REJECTED = "br.gobanking.transfer.rejected"
_EVENT_TYPES: Mapping[Status, str] = {
    "HELD": HELD,
    "SENT": SENT,
    "ACCEPTED": ACCEPTED,
    "SETTLED": SETTLED,
    "REJECTED": REJECTED,
}
_UNPAYABLE: Mapping[AccountStatus, str] = {"BLOCKED": "payee_blocked", "CLOSED": "payee_closed"}
"""Why a transfer is rejected, by the status of the account that it was for."""

FIRST_LOOK = timedelta(seconds=5)
LONGEST_LOOK = timedelta(minutes=5)
"""The sweep looks at an undecided transfer first after 5 s, then after twice as long, up to 5 minutes."""


@dataclass(frozen=True)
class Order:
    """What a caller asks for, checked for shape. `subject` is who asks, empty for the bank itself;
    `end_to_end_id` is made once per request. `payment` is there for a Pix to another bank, whose payee is an
    item of `settlement`: what the order will say of who pays and who is paid, as one text. `receiver` is then
    what kind of person is paid there; who is paid here says so on the balance. `charge_id` is the charge
    that is paid.
    """

    transfer_id: str
    kind: Kind
    subject: str
    payer: str
    payee: str
    amount_cents: int
    description: str | None
    end_to_end_id: str | None
    request_hash: str
    request_id: str | None
    original_transfer_id: str | None = None
    payment: str | None = field(default=None, repr=False)
    receiver: Receiver = "natural"
    charge_id: str | None = None


@dataclass(frozen=True)
class Sent:
    """The order of a Pix as it leaves, once and for all: its bytes, its MsgId, and when the payment was
    accepted (ISO 8601 UTC), which starts its time at the SPI."""

    order: str = field(repr=False)
    message_id: str
    accepted_at: str


@dataclass(frozen=True)
class Transfer:
    """A transfer as it stands. Times are ISO 8601 UTC; `looks` counts what the sweep has done for it.

    `answer` is the body of the first response, byte for byte; `event_id` is that of the latest event.
    `original_transfer_id` is what a return gives back from, and `returnable_cents` what is left to give back:
    the whole amount of a transfer once it is SETTLED, nothing of a grant or a return. `payment` is that of
    the order; `sent_order`, `message_id` and `accepted_at` are there from SENT on and never change. Of a Pix
    from another bank `payment` says who pays whom too, and `accepted_at` when the payer's bank took it.
    `limit_period` is the period whose limit the amount counts in, and `charge_id` the charge that is taken,
    until the transfer is REJECTED.
    """

    transfer_id: str
    kind: Kind
    status: Status
    payer: str
    payee: str
    payer_owner: str
    payee_owner: str
    amount_cents: int
    description: str | None
    end_to_end_id: str | None
    created_at: str
    expires_at: str
    due_at: str | None
    looks: int
    decided_at: str | None
    reason: str | None
    request_hash: str
    request_id: str | None
    event_id: str
    answer: str = field(default="", repr=False)
    original_transfer_id: str | None = None
    returnable_cents: int = 0
    payment: str | None = field(default=None, repr=False)
    sent_order: str | None = field(default=None, repr=False)
    message_id: str | None = None
    accepted_at: str | None = None
    limit_period: str | None = None
    charge_id: str | None = None

    @property
    def by_spi(self) -> bool:
        """Whether this is a Pix to another bank, or from one."""
        return self.payment is not None

    @property
    def incoming(self) -> bool:
        """Whether this is a Pix from another bank."""
        return self.by_spi and account.is_internal(self.payer)

    def seen_by(self, subject: str) -> bool:
        """Whether the subject is a party: payer and payee both see a transfer."""
        return subject in {self.payer_owner, self.payee_owner}


@dataclass(frozen=True)
class Returnable:
    """How much more (above zero) or less (below) of a settled transfer can be returned."""

    transfer_id: str
    cents: int


@dataclass(frozen=True)
class Change:
    """All that one transaction writes about one transfer, and what that does to another one. `before` is the
    status that a transfer which stands must still have."""

    transfer: Transfer
    postings: tuple[Posting, ...]
    event: Event
    returnable: Returnable | None = None
    before: Status = "HELD"


@dataclass(frozen=True)
class Attempt:
    """What is fixed once per attempt, so that its bytes can be repeated: the time and the event's id."""

    now: datetime
    event_id: str

    @property
    def at(self) -> str:
        """The time as it is written: ISO 8601, UTC, milliseconds."""
        return iso(self.now)


def iso(moment: datetime) -> str:
    """A moment as text that sorts in time order, such as `2026-11-25T12:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hold(
    order: Order, payer: Balance | None, payee: Balance | None, lifetime: timedelta, attempt: Attempt
) -> Change:
    """Sets the payer's money aside for the payee, and counts it against the payer's limits. Raises `Refusal`.

    A return and a grant count in no limit: neither is a payment that somebody could be made to make.
    """
    if payer is None or payer.owner != order.subject:
        raise Refusal("account_not_found", "You have no such account.")
    if order.payer == order.payee:
        raise Refusal("same_account", "An account cannot pay itself.")
    if payee is None or payee.internal is not (order.payment is not None):
        raise Refusal("payee_not_found", "No such account takes the money.")
    if payee.status == "CLOSED":
        # A block may be over by the time of settling; this is for good.
        raise Refusal("payee_closed", "The account that would be paid is closed.")
    _check_parties(order, payer, payee)
    posting = account.hold(payer, order.amount_cents, order.transfer_id, attempt.at)
    period = None
    if order.kind == "transfer" and not payer.internal:
        receiver = payee.holder if order.payment is None else order.receiver
        period = _period(payer, receiver, order.amount_cents, attempt.now)
        posting = account.counted(posting, payer.used.plus(period, order.amount_cents))
    transfer = Transfer(
        transfer_id=order.transfer_id,
        kind=order.kind,
        status="HELD",
        payer=payer.account_id,
        payee=payee.account_id,
        payer_owner=payer.owner,
        payee_owner=payee.owner,
        amount_cents=order.amount_cents,
        description=order.description,
        end_to_end_id=order.end_to_end_id,
        created_at=attempt.at,
        expires_at=iso(attempt.now + lifetime),
        due_at=iso(attempt.now + FIRST_LOOK),
        looks=0,
        decided_at=None,
        reason=None,
        request_hash=order.request_hash,
        request_id=order.request_id,
        event_id=attempt.event_id,
        original_transfer_id=order.original_transfer_id,
        payment=order.payment,
        limit_period=period,
    )
    return Change(transfer, (posting,), event_of(transfer, attempt))


def send(transfer: Transfer, payer: Balance, sent: Sent, attempt: Attempt) -> Change:
    """Writes down the order that is about to leave; nothing may leave before this stands. The money stays
    held. Raises `Frozen`."""
    assert transfer.status == "HELD"
    assert transfer.by_spi, "only a payment to another bank leaves"
    _check_parties(transfer, payer, None)
    if payer.halted:
        raise account.Frozen(payer.account_id)
    leaving = replace(
        transfer,
        status="SENT",
        sent_order=sent.order,
        message_id=sent.message_id,
        accepted_at=sent.accepted_at,
        due_at=iso(attempt.now + FIRST_LOOK),
        looks=0,
        event_id=attempt.event_id,
    )
    return Change(leaving, (), event_of(leaving, attempt))


def settle(transfer: Transfer, payer: Balance, payee: Balance | None, attempt: Attempt) -> Change:
    """Moves held money to the payee, or back to the payer when the payee is gone, blocked or closed. A payer
    who is blocked pays all the same: the money was promised before. Raises `Frozen`.

    A Pix to another bank is settled once it is SENT and the SPI has said so.
    """
    assert transfer.status == ("SENT" if transfer.by_spi else "HELD")
    if payee is None:
        if transfer.by_spi:
            # The money is at the other bank: nothing gives it back here.
            raise account.Frozen(transfer.payee)
        return reject(transfer, payer, "payee_unavailable", attempt)
    _check_parties(transfer, payer, payee)
    if payee.halted:
        raise account.Frozen(payee.account_id)
    if payee.status != "ACTIVE":
        return reject(transfer, payer, _UNPAYABLE[payee.status], attempt)
    settled = decided(transfer, "SETTLED", None, attempt)
    if transfer.kind == "transfer":
        settled = replace(settled, returnable_cents=transfer.amount_cents)
    postings = (
        account.debit(payer, transfer.amount_cents, transfer.transfer_id, attempt.at),
        account.credit(payee, transfer.amount_cents, transfer.transfer_id, attempt.at),
    )
    return Change(settled, postings, event_of(settled, attempt), before=transfer.status)


def reject(transfer: Transfer, payer: Balance, reason: str, attempt: Attempt) -> Change:
    """Gives held money back to the payer and says why, and what it took of the limit if its period still
    goes on; what a return had taken of its original can be returned again. What is SENT is rejected only
    because the SPI has said so. Raises `Frozen`.
    """
    assert transfer.status in {"HELD", "SENT"}
    _check_parties(transfer, payer, None)
    rejected = decided(transfer, "REJECTED", reason, attempt)
    posting = account.release(payer, transfer.amount_cents, transfer.transfer_id, attempt.at)
    if transfer.limit_period is not None:
        left = payer.used.minus(transfer.limit_period, transfer.amount_cents)
        posting = account.counted(posting, left)
    return Change(rejected, (posting,), event_of(rejected, attempt), given_back(transfer), transfer.status)


def expired(transfer: Transfer, now: datetime) -> bool:
    """Whether the hold's time is over. Only a HELD transfer expires."""
    return transfer.status == "HELD" and iso(now) >= transfer.expires_at


def next_look(transfer: Transfer, now: datetime) -> Transfer:
    """The transfer with its next look set: after twice as long as the last time, and never past expiry."""
    wait = min(FIRST_LOOK * 2 ** min(transfer.looks + 1, 16), LONGEST_LOOK)
    due_at = iso(now + wait)
    if transfer.status == "HELD" and iso(now) < transfer.expires_at:
        due_at = min(due_at, transfer.expires_at)
    return replace(transfer, looks=transfer.looks + 1, due_at=due_at)


def partition_key(transfer: Transfer) -> str:
    """The Kafka key of all events of a transfer: the account that is credited, so that one worker can
    batch its credits. Payments to another bank have one each: `settlement` is many items already."""
    return transfer.transfer_id if transfer.by_spi and not transfer.incoming else transfer.payee


def _period(payer: Balance, receiver: Receiver, amount_cents: int, now: datetime) -> str:
    """The period that the amount counts in. Raises `Refusal` `limit_exceeded` with what is left."""
    try:
        return limits.use(payer.allowed, receiver, payer.used, amount_cents, now).name
    except OverLimit as over:
        raise Refusal(
            "limit_exceeded",
            "The amount is more than what is left of your limit.",
            {
                "limit": over.period.limit,
                "limit_cents": over.limit_cents,
                "left_cents": over.left_cents,
                "period_ends_at": iso(over.period.ends_at),
            },
        ) from over


def _check_parties(named: Order | Transfer, payer: Balance, payee: Balance | None) -> None:
    """Money moves only on the balances of the parties; another one is a bug and stops the process."""
    assert payer.account_id == named.payer, f"{payer.account_id} is not the party paying"
    assert payee is None or payee.account_id == named.payee, f"{payee.account_id} is not the party paid"


def given_back(transfer: Transfer) -> Returnable | None:
    """What a return that is rejected leaves to be returned again."""
    if transfer.original_transfer_id is None:
        return None
    return Returnable(transfer.original_transfer_id, transfer.amount_cents)


def decided(transfer: Transfer, status: Status, reason: str | None, attempt: Attempt) -> Transfer:
    """The transfer once it is decided, for good."""
    return replace(
        transfer,
        status=status,
        reason=reason,
        decided_at=attempt.at,
        due_at=None,
        event_id=attempt.event_id,
    )


def event_of(transfer: Transfer, attempt: Attempt) -> Event:
    """The event of the transfer's present status: complete, so that a consumer reads nothing back."""
    return Event(
        id=attempt.event_id,
        type=_EVENT_TYPES[transfer.status],
        version=EVENT_VERSION,
        source=SOURCE,
        subject=transfer.transfer_id,
        time=attempt.at,
        data={
            "transfer_id": transfer.transfer_id,
            "kind": transfer.kind,
            "status": transfer.status,
            "payer": transfer.payer,
            "payee": transfer.payee,
            "amount_cents": transfer.amount_cents,
            "end_to_end_id": transfer.end_to_end_id,
            "description": transfer.description,
            "created_at": transfer.created_at,
            "decided_at": transfer.decided_at,
            "reason": transfer.reason,
            "original_transfer_id": transfer.original_transfer_id,
            "rail": "spi" if transfer.by_spi else None,
        },
        request_id=transfer.request_id,
    )

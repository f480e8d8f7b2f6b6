"""A request to move money, from its idempotency key to its answer: design steps 2 to 5.

The transfer's id comes from caller and key, so the transfer is its own idempotency record. It is read
before anything is looked up, and a refusal decided after that read is answered only once its mark stands:
from then on no attempt in flight anywhere can commit under the key.
"""

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.ledger import account, returns
from apps.ledger.account import Refusal
from apps.ledger.items import Mark
from apps.ledger.store import Ledger, RefusedAfterUnknown, Standing, Superseded
from apps.ledger.transfer import Order, Transfer
from apps.pix import end_to_end_id, outgoing
from apps.transaction.destination import Destination, Destinations, Payee, said

_TRANSFERS = uuid.UUID("2f0c2a5b-2a45-5e0a-8a55-b2fb3c0a3c03")
SECONDS = 4
"""After this no further try starts; the gateway waits for twice as long."""


class KeyReused(Exception):  # noqa: N818
    """The idempotency key belongs to a transfer that says something else."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(transfer_id)
        self.transfer_id = transfer_id


class Unknown(Exception):  # noqa: N818
    """The transfer may stand or not; repeating the request with its key will tell."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(transfer_id)
        self.transfer_id = transfer_id


@dataclass(frozen=True)
class Payment:
    """What a caller asks for, checked for shape."""

    subject: str
    key: str
    from_account: str
    to: Destination
    amount_cents: int
    description: str | None
    request_id: str | None

    @property
    def transfer_id(self) -> str:
        """The id that this caller's key gives the transfer."""
        return str(uuid.uuid5(_TRANSFERS, f"{self.subject}\ntransfers\n{self.key}"))

    @property
    def request_hash(self) -> str:
        """SHA-256 of what was asked for, to tell a replay from another request under the same key."""
        content = [self.from_account, said(self.to), self.amount_cents, self.description]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class GivingBack:
    """What a payee asks for who returns a transfer, or some of it, checked for shape."""

    subject: str
    key: str
    original_transfer_id: str
    amount_cents: int
    reason: str
    request_id: str | None

    @property
    def transfer_id(self) -> str:
        """The id that this caller's key gives the return, which is a transfer of its own."""
        return str(uuid.uuid5(_TRANSFERS, f"{self.subject}\nreturns\n{self.key}"))

    @property
    def request_hash(self) -> str:
        """SHA-256 of what was asked for, to tell a replay from another request under the same key."""
        content = ["return", self.original_transfer_id, self.amount_cents, self.reason]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """The transfer that answers, and whether it was there before this request."""

    transfer: Transfer
    replayed: bool


@dataclass(frozen=True)
class Transfers:
    """Takes requests for transfers. `render` makes the body of a first answer."""

    ledger: Ledger
    ispb: str
    lifetime: timedelta
    render: Callable[[Transfer], str]
    destinations: Destinations

    def request(self, payment: Payment, deadline: Deadline) -> Answer:
        """Holds the money, or repeats what this key was answered before.

        Who is paid is found out only after that read, and for a payer who has the money. Raises `Refusal`
        (final: its mark stands), `KeyReused`, `Unknown`, and where nothing is done `LookUpFailed` or
        `Unavailable`.
        """
        payee = Payee(_balance_to_credit(payment))
        first = self.ledger.standing(payment.transfer_id, (payment.from_account, payee.account_id))
        if isinstance(first.found, Transfer):
            return _replay(first.found, payment.request_hash)
        end_to_end = end_to_end_id.new(self.ispb, self.ledger.clock.now())
        if not isinstance(payment.to, str):
            try:
                self._check_payer(payment, first)
                payee = self.destinations.payee(
                    payment.to,
                    payer=payment.from_account,
                    transfer_id=payment.transfer_id,
                    end_to_end_id=end_to_end,
                    amount_cents=payment.amount_cents,
                )
            except Refusal as refusal:
                return self._refuse(payment.transfer_id, payment.request_hash, first.found, refusal)
            if payee.payment is None:
                read = self.ledger.standing(payment.transfer_id, (payment.from_account, payee.account_id))
                first = Standing(first.found, read.balances, charge=payee.charge)
        order = Order(
            transfer_id=payment.transfer_id,
            kind="transfer",
            subject=payment.subject,
            payer=payment.from_account,
            payee=payee.account_id,
            amount_cents=payment.amount_cents,
            description=payment.description,
            end_to_end_id=end_to_end,
            request_hash=payment.request_hash,
            request_id=payment.request_id,
            payment=payee.payment,
            receiver=payee.receiver,
            charge_id=payee.charge.charge_id if payee.charge is not None else None,
        )
        return self._hold(order, first, deadline)

    def give_back(self, giving: GivingBack, deadline: Deadline) -> Answer:
        """Holds the money of a return, or repeats what this key was answered before. Raises as `request`.

        Its parties stand on the original, so balances are read after it; what stood at the return's own id
        when this request began still counts.
        """
        first = self.ledger.standing(giving.transfer_id, (), giving.original_transfer_id)
        if isinstance(first.found, Transfer):
            return _replay(first.found, giving.request_hash)
        try:
            original = returns.check(
                first.original, giving.subject, giving.amount_cents, self.ledger.clock.now()
            )
        except Refusal as refusal:
            return self._refuse(giving.transfer_id, giving.request_hash, first.found, refusal)
        parties = (original.payee, original.payer)
        read = self.ledger.standing(giving.transfer_id, parties, giving.original_transfer_id)
        order = Order(
            transfer_id=giving.transfer_id,
            kind="return",
            subject=giving.subject,
            payer=original.payee,
            payee=original.payer,
            amount_cents=giving.amount_cents,
            description=giving.reason,
            end_to_end_id=end_to_end_id.of_return(self.ispb, self.ledger.clock.now()),
            request_hash=giving.request_hash,
            request_id=giving.request_id,
            original_transfer_id=original.transfer_id,
            payment=_back(original),
        )
        return self._hold(order, Standing(first.found, read.balances, read.original), deadline)

    def _check_payer(self, payment: Payment, first: Standing) -> None:
        """What the hold would refuse anyway costs nobody a look-up. Raises `Refusal`."""
        payer = first.balances.get(payment.from_account)
        if payer is None or payer.owner != payment.subject:
            raise Refusal("account_not_found", "You have no such account.")
        account.hold(payer, payment.amount_cents, payment.transfer_id, self.ledger.clock.attempt().at)

    def _hold(self, order: Order, first: Standing, deadline: Deadline) -> Answer:
        seen = first.found
        assert not isinstance(seen, Transfer)
        try:
            transfer = self.ledger.hold(order, first, self.lifetime, self.render, deadline)
        except Refusal as refusal:
            return self._refuse(order.transfer_id, order.request_hash, seen, refusal)
        except Superseded as superseded:
            raise refusal_of(superseded.mark) from superseded
        except OutcomeUnknown as error:
            raise Unknown(order.transfer_id) from error
        return _replay(transfer, order.request_hash, replayed=False)

    def _refuse(self, transfer_id: str, request_hash: str, seen: Mark | None, refusal: Refusal) -> Answer:
        try:
            transfer = self.ledger.refuse(transfer_id, seen, _written(refusal))
        except OutcomeUnknown as error:
            raise Unknown(transfer_id) from error
        except Unavailable as error:
            # Without its mark, the refusal does not stop a hold that was sent before it.
            if isinstance(refusal, RefusedAfterUnknown):
                raise Unknown(transfer_id) from error
            raise
        if transfer is None:
            raise refusal
        return _replay(transfer, request_hash)


def _balance_to_credit(payment: Payment) -> str:
    """The balance that the payment goes to, as far as its request says: read along with the payer's."""
    if isinstance(payment.to, str):
        return payment.to
    return account.internal_item(account.SETTLEMENT, payment.transfer_id)


def _back(original: Transfer) -> str | None:
    """Who pays whom when a Pix from another bank goes back there; none for a transfer here."""
    if original.payment is None:
        return None
    assert original.end_to_end_id is not None
    return outgoing.turned_round(original.payment, original.end_to_end_id)


def _replay(transfer: Transfer, request_hash: str, *, replayed: bool = True) -> Answer:
    if transfer.request_hash != request_hash:
        raise KeyReused(transfer.transfer_id)
    return Answer(transfer, replayed)


def _written(refusal: Refusal) -> str:
    return json.dumps([refusal.code, refusal.detail, dict(refusal.facts)])


def refusal_of(mark: Mark) -> Refusal:
    """The refusal that a mark keeps."""
    code, detail, facts = json.loads(mark.problem)
    return Refusal(code, detail, facts)

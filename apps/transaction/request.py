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
from apps.ledger.account import Refusal
from apps.ledger.items import Mark
from apps.ledger.store import Ledger, RefusedAfterUnknown, Superseded
from apps.ledger.transfer import Order, Transfer
from apps.pix import end_to_end_id

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
    to_account: str
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
        content = [self.from_account, {"account": self.to_account}, self.amount_cents, self.description]
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

    def request(self, payment: Payment, deadline: Deadline) -> Answer:
        """Holds the money, or repeats what this key was answered before.

        Raises `Refusal` (final: its mark stands), `KeyReused`, `Unknown` or `Unavailable` (nothing done).
        """
        first = self.ledger.standing(payment.transfer_id, (payment.from_account, payment.to_account))
        if isinstance(first.found, Transfer):
            return self._replay(first.found, payment)
        order = Order(
            transfer_id=payment.transfer_id,
            kind="transfer",
            subject=payment.subject,
            payer=payment.from_account,
            payee=payment.to_account,
            amount_cents=payment.amount_cents,
            description=payment.description,
            end_to_end_id=end_to_end_id.new(self.ispb, self.ledger.clock.now()),
            request_hash=payment.request_hash,
            request_id=payment.request_id,
        )
        try:
            transfer = self.ledger.hold(order, first, self.lifetime, self.render, deadline)
        except Refusal as refusal:
            return self._refuse(payment, first.found, refusal)
        except Superseded as superseded:
            raise refusal_of(superseded.mark) from superseded
        except OutcomeUnknown as error:
            raise Unknown(payment.transfer_id) from error
        return self._replay(transfer, payment, replayed=False)

    def _refuse(self, payment: Payment, seen: Mark | None, refusal: Refusal) -> Answer:
        try:
            transfer = self.ledger.refuse(payment.transfer_id, seen, _written(refusal))
        except OutcomeUnknown as error:
            raise Unknown(payment.transfer_id) from error
        except Unavailable as error:
            # Without its mark, the refusal does not stop a hold that was sent before it.
            if isinstance(refusal, RefusedAfterUnknown):
                raise Unknown(payment.transfer_id) from error
            raise
        if transfer is None:
            raise refusal
        return self._replay(transfer, payment)

    def _replay(self, transfer: Transfer, payment: Payment, *, replayed: bool = True) -> Answer:
        if transfer.request_hash != payment.request_hash:
            raise KeyReused(transfer.transfer_id)
        return Answer(transfer, replayed)


def _written(refusal: Refusal) -> str:
    return json.dumps([refusal.code, refusal.detail, dict(refusal.facts)])


def refusal_of(mark: Mark) -> Refusal:
    """The refusal that a mark keeps."""
    code, detail, facts = json.loads(mark.problem)
    return Refusal(code, detail, facts)

"""What an order of another bank wants of the ledger, or why it is refused before the ledger is asked."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.consumers.account_holders import AccountHolders, Holding, Place, place_of
from apps.consumers.pix_rail import Rail
from apps.kit import metrics
from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.kit.money import MAX_AMOUNT_CENTS
from apps.ledger.account import SETTLEMENT, internal_item
from apps.ledger.incoming import Incoming
from apps.ledger.store import Ledger
from apps.ledger.transfer import Transfer, iso
from apps.pix import incoming, outgoing
from apps.pix.incoming import OUR_FAULT
from apps.pix.spi import PaymentOrder, PaymentReturn

SECONDS = 3.0

Order = PaymentOrder | PaymentReturn

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class No:
    """It will not be credited, for the SPI's `code`."""

    code: str


@dataclass(frozen=True)
class Later:
    """Nobody can say now."""


Wish = Incoming | No | Later


class Wishes:
    """Reads whom orders are for."""

    def __init__(self, ledger: Ledger, holders: AccountHolders, rail: Rail) -> None:
        self._ledger = ledger
        self._holders = holders
        self._rail = rail

    def of(self, orders: Sequence[Order]) -> list[Wish]:
        """What the ledger is to promise for each, or why nothing."""
        creditors = [order.creditor for order in orders if isinstance(order, PaymentOrder)]
        try:
            holdings = self._holders.named(creditors)
        except Unavailable:
            return [Later() for _ in orders]
        return [self._one(order, holdings) for order in orders]

    def _one(self, order: Order, holdings: Mapping[Place, Holding]) -> Wish:
        try:
            if isinstance(order, PaymentReturn):
                return self._return(order)
            place = place_of(order.creditor)
            return self._payment(order, holdings.get(place) if place else None)
        except (Unavailable, OutcomeUnknown, OSError):
            return Later()
        except Exception as error:  # noqa: BLE001 (the border of one message: the others go on)
            log_fault(incoming.transfer_id(id_of(order)), error)
            return No(OUR_FAULT)

    def _payment(self, order: PaymentOrder, holding: Holding | None) -> Wish:
        holder = holding.party if holding else None
        objection = incoming.objection(order, holder, self._rail.ispb, MAX_AMOUNT_CENTS)
        if objection is not None:
            return No(objection)
        assert holding is not None
        transfer_id = incoming.transfer_id(order.end_to_end_id)
        return Incoming(
            transfer_id=transfer_id,
            kind="transfer",
            payer=internal_item(SETTLEMENT, transfer_id),
            payee=holding.account_id,
            amount_cents=order.amount_cents,
            description=order.description,
            end_to_end_id=order.end_to_end_id,
            accepted_at=iso(order.accepted_at),
            request_hash=incoming.digest(order),
            payment=incoming.payment_of(order, holding.party),
        )

    def _return(self, returned: PaymentReturn) -> Wish:
        original = self._original(returned.end_to_end_id)
        payment = original.payment if original is not None else None
        objection = incoming.objection_to_return(returned, payment, self._rail.ispb)
        if objection is not None:
            return No(objection)
        assert original is not None
        assert payment is not None
        transfer_id = incoming.transfer_id(returned.return_id)
        return Incoming(
            transfer_id=transfer_id,
            kind="return",
            payer=internal_item(SETTLEMENT, transfer_id),
            payee=original.payer,
            amount_cents=returned.amount_cents,
            description=returned.description,
            end_to_end_id=returned.return_id,
            # A pacs.004 has no time of acceptance: its time begins with the SPI.
            accepted_at=iso(returned.header.created_at),
            request_hash=incoming.digest(returned),
            payment=outgoing.turned_round(payment, returned.end_to_end_id),
            original_transfer_id=original.transfer_id,
        )

    def _original(self, end_to_end_id: str) -> Transfer | None:
        """The payment from here that this id names. One that is SENT still is settled first, if the SPI says
        so: its return may be quicker than the answer to it."""
        transfer_id = self._ledger.paid_as(end_to_end_id)
        original = self._ledger.transfer(transfer_id) if transfer_id is not None else None
        if original is None or original.status != "SENT":
            return original
        report = self._rail.ask(original)
        if report is None or report.status not in {"ACSC", "ACCC"}:
            return original
        return self._ledger.arrive(original.transfer_id, Deadline.after(SECONDS))


def id_of(order: Order) -> str:
    """The id that an order has at the SPI."""
    return order.return_id if isinstance(order, PaymentReturn) else order.end_to_end_id


def log_fault(transfer_id: str, error: Exception | None) -> None:
    """Says that an order met a mistake of ours."""
    said = {"transfer_id": transfer_id, "error": type(error).__name__}
    _log.error("a payment of another bank cannot be accepted", extra=said)
    metrics.emit("arrivals_failed", 1, reason=type(error).__name__)

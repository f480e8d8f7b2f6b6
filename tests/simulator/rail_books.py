"""The books beside the SPI's own record, which knows what money has moved between the banks."""

from collections.abc import Iterator, Mapping

from apps.ledger.account import SETTLEMENT, Balance
from apps.ledger.transfer import Transfer
from apps.pix import incoming
from tests.simulator.spi import Order, Spi


def money_misfits(
    balances: Mapping[str, Balance], transfers: Mapping[str, Transfer], spi: Spi
) -> Iterator[str]:
    """What `settlement` has is what the SPI has moved, but for what the bank has not heard yet. True at every
    moment."""
    by_order = {each.end_to_end_id: each for each in transfers.values() if each.by_spi}
    unheard = 0
    for order in spi.orders.values():
        here = by_order.get(order.id)
        if order.status != "ACSC":
            if here is not None and here.status == "SETTLED":
                yield f"{here.transfer_id} is SETTLED, and its money has not moved"
        elif here is None:
            yield f"{order.id} has moved money, and is not here"
        elif here.status == "REJECTED":
            yield f"{here.transfer_id} is REJECTED, and its money has moved"
        elif here.status != "SETTLED":
            unheard += -order.cents if order.comes else order.cents
    has = sum(each.total for name, each in balances.items() if name.startswith(f"{SETTLEMENT}#"))
    if has + unheard != spi.moved:
        yield f"settlement has {has} and will have {unheard} more, the SPI has moved {spi.moved}"


def order_misfits(transfers: Mapping[str, Transfer], spi: Spi) -> Iterator[str]:
    """What the SPI was told, and told us, is what stands. True once everything has come to rest."""
    for each in transfers.values():
        order = spi.orders.get(each.end_to_end_id or "")
        if each.by_spi and each.status == "SETTLED" and order is None:
            yield f"{each.transfer_id} is SETTLED, and the SPI has no such order"
        if order is not None and not order.comes and each.sent_order != order.message.decode():
            yield f"{each.transfer_id} left otherwise than it was written down"
    for order in spi.orders.values():
        here = transfers.get(incoming.transfer_id(order.id)) if order.comes else None
        if here is not None and _said(here, transfers) != _ordered(order):
            yield f"{order.id} was accepted otherwise than it came"


def _said(here: Transfer, transfers: Mapping[str, Transfer]) -> tuple[str, int, str | None]:
    original = transfers.get(here.original_transfer_id or "")
    return here.payee, here.amount_cents, original.end_to_end_id if original else None


def _ordered(order: Order) -> tuple[str | None, int, str | None]:
    return order.payee, order.cents, order.returns.id if order.returns else None

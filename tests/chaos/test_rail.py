"""Our books and Bacen's record of orders: what agrees passes, and each thing that does not is found."""

from collections.abc import Callable

import pytest

from tests.chaos.books import Books, Payment
from tests.chaos.checker import counted
from tests.chaos.rail import ISPB, Order, disagreements

THEM = "60701190"


def out(name: str, status: str, order_id: str | None = None, cents: int = 10) -> Payment:
    order_id = order_id or f"E{name}"
    return Payment(name, "transfer", status, "ana", "settlement#1", cents, None, "", order_id, "{}", None)


def come(name: str, status: str) -> Payment:
    return Payment(name, "transfer", status, "settlement#2", "ana", 10, None, "", f"E{name}", "{}", None)


def there(name: str, status: str, payer: str = ISPB) -> Order:
    return Order(f"E{name}", payer, THEM if payer == ISPB else ISPB, 10, status)


AGREED: tuple[list[Payment], list[Order]] = (
    [
        out("paid", "SETTLED"),
        out("refused", "REJECTED"),
        out("never left", "REJECTED"),
        come("came", "SETTLED"),
        come("went", "REJECTED"),
    ],
    [
        there("paid", "SETTLED"),
        there("refused", "REJECTED"),
        there("came", "SETTLED", THEM),
        there("went", "REJECTED", THEM),
        there("not taken", "REJECTED", THEM),
    ],
)
Change = Callable[[list[Payment], list[Order]], object]
DISAGREED: dict[str, tuple[Change, set[str]]] = {
    "settled here, rejected there": (
        lambda _, orders: orders.__setitem__(0, there("paid", "REJECTED")),
        {"settled_here_alone"},
    ),
    "settled here, unknown there": (lambda _, orders: orders.pop(0), {"settled_here_alone"}),
    "settled there, rejected here": (
        lambda here, _: here.__setitem__(0, out("paid", "REJECTED")),
        {"settled_there_alone"},
    ),
    "came, and nobody was credited": (lambda here, _: here.pop(3), {"settled_there_alone"}),
    "credited, and it never came": (
        lambda _, orders: orders.__setitem__(2, there("came", "REJECTED", THEM)),
        {"settled_here_alone"},
    ),
    "promised for no order": (lambda _, orders: orders.pop(3), {"promise_of_no_order"}),
    "another amount": (
        lambda here, _: here.__setitem__(0, out("paid", "SETTLED", cents=11)),
        {"another_amount_at_the_spi"},
    ),
    "a second order for one payment": (
        lambda _, orders: orders.append(there("paid again", "SETTLED")),
        {"order_of_no_transfer", "settled_there_alone"},
    ),
    "two transfers under one id": (
        lambda here, _: here.append(out("again", "SETTLED", "Epaid")),
        {"two_transfers_of_one_order"},
    ),
    "nobody answers an order": (
        lambda _, orders: orders.append(there("late", "WAITING", THEM)),
        {"undecided_at_the_spi"},
    ),
}


def books(payments: list[Payment]) -> Books:
    return Books(payments={each.transfer_id: each for each in payments})


def test_two_sides_that_say_the_same_have_no_disagreement() -> None:
    assert disagreements(books(AGREED[0]), AGREED[1]) == []


@pytest.mark.parametrize(("change", "found"), DISAGREED.values(), ids=DISAGREED.keys())
def test_what_the_two_sides_do_not_say_alike_is_found(change: Change, found: set[str]) -> None:
    here, orders = list(AGREED[0]), list(AGREED[1])
    change(here, orders)
    assert set(counted(disagreements(books(here), orders))) == found

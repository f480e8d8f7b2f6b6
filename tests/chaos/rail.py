"""The SPI as the Bacen simulator has it: its buttons, its own record of orders, and our books held against
that. Whatever the two sides told each other on the way, in the end both say the same of every order.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import requests

from environments.local.supervisor import DEFAULTS
from tests.chaos.books import Books, Payment
from tests.chaos.checker import Violation

ISPB = DEFAULTS["ispb"]
"""Our own."""
SECONDS = 10.0


@dataclass(frozen=True)
class Order:
    """An order as Bacen has it: WAITING, SETTLED or REJECTED. `payer` and `payee` are banks."""

    order_id: str
    payer: str
    payee: str
    amount_cents: int
    status: str


@dataclass(frozen=True)
class Bacen:
    """The simulator at `url`, by what no bank has."""

    url: str

    def add(self, place: str, what: str, **fault: Any) -> int:
        """Breaks something, until it is mended; gives its number."""
        body = {"place": place, "what": what, "times": None, **fault}
        return int(self._asked("POST", "faults", json=body)["fault_id"])

    def mend(self, *numbers: int) -> None:
        """Ends these faults, or all. One that has ended is no mistake."""
        for path in [f"faults/{each}" for each in numbers] or ["faults"]:
            self._asked("DELETE", path)

    def pay(self, account: Mapping[str, str], cents: int) -> str:
        """Somebody at another bank pays an account here; gives the order's id."""
        body = {"account": dict(account), "amount_cents": cents}
        return str(self._asked("POST", "payments", json=body)["order_id"])

    def order(self, order_id: str) -> Order:
        """One order."""
        return _order(self._asked("GET", f"orders/{order_id}"))

    def orders(self) -> list[Order]:
        """Every order there is."""
        return [_order(each) for each in self._asked("GET", "orders")["orders"]]

    def undecided(self) -> list[str]:
        """The orders that wait for the bank that is paid."""
        return [each.order_id for each in self.orders() if each.status == "WAITING"]

    def hand_out_again(self) -> None:
        """A reader that died has its messages come again now, and not twenty seconds later."""
        self._asked("DELETE", f"streams/{ISPB}")

    def _asked(self, method: str, path: str, **request: Any) -> Any:
        answer = requests.request(method, f"{self.url}/simulator/{path}", timeout=SECONDS, **request)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _order(shown: Mapping[str, Any]) -> Order:
    return Order(**{each.name: shown[each.name] for each in fields(Order)})


def disagreements(books: Books, orders: Iterable[Order]) -> list[Violation]:
    """What the two sides do not say alike once nothing moves."""
    here: dict[str, list[Payment]] = defaultdict(list)
    for payment in books.payments.values():
        if payment.outgoing or payment.incoming:
            here[str(payment.end_to_end_id)].append(payment)
    there = {order.order_id: order for order in orders}
    return [
        *(found for order in there.values() for found in _of_order(order, here.get(order.order_id, []))),
        *(
            found
            for order_id, payments in here.items()
            for found in _of_payments(order_id, payments, there.get(order_id))
        ),
    ]


def _of_order(order: Order, here: list[Payment]) -> Iterator[Violation]:
    if order.status == "WAITING":
        yield Violation("undecided_at_the_spi", order.order_id)
    if order.payer == ISPB and not here:
        # A second order for one payment has an id of its own.
        yield Violation("order_of_no_transfer", order.order_id)
    if order.status == "SETTLED" and not any(each.status == "SETTLED" for each in here):
        yield Violation("settled_there_alone", order.order_id, str([each.status for each in here]))
    if any(each.amount_cents != order.amount_cents for each in here):
        yield Violation("another_amount_at_the_spi", order.order_id, str(order.amount_cents))


def _of_payments(order_id: str, payments: list[Payment], order: Order | None) -> Iterator[Violation]:
    if len(payments) > 1:
        yield Violation("two_transfers_of_one_order", order_id)
    for payment in payments:
        if payment.status == "SETTLED" and (order is None or order.status != "SETTLED"):
            yield Violation("settled_here_alone", order_id, payment.transfer_id)
        if payment.incoming and order is None:
            yield Violation("promise_of_no_order", order_id, payment.transfer_id)

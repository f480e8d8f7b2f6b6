"""The SPI in a world: orders get lost, come late and twice, answers too, and other banks take their time.

It knows what nobody in the bank can know: which orders have moved money. What it is told twice must be the
same bytes, and nothing may leave for a payment that nobody made, or when its time is over.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.pix import spi_writing
from apps.pix.spi import SPI_ISPB, Header, Status, StatusReport
from tests.simulator.store import Store
from tests.simulator.world import Killed, Process, World

ISPB = "99999010"
SETTLED_WITHIN = timedelta(seconds=40)
SKEW = timedelta(seconds=4)
"""Two processes' clocks differ by so much at most."""
LATE_SECONDS = 6.0
REJECTIONS = ("AC03", "AC06", "DS04")
OF_COPIES = ("DUPL", "ED05", "AM09", "AB03")


@dataclass(frozen=True)
class Chances:
    """How probably each of these happens at a call, or to an order; zero everywhere is a calm SPI."""

    lost: float = 0.0
    """The request or the reply is lost."""
    late: float = 0.0
    """The order arrives when nobody waits for it any more."""
    killed: float = 0.0
    """The process that calls is killed, before or after."""
    copies: float = 0.0
    """Asked for an order that came twice, it speaks of the copy."""
    slow: float = 0.0
    """The other bank answers later, or never."""
    rejected: float = 0.1
    """The other bank says no."""


CALM = Chances()


@dataclass
class Order:
    """What the SPI has of one payment."""

    message: bytes
    deadline: datetime
    status: Status = "ACSP"
    reason: str | None = None
    copies: int = 0


@dataclass
class Spi:
    """All orders, by end-to-end id."""

    world: World
    store: Store
    chances: Chances = CALM
    orders: dict[str, Order] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = self.world.clock_of(Process("bacen"))

    def line(self, process: Process) -> "Line":
        """How a process reaches it."""
        return Line(self, process)

    def take(self, message: bytes) -> None:
        """An order has arrived."""
        end_to_end_id, accepted = _said(message, "EndToEndId"), _said(message, "AccptncDtTm")
        known = self.orders.get(end_to_end_id)
        if known is not None:
            known.copies += 1
            if known.message != message:
                self.world.violated(f"{end_to_end_id} left in two forms")
            return
        if end_to_end_id not in self.store.made.values():
            self.world.violated(f"{end_to_end_id} left, and nobody made it")
        order = Order(message, datetime.fromisoformat(accepted) + SETTLED_WITHIN)
        self.orders[end_to_end_id] = order
        self.world.spawn("other bank", lambda: self._answered(order))

    def _answered(self, order: Order) -> None:
        chances, chance = self.chances, self.world.chance
        slow = chance.random() < chances.slow
        self.world.rest(chance.choice((5.0, 30.0, 60.0)) if slow else chance.uniform(0.0, 1.0))
        if self.now() >= order.deadline:
            order.status, order.reason = "RJCT", "AB03"
        elif chance.random() < chances.rejected:
            order.status, order.reason = "RJCT", chance.choice(REJECTIONS)
        else:
            order.status = "ACSC"


@dataclass
class Line:
    """`apps.pix.spi.Transport`, for one process."""

    spi: Spi
    process: Process

    def send(self, message: bytes) -> None:
        accepted = datetime.fromisoformat(_said(message, "AccptncDtTm"))
        if self.spi.now() >= accepted + SETTLED_WITHIN + SKEW:
            self.spi.world.violated("an order left when its time was over")
        self._called("spi send", lambda: self.spi.take(message), may_be_late=True)

    def status(self, end_to_end_id: str) -> bytes | None:
        answer: list[bytes | None] = []
        self._called("spi status", lambda: answer.append(self._said_of(end_to_end_id)), may_be_late=False)
        return answer[0]

    def receive(self) -> Sequence[bytes]:
        raise AssertionError("who sends reads no stream")

    def acknowledge(self) -> None:
        raise AssertionError("who sends reads no stream")

    def _said_of(self, end_to_end_id: str) -> bytes | None:
        order = self.spi.orders.get(end_to_end_id)
        if order is None:
            return None
        status, reason = order.status, order.reason
        if order.copies and self.spi.world.chance.random() < self.spi.chances.copies:
            status, reason = "RJCT", self.spi.world.chance.choice(OF_COPIES)
        if reason == "AB03" and order.status == "ACSC":
            # What it says of a copy that came too late, it says soon: asked later, it speaks of the order.
            status, reason = ("ACSC", None) if self.spi.now() >= order.deadline else (status, reason)
        header = Header(SPI_ISPB, ISPB, f"M{SPI_ISPB}{'0' * 23}", self.spi.now())
        return spi_writing.status_report(StatusReport(header, end_to_end_id, status, reason))

    def _called(self, what: str, done: Callable[[], None], *, may_be_late: bool) -> None:
        world, chances = self.spi.world, self.spi.chances
        world.step(what)
        self._meet()
        drawn = world.chance.random()
        if drawn < chances.lost:
            if world.chance.random() < 0.5:
                done()
            world.rest(world.chance.uniform(0.0, 4.0))
            raise TimeoutError
        if may_be_late and drawn < chances.lost + chances.late:

            def arrive() -> None:
                world.rest(world.chance.uniform(0.0, LATE_SECONDS))
                done()

            world.spawn("network", arrive)
            world.rest(world.chance.uniform(0.0, 4.0))
            raise TimeoutError
        done()
        self._meet()

    def _meet(self) -> None:
        if self.spi.chances.killed and self.spi.world.chance.random() < self.spi.chances.killed:
            self.spi.world.kill(self.process)
            raise Killed


def _said(message: bytes, element: str) -> str:
    found = re.search(rf"<{element}>([^<]+)</{element}>".encode(), message)
    assert found is not None, element
    return found[1].decode()

"""The SPI in a world: orders get lost, come late and twice, answers too, and other banks take their time.

It knows what nobody in the bank can know: which orders have moved money. What it is told twice must be the
same bytes, nothing may leave for a payment that nobody made, or when its time is over, and no yes may leave
for which no promise stands.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from apps.consumers.icom import SpiDown
from apps.pix import incoming, spi_writing
from apps.pix.spi import SPI_ISPB, Header, Status, StatusReport
from tests.simulator.store import Store
from tests.simulator.stream import Stream
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
    """A message arrives when nobody waits for it any more."""
    killed: float = 0.0
    """The process that calls is killed, before or after."""
    copies: float = 0.0
    """Asked for an order that came twice, it speaks of the copy."""
    slow: float = 0.0
    """The other bank answers later, or never."""
    rejected: float = 0.1
    """The other bank says no; or has no money at the SPI, after we have said yes."""
    unsaid: float = 0.0
    """What became of an order is not said, only told to who asks."""
    twice: float = 0.0
    """A message comes to us once more."""
    delayed: float = 0.0
    """A message comes to us later than what was said after it."""


CALM = Chances()


@dataclass(eq=False)
class Order:
    """What the SPI has of one payment or return. `comes`: another bank sent it, for the account `payee` here
    (`None`: for one that there is not). `returned` is what its returns have taken, or are taking."""

    id: str
    message: bytes
    cents: int
    deadline: datetime
    returns: "Order | None" = None
    comes: bool = False
    payee: str | None = None
    status: Status = "ACSP"
    reason: str | None = None
    copies: int = 0
    returned: int = 0

    @property
    def left(self) -> int:
        """How much of it can still be returned."""
        return self.cents - self.returned if self.status == "ACSC" and self.returns is None else 0


@dataclass
class Spi:
    """All orders, by their own ids, and the money that they have moved away from the bank, less what came."""

    world: World
    store: Store
    chances: Chances = CALM
    orders: dict[str, Order] = field(default_factory=dict)
    moved: int = 0
    under_way: int = 0
    """Messages of ours that will arrive late."""

    def __post_init__(self) -> None:
        self.now = self.world.clock_of(Process("bacen"))
        self.stream = Stream(self.world)
        self.store.decided = self._is_decided

    @property
    def at_rest(self) -> bool:
        """Whether nothing is on its way here, or from here."""
        return self.stream.empty and not self.under_way

    def line(self, process: Process) -> "Line":
        """How a process reaches it."""
        return Line(self, process)

    def take(self, message: bytes) -> None:
        """A message of ours has arrived."""
        if b"<OrgnlInstrId>" in message:
            self._answered_here(message)
        else:
            self._ordered(message)

    def pass_on(self, order: Order) -> None:
        """Another bank has ordered something for an account here."""
        self.orders[order.id] = order
        if order.returns is not None:
            order.returns.returned += order.cents
        self._put(order.message)

        def wait() -> None:
            while order.status == "ACSP":
                left = (order.deadline - self.now()).total_seconds()
                self.world.rest(max(left, 0.0) + 0.001)
                self.expire(order)

        self.world.spawn("spi clock", wait)

    def expire(self, order: Order) -> None:
        """Rejects it if nobody has answered and its time is over."""
        if order.status == "ACSP" and self.now() >= order.deadline:
            self._decide(order, "AB03")

    def _ordered(self, message: bytes) -> None:
        back = b"<RtrId>" in message
        order_id = _said(message, "RtrId" if back else "EndToEndId")
        known = self.orders.get(order_id)
        if known is not None:
            known.copies += 1
            if known.message != message:
                self.world.violated(f"{order_id} left in two forms")
            return
        if order_id not in self.store.made.values():
            self.world.violated(f"{order_id} left, and nobody made it")
        cents = int(_said(message, "RtrdIntrBkSttlmAmt" if back else "IntrBkSttlmAmt").replace(".", ""))
        # A return has no time of acceptance: its time begins here.
        begins = self.now() if back else datetime.fromisoformat(_said(message, "AccptncDtTm"))
        order = Order(order_id, message, cents, begins + SETTLED_WITHIN)
        if back:
            order.returns = self._returned(_said(message, "OrgnlEndToEndId"), order)
        self.orders[order_id] = order
        self.world.spawn("other bank", lambda: self._answered_there(order))

    def _returned(self, order_id: str, returning: Order) -> Order | None:
        original = self.orders.get(order_id)
        if original is None or not original.comes:
            self.world.violated(f"{returning.id} gives back {order_id}, which never came")
            return None
        if original.left < returning.cents:
            self.world.violated(f"{returning.id} gives back more of {order_id} than came")
        original.returned += returning.cents
        return original

    def _answered_there(self, order: Order) -> None:
        chances, chance = self.chances, self.world.chance
        slow = chance.random() < chances.slow
        self.world.rest(chance.choice((5.0, 30.0, 60.0)) if slow else chance.uniform(0.0, 1.0))
        if self.now() >= order.deadline:
            self._decide(order, "AB03")
        elif chance.random() < chances.rejected:
            self._decide(order, chance.choice(REJECTIONS))
        else:
            self._decide(order, None)

    def _answered_here(self, message: bytes) -> None:
        order = self.orders.get(_said(message, "OrgnlInstrId"))
        if order is None or not order.comes:
            self.world.violated("an answer left for an order that never came")
            return
        self.expire(order)
        if order.status != "ACSP":
            return
        if _said(message, "TxSts") != "ACSP":
            self._decide(order, _said(message, "Cd"))
        else:
            self._decide(order, "AM04" if self.world.chance.random() < self.chances.rejected / 2 else None)

    def _decide(self, order: Order, reason: str | None) -> None:
        """Settles it, or rejects it for a reason; and says so, to us."""
        order.status, order.reason = "ACSC" if reason is None else "RJCT", reason
        if reason is None:
            self.moved += -order.cents if order.comes else order.cents
        elif order.returns is not None:
            order.returns.returned -= order.cents
        # Those who sent an order ask for themselves: now and then is enough to see that they are left to it.
        if self.world.chance.random() >= (self.chances.unsaid if order.comes else 0.8):
            self._put(self.report(order, order.status, reason))

    def _put(self, message: bytes) -> None:
        chance = self.world.chance
        delayed = chance.random() < self.chances.delayed
        self.stream.put(message, chance.uniform(0.0, 20.0 if delayed else 0.2))

    def report(self, order: Order, status: Status, reason: str | None) -> bytes:
        """What it says of an order."""
        if order.comes and status == "ACSC":
            status = "ACCC"
        made = _report(status, reason, order.id[0]).replace(_NOBODY[1:], order.id[1:].encode())
        return made if order.returns is None else made.replace(_NOTHING, order.returns.id.encode())

    def _is_decided(self, transfer_id: str, status: str) -> None:
        """A transfer was decided in the ledger: only as its order was decided here."""
        order = self.orders.get(self.store.made.get(transfer_id) or "")
        if order is None or status not in {"SETTLED", "REJECTED"}:
            return
        moved = order.status == "ACSC"
        if moved is not (status == "SETTLED"):
            self.world.violated(
                f"{transfer_id} is {status}, and its money {'has' if moved else 'has not'} moved"
            )


@dataclass
class Line:
    """`apps.pix.spi.Transport`, for one process."""

    spi: Spi
    process: Process

    def send(self, message: bytes) -> None:
        world = self.spi.world
        if b"<OrgnlInstrId>" in message:
            self._check_answer(message)
        else:
            accepted = _said(message, "CreDtTm" if b"<RtrId>" in message else "AccptncDtTm")
            if self.spi.now() >= datetime.fromisoformat(accepted) + SETTLED_WITHIN + SKEW:
                world.violated("an order left when its time was over")
        self._called("spi send", lambda: self.spi.take(message), may_be_late=True)

    def _check_answer(self, message: bytes) -> None:
        spi = self.spi
        order_id = _said(message, "OrgnlInstrId")
        order = spi.orders.get(order_id)
        if order is not None and spi.now() >= order.deadline + SKEW:
            spi.world.violated(f"the answer to {order_id} left when its time was over")
        if _said(message, "TxSts") != "ACSP":
            return
        stands = spi.store.status(incoming.transfer_id(order_id))
        # What the SPI has decided meanwhile may have ended the promise: then this yes means nothing.
        if stands is None or (stands == "REJECTED" and order is not None and order.status == "ACSP"):
            spi.world.violated(f"a yes to {order_id} left, and no promise stands")

    def status(self, end_to_end_id: str) -> bytes | None:
        answer: list[bytes | None] = []
        self._called("spi status", lambda: answer.append(self._said_of(end_to_end_id)), may_be_late=False)
        return answer[0]

    def receive(self) -> Sequence[bytes]:
        spi, chance = self.spi, self.spi.world.chance
        spi.world.step("spi pull")
        self._meet()
        given = spi.stream.given.get(self.process)
        if given:
            return given
        drawn = chance.random()
        if drawn < spi.chances.lost / 2:
            spi.world.rest(chance.uniform(0.0, 4.0))
            raise SpiDown("timeout")
        if drawn < spi.chances.lost:
            raise SpiDown(chance.choice(("unreachable", "unavailable", "gone")), chance.choice((None, 2)))
        messages = spi.stream.pull(self.process, spi.chances.twice)
        self._meet()
        return messages

    def acknowledge(self) -> None:
        if self.spi.world.chance.random() < self.spi.chances.lost:
            # Never heard: the stream ends, and they come again.
            self.spi.stream.back(self.process)
        self.spi.stream.given.pop(self.process, None)

    def _said_of(self, end_to_end_id: str) -> bytes | None:
        order = self.spi.orders.get(end_to_end_id)
        if order is None:
            return None
        if order.comes:
            self.spi.expire(order)
        status, reason = order.status, order.reason
        if order.copies and self.spi.world.chance.random() < self.spi.chances.copies:
            status, reason = "RJCT", self.spi.world.chance.choice(OF_COPIES)
        if reason == "AB03" and order.status == "ACSC":
            # What it says of a copy that came too late, it says soon: asked later, it speaks of the order.
            status, reason = ("ACSC", None) if self.spi.now() >= order.deadline else (status, reason)
        return self.spi.report(order, status, reason)

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
                self.spi.under_way -= 1

            self.spi.under_way += 1
            world.spawn("network", arrive)
            world.rest(world.chance.uniform(0.0, 4.0))
            raise TimeoutError
        done()
        self._meet()

    def _meet(self) -> None:
        if self.spi.chances.killed and self.spi.world.chance.random() < self.spi.chances.killed:
            self.spi.world.kill(self.process)
            raise Killed


_NOBODY, _NOTHING = b"E00000000202001010000nobody00000", b"E00000000202001010000nothing0000"


@lru_cache
def _report(status: Status, reason: str | None, letter: str) -> bytes:
    """A report about nobody: all the others differ from it in the ids, and writing each anew takes long."""
    header = Header(SPI_ISPB, ISPB, f"M{SPI_ISPB}{'0' * 23}", datetime.fromisoformat("2026-11-25T09:00:00Z"))
    original = letter + _NOBODY[1:].decode()
    payment = _NOTHING.decode() if letter == "D" else None
    return spi_writing.status_report(StatusReport(header, original, status, reason, end_to_end_id=payment))


def _said(message: bytes, element: str) -> str:
    found = re.search(rf"<{element}(?: [^>]*)?>([^<]+)</{element}>".encode(), message)
    assert found is not None, element
    return found[1].decode()

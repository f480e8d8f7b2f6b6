"""Pix from other banks, from the SPI's message to our answer: accepted, and only then answered.

The promise is durable before the yes leaves, and the yes leaves before its time is over. Whatever goes wrong
after that costs nobody money: what stands ACCEPTED is looked at until the SPI has said what became of it. So
a message is over once it was handled, however that went, and none can stop the others.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from apps.consumers.pix_promises import Promises
from apps.consumers.pix_rail import Rail
from apps.consumers.pix_wishes import Later, No, Order, Wishes, id_of, log_fault
from apps.kit import dynamo, metrics
from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.ledger.account import Refusal
from apps.ledger.incoming import Incoming
from apps.ledger.receiving import Outcome, Receiving
from apps.ledger.transfer import Transfer
from apps.pix import incoming
from apps.pix.incoming import OUR_FAULT
from apps.pix.spi import MessageRefused, PaymentOrder, PaymentReturn, StatusReport

ATTEMPT_SECONDS = 3.0
PATIENCE_SECONDS = 8.0
"""So long a yes is tried for; then the other bank hears that something failed here, and has time for that."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Yes:
    """It will be credited: the promise stands."""


@dataclass(frozen=True)
class Silence:
    """Nothing is to be said: the SPI has decided already, or asks what no participant may."""


Verdict = Yes | No | Silence | Later


class Arrivals:
    """Handles what the SPI sends. `pool` sends several answers at once."""

    def __init__(
        self,
        rail: Rail,
        wishes: Wishes,
        receiving: Receiving,
        promises: Promises,
        *,
        pool: Executor,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._rail = rail
        self._wishes = wishes
        self._receiving = receiving
        self._promises = promises
        self._pool = pool
        self._patience_seconds = patience_seconds

    def handle(self, bodies: Sequence[bytes]) -> None:
        """Does what these messages ask for. Doing it twice is doing it once."""
        messages = [message for body in bodies if (message := self._rail.read(body)) is not None]
        self._answer([each for each in messages if isinstance(each, PaymentOrder | PaymentReturn)])
        self._promises.hear([each for each in messages if isinstance(each, StatusReport)])
        for each in messages:
            if isinstance(each, MessageRefused):
                _log.error("the SPI could not read a message", extra={"message_id": each.related[:32]})
                metrics.emit("spi_messages_refused", 1)

    def _answer(self, orders: Sequence[Order]) -> None:
        """Says yes or no to each order, within its time."""
        ends = Deadline.after(self._patience_seconds)
        # The same twice in one batch is one order.
        left = {id_of(order): order for order in orders}
        tries = 0
        while left:
            verdicts = zip(list(left.values()), self._verdicts(list(left.values())), strict=True)
            over = ends.passed
            said = [
                (order, No(OUR_FAULT) if isinstance(verdict, Later) else verdict)
                for order, verdict in verdicts
                if over or not isinstance(verdict, Later)
            ]
            list(self._pool.map(lambda pair: self._say(*pair), said))
            for order, _ in said:
                del left[id_of(order)]
            if left:
                dynamo.pause(tries)
                tries += 1

    def _verdicts(self, orders: Sequence[Order]) -> list[Verdict]:
        """What is to be said to each: the promises that can be made stand then."""
        wishes = self._wishes.of(orders)
        promised = [each for each in wishes if isinstance(each, Incoming)]
        outcomes = iter(self._receiving.accept(promised, Deadline.after(ATTEMPT_SECONDS)))
        return [_verdict(wish, next(outcomes)) if isinstance(wish, Incoming) else wish for wish in wishes]

    def _say(self, order: Order, verdict: Yes | No | Silence) -> None:
        outcome = verdict.code if isinstance(verdict, No) else type(verdict).__name__.lower()
        order_id = id_of(order)
        said = {
            "transfer_id": incoming.transfer_id(order_id),
            "end_to_end_id": order_id,
            "rail_message": "pacs.004" if isinstance(order, PaymentReturn) else "pacs.008",
            "outcome": outcome,
        }
        _log.info("a payment of another bank was judged", extra=said)
        metrics.emit("pix_in", 1, outcome=outcome)
        if isinstance(verdict, Silence):
            return
        self._rail.reply(
            order_id,
            verdict.code if isinstance(verdict, No) else None,
            _accepted(order),
            end_to_end_id=order.end_to_end_id if isinstance(order, PaymentReturn) else None,
        )


def _verdict(order: Incoming, outcome: Outcome) -> Verdict:
    match outcome:
        case Transfer() if outcome.request_hash != order.request_hash:
            # The SPI lets no id come twice: whoever says something else under it is not answered.
            _log.error("another order came under the same id", extra={"transfer_id": order.transfer_id})
            metrics.emit("arrivals_contradicted", 1)
            return Silence()
        case Transfer(status="REJECTED"):
            return Silence()
        case Transfer():
            return Yes()
        case Refusal():
            return No(incoming.code_of(outcome.code))
        case Unavailable() | OutcomeUnknown():
            return Later()
        case _:
            log_fault(order.transfer_id, outcome)
            return No(OUR_FAULT)


def _accepted(order: Order) -> datetime:
    return order.header.created_at if isinstance(order, PaymentReturn) else order.accepted_at

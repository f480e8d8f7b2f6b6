"""Sends payments to other banks: HELD becomes SENT with the order's bytes, and only then may the order leave.

Who made it SENT sends first, without asking. Who finds it SENT asks first: the order may be there already.
What became of it is for the SPI alone to say; until it has, the money stays held, however long that takes.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing

from apps.consumers import icom
from apps.consumers.icom import SpiSettings
from apps.consumers.pix_answers import Answers
from apps.consumers.pix_orders import Orders
from apps.consumers.process import WorkerSettings, working
from apps.kit import dynamo, metrics, settings
from apps.kit.dynamo import Deadline, OutcomeUnknown, TableCheck, Unavailable
from apps.kit.events import Event
from apps.kit.kafka import Producer
from apps.kit.worker import Poison, Together, TryAgain, Worker
from apps.ledger.account import Frozen
from apps.ledger.items import Corrupted
from apps.ledger.store import Ledger, Tables
from apps.ledger.transfer import ACCEPTED, EVENT_VERSION, HELD, REJECTED, SENT, SETTLED, Transfer
from apps.pix.outgoing import BadPayment
from apps.pix.spi import UNSIGNED
from apps.pix.spi_writing import Unwritable

SECONDS = 5
RAIL = "spi"

_log = logging.getLogger(__name__)


class SendSettings(WorkerSettings, SpiSettings):
    """What this worker reads from its environment."""

    table_accounts: str
    table_transactions: str
    table_events: str


class Sending:
    """Handles the events of transfers."""

    def __init__(self, ledger: Ledger, orders: Orders, answers: Answers) -> None:
        self._ledger = ledger
        self._orders = orders
        self._answers = answers

    def handlers(self) -> dict[str, tuple[int, Callable[[Event], None]]]:
        """What to do with each type of event that is handled alone, up to which version."""
        return {SENT: (EVENT_VERSION, self.ask)}

    def skips(self) -> dict[str, int]:
        """The types of event that need nothing, up to which version: what is decided, and what another bank
        pays."""
        return dict.fromkeys((ACCEPTED, SETTLED, REJECTED), EVENT_VERSION)

    def together(self) -> dict[str, tuple[int, Together]]:
        """What to do with all events of a type that a poll brings, up to which version."""
        return {HELD: (EVENT_VERSION, self.send)}

    def send(self, events: Sequence[Event]) -> list[Exception | None]:
        """Sends what is for other banks: for each event nothing, `TryAgain`, `Poison`, or a fault."""
        answers: list[Exception | None] = [None] * len(events)
        wanted: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            if event.data.get("rail") != RAIL:
                continue
            try:
                wanted.setdefault(_transfer_id(event), []).append(place)
            except Poison as poison:
                answers[place] = poison
        outcomes = self._ledger.send_together(list(wanted), self._orders.prepare, Deadline.after(SECONDS))
        mine: list[Transfer] = []
        found: list[Transfer] = []
        for places, (outcome, made) in zip(wanted.values(), outcomes, strict=True):
            if isinstance(outcome, Transfer) and outcome.status == "SENT":
                (mine if made else found).append(outcome)
            for place in places:
                answers[place] = _answer(outcome)
        self._answers.leave_all(mine)
        self._answers.await_all(found, left=False)
        return answers

    def ask(self, event: Event) -> None:
        """Sees to it that somebody asks what became of a payment. Raises `TryAgain` or `Poison`."""
        transfer_id = _transfer_id(event)
        if self._answers.awaits(transfer_id):
            return
        try:
            found = self._ledger.standing(transfer_id, ()).found
        except (Unavailable, Corrupted) as error:
            answer = _answer(error)
            if answer is not None:
                raise answer from error
            return
        if not isinstance(found, Transfer):
            raise Poison("no such transfer")
        if found.status == "SENT":
            self._answers.await_all([found], left=False)


def _answer(outcome: Transfer | Exception | None) -> Exception | None:
    match outcome:
        case None:
            return Poison("no such transfer")
        case Unavailable() | OutcomeUnknown():
            return TryAgain(type(outcome).__name__)
        case Transfer() | Frozen():
            # Frozen: it waits as it is; the sweep brings its event back when the account moves again.
            return None
        case Corrupted():
            _log.error("a record is damaged", extra={"place": outcome.place})
            metrics.emit("damaged_records", 1)
            return None
        case BadPayment() | Unwritable():
            # Nothing has left and nothing will: the hold's time ends it.
            _log.error("an order cannot be written", extra={"error": type(outcome).__name__})
            metrics.emit("orders_not_written", 1)
            return None
        case _:
            return outcome


def _transfer_id(event: Event) -> str:
    value = event.data.get("transfer_id")
    if not isinstance(value, str) or not value:
        raise Poison("transfer_id is missing or no text")
    return value


def main() -> None:
    """Sends until told to stop."""
    config = settings.read(SendSettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    ledger = Ledger(client, tables, config.outbox_shards)
    orders = Orders(icom.connect(config), UNSIGNED, ledger.clock.now)
    joined: list[Callable[[], None]] = []

    def member() -> None:
        for check in joined:
            check()

    with closing(Producer(config)) as producer, closing(Answers(ledger, orders)) as answers:
        answers.start()
        sending = Sending(ledger, orders, answers)
        ready: list[Callable[[], None]] = [
            TableCheck(client, config.table_transactions),
            answers.ready,
            member,
        ]
        with working(config, ready) as (stop, beat):
            worker = Worker(
                config,
                sending.handlers(),
                producer,
                beat,
                together=sending.together(),
                skips=sending.skips(),
            )
            joined.append(worker.ready)
            worker.run(stop)


if __name__ == "__main__":
    settings.run(main)

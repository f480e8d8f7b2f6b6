"""Settles held transfers: the payee is credited, or the payer gets the money back.

What one poll brings is settled together, in as few transactions as there can be; each event has an outcome
of its own. Duplicates and reordering do no harm: the transfer's status decides, not the event.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing

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

SECONDS = 5

_log = logging.getLogger(__name__)


class SettleSettings(WorkerSettings):
    """What this worker reads from its environment."""

    table_accounts: str
    table_transactions: str
    table_events: str


class Settlement:
    """Handles the events of transfers."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def handlers(self) -> dict[str, tuple[int, Callable[[Event], None]]]:
        """What to do with each type of event that is handled alone, up to which version."""
        return dict.fromkeys((SENT, ACCEPTED, SETTLED, REJECTED), (EVENT_VERSION, self.let_pass))

    def together(self) -> dict[str, tuple[int, Together]]:
        """What to do with all events of a type that a poll brings, up to which version."""
        return {HELD: (EVENT_VERSION, self.settle)}

    def settle(self, events: Sequence[Event]) -> list[Exception | None]:
        """Settles the transfers that were held: for each event nothing, `TryAgain`, `Poison`, or a fault."""
        answers: list[Exception | None] = [None] * len(events)
        wanted: list[tuple[int, str, tuple[str, str]]] = []
        for place, event in enumerate(events):
            try:
                transfer_id, payer, payee = (_text(event, name) for name in ("transfer_id", "payer", "payee"))
                wanted.append((place, transfer_id, (payer, payee)))
            except Poison as poison:
                answers[place] = poison
        outcomes = self._ledger.settle_together(
            [(transfer_id, parties) for _, transfer_id, parties in wanted], Deadline.after(SECONDS)
        )
        for (place, _, _), outcome in zip(wanted, outcomes, strict=True):
            answers[place] = _answer(outcome)
        return answers

    def let_pass(self, event: Event) -> None:
        """What is decided needs nothing more, and what is sent or accepted is the SPI's to decide."""


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
            # So it does where its own record is damaged: the auditor names it, and the others go on.
            _log.error("a record is damaged", extra={"place": outcome.place})
            metrics.emit("damaged_records", 1)
            return None
        case _:
            return outcome


def _text(event: Event, name: str) -> str:
    value = event.data.get(name)
    if not isinstance(value, str) or not value:
        raise Poison(f"{name} is missing or no text")
    return value


def main() -> None:
    """Settles until told to stop."""
    config = settings.read(SettleSettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    settlement = Settlement(Ledger(client, tables, config.outbox_shards))
    joined: list[Callable[[], None]] = []

    def member() -> None:
        for check in joined:
            check()

    ready: list[Callable[[], None]] = [TableCheck(client, config.table_transactions), member]
    with closing(Producer(config)) as producer, working(config, ready) as (stop, beat):
        worker = Worker(config, settlement.handlers(), producer, beat, together=settlement.together())
        joined.append(worker.ready)
        worker.run(stop)


if __name__ == "__main__":
    settings.run(main)

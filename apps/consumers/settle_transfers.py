"""Settles held transfers: the payee is credited, or the payer gets the money back.

Duplicates and reordering do no harm: the transfer's status decides, not the event.
"""

import logging
from collections.abc import Callable
from contextlib import closing

from apps.consumers.process import WorkerSettings, working
from apps.kit import dynamo, metrics, settings
from apps.kit.dynamo import Deadline, OutcomeUnknown, TableCheck, Unavailable
from apps.kit.events import Event
from apps.kit.kafka import Producer
from apps.kit.worker import Poison, TryAgain, Worker
from apps.ledger.account import Frozen
from apps.ledger.items import Corrupted
from apps.ledger.store import Ledger, Tables
from apps.ledger.transfer import EVENT_VERSION, HELD, REJECTED, SETTLED

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
        """What to do with each type of event, up to which version."""
        return {
            HELD: (EVENT_VERSION, self.settle),
            SETTLED: (EVENT_VERSION, self.let_pass),
            REJECTED: (EVENT_VERSION, self.let_pass),
        }

    def settle(self, event: Event) -> None:
        """Settles the transfer that was held. Raises `TryAgain` or `Poison`."""
        transfer_id, payer, payee = (_text(event, name) for name in ("transfer_id", "payer", "payee"))
        try:
            transfer = self._ledger.settle(transfer_id, (payer, payee), Deadline.after(SECONDS))
        except (Unavailable, OutcomeUnknown) as error:
            raise TryAgain(type(error).__name__) from error
        except Frozen:
            # The transfer waits as it is; the sweep brings its event back when the account moves again.
            return
        except Corrupted as error:
            # So it does where its own record is damaged: the auditor names it, and the others go on.
            _log.error("a record is damaged", extra={"place": error.place})
            metrics.emit("damaged_records", 1)
            return
        if transfer is None:
            raise Poison("no such transfer")

    def let_pass(self, event: Event) -> None:
        """A decided transfer needs nothing more."""


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
        worker = Worker(config, settlement.handlers(), producer, beat)
        joined.append(worker.ready)
        worker.run(stop)


if __name__ == "__main__":
    settings.run(main)

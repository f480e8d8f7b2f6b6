"""Receives Pix from other banks: reads what the SPI sends, answers it, and looks after what was promised.

It alone reads the stream. What the SPI says there about our own payments is left to who sent them: that one
asks.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing

from apps.consumers import icom
from apps.consumers.account_holders import AccountHolders
from apps.consumers.icom import Icom, SpiDown, SpiSettings
from apps.consumers.pix_arrivals import Arrivals
from apps.consumers.pix_promises import Promises
from apps.consumers.pix_rail import Rail
from apps.consumers.pix_wishes import Wishes
from apps.consumers.process import LoopSettings, working
from apps.kit import dynamo, metrics, settings
from apps.kit.dynamo import Client, TableCheck
from apps.ledger.receiving import Receiving
from apps.ledger.store import Ledger, Tables
from apps.pix.spi import UNSIGNED, Transport

WORKERS = 8
"""Answers that are sent at once; a pull brings ten messages at most."""
REST_SECONDS = 1.0
"""After a pull that failed; the SPI may ask for more."""
LONGEST_REST_SECONDS = 10.0

_log = logging.getLogger(__name__)


class ReceiveSettings(LoopSettings, SpiSettings):
    """What this worker reads from its environment."""

    table_accounts: str
    table_transactions: str
    table_events: str


class Reception:
    """The loop: a pull, its messages, and a look at what waits."""

    def __init__(self, transport: Transport, arrivals: Arrivals, promises: Promises) -> None:
        self._transport = transport
        self._arrivals = arrivals
        self._promises = promises

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Works until told to stop."""
        while not stop.is_set():
            beat()
            stop.wait(self.turn(beat))

    def turn(self, beat: Callable[[], None] = lambda: None) -> float:
        """One round; gives the seconds to rest after it. A message is over once it was handled: what then
        still waits for something is in the ledger, and is looked at from there."""
        rest = 0.0
        try:
            messages = self._transport.receive()
            beat()
            self._arrivals.handle(messages)
            self._transport.acknowledge()
        except SpiDown as down:
            # A stream that is over is begun anew at once.
            rest = 0.0 if down.kind == "gone" else min(down.retry_after or REST_SECONDS, LONGEST_REST_SECONDS)
            metrics.emit("pulls_failed", 1, kind=down.kind)
        beat()
        self._promises.look()
        return rest


def main() -> None:
    """Receives until told to stop."""
    config = settings.read(ReceiveSettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    line: Icom = icom.connect(config)
    with (
        closing(line),
        ThreadPoolExecutor(WORKERS, thread_name_prefix="spi") as pool,
        working(config, [TableCheck(client, config.table_transactions)]) as (stop, beat),
    ):
        reception(
            line,
            client,
            tables,
            Ledger(client, tables, config.outbox_shards),
            ispb=config.ispb,
            pool=pool,
        ).run(stop, beat)


def reception(
    transport: Transport, client: Client, tables: Tables, ledger: Ledger, *, ispb: str, pool: Executor
) -> Reception:
    """The parts, put together."""
    rail = Rail(transport, UNSIGNED, ispb, ledger.clock.now)
    promises = Promises(ledger, rail)
    wishes = Wishes(ledger, AccountHolders(client, tables.accounts, ispb), rail)
    return Reception(transport, Arrivals(rail, wishes, Receiving(ledger), promises, pool=pool), promises)


if __name__ == "__main__":
    settings.run(main)

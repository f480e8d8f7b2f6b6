"""One trial of the bank: the workload under random faults, then the drain, the questions, and the verdict."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.checker import Violation, on_topic, violations
from tests.chaos.nemesis import Nemesis
from tests.chaos.rail import Order, disagreements
from tests.chaos.stage import Stage, in_background
from tests.chaos.workload import Holder, Workload

HOLDERS = 6
GRANT_CENTS = 1_000
MOST_CENTS = 25
"""Small sums, so that an account pays many times, even in a night, before it meets its limit; and so small a
balance that it runs out now and then."""
TOKEN_SECONDS = 1_200.0
"""Below the life of an access token."""


@dataclass
class Token:
    """A user's access token, fetched anew before it ends."""

    fetch: Callable[[], str]
    _token: str = ""
    _fetched_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> str:
        with self._lock:
            if time.monotonic() - self._fetched_at > TOKEN_SECONDS:
                self._token, self._fetched_at = self.fetch(), time.monotonic()
            return self._token


@dataclass
class Trial:
    """`seconds` or `transfers` end it; without `faults` it is the workload alone."""

    stage: Stage
    seed: int
    seconds: float | None = None
    transfers: int | None = None
    clients: int = 8
    faults: bool = True
    kinds: Sequence[str] = ()
    workload: Workload = field(init=False)
    nemesis: Nemesis = field(init=False)
    orders: Sequence[Order] = ()
    took: float = 0.0

    def run(self) -> list[Violation]:
        """What the bank did wrong."""
        self.nemesis = Nemesis(self.stage, self.seed, self.kinds)
        self.workload = Workload(
            gateway_url=self.stage.bank.description["gateway_url"],
            bacen=self.stage.bacen,
            holders=[self._holder(number) for number in range(HOLDERS)],
            tables=self.stage.tables,
            seed=self.seed,
            most_cents=MOST_CENTS,
            clients=self.clients,
            seconds=self.seconds,
            transfers=self.transfers,
            # A slow machine has fewer faults in the same time.
            more=lambda: self.faults and not self.nemesis.complete,
        )
        started = time.monotonic()
        if self.faults:
            with in_background(self.nemesis.run):
                asyncio.run(self.workload.run())
        else:
            asyncio.run(self.workload.run())
        self.took = time.monotonic() - started
        return self._verdict()

    def _verdict(self) -> list[Violation]:
        asyncio.run(self.workload.settle_questions())
        self.stage.bacen.hand_out_again()
        self.stage.drained()
        asyncio.run(self.workload.look())
        books = self.stage.tables.books()
        self.orders = self.stage.bacen.orders()
        found = [*violations(books, self.workload.history), *disagreements(books, self.orders)]
        if self.stage.broker is None or self.stage.broker.forgot == 0:
            found += on_topic(books, self.stage.event_ids())
        return found

    def _holder(self, number: int) -> Holder:
        customer = self.stage.customer(f"holder-{number}")
        customer.open()
        return Holder(customer.account_id, Token(customer.fresh_token), customer.account)

"""Balances at all linked banks at once: each bank has the same little time, and the last known figure stands
in for a bank that does not use it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

from apps.open_finance.access import Access, LinkEnded
from apps.open_finance.banks import MOST_AT_ONCE, Banks
from apps.open_finance.calls import Patience
from apps.open_finance.consent import Link, LinkedAccount
from apps.open_finance.documents import Figures
from apps.open_finance.store import Known, OpenFinanceStore

READERS = 16
"""Threads that read last figures here: no bank can keep them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How long one bank may take, and how long a figure counts as fresh."""

    bank_seconds: float
    fresh_seconds: float


@dataclass(frozen=True)
class Seen:
    """One linked account with what is known of it. Without `figures` no bank has ever told."""

    link: Link
    account: LinkedAccount
    figures: Figures | None
    stale: bool


class LinkedBalances:
    """Asks banks in parallel. `now` is the time in UTC."""

    def __init__(
        self,
        store: OpenFinanceStore,
        banks: Banks,
        access: Access,
        pace: Pace,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._banks = banks
        self._access = access
        self._pace = pace
        self._now = now
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="figures")
        self._lock = threading.Lock()
        self._askers: dict[str, ThreadPoolExecutor] = {}

    def close(self) -> None:
        """Lets go of the threads; one that still waits for a bank ends with its own time limit."""
        for pool in (self._readers, *self._askers.values()):
            pool.shutdown(wait=False, cancel_futures=True)

    def of(self, links: Sequence[Link]) -> list[Seen]:
        """The accounts of these links, in their order, at the latest when the banks' time is over."""
        ends = time.monotonic() + self._pace.bank_seconds
        active = [each for each in links if each.status == "ACTIVE" and _readable(each)]
        known = dict(zip(active, self._readers.map(self._store.figures, active), strict=True))
        asked = {
            (link.link_id, account.account_id): self._asker(link.bank_id).submit(
                self._ask, link, account, Patience(ends)
            )
            for link in active
            for account in link.accounts
            if not self._fresh(known[link].get(account.account_id))
        }
        wait(asked.values(), max(0.0, ends - time.monotonic()))
        seen = [
            _seen(
                link,
                account,
                known[link].get(account.account_id),
                asked.get((link.link_id, account.account_id)),
            )
            for link in active
            for account in link.accounts
        ]
        return [each for each in seen if each is not None]

    def _asker(self, bank_id: str) -> ThreadPoolExecutor:
        """The threads of one bank: what is too much at once waits for one, and only for this bank's."""
        with self._lock:
            if bank_id not in self._askers:
                self._askers[bank_id] = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="bank")
            return self._askers[bank_id]

    def _fresh(self, known: Known | None) -> bool:
        return known is not None and self._now().timestamp() - known.asked_at < self._pace.fresh_seconds

    def _ask(self, link: Link, account: LinkedAccount, patience: Patience) -> Figures | None:
        """What the bank says, kept for the next time; nothing if it does not say or the consent is over."""
        try:
            # Whoever waited for a thread until their time was over asks nobody.
            _ = patience.left
            bank = self._banks.find(link.bank_id)

            def ask(token: str) -> Figures:
                self._access.count(link, "balances", account.account_id)
                return bank.balance(token, account.bank_account_id, patience)

            figures = self._access.read(link, bank, ask, patience)
            self._store.keep_figures(link, account.account_id, Known(figures, self._now().timestamp()))
        except LinkEnded:
            raise
        except Exception as error:  # noqa: BLE001 (whatever ails one bank hides nothing of another)
            _log.warning(
                "a bank gave no balance", extra={"error": type(error).__name__, "bank_id": link.bank_id}
            )
            return None
        else:
            return figures


def _readable(link: Link) -> bool:
    return "ACCOUNTS_BALANCES_READ" in link.permissions


def _seen(
    link: Link, account: LinkedAccount, known: Known | None, asked: "Future[Figures | None] | None"
) -> Seen | None:
    if asked is None:
        return Seen(link, account, known.figures if known else None, stale=False)
    if asked.done():
        if isinstance(asked.exception(), LinkEnded):
            return None
        if (figures := asked.result()) is not None:
            return Seen(link, account, figures, stale=False)
    return Seen(link, account, known.figures if known else None, stale=True)

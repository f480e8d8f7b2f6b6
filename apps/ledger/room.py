"""Room for others on a balance that one process writes again and again.

Holds of one payer go from what this process wrote last, without reading, and so as fast as it can send. Who
settles them in another process begins from what stood in its way, which has moved again before its own write
arrives: under a hot payer its turn would come only when the payer rests. So whoever has written a balance
several times running, while money on it waits for others, leaves it alone for as long as they need.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apps.ledger.account import Balance

RUNNING = 4
"""Writes of ours, one after the other, until others get room."""
REST_WRITES = 3
"""The rest, in writes as long as our last one: others may be in the midst of one that will fail."""
LONGEST_SECONDS = 0.2
ACCOUNTS = 1_000


@dataclass
class _Account:
    written: int = 0
    rests_until: float = 0.0


class Room:
    """What this process has written of late. Many threads may use it; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def wrote(self, balances: Iterable[Balance], seconds: float) -> None:
        """A transaction of ours, which took so long, has made these stand."""
        with self._lock:
            for each in balances:
                if not each.on_hold:
                    self._accounts.pop(each.account_id, None)
                    continue
                account = self._accounts.setdefault(each.account_id, _Account())
                self._accounts.move_to_end(each.account_id)
                account.written += 1
                if account.written >= RUNNING:
                    account.written = 0
                    account.rests_until = self._clock() + min(REST_WRITES * seconds, LONGEST_SECONDS)
            while len(self._accounts) > ACCOUNTS:
                self._accounts.popitem(last=False)

    def moved(self, account_ids: Iterable[str]) -> None:
        """Somebody else has written these: they have their turns."""
        with self._lock:
            for each in account_ids:
                self._accounts.pop(each, None)

    def left_to_others(self, account_ids: Iterable[str]) -> float:
        """How many seconds the account that rests longest is still left to others."""
        now = self._clock()
        with self._lock:
            known = [self._accounts[each] for each in account_ids if each in self._accounts]
        return max((0.0, *(each.rests_until - now for each in known)))

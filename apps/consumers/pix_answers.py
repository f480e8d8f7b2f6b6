"""Payments that are SENT, until the SPI has said what became of them: asked for soon, then later and later.

The list is only for speed. What it forgets, by a crash or because it is full, the sweep brings back as the
payment's own event; whoever gets that asks.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from apps.consumers.pix_orders import Orders
from apps.kit import metrics
from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.ledger.account import Frozen
from apps.ledger.items import Corrupted
from apps.ledger.store import Ledger
from apps.ledger.transfer import Transfer
from apps.pix.outgoing import Rejected, Settled, Undecided, Verdict
from apps.pix.rejections import reason_of

FIRST_SECONDS, LONGEST_SECONDS = 0.02, 5.0
"""Between two questions: doubled each time."""
AGAIN_SECONDS = 1.0
"""The SPI may take a moment to know what it has taken: so long after an order left, the same bytes stay."""
PATIENCE_SECONDS = 120.0
"""Then the sweep, which looks every five minutes at most, brings it back."""
MOST = 2_000
AT_ONCE = 33
WORKERS = 8
SECONDS = 5.0

_log = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818
    """Nobody asks any more."""


@dataclass
class _Waiting:
    """`left_at` is when this process last sent it; times are of the monotonic clock."""

    transfer: Transfer
    since: float
    due: float
    left_at: float | None
    asked: int = 0


class Answers:
    """The list, and the thread that asks, from `start` to `close`."""

    def __init__(
        self,
        ledger: Ledger,
        orders: Orders,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        pool: Executor | None = None,
    ) -> None:
        self._ledger = ledger
        self._orders = orders
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._news = threading.Event()
        self._stop = threading.Event()
        self._pool = pool or ThreadPoolExecutor(WORKERS, thread_name_prefix="spi")
        self._thread = threading.Thread(target=self._loop, name="answers", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def close(self) -> None:
        """Ends, after what is at hand."""
        self._stop.set()
        self._news.set()
        self._thread.join()
        self._pool.shutdown()

    def ready(self) -> None:
        """Raises `Stopped` unless somebody asks."""
        if not self._thread.is_alive():
            raise Stopped

    def awaits(self, transfer_id: str) -> bool:
        """Whether this payment is on the list."""
        return transfer_id in self._waiting

    def await_all(self, sent: Sequence[Transfer], *, left: bool) -> None:
        """Puts payments on the list; `left` says that their orders have just left here for the first time."""
        now = self._monotonic()
        with self._lock:
            for each in sent:
                if len(self._waiting) >= MOST:
                    metrics.emit("answers_not_awaited", 1)
                    break
                self._waiting.setdefault(each.transfer_id, _Waiting(each, now, now, now if left else None))
        self._news.set()

    def leave_all(self, sent: Sequence[Transfer]) -> None:
        """Sends orders for the first time, several at once, and awaits their answers."""
        list(self._pool.map(lambda each: self._orders.leave(each, again=False), sent))
        self.await_all(sent, left=True)

    def round(self) -> float:
        """Asks for whoever is due, and decides what has an answer. Gives the seconds until the next is
        due."""
        now = self._monotonic()
        with self._lock:
            due = sorted(
                (each for each in self._waiting.values() if each.due <= now), key=lambda each: each.due
            )
        due = due[:AT_ONCE]
        verdicts = list(self._pool.map(self._asked, due))
        asked = zip(due, verdicts, strict=True)
        self._decide([(each, verdict) for each, verdict in asked if not isinstance(verdict, Undecided)])
        with self._lock:
            soonest = min((each.due for each in self._waiting.values()), default=now + LONGEST_SECONDS)
        return max(0.0, soonest - self._monotonic())

    def _asked(self, waiting: _Waiting) -> Verdict:
        verdict = self._orders.ask(waiting.transfer)
        now = self._monotonic()
        if isinstance(verdict, Undecided):
            if verdict.resend and (waiting.left_at is None or now - waiting.left_at >= AGAIN_SECONDS):
                self._orders.leave(waiting.transfer, again=True)
                waiting.left_at = now
            self._later(waiting)
        return verdict

    def _decide(self, answers: Sequence[tuple[_Waiting, Verdict]]) -> None:
        outcomes = self._ledger.answer_together(
            [(each.transfer.transfer_id, _reason(verdict)) for each, verdict in answers],
            Deadline.after(SECONDS),
        )
        for (waiting, _), outcome in zip(answers, outcomes, strict=True):
            match outcome:
                case Transfer():
                    self._over(waiting)
                case Frozen() | Corrupted() | None:
                    # It waits as it is, and the sweep goes on looking.
                    _log.error("an answer waits", extra={"transfer_id": waiting.transfer.transfer_id})
                    self._over(waiting)
                case Unavailable() | OutcomeUnknown():
                    self._later(waiting)
                case _:
                    _log.error(
                        "an answer was not taken",
                        extra={
                            "transfer_id": waiting.transfer.transfer_id,
                            "error": type(outcome).__name__,
                        },
                    )
                    self._later(waiting)

    def _over(self, waiting: _Waiting) -> None:
        with self._lock:
            self._waiting.pop(waiting.transfer.transfer_id, None)

    def _later(self, waiting: _Waiting) -> None:
        now = self._monotonic()
        waiting.due = now + min(FIRST_SECONDS * 2.0**waiting.asked, LONGEST_SECONDS)
        waiting.asked = min(waiting.asked + 1, 16)
        if now - waiting.since > PATIENCE_SECONDS:
            self._over(waiting)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._news.clear()
            try:
                seconds = self.round()
            except Exception as error:  # noqa: BLE001 (the thread's border: the next round asks again)
                _log.error("a round of questions failed", extra={"error": type(error).__name__})
                metrics.emit("answers_failed", 1)
                seconds = 1.0
            self._news.wait(seconds)


def _reason(verdict: Verdict) -> str | None:
    if isinstance(verdict, Rejected):
        return reason_of(verdict.code).code
    assert isinstance(verdict, Settled)
    return None

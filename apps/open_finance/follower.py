"""Follows payments until they are final, whether or not anybody looks: an order whose answer was lost is sent
again while its consent lasts, and what a bank does later is seen.

Every process of the service does it. A look is taken by a conditional write, so that two seldom look at once;
if they do, both send the same order under the same key, and one of their writes finds the other's.
"""

import logging
from collections.abc import Callable
from datetime import datetime, time, timedelta

from apps.kit import metrics
from apps.kit.rounds import Rounds
from apps.open_finance.calls import BankSilent
from apps.open_finance.due import Due, DueLooks
from apps.open_finance.initiations import FIRST_LOOK, Initiations
from apps.open_finance.payment import BRASILIA, Initiation

EVERY_SECONDS = 5.0
LONGEST_PAUSE = timedelta(minutes=10)
"""An order that never arrived has an hour: ten looks are within it, then six an hour."""
PLANNED_PAUSE = timedelta(hours=6)
"""Before its day a scheduled payment can only be cancelled, at its bank too."""

_log = logging.getLogger(__name__)


class Follower:
    """A thread of its own, from `start` to `close`. `now` is the time in UTC."""

    def __init__(self, due: DueLooks, initiations: Initiations, now: Callable[[], datetime]) -> None:
        self._due = due
        self._initiations = initiations
        self._now = now
        self._rounds = Rounds("follower", EVERY_SECONDS, self.once)

    def start(self) -> None:
        """Begins."""
        self._rounds.start()

    def close(self) -> None:
        """Ends, after what is at hand."""
        self._rounds.close()

    def once(self) -> None:
        """Looks at all that is due. A bank that is silent is asked once in a round, so that its payments do
        not keep those of others waiting."""
        silent: set[str] = set()
        try:
            found = self._due.until(self._now())
        except Exception as error:  # noqa: BLE001 (the thread's border: the next round tries again)
            _log.warning("what is due is not known", extra={"error": type(error).__name__})
            return
        for each in found:
            if self._rounds.stopping:
                return
            if each.bank_id in silent:
                continue
            try:
                self._look(each)
            except BankSilent:
                silent.add(each.bank_id)
            except Exception as error:  # noqa: BLE001 (the thread's border: there is a next look)
                _log.warning(
                    "a payment could not be followed",
                    extra={"error": type(error).__name__, "bank_id": each.bank_id},
                )
                metrics.emit("payments_not_followed", 1)

    def _look(self, due: Due) -> None:
        initiation = self._initiations.stored(due.initiation_id)
        if initiation is None or initiation.final:
            self._due.drop(due.initiation_id)
            return
        following, looks = _next(initiation, due.looks, self._now())
        if self._due.take(due, following, looks) and initiation.authorised_at is not None:
            self._initiations.look(initiation)


def _next(initiation: Initiation, looks: int, now: datetime) -> tuple[datetime, int]:
    """When to look again, and how many looks that makes."""
    day = initiation.scheduled_for
    if initiation.status == "SCHEDULED" and day is not None and now.astimezone(BRASILIA).date() < day:
        return min(now + PLANNED_PAUSE, datetime.combine(day, time(), BRASILIA)), 0
    # Above, 2 ** looks would be a pause that no calendar has.
    return now + min(FIRST_LOOK * 2 ** min(looks + 1, 10), LONGEST_PAUSE), looks + 1

"""Time as the simulator sees it, and what it has to do later.

Nothing here sleeps: what is due happens, in order and stamped with its own time, as soon as anybody looks
(`Agenda.run_due`). With a clock that a test moves, forty seconds or ninety days pass at once.
"""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import count

Clock = Callable[[], datetime]
BRASILIA = timezone(timedelta(hours=-3))
"""No summer time since 2019."""


def system() -> datetime:
    """The time of this machine, UTC."""
    return datetime.now(UTC)


class ShiftedClock:
    """Another clock, moved forward as told."""

    def __init__(self, base: Clock = system) -> None:
        self._base = base
        self._shift = timedelta()

    def __call__(self) -> datetime:
        """The time now."""
        return self._base() + self._shift

    def advance(self, span: timedelta) -> None:
        """Lets time pass at once."""
        assert span >= timedelta(), "time goes forward"
        self._shift += span


class Agenda:
    """What is to be done, and when; itself a clock, which shows an action the time that it was due.

    Things due at the same moment are done in the order they were put.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moment: datetime | None = None
        self._order = count()
        self._things: list[tuple[datetime, int, Callable[[], None]]] = []

    def __call__(self) -> datetime:
        """The time now, or that of the action that is being done."""
        return self._moment or self._clock()

    def at(self, due: datetime, action: Callable[[], None]) -> None:
        """Plans an action."""
        heapq.heappush(self._things, (due, next(self._order), action))

    def run_due(self) -> None:
        """Does all that is due by now, also what that puts on the agenda meanwhile."""
        while self._things and self._things[0][0] <= self._clock():
            self._moment, _, action = heapq.heappop(self._things)
            try:
                action()
            finally:
                self._moment = None

    def next_due(self) -> datetime | None:
        """When there is something to do next."""
        return self._things[0][0] if self._things else None


def stamp(moment: datetime) -> str:
    """UTC with milliseconds, as every message writes it: `2026-11-25T12:00:00.000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def moment(text: str) -> datetime:
    """The time that a message wrote, with or without milliseconds. Raises `ValueError`."""
    parsed = datetime.fromisoformat(text)
    if not text.endswith("Z"):
        raise ValueError("a date-time is in UTC and ends with Z")
    return parsed

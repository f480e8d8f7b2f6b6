"""The simulator's time: the machine's, moved forward by whoever tests what an hour does."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def wall() -> datetime:
    """Now, by the machine."""
    return datetime.now(UTC)


class Clock:
    """`base` plus what was skipped."""

    def __init__(self, base: Callable[[], datetime] = wall) -> None:
        self._base = base
        self._skipped = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return self._base() + self._skipped

    def skip(self, seconds: float) -> None:
        """Moves time forward."""
        with self._lock:
            self._skipped += timedelta(seconds=seconds)


def stamp(moment: datetime) -> str:
    """A moment as the Open Finance APIs write it: UTC, no fraction, 20 characters."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fine_stamp(moment: datetime) -> str:
    """`transactionDateTime`: the same with milliseconds, 24 characters."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def parsed(text: object) -> datetime | None:
    """A moment that a client wrote in the only form allowed, or nothing."""
    if not isinstance(text, str) or len(text) != 20:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None

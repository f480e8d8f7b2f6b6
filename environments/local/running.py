"""One service that is kept up: restarted when it dies, later each time, as Kubernetes would."""

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

from environments.local.processes import Program

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A service that ran for so long starts its back-off anew."""


@dataclass
class Running:
    """A service that is up, or about to be again. `start` makes a process of its program, at the latest
    `longest_backoff` seconds after its death."""

    program: Program
    process: BaseProcess
    began: float
    start: Callable[[Program], BaseProcess]
    longest_backoff: float = LONGEST_BACKOFF_SECONDS
    failures: int = 0
    restart_at: float | None = None

    def look_after(self, now: float) -> bool:
        """Notes a death, and restarts the service when its time has come; gives whether it did."""
        if self.restart_at is None:
            if self.process.is_alive():
                return False
            if now - self.began > STEADY_SECONDS:
                self.failures = 0
            self.restart_at = now + backoff_seconds(self.failures, self.longest_backoff)
            self.failures += 1
            return False
        if now < self.restart_at:
            return False
        self.again(now)
        return True

    def again(self, now: float) -> None:
        """Starts the service anew."""
        self.process = self.start(self.program)
        self.began, self.restart_at = now, None


def backoff_seconds(failures: int, longest: float = LONGEST_BACKOFF_SECONDS) -> float:
    """How long to wait after the death that follows `failures` others."""
    return min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 16), longest)

"""What goes wrong on demand, for tests and for whoever wants to see the bank survive it.

A fault is asked for by the place where it happens and what happens there:

    dict, spi   on the wire of that API: `slow` by so many seconds; `lost_answer`, done but answered 504
                (after so many seconds); `down`, nothing done and 503 with Retry-After; `garbled`, nothing
                done and a body of one's own
    order       the SPI itself: `reject` the next orders with a code
    payee       the bank that is paid, if it answers by itself: `reject` with a code, `slow`, `silent`
    delivery    messages of the SPI on their way to a participant: `lost`, `duplicate` (the same message and
                resource id again), `reordered` (it arrives after the one that follows), `slow`

Each happens `times` times, or until it is cleared; the oldest that fits is used up first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Literal

Place = Literal["dict", "spi", "order", "payee", "delivery"]
What = Literal["slow", "lost_answer", "down", "garbled", "reject", "silent", "lost", "duplicate", "reordered"]
POSSIBLE: Mapping[Place, frozenset[What]] = {
    "dict": frozenset({"slow", "lost_answer", "down", "garbled"}),
    "spi": frozenset({"slow", "lost_answer", "down", "garbled"}),
    "order": frozenset({"reject"}),
    "payee": frozenset({"reject", "slow", "silent"}),
    "delivery": frozenset({"lost", "duplicate", "reordered", "slow"}),
}


@dataclass(frozen=True)
class Fault:
    """One thing to go wrong. `participant` and `message` (`pacs.002`) narrow it; no `times`: always."""

    place: Place
    what: What
    times: int | None = 1
    seconds: float = 0.0
    code: str | None = None
    participant: str | None = None
    message: str | None = None
    status: int = 200
    media_type: str = "application/xml"
    body: str = ""

    def __post_init__(self) -> None:
        assert self.what in POSSIBLE[self.place], f"{self.what} does not happen at {self.place}"
        assert (self.code is not None) is (self.what == "reject"), "a code goes with reject, and only there"

    def fits(self, participant: str | None, message: str | None) -> bool:
        """Whether it is meant for this participant and message."""
        return self.participant in {None, participant} and self.message in {None, message}


class Faults:
    """All faults that are waiting to happen."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._waiting: dict[int, Fault] = {}
        self._left: dict[int, int] = {}

    def add(self, fault: Fault) -> int:
        """Plans a fault; gives its number."""
        number = next(self._numbers)
        self._waiting[number] = fault
        if fault.times is not None:
            self._left[number] = fault.times
        return number

    def take(self, place: Place, participant: str | None = None, message: str | None = None) -> Fault | None:
        """The fault that happens now, if any; it has happened once more then."""
        for number, fault in self._waiting.items():
            if fault.place == place and fault.fits(participant, message):
                self._use(number)
                return fault
        return None

    def waiting(self) -> dict[int, Fault]:
        """What may still happen, by number."""
        return dict(self._waiting)

    def clear(self, number: int | None = None) -> None:
        """Takes one fault back, or all."""
        for each in [number] if number is not None else list(self._waiting):
            self._waiting.pop(each, None)
            self._left.pop(each, None)

    def _use(self, number: int) -> None:
        if number in self._left:
            self._left[number] -= 1
            if self._left[number] <= 0:
                self.clear(number)

"""Callers in threads whose work goes better together: whoever comes while nobody works, works for all.

A lone caller does its own work at once and waits for nothing. While it works, others gather; when it is
done, the first of them works for all that have gathered, and so on: the busier, the larger the batches,
without a delay of any length and without a thread of its own. Each caller waits for its own outcome only.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from apps.kit.dynamo import Deadline, Unavailable

R = TypeVar("R")


class Turn(Generic[R]):
    """What one caller waits for. Of two turns with the same `key` the second waits until the first is over.

    Whoever works gives it its outcome (`answer` or `fail`; the first one counts), leaves it to its own caller
    (`leave`), or does neither: then it is first in the next batch.
    """

    def __init__(self, key: str, deadline: Deadline) -> None:
        self.key = key
        self.deadline = deadline
        self.over = False
        self.left = False
        self._result: R | None = None
        self._error: BaseException | None = None
        # What follows is for `Turns`: whether it stands in the queue, and whether it is its turn to work.
        self.waits = False
        self.works = False
        self.woken = threading.Event()

    def answer(self, result: R) -> None:
        """The caller gets this."""
        if not self.over:
            self._result = result
            self.over = True
            self.woken.set()

    def fail(self, error: BaseException) -> None:
        """The caller gets this raised."""
        if not self.over:
            self._error = error
            self.over = True
            self.woken.set()

    def leave(self) -> None:
        """The caller goes on by itself: what keeps it back shall keep nobody else back."""
        self.left = True
        self.woken.set()

    def outcome(self) -> R:
        """What the caller gets, once it is over."""
        assert self.over
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


T = TypeVar("T", bound=Turn[Any])
GoOn = Callable[[], None]
"""Lets the next batch begin although this one is not done: it may take long."""


class Turns(Generic[T]):
    """Takes turns to `work`, which gets up to `limit` of them in the order in which they came."""

    def __init__(self, work: Callable[[list[T], GoOn], None], limit: int) -> None:
        self._work = work
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting: deque[T] = deque()
        self._busy: set[str] = set()
        self._worked = False

    @property
    def waiting(self) -> int:
        """How many stand in the queue."""
        return len(self._waiting)

    def take(self, turn: T) -> None:
        """Comes back when the turn is over, or is left to its caller.

        A turn that still waits at its deadline is taken back: it is `Unavailable`.
        """
        with self._lock:
            self._waiting.append(turn)
            turn.waits = True
            self._pass_on()
        while True:
            if not turn.works:
                self._wait(turn)
            if turn.over or turn.left:
                return
            if turn.works:
                self._work_for_all(turn)

    def _wait(self, turn: T) -> None:
        left = turn.deadline.at - turn.deadline.clock()
        if not turn.woken.wait(max(0.0, left)):
            with self._lock:
                if turn.waits and not turn.works:
                    self._waiting.remove(turn)
                    turn.waits = False
                    turn.fail(Unavailable("no turn in time"))
                    return
            # It is being worked for, and each step of that has an end of its own.
            turn.woken.wait()
        turn.woken.clear()

    def _work_for_all(self, turn: T) -> None:
        with self._lock:
            turn.works = False
            batch = self._gathered()
        gone_on = False

        def go_on() -> None:
            nonlocal gone_on
            with self._lock:
                if not gone_on:
                    gone_on = True
                    self._worked = False
                    self._pass_on()

        try:
            self._work(batch, go_on)
        except Exception as error:  # noqa: BLE001 (whoever asked for the work gets it raised)
            for each in batch:
                each.fail(error)
        finally:
            with self._lock:
                self._busy.difference_update(each.key for each in batch)
                for each in reversed(batch):
                    if not each.over and not each.left:
                        self._waiting.appendleft(each)
                        each.waits = True
                if not gone_on:
                    self._worked = False
                self._pass_on()

    def _gathered(self) -> list[T]:
        """The next batch: first come, first served, each key once and none that is being worked for."""
        batch: list[T] = []
        kept: list[T] = []
        while self._waiting and len(batch) < self._limit:
            each = self._waiting.popleft()
            if each.key in self._busy:
                kept.append(each)
            else:
                self._busy.add(each.key)
                each.waits = False
                batch.append(each)
        self._waiting.extendleft(reversed(kept))
        return batch

    def _pass_on(self) -> None:
        """Sets the first who may to work, unless somebody works."""
        if self._worked:
            return
        for each in self._waiting:
            if each.key not in self._busy:
                self._worked = True
                each.works = True
                each.woken.set()
                return

"""A world in which one task runs at a time, and chance from one seed says which: one seed is one schedule.

Each task is a thread, because the code under test blocks like any other, but only the one that holds the
baton runs. It hands the baton on where it calls the world: at each call to the store or the broker, when it
sleeps and when it waits. Time is virtual: it passes with each step, and jumps to whoever wakes first when
nobody can run, so that a minute costs nothing.
"""

import heapq
import random
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

STEP_SECONDS = 0.001
"""How long a step takes on the average."""
PATIENCE_SECONDS = 100.0
"""Real seconds: nothing that is simulated waits for anything real, so this long is forever."""


class Killed(BaseException):
    """The process of this task was killed: nothing of it runs any more, handlers of exceptions included."""


class Over(BaseException):
    """The schedule is over."""


@dataclass(eq=False)
class Process:
    """What dies together and shares a clock, which may be `skew` ahead of the others."""

    name: str
    skew: timedelta = timedelta(0)
    alive: bool = True
    died: Callable[[], None] = lambda: None


class Carrier:
    """A thread that runs one task after the other; starting a new thread for each would take longer."""

    idle: ClassVar["list[Carrier]"] = []
    """Those of all worlds that are over."""

    def __init__(self) -> None:
        self.baton = threading.Lock()
        self.baton.acquire()
        self.job: Callable[[], None] = lambda: None
        threading.Thread(target=self._work, daemon=True).start()

    @classmethod
    def free(cls) -> "Carrier":
        """One that has nothing to do."""
        return cls.idle.pop() if cls.idle else cls()

    def _work(self) -> None:
        while True:
            self.baton.acquire()
            self.job()


@dataclass(eq=False)
class Task:
    """Somebody who acts. `note` is what the attempt that it makes right now is remembered by."""

    name: str
    baton: threading.Lock
    process: Process | None = None
    sleeps: int = 0
    note: Any = None
    over: bool = False


class Signal:
    """A `threading.Event` in a world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._set = False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._world.wake(task)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            task = self._world.current
            self._waiting.append(task)
            self._world.rest(timeout)
            if task in self._waiting:
                self._waiting.remove(task)
        return self._set


@dataclass
class World:
    """Chance, time, and whose turn it is. `stay` is how probably a task goes on at a step without handing
    the baton on; `wall` is how far the clocks on the wall have jumped."""

    seed: int
    start: datetime
    stay: float = 0.0
    now: float = 1_000.0
    wall: timedelta = timedelta(0)
    steps: int = 0
    trace: int = 0
    over: bool = False
    tasks: list[Task] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._runnable: list[Task] = []
        self._asleep: list[tuple[float, int, Task]] = []
        self._slept = 0
        lock = threading.Lock()
        lock.acquire()
        self.main = self.current = Task("main", lock)

    # --- what the code under test is given ----------------------------------------------------------

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self.now

    def clock_of(self, process: Process) -> Callable[[], datetime]:
        """The clock on a process's wall."""
        return lambda: self.start + timedelta(seconds=self.now - 1_000.0) + self.wall + process.skew

    def new_id(self) -> str:
        """An id that nobody else has."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def signal(self) -> Signal:
        """An event that nobody has set."""
        return Signal(self)

    # --- what tasks do ------------------------------------------------------------------------------

    def step(self, what: str) -> None:
        """Something happens now; before it, others may go first. Raises `Killed` or `Over`."""
        task = self.current
        self._check(task)
        self.steps += 1
        self.trace = zlib.crc32(what.encode(), zlib.crc32(task.name.encode(), self.trace))
        self.now += self.chance.expovariate(1.0) * STEP_SECONDS
        if self._asleep and self._asleep[0][0] <= self.now:
            self._wake_who_is_due()
        if self._runnable and self.chance.random() >= self.stay:
            self._runnable.append(task)
            self._hand_on(task)
            self._check(task)

    def rest(self, seconds: float | None) -> None:
        """Others run until somebody wakes this task, or its time has come."""
        task = self.current
        self._check(task)
        self._slept += 1
        task.sleeps = self._slept
        if seconds is not None:
            heapq.heappush(self._asleep, (self.now + max(0.0, seconds), self._slept, task))
        self._hand_on(task)
        task.sleeps = 0
        self._check(task)

    def wake(self, task: Task) -> None:
        """The task may run again, if it rests."""
        if task.sleeps:
            task.sleeps = 0
            self._runnable.append(task)

    def spawn(self, name: str, act: Callable[[], object], process: Process | None = None) -> Task:
        """A new task; it runs when chance says so."""
        carrier = Carrier.free()
        task = Task(name, carrier.baton, process)

        def job() -> None:
            try:
                self._check(task)
                act()
            except (Killed, Over):
                pass
            except BaseException as error:  # noqa: BLE001 (told at the end: this thread has nobody to tell)
                self.violated(f"{name} ended by {type(error).__name__}: {error}")
            task.over = True
            self.tasks.remove(task)
            Carrier.idle.append(carrier)
            self._next().baton.release()

        carrier.job = job
        self.tasks.append(task)
        self._runnable.append(task)
        return task

    @contextmanager
    def inside(self, process: Process) -> Iterator[None]:
        """This task's call is served by a process, and ends with it."""
        task = self.current
        task.process = process
        try:
            yield
        finally:
            task.process = None

    def kill(self, process: Process) -> None:
        """Nothing of the process runs any more."""
        assert process.alive
        process.alive = False
        for task in self.tasks:
            if task.process is process:
                self.wake(task)
        process.died()

    def violated(self, what: str) -> None:
        """A promise is broken."""
        self.violations.append(what)

    def end(self) -> None:
        """Ends all tasks. Called by the one that is nobody's task."""
        assert self.current is self.main
        self.over = True
        while self.tasks:
            for task in self.tasks:
                self.wake(task)
            self._runnable.append(self.main)
            self._hand_on(self.main)

    # --- the baton ----------------------------------------------------------------------------------

    def _check(self, task: Task) -> None:
        if self.over and task is not self.main:
            raise Over
        if task.process is not None and not task.process.alive:
            raise Killed

    def _hand_on(self, task: Task) -> None:
        following = self._next()
        if following is not task:
            following.baton.release()
            assert task.baton.acquire(timeout=PATIENCE_SECONDS), "somebody kept the baton"
        self.current = task

    def _next(self) -> Task:
        self._wake_who_is_due()
        while not self._runnable:
            assert self._asleep, "all wait for each other"
            self.now = max(self.now, self._asleep[0][0])
            self._wake_who_is_due()
        place = self.chance.randrange(len(self._runnable))
        self._runnable[place], self._runnable[-1] = self._runnable[-1], self._runnable[place]
        self.current = self._runnable.pop()
        return self.current

    def _wake_who_is_due(self) -> None:
        while self._asleep and self._asleep[0][0] <= self.now:
            _, number, task = heapq.heappop(self._asleep)
            if task.sleeps == number:
                self.wake(task)

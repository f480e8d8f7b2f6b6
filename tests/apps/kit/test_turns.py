"""Taking turns: nobody waits without need, nobody works twice, and each gets its own outcome."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from apps.kit.dynamo import Deadline, Unavailable
from apps.kit.turns import GoOn, Turn, Turns

LONG = 20.0


class Ask(Turn[str]):
    """Wants its own name, answered."""

    def __init__(self, name: str, key: str | None = None, seconds: float = LONG) -> None:
        super().__init__(key or name, Deadline.after(seconds))
        self.name = name


class Work:
    """Answers everybody, as soon as the door is open; `batches` are the names that it got together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.door = threading.Event()
        self.entered = threading.Semaphore(0)
        self.instead: list[Callable[[Sequence[Ask], GoOn], None]] = []

    def __call__(self, turns: Sequence[Ask], go_on: GoOn) -> None:
        self.batches.append([turn.name for turn in turns])
        if self.instead:
            self.instead.pop(0)(turns, go_on)
            return
        self.entered.release()
        assert self.door.wait(LONG)
        answer_all(turns)


def answer_all(turns: Sequence[Ask], _: GoOn | None = None) -> None:
    for turn in turns:
        turn.answer(turn.name.upper())


class Callers:
    """Callers in threads of their own, each after the one before stands in the queue."""

    def __init__(self, work: Work, pool: ThreadPoolExecutor, limit: int = 3) -> None:
        self.work = work
        self.turns: Turns[Ask] = Turns(work, limit)
        self._pool = pool

    def first(self, ask: Ask) -> "Future[str]":
        """One who works, and stands before the door."""
        future = self._pool.submit(self._ask, ask)
        assert self.work.entered.acquire(timeout=LONG)
        return future

    def more(self, *asks: Ask) -> list["Future[str]"]:
        futures = []
        for ask in asks:
            expected = self.turns.waiting + 1
            futures.append(self._pool.submit(self._ask, ask))
            until(partial(self._waiting, expected))
        return futures

    def _waiting(self, expected: int) -> bool:
        return self.turns.waiting == expected

    def _ask(self, ask: Ask) -> str:
        self.turns.take(ask)
        return ask.outcome() if ask.over else f"{ask.name} alone"


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(LONG / 0.001)):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it did not become true in time")


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def callers(work: Work) -> Iterator[Callers]:
    with ThreadPoolExecutor(12) as pool:
        yield Callers(work, pool)
        work.door.set()


def test_a_lone_caller_works_at_once_in_its_own_thread(work: Work) -> None:
    turns = Turns(work, 3)
    worked_in: list[threading.Thread] = []

    def note(asks: Sequence[Ask], _: GoOn) -> None:
        worked_in.append(threading.current_thread())
        answer_all(asks)

    work.instead = [note, note]
    for name in ("a", "b"):
        ask = Ask(name)
        turns.take(ask)
        assert ask.outcome() == name.upper()
    assert worked_in == [threading.current_thread()] * 2
    assert work.batches == [["a"], ["b"]]


def test_whoever_comes_meanwhile_shares_the_next_batch_in_order_and_within_the_limit(
    work: Work, callers: Callers
) -> None:
    first = callers.first(Ask("a"))
    rest = callers.more(*map(Ask, "bcdef"))
    work.door.set()
    assert first.result() == "A"
    assert [each.result() for each in rest] == list("BCDEF")
    assert work.batches == [["a"], ["b", "c", "d"], ["e", "f"]]


def test_of_two_with_one_key_the_second_waits_until_the_first_is_over(work: Work, callers: Callers) -> None:
    first = callers.first(Ask("a", "same"))
    rest = callers.more(Ask("b"), Ask("c", "twice"), Ask("d", "twice"), Ask("e", "same"))
    work.door.set()
    assert [each.result() for each in (first, *rest)] == list("ABCDE")
    assert work.batches == [["a"], ["b", "c", "e"], ["d"]]


def test_who_is_not_over_is_first_in_the_next_batch(work: Work, callers: Callers) -> None:
    first = callers.first(Ask("a"))
    rest = callers.more(*map(Ask, "bcde"))
    work.instead = [lambda turns, go_on: answer_all(turns[:1])]
    work.door.set()
    assert [each.result() for each in (first, *rest)] == list("ABCDE")
    assert work.batches == [["a"], ["b", "c", "d"], ["c", "d", "e"]]


def test_who_is_left_goes_on_alone_and_nobody_waits_for_it(work: Work, callers: Callers) -> None:
    def leave_the_first(turns: Sequence[Ask], _: GoOn) -> None:
        turns[0].leave()
        answer_all(turns[1:])

    first = callers.first(Ask("a"))
    rest = callers.more(*map(Ask, "bc"))
    work.instead = [leave_the_first]
    work.door.set()
    assert [each.result() for each in (first, *rest)] == ["A", "b alone", "C"]
    assert work.batches == [["a"], ["b", "c"]]


def test_who_still_waits_at_its_deadline_is_taken_back(work: Work, callers: Callers) -> None:
    first = callers.first(Ask("a"))
    late, patient = callers.more(Ask("late", seconds=0.02), Ask("patient"))
    with pytest.raises(Unavailable):
        late.result(LONG)
    work.door.set()
    assert (first.result(), patient.result()) == ("A", "PATIENT")
    assert work.batches == [["a"], ["patient"]]


def test_who_is_worked_for_at_its_deadline_gets_its_outcome(work: Work, callers: Callers) -> None:
    ask = Ask("a", seconds=0.0)
    first = callers.first(ask)
    until(lambda: ask.deadline.passed)
    work.door.set()
    assert first.result() == "A"


def test_a_batch_that_may_take_long_lets_the_next_one_begin_without_its_keys(
    work: Work, callers: Callers
) -> None:
    slow = threading.Event()

    def let_others_go_on(turns: Sequence[Ask], go_on: GoOn) -> None:
        go_on()
        go_on()
        assert slow.wait(LONG)
        answer_all(turns)

    first = callers.first(Ask("a"))
    stuck, again, other = callers.more(Ask("b", "same"), Ask("c", "same"), Ask("d"))
    work.instead = [let_others_go_on]
    callers.turns._limit = 1
    work.door.set()
    assert (first.result(), other.result()) == ("A", "D")
    assert not stuck.done()
    assert not again.done()
    slow.set()
    assert (stuck.result(), again.result()) == ("B", "C")
    assert work.batches == [["a"], ["b"], ["d"], ["c"]]


def test_a_fault_of_the_work_reaches_all_that_it_was_for_and_the_next_go_on(
    work: Work, callers: Callers
) -> None:
    def fail(turns: Sequence[Ask], _: GoOn) -> None:
        turns[0].answer("early")
        raise ZeroDivisionError

    first = callers.first(Ask("a"))
    rest = callers.more(*map(Ask, "bcde"))
    work.instead = [fail]
    work.door.set()
    assert (first.result(), rest[0].result()) == ("A", "early")
    for each in rest[1:3]:
        with pytest.raises(ZeroDivisionError):
            each.result()
    assert rest[3].result() == "E"


def test_an_outcome_is_never_changed() -> None:
    ask = Ask("a")
    ask.answer("first")
    ask.answer("second")
    ask.fail(ZeroDivisionError())
    assert ask.outcome() == "first"


def test_many_callers_lose_and_mix_up_nothing() -> None:
    active = 0
    sizes: list[int] = []

    def echo(turns: Sequence[Ask], _: GoOn) -> None:
        nonlocal active
        active += 1
        assert active == 1
        sizes.append(len(turns))
        answer_all(turns)
        active -= 1

    turns: Turns[Ask] = Turns(echo, 5)

    def caller(number: int) -> None:
        for turn in range(100):
            ask = Ask(f"{number}-{turn}x")
            turns.take(ask)
            assert ask.outcome() == f"{number}-{turn}X"

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(caller, range(12)))
    assert sum(sizes) == 1200
    assert max(sizes) <= 5
    assert turns.waiting == 0

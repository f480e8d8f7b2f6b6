"""A statement's pages, put together, are the account's debits and credits: none lost, none doubled."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.account import statement
from apps.account.statement import MOST_READS, PAGE, Cursor, Page, Period, Question
from apps.ledger import account
from apps.ledger.account import Balance
from apps.ledger.entries import Entry, EntryKind
from apps.ledger.transfer import iso

OPENED = datetime(2025, 11, 28, 9, 0, tzinfo=UTC)
ALWAYS = Period(None, None)
SHOWN = {"debit", "credit"}


@dataclass
class Account:
    """An account's whole history, in the order in which it was written, read as the store reads it.

    `most` is how many entries one read gives at most, as DynamoDB ends a page at a size of its own.
    """

    most: int = 100
    balance: Balance = field(default_factory=lambda: account.unopened("account", "ana", iso(OPENED)))
    entries: list[Entry] = field(default_factory=list)

    def write(self, kind: EntryKind, at: datetime) -> None:
        posting = account.post(self.balance, kind, None, iso(at), available=1, on_hold=0)
        self.balance = posting.after
        self.entries.append(posting.entry)

    def read(self, month: str, below: int | None, limit: int) -> tuple[list[Entry], bool]:
        there = [
            each
            for each in reversed(self.entries)
            if each.month == month and (below is None or each.seq < below)
        ]
        count = min(limit, self.most)
        return there[:count], len(there) > count

    def page(self, period: Period, cursor: Cursor | None, limit: int) -> Page:
        return statement.page(self.balance, Question(period), cursor, limit, self.read)

    def shown(self, period: Period = ALWAYS) -> list[Entry]:
        """What the statement of a period is, by looking at every entry."""
        return [each for each in reversed(self.entries) if each.kind in SHOWN and within(period, each.at)]


def within(period: Period, at: str) -> bool:
    day = datetime.fromisoformat(at).date()
    return (period.first is None or period.first <= day) and (period.last is None or day <= period.last)


def walked(
    of: Account, period: Period, limits: Sequence[int], meanwhile: Callable[[], None] = lambda: None
) -> list[Entry]:
    """The pages one after the other, each cursor through a client's hands."""
    found: list[Entry] = []
    cursor: Cursor | None = None
    for limit in cycle(limits):
        page = of.page(period, cursor, limit)
        assert len(page.entries) <= limit
        found += page.entries
        if page.following is None:
            return found
        cursor = Cursor.read(page.following.opaque())
        assert cursor.question == Question(period)
        meanwhile()
    raise AssertionError


@st.composite
def histories(draw: st.DrawFn) -> Account:
    """Up to forty entries over some months, by clocks that are up to two hours wrong."""
    made = Account(most=draw(st.integers(1, 7)))
    now = OPENED
    kinds: st.SearchStrategy[EntryKind] = st.sampled_from(["debit", "credit", "hold", "release"])
    steps = st.tuples(kinds, st.sampled_from([0, 1, 5, 30, 200, 900]), st.integers(-120, 120))
    for kind, hours, wrong in draw(st.lists(steps, max_size=40)):
        now += timedelta(hours=hours)
        made.write(kind, max(OPENED, now + timedelta(minutes=wrong)))
    return made


DAYS = st.dates(date(2025, 10, 1), date(2027, 6, 30)) | st.sampled_from([date.min, date.max])
PERIODS = st.builds(Period, st.none() | DAYS, st.none() | DAYS)
LIMITS = st.lists(st.integers(1, 12), min_size=1, max_size=4)


@settings(deadline=None)
@given(histories(), PERIODS, LIMITS)
def test_no_entry_is_lost_or_doubled_whatever_the_page_size(
    of: Account, period: Period, limits: list[int]
) -> None:
    assert walked(of, period, limits) == of.shown(period)


@settings(deadline=None)
@given(histories(), LIMITS, st.lists(st.integers(0, 2000), min_size=1))
def test_what_is_written_meanwhile_moves_nothing(of: Account, limits: list[int], hours: list[int]) -> None:
    before = of.shown()
    later = cycle(hours)
    now = OPENED + timedelta(days=2000)

    def meanwhile() -> None:
        nonlocal now
        now += timedelta(hours=next(later))
        of.write("credit", now)

    assert walked(of, ALWAYS, limits, meanwhile) == before


def test_a_month_longer_than_one_read_is_read_to_its_end() -> None:
    of = Account()
    for minute in range(250):
        of.write("hold" if minute % 3 else "debit", OPENED + timedelta(minutes=minute))
    assert walked(of, ALWAYS, [40]) == of.shown()


def test_an_entry_of_a_slow_clock_is_found_in_the_month_after_its_own() -> None:
    of = Account()
    of.write("credit", datetime(2025, 12, 1, 0, 0, 1, tzinfo=UTC))
    of.write("debit", datetime(2025, 11, 30, 23, 59, 59, tzinfo=UTC))
    page = of.page(Period(date(2025, 11, 30), date(2025, 11, 30)), None, 10)
    assert [each.kind for each in page.entries] == ["debit"]


def test_months_before_the_opening_and_outside_the_period_are_not_read() -> None:
    of = Account()
    for month in range(12):
        of.write("credit", datetime(2026, month + 1, 15, tzinfo=UTC))
    read: list[str] = []

    def reading(month: str, below: int | None, limit: int) -> tuple[list[Entry], bool]:
        read.append(month)
        return of.read(month, below, limit)

    in_spring = Question(Period(date(2026, 5, 2), date(2026, 6, 3)))
    statement.page(of.balance, in_spring, None, 10, reading)
    assert read == ["202607", "202606", "202605"]
    read.clear()
    statement.page(of.balance, Question(Period(date(1, 1, 1), None)), None, 100, reading)
    assert read[-1] == "202511"


def test_an_account_without_movements_has_one_empty_page() -> None:
    assert Account().page(ALWAYS, None, 10) == Page((), None)


QUESTIONS = st.builds(Question, PERIODS, st.frozensets(st.sampled_from(get_args(EntryKind)), min_size=1))


@given(st.dates(date(2000, 1, 1), date(9999, 12, 31)), st.integers(0, 10**12 - 1), QUESTIONS)
def test_a_cursor_comes_back_as_it_was(day: date, below: int, question: Question) -> None:
    cursor = Cursor(f"{day:%Y%m}", below, question)
    assert Cursor.read(cursor.opaque()) == cursor
    assert len(cursor.opaque()) <= 256
    assert cursor.opaque().replace("-", "").replace("_", "").isalnum()


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "é",
        "x",
        "202611.5",
        "\x00",
        "____",
        encoded("202611"),
        encoded("202611."),
        encoded(".5"),
        encoded("202611.-5...credit"),
        encoded("202611.5"),
        encoded("202611.5..credit"),
        encoded("202611.5...credit.6"),
        encoded("202611.5..."),
        encoded("202611.5...cash"),
        encoded("202611.5...debit+credit"),
        encoded("202611.5...credit+credit"),
        encoded("202611.5.2026-02-30..credit"),
        encoded("202611.5.2026-2-3..credit"),
        encoded("202611.5...credit\n"),
        encoded("202611.1234567890123...credit"),
        encoded("20261.5...credit"),
        encoded("202613.5...credit"),
        encoded("202600.5...credit"),
        encoded("\u0662\u0660\u0662\u0666\u0661\u0661.5...credit"),
        encoded("202611.\u0665...credit"),
        encoded("202611.5...credit") + "!!",
        "*" + encoded("202611.5...credit"),
    ],
    ids=repr,
)
def test_a_cursor_that_no_page_gave_is_refused(foreign: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a cursor that a page gave$"):
        Cursor.read(foreign)


@given(st.text(max_size=64))
def test_any_text_is_a_cursor_or_is_refused(text: str) -> None:
    try:
        found = Cursor.read(text)
    except ValueError:
        return
    assert found.opaque() == text


def test_a_page_that_reads_for_long_is_given_short_and_goes_on_from_its_cursor() -> None:
    of = Account()
    of.write("credit", datetime(2026, 1, 15, tzinfo=UTC))
    for _ in range(PAGE * (MOST_READS + 1)):
        of.write("hold", datetime(2026, 2, 15, tzinfo=UTC))
    first = statement.page(of.balance, Question(), None, 10, of.read)
    assert first.entries == ()
    assert first.following is not None
    second = statement.page(of.balance, Question(), first.following, 10, of.read)
    assert [entry.kind for entry in second.entries] == ["credit"]


@given(histories(), QUESTIONS, LIMITS)
def test_a_question_for_other_kinds_is_answered_page_by_page(
    of: Account, question: Question, limits: list[int]
) -> None:
    found: list[Entry] = []
    place: Cursor | None = None
    for limit in cycle(limits):
        page = statement.page(of.balance, place.question if place else question, place, limit, of.read)
        found += page.entries
        if page.following is None:
            break
        place = Cursor.read(page.following.opaque())
    assert found == [each for each in reversed(of.entries) if question.has(each)]

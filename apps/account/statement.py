"""Statements: an account's entries, newest first, page by page; debits and credits unless asked otherwise."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import get_args

from apps.ledger.account import Balance, month_of
from apps.ledger.entries import STATEMENT_KINDS, Entry, EntryKind

PAGE = 100
"""Entries read at a time; those that were not asked for are left out of the page."""
_DAY = "([0-9]{4}-[0-9]{2}-[0-9]{2})?"
_CURSOR = re.compile(rf"([0-9]{{4}}(?:0[1-9]|1[0-2]))\.([0-9]{{1,12}})\.{_DAY}\.{_DAY}\.([a-z+]+)")

MOST_READS = 25
"""Reads for one page: holds and releases, or months in which nothing happened, can lie between two lines."""
ABOVE_ALL = 10**12 - 1
"""Above every entry number that there can be: a cursor that begins a month."""


@dataclass(frozen=True)
class Period:
    """Days in UTC, both included. Either end may be open."""

    first: date | None
    last: date | None

    def has(self, at: str) -> bool:
        """Whether a moment (ISO 8601) is in the period."""
        day = at[:10]
        after = self.first is None or day >= self.first.isoformat()
        return after and (self.last is None or day <= self.last.isoformat())


@dataclass(frozen=True)
class Question:
    """Which entries are asked for."""

    period: Period = Period(None, None)
    kinds: frozenset[EntryKind] = STATEMENT_KINDS

    def has(self, entry: Entry) -> bool:
        """Whether an entry is asked for."""
        return entry.kind in self.kinds and self.period.has(entry.at)


@dataclass(frozen=True)
class Cursor:
    """Where the next page goes on: below this entry number, in this month. It keeps the question, so that no
    later page answers another one."""

    month: str
    below: int
    question: Question = Question()

    def opaque(self) -> str:
        """The cursor as clients carry it."""
        period = self.question.period
        days = (day.isoformat() if day else "" for day in (period.first, period.last))
        kinds = "+".join(sorted(self.question.kinds))
        plain = ".".join([self.month, str(self.below), *days, kinds])
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """The cursor a client brings back. Raises `ValueError` when it is not one of ours."""
        found = None
        try:
            plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            if match := _CURSOR.fullmatch(plain):
                found = cls(match[1], int(match[2]), _question(match[3], match[4], match[5]))
        except ValueError:
            found = None
        # Base64 is decoded leniently, so other spellings would pass for ours.
        if found is None or found.opaque() != text:
            raise ValueError("is not a cursor that a page gave")
        return found


def _question(first: str | None, last: str | None, kinds: str) -> Question:
    named = set(kinds.split("+"))
    known: tuple[EntryKind, ...] = get_args(EntryKind)
    if not named <= set(known):
        raise ValueError(kinds)
    days = (date.fromisoformat(day) if day else None for day in (first, last))
    return Question(Period(*days), frozenset(each for each in known if each in named))


@dataclass(frozen=True)
class Page:
    """Some of a statement, newest first, and where to go on."""

    entries: tuple[Entry, ...]
    following: Cursor | None


ReadMonth = Callable[[str, int | None, int], tuple[list[Entry], bool]]
"""`(month, below, limit)` gives entries, newest first, and whether the month has more."""


def page(balance: Balance, question: Question, cursor: Cursor | None, limit: int, read: ReadMonth) -> Page:
    """The next `limit` entries that were asked for. Reads month by month, backwards in time.

    A page that has read for long is given as it is, short or even empty, with the cursor to go on from.
    """
    period = question.period
    month, below = _start(balance, period, cursor)
    oldest = month_of(balance.opened_at)
    if period.first is not None:
        oldest = max(oldest, month_of(period.first.isoformat()))
    found: list[Entry] = []
    reads = 0
    while month >= oldest:
        if reads == MOST_READS:
            return Page(tuple(found), Cursor(month, ABOVE_ALL if below is None else below, question))
        reads += 1
        entries, more = read(month, below, PAGE)
        for entry in entries:
            if question.has(entry):
                found.append(entry)
                if len(found) == limit:
                    return Page(tuple(found), Cursor(month, entry.seq, question))
        below = entries[-1].seq if more else None
        month = month if more else _month_before(month)
    return Page(tuple(found), None)


def _start(balance: Balance, period: Period, cursor: Cursor | None) -> tuple[str, int | None]:
    if cursor is not None:
        return min(cursor.month, balance.month), cursor.below
    if period.last is None or month_of(period.last.isoformat()) >= balance.month:
        return balance.month, None
    # An entry that a slow clock wrote at a month's end stands in the month after: look there too.
    after = (period.last.replace(day=1) + timedelta(days=32)).isoformat()
    return month_of(after), None


def _month_before(month: str) -> str:
    year, number = int(month[:4]), int(month[4:])
    return f"{year - 1}12" if number == 1 else f"{year}{number - 1:02d}"

"""What was on an account at a moment of the past, found among its entries without adding any of them up.

Entries are numbered; where the clocks of two machines disagreed about the order of two entries, the numbers
are right, and a moment between their times gives one of the two states.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from apps.ledger.account import Balance, month_of
from apps.ledger.entries import Entry, MonthOpening


@dataclass(frozen=True)
class Then:
    """What was on the account, in centavos, after its entry number `seq`."""

    seq: int
    available: int
    on_hold: int


@dataclass(frozen=True)
class Record:
    """How an account's record is read: the newest month that begins no later than one (yyyymm), the first
    that begins after one, and the entry of a month by its number."""

    newest: Callable[[str], MonthOpening]
    after: Callable[[str], MonthOpening | None]
    entry: Callable[[str, int], Entry]


def at_moment(balance: Balance, moment: str, record: Record) -> Then:
    """What was on the account at a moment (ISO 8601, UTC) since it was opened.

    Reads what two months begin with and, by halving, a few entries of one month.
    """
    assert moment >= balance.opened_at
    # An entry that a slow clock wrote at a month's end stands in the month after: look there first.
    opening = record.newest(_month_after(moment))
    if opening.month > month_of(moment) and record.entry(opening.month, opening.seq + 1).at > moment:
        opening = record.newest(month_of(moment))
    following = record.after(opening.month)
    low, high = opening.seq, following.seq if following else balance.seq
    found: Entry | None = None
    middle = high
    while low < high:
        entry = record.entry(opening.month, middle)
        if entry.at <= moment:
            low, found = middle, entry
        else:
            high = middle - 1
        middle = (low + high + 1) // 2
    if found is None:
        return Then(opening.seq, opening.available, opening.on_hold)
    return Then(found.seq, found.available_after, found.on_hold_after)


def _month_after(moment: str) -> str:
    first = date.fromisoformat(moment[:10]).replace(day=1)
    return month_of((first + timedelta(days=32)).isoformat())

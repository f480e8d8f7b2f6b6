"""What was on an account in the past: the same as adding up every entry until then, with a few reads."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.account.history import Record, Then, at_moment
from apps.ledger import account
from apps.ledger.account import Balance, unopened
from apps.ledger.entries import Entry, MonthOpening
from apps.ledger.transfer import iso

OPENED = datetime(2025, 11, 28, 9, 0, tzinfo=UTC)


@dataclass
class Account:
    """A whole history, read as the store reads it; `reads` is what was read of it."""

    balance: Balance
    entries: list[Entry] = field(default_factory=list)
    openings: list[MonthOpening] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    def keep(self, posting: account.Posting) -> None:
        self.balance = posting.after
        self.entries.append(posting.entry)
        self.openings += [posting.opens] if posting.opens else []

    def newest(self, month: str) -> MonthOpening:
        self.reads.append("opening")
        return max((each for each in self.openings if each.month <= month), key=lambda each: each.month)

    def after(self, month: str) -> MonthOpening | None:
        self.reads.append("opening")
        later = [each for each in self.openings if each.month > month]
        return min(later, key=lambda each: each.month) if later else None

    def entry(self, month: str, seq: int) -> Entry:
        self.reads.append("entry")
        (found,) = [each for each in self.entries if (each.month, each.seq) == (month, seq)]
        return found

    def at(self, moment: datetime) -> Then:
        self.reads.clear()
        return at_moment(self.balance, iso(moment), Record(self.newest, self.after, self.entry))


def lived(hours: list[int], wrong: list[int]) -> Account:
    """An account with an entry after so many hours each, by clocks that are so many seconds wrong."""
    made = Account(unopened("account", "ana", iso(OPENED)))
    made.keep(account.open_account(made.balance, iso(OPENED)))
    now = OPENED
    for number, pause in enumerate(hours):
        now += timedelta(hours=pause)
        at = max(OPENED, now + timedelta(seconds=wrong[number % len(wrong)]))
        made.keep(account.credit(made.balance, 1, f"transfer-{number}", iso(at)))
    return made


PAUSES = st.lists(st.sampled_from([0, 1, 30, 300, 2000]), max_size=30)


@given(hours=PAUSES, moment=st.integers(0, 70_000))
def test_it_is_what_all_entries_until_then_add_up_to(hours: list[int], moment: int) -> None:
    made = lived(hours, [0])
    then = OPENED + timedelta(hours=moment)
    last = [each for each in made.entries if each.at <= iso(then)][-1]
    assert made.at(then) == Then(last.seq, last.available_after, last.on_hold_after)


@given(hours=PAUSES, wrong=st.lists(st.integers(-9, 9), min_size=1), moment=st.integers(0, 70_000))
def test_where_clocks_disagree_it_is_a_state_of_that_time(
    hours: list[int], wrong: list[int], moment: int
) -> None:
    made = lived(hours, wrong)
    then = OPENED + timedelta(hours=moment)
    found = made.at(then)
    around = timedelta(seconds=20)
    surely = max(each.seq for each in made.entries if each.at <= iso(max(OPENED, then - around)))
    at_most = max(each.seq for each in made.entries if each.at <= iso(then + around))
    assert surely <= found.seq <= at_most
    assert found.available == found.seq - 1


def test_a_slow_clocks_entry_that_stands_in_the_month_after_its_own_counts() -> None:
    made = lived([], [0])
    made.keep(account.credit(made.balance, 5, "a", "2025-11-30T23:59:50.000Z"))
    made.keep(account.credit(made.balance, 6, "b", "2025-12-01T00:00:01.000Z"))
    made.keep(account.credit(made.balance, 7, "c", "2025-12-01T00:00:02.000Z"))
    made.entries[2] = made.entries[2].__class__(**vars(made.entries[2]) | {"at": "2025-11-30T23:59:59.000Z"})
    assert made.at(datetime(2025, 11, 30, 23, 59, 59, tzinfo=UTC)) == Then(3, 11, 0)


@pytest.mark.parametrize("months", [0, 1, 30, 60])
def test_idle_months_and_busy_ones_cost_a_few_reads(months: int) -> None:
    made = lived([1] + [0] * 700 + [730 * months] + [0] * 700, [0])
    for moment in (OPENED, OPENED + timedelta(hours=2), OPENED + timedelta(days=31 * months + 40)):
        made.at(moment)
        assert made.reads.count("opening") <= 3
        assert made.reads.count("entry") <= 1 + 12

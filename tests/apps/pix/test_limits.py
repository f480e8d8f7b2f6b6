"""Limits: which period a moment belongs to, what is left in it, and when a wish takes effect."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.pix import limits
from apps.pix.limits import NOTHING_USED, BadLimit, LimitName, Limits, OverLimit, Setting, Used

USUAL = Limits(day=Setting(500_000), night=Setting(limits.NIGHT_LIMIT_CENTS), legal=Setting(900_000))


def at(text: str) -> datetime:
    """A moment in Brasília, given in UTC as the services do."""
    return datetime.fromisoformat(f"2026-11-{text}:00-03:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "name", "ends"),
    [
        ("25T06:00", "2026-11-25/day", "25T20:00"),
        ("25T19:59", "2026-11-25/day", "25T20:00"),
        ("25T20:00", "2026-11-25/night", "26T06:00"),
        ("25T23:59", "2026-11-25/night", "26T06:00"),
        ("26T00:00", "2026-11-25/night", "26T06:00"),
        ("26T05:59", "2026-11-25/night", "26T06:00"),
        ("26T06:00", "2026-11-26/day", "26T20:00"),
    ],
)
def test_day_and_night_are_brasilias_and_a_night_is_one_period(moment: str, name: str, ends: str) -> None:
    found = limits.period(USUAL, "natural", at(moment))
    assert (found.name, found.ends_at) == (name, at(ends))


@pytest.mark.parametrize("moment", ["25T00:00", "25T12:00", "25T23:59"])
def test_towards_a_legal_person_the_whole_day_is_one_period(moment: str) -> None:
    found = limits.period(USUAL, "legal", at(moment))
    assert (found.name, found.ends_at) == ("2026-11-25/legal", at("26T00:00"))


@pytest.mark.parametrize(
    ("moment", "name"), [("25T21:59", "day"), ("25T22:00", "night"), ("26T05:59", "night")]
)
def test_a_night_that_begins_later_leaves_the_evening_to_the_day(moment: str, name: str) -> None:
    later = Limits(USUAL.day, USUAL.night, USUAL.legal, Setting(22))
    assert limits.period(later, "natural", at(moment)).name == f"2026-11-25/{name}"


@pytest.mark.parametrize(
    ("receiver", "moment", "limit"),
    [("natural", "25T12:00", 500_000), ("natural", "25T21:00", 100_000), ("legal", "25T21:00", 900_000)],
)
def test_all_of_a_period_can_be_used_and_no_centavo_more(
    receiver: limits.Receiver, moment: str, limit: int
) -> None:
    now = at(moment)
    used = NOTHING_USED.plus(limits.period(USUAL, receiver, now).name, limit - 300)
    period = limits.use(USUAL, receiver, used, 300, now)
    with pytest.raises(OverLimit) as over:
        limits.use(USUAL, receiver, used, 301, now)
    assert (over.value.period, over.value.limit_cents, over.value.left_cents) == (period, limit, 300)


def test_one_transfer_cannot_exceed_the_period_by_itself() -> None:
    with pytest.raises(OverLimit) as over:
        limits.use(USUAL, "natural", NOTHING_USED, limits.NIGHT_LIMIT_CENTS + 1, at("25T21:00"))
    assert over.value.left_cents == limits.NIGHT_LIMIT_CENTS


def test_a_limit_that_was_lowered_below_what_was_used_leaves_nothing() -> None:
    low = limits.changed(USUAL, "day", 100, at("25T12:00"))
    with pytest.raises(OverLimit) as over:
        limits.use(low, "natural", Used((("2026-11-25/day", 5000),)), 1, at("25T12:00"))
    assert over.value.left_cents == 0


@pytest.mark.parametrize("name", ["day", "night", "legal"])
def test_lowering_holds_at_once_and_raising_after_the_wait(name: limits.LimitName) -> None:
    now = at("25T12:00")
    before = USUAL.of(name, now)
    lower = limits.changed(USUAL, name, before - 1, now)
    assert lower.of(name, now) == before - 1
    higher = limits.changed(USUAL, name, before + 1, now)
    almost = now + limits.RAISE_WAIT - timedelta(seconds=1)
    assert [higher.of(name, when) for when in (now, almost)] == [before, before]
    assert higher.of(name, now + limits.RAISE_WAIT) == before + 1


def test_a_new_wish_replaces_one_that_waits_and_lowering_takes_it_back() -> None:
    now = at("25T12:00")
    raised = limits.changed(USUAL, "day", 900_000, now)
    again = limits.changed(raised, "day", 800_000, now + timedelta(hours=23))
    assert again.day.at(now + limits.RAISE_WAIT) == 500_000
    lowered = limits.changed(raised, "day", 1_000, now + timedelta(hours=1))
    assert lowered.day == Setting(1_000)


def test_a_raise_that_has_come_into_force_is_what_the_next_wish_starts_from() -> None:
    now = at("25T12:00")
    raised = limits.changed(USUAL, "day", 900_000, now)
    later = now + timedelta(days=2)
    assert limits.changed(raised, "day", 950_000, later).of("day", later) == 900_000


def test_the_night_moves_after_the_wait() -> None:
    now = at("25T12:00")
    moved = limits.night_moved(USUAL, 22, now)
    assert moved.night_starts.at(now) == 20
    assert moved.night_starts.at(now + limits.RAISE_WAIT) == 22
    assert limits.night_moved(moved, 20, now).night_starts == Setting(20)


@pytest.mark.parametrize("cents", [-1, limits.MAX_LIMIT_CENTS + 1])
def test_a_limit_that_nobody_can_have_is_refused(cents: int) -> None:
    with pytest.raises(BadLimit):
        limits.changed(USUAL, "day", cents, at("25T12:00"))


@pytest.mark.parametrize("hour", [0, 6, 19, 21, 23, 24])
def test_the_night_begins_at_20_or_22(hour: int) -> None:
    with pytest.raises(BadLimit):
        limits.night_moved(USUAL, hour, at("25T12:00"))


def test_wishing_the_same_again_does_not_begin_the_wait_anew() -> None:
    now = at("25T12:00")
    raised = limits.night_moved(limits.changed(USUAL, "day", 900_000, now), 22, now)
    later = now + timedelta(hours=23)
    assert limits.night_moved(limits.changed(raised, "day", 900_000, later), 22, later) == raised


def test_each_limit_counts_in_its_own_period_and_a_new_period_begins_at_nothing() -> None:
    used = NOTHING_USED
    for name, cents in (
        ("2026-11-25/day", 100),
        ("2026-11-25/night", 20),
        ("2026-11-25/legal", 3),
        ("2026-11-25/day", 1),
        ("2026-11-26/night", 5),
    ):
        used = used.plus(name, cents)
    assert used == Used((("2026-11-25/day", 101), ("2026-11-25/legal", 3), ("2026-11-26/night", 5)))
    assert used.of("2026-11-25/night") == 0


def test_what_is_given_back_can_be_used_again_while_its_period_lasts() -> None:
    used = NOTHING_USED.plus("2026-11-25/night", 100).plus("2026-11-25/night", 30)
    assert used.minus("2026-11-25/night", 100).of("2026-11-25/night") == 30
    following = used.plus("2026-11-26/night", 7)
    assert following.minus("2026-11-25/night", 100) == following


def test_nothing_gives_back_more_than_was_used() -> None:
    with pytest.raises(AssertionError):
        NOTHING_USED.plus("2026-11-25/day", 100).minus("2026-11-25/day", 101)


@pytest.mark.parametrize(
    ("period", "cents", "holds"),
    [
        ("2026-11-25/day", 100, True),
        ("2026-11-25/day", 101, False),
        ("2026-11-24/day", 101, True),
        (None, 101, True),
    ],
    ids=["all of it", "more than is there", "of a period that is over", "of none"],
)
def test_what_a_period_holds_can_be_given_back(period: str | None, cents: int, holds: bool) -> None:
    assert NOTHING_USED.plus("2026-11-25/day", 100).holds(period, cents) is holds


@pytest.mark.parametrize("given_back", [0, 500], ids=["used", "given back"])
def test_a_clock_behind_the_others_does_not_bring_a_period_back(given_back: int) -> None:
    ahead = NOTHING_USED.plus("2026-11-26/legal", 500).minus("2026-11-26/legal", given_back)
    assert limits.use(USUAL, "legal", ahead, 1, at("25T23:59")).name == "2026-11-26/legal"


@pytest.mark.parametrize(
    ("name", "moment", "found"),
    [
        ("day", "25T12:00", "2026-11-25/day"),
        ("night", "25T12:00", "2026-11-25/night"),
        ("legal", "25T21:00", "2026-11-25/legal"),
        ("day", "25T21:00", "2026-11-26/day"),
        ("day", "26T03:00", "2026-11-26/day"),
        ("night", "26T03:00", "2026-11-25/night"),
    ],
)
def test_the_next_period_of_a_limit_is_the_present_one_or_the_first_to_come(
    name: LimitName, moment: str, found: str
) -> None:
    assert limits.next_period(USUAL, name, at(moment)).name == found


def test_the_next_night_is_tonights_though_it_begins_later_by_then() -> None:
    moved = limits.night_moved(USUAL, 22, at("24T19:30"))
    assert limits.next_period(moved, "night", at("25T12:00")).name == "2026-11-25/night"


MOMENTS = st.integers(0, 4 * 365 * 24 * 3600).map(lambda seconds: at("01T00:00") + timedelta(seconds=seconds))


@given(MOMENTS, st.sampled_from(["natural", "legal"]), st.sampled_from([20, 22]))
def test_every_moment_is_in_one_period_until_it_ends(
    moment: datetime, receiver: limits.Receiver, hour: int
) -> None:
    mine = Limits(USUAL.day, USUAL.night, USUAL.legal, Setting(hour))
    found = limits.period(mine, receiver, moment)
    assert moment < found.ends_at <= moment + timedelta(hours=24)
    assert limits.period(mine, receiver, found.ends_at - timedelta(microseconds=1)) == found
    assert limits.period(mine, receiver, found.ends_at) != found

"""How much a customer may send by Pix: per period, by day and by night, in Brasília time. Rules only, no I/O.

Source: IN BCB 512/2024 and IN 669/2025. Limits are per period, not per operation, since 2023. Towards a
natural person the day and the night have a limit each; towards a legal person one limit holds for the whole
day. The night is one period although it has two dates: it is named for the evening on which it begins. A
customer lowers a limit at once and raises it after a wait. Limits are an account's (Resolução BCB 142/2021
says so of the night's). `now` is always given by the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Literal

LimitName = Literal["day", "night", "legal"]
Receiver = Literal["natural", "legal"]

BRASILIA = timezone(timedelta(hours=-3), "Brasília")
"""Without daylight saving time since 2019 (Decreto 9.772). A fixed zone needs no file of the machine's."""
RAISE_WAIT = timedelta(hours=24)
"""The rules say 24 to 48 hours, for a raise and for another start of the night."""
NIGHT_LIMIT_CENTS = 100_000
"""R$ 1,000.00, unless the customer asks expressly for another."""
NIGHT_STARTS = (20, 22)
NIGHT_ENDS = 6
MAX_LIMIT_CENTS = 10**12


class OverLimit(Exception):  # noqa: N818
    """A transfer goes beyond what is left in its period."""

    def __init__(self, period: "Period", limit_cents: int, left_cents: int) -> None:
        super().__init__(f"{period.name}: {left_cents} of {limit_cents} left")
        self.period = period
        self.limit_cents = limit_cents
        self.left_cents = left_cents


class BadLimit(ValueError):  # noqa: N818
    """No limit that a customer can have."""


@dataclass(frozen=True)
class Setting:
    """A value that holds, and one that may follow: `following` takes over at `follows_at`."""

    value: int
    following: int | None = None
    follows_at: datetime | None = None

    def at(self, now: datetime) -> int:
        """The value that holds now."""
        if self.following is not None and self.follows_at is not None and now >= self.follows_at:
            return self.following
        return self.value

    def settled(self, now: datetime) -> "Setting":
        """The same, with a change whose time has come made."""
        return Setting(self.at(now)) if self.follows_at is not None and now >= self.follows_at else self


@dataclass(frozen=True)
class Limits:
    """A customer's limits in centavos, and the hour at which their night begins."""

    day: Setting
    night: Setting
    legal: Setting
    night_starts: Setting = Setting(NIGHT_STARTS[0])

    def of(self, name: LimitName, now: datetime) -> int:
        """The limit that holds now."""
        return self.setting(name).at(now)

    def setting(self, name: LimitName) -> Setting:
        """One limit, with what may follow."""
        settings: Mapping[LimitName, Setting] = {"day": self.day, "night": self.night, "legal": self.legal}
        return settings[name]


USUAL = Limits(day=Setting(500_000), night=Setting(NIGHT_LIMIT_CENTS), legal=Setting(500_000))
"""What an account begins with: R$ 5,000.00 by day and for a legal person, less at night."""


@dataclass(frozen=True)
class Used:
    """What was sent in the latest period of each limit, by the period's name."""

    periods: tuple[tuple[str, int], ...] = ()

    def of(self, period: str) -> int:
        """Centavos sent in a period; nothing is known any more of one that another has followed."""
        return dict(self.periods).get(period, 0)

    def holds(self, period: str | None, cents: int) -> bool:
        """Whether so much can be given back of a period: it counts that much, or is counted no more."""
        used = dict(self.periods)
        return period not in used or used[period] >= cents

    def plus(self, period: str, cents: int) -> "Used":
        """The same with so much more sent. A period ends the count of the one before it."""
        others = tuple(each for each in self.periods if _limit_of(each[0]) != _limit_of(period))
        return Used(tuple(sorted((*others, (period, self.of(period) + cents)))))

    def minus(self, period: str, cents: int) -> "Used":
        """The same with so much given back, if the period is still the latest of its limit."""
        used = dict(self.periods)
        if period not in used:
            return self
        assert used[period] >= cents, f"{period}: more is given back than was used"
        used[period] -= cents
        # Nothing is left out, not even zero: nobody goes back to the period before.
        return Used(tuple(sorted(used.items())))

    def not_before(self, period: "Period") -> "Period":
        """The period, or the later one that somebody with a clock ahead of this one has begun."""
        names = [name for name, _ in self.periods if _limit_of(name) == period.limit]
        return replace(period, name=max([period.name, *names]))


NOTHING_USED = Used()
"""Before the first payment."""


@dataclass(frozen=True)
class Period:
    """One stretch of time that one limit counts in. `name` is its own, such as `2026-11-25/night`; what was
    used is kept under it. It ends before `ends_at`."""

    limit: LimitName
    name: str
    ends_at: datetime


def period(limits: Limits, receiver: Receiver, now: datetime) -> Period:
    """The period that a transfer to `receiver` counts in now."""
    local = now.astimezone(BRASILIA)
    today = local.date()
    if receiver == "legal":
        return _period("legal", today, _at(today + timedelta(days=1), 0))
    starts = limits.night_starts.at(now)
    if local.hour >= starts:
        return _period("night", today, _at(today + timedelta(days=1), NIGHT_ENDS))
    if local.hour < NIGHT_ENDS:
        return _period("night", today - timedelta(days=1), _at(today, NIGHT_ENDS))
    return _period("day", today, _at(today, starts))


def use(limits: Limits, receiver: Receiver, used: Used, amount_cents: int, now: datetime) -> Period:
    """The period that has room for this amount beside what was used in it. Raises `OverLimit`.

    One transfer cannot exceed what is left, whatever the limit per period: that is the limit per transfer.
    """
    assert amount_cents > 0, "an amount is above zero"
    found = used.not_before(period(limits, receiver, now))
    limit = limits.of(found.limit, now)
    if used.of(found.name) + amount_cents > limit:
        raise OverLimit(found, limit, max(0, limit - used.of(found.name)))
    return found


def next_period(limits: Limits, name: LimitName, now: datetime) -> Period:
    """The period of a limit that is now, or that comes next."""
    if name == "legal":
        return period(limits, "legal", now)
    found = period(limits, "natural", now)
    while found.limit != name:
        # Once more when the night begins later by then.
        found = period(limits, "natural", found.ends_at)
    return found


def changed(limits: Limits, name: LimitName, to_cents: int, now: datetime) -> Limits:
    """The limits after a customer's wish: lower at once, higher after the wait. Raises `BadLimit`.

    A new wish replaces one that still waits.
    """
    if not 0 <= to_cents <= MAX_LIMIT_CENTS:
        raise BadLimit("must be from zero to R$ 10 billion")
    before = limits.setting(name)
    after = _changed(before.settled(now), to_cents, now, at_once=to_cents <= before.at(now))
    match name:
        case "day":
            return replace(limits, day=after)
        case "night":
            return replace(limits, night=after)
        case "legal":
            return replace(limits, legal=after)


def night_moved(limits: Limits, hour: int, now: datetime) -> Limits:
    """The limits with another start of the night, after the wait. Raises `BadLimit`."""
    if hour not in NIGHT_STARTS:
        raise BadLimit("the night begins at 20 or at 22 hours")
    before = limits.night_starts.settled(now)
    return replace(limits, night_starts=_changed(before, hour, now, at_once=hour == before.value))


def _changed(setting: Setting, to: int, now: datetime, *, at_once: bool) -> Setting:
    if at_once:
        return Setting(to)
    # Who wishes the same again waits no longer for it.
    return setting if setting.following == to else Setting(setting.value, to, now + RAISE_WAIT)


def _limit_of(period: str) -> str:
    return period.partition("/")[2]


def _period(limit: LimitName, named_for: date, ends_at: datetime) -> Period:
    return Period(limit, f"{named_for.isoformat()}/{limit}", ends_at)


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), BRASILIA)

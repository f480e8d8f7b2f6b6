"""Limits over HTTP: how much each of your accounts may send by Pix, what is left, and what you wish."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from apps.account.api import AccountService, ServiceDep
from apps.kit.dynamo import Deadline, OutcomeUnknown
from apps.kit.money import whole_cents
from apps.kit.problems import CODES, Problem, responses
from apps.kit.service import CallerDep
from apps.ledger.account import Balance, Refusal
from apps.ledger.transfer import iso
from apps.pix import limits
from apps.pix.limits import MAX_LIMIT_CENTS, NIGHT_STARTS, LimitName, Limits, Setting

CHANGE_SECONDS = 4
_NAMES: tuple[LimitName, ...] = ("day", "night", "legal")

router = APIRouter(tags=["limits"])

LimitCents = Annotated[
    int,
    Field(ge=0, le=MAX_LIMIT_CENTS),
    BeforeValidator(whole_cents),
    Field(description="Limit in centavos; zero lets nothing go", examples=[300_000]),
]


class Wish(BaseModel):
    """What an account is to be allowed. What is left out stays as it is, a wish that waits included."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 2})

    account_id: UUID
    day_cents: LimitCents | None = Field(default=None, description="To people, by day")
    night_cents: LimitCents | None = Field(default=None, description="To people, in one night")
    legal_cents: LimitCents | None = Field(default=None, description="To companies, in one day")
    night_starts_at: Annotated[int, BeforeValidator(whole_cents)] | None = Field(
        default=None,
        description="The hour at which the night begins, in Brasília",
        json_schema_extra={"enum": list(NIGHT_STARTS)},
    )

    @model_validator(mode="after")
    def _wishes_something(self) -> "Wish":
        if {self.day_cents, self.night_cents, self.legal_cents, self.night_starts_at} == {None}:
            raise ValueError("must wish something")
        if self.night_starts_at not in {None, *NIGHT_STARTS}:
            raise ValueError("night_starts_at must be 20 or 22")
        return self


class LimitView(BaseModel):
    """One limit in the period that it counts in now (`current`), or in its next one. `next_cents` is what you
    wish for, and holds from `next_from` on."""

    limit_cents: int
    used_cents: int
    left_cents: int
    current: bool
    period_ends_at: datetime
    next_cents: int | None
    next_from: datetime | None


class NightStart(BaseModel):
    """When the night begins, in Brasília; it ends at 6."""

    hour: Literal[20, 22]
    next_hour: Literal[20, 22] | None
    next_from: datetime | None


class AccountLimits(BaseModel):
    """How much one account may send: to people by day and by night, and to companies on one day."""

    account_id: UUID
    day: LimitView
    night: LimitView
    legal: LimitView
    night_starts: NightStart


class AllLimits(BaseModel):
    """The limits of all your accounts that are open."""

    accounts: list[AccountLimits]


@router.get("/limits", responses=responses("unavailable", "record_damaged"))
def get_limits(caller: CallerDep, service: ServiceDep) -> AllLimits:
    """How much each of your accounts may still send by Pix, here and to other banks.

    A limit belongs to a period, not to one transfer: by day and by night towards people, in Brasília's time,
    and by the whole day towards companies. Returns count in none.
    """
    ids = [each.account_id for each in service.store.owned_by(caller.subject)]
    found = service.store.balances_of(ids)
    return AllLimits(accounts=[_view(found[each], service) for each in ids if found[each].status != "CLOSED"])


@router.put(
    "/limits",
    responses=responses(
        "account_not_found",
        "account_frozen",
        "account_closed",
        "unavailable",
        "outcome_unknown",
        "record_damaged",
    ),
)
def change_limits(wish: Wish, caller: CallerDep, service: ServiceDep) -> AccountLimits:
    """Wish for other limits of one account. A lower limit holds at once; a higher one, and another start of
    the night, after 24 hours. Wishing the same again changes nothing, and a new wish replaces one that waits.
    """
    profile = service.owned(wish.account_id, caller.subject)
    try:
        balance = service.store.limit(profile.account_id, _fulfilled(wish), Deadline.after(CHANGE_SECONDS))
    except Refusal as refusal:
        raise Problem(CODES[refusal.code][0], refusal.code, refusal.detail, facts=refusal.facts) from refusal
    except OutcomeUnknown as error:
        raise Problem(
            504,
            "outcome_unknown",
            "The limits may be changed or not. Repeat the request.",
            headers={"Retry-After": "1"},
            account_id=profile.account_id,
        ) from error
    return _view(balance, service)


def _fulfilled(wish: Wish) -> Callable[[Limits, datetime], Limits]:
    """The wish as a change of what an account has."""

    def change(before: Limits, now: datetime) -> Limits:
        after = before
        wished: dict[LimitName, int | None] = {
            "day": wish.day_cents,
            "night": wish.night_cents,
            "legal": wish.legal_cents,
        }
        for name, cents in wished.items():
            if cents is not None:
                after = limits.changed(after, name, cents, now)
        if wish.night_starts_at is not None:
            after = limits.night_moved(after, wish.night_starts_at, now)
        return after

    return change


def _view(balance: Balance, service: AccountService) -> AccountLimits:
    now = service.now()
    allowed = balance.allowed
    start = allowed.night_starts.settled(now)
    return AccountLimits.model_validate(
        {
            "account_id": balance.account_id,
            **{name: _limit(balance, name, now) for name in _NAMES},
            "night_starts": {
                "hour": start.value,
                "next_hour": start.following,
                "next_from": _moment(start),
            },
        }
    )


def _limit(balance: Balance, name: LimitName, now: datetime) -> dict[str, object]:
    allowed = balance.allowed
    setting = allowed.setting(name).settled(now)
    period = limits.next_period(allowed, name, now)
    used = balance.used.of(balance.used.not_before(period).name)
    current = name == "legal" or period == limits.period(allowed, "natural", now)
    return {
        "limit_cents": setting.value,
        "used_cents": used,
        "left_cents": max(0, setting.value - used),
        "current": current,
        "period_ends_at": iso(period.ends_at),
        "next_cents": setting.following,
        "next_from": _moment(setting),
    }


def _moment(setting: Setting) -> str | None:
    return None if setting.follows_at is None else iso(setting.follows_at)

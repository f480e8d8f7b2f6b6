"""Limits over HTTP: what is shown, to whom, and when a wish takes effect."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from apps.account import account
from apps.account.account import Profile
from apps.account.api import AccountService
from apps.account.limits_api import router
from apps.kit.dynamo import OutcomeUnknown
from apps.ledger.account import unopened
from apps.ledger.entries import AccountStatus
from apps.pix.limits import MAX_LIMIT_CENTS, NOTHING_USED
from tests.apps.account.fake_linked import FakeLinked
from tests.apps.account.fake_store import FakeStore
from tests.apps.serving import ANA, BETO, problem, served, signed_in

NOON = datetime(2026, 12, 24, 15, 0, tzinfo=UTC)
"""In Brasília."""


class Bank:
    """The API with accounts of Ana's, and a clock that tests move."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.at(NOON)
        self.service = AccountService(self.store, "99999004", FakeLinked(), lambda: self.store.now)
        self.account_id = self.open(ANA)

    def open(self, subject: str) -> str:
        account_id = str(uuid4())
        self.store.profiles[account_id] = Profile(
            account_id, subject, "A", "52998224725", "CACC", account.BRANCH, "1-9", "2026-01-01", "", ""
        )
        self.store.balances[account_id] = unopened(account_id, subject, "2026-11-25T12:00:00.000Z")
        return account_id

    def at(self, moment: datetime) -> None:
        self.store.now = moment

    def change(self, **values: Any) -> None:
        self.store.balances[self.account_id] = replace(self.store.balances[self.account_id], **values)


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def client(bank: Bank) -> Iterator[TestClient]:
    with served(router, {"service": bank.service}) as opened:
        yield opened


def seen(client: TestClient, subject: str = ANA) -> Any:
    answer = client.get("/limits", headers=signed_in(subject))
    assert answer.status_code == 200, answer.text
    return answer.json()["accounts"]


def wish(client: TestClient, bank: Bank, subject: str = ANA, **wished: Any) -> Response:
    body = {"account_id": bank.account_id} | wished
    return client.put("/limits", json=body, headers=signed_in(subject))


def test_an_account_begins_with_a_thousand_reais_at_night(client: TestClient, bank: Bank) -> None:
    (limits,) = seen(client)
    assert limits["account_id"] == bank.account_id
    assert limits["night"] == {
        "limit_cents": 100_000,
        "used_cents": 0,
        "left_cents": 100_000,
        "current": False,
        "period_ends_at": "2026-12-25T09:00:00Z",
        "next_cents": None,
        "next_from": None,
    }
    assert [limits[each]["limit_cents"] for each in ("day", "legal")] == [500_000, 500_000]
    assert limits["night_starts"] == {"hour": 20, "next_hour": None, "next_from": None}


def test_what_was_used_is_shown_beside_what_is_left(client: TestClient, bank: Bank) -> None:
    bank.change(used=NOTHING_USED.plus("2026-12-24/day", 499_000).plus("2026-12-23/night", 7))
    (limits,) = seen(client)
    assert {name: limits["day"][name] for name in ("used_cents", "left_cents", "current")} == {
        "used_cents": 499_000,
        "left_cents": 1_000,
        "current": True,
    }
    assert limits["night"]["used_cents"] == 0
    bank.at(NOON + timedelta(hours=9))
    (limits,) = seen(client)
    assert (limits["day"]["left_cents"], limits["day"]["current"], limits["night"]["current"]) == (
        500_000,
        False,
        True,
    )


def test_a_lower_limit_holds_at_once(client: TestClient, bank: Bank) -> None:
    bank.change(used=NOTHING_USED.plus("2026-12-24/day", 300))
    answer = wish(client, bank, day_cents=200, legal_cents=0)
    assert answer.status_code == 200
    day, legal = answer.json()["day"], answer.json()["legal"]
    assert (day["limit_cents"], day["left_cents"], day["next_cents"]) == (200, 0, None)
    assert (legal["limit_cents"], legal["left_cents"]) == (0, 0)
    assert seen(client) == [answer.json()]


def test_a_higher_limit_and_a_later_night_hold_after_a_day(client: TestClient, bank: Bank) -> None:
    answer = wish(client, bank, night_cents=150_000, night_starts_at=22)
    night = answer.json()["night"]
    assert (night["limit_cents"], night["next_cents"]) == (100_000, 150_000)
    assert datetime.fromisoformat(night["next_from"]) == NOON + timedelta(hours=24)
    assert answer.json()["night_starts"]["next_hour"] == 22
    bank.at(NOON + timedelta(hours=23))
    assert wish(client, bank, night_cents=150_000).json()["night"] == night | {
        "period_ends_at": "2026-12-26T09:00:00Z"
    }
    bank.at(NOON + timedelta(hours=24))
    (limits,) = seen(client)
    assert (limits["night"]["limit_cents"], limits["night"]["next_cents"]) == (150_000, None)
    assert limits["night_starts"] == {"hour": 22, "next_hour": None, "next_from": None}


def test_a_wish_that_changes_nothing_writes_nothing(client: TestClient, bank: Bank) -> None:
    before = bank.store.balances[bank.account_id]
    assert wish(client, bank, day_cents=500_000).status_code == 200
    assert bank.store.balances[bank.account_id] == before


def test_what_is_left_out_stays_as_it_is_even_a_wish_that_waits(client: TestClient, bank: Bank) -> None:
    wish(client, bank, day_cents=900_000)
    changed = wish(client, bank, legal_cents=1).json()
    assert (changed["day"]["next_cents"], changed["legal"]["limit_cents"]) == (900_000, 1)


@pytest.mark.parametrize(
    "wished",
    [
        {},
        {"day_cents": -1},
        {"day_cents": MAX_LIMIT_CENTS + 1},
        {"day_cents": True},
        {"day_cents": "100"},
        {"day_cents": 0.5},
        {"night_starts_at": 21},
        {"night_starts_at": "22"},
        {"night_starts_at": True},
        {"week_cents": 1},
        {"day_cents": 1, "account_id": "treasury#0"},
    ],
    ids=str,
)
def test_what_is_no_wish_is_not_valid(client: TestClient, bank: Bank, wished: dict[str, Any]) -> None:
    problem(wish(client, bank, **wished), 422, "invalid_request")
    assert bank.store.balances[bank.account_id].limits is None


def test_nobody_sees_or_changes_the_limits_of_others(client: TestClient, bank: Bank) -> None:
    assert seen(client, BETO) == []
    problem(wish(client, bank, BETO, day_cents=1), 404, "account_not_found")
    assert bank.store.balances[bank.account_id].limits is None


def test_a_closed_account_has_no_limits_any_more(client: TestClient, bank: Bank) -> None:
    closed: AccountStatus = "CLOSED"
    bank.change(status=closed)
    assert seen(client) == []
    problem(wish(client, bank, day_cents=1), 409, "account_closed")


def test_a_frozen_account_keeps_its_limits(client: TestClient, bank: Bank) -> None:
    bank.change(frozen=True)
    problem(wish(client, bank, day_cents=1), 409, "account_frozen")


def test_a_change_whose_outcome_nobody_knows_is_to_be_repeated(client: TestClient, bank: Bank) -> None:
    bank.store.limit_fails = OutcomeUnknown()
    answer = wish(client, bank, day_cents=1)
    assert problem(answer, 504, "outcome_unknown")["account_id"] == bank.account_id
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        ("{", "application/json", 400, "malformed_json"),
        ("a=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
)
def test_a_wish_that_is_no_json_is_told_so_and_that_is_described(
    client: TestClient, content: str, media_type: str, status: int, code: str
) -> None:
    headers = signed_in(ANA, **{"Content-Type": media_type})
    problem(client.put("/limits", content=content, headers=headers), status, code)
    described = client.get("/openapi.json").json()["paths"]["/limits"]["put"]["responses"]
    assert code in described[str(status)]["description"]

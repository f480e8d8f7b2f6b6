"""Limits as a customer meets them: seen, lowered at once, raised after a day, and kept."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from environments.local.demo import cpf
from tests.environment import Environment, open_account
from tests.journeys.conftest import Person
from tests.journeys.test_transfer import pay, settled

LIMIT_CENTS = 1_000


@pytest.fixture(scope="module")
def lara(bank: Environment) -> Person:
    api = bank.user("lara@example.com")
    return Person(api, open_account(api, cpf(), "Lara Dias"))


def limits(person: Person) -> Any:
    (found,) = person.api.get("/limits").body["accounts"]
    assert found["account_id"] == person.account_id
    return found


def used(person: Person) -> int:
    """What a payment to a person has used, whatever time of day it is."""
    found = limits(person)
    return int(next(found[name]["used_cents"] for name in ("day", "night") if found[name]["current"]))


def test_a_new_account_may_send_a_thousand_reais_in_its_first_night(lara: Person) -> None:
    found = limits(lara)
    assert found["night"]["limit_cents"] == 100_000
    assert found["day"]["limit_cents"] == found["legal"]["limit_cents"] == 500_000
    assert found["night_starts"]["hour"] == 20
    assert [found[name]["used_cents"] for name in ("day", "night", "legal")] == [0, 0, 0]
    assert found["day"]["current"] != found["night"]["current"]


def test_what_is_sent_at_once_stays_within_a_limit_that_was_just_lowered(lara: Person, bruno: Person) -> None:
    wish = {"account_id": lara.account_id, "day_cents": LIMIT_CENTS, "night_cents": LIMIT_CENTS}
    lowered = lara.api.put("/limits", wish)
    assert lowered.status == 200, lowered.text
    assert lowered.body["day"]["limit_cents"] == lowered.body["night"]["limit_cents"] == LIMIT_CENTS
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: pay(lara, bruno.account_id, 300), range(8)))
    assert sorted(each.status for each in answers) == [201] * 3 + [409] * 5
    for each in answers:
        if each.status == 409:
            assert (each.body["code"], each.body["final"]) == ("limit_exceeded", True)
            assert (each.body["limit_cents"], each.body["left_cents"]) == (LIMIT_CENTS, 100)
            assert datetime.fromisoformat(each.body["period_ends_at"]) > datetime.now(UTC)
    assert used(lara) == 900
    assert settled(lara, pay(lara, bruno.account_id, 100))["status"] == "SETTLED"
    assert used(lara) == LIMIT_CENTS


def test_a_higher_limit_is_a_wish_until_tomorrow(lara: Person, bruno: Person) -> None:
    raised = lara.api.put("/limits", {"account_id": lara.account_id, "day_cents": 700_000})
    day = raised.body["day"]
    assert (day["limit_cents"], day["next_cents"]) == (LIMIT_CENTS, 700_000)
    wait = datetime.fromisoformat(day["next_from"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=58) < wait <= timedelta(hours=24)
    assert limits(lara)["day"] == day
    assert pay(lara, bruno.account_id, 1).body["code"] == "limit_exceeded"


def test_a_return_is_no_payment_and_needs_no_limit(lara: Person, bruno: Person) -> None:
    incoming = settled(bruno, pay(bruno, lara.account_id, 50))
    back = lara.api.post(
        f"/transfers/{incoming['transfer_id']}/returns", {"amount_cents": 50, "reason": "Pedido errado"}
    )
    assert settled(lara, back)["status"] == "SETTLED"
    assert used(lara) == LIMIT_CENTS


def test_the_limits_of_somebody_else_are_not_there(lara: Person, bruno: Person) -> None:
    assert all(each["account_id"] != lara.account_id for each in bruno.api.get("/limits").body["accounts"])
    answer = bruno.api.put("/limits", {"account_id": lara.account_id, "day_cents": 0})
    assert (answer.status, answer.body["code"]) == (404, "account_not_found")

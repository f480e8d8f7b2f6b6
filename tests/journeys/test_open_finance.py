"""Another bank's account: linked, seen beside one's own, paid from, and let go."""

import time
from typing import Any

import pytest

from environments.local.demo import cpf
from environments.local.other_banks import OtherBanks, agree
from tests.environment import Environment, open_account, until
from tests.journeys.conftest import Person
from tests.journeys.other_banks import CLARA, DAVI, linked, made_customer, paying, slug_of

HANGS_SECONDS = 60


@pytest.fixture(scope="module")
def clara(bank: Environment) -> Person:
    api = bank.user("clara@example.com")
    return Person(api, open_account(api, CLARA, "Clara Nunes"))


def test_a_link_is_seen_paid_from_and_let_go(clara: Person) -> None:
    link = linked(clara)
    account_id = link["accounts"][0]["account_id"]

    def there() -> int:
        balances = clara.api.get("/balances").body
        assert balances["complete"], balances
        own, other = sorted(balances["accounts"], key=lambda each: each["link_id"] is not None)
        assert (own["institution"], other["account_id"]) == ("GO Banking", account_id)
        assert balances["total_cents"] == own["available_cents"] + other["available_cents"]
        return int(other["available_cents"])

    before = there()
    entries = clara.api.get(f"/accounts/{account_id}/entries").body["entries"]
    assert before == sum(each["amount_cents"] * (1 if each["kind"] == "credit" else -1) for each in entries)

    started = clara.api.post("/payment-initiations", paying(link, 2_345))
    assert started.status == 201, started.text
    assert agree(started.body["authorisation_url"], CLARA).status_code == 200
    path = f"/payment-initiations/{started.body['payment_initiation_id']}"
    until(lambda: clara.api.get(path).body["status"], lambda status: status == "SETTLED")

    assert clara.api.delete(f"/links/{link['link_id']}").status == 204
    balances = clara.api.get("/balances").body
    assert [each["institution"] for each in balances["accounts"]] == ["GO Banking"]
    assert clara.api.get(f"/accounts/{account_id}/entries").status in {404, 409}


@pytest.fixture(scope="module")
def davi(bank: Environment) -> Person:
    api = bank.user("davi.rocha@example.com")
    return Person(api, open_account(api, DAVI, "Davi Rocha"))


def settled(person: Person, wish: dict[str, Any]) -> dict[str, Any]:
    """A payment from another bank that its customer has agreed to, once it is final."""
    started = person.api.post("/payment-initiations", wish)
    assert started.status == 201, started.text
    assert agree(started.body["authorisation_url"], str(person.account["tax_id"])).status_code == 200
    path = f"/payment-initiations/{started.body['payment_initiation_id']}"
    found = until(lambda: person.api.get(path).body, lambda body: body["status"] in {"SETTLED", "REJECTED"})
    assert found["status"] == "SETTLED", found
    return found


@pytest.mark.parametrize("by", ["key", "bank data"])
def test_money_from_another_bank_arrives_as_an_ordinary_pix(davi: Person, by: str) -> None:
    link = linked(davi)
    if by == "key":
        asked = {"key_type": "EVP", "account_id": davi.account_id}
        to: dict[str, Any] = {"key": davi.api.post("/keys", asked).body["key"]}
    else:
        to = {
            "bank": {
                "ispb": "99999010",
                "branch": davi.account["branch"],
                "number": str(davi.account["number"]).replace("-", ""),
                "account_type": "CACC",
                "tax_id": DAVI,
                "name": "Davi Rocha",
            }
        }
    before = until(davi.available, bool)
    found = settled(davi, paying(link, 1_234) | {"to": to})
    until(davi.available, lambda available: available == before + 1_234)
    transfers = davi.api.get(f"/transfers?account={davi.account_id}&direction=in").body["transfers"]
    (arrived,) = [each for each in transfers if each["end_to_end_id"] == found["end_to_end_id"]]
    assert (arrived["status"], arrived["amount_cents"]) == ("SETTLED", 1_234)
    assert davi.api.delete(f"/links/{link['link_id']}").status == 204


def test_a_pix_of_ours_is_on_the_account_at_the_other_bank(bank: Environment, davi: Person) -> None:
    there = OtherBanks(bank.description["simulators"]["other_bank"]["url"])

    def account() -> dict[str, Any]:
        found: dict[str, Any] = there.customer("caju", DAVI, "Davi Rocha")["accounts"][0]
        return found

    payee = account()
    to = {
        "ispb": "99999103",
        "branch": payee["branch"],
        "number": payee["number"] + payee["check_digit"],
        "account_type": "CACC",
        "tax_id": DAVI,
        "name": "Davi Rocha",
    }
    until(davi.available, bool)
    wish = {"from_account": davi.account_id, "to": {"bank": to}, "amount_cents": 321}
    held = davi.api.post("/transfers", wish)
    assert held.status == 201, held.text
    path = f"/transfers/{held.body['transfer_id']}"
    until(lambda: davi.api.get(path).body["status"], lambda status: status == "SETTLED")
    until(lambda: account()["available_cents"], lambda cents: cents == payee["available_cents"] + 321)


def test_somebody_elses_callback_links_nothing(clara: Person, bruno: Person) -> None:
    bank = clara.api.get("/banks").body["banks"][0]["bank"]
    asked = clara.api.post("/links", {"bank": bank}).body
    path = f"/links/{asked['link_id']}"
    assert bruno.api.get(path).status == 404
    assert bruno.api.get("/links/callback?state=made-up&code=made-up").status == 400
    assert clara.api.get(path).body["status"] == "AWAITING_AUTHORISATION"
    assert clara.api.delete(path).status == 204


def test_a_bank_that_hangs_hides_and_delays_nothing_of_another(bank: Environment) -> None:
    """Its figure, which it has never told, is missing, and that is said; once it answers, it is there."""
    api = bank.user("elis.prado@example.com")
    elis = Person(api, open_account(api, cpf(), "Elis Prado"))
    for place in (0, 1):
        made_customer(bank, elis, "Elis Prado", place)
    answers, hangs = (linked(elis, place) for place in (0, 1))
    there = OtherBanks(bank.description["simulators"]["other_bank"]["url"])
    hanging = slug_of(there, hangs["institution"])
    there.plan_faults(hanging, {"path": "/balances", "delay_seconds": HANGS_SECONDS})
    try:
        began = time.monotonic()
        balances = api.get("/balances").body
        waited = time.monotonic() - began
    finally:
        there.plan_faults(hanging)
    assert waited < HANGS_SECONDS / 4, "nobody waits for a bank that hangs"
    here, (good,), (silent,) = (
        [each for each in balances["accounts"] if each["link_id"] == link_id]
        for link_id in (None, answers["link_id"], hangs["link_id"])
    )
    assert (good["stale"], silent["stale"], silent["available_cents"]) == (False, True, None)
    assert not balances["complete"]
    assert balances["total_cents"] == good["available_cents"] + sum(each["available_cents"] for each in here)
    told = until(lambda: api.get("/balances").body, lambda body: bool(body["complete"]))
    assert told["total_cents"] > balances["total_cents"]

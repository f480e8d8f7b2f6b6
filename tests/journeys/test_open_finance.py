"""Another bank's account: linked, seen beside one's own, paid from, and let go."""

import pytest

from environments.local.other_banks import agree
from tests.environment import Environment, open_account, until
from tests.journeys.conftest import Person
from tests.journeys.other_banks import CLARA, linked, paying


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


def test_somebody_elses_callback_links_nothing(clara: Person, bruno: Person) -> None:
    bank = clara.api.get("/banks").body["banks"][0]["bank"]
    asked = clara.api.post("/links", {"bank": bank}).body
    path = f"/links/{asked['link_id']}"
    assert bruno.api.get(path).status == 404
    assert bruno.api.get("/links/callback?state=made-up&code=made-up").status == 400
    assert clara.api.get(path).body["status"] == "AWAITING_AUTHORISATION"
    assert clara.api.delete(path).status == 204

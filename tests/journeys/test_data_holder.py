"""Another bank reads an account here: asked for, agreed to in our app, read, and ended."""

from tests.environment import Environment
from tests.journeys.conftest import Person
from tests.journeys.other_banks import Reading


def test_another_bank_reads_an_account_here_until_its_owner_ends_it(bank: Environment, ana: Person) -> None:
    reading = Reading.asked(bank, "aroeira", ana)
    assert reading.agreed_by(ana).json()["status"] == "LINKED"
    seen = reading.seen()
    (account,) = seen.json()["accounts"]
    assert account["accountId"] == ana.account_id
    assert account["availableAmount"]["amount"] == f"{ana.available() / 100:.2f}"
    assert account["number"] + "-" + account["checkDigit"] == ana.account["number"]
    entries = ana.api.get(f"/accounts/{ana.account_id}/entries?limit=200").body["entries"]
    assert len(account["transactions"]) == len(entries)

    (consent,) = ana.api.get("/consents").body["consents"]
    assert (consent["institution"], consent["status"]) == ("Banco Aroeira", "AUTHORISED")
    assert ana.api.delete(f"/consents/{consent['consent_id']}").status == 204
    assert reading.seen().status_code == 409, "nothing more is read"


def test_somebody_else_cannot_say_yes(bank: Environment, ana: Person, bruno: Person) -> None:
    reading = Reading.asked(bank, "cedro", ana)
    request_id = reading.request_id()
    body = {"decision": "approve", "accounts": [bruno.account_id]}
    assert bruno.api.get(f"/consent-requests/{request_id}").status == 404
    assert bruno.api.post(f"/consent-requests/{request_id}/decision", body).status == 404
    assert bruno.api.get("/consents").body == {"consents": []}

"""Somebody with accounts at other banks: links to them, payments from them, and what they read here."""

import re
from dataclasses import dataclass
from typing import Any

import requests

from environments.local.other_banks import OtherBanks, agree
from tests.environment import Environment
from tests.journeys.conftest import Person

CLARA, DAVI = "12345678909", "39053344705"
"""Two of the people whom every simulated bank knows."""
PAYEE = {
    "ispb": "99999102",
    "branch": "0001",
    "number": "123456789",
    "account_type": "CACC",
    "tax_id": CLARA,
    "name": "Clara Nunes",
}


def made_customer(bank: Environment, person: Person, name: str, place: int = 0) -> None:
    """Lets a bank of the directory, the first unless another place is given, have this customer."""
    there = OtherBanks(bank.description["simulators"]["other_bank"]["url"])
    listed = person.api.get("/banks").body["banks"][place]
    there.customer(slug_of(there, listed["name"]), str(person.account["tax_id"]), name)


def slug_of(there: OtherBanks, name: str) -> str:
    """What the simulator calls a bank of the directory."""
    return str(next(each["slug"] for each in there.all() if each["name"] == name))


def linked(person: Person, place: int = 0) -> dict[str, Any]:
    """An active link to a bank of the directory, the first unless another place is given."""
    bank = person.api.get("/banks").body["banks"][place]["bank"]
    asked = person.api.post("/links", {"bank": bank})
    assert asked.status == 201, asked.text
    back = agree(asked.body["authorisation_url"], str(person.account["tax_id"]))
    assert back.status_code == 200, back.text
    link: dict[str, Any] = person.api.get(f"/links/{asked.body['link_id']}").body
    assert link["status"] == "ACTIVE", link
    return link


def paying(link: dict[str, Any], cents: int) -> dict[str, Any]:
    """A payment from the link's first account."""
    from_account = link["accounts"][0]["account_id"]
    return {"from_account": from_account, "to": {"bank": PAYEE}, "amount_cents": cents}


@dataclass
class Reading:
    """Another bank's wish to read somebody's accounts here. `link_id` is its own name of it."""

    url: str
    slug: str
    link_id: str
    authorisation_url: str

    @classmethod
    def asked(cls, bank: Environment, slug: str, person: Person) -> "Reading":
        """The bank has asked us for a consent of this person."""
        url = bank.description["simulators"]["other_bank"]["url"]
        wanted = {"issuer": bank.description["gateway_url"], "cpf": person.account["tax_id"]}
        answer = requests.post(f"{url}/admin/{slug}/readings", json=wanted, timeout=10)
        assert answer.status_code == 201, answer.text
        said = answer.json()
        return cls(url, slug, said["link_id"], said["authorisation_url"])

    def request_id(self) -> str:
        """The number that our page shows to a browser."""
        page = requests.get(self.authorisation_url, timeout=10)
        found = re.search(r'id="consent-request">([0-9a-f-]{36})<', page.text)
        assert found is not None, page.text
        return found[1]

    def agreed_by(self, person: Person) -> requests.Response:
        """What the bank says once this person has said yes in our app."""
        path = f"/consent-requests/{self.request_id()}"
        assert person.api.get(path).status == 200
        body = {"decision": "approve", "accounts": [person.account_id]}
        answer = person.api.post(f"{path}/decision", body)
        assert answer.status == 200, answer.text
        return requests.get(answer.body["redirect_url"], timeout=10)

    def seen(self) -> requests.Response:
        """Everything that the bank may read now."""
        return requests.get(f"{self.url}/admin/{self.slug}/readings/{self.link_id}", timeout=10)

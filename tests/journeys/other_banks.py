"""Somebody with accounts at other banks: links to them, and payments from them."""

from typing import Any

from environments.local.other_banks import agree
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

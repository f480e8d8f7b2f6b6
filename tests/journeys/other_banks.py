"""A person at another bank's authorisation page, driven by HTTP as a browser would."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin

import requests

from tests.journeys.conftest import Person

PASSWORD = "ipe-amarelo"
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


class _Form(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given["action"]
        elif tag == "input" and given.get("value"):
            self.fields.append((given["name"], given["value"]))

    def having(self, name: str) -> list[tuple[str, str]]:
        return [pair for pair in self.fields if pair[0] == name]


def agree(url: str, tax_id: str) -> requests.Response:
    """Signs in, chooses the first account and agrees; gives what our callback says to the browser."""
    with requests.Session() as browser:
        page = browser.get(url, timeout=10)
        page = _submit(browser, page, ("cpf", tax_id), ("password", PASSWORD))
        page = _submit(browser, page, _Form(page.text).having("account")[0], ("decision", "approve"))
        return browser.get(page.headers["location"], timeout=10)


def _submit(
    browser: requests.Session, page: requests.Response, *chosen: tuple[str, str]
) -> requests.Response:
    form = _Form(page.text)
    answer = browser.post(
        urljoin(page.url, form.action),
        data=urlencode([*form.having("visit"), *chosen]),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code in {200, 303}, answer.text
    return answer


def linked(person: Person) -> dict[str, Any]:
    """An active link to the first bank of the directory."""
    bank = person.api.get("/banks").body["banks"][0]["bank"]
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

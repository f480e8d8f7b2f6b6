"""The simulated banks as people use them: accounts there, and a browser on their authorisation page."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin

import requests

TIMEOUT_SECONDS = 10
PASSWORD = "ipe-amarelo"  # noqa: S105 (of invented people)


class OtherBanks:
    """The simulator at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        # A proxy of the caller's environment has no business between two processes of one machine.
        self._session.trust_env = False

    def all(self) -> list[dict[str, Any]]:
        """Every bank with its customers, as its own staff sees them."""
        answer = self._session.get(f"{self._url}/admin/banks", timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def customer(self, slug: str, cpf: str, name: str) -> dict[str, Any]:
        """A person with one account at a bank, who becomes one if need be."""
        found: dict[str, Any] = self._put(f"{slug}/customers/{cpf}", {"name": name, "savings": False})
        return found

    def plan_faults(self, slug: str, *faults: dict[str, Any]) -> None:
        """What goes wrong at a bank from now on."""
        self._put(f"{slug}/faults", {"faults": list(faults)})

    def _put(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._session.put(f"{self._url}/admin/{path}", json=body, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer.json()


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


def agree(url: str, cpf: str, password: str = PASSWORD) -> requests.Response:
    """Signs in at a bank's page, chooses the first account and agrees; gives what our callback then says."""
    with requests.Session() as browser:
        browser.trust_env = False
        page = browser.get(url, timeout=TIMEOUT_SECONDS)
        page = _submit(browser, page, ("cpf", cpf), ("password", password))
        if page.status_code == 200:
            page = _submit(browser, page, _Form(page.text).having("account")[0], ("decision", "approve"))
        return browser.get(page.headers["location"], timeout=TIMEOUT_SECONDS)


def _submit(
    browser: requests.Session, page: requests.Response, *chosen: tuple[str, str]
) -> requests.Response:
    form = _Form(page.text)
    answer = browser.post(
        urljoin(page.url, form.action),
        data=urlencode([*form.having("visit"), *chosen]),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        allow_redirects=False,
        timeout=TIMEOUT_SECONDS,
    )
    if answer.status_code not in {200, 303}:
        raise RuntimeError(f"the bank's page answers {answer.status_code}: {answer.text}")
    return answer

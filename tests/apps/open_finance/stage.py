"""The Open Finance Service beside simulated banks, all in this process and without a socket.

Our side and the banks share nothing but the messages between them and one clock that tests move.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from apps.kit.outbound import Answer, Call, NoAnswer, Send
from apps.open_finance import keys
from apps.open_finance.follower import Follower
from apps.open_finance.keys import OurKeys
from apps.open_finance.main import OpenFinanceSettings, World, built
from apps.simulators.other_bank import app as simulator
from apps.simulators.other_bank.bank import Bank
from apps.simulators.other_bank.banks import Banks
from apps.simulators.other_bank.brands import USUAL
from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.customers import PASSWORD
from apps.simulators.other_bank.signatures import SigningKey
from apps.simulators.other_bank.spi import Rail
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.apps.serving import ANA, BETO, signed_in, verifier
from tests.apps.signing import Key

BANKS_URL = "http://banks.test"
DICT_URL = "http://dict-key.test"
PUBLIC_URL = "https://api.gobanking.test"
CPFS = {ANA: "52998224725", BETO: "11144477735"}
IPE, JATOBA, CAJU, AROEIRA = (each.organisation_id for each in USUAL[:4])
SLUGS = {each.organisation_id: each.slug for each in USUAL}
START = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


@cache
def bank_key() -> SigningKey:
    """Making a key takes a tenth of a second, and every test wants one."""
    return SigningKey("banks")


@cache
def our_keys(signer: str = "ours") -> OurKeys:
    """The secret of a bank that is ours."""
    document = {
        "organisation_id": "0b6f0a3e-64ef-4c3a-9d47-3b8f8b0d7f02",
        "cnpj": "99999010000101",
        "data_keys": {"2026": base64.b64encode(b"k" * 32).decode()},
        "current_data_key": "2026",
        "signing_kid": signer,
        "signing_key": Key.new(signer).pem,
    }
    return keys.read(json.dumps(document))


class Time:
    """One time for everybody."""

    def __init__(self) -> None:
        self.present = START

    def now(self) -> datetime:
        return self.present

    def skip(self, **more: float) -> None:
        self.present += timedelta(**more)


class Wire:
    """Carries calls to the simulated banks. `holds` are parts of URLs whose answers wait for `let_go`; what a
    test wants to happen to an answer is in `bend`."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self._under_way = 0
        self._open = True
        self._changed = threading.Condition()
        self.calls: list[Call] = []
        self.holds: set[str] = set()
        self.dead: set[str] = set()
        self.let_go = threading.Event()
        self.bend: Callable[[Call, Answer], Answer] = lambda _, answer: answer

    def send(self, call: Call, seconds: float) -> Answer:
        self.calls.append(call)
        if any(part in call.url for part in self.dead):
            raise NoAnswer("refused", sent=False)
        if any(part in call.url for part in self.holds):
            self.let_go.wait(60)
        with self._on_the_way():
            answer = self._client.request(
                call.method,
                call.url,
                content=call.body,
                headers=dict(call.headers),
                follow_redirects=False,
            )
        found = {name.lower(): value for name, value in answer.headers.items()}
        return self.bend(call, Answer(answer.status_code, found, answer.content))

    @contextmanager
    def _on_the_way(self) -> Iterator[None]:
        with self._changed:
            if not self._open:
                raise NoAnswer("the wire is cut", sent=False)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def cut(self) -> None:
        """Ends the wire: calls that are held go nowhere, and those under way have ended. The banks' client
        may only be closed then: closing it does not end for as long as a call goes through it."""
        with self._changed:
            self._open = False
            self.let_go.set()
            assert self._changed.wait_for(lambda: not self._under_way, 60), "a bank still answers"

    def asked(self, part: str) -> int:
        """How many calls went to URLs with this in them."""
        return sum(part in each.url for each in self.calls)


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.action = given["action"] or ""
        elif tag == "input" and given.get("value"):
            self.fields.append((given["name"] or "", given["value"] or ""))


class Browser:
    """A person at a bank's authorisation page."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def open(self, url: str) -> Response:
        return self.client.get(url, follow_redirects=False)

    def submit(self, page: Response, *chosen: tuple[str, str]) -> Response:
        """Sends the page's form with its hidden fields and these."""
        form = _Fields()
        form.feed(page.text)
        hidden = [pair for pair in form.fields if pair[0] == "visit"]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = "&".join(f"{name}={value}" for name, value in [*hidden, *chosen])
        return self.client.post(
            BANKS_URL + form.action, content=body, headers=headers, follow_redirects=False
        )

    def accounts(self, page: Response) -> list[str]:
        form = _Fields()
        form.feed(page.text)
        return [value for name, value in form.fields if name == "account"]

    def agree(self, url: str, cpf: str, *, first_only: bool = False) -> str:
        """Signs in, chooses every account (or the first), agrees; gives where the bank sends the browser."""
        page = self.submit(self.open(url), ("cpf", cpf), ("password", PASSWORD))
        if page.status_code != 200:
            return str(page.headers["location"])
        accounts = self.accounts(page)[: 1 if first_only else None]
        answer = self.submit(page, *(("account", each) for each in accounts), ("decision", "approve"))
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])


@dataclass
class Stage:
    """Everything of one test."""

    api: TestClient
    banks: Banks
    time: Time
    wire: Wire
    browser: Browser
    dynamo: FakeDynamo
    tags: Iterator[int] = field(default_factory=lambda: iter(range(1_000)))

    def bank(self, bank_id: str) -> Bank:
        return self.banks.by_slug[SLUGS[bank_id]]

    def get(self, path: str, subject: str = ANA) -> Response:
        return self.api.get(path, headers=signed_in(subject))

    def delete(self, path: str, subject: str = ANA) -> Response:
        return self.api.delete(path, headers=signed_in(subject))

    def post(self, path: str, body: Any, subject: str = ANA, key: str | None = None) -> Response:
        headers = signed_in(subject, **{"Idempotency-Key": key or f"key-{next(self.tags)}"})
        return self.api.post(path, json=body, headers=headers)

    def started(self, bank_id: str = IPE, subject: str = ANA, **more: Any) -> dict[str, Any]:
        """A link that waits for its user."""
        answer = self.post("/links", {"bank": bank_id, **more}, subject)
        assert answer.status_code == 201, answer.text
        link: dict[str, Any] = answer.json()
        assert link["status"] == "AWAITING_AUTHORISATION"
        return link

    def come_back(self, location: str, **changes: str | None) -> Response:
        """The browser at our callback with what the bank gave it, some of it otherwise."""
        assert location.startswith(PUBLIC_URL + "/links/callback?"), location
        given = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        query = {name: value for name, value in {**given, **changes}.items() if value is not None}
        return self.api.get("/links/callback", params=query)

    def linked(self, bank_id: str = IPE, subject: str = ANA, **more: Any) -> dict[str, Any]:
        """An active link."""
        started = self.started(bank_id, subject, **more)
        answer = self.come_back(self.browser.agree(started["authorisation_url"], CPFS[subject]))
        assert answer.status_code == 200, answer.text
        link: dict[str, Any] = self.get(f"/links/{started['link_id']}", subject).json()
        assert link["status"] == "ACTIVE", link
        return link

    def follow(self) -> None:
        """A round of the follower, which no test starts."""
        app = cast("FastAPI", self.api.app)
        follower: Follower = app.state.follower
        follower.once()

    def consent_of(self, bank_id: str = IPE, place: int = -1) -> Any:
        """A consent as the bank has it, the last one unless another place is given."""
        return list(self.bank(bank_id).consents.values())[place]

    def items(self) -> list[Mapping[str, Any]]:
        """All that is kept."""
        found: list[Mapping[str, Any]] = self.dynamo.scan(TableName="test-consents")["Items"]
        return found


def settings(**more: Any) -> OpenFinanceSettings:
    """The service's settings."""
    told: dict[str, Any] = {"url_other_bank": BANKS_URL, **more}
    return OpenFinanceSettings(
        service="open_finance",
        environment="test",
        aws_region="sa-east-1",
        port=1,
        cognito_issuer="",
        cognito_jwks_url="",
        cognito_client_ids=frozenset({"app"}),
        table_consents="test-consents",
        table_accounts="test-accounts",
        secret_open_finance_keys="keys",
        public_url=PUBLIC_URL,
        url_dict_key=DICT_URL,
        **told,
    )


def sending(client: TestClient) -> Send:
    """Calls to an application of this process."""

    def send(call: Call, seconds: float) -> Answer:
        answer = client.request(call.method, call.url, content=call.body, headers=dict(call.headers))
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, found, answer.content)

    return send


def nobody(call: Call, seconds: float) -> Answer:
    """None of our services answers."""
    raise NoAnswer("refused", sent=False)


@contextmanager
def staged(
    ask: Send | None = None,
    our: OurKeys | None = None,
    *,
    time: Time | None = None,
    rail: Rail | None = None,
    **more: Any,
) -> Iterator[Stage]:
    """Our service and the usual banks. `ask` plays our own services; there are none unless it is given. What
    the banks' customers pay elsewhere goes by `rail`."""
    time = time or Time()
    banks = Banks(USUAL, Clock(time.now), bank_key(), rail, lambda call, seconds: sending(api)(call, seconds))
    dynamo = FakeDynamo(catalog_tables("test-"), lambda: time.now().timestamp())
    for subject, cpf in CPFS.items():
        binding = {"pk": {"S": f"SUB#{subject}"}, "sk": {"S": "BINDING"}, "tax_id": {"S": cpf}}
        dynamo.put_item(TableName="test-accounts", Item=binding)
    with TestClient(simulator.create(banks), base_url=BANKS_URL, raise_server_exceptions=False) as at_banks:
        wire = Wire(at_banks)
        world = World(dynamo, wire.send, ask or nobody, verifier(), time.now)
        with TestClient(
            built(settings(**more), our or our_keys(), world), raise_server_exceptions=False
        ) as api:
            try:
                yield Stage(api, banks, time, wire, Browser(at_banks), dynamo)
            finally:
                wire.cut()


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def hidden(text: str) -> str:
    """The visit that a page is about."""
    found = re.search(r'name="visit" value="([^"]+)"', text)
    assert found is not None
    return found[1]

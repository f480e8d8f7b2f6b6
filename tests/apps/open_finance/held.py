"""Accounts of ours in the fake store, and another bank that its customers let read them."""

import hashlib
import re
import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from httpx2 import Response

from apps.ledger import items
from apps.ledger.entries import GENESIS, Entry
from apps.ledger.items import attributes, key
from apps.open_finance.holder.authorisation import ASSERTION_TYPE
from apps.open_finance.signatures import SigningKey, encoded
from tests.apps.open_finance.stage import BANKS_URL, CPFS, PUBLIC_URL, Stage
from tests.apps.serving import ANA, BETO, signed_in
from tests.apps.signing import Key

ANAS, ANAS_SAVINGS, BETOS = (str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in ("ana", "savings", "beto"))
CALLBACK = f"{BANKS_URL}/ipe/callback"
VERIFIER = "v" * 43
ALL = ["ACCOUNTS_READ", "ACCOUNTS_BALANCES_READ", "ACCOUNTS_TRANSACTIONS_READ", "RESOURCES_READ"]
LINES = (("20261002", "credit", 100_000), ("20261120", "debit", -2_500), ("20261125", "credit", 700))


def open_account(
    stage: Stage, account_id: str, subject: str, number: str, *, kind: str = "CACC", status: str = "ACTIVE"
) -> None:
    """An account with three lines: one of October, and two of November."""
    profile = {
        "account_id": account_id,
        "owner": subject,
        "name": "Somebody",
        "tax_id": CPFS[subject],
        "account_type": kind,
        "branch": "0001",
        "number": number,
        "opened_at": "2026-10-01T12:00:00.000Z",
        "request_hash": "",
        "answer": "{}",
    }
    balance: dict[str, str | int | None] = {
        "account_id": account_id,
        "owner_subject": subject,
        "seq": len(LINES),
        "available": sum(cents for _, _, cents in LINES),
        "on_hold": 50,
        "opened_at": profile["opened_at"],
        "month": "202611",
        "last_hash": GENESIS,
        "status": status,
        "pending_credits": 0,
        "holder": "natural",
        "used": "{}",
    }
    put = stage.dynamo.put_item
    put(TableName="test-accounts", Item=key(f"ACC#{account_id}", "PROFILE") | attributes(profile))
    put(TableName="test-accounts", Item=items.balance_key(account_id) | attributes(balance))
    for seq, (day, what, cents) in enumerate(LINES, 1):
        entry = Entry(
            account_id,
            seq,
            "credit" if what == "credit" else "debit",
            str(uuid.uuid4()),
            cents if what == "credit" else 0,
            0 if what == "credit" else cents,
            0,
            0,
            f"{day[:4]}-{day[4:6]}-{day[6:]}T11:30:00.000Z",
            day[:6],
            GENESIS,
        )
        put(TableName="test-accounts", Item=items.entry_item(entry))


def open_accounts(stage: Stage) -> None:
    """Two of Ana's, one of Beto's."""
    open_account(stage, ANAS, ANA, "00001234-5")
    open_account(stage, ANAS_SAVINGS, ANA, "00001235-3", kind="SVGS")
    open_account(stage, BETOS, BETO, "00009999-1")


@cache
def readers_key() -> SigningKey:
    """Making a key takes a tenth of a second, and every test wants one."""
    return SigningKey("tpp", Key.new("tpp").pem)


@dataclass
class Reader:
    """A receiver of data at our door. Everything that it sends can be changed by the test."""

    stage: Stage
    key: SigningKey = field(default_factory=readers_key)
    client_id: str = ""

    @property
    def now(self) -> int:
        return int(self.stage.time.now().timestamp())

    def register(self, **changes: Any) -> Response:
        metadata = {
            "client_name": "Ipê",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [self.key.jwk]},
        }
        answer = self.stage.api.post("/oauth/register", json=metadata | changes)
        self.client_id = answer.json().get("client_id", "")
        return answer

    def assertion(self, **changes: Any) -> dict[str, str]:
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": f"{PUBLIC_URL}/oauth/token",
            "exp": self.now + 60,
            "jti": str(uuid.uuid4()),
        }
        return {
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.key.sign(claims | changes),
        }

    def form(self, path: str, fields: dict[str, str]) -> Response:
        return self.stage.api.post(path, data=fields)

    def own(self) -> str:
        fields = {"grant_type": "client_credentials", "scope": "consents"}
        answer = self.form("/oauth/token", fields | self.assertion())
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, token: str, **more: Any) -> Response:
        headers = {"Authorization": f"Bearer {token}", "x-fapi-interaction-id": str(uuid.uuid4())}
        headers |= more.pop("headers", {})
        answer = self.stage.api.request(method, f"/open-banking{path}", headers=headers, **more)
        assert answer.headers["x-fapi-interaction-id"], "in refusals too"
        return answer

    def ask(self, **changes: Any) -> Response:
        user = {"document": {"identification": CPFS[ANA], "rel": "CPF"}}
        data = {"loggedUser": user, "permissions": ALL} | changes
        return self.call("POST", "/consents/v3/consents", self.own(), json={"data": data})

    def consent(self, **changes: Any) -> str:
        answer = self.ask(**changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["consentId"])

    def request(self, consent_id: str, **changes: Any) -> str:
        digest = hashlib.sha256(VERIFIER.encode()).digest()
        claims = {
            "iss": self.client_id,
            "aud": PUBLIC_URL,
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": f"openid consent:{consent_id} accounts",
            "state": "state",
            "nonce": "nonce",
            "code_challenge": encoded(digest),
            "code_challenge_method": "S256",
            "claims": {"id_token": {"cpf": {"essential": True}}},
            "exp": self.now + 300,
        }
        return self.key.sign(claims | changes)

    def push(self, consent_id: str, **changes: Any) -> Response:
        return self.form("/oauth/par", {"request": self.request(consent_id, **changes), **self.assertion()})

    def arrive(self, uri: str) -> Response:
        query = {"client_id": self.client_id, "request_uri": uri}
        return self.stage.api.get("/oauth/authorize", params=query)

    def waiting(self, consent_id: str, **changes: Any) -> str:
        """The number on our page."""
        pushed = self.push(consent_id, **changes)
        assert pushed.status_code == 201, pushed.text
        return number_on(self.arrive(pushed.json()["request_uri"]))

    def code(self, consent_id: str, *accounts: str) -> str:
        """A code after Ana's yes."""
        answer = decide(self.stage, self.waiting(consent_id), *(accounts or (ANAS,)))
        assert answer.status_code == 200, answer.text
        return given(answer)["code"]

    def exchange(self, code: str, /, **changes: str) -> Response:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return self.form("/oauth/token", fields | self.assertion() | changes)

    def linked(self, *accounts: str, **changes: Any) -> tuple[str, str]:
        """An authorised consent and its token."""
        consent_id = self.consent(**changes)
        answer = self.exchange(self.code(consent_id, *accounts))
        assert answer.status_code == 200, answer.text
        return consent_id, str(answer.json()["access_token"])


def decide(
    stage: Stage, request_id: str, *accounts: str, subject: str = ANA, decision: str = "approve"
) -> Response:
    """What a customer says in our app."""
    body = {"decision": decision, "accounts": list(accounts)}
    return stage.api.post(f"/consent-requests/{request_id}/decision", json=body, headers=signed_in(subject))


def number_on(page: Response) -> str:
    """The number of the request on our page."""
    found = re.search(r'id="consent-request">([0-9a-f-]{36})<', page.text)
    assert found is not None, page.text
    return found[1]


def given(answer: Response) -> dict[str, str]:
    """What the browser carries to where it is sent."""
    query = urlsplit(answer.json()["redirect_url"]).query
    return {name: values[0] for name, values in parse_qs(query).items()}

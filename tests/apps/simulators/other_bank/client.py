"""A receiver of data and initiator of payments, for tests of the simulator alone."""

import base64
import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from httpx2 import Response
from starlette.testclient import TestClient

from apps.simulators.other_bank.authorisation import ASSERTION_TYPE
from apps.simulators.other_bank.signatures import SigningKey
from tests.apps.open_finance.stage import BANKS_URL, CPFS, Browser, Time
from tests.apps.serving import ANA

REDIRECT = "https://client.test/back"
VERIFIER = "v" * 43
BALANCES = ["ACCOUNTS_READ", "ACCOUNTS_BALANCES_READ", "RESOURCES_READ"]


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


@dataclass
class Client:
    """One client of one bank. Everything that it sends can be changed by the test."""

    http: TestClient
    clock: Time
    key: SigningKey
    slug: str = "ipe"
    client_id: str = ""
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"{BANKS_URL}/{self.slug}"

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    def register(self, **changes: Any) -> Response:
        metadata = {
            "client_name": "Test",
            "organisation_id": "org",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [self.key.jwk]},
        }
        answer = self.http.post(f"{self.issuer}/register", json=metadata | changes)
        self.client_id = answer.json().get("client_id", "")
        return answer

    def assertion(self, **changes: Any) -> dict[str, str]:
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": f"{self.issuer}/token",
            "exp": self.now + 60,
            "jti": str(uuid.uuid4()),
        }
        signed = self.key.sign(claims | changes)
        return {
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": signed,
        }

    def form(self, path: str, fields: dict[str, str]) -> Response:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.http.post(f"{self.issuer}{path}", data=fields, headers=headers)

    def token(self, scope: str) -> str:
        answer = self.form("/token", {"grant_type": "client_credentials", "scope": scope, **self.assertion()})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, token: str, **more: Any) -> Response:
        headers = {
            "Authorization": f"Bearer {token}",
            "x-fapi-interaction-id": str(uuid.uuid4()),
            **more.pop("headers", {}),
        }
        url = path if path.startswith("http") else f"{self.issuer}/open-banking{path}"
        return self.http.request(method, url, headers=headers, **more)

    def consent(self, **changes: Any) -> Response:
        data = {
            "loggedUser": {"document": {"identification": CPFS[ANA], "rel": "CPF"}},
            "permissions": [*BALANCES, "ACCOUNTS_TRANSACTIONS_READ"],
        }
        return self.call(
            "POST", "/consents/v3/consents", self.token("consents"), json={"data": data | changes}
        )

    def request_object(self, consent_id: str, **changes: Any) -> str:
        claims = {
            "iss": self.client_id,
            "aud": self.issuer,
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": f"openid consent:{consent_id} accounts",
            "state": "state",
            "nonce": "nonce",
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
            "exp": self.now + 300,
        }
        return self.key.sign(claims | changes)

    def pushed(self, consent_id: str, **changes: Any) -> Response:
        return self.form("/par", {"request": self.request_object(consent_id, **changes), **self.assertion()})

    def page(self, consent_id: str, **changes: Any) -> str:
        """The URL that a browser is sent to."""
        answer = self.pushed(consent_id, **changes)
        assert answer.status_code == 201, answer.text
        uri = answer.json()["request_uri"]
        return f"{self.issuer}/authorize?client_id={self.client_id}&request_uri={uri}"

    def code(self, consent_id: str, **changes: Any) -> str:
        location = Browser(self.http).agree(self.page(consent_id, **changes), CPFS[ANA])
        return parse_qs(urlsplit(location).query)["code"][0]

    def exchange(self, code: str, /, **changes: str) -> Response:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        }
        return self.form("/token", {**fields, **self.assertion(), **changes})

    def linked(self) -> tuple[str, str]:
        """An authorised consent and its access token."""
        consent_id = self.consent().json()["data"]["consentId"]
        return consent_id, str(self.exchange(self.code(consent_id)).json()["access_token"])

    def signed(self, url: str, data: Any, **changes: Any) -> str:
        claims = {"iss": "org", "aud": url, "iat": self.now, "jti": str(uuid.uuid4()), "data": data}
        return self.key.sign(claims | changes)

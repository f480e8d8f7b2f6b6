"""The bank as a receiver of data: its customer lets it read accounts that they have at another bank.

It trusts nobody: the id token, the interaction ids and every page are checked as a real receiver would.
"""

import base64
import hashlib
import json
import secrets
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from apps.kit.outbound import Answer, Call, NoAnswer, Send
from apps.simulators.other_bank.authorisation import ASSERTION_TYPE
from apps.simulators.other_bank.bank import Bank
from apps.simulators.other_bank.signatures import BadSignature, verified

SECONDS = 5.0
MOST_PAGES = 20
PAGE_SIZE = 25
EVERYTHING = (
    "ACCOUNTS_READ",
    "ACCOUNTS_BALANCES_READ",
    "ACCOUNTS_TRANSACTIONS_READ",
    "RESOURCES_READ",
)


class Failed(Exception):  # noqa: N818
    """The other bank refuses, is silent, or says what cannot be."""

    def __init__(self, step: str, status: int | None = None, said: str = "") -> None:
        super().__init__(f"{step}: {status} {said[:300]}")


@dataclass
class Reading:
    """A consent that another bank's customer gave, or is asked for."""

    link_id: str
    issuer: str
    cpf: str
    consent_id: str
    state: str
    nonce: str
    verifier: str
    token: str | None = None


class Receiver:
    """One bank's readings elsewhere. A `redirect_uri` is where its customers come back to."""

    def __init__(self, bank: Bank, send: Send) -> None:
        self.readings: dict[str, Reading] = {}
        self._bank = bank
        self._send = send
        self._clients: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def start(
        self, issuer: str, cpf: str, redirect_uri: str, permissions: Sequence[str] = EVERYTHING
    ) -> tuple[Reading, str]:
        """Asks for a consent; gives where the customer's browser goes. Raises `Failed`."""
        found = self._discovery(issuer)
        client_id = self._client(found, redirect_uri)
        own = self._own_token(found, client_id)
        user = {"document": {"identification": cpf, "rel": "CPF"}}
        data = {"loggedUser": user, "permissions": list(permissions)}
        consent = self._api("POST", f"{issuer}/open-banking/consents/v3/consents", own, {"data": data})
        reading = Reading(
            str(uuid.uuid4()),
            issuer,
            cpf,
            consent["data"]["consentId"],
            *(secrets.token_urlsafe(32) for _ in range(3)),
        )
        pushed = self._form(
            "par",
            found["pushed_authorization_request_endpoint"],
            {
                "request": self._request(reading, client_id, redirect_uri),
                **self._assertion(client_id, found["token_endpoint"]),
            },
        )
        self.readings[reading.link_id] = reading
        query = urlencode({"client_id": client_id, "request_uri": pushed["request_uri"]})
        return reading, f"{found['authorization_endpoint']}?{query}"

    def finish(self, state: str, code: str, issuer: str, redirect_uri: str) -> Reading:
        """Takes what a browser brought. Raises `Failed`."""
        reading = next((each for each in self.readings.values() if each.state == state), None)
        if reading is None or reading.issuer != issuer:
            raise Failed("callback")
        found = self._discovery(issuer)
        client_id = self._client(found, redirect_uri)
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": reading.verifier,
        }
        said = self._form(
            "token",
            found["token_endpoint"],
            {**fields, **self._assertion(client_id, found["token_endpoint"])},
        )
        try:
            claims = verified(said["id_token"], self._plain(found["jwks_uri"]))
        except (BadSignature, KeyError) as error:
            raise Failed("id token") from error
        proven = (claims.get("iss"), claims.get("aud"), claims.get("nonce"), claims.get("cpf"))
        if proven != (issuer, client_id, reading.nonce, reading.cpf):
            raise Failed("id token")
        reading.token = said["access_token"]
        return reading

    def read(self, reading: Reading) -> dict[str, Any]:
        """Everything that the consent allows, read now. Raises `Failed`."""
        if reading.token is None:
            raise Failed("not authorised")
        base, token = f"{reading.issuer}/open-banking", reading.token
        resources = self._pages(f"{base}/resources/v3/resources", token)
        accounts = self._pages(f"{base}/accounts/v2/accounts", token)
        covered = {each["resourceId"] for each in resources}
        if not covered.issuperset(each["accountId"] for each in accounts):
            raise Failed("accounts that nobody consented to")
        today = self._bank.clock.now().date()
        since = today.replace(day=1)
        query = urlencode({"fromBookingDate": since.isoformat(), "toBookingDate": today.isoformat()})
        return {
            "accounts": [
                {
                    **each,
                    **self._api("GET", f"{base}/accounts/v2/accounts/{each['accountId']}/balances", token)[
                        "data"
                    ],
                    "transactions": self._pages(
                        f"{base}/accounts/v2/accounts/{each['accountId']}/transactions?{query}", token
                    ),
                }
                for each in accounts
            ]
        }

    def revoke(self, reading: Reading, redirect_uri: str) -> None:
        """Ends the consent at the other bank. Raises `Failed`."""
        found = self._discovery(reading.issuer)
        own = self._own_token(found, self._client(found, redirect_uri))
        url = f"{reading.issuer}/open-banking/consents/v3/consents/{reading.consent_id}"
        self._api("DELETE", url, own)

    # --- who we are ---

    def _client(self, found: Mapping[str, Any], redirect_uri: str) -> str:
        with self._lock:
            place = (found["issuer"], redirect_uri)
            if place not in self._clients:
                metadata = {
                    "client_name": self._bank.brand.name,
                    "organisation_id": self._bank.brand.organisation_id,
                    "redirect_uris": [redirect_uri],
                    "token_endpoint_auth_method": "private_key_jwt",
                    "jwks": {"keys": [self._bank.oauth.key.jwk]},
                }
                said = self._plain(found["registration_endpoint"], metadata)
                self._clients[place] = str(said["client_id"])
            return self._clients[place]

    def _own_token(self, found: Mapping[str, Any], client_id: str) -> str:
        fields = {"grant_type": "client_credentials", "scope": "consents"}
        said = self._form(
            "token",
            found["token_endpoint"],
            {**fields, **self._assertion(client_id, found["token_endpoint"])},
        )
        return str(said["access_token"])

    def _assertion(self, client_id: str, audience: str) -> dict[str, str]:
        now = int(self._bank.clock.now().timestamp())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": now,
            "exp": now + 60,
            "jti": str(uuid.uuid4()),
        }
        return {
            "client_id": client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._bank.oauth.key.sign(claims),
        }

    def _request(self, reading: Reading, client_id: str, redirect_uri: str) -> str:
        now = int(self._bank.clock.now().timestamp())
        digest = hashlib.sha256(reading.verifier.encode()).digest()
        return self._bank.oauth.key.sign(
            {
                "iss": client_id,
                "aud": reading.issuer,
                "client_id": client_id,
                "redirect_uri": redirect_uri,
                "response_type": "code",
                "scope": f"openid consent:{reading.consent_id} accounts resources",
                "state": reading.state,
                "nonce": reading.nonce,
                "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
                "code_challenge_method": "S256",
                "claims": {"id_token": {"cpf": {"essential": True}}},
                "iat": now,
                "exp": now + 300,
            }
        )

    # --- calls ---

    def _discovery(self, issuer: str) -> dict[str, Any]:
        found = self._plain(f"{issuer}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise Failed("discovery")
        return found

    def _plain(self, url: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        if content is None:
            return _document("GET", self._sent(Call("GET", url)))
        headers = {"Content-Type": "application/json"}
        return _document("POST", self._sent(Call("POST", url, headers, json.dumps(content).encode())))

    def _form(self, step: str, url: str, fields: Mapping[str, str]) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return _document(step, self._sent(Call("POST", url, headers, urlencode(fields).encode())))

    def _pages(self, url: str, token: str) -> list[Any]:
        found: list[Any] = []
        for page in range(1, MOST_PAGES + 1):
            separator = "&" if "?" in url else "?"
            query = urlencode({"page": page, "page-size": PAGE_SIZE})
            said = self._api("GET", f"{url}{separator}{query}", token)
            found += said["data"]
            if "next" not in said["links"]:
                return found
        raise Failed("a list without an end")

    def _api(
        self, method: str, url: str, token: str, content: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        interaction = str(uuid.uuid4())
        headers = {"Authorization": f"Bearer {token}", "x-fapi-interaction-id": interaction}
        body = json.dumps(content).encode() if content is not None else None
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = self._sent(Call(method, url, headers, body))
        if answer.headers.get("x-fapi-interaction-id") != interaction:
            raise Failed(url, answer.status, "another call's answer")
        return _document(url, answer) if answer.status != 204 else {}

    def _sent(self, call: Call) -> Answer:
        try:
            return self._send(call, SECONDS)
        except NoAnswer as error:
            raise Failed(call.url) from error


def _document(step: str, answer: Answer) -> dict[str, Any]:
    if answer.status not in {200, 201}:
        raise Failed(step, answer.status, answer.body.decode("utf-8", "replace"))
    found = json.loads(answer.body)
    if not isinstance(found, dict):
        raise Failed(step, answer.status, "no object")
    return found

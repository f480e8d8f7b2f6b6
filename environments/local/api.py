"""The bank's API as a client sees it: JSON over HTTP, a token, an idempotency key."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class Answer:
    """Status, headers and JSON body of an answer."""

    status: int
    headers: Mapping[str, str]
    text: str
    body: dict[str, Any]


class Api:
    """One signed-in user of the gateway."""

    def __init__(self, gateway_url: str, token: str, *, trust_env: bool = False) -> None:
        self._url = gateway_url
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        # A proxy of the caller's environment has no business between two processes of one machine; to a
        # gateway elsewhere it may be the only way.
        self._session.trust_env = trust_env

    def get(self, path: str) -> Answer:
        """Reads."""
        return _answer(self._session.get(self._url + path, timeout=TIMEOUT_SECONDS))

    def delete(self, path: str) -> Answer:
        """Ends something."""
        return _answer(self._session.delete(self._url + path, timeout=TIMEOUT_SECONDS))

    def put(self, path: str, body: dict[str, Any]) -> Answer:
        """Makes something so."""
        return _answer(self._session.put(self._url + path, json=body, timeout=TIMEOUT_SECONDS))

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """Asks for something once; `key` makes it the repetition of an earlier request."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return _answer(
            self._session.post(self._url + path, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
        )


def _answer(response: requests.Response) -> Answer:
    body = response.json() if "json" in response.headers.get("Content-Type", "") else {}
    return Answer(response.status_code, response.headers, response.text, body)

"""One service's endpoints, served to a test without a socket, with a pool that signs for anybody."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from fastapi import APIRouter
from httpx2 import Response
from starlette.testclient import TestClient

from apps.kit.dynamo import Unavailable
from apps.kit.problems import Problem
from apps.kit.service import create_app
from apps.kit.tokens import Verifier
from tests.apps.signing import CLIENT, ISSUER, Key, token

KEY = Key.new("pool")
ANA, BETO = "subject-of-ana", "subject-of-beto"
AWAY = Problem(503, "unavailable", "The ledger does not answer. Try again.", headers={"Retry-After": "1"})


def verifier() -> Verifier:
    """Knows the pool's key."""
    return Verifier(ISSUER, "http://pool/jwks", {CLIENT}, fetch=lambda _: {"keys": [KEY.jwk]})


def signed_in(subject: str, **more: str) -> dict[str, str]:
    """The headers of a caller."""
    return {"Authorization": f"Bearer {_signed(subject)}"} | more


@cache
def _signed(subject: str) -> str:
    # Signing takes python-jose a tenth of a second, and tests ask for it a hundred times, maybe many minutes
    # after the first that did.
    return token(KEY, sub=subject, exp=int(time.time()) + 86_400)


@contextmanager
def served(router: APIRouter, state: Mapping[str, object]) -> Iterator[TestClient]:
    """A client of a service with this state."""
    app = create_app("Test", "1", [router], state=state, errors={Unavailable: AWAY}, verifier=verifier())
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def problem(answer: Response, status: int, code: str, *, final: bool = False) -> dict[str, Any]:
    """The problem document of an answer that must be one; `final` is there only when it is so."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document.get("final") is (True if final else None)
    return document

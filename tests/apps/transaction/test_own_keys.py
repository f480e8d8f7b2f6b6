"""Whose account a caller's key leads to: asked with their token, and believed as far as it makes sense."""

import json

import pytest

from apps.kit.dynamo import Unavailable
from apps.kit.outbound import Answer, Call, NoAnswer
from apps.transaction.own_keys import DictOwnKeys

ACCOUNT = "0a000000-0000-5000-8000-000000000001"
MINE = {"key": "ana@example.com", "account_id": ACCOUNT, "status": "ACTIVE"}


class Service:
    """Answers what it is given, and keeps what it was asked."""

    def __init__(self, body: object = None, status: int = 200, error: Exception | None = None) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.error = error
        self.calls: list[Call] = []

    def __call__(self, call: Call, seconds: float) -> Answer:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return Answer(self.status, {}, self.body)


def asked(service: Service, key: str = "ana@example.com") -> str | None:
    return DictOwnKeys(service, "http://dict_key").account_of(key, "Bearer token")


def test_a_key_is_asked_for_with_the_callers_own_token() -> None:
    service = Service({"keys": [{"key": None, "account_id": ACCOUNT, "status": "PENDING"}, MINE]})
    assert asked(service) == ACCOUNT
    (call,) = service.calls
    assert (call.method, call.url) == ("GET", "http://dict_key/keys")
    assert call.headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize("status", ["PENDING", "DELETING"])
def test_a_key_that_the_dict_does_not_have_is_none(status: str) -> None:
    assert asked(Service({"keys": [MINE | {"status": status}]})) is None


def test_another_key_is_none() -> None:
    assert asked(Service({"keys": [MINE]}), "beto@example.com") is None


@pytest.mark.parametrize(
    "service",
    [
        Service(error=NoAnswer("away")),
        Service({"code": "unavailable"}, 503),
        Service({"code": "unauthenticated"}, 401),
        Service(b"<html>"),
        Service({"keys": [{"key": "x"}]}),
        Service([]),
    ],
    ids=["no answer", "503", "401", "no JSON", "another form", "a list"],
)
def test_what_makes_no_sense_decides_nothing(service: Service) -> None:
    with pytest.raises(Unavailable):
        asked(service)

"""The Open Finance Service as the account service asks it: what it says, and what its silence means."""

import json
from typing import Any
from uuid import UUID

import pytest

from apps.account.linked import BadCursor, LinkedAway, NotLinked, OpenFinance
from apps.kit.outbound import Answer, Call, NoAnswer

ACCOUNT = UUID("22222222-0000-4000-8000-000000000000")
BALANCE = {
    "link_id": "11111111-0000-4000-8000-000000000000",
    "account_id": str(ACCOUNT),
    "institution": "Banco Ipê",
    "currency": "BRL",
    "available_cents": 5,
    "on_hold_cents": 0,
    "as_of": "2026-11-25T12:00:00Z",
    "stale": False,
}


class Said:
    """A service that says one thing."""

    def __init__(self, status: int, document: Any) -> None:
        self.answer: Answer | None = Answer(status, {}, json.dumps(document).encode())
        self.calls: list[Call] = []

    def send(self, call: Call, seconds: float) -> Answer:
        self.calls.append(call)
        if self.answer is None:
            raise NoAnswer("gone")
        return self.answer


def test_balances_are_asked_for_with_the_callers_token() -> None:
    said = Said(200, {"accounts": [BALANCE]})
    found = OpenFinance(said.send, "http://of").balances("Bearer ana").result(5)
    assert [(each.account_id, each.available_cents) for each in found] == [(ACCOUNT, 5)]
    assert said.calls[0].url == "http://of/linked-accounts"
    assert said.calls[0].headers["Authorization"] == "Bearer ana"


def test_a_statement_is_asked_for_by_query() -> None:
    said = Said(200, {"entries": [], "cursor": None, "stale": False, "as_of": None})
    OpenFinance(said.send, "http://of").entries(
        "Bearer ana", ACCOUNT, {"from": "2026-11-01", "cursor": "a&b"}
    )
    assert said.calls[0].url == f"http://of/linked-accounts/{ACCOUNT}/entries?from=2026-11-01&cursor=a%26b"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotLinked),
        (409, NotLinked),
        (422, BadCursor),
        (401, LinkedAway),
        (500, LinkedAway),
        (503, LinkedAway),
    ],
)
def test_what_is_no_statement_says_why(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        OpenFinance(Said(status, {}).send, "http://of").entries("Bearer ana", ACCOUNT, {})


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"accounts": [{}]}, {"accounts": [BALANCE | {"available_cents": "5x"}]}],
    ids=str,
)
def test_what_is_not_as_agreed_counts_as_silence(document: Any) -> None:
    with pytest.raises(LinkedAway):
        OpenFinance(Said(200, document).send, "http://of").balances("Bearer ana").result(5)


def test_no_answer_is_silence() -> None:
    said = Said(200, {})
    said.answer = None
    with pytest.raises(LinkedAway):
        OpenFinance(said.send, "http://of").balances("Bearer ana").result(5)

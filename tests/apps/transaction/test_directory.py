"""The DICT service asked for a key: what its answers come to, and that none is believed unchecked."""

import json
from typing import Any

import pytest

from apps.kit.outbound import Answer, Call, NoAnswer
from apps.ledger.account import Refusal
from apps.pix.spi import Party
from apps.transaction.destination import Found, LookUpFailed, PixKey
from apps.transaction.directory import MAX_RETRY_AFTER_SECONDS, SECONDS, DictKey

KEY = PixKey("Maria.Silva@example.com", "Bearer of ana")
E2E = "E9999901020261125120000000000001"
PAYEE = {
    "key": "maria.silva@example.com",
    "key_type": "EMAIL",
    "participant": "18236120",
    "branch": "0001",
    "number": "987654321",
    "account_type": "TRAN",
    "owner_type": "NATURAL_PERSON",
    "tax_id": "31827465026",
    "name": "Maria da Silva",
    "account_id": None,
}
MARIA = Party("18236120", "31827465026", "987654321", "TRAN", "0001", "Maria da Silva")


class Service:
    """The DICT service: answers the same to everything, or nothing."""

    def __init__(self, answer: Answer | NoAnswer) -> None:
        self.answer = answer
        self.calls: list[tuple[Call, float]] = []

    def __call__(self, call: Call, seconds: float) -> Answer:
        self.calls.append((call, seconds))
        if isinstance(self.answer, NoAnswer):
            raise self.answer
        return self.answer


def answering(status: int, body: Any, **headers: str) -> Service:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Service(Answer(status, headers, text))


def found(service: Service) -> Found:
    return DictKey(service, "http://dict_key").find(KEY, E2E)


def test_a_key_is_asked_for_with_the_callers_token_and_the_payments_id() -> None:
    service = answering(200, PAYEE)
    assert found(service) == Found("maria.silva@example.com", MARIA, None)
    ((call, seconds),) = service.calls
    assert (call.method, call.url, seconds) == ("POST", "http://dict_key/internal/keys/lookup", SECONDS)
    assert call.headers["Authorization"] == "Bearer of ana"
    assert json.loads(call.body or b"") == {"key": KEY.key, "end_to_end_id": E2E}


def test_an_account_of_ours_comes_with_its_id() -> None:
    assert found(answering(200, PAYEE | {"account_id": "a"})).account_id == "a"


@pytest.mark.parametrize(
    ("status", "body", "code", "facts"),
    [
        (404, {"code": "key_not_found"}, "key_not_found", {}),
        (404, {"code": "account_not_found"}, "account_not_found", {}),
        (422, {"code": "invalid_key", "verdict": "dict"}, "invalid_key", {"verdict": "dict"}),
        (
            409,
            {"code": "key_refused", "dict_code": "EntryBlocked"},
            "key_refused",
            {"dict_code": "EntryBlocked"},
        ),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_no_is_a_refusal(status: int, body: Any, code: str, facts: Any) -> None:
    with pytest.raises(Refusal) as refusal:
        found(answering(status, body))
    assert (refusal.value.code, refusal.value.facts) == (code, facts)


@pytest.mark.parametrize(
    ("service", "code", "retry_after"),
    [
        pytest.param(Service(NoAnswer("timeout")), "dict_unavailable", 1, id="no answer"),
        pytest.param(
            answering(429, {"code": "lookup_limited"}, **{"retry-after": "60"}),
            "lookup_limited",
            60,
            id="limited",
        ),
        pytest.param(
            answering(503, {"code": "dict_unavailable"}, **{"retry-after": "9999"}),
            "dict_unavailable",
            MAX_RETRY_AFTER_SECONDS,
            id="away for long",
        ),
        pytest.param(
            answering(504, {"code": "dict_timeout"}, **{"retry-after": "soon"}),
            "dict_timeout",
            1,
            id="timeout",
        ),
        pytest.param(answering(502, {"code": "dict_bad_answer"}), "dict_bad_answer", 1, id="bad answer"),
        pytest.param(answering(503, {"code": "unavailable"}), "unavailable", 1, id="its store is away"),
        pytest.param(answering(401, {"code": "unauthenticated"}), "dict_unavailable", 1, id="token over"),
        pytest.param(answering(500, b"<html>"), "dict_unavailable", 1, id="no problem document"),
        pytest.param(answering(500, []), "dict_unavailable", 1, id="no object"),
        pytest.param(answering(200, b"{"), "dict_bad_answer", 1, id="no JSON"),
        pytest.param(answering(200, PAYEE | {"participant": "18"}), "dict_bad_answer", 1, id="no ISPB"),
        pytest.param(answering(200, PAYEE | {"number": "12-3"}), "dict_bad_answer", 1, id="no number"),
        pytest.param(answering(200, PAYEE | {"account_type": "X"}), "dict_bad_answer", 1, id="no type"),
        pytest.param(answering(200, PAYEE | {"tax_id": "1"}), "dict_bad_answer", 1, id="no document"),
    ],
)
def test_what_is_no_answer_decides_nothing(service: Service, code: str, retry_after: int) -> None:
    with pytest.raises(LookUpFailed) as failed:
        found(service)
    assert (failed.value.code, failed.value.retry_after) == (code, retry_after)


def test_no_log_line_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), pytest.raises(LookUpFailed):
        found(answering(500, {"code": "internal_error", "detail": KEY.key}))
    assert caplog.text
    assert KEY.key not in caplog.text

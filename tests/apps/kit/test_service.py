"""What every service answers, whatever it does: problems, limits, headers, one log line."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.testclient import TestClient

from apps.kit import logs
from apps.kit.money import AmountCents
from apps.kit.problems import CODES, Problem, responses
from apps.kit.service import CallerDep, IdempotencyKeyDep, create_app
from apps.kit.tokens import Verifier
from tests.apps.signing import CLIENT, ISSUER, Key, bad_tokens, token

KEY = Key.new("key")
BAD_TOKENS = bad_tokens(KEY, Key.new("others"))
router = APIRouter()


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount_cents: AmountCents


class LayerError(Exception):
    """An exception of the layer below."""


@router.post("/things/{thing_id}", responses=responses("account_not_found"))
def make(thing_id: str, body: Body, caller: CallerDep, key: IdempotencyKeyDep) -> dict[str, Any]:
    return {"thing": thing_id, "cents": body.amount_cents, "who": caller.subject, "key": key}


@router.get("/breaks")
def breaks() -> None:
    raise RuntimeError("a secret text")


@router.get("/layer")
def layer() -> None:
    raise LayerError


def not_ready() -> None:
    raise RuntimeError


@pytest.fixture(autouse=True)
def _log() -> None:
    logs.configure("test", "INFO")


@pytest.fixture
def client(_log: None) -> Iterator[TestClient]:
    checks = Verifier(ISSUER, "http://pool/jwks", {CLIENT}, fetch=lambda _: {"keys": [KEY.jwk]})
    app = create_app(
        "Test",
        "1",
        [router],
        verifier=checks,
        errors={LayerError: Problem(503, "unavailable", "The layer is away.")},
    )
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def headers(**more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(KEY)}", "Idempotency-Key": "key"} | more


def check_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"].endswith(f"/{code}")
    assert document["title"] == CODES[code][1]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


def test_a_good_request_passes(client: TestClient) -> None:
    answer = client.post("/things/one", json={"amount_cents": 5}, headers=headers())
    assert answer.json() == {"thing": "one", "cents": 5, "who": "subject-of-ana", "key": "key"}


def test_unknown_path_and_method_are_problems(client: TestClient) -> None:
    check_problem(client.get("/nothing"), 404, "not_found")
    answer = client.get("/things/one")
    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_large_body_is_refused(client: TestClient, announced: bool) -> None:
    large = b"x" * 20_000
    content: Any = large if announced else iter([large[:9000], large[9000:]])
    answer = client.post("/things/one", content=content, headers=headers())
    check_problem(answer, 413, "payload_too_large")


@pytest.mark.parametrize("body", ["{", "", '{"amount_cents": 5,}'])
def test_broken_json_is_malformed(client: TestClient, body: str) -> None:
    answer = client.post("/things/one", content=body, headers=headers(**{"Content-Type": "application/json"}))
    assert answer.status_code in {400, 422}
    check_problem(answer, answer.status_code, "malformed_json" if body else "invalid_request")


def test_a_body_that_is_no_json_is_named(client: TestClient) -> None:
    answer = client.post("/things/one", content=b"a=b", headers=headers(**{"Content-Type": "text/plain"}))
    check_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("amount", [0, -1, 1.5, "100", True, None, 10**12 + 1, [], {}])
def test_amounts_that_are_none_are_refused_and_not_repeated(client: TestClient, amount: Any) -> None:
    answer = client.post("/things/one", json={"amount_cents": amount}, headers=headers())
    document = check_problem(answer, 422, "invalid_request")
    assert [each["where"] for each in document["errors"]] == ["body.amount_cents"]
    assert all(set(each) == {"where", "message"} for each in document["errors"])


def test_all_that_is_wrong_is_said_at_once(client: TestClient) -> None:
    answer = client.post("/things/one", json={"amount_cents": 0, "secret": "not for logs"}, headers=headers())
    document = check_problem(answer, 422, "invalid_request")
    assert {each["where"] for each in document["errors"]} == {"body.amount_cents", "body.secret"}
    assert "not for logs" not in answer.text


def test_an_unexpected_failure_says_nothing_of_itself(client: TestClient) -> None:
    answer = client.get("/breaks")
    check_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text


def test_a_failure_of_the_layer_below_is_its_problem(client: TestClient) -> None:
    check_problem(client.get("/layer"), 503, "unavailable")


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x.y.z", "Basic abc"])
def test_without_a_good_token_the_answer_is_401(client: TestClient, given: str) -> None:
    answer = client.post("/things/one", json={"amount_cents": 5}, headers=headers(Authorization=given))
    check_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_a_bad_token_is_401_with_a_challenge_and_is_not_repeated(client: TestClient, bad: str) -> None:
    answer = client.post(
        "/things/one", json={"amount_cents": 5}, headers=headers(Authorization=f"Bearer {bad}")
    )
    check_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert len(bad) < 8 or bad not in answer.text


@pytest.mark.parametrize("key", ["", "with space", "x" * 129])
def test_without_a_good_idempotency_key_the_answer_is_400(client: TestClient, key: str) -> None:
    answer = client.post("/things/one", json={"amount_cents": 5}, headers=headers(**{"Idempotency-Key": key}))
    check_problem(answer, 400, "idempotency_key_missing")


@pytest.mark.parametrize(
    ("given", "kept"), [("a-good.request_id", True), ("short", False), ("bad id!!!!", False)]
)
def test_a_request_id_is_kept_only_if_it_is_well_formed(client: TestClient, given: str, kept: bool) -> None:
    answer = client.get("/livez", headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) is kept


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for path in ("/livez", "/nothing", "/breaks"):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "max-age" in answer.headers["strict-transport-security"]


def test_the_log_has_one_line_with_the_template_and_no_path(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("test", "INFO")
    client.post("/things/12345678901", json={"amount_cents": 5}, headers=headers())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = [each for each in lines if each["message"] == "request"]
    assert line["route"] == "/things/{thing_id}"
    assert line["status"] == 200
    assert line["request_id"]
    assert "12345678901" not in json.dumps(lines)


def test_ready_only_while_every_check_passes(client: TestClient) -> None:
    assert client.get("/livez").status_code == 200
    app = create_app("Test", "1", [], ready=[not_ready])
    with TestClient(app) as other:
        check_problem(other.get("/readyz"), 503, "unavailable")
        assert other.get("/livez").status_code == 200


def test_the_description_tells_the_truth_about_errors(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/things/{thing_id}"]["post"]
    assert {"200", "400", "401", "404", "413", "415", "422", "500"} <= set(operation["responses"])
    for status, answer in operation["responses"].items():
        if status != "200":
            assert list(answer["content"]) == ["application/problem+json"], status
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_a_problem_with_an_unknown_code_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        Problem(400, "no_such_code", "")
    with pytest.raises(AssertionError):
        Problem(400, "not_found", "")


def test_the_description_shows_the_bounds_of_an_amount(client: TestClient) -> None:
    body = client.get("/openapi.json").json()["components"]["schemas"]["Body"]
    amount = body["properties"]["amount_cents"]
    assert (amount["type"], amount["exclusiveMinimum"], amount["maximum"]) == ("integer", 0, 10**12)


def test_a_caller_who_cannot_be_verified_yet_is_asked_to_come_again() -> None:
    def away(_: str) -> dict[str, Any]:
        raise OSError

    app = create_app("Test", "1", [router], verifier=Verifier(ISSUER, "http://pool", {CLIENT}, fetch=away))
    with TestClient(app) as asked:
        answer = asked.post("/things/one", json={"amount_cents": 5}, headers=headers())
    check_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"

"""Keys over HTTP: what a payer may see, what a payment needs, and a clear problem for everything else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from apps.dict_key.client import DictDown, DictLimited, DictRefused
from apps.pix import end_to_end_id
from apps.pix.keys import classify
from tests.apps.dict_key.desk import ANAS, BETOS, TAX_IDS, Desk, desk
from tests.apps.dict_key.directory import OURS, STORE, THEIRS, lost
from tests.apps.serving import ANA, BETO, problem, signed_in

PHONE, CNPJ = classify("+5511987654321"), classify("11222333000181")
NOBODY = "subject-of-nobody"
KEY_ID = "aaaaaaaa-0000-4000-8000-00000000000f"


@pytest.fixture
def at() -> Desk:
    return desk()


@pytest.fixture
def client(at: Desk) -> Iterator[TestClient]:
    with at.served() as client:
        yield client


def post(client: TestClient, path: str, body: Any, subject: str = ANA, key: str = "k") -> Response:
    return client.post(path, json=body, headers=signed_in(subject, **{"Idempotency-Key": key}))


def look_up(client: TestClient, key: str = "(11) 98765-4321", subject: str = BETO) -> Response:
    return post(client, "/keys/lookup", {"key": key}, subject)


def test_a_payer_sees_name_masked_document_and_bank_and_nothing_of_the_account(
    at: Desk, client: TestClient
) -> None:
    at.directory.holds(PHONE)
    answer = look_up(client)
    assert answer.status_code == 200
    assert answer.json() == {
        "key": "+5511987654321",
        "key_type": "PHONE",
        "name": "Bruna Lima",
        "trade_name": None,
        "document": "***.444.777-**",
        "institution": {"ispb": "18236120", "name": "Nubank"},
    }
    for hidden in ("11144477735", THEIRS.number):
        assert hidden not in answer.text


def test_a_companys_document_is_shown_whole(at: Desk, client: TestClient) -> None:
    at.directory.holds(CNPJ, STORE)
    body = look_up(client, "11.222.333/0001-81").json()
    assert (body["document"], body["trade_name"]) == ("11.222.333/0001-81", "Mercado Azul")


def test_each_look_up_has_an_end_to_end_id_of_its_own_and_the_payers_document(
    at: Desk, client: TestClient
) -> None:
    at.directory.holds(PHONE)
    for _ in range(2):
        look_up(client)
    (_, _, first, one), (_, _, second, other) = at.directory.asked
    assert first == second == TAX_IDS[BETO]
    assert one != other
    assert end_to_end_id.read(one, "E").ispb == OURS


def test_a_payment_is_told_what_it_needs_under_the_id_that_it_will_carry(
    at: Desk, client: TestClient
) -> None:
    at.directory.holds(PHONE)
    carried = end_to_end_id.new(OURS, at.clock())
    body = {"key": PHONE.value, "end_to_end_id": carried}
    answer = post(client, "/internal/keys/lookup", body, BETO)
    assert answer.json() == {
        "key": "+5511987654321",
        "key_type": "PHONE",
        "participant": "18236120",
        "branch": "0001",
        "number": THEIRS.number,
        "account_type": "CACC",
        "owner_type": "NATURAL_PERSON",
        "tax_id": "11144477735",
        "name": "Bruna Lima",
        "account_id": None,
    }
    assert at.directory.asked[0][3] == carried


def test_a_payment_to_a_key_of_ours_is_told_the_account(at: Desk, client: TestClient) -> None:
    post(client, "/keys", {"key_type": "CPF", "key": TAX_IDS[ANA], "account_id": ANAS})
    body = {"key": TAX_IDS[ANA], "end_to_end_id": end_to_end_id.new(OURS, at.clock())}
    answer = post(client, "/internal/keys/lookup", body, BETO).json()
    assert (answer["account_id"], answer["participant"]) == (ANAS, OURS)
    assert at.directory.calls("look_up") == 0


@pytest.mark.parametrize(
    "carried",
    [
        "",
        "E9999901012341234123412345678900",
        "E9999901020200101000012345678900",
        end_to_end_id.new("18236120", desk().clock()),
        end_to_end_id.of_return(OURS, desk().clock()),
    ],
    ids=["empty", "no date", "long ago", "another bank's", "a return's"],
)
def test_an_id_that_no_payment_of_ours_can_carry_is_refused(
    at: Desk, client: TestClient, carried: str
) -> None:
    answer = post(client, "/internal/keys/lookup", {"key": PHONE.value, "end_to_end_id": carried})
    document = problem(answer, 422, "invalid_request")
    assert document["errors"][0]["where"] == "body.end_to_end_id"
    assert at.directory.asked == []


def test_the_internal_look_up_is_not_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert [path for path in paths if "internal" in path] == []


def test_only_what_makes_something_asks_for_an_idempotency_key(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    asking = {
        path
        for path, operations in paths.items()
        for operation in operations.values()
        if any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", []))
    }
    assert asking == {"/keys", "/keys/claims"}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("529.982.247-26", "tax_id_check_digits"), ("11987654321", "tax_id_check_digits"), ("abc", "key_form")],
)
def test_what_is_no_key_is_refused_with_its_verdict_and_is_not_repeated(
    at: Desk, client: TestClient, text: str, verdict: str
) -> None:
    answer = look_up(client, text)
    assert problem(answer, 422, "invalid_key", final=True)["verdict"] == verdict
    assert text not in answer.text
    assert at.directory.asked == []


def test_a_key_of_nobody_is_not_there(client: TestClient) -> None:
    problem(look_up(client), 404, "key_not_found")


def test_too_many_look_ups_are_refused_here_and_say_when_to_come_back(at: Desk, client: TestClient) -> None:
    at.set_tokens("PHONE", TAX_IDS[BETO], -15)
    answer = look_up(client)
    problem(answer, 429, "lookup_limited")
    assert answer.headers["retry-after"] == "480"
    assert at.directory.asked == []


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry_after"),
    [
        (DictLimited(), 429, "lookup_limited", "60"),
        (DictDown("unavailable", 7), 503, "dict_unavailable", "7"),
        (DictDown("unavailable"), 503, "dict_unavailable", "1"),
        (DictDown("unreachable"), 503, "dict_unavailable", "1"),
        (DictDown("timeout"), 504, "dict_timeout", "1"),
        (DictDown("bad_answer"), 502, "dict_bad_answer", "1"),
        (DictRefused(400, "EntryInvalid"), 422, "invalid_key", None),
        (DictRefused(403, "Forbidden"), 409, "key_refused", None),
        (DictRefused(400, "EntryCannotBeQueriedForBookTransfer"), 409, "key_refused", None),
    ],
)
def test_every_failure_of_the_dict_is_a_clear_problem(
    at: Desk, client: TestClient, *, fault: Exception, status: int, code: str, retry_after: str | None
) -> None:
    at.directory.before = [fault]
    answer = look_up(client)
    problem(answer, status, code)
    assert answer.headers.get("retry-after") == retry_after
    assert PHONE.value not in answer.text


def test_who_has_no_account_here_looks_nothing_up(at: Desk, client: TestClient) -> None:
    problem(look_up(client, subject=NOBODY), 404, "account_not_found")
    assert at.directory.asked == []


def test_a_key_is_registered_listed_and_ended(at: Desk, client: TestClient) -> None:
    made = post(client, "/keys", {"key_type": "PHONE", "key": "11 98765-4321", "account_id": ANAS})
    assert made.status_code == 201
    body = made.json()
    assert (body["key"], body["status"], body["account_id"]) == (PHONE.value, "ACTIVE", ANAS)
    again = post(client, "/keys", {"key_type": "PHONE", "key": "+5511987654321", "account_id": ANAS})
    assert (again.json(), again.headers["idempotent-replayed"]) == (body, "true")
    assert client.get("/keys", headers=signed_in(ANA)).json() == {"keys": [body]}
    assert client.get("/keys", headers=signed_in(BETO)).json() == {"keys": []}
    problem(
        client.delete(f"/keys/{body['key_id']}", headers=signed_in(BETO)), 404, "key_not_found", final=True
    )
    ended = client.delete(f"/keys/{body['key_id']}", headers=signed_in(ANA))
    assert (ended.status_code, ended.content, ended.headers.get("content-type")) == (204, b"", None)
    assert client.get("/keys", headers=signed_in(ANA)).json() == {"keys": []}
    assert at.directory.entries == {}


def test_a_random_key_is_made_by_the_dict(client: TestClient) -> None:
    body = post(client, "/keys", {"key_type": "EVP", "account_id": ANAS}).json()
    assert classify(body["key"]).type == "EVP"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"key_type": "EVP", "key": "x", "account_id": ANAS}, 422, "invalid_request"),
        ({"key_type": "PHONE", "account_id": ANAS}, 422, "invalid_request"),
        ({"key_type": "MAGIC", "key": "x", "account_id": ANAS}, 422, "invalid_request"),
        ({"key_type": "PHONE", "key": "x", "account_id": ANAS}, 422, "invalid_key"),
        ({"key_type": "CPF", "key": TAX_IDS[BETO], "account_id": ANAS}, 422, "key_not_yours"),
        ({"key_type": "PHONE", "key": PHONE.value, "account_id": BETOS}, 404, "account_not_found"),
        ({"key_type": "PHONE", "key": PHONE.value, "account_id": "x"}, 422, "invalid_request"),
        ({"key_type": "PHONE", "key": PHONE.value, "account_id": ANAS, "x": 1}, 422, "invalid_request"),
    ],
)
def test_a_bad_registration_is_refused_before_the_dict_is_asked(
    at: Desk, client: TestClient, body: dict[str, Any], status: int, code: str
) -> None:
    problem(post(client, "/keys", body), status, code, final=code != "invalid_request")
    assert at.directory.asked == []


def test_a_taken_key_names_the_claim_that_brings_it_here(at: Desk, client: TestClient) -> None:
    at.directory.holds(PHONE)
    answer = post(client, "/keys", {"key_type": "PHONE", "key": PHONE.value, "account_id": ANAS})
    assert problem(answer, 409, "key_taken", final=True)["claim_type"] == "OWNERSHIP"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (DictLimited(), 503, "dict_unavailable"),
        (DictDown("unreachable"), 503, "dict_unavailable"),
        (DictDown("unavailable", 3), 503, "dict_unavailable"),
        (DictDown("timeout"), 504, "outcome_unknown"),
        (DictDown("bad_answer"), 504, "outcome_unknown"),
    ],
)
def test_a_registration_without_an_answer_decides_nothing(
    at: Desk, client: TestClient, fault: Exception, status: int, code: str
) -> None:
    at.directory.before = [fault]
    wish = {"key_type": "PHONE", "key": PHONE.value, "account_id": ANAS}
    answer = post(client, "/keys", wish)
    problem(answer, status, code)
    assert "retry-after" in answer.headers
    assert post(client, "/keys", wish).json()["status"] == "ACTIVE"


def test_a_key_of_another_request_is_refused_for_good(client: TestClient) -> None:
    post(client, "/keys", {"key_type": "PHONE", "key": PHONE.value, "account_id": ANAS})
    answer = post(client, "/keys", {"key_type": "EVP", "account_id": ANAS})
    problem(answer, 422, "idempotency_key_reused", final=True)


def test_a_key_is_not_made_without_an_idempotency_key(client: TestClient) -> None:
    answer = client.post("/keys", json={"key_type": "EVP", "account_id": ANAS}, headers=signed_in(ANA))
    problem(answer, 400, "idempotency_key_missing")


def test_a_claim_is_opened_listed_and_given_up(at: Desk, client: TestClient) -> None:
    holding = at.service.holders.holding(ANAS)
    assert holding is not None
    at.directory.holds(PHONE, holding.owner)
    wish = {"type": "PORTABILITY", "key": PHONE.value, "account_id": ANAS}
    made = post(client, "/keys/claims", wish)
    assert made.status_code == 201
    body = made.json()
    assert (body["role"], body["status"]) == ("CLAIMER", "OPEN")
    assert client.get("/keys/claims", headers=signed_in(ANA)).json() == {"claims": [body]}
    path = f"/keys/claims/{body['claim_id']}"
    problem(post(client, f"{path}/complete", {}), 409, "claim_not_possible", final=True)
    problem(post(client, f"{path}/cancel", {}, BETO), 404, "claim_not_found", final=True)
    problem(post(client, f"{path}/ignore", {}), 422, "invalid_request")
    assert post(client, f"{path}/cancel", {}).json()["status"] == "CANCELLED"


def test_a_claim_whose_answer_is_lost_is_unknown_and_found_by_asking_again(
    at: Desk, client: TestClient
) -> None:
    holding = at.service.holders.holding(ANAS)
    assert holding is not None
    at.directory.holds(PHONE, holding.owner)
    at.directory.after = [lost()]
    wish = {"type": "PORTABILITY", "key": PHONE.value, "account_id": ANAS}
    problem(post(client, "/keys/claims", wish), 504, "outcome_unknown")
    assert post(client, "/keys/claims", wish).json()["status"] == "OPEN"
    assert len(at.directory.open_claims) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/keys/lookup"),
        ("POST", "/internal/keys/lookup"),
        ("POST", "/keys"),
        ("GET", "/keys"),
        ("DELETE", f"/keys/{KEY_ID}"),
        ("POST", "/keys/claims"),
        ("GET", "/keys/claims"),
        ("POST", f"/keys/claims/{KEY_ID}/confirm"),
    ],
)
def test_nobody_gets_anything_without_a_token(at: Desk, client: TestClient, method: str, path: str) -> None:
    body = {
        "key": PHONE.value,
        "end_to_end_id": "",
        "key_type": "PHONE",
        "account_id": ANAS,
        "type": "OWNERSHIP",
    }
    answer = client.request(
        method, path, content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    problem(answer, 401, "unauthenticated")
    assert (at.directory.asked, at.items()) == ([], [])

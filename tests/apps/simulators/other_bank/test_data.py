"""Consents 3, resources 3 and accounts 2 as published: states, codes, pages, amounts and limits."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from apps.simulators.other_bank import app
from apps.simulators.other_bank.banks import Banks
from apps.simulators.other_bank.brands import USUAL
from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.signatures import SigningKey
from tests.apps.open_finance.stage import BANKS_URL, Time, bank_key
from tests.apps.simulators.other_bank.client import BALANCES, Client

KEY = SigningKey("client")


@pytest.fixture
def client() -> Iterator[Client]:
    time = Time()
    banks = Banks(USUAL, Clock(time.now), bank_key())
    with TestClient(app.create(banks), base_url=BANKS_URL, raise_server_exceptions=False) as http:
        made = Client(http, time, KEY)
        assert made.register().status_code == 201
        yield made


def code(answer: Any) -> str:
    """The code of an error in the published shape."""
    document = answer.json()
    assert set(document) == {"errors", "meta"}
    assert set(document["errors"][0]) == {"code", "title", "detail"}
    return str(document["errors"][0]["code"])


@pytest.mark.parametrize("interaction", ["", "abc", "00000000"])
def test_a_request_without_an_interaction_id_is_answered_with_one_of_the_servers(
    client: Client, interaction: str
) -> None:
    token = client.token("consents")
    headers = {"x-fapi-interaction-id": interaction}
    answer = client.call("GET", "/consents/v3/consents/urn:a:b", token, headers=headers)
    assert answer.status_code == 400
    assert len(answer.headers["x-fapi-interaction-id"]) == 36


def test_an_interaction_id_is_echoed_in_refusals_too(client: Client) -> None:
    interaction = "6f2b8a3e-64ef-4c3a-9d47-3b8f8b0d7f02"
    answer = client.call(
        "GET", "/consents/v3/consents/urn:a:b", "nobody's", headers={"x-fapi-interaction-id": interaction}
    )
    assert (answer.status_code, answer.headers["x-fapi-interaction-id"]) == (401, interaction)


@pytest.mark.parametrize(
    ("change", "status", "expected"),
    [
        ({"permissions": []}, 400, "PARAMETRO_NAO_INFORMADO"),
        ({"permissions": ["ACCOUNTS"]}, 400, "PARAMETRO_INVALIDO"),
        ({"permissions": [*BALANCES, BALANCES[0]]}, 400, "PARAMETRO_INVALIDO"),
        ({"permissions": BALANCES[:2]}, 422, "COMBINACAO_PERMISSOES_INCORRETA"),
        (
            {"permissions": [*BALANCES, "ACCOUNTS_OVERDRAFT_LIMITS_READ"][1:]},
            422,
            "COMBINACAO_PERMISSOES_INCORRETA",
        ),
        ({"permissions": ["EXCHANGES_READ"]}, 422, "SEM_PERMISSOES_FUNCIONAIS_RESTANTES"),
        ({"expirationDateTime": "2026-11-25T12:00:00Z"}, 422, "DATA_EXPIRACAO_INVALIDA"),
        ({"expirationDateTime": "2027-11-25"}, 422, "DATA_EXPIRACAO_INVALIDA"),
        ({"loggedUser": {}}, 400, "PARAMETRO_NAO_INFORMADO"),
        ({"loggedUser": {"document": {"identification": "1", "rel": "CPF"}}}, 400, "PARAMETRO_INVALIDO"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_consent_that_cannot_be_is_refused_with_the_published_code(
    client: Client, change: dict[str, Any], status: int, expected: str
) -> None:
    answer = client.consent(**change)
    assert (answer.status_code, code(answer)) == (status, expected)


def test_permissions_of_products_that_are_not_here_are_dropped(client: Client) -> None:
    granted = client.consent(permissions=[*BALANCES, "EXCHANGES_READ"]).json()["data"]["permissions"]
    assert granted == BALANCES


def test_a_consent_waits_an_hour_and_is_then_rejected(client: Client) -> None:
    consent_id = client.consent().json()["data"]["consentId"]
    client.clock.skip(minutes=60)
    path = f"/consents/v3/consents/{consent_id}"
    data = client.call("GET", path, client.token("consents")).json()["data"]
    assert (data["status"], data["rejection"]["reason"]["code"]) == ("REJECTED", "CONSENT_EXPIRED")


def test_a_consent_is_revoked_once_and_its_token_with_it(client: Client) -> None:
    consent_id, token = client.linked()
    path = f"/consents/v3/consents/{consent_id}"
    assert client.call("DELETE", path, client.token("consents")).status_code == 204
    again = client.call("DELETE", path, client.token("consents"))
    assert (again.status_code, code(again)) == (422, "CONSENTIMENTO_EM_STATUS_REJEITADO")
    assert client.call("GET", "/accounts/v2/accounts", token).status_code == 401


def test_another_client_sees_no_consent_of_this_one(client: Client) -> None:
    consent_id = client.consent().json()["data"]["consentId"]
    client.register()
    assert (
        client.call("GET", f"/consents/v3/consents/{consent_id}", client.token("consents")).status_code == 404
    )


def test_a_token_for_one_thing_is_none_for_another(client: Client) -> None:
    _, token = client.linked()
    assert client.call("POST", "/consents/v3/consents", token, json={}).status_code == 403
    assert client.call("GET", "/accounts/v2/accounts", client.token("consents")).status_code == 403


def test_a_list_has_pages_and_only_the_links_that_apply(client: Client) -> None:
    _, token = client.linked()
    first = client.call("GET", "/accounts/v2/accounts?page-size=1", token).json()
    assert (first["meta"]["totalRecords"], first["meta"]["totalPages"]) == (2, 2)
    assert set(first["links"]) == {"self", "next", "last"}
    second = client.call("GET", first["links"]["next"], token).json()
    assert set(second["links"]) == {"self", "first", "prev", "last"}
    assert first["data"][0]["accountId"] != second["data"][0]["accountId"]


@pytest.mark.parametrize("query", ["page=0", "page=x", "page-size=0", "page-size=1001"])
def test_a_page_that_cannot_be_is_refused(client: Client, query: str) -> None:
    _, token = client.linked()
    assert client.call("GET", f"/accounts/v2/accounts?{query}", token).status_code == 422


def account_of(client: Client, token: str) -> str:
    return str(client.call("GET", "/accounts/v2/accounts", token).json()["data"][0]["accountId"])


@pytest.mark.parametrize(
    ("ending", "query", "status"),
    [
        ("transactions", "fromBookingDate=2026-01-01&toBookingDate=2026-11-25", 200),
        ("transactions", "fromBookingDate=2026-01-01", 422),
        ("transactions", "fromBookingDate=2026-11-25&toBookingDate=2026-11-24", 422),
        ("transactions", "fromBookingDate=2025-11-01&toBookingDate=2026-11-24", 422),
        ("transactions-current", "fromBookingDate=2026-11-19&toBookingDate=2026-11-25", 200),
        ("transactions-current", "fromBookingDate=2026-11-18&toBookingDate=2026-11-25", 422),
    ],
)
def test_a_statement_is_of_days_that_may_be_asked_for(
    client: Client, ending: str, query: str, status: int
) -> None:
    _, token = client.linked()
    path = f"/accounts/v2/accounts/{account_of(client, token)}/{ending}?{query}"
    answer = client.call("GET", path, token)
    assert answer.status_code == status
    if status == 200:
        assert set(answer.json()["meta"]) == {"requestDateTime"}
        assert len(answer.json()["data"][0]["transactionDateTime"]) == 24


def test_more_calls_than_the_published_limit_are_refused_until_the_next_month(client: Client) -> None:
    consent_id, token = client.linked()
    del consent_id
    path = f"/accounts/v2/accounts/{account_of(client, token)}/transactions"
    statuses = [client.call("GET", path, token).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]


def test_an_account_that_was_not_chosen_is_not_there(client: Client) -> None:
    _, token = client.linked()
    assert client.call("GET", "/accounts/v2/accounts/abc/balances", token).status_code == 404


def test_a_consent_goes_on_only_with_its_customer_there(client: Client) -> None:
    consent_id, token = client.linked()
    body = {"data": {"loggedUser": {"document": {"identification": "52998224725", "rel": "CPF"}}}}
    path = f"/consents/v3/consents/{consent_id}/extends"
    assert client.call("POST", path, token, json=body).status_code == 400
    there = {"x-fapi-customer-ip-address": "192.0.2.1", "x-customer-user-agent": "browser"}
    assert client.call("POST", path, token, json=body, headers=there).status_code == 201
    others = {"data": {"loggedUser": {"document": {"identification": "11144477735", "rel": "CPF"}}}}
    answer = client.call("POST", path, token, json=others, headers=there)
    assert code(answer) == "ESTADO_CONSENTIMENTO_INVALIDO"


def test_each_extension_of_a_consent_is_listed_the_last_one_first(client: Client) -> None:
    consent_id, token = client.linked()
    path = f"/consents/v3/consents/{consent_id}"
    own = client.token("consents")
    assert client.call("GET", f"{path}/extensions", own).json()["data"] == []
    user = {"document": {"identification": "52998224725", "rel": "CPF"}}
    there = {"x-fapi-customer-ip-address": "192.0.2.1", "x-customer-user-agent": "browser"}
    ends = ["2031-01-01T00:00:00Z", "2032-01-01T00:00:00Z", None]
    for end in ends:
        body = {"data": {"loggedUser": user} | ({"expirationDateTime": end} if end else {})}
        assert client.call("POST", f"{path}/extends", token, json=body, headers=there).status_code == 201
    listed = client.call("GET", f"{path}/extensions", own)
    assert listed.status_code == 200
    assert listed.json()["meta"]["totalRecords"] == 3
    assert [each.get("expirationDateTime") for each in listed.json()["data"]] == [None, *reversed(ends[:2])]
    assert [each.get("previousExpirationDateTime") for each in listed.json()["data"]][:2] == ends[1::-1]
    for each in listed.json()["data"]:
        assert each["loggedUser"] == user
        assert (each["xFapiCustomerIpAddress"], each["xCustomerUserAgent"]) == ("192.0.2.1", "browser")
    assert client.call("GET", f"{path}/extensions", token).status_code in {401, 403}

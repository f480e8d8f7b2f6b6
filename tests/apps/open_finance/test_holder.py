"""Our customers' accounts, read by others: only by the customer's own yes, only what it covers, only while
it stands; and everything else refused with the published code."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response

from apps.open_finance.signatures import SigningKey, proven
from tests.apps.open_finance.held import (
    ALL,
    ANAS,
    ANAS_SAVINGS,
    BETOS,
    CALLBACK,
    VERIFIER,
    Reader,
    decide,
    given,
    number_on,
    open_account,
    open_accounts,
)
from tests.apps.open_finance.stage import CPFS, PUBLIC_URL, staged
from tests.apps.serving import ANA, BETO, problem, signed_in
from tests.apps.signing import Key

ACCOUNTS = "/accounts/v2/accounts"
BALANCES = ["ACCOUNTS_READ", "ACCOUNTS_BALANCES_READ", "RESOURCES_READ"]
OTHER_KEY = SigningKey("tpp", Key.new("stranger").pem)


@pytest.fixture
def reader() -> Iterator[Reader]:
    with staged(fresh_seconds=0) as stage:
        open_accounts(stage)
        made = Reader(stage)
        assert made.register().status_code == 201
        yield made


def refused(answer: Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert [each["code"] for each in document["errors"]] == [code]
    assert set(document) == {"errors", "meta"}


def oauth_refused(answer: Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text


# --- the whole ---


def test_another_bank_links_an_account_here_and_sees_what_is_on_it(reader: Reader) -> None:
    """By the simulator of other banks, which checks our answers as a receiver must."""
    stage, banks = reader.stage, reader.stage.browser.client
    asked = banks.post("/admin/ipe/readings", json={"issuer": PUBLIC_URL, "cpf": CPFS[ANA]})
    assert asked.status_code == 201, asked.text
    page = stage.api.get(asked.json()["authorisation_url"])
    request_id = number_on(page)
    shown = stage.get(f"/consent-requests/{request_id}").json()
    assert shown["institution"] == "Banco Ipê"
    assert {each["account_id"] for each in shown["accounts"]} == {ANAS, ANAS_SAVINGS}
    location = decide(stage, request_id, ANAS).json()["redirect_url"]
    assert location.startswith(CALLBACK)
    assert banks.get(location).json()["status"] == "LINKED"

    path = f"/admin/ipe/readings/{asked.json()['link_id']}"
    (account,) = banks.get(path).json()["accounts"]
    assert account["accountId"] == ANAS
    assert (account["number"], account["checkDigit"], account["branchCode"]) == ("00001234", "5", "0001")
    assert account["availableAmount"] == {"amount": "982.00", "currency": "BRL"}
    assert account["blockedAmount"]["amount"] == "0.50"
    assert [each["transactionAmount"]["amount"] for each in account["transactions"]] == ["7.00", "25.00"]

    (consent,) = stage.get("/consents").json()["consents"]
    assert (consent["institution"], consent["status"], consent["accounts"]) == (
        "Banco Ipê",
        "AUTHORISED",
        [ANAS],
    )
    assert stage.delete(f"/consents/{consent['consent_id']}").status_code == 204
    answer = banks.get(path)
    assert answer.status_code == 409
    assert "CONSENTIMENTO_INVALIDO" in answer.text


def test_the_id_token_is_for_this_request_and_this_person(reader: Reader) -> None:
    said = reader.exchange(reader.code(reader.consent())).json()
    keys = reader.stage.api.get("/oauth/jwks").json()
    claims = proven(said["id_token"], keys)
    assert {name: claims[name] for name in ("iss", "aud", "nonce", "cpf")} == {
        "iss": PUBLIC_URL,
        "aud": reader.client_id,
        "nonce": "nonce",
        "cpf": CPFS[ANA],
    }
    assert claims["sub"] != ANA, "a login's own id is nobody else's business"


# --- consents ---

BAD_CONSENTS: dict[str, tuple[dict[str, Any], int, str]] = {
    "no permission": ({"permissions": []}, 400, "PARAMETRO_NAO_INFORMADO"),
    "twice the same": ({"permissions": [*BALANCES, "ACCOUNTS_READ"]}, 400, "PARAMETRO_INVALIDO"),
    "no such permission": ({"permissions": [*BALANCES, "EVERYTHING_READ"]}, 400, "PARAMETRO_INVALIDO"),
    "half a group": (
        {"permissions": ["ACCOUNTS_READ", "RESOURCES_READ"]},
        422,
        "COMBINACAO_PERMISSOES_INCORRETA",
    ),
    "a group and a half": (
        {"permissions": ["ACCOUNTS_BALANCES_READ", "RESOURCES_READ"]},
        422,
        "COMBINACAO_PERMISSOES_INCORRETA",
    ),
    "only what we have not": (
        {"permissions": ["LOANS_READ"]},
        422,
        "SEM_PERMISSOES_FUNCIONAIS_RESTANTES",
    ),
    "the past": ({"expirationDateTime": "2026-11-25T11:59:59Z"}, 422, "DATA_EXPIRACAO_INVALIDA"),
    "now": ({"expirationDateTime": "2026-11-25T12:00:00Z"}, 422, "DATA_EXPIRACAO_INVALIDA"),
    "no date": ({"expirationDateTime": "2027-01-01"}, 422, "DATA_EXPIRACAO_INVALIDA"),
    "nobody": ({"loggedUser": {}}, 400, "PARAMETRO_NAO_INFORMADO"),
    "no CPF": (
        {"loggedUser": {"document": {"identification": "1", "rel": "CPF"}}},
        400,
        "PARAMETRO_INVALIDO",
    ),
    "a company": (
        {"businessEntity": {"document": {"identification": "11222333000181", "rel": "CNPJ"}}},
        422,
        "PERMISSOES_PJ_INCORRETAS",
    ),
}


@pytest.mark.parametrize(("change", "status", "code"), BAD_CONSENTS.values(), ids=BAD_CONSENTS)
def test_a_consent_that_cannot_be_is_refused(
    reader: Reader, change: dict[str, Any], status: int, code: str
) -> None:
    refused(reader.ask(**change), status, code)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"data": 1}', b'"x"'], ids=repr)
def test_a_body_that_is_no_consent_is_refused(reader: Reader, body: bytes) -> None:
    assert reader.call("POST", "/consents/v3/consents", reader.own(), content=body).status_code == 400


def test_permissions_of_products_that_are_not_here_are_dropped(reader: Reader) -> None:
    said = reader.ask(permissions=[*BALANCES, "LOANS_READ", "CREDIT_CARDS_ACCOUNTS_READ"]).json()
    assert said["data"]["permissions"] == BALANCES


def test_a_consent_waits_an_hour(reader: Reader) -> None:
    consent_id = reader.consent()
    request_id = reader.waiting(consent_id)
    reader.stage.time.skip(minutes=60)
    seen = reader.call("GET", f"/consents/v3/consents/{consent_id}", reader.own()).json()["data"]
    assert (seen["status"], seen["rejection"]["reason"]["code"]) == ("REJECTED", "CONSENT_EXPIRED")
    problem(decide(reader.stage, request_id, ANAS), 404, "consent_request_not_found")


def test_a_consent_ends_when_it_was_agreed_to(reader: Reader) -> None:
    consent_id, token = reader.linked(expirationDateTime="2026-11-25T12:10:00Z")
    assert reader.call("GET", ACCOUNTS, token).status_code == 200
    reader.stage.time.skip(minutes=10)
    refused(reader.call("GET", ACCOUNTS, token), 401, "CONSENTIMENTO_INVALIDO")
    seen = reader.call("GET", f"/consents/v3/consents/{consent_id}", reader.own()).json()["data"]
    assert seen["rejection"] == {"rejectedBy": "ASPSP", "reason": {"code": "CONSENT_MAX_DATE_REACHED"}}


@pytest.mark.parametrize("side", ["the receiver", "the customer"])
def test_either_side_ends_a_consent_with_its_tokens(reader: Reader, side: str) -> None:
    consent_id, token = reader.linked()
    path = f"/consents/v3/consents/{consent_id}"
    if side == "the receiver":
        assert reader.call("DELETE", path, reader.own()).status_code == 204
    else:
        (own,) = reader.stage.get("/consents").json()["consents"]
        assert reader.stage.delete(f"/consents/{own['consent_id']}").status_code == 204
        assert reader.stage.delete(f"/consents/{own['consent_id']}").status_code == 204, "harmless twice"
    for each in (ACCOUNTS, "/resources/v3/resources", f"{ACCOUNTS}/{ANAS}/balances"):
        refused(reader.call("GET", each, token), 401, "CONSENTIMENTO_INVALIDO")
    refused(reader.call("DELETE", path, reader.own()), 422, "CONSENTIMENTO_EM_STATUS_REJEITADO")
    seen = reader.call("GET", path, reader.own()).json()["data"]
    assert seen["rejection"]["reason"]["code"] == "CUSTOMER_MANUALLY_REVOKED"


def test_another_receiver_sees_no_consent_of_this_one(reader: Reader) -> None:
    consent_id = reader.consent()
    other = Reader(reader.stage)
    other.register()
    for method in ("GET", "DELETE"):
        path = f"/consents/v3/consents/{consent_id}"
        refused(other.call(method, path, other.own()), 404, "NAO_ENCONTRADO")
    oauth_refused(other.push(consent_id), 400, "invalid_scope")


# --- the customer's word ---


def test_who_is_not_the_consents_customer_neither_sees_nor_decides_it(reader: Reader) -> None:
    consent_id = reader.consent()
    request_id = reader.waiting(consent_id)
    stage = reader.stage
    problem(stage.get(f"/consent-requests/{request_id}", BETO), 404, "consent_request_not_found")
    for decision in ("approve", "deny"):
        answer = decide(stage, request_id, BETOS, subject=BETO, decision=decision)
        problem(answer, 404, "consent_request_not_found")
    assert decide(stage, request_id, ANAS).status_code == 200, "the customer's own word still counts"


@pytest.mark.parametrize(
    "accounts",
    [[], [BETOS], [ANAS, BETOS], ["0b6f0a3e-64ef-4c3a-9d47-3b8f8b0d7f02"]],
    ids=["none", "another's", "another's too", "nobody's"],
)
def test_only_ones_own_accounts_can_be_shown(reader: Reader, accounts: list[str]) -> None:
    request_id = reader.waiting(reader.consent())
    problem(decide(reader.stage, request_id, *accounts), 404, "account_not_found")
    assert decide(reader.stage, request_id, ANAS).status_code == 200


def test_a_closed_account_is_not_offered(reader: Reader) -> None:
    open_account(reader.stage, ANAS_SAVINGS, ANA, "00001235-3", kind="SVGS", status="CLOSED")
    request_id = reader.waiting(reader.consent())
    shown = reader.stage.get(f"/consent-requests/{request_id}").json()
    assert [each["account_id"] for each in shown["accounts"]] == [ANAS]
    problem(decide(reader.stage, request_id, ANAS_SAVINGS), 404, "account_not_found")


def test_a_no_ends_the_consent_and_gives_no_code(reader: Reader) -> None:
    consent_id = reader.consent()
    request_id = reader.waiting(consent_id)
    answer = decide(reader.stage, request_id, decision="deny")
    assert given(answer) == {"error": "access_denied", "state": "state", "iss": PUBLIC_URL}
    seen = reader.call("GET", f"/consents/v3/consents/{consent_id}", reader.own()).json()["data"]
    assert seen["rejection"] == {
        "rejectedBy": "USER",
        "reason": {"code": "CUSTOMER_MANUALLY_REJECTED"},
    }


def test_a_request_is_decided_once(reader: Reader) -> None:
    request_id = reader.waiting(reader.consent())
    assert decide(reader.stage, request_id, ANAS).status_code == 200
    problem(decide(reader.stage, request_id, ANAS), 404, "consent_request_not_found")
    problem(decide(reader.stage, request_id, decision="deny"), 404, "consent_request_not_found")


@pytest.mark.parametrize(
    "body",
    [{}, {"decision": "maybe"}, {"decision": "approve", "accounts": ["x"]}, {"decision": "deny", "x": 1}],
    ids=str,
)
def test_a_word_that_is_none_decides_nothing(reader: Reader, body: dict[str, Any]) -> None:
    request_id = reader.waiting(reader.consent())
    path = f"/consent-requests/{request_id}/decision"
    problem(reader.stage.api.post(path, json=body, headers=signed_in(ANA)), 422, "invalid_request")
    assert reader.stage.api.post(path, json=body).status_code == 401
    assert decide(reader.stage, request_id, ANAS).status_code == 200


def test_nobody_ends_anothers_consent(reader: Reader) -> None:
    reader.linked()
    (own,) = reader.stage.get("/consents").json()["consents"]
    assert reader.stage.get("/consents", BETO).json() == {"consents": []}
    problem(reader.stage.delete(f"/consents/{own['consent_id']}", BETO), 404, "consent_not_found")


# --- the authorisation server ---


@pytest.mark.parametrize(
    "change",
    [
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"redirect_uris": []},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["https://a.test/#x"]},
        {"redirect_uris": "https://a.test"},
        {"jwks": {}},
    ],
    ids=str,
)
def test_a_client_that_cannot_be_trusted_is_not_registered(reader: Reader, change: dict[str, Any]) -> None:
    assert reader.register(**change).status_code == 400


def test_without_simulated_banks_nobody_registers_by_asking() -> None:
    with staged(fresh_seconds=0, url_other_bank=None) as stage:
        oauth_refused(Reader(stage).register(), 403, "invalid_software_statement")


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://elsewhere.test"},
        {"iss": "somebody"},
        {"sub": "somebody"},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": 9_999_999_999},
        {"jti": None},
    ],
    ids=str,
)
def test_an_assertion_that_proves_no_client_opens_nothing(reader: Reader, change: dict[str, Any]) -> None:
    fields = {"grant_type": "client_credentials", "scope": "consents"}
    oauth_refused(reader.form("/oauth/token", fields | reader.assertion(**change)), 401, "invalid_client")


def test_an_assertion_works_once_and_only_with_the_registered_key(reader: Reader) -> None:
    fields = {"grant_type": "client_credentials", "scope": "consents"}
    assertion = reader.assertion()
    assert reader.form("/oauth/token", fields | assertion).status_code == 200
    oauth_refused(reader.form("/oauth/token", fields | assertion), 401, "invalid_client")
    stranger = Reader(reader.stage, OTHER_KEY, reader.client_id)
    oauth_refused(reader.form("/oauth/token", fields | stranger.assertion()), 401, "invalid_client")
    oauth_refused(reader.form("/oauth/token", fields), 401, "invalid_client")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"aud": "https://elsewhere.test"}, "invalid_request_object"),
        ({"exp": 1}, "invalid_request_object"),
        ({"response_type": "token"}, "invalid_request_object"),
        ({"code_challenge_method": "plain"}, "invalid_request_object"),
        ({"code_challenge": ""}, "invalid_request_object"),
        ({"nonce": None}, "invalid_request_object"),
        ({"state": None}, "invalid_request_object"),
        ({"client_id": "somebody"}, "invalid_request_object"),
        ({"redirect_uri": "https://evil.test/"}, "invalid_request"),
        ({"scope": "openid accounts"}, "invalid_scope"),
        ({"scope": "openid consent:urn:gobanking:x accounts"}, "invalid_scope"),
        ({"scope": "openid consent:urn:other:1 consent:urn:other:2"}, "invalid_scope"),
    ],
    ids=str,
)
def test_a_request_object_that_lacks_something_is_not_kept(
    reader: Reader, change: dict[str, Any], error: str
) -> None:
    oauth_refused(reader.push(reader.consent(), **change), 400, error)


def test_a_request_signed_by_another_key_is_not_kept(reader: Reader) -> None:
    consent_id = reader.consent()
    stranger = Reader(reader.stage, OTHER_KEY, reader.client_id)
    fields = {"request": stranger.request(consent_id), **reader.assertion()}
    oauth_refused(reader.form("/oauth/par", fields), 400, "invalid_request_object")


def test_a_token_scope_for_payments_is_none_here(reader: Reader) -> None:
    consent_id = reader.consent()
    scope = f"openid consent:{consent_id} payments"
    oauth_refused(reader.push(consent_id, scope=scope), 400, "invalid_scope")
    fields = {"grant_type": "client_credentials", "scope": "payments"}
    oauth_refused(reader.form("/oauth/token", fields | reader.assertion()), 400, "invalid_scope")


def test_a_pushed_request_is_used_once_soon_and_by_its_client(reader: Reader) -> None:
    consent_id = reader.consent()
    uri = reader.push(consent_id).json()["request_uri"]
    other = Reader(reader.stage)
    other.register()
    oauth_refused(other.arrive(uri), 400, "invalid_request_uri")
    assert reader.arrive(uri).status_code == 200
    oauth_refused(reader.arrive(uri), 400, "invalid_request_uri")
    late = reader.push(consent_id).json()["request_uri"]
    reader.stage.time.skip(seconds=91)
    oauth_refused(reader.arrive(late), 400, "invalid_request_uri")
    oauth_refused(reader.arrive("urn:ietf:params:oauth:request_uri:made-up"), 400, "invalid_request_uri")


def test_a_pushed_request_cannot_be_decided_before_its_browser_came(reader: Reader) -> None:
    uri = reader.push(reader.consent()).json()["request_uri"]
    request_id = uri.rpartition(":")[2]
    assert decide(reader.stage, request_id, ANAS).status_code in {404, 422}


def test_a_replayed_code_ends_the_consent(reader: Reader) -> None:
    consent_id = reader.consent()
    code = reader.code(consent_id)
    token = reader.exchange(code).json()["access_token"]
    oauth_refused(reader.exchange(code), 400, "invalid_grant")
    refused(reader.call("GET", ACCOUNTS, token), 401, "CONSENTIMENTO_INVALIDO")
    seen = reader.call("GET", f"/consents/v3/consents/{consent_id}", reader.own()).json()["data"]
    assert seen["rejection"]["reason"]["code"] == "INTERNAL_SECURITY_REASON"


@pytest.mark.parametrize(
    "change",
    [{"code_verifier": "w" * 43}, {"redirect_uri": "https://evil.test/"}, {"code": "made-up"}, {"code": ""}],
    ids=str,
)
def test_a_code_with_anothers_proof_gives_nothing(reader: Reader, change: dict[str, str]) -> None:
    oauth_refused(reader.exchange(reader.code(reader.consent()), **change), 400, "invalid_grant")


def test_a_code_is_good_for_a_minute_and_for_its_client(reader: Reader) -> None:
    code = reader.code(reader.consent())
    other = Reader(reader.stage)
    other.register()
    oauth_refused(other.exchange(code), 400, "invalid_grant")
    reader.stage.time.skip(seconds=61)
    oauth_refused(reader.exchange(code), 400, "invalid_grant")


def test_an_access_token_is_good_for_a_quarter_and_is_refreshed_while_the_consent_stands(
    reader: Reader,
) -> None:
    consent_id = reader.consent()
    said = reader.exchange(reader.code(consent_id)).json()
    reader.stage.time.skip(minutes=15)
    refused(reader.call("GET", ACCOUNTS, said["access_token"]), 401, "NAO_AUTORIZADO")
    fields = {"grant_type": "refresh_token", "refresh_token": said["refresh_token"]}
    fresh = reader.form("/oauth/token", fields | reader.assertion()).json()
    assert reader.call("GET", ACCOUNTS, fresh["access_token"]).status_code == 200
    refused(reader.call("GET", ACCOUNTS, said["refresh_token"]), 401, "NAO_AUTORIZADO")
    assert reader.call("DELETE", f"/consents/v3/consents/{consent_id}", reader.own()).status_code == 204
    oauth_refused(reader.form("/oauth/token", fields | reader.assertion()), 400, "invalid_grant")


@pytest.mark.parametrize("grant", ["password", "implicit", ""], ids=repr)
def test_no_other_grant_is_known(reader: Reader, grant: str) -> None:
    fields = {"grant_type": grant, "username": "ana", "password": VERIFIER}
    oauth_refused(reader.form("/oauth/token", fields | reader.assertion()), 400, "unsupported_grant_type")


def test_a_parameter_that_stands_twice_is_refused(reader: Reader) -> None:
    answer = reader.stage.api.post("/oauth/token", content=b"grant_type=a&grant_type=b")
    oauth_refused(answer, 400, "invalid_request")


# --- reading ---


def test_a_token_reads_only_what_was_allowed_and_chosen(reader: Reader) -> None:
    _, token = reader.linked(ANAS, permissions=BALANCES)
    assert reader.call("GET", f"{ACCOUNTS}/{ANAS}/balances", token).status_code == 200
    for each in ("transactions", "transactions-current", "overdraft-limits"):
        refused(reader.call("GET", f"{ACCOUNTS}/{ANAS}/{each}", token), 403, "NAO_PERMITIDO")
    for account in (ANAS_SAVINGS, BETOS, "made-up"):
        for ending in ("", "/balances"):
            answer = reader.call("GET", f"{ACCOUNTS}/{account}{ending}", token)
            refused(answer, 404, "NAO_ENCONTRADO")


def test_a_token_for_one_thing_is_none_for_another(reader: Reader) -> None:
    consent_id, token = reader.linked()
    refused(reader.call("GET", ACCOUNTS, reader.own()), 403, "NAO_PERMITIDO")
    refused(reader.call("GET", f"/consents/v3/consents/{consent_id}", token), 403, "NAO_PERMITIDO")
    ours = signed_in(ANA)["Authorization"].removeprefix("Bearer ")
    refused(reader.call("GET", ACCOUNTS, ours), 401, "NAO_AUTORIZADO")
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("/links", "/consents", "/payment-initiations", "/linked-accounts"):
        assert reader.stage.api.get(path, headers=headers).status_code == 401


@pytest.mark.parametrize("header", ["", "Basic x", "Bearer", "Bearer ", "Bearer made-up"], ids=repr)
def test_without_a_token_nothing_is_read(reader: Reader, header: str) -> None:
    answer = reader.call("GET", ACCOUNTS, "", headers={"Authorization": header})
    refused(answer, 401, "NAO_AUTORIZADO")


@pytest.mark.parametrize("given_id", ["", "not-a-uuid", "1" * 32], ids=repr)
def test_an_interaction_id_that_is_none_is_answered_with_one_of_ours(reader: Reader, given_id: str) -> None:
    _, token = reader.linked()
    answer = reader.call("GET", ACCOUNTS, token, headers={"x-fapi-interaction-id": given_id})
    refused(answer, 400, "PARAMETRO_INVALIDO")
    assert len(answer.headers["x-fapi-interaction-id"]) == 36
    assert answer.headers["x-fapi-interaction-id"] != given_id


def test_an_interaction_id_is_echoed(reader: Reader) -> None:
    sent = "0b6f0a3e-64ef-4c3a-9d47-3b8f8b0d7f02"
    _, token = reader.linked()
    for method, path, bearer in (
        ("GET", ACCOUNTS, token),
        ("GET", ACCOUNTS, "made-up"),
        ("GET", f"{ACCOUNTS}/{BETOS}", token),
        ("DELETE", "/consents/v3/consents/urn:gobanking:none", reader.own()),
    ):
        answer = reader.call(method, path, bearer, headers={"x-fapi-interaction-id": sent})
        assert answer.headers.get_list("x-fapi-interaction-id") == [sent]


def test_an_account_that_was_closed_is_no_longer_read(reader: Reader) -> None:
    _, token = reader.linked(ANAS, ANAS_SAVINGS)
    open_account(reader.stage, ANAS_SAVINGS, ANA, "00001235-3", kind="SVGS", status="CLOSED")
    resources = reader.call("GET", "/resources/v3/resources", token).json()["data"]
    assert [each["status"] for each in resources] == ["AVAILABLE", "UNAVAILABLE"]
    assert [each["accountId"] for each in reader.call("GET", ACCOUNTS, token).json()["data"]] == [ANAS]
    refused(reader.call("GET", f"{ACCOUNTS}/{ANAS_SAVINGS}/balances", token), 404, "NAO_ENCONTRADO")


def test_a_list_has_pages_and_only_the_links_that_apply(reader: Reader) -> None:
    _, token = reader.linked(ANAS, ANAS_SAVINGS)
    first = reader.call("GET", f"{ACCOUNTS}?page-size=1", token).json()
    assert first["meta"]["totalRecords"] == first["meta"]["totalPages"] == 2
    assert set(first["links"]) == {"self", "next", "last"}
    assert first["links"]["next"] == f"{PUBLIC_URL}/open-banking{ACCOUNTS}?page=2&page-size=1"
    second = reader.call("GET", f"{ACCOUNTS}?page-size=1&page=2", token).json()
    assert set(second["links"]) == {"self", "first", "prev", "last"}
    assert [each["data"][0]["type"] for each in (first, second)] == [
        "CONTA_DEPOSITO_A_VISTA",
        "CONTA_POUPANCA",
    ]
    only = reader.call("GET", f"{ACCOUNTS}?accountType=CONTA_POUPANCA", token).json()
    assert [each["accountId"] for each in only["data"]] == [ANAS_SAVINGS]


def test_a_statement_has_pages_but_no_totals(reader: Reader) -> None:
    _, token = reader.linked()
    path = f"{ACCOUNTS}/{ANAS}/transactions?fromBookingDate=2026-10-01&toBookingDate=2026-11-25&page-size=2"
    first = reader.call("GET", path, token).json()
    assert set(first["links"]) == {"self", "next"}
    assert set(first["meta"]) == {"requestDateTime"}
    assert "fromBookingDate=2026-10-01" in first["links"]["next"]
    second = reader.call("GET", f"{path}&page=2", token).json()
    assert set(second["links"]) == {"self", "first", "prev"}
    found = [*first["data"], *second["data"]]
    assert [(each["creditDebitType"], each["transactionAmount"]["amount"]) for each in found] == [
        ("CREDITO", "7.00"),
        ("DEBITO", "25.00"),
        ("CREDITO", "1000.00"),
    ]
    assert len({each["transactionId"] for each in found}) == 3
    assert found[0]["transactionDateTime"] == "2026-11-25T11:30:00.000Z"


@pytest.mark.parametrize(
    ("query", "amounts"),
    [
        ("", ["7.00"]),
        ("?fromBookingDate=2026-11-20&toBookingDate=2026-11-20", ["25.00"]),
        ("?fromBookingDate=2026-11-01&toBookingDate=2026-11-30", ["7.00", "25.00"]),
        ("?fromBookingDate=2026-01-01&toBookingDate=2026-10-31", ["1000.00"]),
        ("?fromBookingDate=2026-10-01&toBookingDate=2026-11-25&creditDebitIndicator=DEBITO", ["25.00"]),
    ],
    ids=["today", "one day", "a month", "long before the opening", "debits"],
)
def test_a_statement_is_of_the_days_that_were_asked_for(
    reader: Reader, query: str, amounts: list[str]
) -> None:
    _, token = reader.linked()
    found = reader.call("GET", f"{ACCOUNTS}/{ANAS}/transactions{query}", token).json()["data"]
    assert [each["transactionAmount"]["amount"] for each in found] == amounts


@pytest.mark.parametrize(
    "path",
    [
        "?page=0",
        "?page=x",
        "?page-size=1001",
        "?page-size=-1",
        "?accountType=CONTA",
        f"/{ANAS}/transactions?fromBookingDate=2026-11-01",
        f"/{ANAS}/transactions?fromBookingDate=2026-11-02&toBookingDate=2026-11-01",
        f"/{ANAS}/transactions?fromBookingDate=2025-11-01&toBookingDate=2025-11-02",
        f"/{ANAS}/transactions?fromBookingDate=yesterday&toBookingDate=today",
        f"/{ANAS}/transactions?creditDebitIndicator=BOTH",
        f"/{ANAS}/transactions-current?fromBookingDate=2026-11-18&toBookingDate=2026-11-25",
    ],
)
def test_a_question_that_cannot_be_is_refused(reader: Reader, path: str) -> None:
    _, token = reader.linked()
    refused(reader.call("GET", f"{ACCOUNTS}{path}", token), 422, "PARAMETRO_INVALIDO")


def test_the_last_seven_days_may_be_asked_for(reader: Reader) -> None:
    _, token = reader.linked()
    query = "?fromBookingDate=2026-11-19&toBookingDate=2026-11-25"
    found = reader.call("GET", f"{ACCOUNTS}/{ANAS}/transactions-current{query}", token).json()["data"]
    assert len(found) == 2
    assert reader.call("GET", f"{ACCOUNTS}/{ANAS}", token).json()["data"]["subtype"] == "INDIVIDUAL"


def test_no_account_here_has_an_overdraft(reader: Reader) -> None:
    _, token = reader.linked(
        permissions=["ACCOUNTS_READ", "ACCOUNTS_OVERDRAFT_LIMITS_READ", "RESOURCES_READ"]
    )
    assert reader.call("GET", f"{ACCOUNTS}/{ANAS}/overdraft-limits", token).json()["data"] == {}


def test_nothing_of_a_consent_is_readable_in_the_store(reader: Reader) -> None:
    consent_id, token = reader.linked()
    kept = str(reader.stage.items())
    assert consent_id.rpartition(":")[2] in kept, "its number is its key"
    for secret in (CPFS[ANA], token, ANAS, *ALL, "nonce-of-nobody"):
        assert secret not in kept

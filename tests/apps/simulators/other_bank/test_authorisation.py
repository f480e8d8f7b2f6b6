"""The simulated authorisation server refuses what a real one would: the other half of our own tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from apps.simulators.other_bank import app
from apps.simulators.other_bank.banks import Banks
from apps.simulators.other_bank.brands import USUAL, read
from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.signatures import SigningKey, verified
from tests.apps.open_finance.stage import BANKS_URL, CPFS, Browser, Time, bank_key, query_of
from tests.apps.serving import ANA
from tests.apps.simulators.other_bank.client import Client

STRANGER = SigningKey("client")


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey("client")


@pytest.fixture
def client(key: SigningKey) -> Iterator[Client]:
    time = Time()
    banks = Banks(USUAL, Clock(time.now), bank_key())
    with TestClient(app.create(banks), base_url=BANKS_URL, raise_server_exceptions=False) as http:
        made = Client(http, time, key)
        assert made.register().status_code == 201
        yield made


def consent_id(client: Client) -> str:
    return str(client.consent().json()["data"]["consentId"])


def test_the_whole_dance_ends_in_tokens_and_an_id_token_for_this_request(client: Client) -> None:
    answer = client.exchange(client.code(consent_id(client))).json()
    claims = verified(answer["id_token"], client.http.get("/ipe/jwks").json())
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (client.issuer, client.client_id, "nonce")
    assert "cpf" not in claims, "nobody asked for it"
    assert client.call("GET", "/accounts/v2/accounts", answer["access_token"]).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://elsewhere"},
        {"iss": "somebody"},
        {"sub": "somebody"},
        {"exp": 1},
        {"exp": 9_999_999_999},
        {"exp": None},
        {"jti": None, "aud": None},
    ],
    ids=str,
)
def test_an_assertion_that_proves_no_client_opens_nothing(client: Client, change: dict[str, Any]) -> None:
    fields = {"grant_type": "client_credentials", "scope": "consents", **client.assertion(**change)}
    answer = client.form("/token", fields)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_assertion_works_once_and_only_with_the_registered_key(client: Client) -> None:
    fields = {"grant_type": "client_credentials", "scope": "consents", **client.assertion()}
    assert [client.form("/token", fields).status_code for _ in range(2)] == [200, 401]
    client.key = STRANGER
    assert client.form("/token", fields | client.assertion()).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://client.test/other"},
        {"code_challenge_method": "plain"},
        {"code_challenge": None},
        {"response_type": "token"},
        {"aud": "https://elsewhere"},
        {"exp": 1},
        {"nonce": ""},
        {"state": None},
        {"scope": "openid accounts"},
        {"iss": "somebody"},
    ],
    ids=str,
)
def test_a_request_object_that_lacks_something_is_not_kept(client: Client, change: dict[str, Any]) -> None:
    assert client.pushed(consent_id(client), **change).status_code == 400


def test_a_pushed_request_is_used_once_and_soon(client: Client) -> None:
    url = client.page(consent_id(client))
    assert [client.http.get(url).status_code for _ in range(2)] == [200, 400]
    late = client.page(consent_id(client))
    client.clock.skip(seconds=91)
    assert client.http.get(late).status_code == 400


def test_a_bank_that_asks_for_par_takes_no_other_request(client: Client) -> None:
    request = client.request_object(consent_id(client))
    url = f"{client.issuer}/authorize?client_id={client.client_id}&request={request}"
    assert client.http.get(url).status_code == 400


def test_a_code_works_once_and_its_replay_ends_what_it_gave(client: Client) -> None:
    code = client.code(consent_id(client))
    first = client.exchange(code)
    assert client.exchange(code).json()["error"] == "invalid_grant"
    token = first.json()["access_token"]
    assert client.call("GET", "/accounts/v2/accounts", token).status_code == 401


@pytest.mark.parametrize(
    "change",
    [{"code_verifier": "w" * 43}, {"redirect_uri": "https://client.test/other"}, {"code": "made-up"}],
    ids=["verifier", "redirect_uri", "code"],
)
def test_a_code_with_anothers_proof_gives_nothing(client: Client, change: dict[str, str]) -> None:
    answer = client.exchange(client.code(consent_id(client)), **change)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_code_is_good_for_a_minute(client: Client) -> None:
    code = client.code(consent_id(client))
    client.clock.skip(seconds=61)
    assert client.exchange(code).json()["error"] == "invalid_grant"


def test_a_wrong_password_shows_the_form_again(client: Client) -> None:
    browser = Browser(client.http)
    page = browser.open(client.page(consent_id(client)))
    again = browser.submit(page, ("cpf", CPFS[ANA]), ("password", "guess"))
    assert again.status_code == 401
    inside = browser.submit(again, ("cpf", "529.982.247-25"), ("password", "ipe-amarelo"))
    assert len(browser.accounts(inside)) == 2


def test_somebody_elses_account_cannot_be_chosen(client: Client) -> None:
    browser = Browser(client.http)
    page = browser.open(client.page(consent_id(client)))
    inside = browser.submit(page, ("cpf", CPFS[ANA]), ("password", "ipe-amarelo"))
    answer = browser.submit(inside, ("account", "a" * 32), ("decision", "approve"))
    assert answer.status_code == 422


def test_who_has_not_signed_in_decides_nothing(client: Client) -> None:
    browser = Browser(client.http)
    page = browser.open(client.page(consent_id(client)))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    visit = page.text.split('name="visit" value="')[1].split('"')[0]
    body = f"visit={visit}&decision=approve&account=a"
    answer = client.http.post("/ipe/authorize/decision", content=body, headers=headers)
    assert answer.status_code == 403


def test_a_no_sends_the_browser_back_without_a_code(client: Client) -> None:
    browser = Browser(client.http)
    page = browser.open(client.page(consent_id(client)))
    inside = browser.submit(page, ("cpf", CPFS[ANA]), ("password", "ipe-amarelo"))
    query = query_of(browser.submit(inside, ("decision", "deny")).headers["location"])
    assert query == {"error": "access_denied", "state": "state", "iss": client.issuer}


@pytest.mark.parametrize(
    "change",
    [{"redirect_uris": []}, {"jwks": {}}, {"token_endpoint_auth_method": "client_secret_basic"}],
    ids=str,
)
def test_a_client_without_a_key_or_a_way_back_is_not_registered(
    client: Client, change: dict[str, Any]
) -> None:
    assert client.register(**change).status_code == 400


@pytest.mark.parametrize("text", ["[]", "[{}]", "{", '[{"slug": "a"}]'])
def test_brands_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


def test_brands_are_what_the_settings_say() -> None:
    brand = USUAL[0].model_copy(update={"slug": "other", "decimals": 4})
    assert read(f"[{brand.model_dump_json()}]") == (brand,)

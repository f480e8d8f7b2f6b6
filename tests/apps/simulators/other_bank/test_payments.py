"""Payments 4 as published: signed bodies, one payment per key and consent, codes for what cannot be."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from apps.simulators.other_bank import app
from apps.simulators.other_bank.banks import Banks
from apps.simulators.other_bank.brands import USUAL
from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.signatures import SigningKey, verified
from tests.apps.open_finance.stage import BANKS_URL, CPFS, Browser, Time, bank_key, query_of
from tests.apps.serving import ANA
from tests.apps.simulators.other_bank.client import Client

KEY, STRANGER = SigningKey("client"), SigningKey("client")
CONSENTS, PAYMENTS = "/payments/v4/consents", "/payments/v4/pix/payments"
PAYEE = {"ispb": "12345678", "issuer": "0001", "number": "123", "accountType": "CACC"}
USER = {"document": {"identification": CPFS[ANA], "rel": "CPF"}}
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def client() -> Iterator[Client]:
    time = Time()
    banks = Banks(USUAL, Clock(time.now), bank_key())
    with TestClient(app.create(banks), base_url=BANKS_URL, raise_server_exceptions=False) as http:
        made = Client(http, time, KEY)
        assert made.register().status_code == 201
        yield made


def wish() -> dict[str, Any]:
    details = {"localInstrument": "MANU", "creditorAccount": dict(PAYEE)}
    payment = {"type": "PIX", "date": "2026-11-25", "currency": "BRL", "amount": "10.00", "details": details}
    creditor = {"personType": "PESSOA_NATURAL", "cpfCnpj": "11144477735", "name": "Beto"}
    return {"loggedUser": USER, "creditor": creditor, "payment": payment}


def sent(
    client: Client, path: str, data: Any, token: str, key: str | None = None, **changes: Any
) -> Response:
    url = f"{client.issuer}/open-banking{path}"
    headers = {"Content-Type": "application/jwt", "x-idempotency-key": key or uuid.uuid4().hex}
    return client.call("POST", path, token, content=client.signed(url, data, **changes), headers=headers)


def asked(client: Client, data: Any, key: str | None = None, **changes: Any) -> Response:
    return sent(client, CONSENTS, data, client.token("payments"), key, **changes)


def claims(answer: Response) -> dict[str, Any]:
    """What a signed answer says."""
    assert answer.headers["content-type"].startswith("application/jwt"), answer.text
    return verified(answer.text, {"keys": [bank_key().jwk]})


def authorised(client: Client) -> tuple[str, str]:
    """An authorised payment consent and its token."""
    consent_id = claims(asked(client, wish()))["data"]["consentId"]
    scope = f"openid consent:{consent_id} payments"
    page = client.page(consent_id, scope=scope)

    code = query_of(Browser(client.http).agree(page, CPFS[ANA], first_only=True))["code"]
    return consent_id, client.exchange(code).json()["access_token"]


def order(consent_id: str) -> dict[str, Any]:
    return {
        "endToEndId": "E99999101202611251200abcdefghijk",
        "localInstrument": "MANU",
        "payment": {"amount": "10.00", "currency": "BRL"},
        "creditorAccount": dict(PAYEE),
        "cnpjInitiator": "99999010000101",
        "consentId": consent_id,
    }


def test_an_answer_is_signed_for_this_client_alone(client: Client) -> None:
    said = claims(asked(client, wish()))
    assert (said["iss"], said["aud"]) == (USUAL[0].organisation_id, "org")
    assert said["data"]["status"] == "AWAITING_AUTHORISATION"
    assert said["data"]["expirationDateTime"] == "2026-11-25T12:05:00Z"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"aud": "https://elsewhere"}, 403),
        ({"iss": "somebody"}, 403),
        ({"iat": 1}, 403),
        ({"jti": None}, 403),
    ],
    ids=str,
)
def test_a_message_for_elsewhere_is_refused(client: Client, change: dict[str, Any], status: int) -> None:
    assert asked(client, wish(), **change).status_code == status


def test_a_message_signed_by_another_key_is_refused(client: Client) -> None:
    token = client.token("payments")
    client.key = STRANGER
    answer = sent(client, CONSENTS, wish(), token)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "BAD_SIGNATURE")


def test_a_message_sent_twice_is_a_copy(client: Client) -> None:
    assert asked(client, wish(), jti="one").status_code == 201
    assert asked(client, wish(), jti="one").status_code == 403


WRONG: dict[str, tuple[Change, str]] = {
    "no creditor": (lambda each: each.pop("creditor"), "PARAMETRO_NAO_INFORMADO"),
    "no Pix": (lambda each: each["payment"].update(type="TED"), "FORMA_PAGAMENTO_INVALIDA"),
    "four decimals": (lambda each: each["payment"].update(amount="10.0001"), "PARAMETRO_INVALIDO"),
    "nothing": (lambda each: each["payment"].update(amount="0.00"), "PARAMETRO_INVALIDO"),
    "dollars": (lambda each: each["payment"].update(currency="USD"), "PARAMETRO_INVALIDO"),
    "yesterday": (lambda each: each["payment"].update(date="2026-11-24"), "DATA_PAGAMENTO_INVALIDA"),
    "no day": (lambda each: each["payment"].pop("date"), "DATA_PAGAMENTO_INVALIDA"),
    "two days": (
        lambda each: each["payment"].update(schedule={"single": {"date": "2026-11-26"}}),
        "DATA_PAGAMENTO_INVALIDA",
    ),
    "no instrument": (
        lambda each: each["payment"]["details"].update(localInstrument="X"),
        "DETALHE_PAGAMENTO_INVALIDO",
    ),
    "a key by hand": (
        lambda each: each["payment"]["details"].update(proxy="a"),
        "DETALHE_PAGAMENTO_INVALIDO",
    ),
    "DICT without a key": (
        lambda each: each["payment"]["details"].update(localInstrument="DICT"),
        "PARAMETRO_NAO_INFORMADO",
    ),
    "no account": (
        lambda each: each["payment"]["details"]["creditorAccount"].update(ispb="1"),
        "DETALHE_PAGAMENTO_INVALIDO",
    ),
}


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG)
def test_a_consent_that_cannot_be_is_refused_with_the_published_code(
    client: Client, change: Change, expected: str
) -> None:
    data = wish()
    change(data)
    answer = asked(client, data)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, expected)


def test_a_key_makes_one_consent_and_another_wish_under_it_is_an_error(client: Client) -> None:
    ids = {claims(asked(client, wish(), "k"))["data"]["consentId"] for _ in range(2)}
    assert len(ids) == 1
    other = wish()
    other["payment"]["amount"] = "11.00"
    assert asked(client, other, "k").json()["errors"][0]["code"] == "ERRO_IDEMPOTENCIA"


def test_a_consent_pays_once(client: Client) -> None:
    consent_id, token = authorised(client)
    first = sent(client, PAYMENTS, [order(consent_id)], token, "k")
    assert claims(first)["data"][0]["status"] == "RCVD"
    again = sent(client, PAYMENTS, [order(consent_id)], token, "k")
    assert claims(again)["data"][0]["paymentId"] == claims(first)["data"][0]["paymentId"]
    other = sent(client, PAYMENTS, [order(consent_id)], token)
    assert other.json()["errors"][0]["code"] == "CONSENTIMENTO_INVALIDO"


@pytest.mark.parametrize(
    "change",
    [
        {"payment": {"amount": "10.01", "currency": "BRL"}},
        {"creditorAccount": PAYEE | {"number": "124"}},
        {"localInstrument": "DICT"},
        {"consentId": "urn:gobanksim:OTHER"},
        {"proxy": "a"},
    ],
    ids=str,
)
def test_a_payment_is_what_was_consented_to(client: Client, change: dict[str, Any]) -> None:
    consent_id, token = authorised(client)
    answer = sent(client, PAYMENTS, [order(consent_id) | change], token)
    assert answer.json()["errors"][0]["code"] == "PAGAMENTO_DIVERGENTE_CONSENTIMENTO"


def test_an_authorised_consent_is_used_within_an_hour(client: Client) -> None:
    consent_id, _ = authorised(client)
    client.clock.skip(minutes=60)
    data = claims(client.call("GET", f"{CONSENTS}/{consent_id}", client.token("payments")))["data"]
    assert (data["status"], data["rejectionReason"]["code"]) == ("REJECTED", "TEMPO_EXPIRADO_CONSUMO")


def test_a_payment_needs_its_customers_token(client: Client) -> None:
    consent_id, _ = authorised(client)
    assert sent(client, PAYMENTS, [order(consent_id)], client.token("payments")).status_code == 403

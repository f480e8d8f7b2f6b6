"""QR codes over HTTP: made, read back, drawn, and refused with the rule that they break."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from apps.kit.dynamo import Unavailable
from apps.ledger.account import Balance
from apps.ledger.charges import Charges
from apps.ledger.store import Clock
from apps.pix import br_code
from apps.pix.br_code import DynamicCode, StaticCode
from apps.pix.spi import Party
from apps.transaction.qr_codes import ADDRESS, QrCodes
from apps.transaction.qr_codes_api import MAX_CENTS, QrCodeService, router
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.apps.ledger.bank import Time
from tests.apps.pix.verdicts import CODES, closed
from tests.apps.serving import ANA, BETO, problem, served, signed_in
from tests.apps.transaction.fake_ledger import FakeLedger, funded

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
KEY = "ana@example.com"
ACCOUNT = "0a000000-0000-5000-8000-000000000001"
STATIC = {"kind": "static", "key": KEY}
CHARGE: dict[str, Any] = {"kind": "dynamic", "account_id": ACCOUNT, "amount_cents": 1_234}
REFUSALS = {
    "checksum_missing": "qr_code_tampered",
    "checksum_wrong": "qr_code_tampered",
    "not_pix": "qr_code_foreign",
    "other_version": "qr_code_foreign",
    "other_currency": "qr_code_foreign",
    "other_country": "qr_code_foreign",
}
"""What the API says for a verdict; for all others `qr_code_invalid`."""


class People:
    """Ana, her account and her key, and what fails."""

    def __init__(self) -> None:
        self.holder = Party("99999004", "52998224725", "000012345", "CACC", "0001", "Ána Souza")
        self.keys = {(KEY, ANA): ACCOUNT}
        self.fails: Exception | None = None

    def party(self, account_id: str) -> Party | None:
        return self.holder if account_id == ACCOUNT else None

    def account_of(self, key: str, authorization: str) -> str | None:
        if self.fails is not None:
            raise self.fails
        known = {signed_in(who)["Authorization"]: who for who in (ANA, BETO)}
        return self.keys.get((key, known[authorization]))


class Bank:
    def __init__(self) -> None:
        self.time = Time(NOON)
        self.people = People()
        raw: Any = FakeDynamo(catalog_tables(""), lambda: self.time().timestamp())
        self.charges = Charges(raw, "transactions")
        self.ledger = FakeLedger(funded(ACCOUNT, ANA, 5))
        self.ledger.clock = Clock(now=self.time)
        codes = QrCodes(self.charges, self.people, self.people, self.ledger.clock)
        self.service = QrCodeService(codes, self.ledger)

    def change(self, **values: Any) -> None:
        balance: Balance = self.ledger.balances[ACCOUNT]
        self.ledger.balances[ACCOUNT] = replace(balance, **values)


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def client(bank: Bank) -> Iterator[TestClient]:
    with served(router, {"qr_codes": bank.service}) as opened:
        yield opened


def make(client: TestClient, body: Any, subject: str = ANA, once: str | None = None) -> Response:
    headers = signed_in(subject, **{"Idempotency-Key": once or str(uuid4())})
    return client.post("/qr-codes", json=body, headers=headers)


def read(client: TestClient, text: str, subject: str = BETO) -> Response:
    return client.post("/qr-codes/decode", json={"qr_code": text}, headers=signed_in(subject))


def look(client: TestClient, qr_code_id: str, subject: str = ANA) -> Response:
    return client.get(f"/qr-codes/{qr_code_id}", headers=signed_in(subject))


def test_a_static_code_is_made_for_a_key_and_read_by_anybody(client: TestClient) -> None:
    wish = {"key": KEY.upper(), "amount_cents": 1_050, "txid": "pedido42", "description": "Almoço"}
    answer = make(client, STATIC | wish | {"city": "São Paulo"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert br_code.decode(made["qr_code"]) == StaticCode(
        KEY, "Ana Souza", "Sao Paulo", 1_050, "pedido42", "Almoco"
    )
    picture = made.pop("picture")
    assert picture.startswith("data:image/svg+xml")
    seen = read(client, f" {made['qr_code']}\n")
    assert seen.status_code == 200
    assert seen.json() == made
    assert (made["kind"], made["status"], made["qr_code_id"]) == ("static", None, None)


def test_a_code_without_an_amount_asks_for_none(client: TestClient) -> None:
    made = make(client, STATIC).json()
    assert (made["amount_cents"], made["txid"], made["description"]) == (None, None, None)


def test_a_picture_is_a_png_where_one_is_asked_for(client: TestClient) -> None:
    made = make(client, STATIC | {"picture": "png"}).json()
    head, _, body = made["picture"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body).startswith(b"\x89PNG\r\n")


def test_a_charge_is_made_once_for_a_key_of_idempotency(client: TestClient, bank: Bank) -> None:
    wish = CHARGE | {"expires_in_minutes": 30, "description": "Conta"}
    first = make(client, wish, once="k")
    assert first.status_code == 201, first.text
    made = first.json()
    assert first.headers["location"] == f"/qr-codes/{made['qr_code_id']}"
    assert (made["kind"], made["status"], made["amount_cents"]) == ("dynamic", "OPEN", 1_234)
    assert datetime.fromisoformat(made["expires_at"]) == NOON + timedelta(minutes=30)
    code = br_code.decode(made["qr_code"])
    assert isinstance(code, DynamicCode)
    assert code.url == ADDRESS + UUID(made["qr_code_id"]).hex
    bank.time.moment += timedelta(minutes=5)
    again = make(client, wish, once="k")
    assert again.json() == made
    assert again.headers["idempotent-replayed"] == "true"
    other = make(client, wish | {"amount_cents": 1_235}, once="k")
    problem(other, 422, "idempotency_key_reused", final=True)


def test_a_charge_is_seen_by_whoever_has_its_code_and_its_fate_by_who_made_it(
    client: TestClient, bank: Bank
) -> None:
    made = make(client, CHARGE).json()
    assert read(client, made["qr_code"]).json()["status"] == "OPEN"
    mine = look(client, made["qr_code_id"]).json()
    assert (mine["account_id"], mine["transfer_id"]) == (ACCOUNT, None)
    problem(look(client, made["qr_code_id"], BETO), 404, "qr_code_not_found")
    problem(look(client, str(uuid4())), 404, "qr_code_not_found")
    bank.time.moment += timedelta(days=1)
    assert look(client, made["qr_code_id"]).json()["status"] == "EXPIRED"


@pytest.mark.parametrize(("given", "verdict"), CODES, ids=range(len(CODES)))
def test_a_code_is_read_or_refused_as_the_table_says(client: TestClient, given: str, verdict: str) -> None:
    answer = read(client, given)
    if not given or len(given) > br_code.MAX_CHARACTERS:
        problem(answer, 422, "invalid_request")
    elif verdict.startswith("static"):
        assert answer.status_code == 200, answer.text
        assert answer.json()["key"] == verdict.split(" ")[1]
    elif verdict.startswith("dynamic"):
        assert problem(answer, 422, "qr_code_foreign")["verdict"] == "other_bank"
    else:
        refused = problem(answer, 422, REFUSALS.get(verdict, "qr_code_invalid"))
        assert refused["verdict"] == verdict


@pytest.mark.parametrize("name", ["0" * 32, "0" * 31, "nothing", "a/b"])
def test_a_charge_that_does_not_exist_is_unknown(client: TestClient, name: str) -> None:
    code = br_code.encode(DynamicCode(ADDRESS + name, "Ana", "SP"))
    problem(read(client, code), 422, "qr_code_unknown")


def test_an_address_that_only_begins_like_ours_is_foreign(client: TestClient) -> None:
    code = br_code.encode(DynamicCode(f"x.{ADDRESS}{'0' * 32}", "Ana", "SP"))
    assert problem(read(client, code), 422, "qr_code_foreign")["verdict"] == "other_bank"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "static", "key": "nobody@example.com"}, 404, "key_not_found"),
        ({"kind": "static", "key": "52998224726"}, 422, "invalid_key"),
        ({"kind": "static", "key": KEY, "txid": "a b"}, 422, "invalid_request"),
        ({"kind": "static", "key": KEY, "txid": "a" * 26}, 422, "invalid_request"),
        ({"kind": "static", "key": KEY, "amount_cents": 0}, 422, "invalid_request"),
        ({"kind": "static", "key": KEY, "amount_cents": MAX_CENTS + 1}, 422, "invalid_request"),
        ({"kind": "static", "key": KEY, "picture": "gif"}, 422, "invalid_request"),
        (CHARGE | {"kind": "static"}, 422, "invalid_request"),
        ({"key": KEY}, 422, "invalid_request"),
        (CHARGE | {"account_id": str(UUID(int=7))}, 404, "account_not_found"),
        (CHARGE | {"expires_in_minutes": 0}, 422, "invalid_request"),
        (CHARGE | {"amount_cents": None}, 422, "invalid_request"),
        (CHARGE | {"amount_cents": True}, 422, "invalid_request"),
    ],
)
def test_a_code_that_cannot_be_made_is_refused(
    client: TestClient, body: dict[str, Any], status: int, code: str
) -> None:
    problem(make(client, body), status, code)


def test_nobody_makes_codes_for_what_is_anothers(client: TestClient) -> None:
    problem(make(client, STATIC, BETO), 404, "key_not_found")
    problem(make(client, CHARGE, BETO), 404, "account_not_found")


def test_a_closed_account_asks_for_nothing(client: TestClient, bank: Bank) -> None:
    bank.change(status="CLOSED")
    problem(make(client, CHARGE), 409, "account_closed")


def test_the_largest_amount_fits_into_a_code(client: TestClient) -> None:
    made = make(client, CHARGE | {"amount_cents": MAX_CENTS}).json()
    assert read(client, made["qr_code"]).json()["amount_cents"] == MAX_CENTS


@pytest.mark.parametrize("name", ["\u5c71\u7530", "A" * 200, None], ids=["foreign", "long", "none"])
def test_every_holder_has_a_name_that_a_code_can_carry(
    client: TestClient, bank: Bank, name: str | None
) -> None:
    bank.people.holder = replace(bank.people.holder, name=name)
    made = make(client, CHARGE).json()
    assert 0 < len(made["name"]) <= br_code.MAX_NAME


def test_a_long_key_leaves_less_room_for_a_description_and_says_so(client: TestClient, bank: Bank) -> None:
    key = "a" * 60 + "@example.com"
    bank.people.keys[key, ANA] = ACCOUNT
    assert make(client, STATIC | {"key": key}).status_code == 201
    refused = make(client, STATIC | {"key": key, "description": "x" * 40})
    assert problem(refused, 422, "qr_code_invalid")["verdict"] == "description_form"


def test_a_dict_service_that_is_away_decides_nothing(client: TestClient, bank: Bank) -> None:
    bank.people.fails = Unavailable("dict_key")
    problem(make(client, STATIC), 503, "unavailable")


def test_a_code_with_a_checksum_that_fits_but_no_pix_in_it_is_foreign(client: TestClient) -> None:
    text = closed("00020126120008visa.com520400005303986540510.005802BR5904Loja6002SP")
    assert problem(read(client, text), 422, "qr_code_foreign")["verdict"] == "not_pix"

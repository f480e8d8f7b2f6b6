"""QR codes as people use them: made by one, read and paid by another, here and at another bank."""

import base64
from typing import Any

import pytest

from apps.pix import br_code
from apps.pix.br_code import DynamicCode, StaticCode
from environments.local.demo import cpf
from tests.environment import Environment, open_account, until
from tests.journeys.conftest import Person

SHOPS_KEY = "11222333000181"
"""Of a company at another bank; see `apps.simulators.bacen`."""


@pytest.fixture(scope="module")
def rita(bank: Environment) -> Person:
    api = bank.user("rita.sa@example.com")
    return Person(api, open_account(api, cpf(), "Rita Sá"))


@pytest.fixture(scope="module")
def tito(bank: Environment) -> Person:
    api = bank.user("tito@example.com")
    return Person(api, open_account(api, cpf(), "Tito Alves"))


def pay(person: Person, text: str, cents: int, key: str | None = None) -> Any:
    body = {"from_account": person.account_id, "to": {"qr_code": text}, "amount_cents": cents}
    return person.api.post("/transfers", body, key)


def decided(person: Person, answer: Any) -> Any:
    assert answer.status == 201, answer.text
    path = f"/transfers/{answer.body['transfer_id']}"
    return until(lambda: person.api.get(path).body, lambda body: body["status"] in {"SETTLED", "REJECTED"})


def made(person: Person, **wish: Any) -> Any:
    answer = person.api.post("/qr-codes", wish)
    assert answer.status == 201, answer.text
    return answer.body


def test_a_static_code_is_paid_again_and_again(rita: Person, tito: Person) -> None:
    key = rita.api.post("/keys", {"key_type": "EVP", "account_id": rita.account_id}).body["key"]
    code = until(
        lambda: rita.api.post("/qr-codes", {"kind": "static", "key": key, "picture": "png"}),
        lambda answer: answer.status == 201,
    ).body
    picture = base64.b64decode(code["picture"].partition(",")[2])
    assert picture.startswith(b"\x89PNG")
    seen = tito.api.post("/qr-codes/decode", {"qr_code": code["qr_code"]}).body
    assert (seen["kind"], seen["key"], seen["name"], seen["amount_cents"]) == ("static", key, "Rita Sa", None)
    before = rita.available()
    for cents in (300, 40):
        transfer = decided(tito, pay(tito, code["qr_code"], cents))
        assert (transfer["status"], transfer["to_account"]) == ("SETTLED", rita.account_id)
    assert rita.available() == before + 340


def test_a_dynamic_code_is_paid_once_with_what_it_asks_for(rita: Person, tito: Person) -> None:
    code = made(rita, kind="dynamic", account_id=rita.account_id, amount_cents=700, description="Conta")
    other = pay(tito, code["qr_code"], 701)
    assert (other.status, other.body["code"], other.body["amount_cents"]) == (422, "qr_code_amount", 700)
    first = pay(tito, code["qr_code"], 700, "the-bill")
    assert decided(tito, first)["status"] == "SETTLED"
    again = pay(tito, code["qr_code"], 700)
    assert (again.status, again.body["code"], again.body["final"]) == (409, "qr_code_paid", True)
    replayed = pay(tito, code["qr_code"], 700, "the-bill")
    assert (replayed.text, replayed.headers["Idempotent-Replayed"]) == (first.text, "true")
    mine = rita.api.get(f"/qr-codes/{code['qr_code_id']}").body
    assert (mine["status"], mine["transfer_id"]) == ("PAID", first.body["transfer_id"])
    assert tito.api.get(f"/qr-codes/{code['qr_code_id']}").status == 404


def test_a_code_of_a_shop_at_another_bank_is_paid_by_pix(tito: Person) -> None:
    text = br_code.encode(StaticCode(SHOPS_KEY, "Loja", "SAO PAULO", 1_250, "pedido42"))
    answer = pay(tito, text, 1_250)
    assert answer.status == 201, answer.text
    assert answer.body["to_account"] is None
    transfer = decided(tito, answer)
    assert transfer["status"] == "SETTLED", transfer
    assert transfer["payee"]["key"] == SHOPS_KEY
    (limits,) = tito.api.get("/limits").body["accounts"]
    assert limits["legal"]["used_cents"] == 1_250


@pytest.mark.parametrize(
    ("text", "code", "verdict"),
    [
        (
            br_code.encode(StaticCode(SHOPS_KEY, "Loja", "SP", 1_250)).replace("12.50", "92.50"),
            "qr_code_tampered",
            "checksum_wrong",
        ),
        (br_code.encode(DynamicCode("pix.outro.com/v2/9f", "Loja", "SP")), "qr_code_foreign", "other_bank"),
        ("00020126080004visa6304" + br_code.checksum("00020126080004visa6304"), "qr_code_foreign", "not_pix"),
        ("6304" + br_code.checksum("6304"), "qr_code_invalid", "field_missing"),
    ],
    ids=["changed", "of another bank", "no Pix", "nothing in it"],
)
def test_a_code_that_cannot_be_paid_says_why(tito: Person, text: str, code: str, verdict: str) -> None:
    before = tito.available()
    read = tito.api.post("/qr-codes/decode", {"qr_code": text})
    assert (read.status, read.body["code"], read.body["verdict"]) == (422, code, verdict)
    paid = pay(tito, text, 1)
    assert (paid.status, paid.body["code"], paid.body["verdict"]) == (422, code, verdict)
    assert paid.body["final"] is True
    assert tito.available() == before


def test_nobody_makes_a_code_for_the_key_of_another(tito: Person) -> None:
    answer = tito.api.post("/qr-codes", {"kind": "static", "key": SHOPS_KEY})
    assert (answer.status, answer.body["code"]) == (404, "key_not_found")

"""Everything that goes wrong on demand goes wrong as asked, so often as asked, and nowhere else."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from apps.simulators.bacen.app import bacen_app
from apps.simulators.bacen.markup import parse, text
from tests.apps.simulators.bacen import bodies
from tests.apps.simulators.bacen.scene import (
    BAKERY,
    JOAO,
    MARIA,
    OWN,
    PAYER,
    XML,
    Scene,
    lookup_headers,
    outcomes,
    problem,
    scene,
    served,
)

FAULTS = "/simulator/faults"
SETTLED = [("pacs.002", "ACSC", None)]
BANK_OF_MARIA = "18236120"


@pytest.fixture
def at() -> Scene:
    return scene()


@pytest.fixture
def client(at: Scene) -> Iterator[TestClient]:
    with served(at) as opened:
        yield opened


def ask(client: TestClient, place: str, what: str, **more: Any) -> int:
    answer = client.post(FAULTS, json={"place": place, "what": what, **more})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["fault_id"])


# --- on the wire --------------------------------------------------------------------------------


def test_the_dict_is_down_once_and_nothing_was_done(client: TestClient, at: Scene) -> None:
    ask(client, "dict", "down", seconds=7)
    answer = client.post("/api/v2/entries/", content=bodies.create_entry(), headers=XML)
    problem(answer, 503, "ServiceUnavailable")
    assert answer.headers["retry-after"] == "7"
    assert at.bacen.directory.get(bodies.KEY) is None
    assert client.post("/api/v2/entries/", content=bodies.create_entry(), headers=XML).status_code == 201


def test_an_answer_is_lost_but_what_was_asked_is_done(client: TestClient, at: Scene) -> None:
    ask(client, "dict", "lost_answer")
    request = bodies.create_entry()
    lost = client.post("/api/v2/entries/", content=request, headers=XML)
    assert (lost.status_code, lost.headers["content-type"]) == (504, "text/plain")
    assert at.bacen.directory.get(bodies.KEY) is not None
    assert client.post("/api/v2/entries/", content=request, headers=XML).status_code == 201, (
        "the same request"
    )


def test_an_order_is_taken_though_its_post_is_never_answered(client: TestClient, at: Scene) -> None:
    ask(client, "spi", "lost_answer")
    xml = at.order(at.payment())
    headers = {"Content-Type": "application/xml; charset=utf-8"}
    path = f"/api/v1/in/{OWN}/msgs"
    assert client.post(path, content=xml, headers=headers).status_code == 504
    assert client.post(path, content=xml, headers=headers).status_code == 201
    assert outcomes(at.received()) == SETTLED, "once, though it was sent twice"


def test_a_slow_answer_takes_its_time(at: Scene) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with TestClient(bacen_app(at.bacen, OWN, sleep=sleep)) as client:
        ask(client, "dict", "slow", seconds=2.5, times=2)
        for _ in range(3):
            assert client.get(f"/api/v2/entries/{MARIA}", headers=lookup_headers(at)).status_code == 200
    assert slept == [2.5, 2.5]


def test_a_garbled_answer_is_whatever_was_asked_for(client: TestClient, at: Scene) -> None:
    ask(client, "dict", "garbled", status=200, media_type="text/html", body="<html>proxy</html>")
    answer = client.get(f"/api/v2/entries/{MARIA}", headers=lookup_headers(at))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert answer.text == "<html>proxy</html>"


def test_a_fault_of_the_dict_is_none_of_the_spi_nor_of_the_buttons(client: TestClient) -> None:
    ask(client, "dict", "down", times=None)
    assert client.get("/api/v1/in/catalog").status_code == 200
    assert client.get(FAULTS).status_code == 200
    assert client.get("/livez").status_code == 200
    for _ in range(3):
        assert client.get("/api/v2/policies/").status_code == 503
    client.delete(FAULTS)
    assert client.get("/api/v2/policies/").status_code == 200


# --- orders and banks ---------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["order", "payee"])
def test_orders_are_rejected_with_the_code_that_was_asked_for(
    client: TestClient, at: Scene, place: str
) -> None:
    ask(client, place, "reject", code="AB09", times=2)
    for _ in range(2):
        assert outcomes(at.pay(at.payment())) == [("pacs.002", "RJCT", "AB09")]
    assert outcomes(at.pay(at.payment())) == SETTLED


def test_a_slow_bank_settles_late_and_a_slower_one_not_at_all(client: TestClient, at: Scene) -> None:
    ask(client, "payee", "slow", seconds=39)
    ask(client, "payee", "slow", seconds=41)
    payments = [at.payment(), at.payment()]
    for payment in payments:
        assert outcomes(at.pay(payment)) == []
    at.pass_time(38)
    assert outcomes(at.received()) == []
    at.pass_time(10)
    assert outcomes(at.received()) == [*SETTLED, ("pacs.002", "RJCT", "AB03")]
    order = at.bacen.spi.orders[payments[0].end_to_end_id]
    assert order.settled_at is not None
    assert (order.settled_at - payments[0].accepted_at).total_seconds() == 39


def test_a_fault_may_be_one_banks_alone(client: TestClient, at: Scene) -> None:
    ask(client, "payee", "silent", participant=BANK_OF_MARIA, times=None)
    assert outcomes(at.pay(at.payment(JOAO))) == SETTLED
    assert outcomes(at.pay(at.payment(MARIA))) == []


# --- messages on their way ----------------------------------------------------------------------


def test_a_lost_message_is_found_out_by_asking(client: TestClient, at: Scene) -> None:
    ask(client, "delivery", "lost", participant=OWN, message="pacs.002")
    payment = at.payment()
    assert outcomes(at.pay(payment)) == []
    assert at.status_of(payment.end_to_end_id) == ("ACSC", None)


def test_a_duplicate_is_the_same_message_under_the_same_resource_id(client: TestClient, at: Scene) -> None:
    ask(client, "delivery", "duplicate", participant=OWN)
    first, second = at.pay(at.payment())
    assert first == second


def test_a_duplicate_order_at_another_bank_moves_money_once(client: TestClient, at: Scene) -> None:
    ask(client, "delivery", "duplicate", participant=BANK_OF_MARIA, message="pacs.008")
    assert outcomes(at.pay(at.payment(amount_cents=500))) == SETTLED
    assert at.bacen.conta_cents - at.bacen.spi.contas[OWN].cents == 500


def test_a_reordered_message_comes_after_the_one_that_follows(client: TestClient, at: Scene) -> None:
    ask(client, "delivery", "reordered", participant=OWN)
    assert outcomes(at.pay(at.payment(MARIA))) == []
    assert outcomes(at.pay(at.payment("blocked@example.com"))) == [("pacs.002", "RJCT", "AC06"), *SETTLED]


def test_a_slow_message_comes_in_its_time(client: TestClient, at: Scene) -> None:
    ask(client, "delivery", "slow", participant=OWN, seconds=3)
    assert outcomes(at.pay(at.payment())) == []
    at.pass_time(3)
    assert outcomes(at.received()) == SETTLED


# --- the buttons --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"place": "dict", "what": "reject", "code": "AB03"},
        {"place": "payee", "what": "reject"},
        {"place": "payee", "what": "reject", "code": "NOPE"},
        {"place": "payee", "what": "slow", "code": "AB03"},
        {"place": "moon", "what": "slow"},
        {"place": "dict", "what": "slow", "times": 0},
        {"place": "dict", "what": "slow", "seconds": -1},
        {"place": "dict", "what": "slow", "colour": "red"},
    ],
    ids=str,
)
def test_what_cannot_go_wrong_is_not_planned(client: TestClient, fault: dict[str, Any]) -> None:
    answer = client.post(FAULTS, json=fault)
    assert answer.status_code == 422
    assert client.get(FAULTS).json() == {"faults": []}


def test_faults_are_listed_and_taken_back(client: TestClient) -> None:
    first, second = (ask(client, "dict", "slow", seconds=number) for number in (1, 2))
    assert [each["fault_id"] for each in client.get(FAULTS).json()["faults"]] == [first, second]
    assert client.delete(f"{FAULTS}/{first}").status_code == 204
    assert [each["fault_id"] for each in client.get(FAULTS).json()["faults"]] == [second]


def test_another_bank_pays_a_key_of_this_one(client: TestClient, at: Scene) -> None:
    client.post("/api/v2/entries/", content=bodies.create_entry(), headers=XML)
    asked = {"from_ispb": "00416968", "key": bodies.KEY, "amount_cents": 1_234, "note": "Oi"}
    answer = client.post("/simulator/payments", json=asked)
    assert answer.status_code == 201
    order_id = answer.json()["order_id"]
    assert answer.json()["status"] == "WAITING"
    (order,) = at.received()
    operation = "Document/FIToFICstmrCdtTrf/CdtTrfTxInf"
    root = parse(order.xml)
    assert text(root, f"{operation}/CdtrAcct/Prxy/Id") == bodies.KEY
    assert text(root, f"{operation}/MndtRltdInf/Tp/LclInstrm/Prtry") == "DICT"
    at.bacen.post(OWN, at.answer(order_id, "ACSP"))
    shown = client.get(f"/simulator/orders/{order_id}").json()
    assert (shown["status"], shown["amount_cents"]) == ("SETTLED", 1_234)
    assert client.get("/simulator/orders").json() == {"orders": [shown]}


@pytest.mark.parametrize(
    ("tx_id", "instrument"), [("A" * 26, "QRDN"), ("A" * 25, "QRES")], ids=["dynamic", "static"]
)
def test_another_bank_pays_a_qr_code(client: TestClient, at: Scene, tx_id: str, instrument: str) -> None:
    client.post("/api/v2/entries/", content=bodies.create_entry(), headers=XML)
    client.post("/simulator/payments", json={"key": bodies.KEY, "amount_cents": 1, "tx_id": tx_id})
    root = parse(at.received()[0].xml)
    operation = "Document/FIToFICstmrCdtTrf/CdtTrfTxInf"
    assert text(root, f"{operation}/PmtId/TxId") == tx_id
    assert text(root, f"{operation}/MndtRltdInf/Tp/LclInstrm/Prtry") == instrument


def test_another_bank_pays_an_account_of_this_one_and_gets_some_back(client: TestClient, at: Scene) -> None:
    account = {
        "ispb": OWN,
        "branch": "0001",
        "number": "0000012345",
        "account_type": "CACC",
        "tax_id": PAYER.tax_id,
    }
    order_id = client.post("/simulator/payments", json={"account": account, "amount_cents": 900}).json()[
        "order_id"
    ]
    at.received()
    at.bacen.post(OWN, at.answer(order_id, "ACSP"))
    at.received()
    _, xml = at.give_back(order_id, 400, "60701190")
    at.bacen.post(OWN, xml)
    assert outcomes(at.received()) == SETTLED
    assert client.get(f"/simulator/orders/{order_id}").json()["returned_cents"] == 400


def test_another_bank_gives_back_what_this_one_paid(client: TestClient, at: Scene) -> None:
    payment = at.payment(BAKERY, 1_000)
    at.pay(payment)
    asked = {"end_to_end_id": payment.end_to_end_id, "amount_cents": 300, "reason": "BE08"}
    answer = client.post("/simulator/returns", json=asked)
    assert answer.status_code == 201
    assert answer.json()["kind"] == "return"
    assert outcomes(at.received()) == [("pacs.004", None, None)]


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("payments", {"key": "nobody@example.com", "amount_cents": 1}, 404),
        ("payments", {"key": MARIA, "amount_cents": 1, "from_ispb": "12345678"}, 404),
        ("payments", {"amount_cents": 1}, 422),
        ("payments", {"key": MARIA, "amount_cents": 1.5}, 422),
        ("payments", {"key": MARIA, "amount_cents": "1"}, 422),
        ("returns", {"end_to_end_id": "E1", "amount_cents": 1}, 404),
        ("returns", {"end_to_end_id": "E1", "amount_cents": 1, "reason": "AC03"}, 422),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    client: TestClient, path: str, asked: dict[str, Any], status: int
) -> None:
    assert client.post(f"/simulator/{path}", json=asked).status_code == status


def test_who_is_here_and_whom_one_can_pay_is_told(client: TestClient) -> None:
    banks = client.get("/simulator/banks").json()
    assert banks["live"] == [OWN]
    assert {"ispb": "00000000", "name": "Banco do Brasil"} in banks["banks"]
    keys = {each["key"]: each["payment"] for each in client.get("/simulator/keys").json()["keys"]}
    assert (keys[MARIA], keys["closed@example.com"]) == ("accepts", "closed")
    assert client.get("/simulator/orders/E1").status_code == 404


def test_time_and_categories_are_moved_by_hand(client: TestClient, at: Scene) -> None:
    payment = at.payment("silent@example.com")
    at.pay(payment)
    moved = client.post("/simulator/clock", json={"advance_seconds": 40}).json()
    assert moved == {"now": "2026-11-25T15:00:40.000Z"}
    assert at.status_of(payment.end_to_end_id) == ("RJCT", "AB03")
    assert client.put(f"/simulator/participants/{OWN}", json={"category": "H"}).json()["capacity"] == 50
    assert client.put("/simulator/participants/12345678", json={"category": "H"}).status_code == 404

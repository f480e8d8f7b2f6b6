"""From sign-up to a settled transfer, through the gateway, by HTTP alone."""

import json
import uuid
from typing import Any

import pytest
import requests

from apps.gateway.routes import ROUTES
from environments.local.api import Answer
from environments.local.demo import cpf
from tests.environment import Environment, open_account, until
from tests.journeys.conftest import Person


def pay(payer: Person, to: str, cents: Any, key: str | None = None, **more: Any) -> Answer:
    body = {"from_account": payer.account_id, "to": {"account": to}, "amount_cents": cents, **more}
    return payer.api.post("/transfers", body, key)


def settled(payer: Person, answer: Answer) -> dict[str, Any]:
    assert answer.status == 201, answer.text
    path = f"/transfers/{answer.body['transfer_id']}"
    return until(lambda: payer.api.get(path).body, lambda body: body["status"] != "HELD")


def test_money_moves_and_both_sides_see_it(ana: Person, bruno: Person) -> None:
    before = ana.available(), bruno.available()
    answer = pay(ana, bruno.account_id, 1_234, description="Almoço")
    assert answer.body["status"] == "HELD"
    assert answer.headers["Location"] == f"/transfers/{answer.body['transfer_id']}"
    transfer = settled(ana, answer)
    assert transfer["status"] == "SETTLED"
    assert (ana.available(), bruno.available()) == (before[0] - 1_234, before[1] + 1_234)
    for person, kind in ((ana, "debit"), (bruno, "credit")):
        entries = person.api.get(f"/accounts/{person.account_id}/entries").body["entries"]
        (entry,) = [each for each in entries if each["transfer_id"] == transfer["transfer_id"]]
        assert (entry["kind"], entry["amount_cents"]) == (kind, 1_234)
        assert entry["available_after_cents"] == person.available()
        seen = person.api.get(f"/transfers/{transfer['transfer_id']}").body
        assert seen == transfer
        balances = person.api.get("/balances").body
        assert balances["total_cents"] == person.available()
        assert [each["stale"] for each in balances["accounts"]] == [False]


def test_a_replayed_key_answers_the_first_transfer(ana: Person, bruno: Person) -> None:
    key = str(uuid.uuid4())
    first = pay(ana, bruno.account_id, 5, key)
    settled(ana, first)
    before = ana.available()
    again = pay(ana, bruno.account_id, 5, key)
    assert (again.status, again.text) == (201, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert ana.available() == before


def test_a_key_with_another_body_is_refused(ana: Person, bruno: Person) -> None:
    key = str(uuid.uuid4())
    settled(ana, pay(ana, bruno.account_id, 5, key))
    answer = pay(ana, bruno.account_id, 6, key)
    assert (answer.status, answer.body["code"]) == (422, "idempotency_key_reused")


def test_overspending_is_refused_and_leaves_nothing(ana: Person, bruno: Person) -> None:
    before = ana.available()
    entries = ana.api.get(f"/accounts/{ana.account_id}/entries?limit=200").body
    answer = pay(ana, bruno.account_id, before + 1)
    assert (answer.status, answer.body["code"]) == (409, "insufficient_funds")
    assert answer.body["available_cents"] == before
    assert answer.body["final"] is True
    assert ana.available() == before
    assert ana.api.get(f"/accounts/{ana.account_id}/entries?limit=200").body == entries


def test_what_is_not_yours_does_not_exist(bank: Environment, ana: Person, bruno: Person) -> None:
    transfer = settled(ana, pay(ana, bruno.account_id, 1))
    carla = bank.user("carla@example.com")
    open_account(carla, cpf(), "Carla")
    stranger = Person(carla, ana.account)
    assert pay(stranger, bruno.account_id, 1).status == 404
    for path in (
        f"/accounts/{ana.account_id}",
        f"/accounts/{ana.account_id}/entries",
        f"/accounts/{ana.account_id}/balance",
        f"/transfers/{transfer['transfer_id']}",
        f"/transfers?account={ana.account_id}",
    ):
        assert carla.get(path).status == 404, path


def test_transfers_are_listed_page_by_page(ana: Person, bruno: Person) -> None:
    for _ in range(3):
        settled(ana, pay(ana, bruno.account_id, 1))
    settled(bruno, pay(bruno, ana.account_id, 1))
    whole = ana.api.get(f"/transfers?account={ana.account_id}").body["transfers"]
    paged, cursor = [], ""
    while True:
        page = ana.api.get(f"/transfers?account={ana.account_id}&limit=2{cursor}").body
        paged += page["transfers"]
        if not page.get("cursor"):
            break
        cursor = f"&cursor={page['cursor']}"
    assert paged == whole
    times = [each["created_at"] for each in whole]
    assert times == sorted(times, reverse=True)
    incoming = ana.api.get(f"/transfers?account={ana.account_id}&direction=in").body["transfers"]
    assert {each["to_account"] for each in incoming} == {ana.account_id}
    assert {each["kind"] for each in incoming} == {"grant", "transfer"}


def test_a_statement_is_read_page_by_page(ana: Person, bruno: Person) -> None:
    settled(ana, pay(ana, bruno.account_id, 1))
    path = f"/accounts/{ana.account_id}/entries"
    whole = ana.api.get(f"{path}?limit=200").body["entries"]
    paged, cursor = [], ""
    while True:
        page = ana.api.get(f"{path}?limit=2{cursor}").body
        paged += page["entries"]
        if not page.get("cursor"):
            break
        cursor = f"&cursor={page['cursor']}"
    assert paged == whole
    assert ana.api.get(f"{path}?to=2000-01-01").body["entries"] == []
    assert ana.api.get(f"{path}?from=2000-01-01&limit=200").body["entries"] == whole


BAD_BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "amount 0": ({"amount_cents": 0}, 422, "invalid_request"),
    "amount negative": ({"amount_cents": -5}, 422, "invalid_request"),
    "amount fractional": ({"amount_cents": 1.5}, 422, "invalid_request"),
    "amount a string": ({"amount_cents": "100"}, 422, "invalid_request"),
    "amount a boolean": ({"amount_cents": True}, 422, "invalid_request"),
    "amount above the limit": ({"amount_cents": 10**12 + 1}, 422, "invalid_request"),
    "an unknown field": ({"colour": "red"}, 422, "invalid_request"),
    "no account id": ({"from_account": "abc"}, 422, "invalid_request"),
    "an internal account": ({"to": {"account": "treasury#0"}}, 422, "invalid_request"),
    "nobody's account": ({"to": {"account": str(uuid.uuid4())}}, 422, "payee_not_found"),
    "a description with a line end": ({"description": "a\nb"}, 422, "invalid_request"),
}


@pytest.mark.parametrize(("change", "status", "code"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_bodies(ana: Person, bruno: Person, change: dict[str, Any], status: int, code: str) -> None:
    before = ana.available()
    body = {"from_account": ana.account_id, "to": {"account": bruno.account_id}, "amount_cents": 1}
    answer = ana.api.post("/transfers", body | change)
    assert (answer.status, answer.body["code"]) == (status, code), answer.text
    assert ana.available() == before


def test_an_account_cannot_pay_itself(ana: Person) -> None:
    answer = pay(ana, ana.account_id, 1)
    assert (answer.status, answer.body["code"]) == (422, "same_account")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(b'{"from', 400, "malformed_json"), (b" " * 2**20, 413, "payload_too_large")],
    ids=["broken JSON", "1 MB"],
)
def test_bad_content(bank: Environment, ana: Person, content: bytes, status: int, code: str) -> None:
    answer = requests.post(
        bank.description["gateway_url"] + "/transfers",
        data=content,
        headers={
            "Authorization": ana.api._session.headers["Authorization"],
            "Content-Type": "application/json",
            "Idempotency-Key": "k",
        },
        timeout=10,
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


def _unsigned(token: str) -> str:
    _, claims, _ = token.split(".")
    return f"eyJhbGciOiJub25lIn0.{claims}."


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Basic YTpi", "Bearer a.b.c", "Bearer " + "x" * 9 * 1024, "unsigned"],
    ids=["missing", "empty", "another scheme", "nonsense", "9 KiB", "unsigned"],
)
@pytest.mark.parametrize("path", ["/accounts", "/balances", "/transfers?account=x"])
def test_without_a_good_token_nothing_is_answered(
    bank: Environment, ana: Person, authorization: str, path: str
) -> None:
    if authorization == "unsigned":
        good = str(ana.api._session.headers["Authorization"]).removeprefix("Bearer ")
        authorization = "Bearer " + _unsigned(good)
    answer = requests.get(
        bank.description["gateway_url"] + path, headers={"Authorization": authorization}, timeout=10
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/accounts/../transfers", 404),
        ("GET", "/accounts/%2e%2e/transfers", 404),
        ("GET", "//accounts", 404),
        ("DELETE", "/transfers", 405),
        ("PUT", "/accounts", 405),
    ],
)
def test_only_what_is_public_is_reached(
    bank: Environment, ana: Person, method: str, path: str, status: int
) -> None:
    url = bank.description["gateway_url"]
    session = requests.Session()
    request = session.prepare_request(requests.Request(method, url, headers=ana.api._session.headers))
    request.url = url + path
    answer = session.send(request, timeout=10)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_description_and_its_page_are_public(bank: Environment) -> None:
    url = bank.description["gateway_url"]
    document = requests.get(f"{url}/openapi.json", timeout=10).json()
    assert set(document["paths"]) == {route.template for route in ROUTES}
    page = requests.get(f"{url}/docs", timeout=10)
    assert "/transfers" in page.text
    assert "https://" not in page.text.replace("https://gobanking.example", "")


def test_the_demo_ends_clean(bank: Environment) -> None:
    done = bank.gobank("demo", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == {
        "transfer_id",
        "status",
        "acknowledged_ms",
        "settled_ms",
        "pix",
        "links",
        "audit",
    }
    assert result["pix"] == {
        "status": "SETTLED",
        "rejected": "payee_account_closed",
        "received": "SETTLED",
        "returned": "SETTLED",
    }
    assert result["links"] == {
        "institutions": 3,
        "payment_initiation": "SETTLED",
        "pix_out": "SETTLED",
        "institutions_left": ["Caju Bank", "GO Banking"],
    }
    assert set(result["audit"]) == {"ok", "accounts", "transfers", "sum_cents", "drift"}
    assert result["status"] == "SETTLED"
    assert (result["audit"]["ok"], result["audit"]["sum_cents"], result["audit"]["drift"]) == (True, 0, [])
    assert bank.state.supervisor() is not None

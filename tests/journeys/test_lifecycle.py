"""Accounts that are blocked and closed, money that goes back, the past, and what an operator types."""

import json
import re
import subprocess
import time
import uuid
from datetime import datetime
from typing import Any

import pytest
from kafka import KafkaProducer

from apps.catalog import CATALOG
from environments.local.demo import cpf
from environments.local.names import PREFIX
from tests.environment import GOBANK, Environment, open_account, until
from tests.journeys.conftest import Person
from tests.journeys.test_transfer import pay, settled


@pytest.fixture(scope="module")
def davi(bank: Environment) -> Person:
    api = bank.user("davi@example.com")
    return Person(api, open_account(api, cpf(), "Davi Reis"))


@pytest.fixture(scope="module")
def eva(bank: Environment) -> Person:
    api = bank.user("eva@example.com")
    return Person(api, open_account(api, cpf(), "Eva Melo"))


def second_account(person: Person) -> Person:
    body = {"name": "second", "tax_id": person.account["tax_id"], "account_type": "SVGS"}
    answer = person.api.post("/accounts", body)
    assert answer.status == 201, answer.text
    return Person(person.api, answer.body)


def as_json(bank: Environment, *arguments: str, code: int = 0) -> Any:
    done = bank.gobank(*arguments, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_money_goes_back_in_parts_and_never_more_than_came(davi: Person, eva: Person) -> None:
    before = davi.available(), eva.available()
    original = settled(davi, pay(davi, eva.account_id, 1_000))
    assert original["returnable_cents"] == 1_000
    path = f"/transfers/{original['transfer_id']}/returns"
    key = str(uuid.uuid4())
    first = eva.api.post(path, {"amount_cents": 700, "reason": "Pedido errado"}, key)
    back = settled(eva, first)
    assert (back["kind"], back["status"], back["original_transfer_id"]) == (
        "return",
        "SETTLED",
        original["transfer_id"],
    )
    again = eva.api.post(path, {"amount_cents": 700, "reason": "Pedido errado"}, key)
    assert (again.text, again.headers["Idempotent-Replayed"]) == (first.text, "true")
    too_much = eva.api.post(path, {"amount_cents": 301, "reason": "x"})
    assert (too_much.status, too_much.body["code"], too_much.body["returnable_cents"]) == (
        409,
        "return_exceeds_amount",
        300,
    )
    by_payer = davi.api.post(path, {"amount_cents": 1, "reason": "x"})
    assert (by_payer.status, by_payer.body["code"]) == (403, "not_the_payee")
    of_a_return = f"/transfers/{back['transfer_id']}/returns"
    twice = davi.api.post(of_a_return, {"amount_cents": 1, "reason": "x"})
    assert (twice.status, twice.body["code"]) == (409, "not_returnable")
    assert (davi.available(), eva.available()) == (before[0] - 300, before[1] + 300)
    assert davi.api.get(f"/transfers/{original['transfer_id']}").body["returnable_cents"] == 300


def test_only_an_empty_account_is_closed_and_then_nobody_pays_it(davi: Person, eva: Person) -> None:
    mine = second_account(davi)
    settled(eva, pay(eva, mine.account_id, 10))
    path = f"/accounts/{mine.account_id}"
    full = davi.api.delete(path)
    assert (full.status, full.body["code"], full.body["available_cents"]) == (409, "account_not_empty", 10)
    settled(mine, pay(mine, davi.account_id, 10))
    assert [davi.api.delete(path).status for _ in range(2)] == [204, 204]
    assert davi.api.get(path).body["status"] == "CLOSED"
    refused = pay(eva, mine.account_id, 1)
    assert (refused.status, refused.body["code"]) == (409, "payee_closed")
    from_it = pay(mine, eva.account_id, 1)
    assert (from_it.status, from_it.body["code"]) == (409, "account_closed")
    assert eva.api.delete(path).status == 404


def test_an_operator_blocks_and_unblocks_an_account(bank: Environment, davi: Person, eva: Person) -> None:
    mine = second_account(davi)
    settled(eva, pay(eva, mine.account_id, 10))
    assert as_json(bank, "accounts", "block", mine.account_id) == {
        "account_id": mine.account_id,
        "status": "BLOCKED",
        "changed": True,
    }
    assert davi.api.get(f"/accounts/{mine.account_id}").body["status"] == "BLOCKED"
    out = pay(mine, eva.account_id, 1)
    assert (out.status, out.body["code"]) == (409, "account_blocked")
    into = settled(eva, pay(eva, mine.account_id, 1))
    assert (into["status"], into["reason"]) == ("REJECTED", "payee_blocked")
    assert davi.api.delete(f"/accounts/{mine.account_id}").body["code"] == "account_blocked"
    assert as_json(bank, "accounts", "unblock", mine.account_id)["status"] == "ACTIVE"
    assert settled(mine, pay(mine, eva.account_id, 1))["status"] == "SETTLED"
    assert bank.gobank("accounts", "unfreeze", mine.account_id).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("trace", "nothing"),
        ("trace", "--", "--json"),
        ("accounts", "block", "nobody"),
        ("accounts", "unfreeze", "nobody"),
        ("dead-letters", "show", "0:999999"),
        ("dead-letters", "replay", "nothing"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_said_to_be_unknown(bank: Environment, arguments: tuple[str, ...]) -> None:
    done = bank.gobank(*arguments)
    assert done.returncode == 2
    assert arguments[-1] in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_trace_tells_the_whole_story(bank: Environment, davi: Person, eva: Person) -> None:
    transfer = settled(davi, pay(davi, eva.account_id, 7, description="Segredo"))
    transfer_id = str(transfer["transfer_id"])

    def told() -> Any:
        return as_json(bank, "trace", transfer_id)

    def published(story: Any) -> bool:
        return all(each["topic"] for each in story["timeline"] if each["what"] == "event")

    story = until(told, published)
    assert (story["transfer_id"], story["status"]) == (transfer_id, "SETTLED")
    lines = story["timeline"]
    assert [each["kind"] for each in lines if each["what"] == "entry"] == ["hold", "debit", "credit"]
    events = [each for each in lines if each["what"] == "event"]
    assert [each["type"].split(".")[-1] for each in events] == ["held", "settled"]
    assert all(each["partition"] in range(6) and each["offset"] >= 0 for each in events)
    services = {each["service"] for each in lines if each["what"] == "log"}
    assert {"gateway", "transaction"} <= services
    assert [each["at"] for each in lines] == sorted(each["at"] for each in lines)
    for text in (json.dumps(story), bank.gobank("trace", transfer_id).stdout):
        assert "Segredo" not in text
        assert "S***" in text
        assert str(davi.account["tax_id"]) not in text


def test_a_dead_letter_is_found_shown_and_replayed(bank: Environment) -> None:
    description = bank.description
    producer: Any = KafkaProducer(
        bootstrap_servers=description["kafka_bootstrap"], **description["kafka_admin"]
    )
    name = uuid.uuid4().hex
    producer.send(
        PREFIX + "transfers", key=b"k", value=b'{"description":"Segredo"}', headers=[("ce_id", name.encode())]
    )
    producer.flush()
    producer.close()

    def letters() -> list[Any]:
        found = as_json(bank, "dead-letters", "list")["dead_letters"]
        return [
            each for each in found if name in json.dumps(as_json(bank, "dead-letters", "show", each["id"]))
        ]

    # Each that reads the topic writes a letter of its own.
    readers = sum(bool(each.consumes and each.consumes.topic == "transfers") for each in CATALOG.services)
    letter = until(letters, lambda found: len(found) == readers)[0]
    assert letter["reason"] == "ce_schemaversion is missing"
    shown = as_json(bank, "dead-letters", "show", letter["id"])
    assert shown["value"] == {"description": "S***"}
    (replayed,) = as_json(bank, "dead-letters", "replay", letter["id"])["replayed"]
    assert replayed["replayed_to"]["topic"] == letter["topic"]
    assert replayed["replayed_to"]["offset"] > letter["offset"]
    # Nothing was mended: it comes again, as a letter of its own.
    assert len(until(letters, lambda found: len(found) == 2 * readers)) == 2 * readers


def test_the_tail_follows_the_topic_until_it_is_told_to_stop(
    bank: Environment, davi: Person, eva: Person
) -> None:
    settled(davi, pay(davi, eva.account_id, 1))
    newest = bank.gobank("events", "tail", "-n", "3").stdout.splitlines()
    assert len(newest) == 3
    assert any(re.search(r"br\.gobanking\.transfer\.\w+ v3", line) for line in newest)
    with subprocess.Popen(
        [str(GOBANK), "events", "tail", "-n", "1", "-f", "--json"],
        env=bank.env,
        stdout=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["topic"].endswith("transfers")
        transfer = pay(davi, eva.account_id, 1).body
        deadline = time.monotonic() + 20
        while True:
            seen = json.loads(tail.stdout.readline())
            if seen["data"]["transfer_id"] == transfer["transfer_id"]:
                break
            assert time.monotonic() < deadline
        tail.terminate()
        assert tail.wait(10) == 0


def test_the_past_is_what_it_was(davi: Person, eva: Person) -> None:
    path = f"/accounts/{davi.account_id}"
    first = settled(davi, pay(davi, eva.account_id, 3))
    before = davi.available()
    settled(davi, pay(davi, eva.account_id, 4))
    then = davi.api.get(f"{path}/balance?at={first['decided_at']}").body
    assert (then["available_cents"], then["on_hold_cents"]) == (before, 0)
    assert davi.api.get(f"{path}/balance").body["available_cents"] == before - 4
    opened = davi.api.get(path).body["opened_at"]
    early = davi.api.get(f"{path}/balance?at=2000-01-01T00:00:00Z")
    assert (early.status, early.body["code"]) == (404, "before_opening")
    assert datetime.fromisoformat(early.body["opened_at"]) == datetime.fromisoformat(opened)
    assert davi.api.get(f"{path}/balance?at=2100-01-01T00:00:00Z").status == 422
    kinds = {each["kind"] for each in davi.api.get(f"{path}/entries?kind=hold").body["entries"]}
    assert kinds == {"hold"}

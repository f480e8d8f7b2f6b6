"""Transfers over HTTP: what is answered, to whom, and which answers end a client's repeating."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from apps.kit.dynamo import OutcomeUnknown, Unavailable
from apps.kit.money import MAX_AMOUNT_CENTS
from apps.ledger.items import Mark
from apps.ledger.transfer import Transfer
from apps.pix.limits import Limits, Setting
from apps.pix.spi import Party
from apps.transaction.api import TransferService, rendered, router
from apps.transaction.destination import LookUpFailed
from apps.transaction.listing import Listing
from apps.transaction.request import GivingBack, Transfers
from tests.apps.serving import ANA, BETO, problem, served, signed_in
from tests.apps.transaction.fake_directory import MARIAS_KEY, FakeDirectory, destinations
from tests.apps.transaction.fake_indexes import FakeIndexes
from tests.apps.transaction.fake_ledger import FakeLedger, funded

A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"
NOBODYS = "00000000-0000-4000-8000-000000000000"
PARTIES = {
    A: Party("99999004", "52998224725", "000000019", "CACC", "0001", "Ana Souza"),
    B: Party("99999004", "12345678909", "000000027", "SVGS", "0001", "Beto Lima"),
}
BODY = {"from_account": A, "to": {"account": B}, "amount_cents": 300, "description": "Almoço"}


@dataclass
class Bank:
    """The service, its ledger and its indexes."""

    client: TestClient
    ledger: FakeLedger
    indexes: FakeIndexes
    directory: FakeDirectory

    def post(self, body: Any = BODY, key: str = "key", subject: str = ANA) -> Response:
        return self.post_text(json.dumps(body), key, subject)

    def post_text(self, text: str, key: str = "key", subject: str = ANA) -> Response:
        headers = signed_in(subject, **{"Idempotency-Key": key, "Content-Type": "application/json"})
        return self.client.post("/transfers", content=text, headers=headers)

    def get(self, path: str, subject: str = ANA) -> Response:
        return self.client.get(path, headers=signed_in(subject))

    def give_back(self, of: Transfer, cents: int = 200, key: str = "back", subject: str = BETO) -> Response:
        headers = signed_in(subject, **{"Idempotency-Key": key})
        body = {"amount_cents": cents, "reason": "Pedido errado"}
        return self.client.post(f"/transfers/{of.transfer_id}/returns", json=body, headers=headers)

    def paid(self) -> Transfer:
        """A transfer that arrived, with the money on the payee's account."""
        self.ledger.balances[B] = funded(B, BETO, 300)
        return self.decided(status="SETTLED", returnable_cents=300)

    def held(self, key: str = "key") -> Transfer:
        """A transfer as it stands after a request that must succeed."""
        answer = self.post(key=key)
        assert answer.status_code == 201, answer.text
        found = self.ledger.standing_at[answer.json()["transfer_id"]]
        assert isinstance(found, Transfer)
        self.indexes.transfers.append(found)
        return found

    def decided(self, **changes: Any) -> Transfer:
        """A transfer that came to its end."""
        decided = replace(self.held(), decided_at="2026-11-25T12:00:01.500Z", due_at=None, **changes)
        self.ledger.standing_at[decided.transfer_id] = decided
        return decided


@pytest.fixture
def bank() -> Iterator[Bank]:
    ledger, indexes = FakeLedger(funded(A, ANA, 1000), funded(B, BETO, 0)), FakeIndexes()
    directory = FakeDirectory()
    client: Any = indexes
    transfers = Transfers(
        ledger, "99999004", timedelta(minutes=30), rendered, destinations(PARTIES, directory)
    )
    with served(router, {"service": TransferService(transfers, Listing(client, "transactions"))}) as opened:
        yield Bank(opened, ledger, indexes, directory)


def test_a_transfer_is_answered_held_with_its_place(bank: Bank) -> None:
    answer = bank.post()
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.pop("end_to_end_id").startswith("E99999004202611251200")
    assert answer.headers["location"] == f"/transfers/{body.pop('transfer_id')}"
    assert body == {
        "status": "HELD",
        "kind": "transfer",
        "from_account": A,
        "to_account": B,
        "payer": None,
        "payee": None,
        "amount_cents": 300,
        "description": "Almoço",
        "created_at": "2026-11-25T12:00:00.000Z",
        "decided_at": None,
        "reason": None,
        "reason_text": None,
        "original_transfer_id": None,
        "returnable_cents": 0,
    }
    assert "idempotent-replayed" not in answer.headers


def test_a_replayed_key_answers_the_first_bytes(bank: Bank) -> None:
    first, again = bank.post(), bank.post()
    assert again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert bank.ledger.balances[A].on_hold == 300


def test_a_replay_is_answered_as_held_even_when_the_transfer_is_settled(bank: Bank) -> None:
    first = bank.post()
    bank.decided(status="SETTLED")
    again = bank.post()
    assert again.content == first.content
    assert bank.get(again.headers["location"]).json()["status"] == "SETTLED"


@pytest.mark.parametrize(
    "spelling",
    [
        json.dumps(BODY | {"from_account": A.upper()}),
        json.dumps(BODY | {"amount_cents": 300.0}),
        json.dumps(BODY, indent=4, ensure_ascii=False),
        json.dumps(dict(reversed(BODY.items()))),
    ],
    ids=["capitals", "a whole float", "white space", "order"],
)
def test_another_spelling_is_the_same_request(bank: Bank, spelling: str) -> None:
    first, again = bank.post(), bank.post_text(spelling)
    assert again.content == first.content


def test_a_key_of_another_request_is_refused_for_good(bank: Bank) -> None:
    bank.held()
    problem(bank.post(BODY | {"amount_cents": 301}), 422, "idempotency_key_reused", final=True)


@pytest.mark.parametrize(
    ("change", "status", "code", "facts"),
    [
        ({"amount_cents": 1001}, 409, "insufficient_funds", {"available_cents": 1000}),
        ({"to": {"account": A}}, 422, "same_account", {}),
        ({"to": {"account": NOBODYS}}, 422, "payee_not_found", {}),
        ({"from_account": NOBODYS}, 404, "account_not_found", {}),
        ({"from_account": B, "to": {"account": A}}, 404, "account_not_found", {}),
    ],
    ids=["funds", "same account", "no payee", "no payer", "another's account"],
)
def test_a_refusal_is_final_and_has_its_facts(
    bank: Bank, change: dict[str, Any], status: int, code: str, facts: dict[str, int]
) -> None:
    document = problem(bank.post(BODY | change), status, code, final=True)
    assert facts.items() <= document.items()
    (mark,) = bank.ledger.standing_at.values()
    assert isinstance(mark, Mark)


def test_a_frozen_account_is_a_final_refusal(bank: Bank) -> None:
    bank.ledger.balances[A] = replace(bank.ledger.balances[A], frozen=True)
    problem(bank.post(), 409, "account_frozen", final=True)


def test_a_refused_key_may_be_used_again(bank: Bank) -> None:
    problem(bank.post(BODY | {"amount_cents": 1001}), 409, "insufficient_funds", final=True)
    assert bank.post().status_code == 201


@pytest.mark.parametrize("call", ["hold", "refuse"])
def test_an_unknown_outcome_names_the_transfer_and_decides_nothing(bank: Bank, call: str) -> None:
    def fail() -> NoReturn:
        raise OutcomeUnknown

    bank.ledger.before[call] = fail
    body = BODY | {"amount_cents": 300 if call == "hold" else 1001}
    answer = bank.post(body)
    document = problem(answer, 504, "outcome_unknown")
    assert answer.headers["retry-after"] == "1"
    bank.ledger.before.clear()
    # The money comes, and repeating tells what became of the transfer that was named.
    bank.ledger.balances[A] = funded(A, ANA, 5000)
    assert bank.post(body).json()["transfer_id"] == document["transfer_id"]


@pytest.mark.parametrize("call", ["standing", "hold", "refuse"])
def test_a_ledger_that_is_away_decides_nothing(bank: Bank, call: str) -> None:
    def fail() -> NoReturn:
        raise Unavailable

    bank.ledger.before[call] = fail
    answer = bank.post(BODY | {"amount_cents": 1001})
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert bank.ledger.standing_at == {}


BAD_AMOUNTS = {
    "zero": "0",
    "negative": "-1",
    "a fraction": "1.5",
    "a small fraction": "300.0000001",
    "text": '"300"',
    "true": "true",
    "null": "null",
    "a list": "[300]",
    "an object": "{}",
    "one more than the most": str(MAX_AMOUNT_CENTS + 1),
    "beyond 64 bits": str(2**64 + 300),
    "beyond floats": "1e400",
    "not a number": "NaN",
    "infinite": "-Infinity",
}


@pytest.mark.parametrize("amount", BAD_AMOUNTS.values(), ids=BAD_AMOUNTS.keys())
def test_a_bad_amount_is_refused_before_anything_is_read(bank: Bank, amount: str) -> None:
    text = json.dumps(BODY | {"amount_cents": 300}).replace("300", amount)
    document = problem(bank.post_text(text), 422, "invalid_request")
    assert [each["where"] for each in document["errors"]] == ["body.amount_cents"]
    assert bank.ledger.log == []


@pytest.mark.parametrize("amount", ["9" * 5000, "0x12c", "0300", "+300", "3_00"])
def test_an_amount_that_is_no_json_is_malformed(bank: Bank, amount: str) -> None:
    text = json.dumps(BODY | {"amount_cents": 300}).replace("300", amount)
    problem(bank.post_text(text), 400, "malformed_json")
    assert bank.ledger.log == []


@pytest.mark.parametrize("amount", ["1", str(MAX_AMOUNT_CENTS), "3e2"])
def test_the_least_and_the_most_are_amounts(bank: Bank, amount: str) -> None:
    unlimited = Limits(*[Setting(MAX_AMOUNT_CENTS)] * 3)
    bank.ledger.balances[A] = replace(funded(A, ANA, MAX_AMOUNT_CENTS), limits=unlimited)
    answer = bank.post_text(json.dumps(BODY | {"amount_cents": 300}).replace("300", amount))
    assert answer.status_code == 201, answer.text
    assert answer.json()["amount_cents"] == int(float(amount))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"from_account": "treasury#0"}, "body.from_account"),
        ({"from_account": 7}, "body.from_account"),
        ({"to": {"account": "treasury#0"}}, "body.to.account"),
        ({"to": {}}, "body.to"),
        ({"to": {"account": B, "key": "a@b.c"}}, "body.to"),
        ({"to": {"account": None}}, "body.to"),
        ({"to": {"key": ""}}, "body.to.key"),
        ({"to": {"key": 7}}, "body.to.key"),
        ({"to": B}, "body.to"),
        ({"to": {"account": B, "name": "Beto"}}, "body.to.name"),
        ({"description": ""}, "body.description"),
        ({"description": "x" * 141}, "body.description"),
        ({"description": "a\u0000b"}, "body.description"),
        ({"description": "\ud800"}, "body.description"),
        ({"subject": BETO}, "body.subject"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_bad_request_says_where_and_reads_nothing(bank: Bank, change: dict[str, Any], where: str) -> None:
    document = problem(bank.post(BODY | change), 422, "invalid_request")
    assert [each["where"] for each in document["errors"]] == [where]
    assert bank.ledger.log == []


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": ""}], ids=["absent", "empty"])
def test_a_transfer_needs_a_key(bank: Bank, headers: dict[str, str]) -> None:
    answer = bank.client.post("/transfers", json=BODY, headers=signed_in(ANA, **headers))
    problem(answer, 400, "idempotency_key_missing")
    assert bank.ledger.log == []


@pytest.mark.parametrize("subject", [ANA, BETO], ids=["payer", "payee"])
def test_both_parties_see_a_transfer(bank: Bank, subject: str) -> None:
    transfer = bank.decided(status="REJECTED", reason="payee_unavailable")
    answer = bank.get(f"/transfers/{transfer.transfer_id}", subject)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["reason"], body["amount_cents"]) == ("REJECTED", "payee_unavailable", 300)
    assert datetime.fromisoformat(body["decided_at"]) == datetime.fromisoformat("2026-11-25T12:00:01.500Z")


@pytest.mark.parametrize(
    ("status", "after"), [("HELD", "1"), ("SENT", "1"), ("SETTLED", None), ("REJECTED", None)]
)
def test_only_an_undecided_transfer_says_when_to_look_again(
    bank: Bank, status: Any, after: str | None
) -> None:
    transfer = bank.decided(status=status)
    assert bank.get(f"/transfers/{transfer.transfer_id}").headers.get("retry-after") == after


def test_a_transfer_of_others_a_mark_and_nothing_look_the_same(bank: Bank) -> None:
    transfer = bank.held()
    bank.post(BODY | {"amount_cents": 1001}, key="refused")
    (marked,) = [each for each, found in bank.ledger.standing_at.items() if isinstance(found, Mark)]
    for transfer_id, subject in ((transfer.transfer_id, "carla"), (marked, ANA), (NOBODYS, ANA)):
        problem(bank.get(f"/transfers/{transfer_id}", subject), 404, "transfer_not_found")


def test_a_list_has_pages_that_its_cursor_leads_through(bank: Bank) -> None:
    made = {bank.held(str(number)).transfer_id for number in range(3)}
    first = bank.get(f"/transfers?account={A}&limit=2").json()
    second = bank.get(f"/transfers?account={A}&limit=2&cursor={first['cursor']}").json()
    found = [each["transfer_id"] for each in first["transfers"] + second["transfers"]]
    assert (len(first["transfers"]), len(second["transfers"])) == (2, 1)
    assert set(found) == made
    assert second["cursor"] is None


def test_the_next_page_has_not_forgotten_what_the_first_was_asked(bank: Bank) -> None:
    for number in range(3):
        bank.held(str(number))
    path = f"/transfers?account={A}"
    cursor = bank.get(f"{path}&direction=out&limit=1").json()["cursor"]
    bank.indexes.transfers[0] = replace(bank.indexes.transfers[0], payer=B, payee=A)
    for beside in ("", "&direction=out"):
        page = bank.get(f"{path}&cursor={cursor}{beside}").json()
        assert {each["from_account"] for each in page["transfers"]} == {A}
    bank.ledger.balances[B] = funded(B, ANA, 0)
    for other in (f"{path}&direction=in", f"/transfers?account={B}"):
        answer = bank.get(f"{other}&cursor={cursor}")
        assert [each["where"] for each in problem(answer, 422, "invalid_request")["errors"]] == [
            "query.cursor"
        ]


@pytest.mark.parametrize(("direction", "of_a", "of_b"), [("out", 1, 0), ("in", 0, 1)])
def test_a_list_can_be_of_one_direction(bank: Bank, direction: str, of_a: int, of_b: int) -> None:
    bank.held()
    for account, subject, count in ((A, ANA, of_a), (B, BETO, of_b)):
        body = bank.get(f"/transfers?account={account}&direction={direction}", subject).json()
        assert len(body["transfers"]) == count


@pytest.mark.parametrize("account", [B, NOBODYS], ids=["another's", "nobody's"])
def test_a_list_of_an_account_that_is_not_yours_is_not_there(bank: Bank, account: str) -> None:
    bank.held()
    problem(bank.get(f"/transfers?account={account}"), 404, "account_not_found")
    assert bank.indexes.queries == 0


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("", "query.account"),
        ("account=1", "query.account"),
        (f"account={A}&direction=both", "query.direction"),
        (f"account={A}&limit=0", "query.limit"),
        (f"account={A}&limit=101", "query.limit"),
        (f"account={A}&cursor=abc", "query.cursor"),
        (f"account={A}&cursor=", "query.cursor"),
        (f"account={A}&cursor=abc.{A}.out", "query.cursor"),
        (f"account={A}&cursor=abc.{A}.sideways", "query.cursor"),
        (f"account={A}&cursor=" + "a" * 257, "query.cursor"),
    ],
)
def test_a_bad_question_says_where(bank: Bank, query: str, where: str) -> None:
    document = problem(bank.get(f"/transfers?{query}"), 422, "invalid_request")
    assert [each["where"] for each in document["errors"]] == [where]


@pytest.mark.parametrize("path", ["/transfers", f"/transfers?account={A}", f"/transfers/{NOBODYS}"])
def test_nobody_sees_anything_without_a_token(bank: Bank, path: str) -> None:
    problem(bank.client.get(path), 401, "unauthenticated")
    assert bank.ledger.log == []


def test_an_answers_members_are_those_that_are_described(bank: Bank) -> None:
    described = bank.client.get("/openapi.json").json()["components"]["schemas"]["TransferView"]
    assert set(bank.post().json()) == set(described["properties"]) == set(described["required"])


def test_a_return_is_a_transfer_back_that_names_its_original(bank: Bank) -> None:
    original = bank.paid()
    answer = bank.give_back(original)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"/transfers/{body['transfer_id']}"
    assert body["transfer_id"] != original.transfer_id
    assert (body["kind"], body["status"], body["original_transfer_id"]) == (
        "return",
        "HELD",
        original.transfer_id,
    )
    assert (body["from_account"], body["to_account"], body["amount_cents"]) == (B, A, 200)
    assert (body["description"], body["reason"], body["returnable_cents"]) == ("Pedido errado", None, 0)
    assert body["end_to_end_id"].startswith("D99999004202611251200")
    assert bank.get(f"/transfers/{original.transfer_id}").json()["returnable_cents"] == 100


def test_a_returns_key_answers_the_first_bytes_and_returns_once(bank: Bank) -> None:
    original = bank.paid()
    first, again = bank.give_back(original), bank.give_back(original)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert bank.ledger.balances[B].on_hold == 200


def test_a_returns_key_is_none_of_a_transfer_and_belongs_to_one_request(bank: Bank) -> None:
    original = bank.paid()
    assert bank.give_back(original, key="key").status_code == 201
    problem(bank.give_back(original, 100, key="key"), 422, "idempotency_key_reused", final=True)


@pytest.mark.parametrize(
    ("changes", "subject", "cents", "status", "code", "facts"),
    [
        ({}, ANA, 200, 403, "not_the_payee", {}),
        ({}, "carla", 200, 404, "transfer_not_found", {}),
        ({"kind": "return"}, BETO, 200, 409, "not_returnable", {}),
        ({"status": "HELD"}, BETO, 200, 409, "transfer_not_settled", {"transfer_status": "HELD"}),
        ({}, BETO, 301, 409, "return_exceeds_amount", {"returnable_cents": 300}),
    ],
    ids=["payer", "stranger", "a return", "not settled", "too much"],
)
def test_a_refused_return_is_final_and_marked(
    bank: Bank, *, changes: dict[str, Any], subject: str, cents: int, status: int, code: str, facts: Any
) -> None:
    original = replace(bank.paid(), **changes)
    bank.ledger.standing_at[original.transfer_id] = original
    document = problem(bank.give_back(original, cents, subject=subject), status, code, final=True)
    assert facts.items() <= document.items()
    marks = [each for each in bank.ledger.standing_at.values() if isinstance(each, Mark)]
    assert len(marks) == 1
    assert bank.ledger.balances[B].on_hold == 0


@pytest.mark.parametrize(
    ("account", "change", "code"),
    [
        (B, {"status": "BLOCKED"}, "account_blocked"),
        (B, {"available": 199}, "insufficient_funds"),
        (A, {"status": "CLOSED"}, "payee_closed"),
    ],
)
def test_a_return_obeys_the_rules_of_any_hold(
    bank: Bank, account: str, change: dict[str, Any], code: str
) -> None:
    original = bank.paid()
    bank.ledger.balances[account] = replace(bank.ledger.balances[account], **change)
    problem(bank.give_back(original), 409, code, final=True)


def test_returns_of_one_transfer_share_its_amount(bank: Bank) -> None:
    original = bank.paid()
    assert bank.give_back(original, 200, "one").status_code == 201
    document = problem(bank.give_back(original, 101, "two"), 409, "return_exceeds_amount", final=True)
    assert document["returnable_cents"] == 100
    assert bank.give_back(original, 100, "three").status_code == 201


def test_a_refusal_between_a_returns_two_reads_still_ends_it(bank: Bank) -> None:
    """The key was refused, and the refusal answered, after this request had read its id."""
    original = bank.paid()
    reads = 0

    def another_request_is_refused() -> None:
        nonlocal reads
        reads += 1
        if reads == 2:
            mine = GivingBack(BETO, "back", original.transfer_id, 200, "Pedido errado", None)
            bank.ledger.standing_at[mine.transfer_id] = Mark(1, '["insufficient_funds", "no", {}]')

    bank.ledger.before["standing"] = another_request_is_refused
    problem(bank.give_back(original), 409, "insufficient_funds", final=True)
    assert bank.ledger.balances[B].on_hold == 0


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"amount_cents": 0, "reason": "x"}, "body.amount_cents"),
        ({"amount_cents": 1}, "body.reason"),
        ({"amount_cents": 1, "reason": ""}, "body.reason"),
        ({"amount_cents": 1, "reason": "x" * 141}, "body.reason"),
        ({"amount_cents": 1, "reason": "x", "to": A}, "body.to"),
    ],
    ids=str,
)
def test_a_bad_return_says_where_and_reads_nothing(bank: Bank, body: Any, where: str) -> None:
    headers = signed_in(BETO, **{"Idempotency-Key": "key"})
    answer = bank.client.post(f"/transfers/{NOBODYS}/returns", json=body, headers=headers)
    assert [each["where"] for each in problem(answer, 422, "invalid_request")["errors"]] == [where]
    assert bank.ledger.log == []


def test_a_blocked_account_pays_nobody(bank: Bank) -> None:
    bank.ledger.balances[A] = replace(bank.ledger.balances[A], status="BLOCKED")
    problem(bank.post(), 409, "account_blocked", final=True)


# --- to another bank --------------------------------------------------------------------------


BANK = {
    "ispb": "60701190",
    "branch": "1",
    "number": "0012345",
    "account_type": "CACC",
    "tax_id": "529.982.247-25",
    "name": "Antônio Souza",
}


def to(**destination: Any) -> dict[str, Any]:
    return BODY | {"to": destination}


def test_a_pix_by_key_is_held_for_the_other_bank_and_its_payee_is_masked(bank: Bank) -> None:
    body = bank.post(to(key=MARIAS_KEY)).json()
    assert (body["status"], body["to_account"]) == ("HELD", None)
    assert body["payee"] == {
        "name": "Maria da Silva",
        "document": "***.274.650-**",
        "institution": {"ispb": "18236120", "name": "Nubank"},
        "key": MARIAS_KEY,
    }
    assert bank.ledger.balances[A].on_hold == 300
    ((key, end_to_end_id, authorization),) = bank.directory.asked
    assert (key, end_to_end_id) == (MARIAS_KEY, body["end_to_end_id"])
    assert authorization == signed_in(ANA)["Authorization"]


def test_a_pix_by_bank_data_asks_nobody_and_shows_no_account(bank: Bank) -> None:
    answer = bank.post(to(bank=BANK))
    assert answer.status_code == 201, answer.text
    assert answer.json()["payee"] == {
        "name": "Antônio Souza",
        "document": "***.982.247-**",
        "institution": {"ispb": "60701190", "name": "Itaú"},
        "key": None,
    }
    assert BANK["number"] not in answer.text
    assert bank.directory.asked == []


@pytest.mark.parametrize("destination", [{"key": MARIAS_KEY}, {"bank": BANK}], ids=["key", "bank"])
def test_a_replay_to_another_bank_answers_the_first_bytes_and_looks_nothing_up(
    bank: Bank, destination: dict[str, Any]
) -> None:
    first = bank.post(to(**destination))
    bank.directory.failure = AssertionError("looked up again")
    again = bank.post(to(**destination))
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    problem(bank.post(to(account=B)), 422, "idempotency_key_reused", final=True)


def test_all_that_is_wrong_with_bank_data_is_said_at_once(bank: Bank) -> None:
    wrong = {
        "ispb": "1234",
        "branch": "12-3",
        "number": "12345-6",
        "account_type": "SLRY",
        "tax_id": "52998224724",
        "name": "",
        "bank": "Itaú",
    }
    document = problem(bank.post(to(bank=wrong)), 422, "invalid_request")
    assert {each["where"] for each in document["errors"]} == {f"body.to.bank.{name}" for name in wrong}
    assert "52998224724" not in str(document)
    missing = problem(bank.post(to(bank={})), 422, "invalid_request")
    assert {each["where"] for each in missing["errors"]} == {f"body.to.bank.{name}" for name in BANK}
    assert bank.ledger.log == []


@pytest.mark.parametrize(
    ("key", "status", "code", "facts"),
    [
        ("nobody@example.com", 404, "key_not_found", {}),
        ("11987654321", 422, "invalid_key", {"verdict": "tax_id_check_digits"}),
        ("cpf", 422, "invalid_key", {"verdict": "key_form"}),
    ],
)
def test_a_key_that_leads_nowhere_is_a_final_refusal(
    bank: Bank, key: str, status: int, code: str, facts: dict[str, str]
) -> None:
    document = problem(bank.post(to(key=key)), status, code, final=True)
    assert facts.items() <= document.items()
    (mark,) = bank.ledger.standing_at.values()
    assert isinstance(mark, Mark)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("lookup_limited", 429),
        ("dict_bad_answer", 502),
        ("dict_unavailable", 503),
        ("unavailable", 503),
        ("dict_timeout", 504),
    ],
)
def test_a_key_that_nobody_can_look_up_now_decides_nothing(bank: Bank, code: Any, status: int) -> None:
    bank.directory.failure = LookUpFailed(code, 7)
    answer = bank.post(to(key=MARIAS_KEY))
    problem(answer, status, code)
    assert answer.headers["retry-after"] == "7"
    assert bank.ledger.standing_at == {}
    bank.directory.failure = None
    assert bank.post(to(key=MARIAS_KEY)).status_code == 201


def test_a_rejected_pix_says_why_in_words(bank: Bank) -> None:
    transfer = bank.decided(status="REJECTED", reason="payee_account_closed")
    body = bank.get(f"/transfers/{transfer.transfer_id}").json()
    assert body["reason"] == "payee_account_closed"
    assert body["reason_text"] == "The account at the other bank is closed."

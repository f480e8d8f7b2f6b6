"""Money to other banks by Pix, through the gateway: by key, by bank data, and whatever the rail does."""

import json
import re
import signal
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests

from environments.local.api import Answer
from environments.local.demo import cpf
from tests.environment import Environment, open_account, until
from tests.journeys.conftest import Person
from tests.journeys.test_keys import entry_at_bacen

SECONDS = 10
MARIA, JOAO, ANTONIO = "maria.silva@example.com", "+5511987650001", "52998224725"
DECIDED = {"SETTLED", "REJECTED"}


@pytest.fixture(scope="module")
def nina(bank: Environment) -> Person:
    api = bank.user("nina@example.com")
    return Person(api, open_account(api, cpf(), "Nina Prado"))


@pytest.fixture(scope="module")
def otto(bank: Environment) -> Person:
    api = bank.user("otto@example.com")
    return Person(api, open_account(api, cpf(), "Otto Reis"))


@pytest.fixture(autouse=True)
def calm(bank: Environment) -> Iterator[None]:
    """Nothing that one test breaks at Bacen is broken for the next."""
    yield
    requests.delete(f"{bacen(bank)}/simulator/faults", timeout=SECONDS)


def bacen(bank: Environment) -> str:
    return str(bank.description["simulators"]["bacen"]["url"])


def break_(bank: Environment, place: str, what: str, **more: Any) -> None:
    fault = {"place": place, "what": what, **more}
    assert requests.post(f"{bacen(bank)}/simulator/faults", json=fault, timeout=SECONDS).status_code == 201


def order(bank: Environment, transfer: dict[str, Any]) -> dict[str, Any]:
    """The payment as Bacen has it."""
    path = f"{bacen(bank)}/simulator/orders/{transfer['end_to_end_id']}"
    found: dict[str, Any] = requests.get(path, timeout=SECONDS).json()
    return found


def pay(payer: Person, cents: int, again: str | None = None, **to: Any) -> Answer:
    body = {"from_account": payer.account_id, "to": to, "amount_cents": cents, "description": "Almoço"}
    return payer.api.post("/transfers", body, again)


def decided(payer: Person, answer: Answer, seconds: float = 20) -> dict[str, Any]:
    assert answer.status == 201, answer.text
    path = f"/transfers/{answer.body['transfer_id']}"
    return until(lambda: payer.api.get(path).body, lambda body: body["status"] in DECIDED, seconds)


def bank_data(bank: Environment, key: str, name: str) -> dict[str, Any]:
    """The account that a key leads to, as its owner would tell it to a payer."""
    entry = entry_at_bacen(bank, key).text

    def said(element: str) -> str:
        found = re.search(rf"<{element}>([^<]*)</{element}>", entry)
        assert found is not None, entry
        return found[1]

    return {
        "ispb": said("Participant"),
        "branch": said("Branch"),
        "number": said("AccountNumber"),
        "account_type": said("AccountType"),
        "tax_id": said("TaxIdNumber"),
        "name": name,
    }


def test_a_customer_of_another_bank_is_paid_by_key(bank: Environment, nina: Person) -> None:
    before = nina.available()
    answer = pay(nina, 1_234, key="Maria.Silva@example.com")
    assert (answer.body["status"], answer.body["to_account"]) == ("HELD", None)
    assert answer.body["payee"] == {
        "name": "Maria da Silva",
        "document": "***.274.650-**",
        "institution": {"ispb": "18236120", "name": "Nubank"},
        "key": MARIA,
    }
    transfer = decided(nina, answer)
    assert (transfer["status"], transfer["reason"], transfer["returnable_cents"]) == ("SETTLED", None, 1_234)
    assert nina.available() == before - 1_234
    there = order(bank, transfer)
    assert (there["status"], there["amount_cents"], there["payee"]) == ("SETTLED", 1_234, "18236120")
    entries = nina.api.get(f"/accounts/{nina.account_id}/entries").body["entries"]
    (entry,) = [each for each in entries if each["transfer_id"] == transfer["transfer_id"]]
    assert (entry["kind"], entry["amount_cents"]) == ("debit", 1_234)
    listed = nina.api.get(f"/transfers?account={nina.account_id}&direction=out").body["transfers"]
    assert transfer in listed


def test_a_customer_of_another_bank_is_paid_by_bank_data(bank: Environment, nina: Person) -> None:
    data = bank_data(bank, ANTONIO, "Antônio Souza")
    answer = pay(nina, 77, bank=data)
    assert data["number"] not in answer.text
    assert data["tax_id"] not in answer.text
    transfer = decided(nina, answer)
    assert (transfer["status"], transfer["payee"]["institution"]["name"]) == ("SETTLED", "Banco do Brasil")
    assert order(bank, transfer)["status"] == "SETTLED"


def test_a_key_and_a_number_of_an_account_here_need_no_rail(
    bank: Environment, nina: Person, otto: Person
) -> None:
    made = otto.api.post("/keys", {"key_type": "EVP", "account_id": otto.account_id})
    assert made.status == 201, made.text
    data = {
        "ispb": otto.account["institution"]["ispb"],
        "branch": otto.account["branch"],
        "number": otto.account["number"].replace("-", ""),
        "account_type": "CACC",
        "tax_id": otto.account["tax_id"],
        "name": "Otto Reis",
    }
    before = otto.available()
    for to in ({"key": made.body["key"]}, {"bank": data}):
        transfer = decided(nina, pay(nina, 5, **to))
        assert (transfer["status"], transfer["to_account"], transfer["payee"]) == (
            "SETTLED",
            otto.account_id,
            None,
        )
        assert order(bank, transfer)["code"] == "not_found"
    assert otto.available() == before + 10
    wrong = pay(nina, 5, bank=data | {"tax_id": ANTONIO})
    assert (wrong.status, wrong.body["code"], wrong.body["final"]) == (422, "payee_not_found", True)


@pytest.mark.parametrize(
    ("key", "reason", "words"),
    [
        ("blocked@example.com", "payee_account_blocked", "The account at the other bank is blocked."),
        ("closed@example.com", "payee_account_closed", "The account at the other bank is closed."),
        ("refuses@example.com", "payee_bank_refused", "The other bank refused the payment."),
    ],
)
def test_what_the_other_bank_rejects_comes_back_with_the_reason_in_words(
    bank: Environment, nina: Person, key: str, reason: str, words: str
) -> None:
    before = nina.available()
    transfer = decided(nina, pay(nina, 50, key=key))
    assert (transfer["status"], transfer["reason"], transfer["reason_text"]) == ("REJECTED", reason, words)
    assert nina.available() == before
    assert order(bank, transfer)["status"] == "REJECTED"


def test_wrong_bank_data_come_back_with_the_reason(bank: Environment, nina: Person) -> None:
    data = bank_data(bank, ANTONIO, "Antônio Souza")
    for change, reason in (
        ({"number": "1"}, "payee_account_unknown"),
        ({"tax_id": "12345678909"}, "payee_document_wrong"),
        ({"ispb": "12345678"}, "payee_bank_unknown"),
    ):
        transfer = decided(nina, pay(nina, 5, bank=data | change))
        assert (transfer["status"], transfer["reason"]) == ("REJECTED", reason)


@pytest.mark.parametrize(
    ("to", "status", "code"),
    [
        ({"key": "nobody@example.com"}, 404, "key_not_found"),
        ({"key": "11987650001"}, 422, "invalid_key"),
        ({"key": "court@example.com"}, 409, "key_refused"),
        ({"key": "salary@example.com"}, 409, "payee_takes_no_pix"),
    ],
)
def test_who_cannot_be_paid_is_said_and_no_money_moves(
    nina: Person, to: dict[str, str], status: int, code: str
) -> None:
    before = nina.available()
    answer = pay(nina, 5, **to)
    assert (answer.status, answer.body["code"], answer.body["final"]) == (status, code, True)
    assert nina.available() == before


def test_a_slow_bank_is_waited_for_and_the_money_stays_held(bank: Environment, nina: Person) -> None:
    break_(bank, "payee", "slow", seconds=2)
    before = nina.available()
    answer = pay(nina, 40, key=MARIA)
    path = f"/transfers/{answer.body['transfer_id']}"
    sent = until(lambda: nina.api.get(path), lambda seen: seen.body["status"] != "HELD")
    assert (sent.body["status"], sent.headers["Retry-After"]) == ("SENT", "1")
    account = nina.api.get(f"/accounts/{nina.account_id}").body
    assert (account["available_cents"], account["on_hold_cents"]) == (before - 40, 40)
    assert decided(nina, answer)["status"] == "SETTLED"


@pytest.mark.parametrize("what", ["lost_answer", "down"])
@pytest.mark.parametrize("times", [1, 4])
def test_lost_and_missing_answers_move_the_money_once(
    bank: Environment, nina: Person, what: str, times: int
) -> None:
    before = nina.available()
    break_(bank, "spi", what, times=times)
    transfer = decided(nina, pay(nina, 30, key=JOAO), 30)
    assert transfer["status"] == "SETTLED"
    assert nina.available() == before - 30
    there = order(bank, transfer)
    assert (there["status"], there["amount_cents"]) == ("SETTLED", 30)


def test_a_key_is_not_looked_up_twice_for_one_payment(bank: Environment, nina: Person) -> None:
    again = str(uuid.uuid4())
    first = pay(nina, 20, again, key=MARIA)
    break_(bank, "dict", "down", times=5)
    second = pay(nina, 20, again, key=MARIA)
    assert (second.status, second.text) == (201, first.text)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert decided(nina, first)["status"] == "SETTLED"


def test_a_dict_that_is_down_decides_nothing(bank: Environment, nina: Person) -> None:
    before, again = nina.available(), str(uuid.uuid4())
    break_(bank, "dict", "down")
    down = pay(nina, 20, again, key=JOAO)
    assert (down.status, down.body["code"]) == (503, "dict_unavailable")
    assert "final" not in down.body
    assert int(down.headers["Retry-After"]) >= 1
    assert nina.available() == before
    assert decided(nina, pay(nina, 20, again, key=JOAO))["status"] == "SETTLED"


def test_a_sender_that_is_killed_in_between_goes_on_and_pays_once(bank: Environment, nina: Person) -> None:
    before = nina.available()
    break_(bank, "payee", "slow", seconds=4)
    answer = pay(nina, 60, key=MARIA)
    path = f"/transfers/{answer.body['transfer_id']}"
    until(lambda: nina.api.get(path).body["status"], lambda status: status == "SENT")
    psutil.Process(bank.pid("send_pix")).send_signal(signal.SIGKILL)
    transfer = decided(nina, answer, 60)
    assert transfer["status"] == "SETTLED"
    assert nina.available() == before - 60
    assert order(bank, transfer)["amount_cents"] == 60


def test_a_trace_shows_what_went_over_the_rail(bank: Environment, nina: Person) -> None:
    transfer = decided(nina, pay(nina, 10, key=MARIA))
    done = bank.gobank("trace", str(transfer["transfer_id"]), "--json")
    assert done.returncode == 0, done.stderr
    lines = json.loads(done.stdout)["timeline"]
    messages = [(each["rail_message"], each.get("status")) for each in lines if "rail_message" in each]
    assert messages[0] == ("pacs.008", None)
    assert messages[-1] == ("pacs.002", "ACSC")
    assert [each["kind"] for each in lines if each["what"] == "entry"] == ["hold", "debit", "credit"]


def test_nothing_that_was_written_down_says_who_paid_whom(
    bank: Environment, nina: Person, otto: Person
) -> None:
    data = bank_data(bank, ANTONIO, "Antônio Souza")
    decided(nina, pay(nina, 3, key=MARIA))
    decided(nina, pay(nina, 3, bank=data))
    pay(nina, 3, key="nobody@example.com")
    token = str(nina.api._session.headers["Authorization"]).removeprefix("Bearer ")
    secrets = [MARIA, ANTONIO, data["number"], "nobody@example.com", "31827465026", token]
    secrets += [str(each.account[name]) for each in (nina, otto) for name in ("tax_id", "number")]
    secrets += [str(nina.account["number"]).replace("-", "")]
    for service in bank.description["services"]:
        text = (bank.folder / "logs" / f"{service}.log").read_text()
        assert [each for each in secrets if each in text] == [], service
        assert "Traceback" not in text, service


def test_the_books_agree_with_all_of_it(bank: Environment, nina: Person) -> None:
    def clean() -> Any:
        return json.loads(bank.gobank("audit", "--json").stdout)

    report = until(clean, lambda found: found["ok"])
    assert (report["sum_cents"], report["drift"]) == (0, [])

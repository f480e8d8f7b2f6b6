"""A transfer's story, in the order of time, and nothing in it that a person wrote."""

import hashlib
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.consumers.pix_orders import Orders
from apps.kit.logs import JsonLines
from apps.ledger.account import Refusal
from apps.ledger.outbox import Published
from apps.operators.outcome import masked
from apps.pix.spi import UNSIGNED
from apps.simulators.bacen.faults import Fault as BacenFault
from apps.transaction.destination import BankAccount
from apps.transaction.request import Payment
from tests.apps.consumers.fake_spi import FakeSpi
from tests.apps.consumers.rail_stage import Stage, stage
from tests.apps.ledger.bank import GRANT_CENTS, Bank, fake_bank, soon
from tests.apps.operators.test_main import typed
from tests.apps.simulators.bacen.scene import MARIA as MARIAS_KEY
from tests.apps.simulators.bacen.scene import OWN

MARIA = BankAccount("18236120", "0001", "987654321", "TRAN", "31827465026", "Maria da Silva")


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


def pay(bank: Bank, cents: int = 300, key: str = "key") -> Payment:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    return Payment("ana", key, ana, bruno, cents, "Almoço com a Ana", "request-1")


def story(bank: Bank, transfer_id: str, *more: str) -> dict[str, Any]:
    outcome = typed(bank, "trace", transfer_id, "--json", *more)
    assert outcome.exit_code == 0, outcome.text
    document: dict[str, Any] = json.loads(outcome.text)
    return document


def published(bank: Bank) -> None:
    """What the relay does once Kafka has what waits."""
    now = bank.time()
    lease = bank.outbox.take_lease(bank.outbox.lease(0), 0, "relay", until=now, now=now)
    assert lease is not None
    rows = bank.outbox.waiting(0, 10)
    assert bank.outbox.published(
        [Published(row, 4, 100 + n) for n, row in enumerate(rows)], lease, lease, now
    )


def test_the_story_has_request_entries_decision_and_events_in_order(bank: Bank) -> None:
    payment = pay(bank)
    bank.transfers.request(payment, soon())
    published(bank)
    bank.time.moment += timedelta(seconds=1)
    bank.ledger.settle(payment.transfer_id, (), soon())
    told = story(bank, payment.transfer_id)
    assert (told["transfer_id"], told["status"], told["request_id"]) == (
        payment.transfer_id,
        "SETTLED",
        "request-1",
    )
    lines = told["timeline"]
    assert [(each["what"], each.get("kind") or each.get("status") or each.get("type")) for each in lines] == [
        ("request", "transfer"),
        ("entry", "hold"),
        ("event", "br.gobanking.transfer.held"),
        ("entry", "debit"),
        ("entry", "credit"),
        ("decision", "SETTLED"),
        ("event", "br.gobanking.transfer.settled"),
    ]
    held, settled = lines[2], lines[6]
    assert (held["topic"], held["partition"], held["offset"]) == ("transfers", 4, 100)
    assert held["kept_until"] == "2026-12-02T09:00:00.000Z"
    assert (settled["topic"], settled["waits_in_shard"]) == (None, 0)
    assert [each["at"] for each in lines] == sorted(each["at"] for each in lines)


def test_a_payment_to_another_bank_shows_its_order_and_nobody_in_it(bank: Bank, tmp_path: Path) -> None:
    ana = bank.rich("ana")
    held = bank.pay("ana", ana, MARIA, 300).transfer
    orders = Orders(FakeSpi(), UNSIGNED, bank.time)
    bank.time.moment += timedelta(seconds=1)
    sent, _ = bank.ledger.send(held.transfer_id, orders.prepare, soon())
    assert sent is not None
    (tmp_path / "send_pix.log").write_text(
        json.dumps(
            {
                "at": "2026-11-25T09:00:01.500+00:00",
                "message": "the SPI was asked",
                "transfer_id": held.transfer_id,
                "rail_message": "pacs.002",
                "status": "ACSC",
            }
        )
    )
    bank.time.moment += timedelta(seconds=1)
    bank.ledger.arrive(held.transfer_id, soon())
    lines = story(bank, held.transfer_id, "--logs", str(tmp_path))["timeline"]
    rail = [each for each in lines if "rail_message" in each]
    assert [(each["what"], each["rail_message"]) for each in rail] == [
        ("rail", "pacs.008"),
        ("log", "pacs.002"),
    ]
    order = (sent.sent_order or "").encode()
    assert (rail[0]["message_id"], rail[0]["at"]) == (sent.message_id, "2026-11-25T09:00:01.000Z")
    assert (rail[0]["bytes"], rail[0]["sha256"]) == (len(order), hashlib.sha256(order).hexdigest())
    assert [each["kind"] for each in lines if each["what"] == "entry"] == ["hold", "debit", "credit"]
    for words in (["--json"], []):
        text = typed(bank, "trace", held.transfer_id, *words).text
        assert [each for each in ("31827465026", "987654321", "Maria") if each in text] == []


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Path]:
    """A folder with what the workers say."""
    logger, handler = logging.getLogger("apps.consumers"), logging.FileHandler(tmp_path / "workers.log")
    handler.setFormatter(JsonLines("workers"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield tmp_path
    logger.removeHandler(handler)
    logger.setLevel(before)
    handler.close()


def on_the_rail(at: Stage, transfer_id: str, logged: Path) -> list[tuple[Any, ...]]:
    """What the story says of messages of the rail."""
    timeline = story(at.bank, transfer_id, "--logs", str(logged))["timeline"]
    return [
        (each["rail_message"], each.get("direction") or each["status"], each.get("message", "the order"))
        for each in timeline
        if each.get("rail_message") and (each["what"] == "rail" or each.get("status"))
    ]


def test_a_pix_of_another_bank_and_its_return_show_what_was_said_on_the_rail(logged: Path) -> None:
    with stage() as at:
        ana = at.open()
        order_id = at.pay(ana, 500)
        at.turn()
        came = at.here(order_id)
        assert came is not None
        back = at.bank.give_back("ana", came.transfer_id, 200).transfer
        at.work()
        at.turn()
        assert on_the_rail(at, came.transfer_id, logged) == [
            ("pacs.008", "in", "the order"),
            ("pacs.002", "ACSP", "the SPI was answered"),
            ("pacs.002", "ACCC", "the SPI has said"),
        ]
        assert on_the_rail(at, back.transfer_id, logged) == [
            ("pacs.004", "out", "the order"),
            ("pacs.002", "ACSC", "the SPI was asked"),
        ]


def test_a_return_of_another_bank_is_told_as_one_and_so_is_a_question_about_it(logged: Path) -> None:
    with stage() as at:
        ana = at.open()
        sent = at.bank.standing_of(at.send(ana, MARIAS_KEY, 500))
        at.turn()
        return_id = at.come_back(str(sent.end_to_end_id), 200)
        at.bacen.faults.add(BacenFault("delivery", "lost", participant=OWN, message="pacs.002"))
        at.turn()
        at.pass_time(6)
        at.turn()
        back = at.here(return_id)
        assert back is not None
        assert on_the_rail(at, back.transfer_id, logged) == [
            ("pacs.004", "in", "the order"),
            ("pacs.002", "ACSP", "the SPI was answered"),
            ("pacs.002", "ACCC", "the SPI was asked"),
        ]


def test_what_a_person_wrote_and_who_they_are_does_not_show(bank: Bank) -> None:
    payment = pay(bank)
    bank.transfers.request(payment, soon())
    for words in (["--json"], []):
        text = typed(bank, "trace", payment.transfer_id, *words).text
        assert "Almoço" not in text
        assert "A***" in text
        assert '"ana"' not in text
        assert "answer" not in text


def test_log_lines_of_the_request_join_in_their_place(bank: Bank, tmp_path: Path) -> None:
    payment = pay(bank)
    bank.transfers.request(payment, soon())

    def line(at: str, **more: str) -> str:
        return json.dumps({"at": at, "level": "INFO", "service": "gateway", "message": "request", **more})

    (tmp_path / "gateway.log").write_text(
        "\n".join(
            [
                line("2026-11-25T08:59:59.999+00:00", request_id="request-1"),
                line("2026-11-25T06:00:01.000-03:00", request_id="request-1"),
                line("2026-11-25T09:00:00.000+00:00", request_id="request-12"),
                line("2026-11-25T09:00:00.000+00:00", request_id="other", message="about request-1 it says"),
                "no json, though it says request-1",
                '["request-1"]',
                '{"request_id": "request-1"}',
            ]
        )
    )
    (tmp_path / "other.log").write_text(
        line("2026-11-25T09:00:02.000+00:00", transfer_id=payment.transfer_id) + "\n"
    )
    timeline = story(bank, payment.transfer_id, "--logs", str(tmp_path))["timeline"]
    assert [each["at"] for each in timeline if each["what"] == "log"] == [
        "2026-11-25T08:59:59.999Z",
        "2026-11-25T09:00:01.000Z",
        "2026-11-25T09:00:02.000Z",
    ]
    assert timeline[0]["what"] == "log"


def test_a_return_names_its_original_and_a_rejection_its_reason(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    original = bank.paid("ana", ana, bruno, 300)
    giving = bank.give_back("bruno", original, 200).transfer
    bank.time.moment += timedelta(minutes=31)
    bank.ledger.expire(giving.transfer_id, soon())
    told = story(bank, giving.transfer_id)
    assert told["original_transfer_id"] == original
    (decision,) = [each for each in told["timeline"] if each["what"] == "decision"]
    assert (decision["status"], decision["reason"]) == ("REJECTED", "hold_expired")


def test_a_refused_request_is_told_as_such(bank: Bank) -> None:
    payment = pay(bank, GRANT_CENTS + 1)
    with pytest.raises(Refusal):
        bank.transfers.request(payment, soon())
    told = story(bank, payment.transfer_id)
    assert told["status"] == "REFUSED"
    assert [each["code"] for each in told["timeline"]] == ["insufficient_funds"]
    assert "insufficient_funds" in typed(bank, "trace", payment.transfer_id).text


@pytest.mark.parametrize("transfer_id", ["nothing", "0c000000-0000-5000-8000-000000000003", "#"])
def test_a_transfer_that_is_not_there_is_said_to_be_unknown(bank: Bank, transfer_id: str) -> None:
    outcome = typed(bank, "trace", transfer_id)
    assert (outcome.text, outcome.exit_code) == (f"no transfer has the id {transfer_id}", 2)


@pytest.mark.parametrize(
    ("text", "shown"), [("Almoço", "A***"), ("A", "A***"), ("", ""), (None, None), (7, 7)], ids=repr
)
def test_only_the_first_letter_shows(text: object, shown: object) -> None:
    assert masked(text) == shown


def test_a_trace_says_whether_it_looked_for_log_lines(bank: Bank, tmp_path: Path) -> None:
    payment = pay(bank)
    bank.transfers.request(payment, soon())
    assert story(bank, payment.transfer_id)["not_included"] == ["log"]
    assert "log lines: not looked for" in typed(bank, "trace", payment.transfer_id).text
    with_logs = ("--logs", str(tmp_path))
    assert story(bank, payment.transfer_id, *with_logs)["not_included"] == []
    assert "log lines" not in typed(bank, "trace", payment.transfer_id, *with_logs).text

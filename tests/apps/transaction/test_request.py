"""A key is answered once and for all: every way through step 2 of a transfer, and its races."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

import pytest

from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.ledger.account import Refusal
from apps.ledger.items import Mark
from apps.ledger.transfer import Transfer
from apps.transaction.request import Answer, KeyReused, Payment, Transfers, Unknown, refusal_of
from tests.apps.transaction.fake_directory import destinations
from tests.apps.transaction.fake_ledger import FakeLedger, funded

A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"
NOBODYS = "00000000-0000-4000-8000-000000000000"
PAYMENT = Payment("ana", "key", A, B, 300, "Almoço", "request-1")
TOO_MUCH = replace(PAYMENT, amount_cents=5000)
OTHERS = "another request"


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger(funded(A, "ana", 1000), funded(B, "beto", 0))


def request(ledger: FakeLedger, payment: Payment = PAYMENT) -> Answer:
    transfers = Transfers(
        ledger, "99999004", timedelta(minutes=30), lambda held: f"{held.transfer_id} first", destinations({})
    )
    return transfers.request(payment, Deadline.after(5))


def mark(ledger: FakeLedger) -> Mark:
    found = ledger.standing_at[PAYMENT.transfer_id]
    assert isinstance(found, Mark)
    return found


def refused(ledger: FakeLedger, payment: Payment = TOO_MUCH) -> Refusal:
    with pytest.raises(Refusal) as raised:
        request(ledger, payment)
    return raised.value


def once(ledger: FakeLedger, act: Callable[[], object]) -> Callable[[], None]:
    """Lets somebody else act the first time, and nobody after."""

    def meanwhile() -> None:
        ledger.before.clear()
        act()
        ledger.log.append(OTHERS)

    return meanwhile


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> NoReturn:
        raise error

    return fail


def test_a_new_request_holds_the_money_after_reading_its_id(ledger: FakeLedger) -> None:
    answer = request(ledger)
    assert not answer.replayed
    assert answer.transfer.status == "HELD"
    assert answer.transfer.answer == f"{PAYMENT.transfer_id} first"
    assert ledger.balances[A].available == 700
    assert ledger.log == ["standing", "hold"]


def test_the_transfer_is_what_was_asked_for(ledger: FakeLedger) -> None:
    made = request(ledger).transfer
    assert (made.kind, made.payer, made.payee, made.payer_owner, made.payee_owner) == (
        "transfer",
        A,
        B,
        "ana",
        "beto",
    )
    assert (made.amount_cents, made.description, made.request_id) == (300, "Almoço", "request-1")
    assert made.end_to_end_id is not None
    assert made.end_to_end_id.startswith("E99999004202611251200")
    assert made.expires_at == "2026-11-25T12:30:00.000Z"


def test_a_replayed_key_answers_the_first_transfer_and_moves_nothing(ledger: FakeLedger) -> None:
    first = request(ledger)
    ledger.log.clear()
    again = request(ledger, replace(PAYMENT, request_id="request-2"))
    assert again == Answer(first.transfer, replayed=True)
    assert ledger.balances[A].available == 700
    assert ledger.log == ["standing"]


def test_a_replay_has_the_first_answer_whatever_became_of_the_transfer(ledger: FakeLedger) -> None:
    first = request(ledger).transfer
    ledger.standing_at[first.transfer_id] = replace(first, status="REJECTED", reason="hold_expired")
    assert request(ledger).transfer.answer == first.answer


def test_a_replay_needs_no_money_and_no_account_any_more(ledger: FakeLedger) -> None:
    first = request(ledger).transfer
    ledger.balances.clear()
    assert request(ledger).transfer == first


@pytest.mark.parametrize(
    "other",
    [
        replace(PAYMENT, from_account=B),
        replace(PAYMENT, to=NOBODYS),
        replace(PAYMENT, amount_cents=301),
        replace(PAYMENT, description="Jantar"),
        replace(PAYMENT, description=None),
    ],
    ids=["payer", "payee", "amount", "description", "no description"],
)
def test_a_key_used_for_another_body_is_refused_before_anything_is_done(
    ledger: FakeLedger, other: Payment
) -> None:
    request(ledger)
    ledger.log.clear()
    with pytest.raises(KeyReused) as raised:
        request(ledger, other)
    assert raised.value.transfer_id == PAYMENT.transfer_id
    assert ledger.log == ["standing"]


@pytest.mark.parametrize("change", [{"subject": "beto"}, {"key": "other"}], ids=["caller", "key"])
def test_a_key_belongs_to_its_caller(change: dict[str, str]) -> None:
    assert replace(PAYMENT, **change).transfer_id != PAYMENT.transfer_id  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("payment", "code"),
    [
        (TOO_MUCH, "insufficient_funds"),
        (replace(PAYMENT, to=A), "same_account"),
        (replace(PAYMENT, to=NOBODYS), "payee_not_found"),
        (replace(PAYMENT, from_account=NOBODYS), "account_not_found"),
        (replace(PAYMENT, from_account=B, to=A), "account_not_found"),
    ],
    ids=["funds", "same account", "no payee", "no payer", "another's account"],
)
def test_a_refusal_is_answered_only_once_its_mark_stands(
    ledger: FakeLedger, payment: Payment, code: str
) -> None:
    refusal = refused(ledger, payment)
    assert refusal.code == code
    assert ledger.log == ["standing", "hold", "refuse"]
    kept = mark(ledger)
    assert kept.refused == 1
    assert vars(refusal_of(kept)) == vars(refusal)


def test_a_frozen_account_refuses_like_any_rule(ledger: FakeLedger) -> None:
    ledger.balances[A] = replace(ledger.balances[A], frozen=True)
    assert refused(ledger, PAYMENT).code == "account_frozen"
    assert mark(ledger).refused == 1


def test_a_refusal_leaves_its_key_free(ledger: FakeLedger) -> None:
    refused(ledger)
    assert refused(ledger).facts == {"available_cents": 1000}
    assert mark(ledger).refused == 2
    answer = request(ledger, PAYMENT)
    assert not answer.replayed
    assert answer.transfer.amount_cents == 300


def test_a_mark_that_finds_a_transfer_answers_it(ledger: FakeLedger) -> None:
    # The money came and the same request, sent twice, was held by the other one.
    def other() -> None:
        ledger.balances[A] = funded(A, "ana", 9000)
        request(ledger, TOO_MUCH)

    ledger.before["refuse"] = once(ledger, other)
    answer = request(ledger, TOO_MUCH)
    assert answer.replayed
    assert answer.transfer.amount_cents == 5000
    assert isinstance(ledger.standing_at[PAYMENT.transfer_id], Transfer)
    assert ledger.balances[A].on_hold == 5000


def test_a_mark_that_finds_another_requests_transfer_says_that_the_key_is_used(ledger: FakeLedger) -> None:
    ledger.before["refuse"] = once(ledger, lambda: request(ledger, PAYMENT))
    with pytest.raises(KeyReused):
        request(ledger, TOO_MUCH)
    assert ledger.balances[A].on_hold == 300


def test_a_mark_that_finds_a_newer_mark_lets_the_refusal_be_answered(ledger: FakeLedger) -> None:
    ledger.before["refuse"] = once(ledger, lambda: refused(ledger))
    assert refused(ledger).code == "insufficient_funds"
    assert ledger.log == ["standing", "hold", "refuse", "standing", "hold", "refuse", OTHERS]
    assert mark(ledger).refused == 1


def test_a_hold_cannot_pass_a_refusal_that_was_answered_meanwhile(ledger: FakeLedger) -> None:
    def other() -> None:
        refused(ledger)
        ledger.balances[A] = funded(A, "ana", 9000)

    ledger.before["hold"] = once(ledger, other)
    # There is money enough by now, but that key's refusal is out.
    refusal = refused(ledger)
    assert (refusal.code, refusal.facts) == ("insufficient_funds", {"available_cents": 1000})
    assert ledger.balances[A].on_hold == 0
    assert mark(ledger).refused == 1


def test_a_hold_cannot_pass_a_mark_newer_than_the_one_it_read(ledger: FakeLedger) -> None:
    refused(ledger)
    ledger.before["hold"] = once(ledger, lambda: refused(ledger))
    refused(ledger, PAYMENT)
    assert mark(ledger).refused == 2
    assert ledger.balances[A].on_hold == 0


def test_a_hold_that_finds_another_attempts_transfer_answers_it(ledger: FakeLedger) -> None:
    ledger.before["hold"] = once(ledger, lambda: request(ledger, PAYMENT))
    answer = request(ledger, PAYMENT)
    assert answer.transfer == ledger.standing_at[PAYMENT.transfer_id]
    assert ledger.balances[A].on_hold == 300


def test_a_hold_that_finds_another_requests_transfer_says_that_the_key_is_used(ledger: FakeLedger) -> None:
    ledger.before["hold"] = once(ledger, lambda: request(ledger, PAYMENT))
    with pytest.raises(KeyReused):
        request(ledger, replace(PAYMENT, amount_cents=1))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_hold_whose_outcome_is_unknown_names_its_transfer_and_can_be_asked_again(
    ledger: FakeLedger, moment: str
) -> None:
    getattr(ledger, moment)["hold"] = raising(OutcomeUnknown())
    with pytest.raises(Unknown) as raised:
        request(ledger)
    assert raised.value.transfer_id == PAYMENT.transfer_id
    getattr(ledger, moment).clear()
    assert request(ledger).replayed is (moment == "after")
    assert ledger.balances[A].on_hold == 300


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_refusal_whose_mark_may_not_stand_is_not_answered(ledger: FakeLedger, moment: str) -> None:
    getattr(ledger, moment)["refuse"] = raising(OutcomeUnknown())
    with pytest.raises(Unknown) as raised:
        request(ledger, TOO_MUCH)
    assert raised.value.transfer_id == PAYMENT.transfer_id


@pytest.mark.parametrize("call", ["standing", "hold", "refuse"])
def test_where_the_ledger_is_away_nothing_is_answered(ledger: FakeLedger, call: str) -> None:
    ledger.before[call] = raising(Unavailable())
    with pytest.raises(Unavailable):
        request(ledger, TOO_MUCH if call == "refuse" else PAYMENT)
    assert ledger.standing_at == {}
    assert ledger.log[-1] == call

"""A Pix to another bank in the ledger: written down before it leaves, decided by the SPI's answer alone."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from apps.consumers.sweep_transfers import Sweep
from apps.kit import events
from apps.kit.dynamo import Deadline, OutcomeUnknown
from apps.ledger import items
from apps.ledger.account import SETTLEMENT, Balance, Frozen, Refusal, internal_item
from apps.ledger.transfer import (
    HELD,
    SENT,
    SETTLED,
    Attempt,
    Order,
    Sent,
    Transfer,
    expired,
    hold,
    next_look,
    partition_key,
    reject,
    send,
    settle,
)
from apps.transaction.api import rendered
from tests.apps.kit.faulty_dynamo import lose_reply
from tests.apps.ledger.bank import GRANT_CENTS, Bank, fake_bank, soon
from tests.apps.ledger.values import (
    ATTEMPT,
    BRUNO,
    LIFETIME,
    NEXT_ATTEMPT,
    ORDER,
    PAYMENT,
    PIX,
    SENT_ORDER,
    balance,
    settlement,
)


def held() -> tuple[Transfer, Balance]:
    change = hold(PIX, balance(), settlement(), LIFETIME, ATTEMPT)
    return change.transfer, change.postings[0].after


def sent() -> tuple[Transfer, Balance]:
    transfer, payer = held()
    return send(transfer, payer, SENT_ORDER, NEXT_ATTEMPT).transfer, payer


def test_sending_writes_the_order_down_and_moves_no_money() -> None:
    transfer, payer = held()
    change = send(transfer, payer, SENT_ORDER, NEXT_ATTEMPT)
    assert (change.before, change.postings, change.event.type) == ("HELD", (), SENT)
    leaving = change.transfer
    assert (leaving.status, leaving.decided_at) == ("SENT", None)
    assert Sent(str(leaving.sent_order), str(leaving.message_id), str(leaving.accepted_at)) == SENT_ORDER


def test_what_is_sent_cannot_be_sent_again() -> None:
    transfer, payer = sent()
    with pytest.raises(AssertionError):
        send(transfer, payer, SENT_ORDER, NEXT_ATTEMPT)


def test_a_transfer_between_accounts_here_never_leaves() -> None:
    change = hold(ORDER, balance(), balance(BRUNO, owner="bruno"), LIFETIME, ATTEMPT)
    with pytest.raises(AssertionError):
        send(change.transfer, change.postings[0].after, SENT_ORDER, NEXT_ATTEMPT)


def test_nothing_leaves_from_an_account_under_review() -> None:
    transfer, payer = held()
    with pytest.raises(Frozen):
        send(transfer, replace(payer, frozen=True), SENT_ORDER, NEXT_ATTEMPT)


def test_a_payment_settles_against_settlement_and_only_once_it_was_sent() -> None:
    transfer, payer = held()
    with pytest.raises(AssertionError):
        settle(transfer, payer, settlement(), NEXT_ATTEMPT)
    leaving, payer = sent()
    change = settle(leaving, payer, settlement(), NEXT_ATTEMPT)
    assert (change.before, change.transfer.status, change.event.type) == ("SENT", "SETTLED", SETTLED)
    assert [(each.entry.kind, each.after.available) for each in change.postings] == [
        ("debit", 700),
        ("credit", 300),
    ]
    assert change.transfer.returnable_cents == 300


def test_settled_money_is_never_given_back_for_want_of_an_account_of_ours() -> None:
    leaving, payer = sent()
    with pytest.raises(Frozen):
        settle(leaving, payer, None, NEXT_ATTEMPT)


def test_a_rejection_of_the_spi_releases_the_hold_with_its_reason() -> None:
    leaving, payer = sent()
    change = reject(leaving, payer, "payee_account_blocked", NEXT_ATTEMPT)
    assert (change.before, change.transfer.reason) == ("SENT", "payee_account_blocked")
    assert change.postings[0].after.available == 1000


def test_sent_never_expires_and_is_still_looked_at() -> None:
    leaving, _ = sent()
    years = ATTEMPT.now + timedelta(days=3650)
    assert not expired(leaving, years)
    assert next_look(leaving, years).due_at > years.isoformat()[:19]  # type: ignore[operator]
    assert leaving.due_at == "2026-11-25T12:00:06.000Z"


def test_each_payment_has_a_kafka_key_of_its_own() -> None:
    leaving, _ = sent()
    assert partition_key(leaving) == leaving.transfer_id


@pytest.mark.parametrize(
    ("order", "payee"),
    [
        pytest.param(replace(PIX, payment=None), settlement(), id="a customer pays settlement"),
        pytest.param(replace(PIX, payee=BRUNO), balance(BRUNO, owner="bruno"), id="an order to us"),
    ],
)
def test_only_a_payment_to_another_bank_is_held_for_settlement(order: Order, payee: Balance) -> None:
    with pytest.raises(Refusal) as refusal:
        hold(order, balance(), payee, LIFETIME, ATTEMPT)
    assert refusal.value.code == "payee_not_found"


# --- on the tables ----------------------------------------------------------------------------


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


def paying(bank: Bank, cents: int = 300) -> tuple[str, str]:
    """Ana's account, and her payment to another bank, held."""
    ana = bank.rich("ana")
    transfer_id = str(uuid.uuid4())
    payee = internal_item(SETTLEMENT, transfer_id)
    order = Order(
        transfer_id=transfer_id,
        kind="transfer",
        subject="ana",
        payer=ana,
        payee=payee,
        amount_cents=cents,
        description=None,
        end_to_end_id="E9999901020261125090000000000001",
        request_hash="h",
        request_id=None,
        payment=PAYMENT,
    )
    first = bank.ledger.standing(transfer_id, (ana, payee))
    bank.ledger.hold(order, first, timedelta(minutes=30), rendered, soon())
    return ana, transfer_id


def order_of(transfer: Transfer, attempt: Attempt) -> Sent:
    """A fresh order each time, as a sender makes it."""
    return Sent(f"<{uuid.uuid4()}/>", f"M{uuid.uuid4().hex[:31]}", attempt.at)


def types(bank: Bank, transfer_id: str) -> list[str]:
    rows = bank.outbox.still_waiting(transfer_id, 1)
    records = [events.record_from_json(row.record) for row in rows]
    # The clock stands still: rows of one moment lie in the order of their random ids.
    return sorted(events.decode(each.headers, each.value).type for each in records)


def test_sent_is_durable_with_its_bytes_and_its_event(bank: Bank) -> None:
    _, transfer_id = paying(bank)
    made, mine = bank.ledger.send(transfer_id, order_of, soon())
    stands = bank.standing_of(transfer_id)
    assert mine
    assert stands == made
    assert (stands.status, stands.payment) == ("SENT", PAYMENT)
    assert stands.sent_order is not None
    assert types(bank, transfer_id) == [HELD, SENT]


def test_of_two_workers_one_may_send_and_the_bytes_never_change(bank: Bank) -> None:
    _, transfer_id = paying(bank)
    first, mine = bank.ledger.send(transfer_id, order_of, soon())
    second, also_mine = bank.ledger.send(transfer_id, order_of, soon())
    assert (mine, also_mine) == (True, False)
    assert second == first
    assert types(bank, transfer_id) == [HELD, SENT]


def test_settle_transfers_leaves_a_payment_to_its_sender(bank: Bank) -> None:
    _, transfer_id = paying(bank)
    for _ in range(2):
        found = bank.ledger.settle(transfer_id, (), soon())
        assert found is not None
        assert found.status in {"HELD", "SENT"}
        bank.ledger.send(transfer_id, order_of, soon())


def test_the_spis_yes_debits_the_payer_and_credits_settlement_once(bank: Bank) -> None:
    ana, transfer_id = paying(bank)
    bank.ledger.send(transfer_id, order_of, soon())
    for _ in range(2):
        arrived = bank.ledger.arrive(transfer_id, soon())
        assert arrived is not None
        assert arrived.status == "SETTLED"
    balance_ = bank.ledger.balance(ana)
    assert balance_ is not None
    assert (balance_.available, balance_.on_hold) == (GRANT_CENTS - 300, 0)
    assert bank.available(internal_item(SETTLEMENT, transfer_id)) == 300


def test_the_spis_no_gives_the_money_back_once_and_a_late_yes_changes_nothing(bank: Bank) -> None:
    ana, transfer_id = paying(bank)
    bank.ledger.send(transfer_id, order_of, soon())
    for _ in range(2):
        turned_down = bank.ledger.turn_down(transfer_id, "payee_account_closed", soon())
        assert turned_down is not None
        assert (turned_down.status, turned_down.reason) == ("REJECTED", "payee_account_closed")
    late = bank.ledger.arrive(transfer_id, soon())
    assert late is not None
    assert late.status == "REJECTED"
    assert bank.available(ana) == GRANT_CENTS


@pytest.mark.parametrize("answer", ["arrive", "turn_down"])
def test_an_answer_to_what_was_never_sent_moves_nothing(bank: Bank, answer: str) -> None:
    ana, transfer_id = paying(bank)
    if answer == "arrive":
        found = bank.ledger.arrive(transfer_id, soon())
    else:
        found = bank.ledger.turn_down(transfer_id, "x", soon())
    assert found is not None
    assert found.status == "HELD"
    assert bank.available(ana) == GRANT_CENTS - 300


def test_a_payment_that_never_left_expires_and_then_nobody_may_send_it(bank: Bank) -> None:
    ana, transfer_id = paying(bank)
    bank.time.moment += timedelta(minutes=31)
    ended = bank.ledger.expire(transfer_id, soon())
    assert ended is not None
    assert ended.reason == "hold_expired"
    found, mine = bank.ledger.send(transfer_id, order_of, soon())
    assert found is not None
    assert (found.status, mine) == ("REJECTED", False)
    assert bank.available(ana) == GRANT_CENTS


def test_the_sweep_never_ends_what_is_sent_and_brings_its_event_back(bank: Bank) -> None:
    _, transfer_id = paying(bank)
    sent_, _ = bank.ledger.send(transfer_id, order_of, soon())
    assert sent_ is not None
    bank.time.moment += timedelta(days=2)
    Sweep(bank.ledger, bank.outbox).look(transfer_id)
    expired_ = bank.ledger.expire(transfer_id, soon())
    assert expired_ is not None
    assert expired_.status == "SENT"
    stands = bank.standing_of(transfer_id)
    assert stands.looks == 1
    assert replace(stands, looks=0, due_at=sent_.due_at) == sent_


def test_a_sender_who_does_not_know_whether_it_stands_may_not_send(bank: Bank) -> None:
    _, transfer_id = paying(bank)
    bank.client.faults.extend([lose_reply] * 100)
    with pytest.raises(OutcomeUnknown):
        bank.ledger.send(transfer_id, order_of, Deadline.after(0.05))


def test_the_auditor_agrees_at_every_step(bank: Bank) -> None:
    _, transfer_id = paying(bank)
    assert bank.auditor.audit().ok
    bank.ledger.send(transfer_id, order_of, soon())
    assert bank.auditor.audit().ok
    bank.ledger.arrive(transfer_id, soon())
    assert bank.auditor.audit().ok


def test_a_sent_transfer_is_read_back_as_it_was_written() -> None:
    leaving, _ = sent()
    assert items.transfer_of(items.transfer_item(leaving)) == leaving


def test_neither_the_parties_nor_the_order_show_up_where_a_transfer_is_printed() -> None:
    leaving, _ = sent()
    assert "instrument" not in repr(leaving)
    assert "52998224725" not in repr(leaving)
    assert "Envelope" not in repr(leaving)

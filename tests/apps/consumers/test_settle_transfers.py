"""The settling worker: what becomes of an event, and whether Kafka brings it again."""

from dataclasses import replace
from typing import Any

import pytest

from apps.consumers.settle_transfers import Settlement
from apps.kit import events
from apps.kit.events import Event
from apps.kit.worker import Poison, TryAgain
from apps.ledger import items
from apps.ledger.entries import Drift
from apps.ledger.store import Ledger
from apps.ledger.transfer import ACCEPTED, HELD, REJECTED, SENT, SETTLED
from tests.apps.kit.faulty_dynamo import Fault, Faulty, cancel, conflict, lose_reply, lose_request, refuse
from tests.apps.ledger.bank import GRANT_CENTS, Bank, bank_on, fake_bank

DOWN = refuse("InternalServerError", 500)


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


def held(bank: Bank) -> Event:
    """The event of a transfer of 300 from ana to bruno."""
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.pay("ana", ana, bruno, 300)
    (row,) = bank.outbox.waiting(0, 10)
    record = events.record_from_json(row.record)
    return events.decode(record.headers, record.value)


def settle(ledger: Ledger, event: Event) -> None:
    """What becomes of one event alone."""
    (answer,) = Settlement(ledger).settle([event])
    if answer is not None:
        raise answer


def state(bank: Bank, event: Event) -> tuple[str, int, int]:
    """The transfer's status, and what is available to payer and payee."""
    transfer = bank.ledger.transfer(str(event.data["transfer_id"]))
    assert transfer is not None
    return transfer.status, bank.available(transfer.payer), bank.available(transfer.payee)


BEFORE = ("HELD", GRANT_CENTS - 300, GRANT_CENTS)
AFTER = ("SETTLED", GRANT_CENTS - 300, GRANT_CENTS + 300)


def test_a_held_transfer_is_settled_once_however_often_its_event_comes(bank: Bank) -> None:
    event = held(bank)
    assert state(bank, event) == BEFORE
    for _ in range(3):
        settle(bank.ledger, event)
        assert state(bank, event) == AFTER
    assert bank.auditor.audit().ok


def test_every_type_of_event_has_its_handler_and_only_held_moves_money(bank: Bank) -> None:
    event = held(bank)
    settlement = Settlement(bank.ledger)
    handlers, together = settlement.handlers(), settlement.together()
    assert (set(handlers), set(together)) == ({SENT, ACCEPTED, SETTLED, REJECTED}, {HELD})
    for _, handle in handlers.values():
        handle(event)
    assert state(bank, event) == BEFORE
    version, settle_all = together[HELD]
    assert settle_all([event]) == [None]
    assert version == event.version
    assert state(bank, event) == AFTER


def test_the_transfer_is_believed_and_not_the_parties_of_its_event(bank: Bank) -> None:
    event = held(bank)
    carla = bank.rich("carla")
    forged = {**event.data, "payer": event.data["payee"], "payee": carla, "amount_cents": 999}
    settle(bank.ledger, replace(event, data=forged))
    assert state(bank, event)[2] == GRANT_CENTS + 300
    assert bank.available(carla) == GRANT_CENTS


@pytest.mark.parametrize("name", ["transfer_id", "payer", "payee"])
@pytest.mark.parametrize("value", [None, "", 7, ["x"]], ids=["missing", "empty", "number", "list"])
def test_an_event_without_what_it_must_say_is_poison(bank: Bank, name: str, value: object) -> None:
    event = held(bank)
    data = {key: each for key, each in event.data.items() if key != name}
    with pytest.raises(Poison) as poison:
        settle(bank.ledger, replace(event, data=data if value is None else {**data, name: value}))
    assert name in poison.value.reason
    assert state(bank, event) == BEFORE


def test_an_event_of_no_transfer_is_poison(bank: Bank) -> None:
    event = held(bank)
    with pytest.raises(Poison, match="no such transfer"):
        settle(bank.ledger, replace(event, data={**event.data, "transfer_id": "nothing"}))


def test_an_event_of_a_key_that_was_only_refused_is_poison(bank: Bank) -> None:
    event = held(bank)
    assert bank.ledger.refuse("refused", None, "[]") is None
    with pytest.raises(Poison, match="no such transfer"):
        settle(bank.ledger, replace(event, data={**event.data, "transfer_id": "refused"}))


@pytest.mark.parametrize("who", ["payer", "payee"])
def test_a_frozen_account_lets_the_event_pass_and_the_transfer_wait(bank: Bank, who: str) -> None:
    event = held(bank)
    account_id = str(event.data[who])
    bank.auditor.freeze(Drift(account_id, "wrong_sum", "a test"))
    settle(bank.ledger, event)
    assert state(bank, event) == BEFORE
    assert bank.auditor.unfreeze(account_id) == ()
    settle(bank.ledger, event)
    assert state(bank, event) == AFTER


def test_a_payee_that_is_gone_sends_the_money_back(bank: Bank) -> None:
    event = held(bank)
    payee = str(event.data["payee"])
    bank.raw.delete_item(TableName=bank.tables.accounts, Key=items.balance_key(payee))
    settle(bank.ledger, event)
    transfer = bank.ledger.transfer(str(event.data["transfer_id"]))
    assert transfer is not None
    assert (transfer.status, transfer.reason) == ("REJECTED", "payee_unavailable")
    assert bank.available(transfer.payer) == GRANT_CENTS


def test_a_store_that_does_not_answer_means_again_later(bank: Bank) -> None:
    event = held(bank)
    client = Faulty(bank.raw, "batch_get_item", [DOWN] * 3)
    ledger = bank_on(client, bank.tables, bank.time).ledger
    with pytest.raises(TryAgain, match="Unavailable"):
        settle(ledger, event)
    assert state(bank, event) == BEFORE
    settle(ledger, event)
    assert state(bank, event) == AFTER


@pytest.mark.parametrize(("first", "stands"), [(lose_reply, True), (lose_request, False)])
def test_an_unknown_outcome_means_again_later_and_never_twice(
    bank: Bank, first: Fault, *, stands: bool
) -> None:
    event = held(bank)
    reads = Faulty(bank.raw, "batch_get_item", [lambda _, call: call(), DOWN, DOWN, DOWN])
    writes = bank_on(reads, bank.tables, bank.time)
    writes.client.faults = [first, cancel("ConditionalCheckFailed")]
    with pytest.raises(TryAgain, match="OutcomeUnknown"):
        settle(writes.ledger, event)
    assert state(bank, event) == (AFTER if stands else BEFORE)
    settle(bank.ledger, event)
    assert state(bank, event) == AFTER
    assert bank.auditor.audit().ok


@pytest.mark.parametrize("fault", [conflict, refuse("ThrottlingException"), lose_request, lose_reply])
def test_what_passes_in_a_moment_needs_no_second_delivery(bank: Bank, fault: Any) -> None:
    event = held(bank)
    bank.client.faults = [fault, fault]
    settle(bank.ledger, event)
    assert state(bank, event) == AFTER
    assert bank.auditor.audit().ok


@pytest.mark.parametrize("who", ["payer", "payee"])
def test_an_account_that_is_frozen_at_the_last_moment_moves_no_money(bank: Bank, who: str) -> None:
    event = held(bank)

    def freeze_first(_: str, call: Any) -> Any:
        bank.auditor.freeze(Drift(str(event.data[who]), "wrong_sum", "a test"))
        return call()

    bank.client.faults = [freeze_first]
    settle(bank.ledger, event)
    assert state(bank, event) == BEFORE


def test_the_events_of_one_poll_share_a_transaction_and_each_has_its_answer(bank: Bank) -> None:
    first = held(bank)
    ana, bruno = str(first.data["payer"]), str(first.data["payee"])
    paid = bank.pay("ana", ana, bruno, 50).transfer.transfer_id
    (row,) = [row for row in bank.outbox.waiting(0, 10) if row.transfer_id == paid]
    record = events.record_from_json(row.record)
    second = events.decode(record.headers, record.value)
    malformed = replace(second, data={**second.data, "payer": 7})
    unknown = replace(second, data={**second.data, "transfer_id": "nothing"})
    bank.client.seen.clear()
    answers = Settlement(bank.ledger).settle([malformed, first, unknown, second, first])
    assert [type(each) for each in answers] == [Poison, type(None), Poison, type(None), type(None)]
    assert len(bank.client.seen) == 1
    assert bank.available(bruno) == GRANT_CENTS + 350
    assert bank.auditor.audit().ok


def test_an_unknown_outcome_makes_all_events_of_the_poll_come_again(bank: Bank) -> None:
    event = held(bank)
    bank.pay("ana", str(event.data["payer"]), str(event.data["payee"]), 50)
    bank.client.faults = [lose_reply, cancel("ValidationError")]
    answers = Settlement(bank.ledger).settle([event, replace(event, data={**event.data})])
    assert [type(each) for each in answers] == [TryAgain, TryAgain]
    assert len({id(each) for each in answers}) == 2
    assert Settlement(bank.ledger).settle([event, event]) == [None, None]
    assert state(bank, event)[0] == "SETTLED"


def test_a_damaged_transfer_is_told_and_lets_the_others_go_on(
    bank: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    event = held(bank)
    place = {
        "TableName": bank.tables.transactions,
        "Key": items.transfer_key(str(event.data["transfer_id"])),
    }
    whole = bank.raw.get_item(**place)["Item"]
    damaged = {name: value for name, value in whole.items() if name != "amount_cents"}
    bank.raw.put_item(TableName=bank.tables.transactions, Item=damaged)
    assert Settlement(bank.ledger).settle([event]) == [None]
    assert "damaged_records" in capsys.readouterr().out
    bank.raw.put_item(TableName=bank.tables.transactions, Item=whole)
    assert state(bank, event) == BEFORE

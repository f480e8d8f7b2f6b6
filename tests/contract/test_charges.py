"""Charges on a DynamoDB that keeps its promises: whoever pays at once, one of them does."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from apps.consumers.sweep_transfers import Sweep
from apps.kit.dynamo import Deadline, OutcomeUnknown
from apps.ledger.account import Refusal
from apps.ledger.charge import Charge
from apps.ledger.items import OPEN_SHARDS, Corrupted
from apps.ledger.store import Standing
from apps.ledger.transfer import Order, Transfer, iso
from apps.pix import end_to_end_id
from tests.apps.kit.faulty_dynamo import lose_reply, lose_request
from tests.apps.ledger.bank import Bank, Time, bank_on
from tests.contract.ministack import Store

CENTS = 700
PAYERS = ("ana", "bruno", "carla")


@pytest.fixture
def banks(store: Store, time: Time) -> list[Bank]:
    """Several processes on one store."""
    return [bank_on(store.client, store.tables, time) for _ in range(3)]


def charged(bank: Bank, account_id: str) -> Charge:
    """Davi asks for money, for an hour."""
    charge_id = str(uuid.uuid4())
    now = bank.time()
    charge = Charge(
        charge_id=charge_id,
        subject="davi",
        account_id=account_id,
        amount_cents=CENTS,
        description="Conta",
        created_at=iso(now),
        expires_at=iso(now + timedelta(hours=1)),
        request_hash="h",
        code="c",
    )
    assert bank.ledger.charges.make(charge) == charge
    return charge


def paid(bank: Bank, charge: Charge, who: str, payer: str, cents: int = CENTS) -> Transfer | Refusal:
    """What a request does that has read the charge as it was made."""
    order = Order(
        transfer_id=str(uuid.uuid4()),
        kind="transfer",
        subject=who,
        payer=payer,
        payee=charge.account_id,
        amount_cents=cents,
        description=None,
        end_to_end_id=end_to_end_id.new("99999010", bank.time()),
        request_hash="h",
        request_id=None,
        charge_id=charge.charge_id,
    )
    standing = bank.ledger.standing(order.transfer_id, (order.payer, order.payee))
    first: Standing = replace(standing, charge=charge)
    try:
        return bank.ledger.hold(order, first, timedelta(minutes=30), lambda _: "", Deadline.after(20))
    except Refusal as refusal:
        return refusal


def taken_by(bank: Bank, charge: Charge) -> str | None:
    found = bank.ledger.charges.find(charge.charge_id)
    assert found is not None
    assert replace(found, taken_by=None) == charge
    return found.taken_by


def test_of_many_who_pay_one_charge_at_once_one_does(banks: list[Bank]) -> None:
    ids = {name: banks[0].rich(name) for name in (*PAYERS, "davi")}
    charge = charged(banks[0], ids["davi"])
    together = threading.Barrier(9)

    def pay(number: int) -> Transfer | Refusal:
        who = PAYERS[number % 3]
        together.wait(20)
        return paid(banks[number // 3], charge, who, ids[who])

    with ThreadPoolExecutor(9) as pool:
        outcomes = list(pool.map(pay, range(9)))
    (held,) = [each for each in outcomes if isinstance(each, Transfer)]
    assert {each.code for each in outcomes if isinstance(each, Refusal)} == {"qr_code_paid"}
    assert taken_by(banks[0], charge) == held.transfer_id
    banks[0].settle_all()
    assert banks[0].standing_of(held.transfer_id).status == "SETTLED"
    assert taken_by(banks[0], charge) == held.transfer_id
    assert banks[0].auditor.audit().ok


def test_a_payment_that_is_rejected_gives_the_charge_back(banks: list[Bank], time: Time) -> None:
    bank = banks[0]
    ids = {name: bank.rich(name) for name in ("ana", "davi")}
    charge = charged(bank, ids["davi"])
    first = paid(bank, charge, "ana", ids["ana"])
    assert isinstance(first, Transfer)
    time.moment += timedelta(minutes=31)
    for shard in range(OPEN_SHARDS):
        Sweep(bank.ledger, bank.outbox).turn(shard)
    assert bank.standing_of(first.transfer_id).status == "REJECTED"
    assert taken_by(bank, charge) is None
    assert isinstance(paid(bank, charge, "ana", ids["ana"]), Transfer)
    assert bank.auditor.audit().ok


def test_a_charge_that_expires_while_a_request_waits_is_not_paid(banks: list[Bank], time: Time) -> None:
    bank = banks[0]
    ids = {name: bank.rich(name) for name in ("ana", "davi")}
    charge = charged(bank, ids["davi"])
    time.moment += timedelta(hours=1)
    refused = paid(bank, charge, "ana", ids["ana"])
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.facts) == ("qr_code_expired", {"expired_at": charge.expires_at})
    assert taken_by(bank, charge) is None


def test_another_amount_is_refused_with_the_right_one(banks: list[Bank]) -> None:
    bank = banks[0]
    ids = {name: bank.rich(name) for name in ("ana", "davi")}
    charge = charged(bank, ids["davi"])
    for cents in (CENTS - 1, CENTS + 1):
        refused = paid(bank, charge, "ana", ids["ana"], cents)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.facts) == ("qr_code_amount", {"amount_cents": CENTS})


def test_a_lost_reply_pays_a_charge_once(banks: list[Bank]) -> None:
    bank = banks[0]
    ids = {name: bank.rich(name) for name in ("ana", "davi")}
    charge = charged(bank, ids["davi"])
    bank.client.faults = [lose_reply, lose_request]
    held = paid(bank, charge, "ana", ids["ana"])
    assert isinstance(held, Transfer)
    assert taken_by(bank, charge) == held.transfer_id


def test_a_charge_is_made_once_and_found_again(banks: list[Bank]) -> None:
    bank = banks[0]
    charge = charged(bank, bank.rich("davi"))
    other = replace(charge, amount_cents=1, request_hash="other")
    assert bank.ledger.charges.make(other) == charge
    assert bank.ledger.charges.find(charge.charge_id) == charge
    assert bank.ledger.charges.find(str(uuid.uuid4())) is None


def test_a_charge_whose_making_is_unknown_says_so_and_may_be_made_again(banks: list[Bank]) -> None:
    bank = banks[0]
    account_id = bank.rich("davi")
    bank.client.operation = "put_item"
    bank.client.faults = [lose_reply]
    with pytest.raises(OutcomeUnknown):
        charged(bank, account_id)


def test_a_charge_that_cannot_be_read_is_named(banks: list[Bank]) -> None:
    bank = banks[0]
    charge = charged(bank, bank.rich("davi"))
    place: Any = {"pk": {"S": f"CHARGE#{charge.charge_id}"}, "sk": {"S": "CHARGE"}}
    bank.raw.update_item(
        TableName=bank.tables.transactions, Key=place, UpdateExpression="REMOVE amount_cents"
    )
    with pytest.raises(Corrupted) as found:
        bank.ledger.charges.find(charge.charge_id)
    assert charge.charge_id in str(found.value)

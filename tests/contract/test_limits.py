"""Limits on a DynamoDB that keeps its promises: whoever pays at once, together they stay within the limit."""

import itertools
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

import pytest

from apps.consumers.sweep_transfers import Sweep
from apps.kit.dynamo import Deadline
from apps.ledger.account import Refusal
from apps.ledger.items import OPEN_SHARDS
from apps.ledger.transfer import Transfer
from apps.pix import limits
from apps.transaction.request import Payment
from tests.apps.kit.faulty_dynamo import lose_reply
from tests.apps.ledger.bank import Bank, Time, bank_on
from tests.contract.ministack import Store

LIMIT_CENTS = 1_000
EACH_CENTS = 90
PROCESSES = 4


@pytest.fixture
def banks(store: Store, time: Time) -> list[Bank]:
    """Several processes on one store."""
    return [bank_on(store.client, store.tables, time) for _ in range(PROCESSES)]


def lowered(bank: Bank, account_id: str, cents: int = LIMIT_CENTS) -> None:
    for name in ("day", "night"):
        wish = partial(_changed, name, cents)
        bank.accounts.limit(account_id, wish, Deadline.after(20))


def _changed(name: limits.LimitName, cents: int, before: limits.Limits, now: datetime) -> limits.Limits:
    return limits.changed(before, name, cents, now)


def paid(bank: Bank, payer: str, payee: str, cents: int = EACH_CENTS) -> Transfer | Refusal:
    payment = Payment("ana", uuid.uuid4().hex, payer, payee, cents, None, None)
    try:
        return bank.transfers.request(payment, Deadline.after(20)).transfer
    except Refusal as refusal:
        return refusal


def sent(bank: Bank, account_id: str) -> int:
    balance = bank.ledger.balance(account_id)
    assert balance is not None
    return sum(cents for _, cents in balance.used.periods)


def all_at_once(banks: list[Bank], payer: str, payee: str, count: int) -> list[Transfer | Refusal]:
    together = threading.Barrier(count)

    def pay(bank: Bank) -> Transfer | Refusal:
        together.wait(20)
        return paid(bank, payer, payee)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(pay, itertools.islice(itertools.cycle(banks), count)))


def test_parallel_holds_of_many_processes_never_exceed_the_limit(banks: list[Bank]) -> None:
    ana, bruno = banks[0].rich("ana"), banks[0].rich("bruno")
    lowered(banks[0], ana)
    outcomes = all_at_once(banks, ana, bruno, 24)
    refused = [each for each in outcomes if isinstance(each, Refusal)]
    assert {each.code for each in refused} == {"limit_exceeded"}
    assert {each.facts["left_cents"] for each in refused} == {LIMIT_CENTS % EACH_CENTS}
    assert len(outcomes) - len(refused) == LIMIT_CENTS // EACH_CENTS
    assert sent(banks[0], ana) == LIMIT_CENTS // EACH_CENTS * EACH_CENTS
    assert banks[0].auditor.audit().ok


def test_what_expires_can_be_sent_again_in_the_same_period(banks: list[Bank], time: Time) -> None:
    ana, bruno = banks[0].rich("ana"), banks[0].rich("bruno")
    lowered(banks[0], ana)
    all_at_once(banks, ana, bruno, 12)
    time.moment += timedelta(minutes=31)
    for shard in range(OPEN_SHARDS):
        Sweep(banks[0].ledger, banks[0].outbox).turn(shard)
    assert sent(banks[0], ana) == 0
    outcomes = all_at_once(banks, ana, bruno, 12)
    assert sum(isinstance(each, Transfer) for each in outcomes) == LIMIT_CENTS // EACH_CENTS
    assert banks[0].auditor.audit().ok


def test_a_payee_that_is_gone_by_the_settlement_costs_nothing_of_the_limit(banks: list[Bank]) -> None:
    bank = banks[0]
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    transfer = paid(bank, ana, bruno)
    assert isinstance(transfer, Transfer)
    assert sent(bank, ana) == EACH_CENTS
    bank.raw.delete_item(
        TableName=bank.tables.accounts, Key={"pk": {"S": f"ACC#{bruno}"}, "sk": {"S": "BAL"}}
    )
    decided = bank.ledger.settle(transfer.transfer_id, (), Deadline.after(20))
    assert decided is not None
    assert decided.status == "REJECTED"
    assert sent(bank, ana) == 0


def test_a_hold_whose_reply_is_lost_counts_once(banks: list[Bank]) -> None:
    bank = banks[0]
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.faults = [lose_reply, lose_reply]
    assert isinstance(paid(bank, ana, bruno), Transfer)
    assert sent(bank, ana) == EACH_CENTS


def test_a_limit_that_is_lowered_beside_payments_lets_none_pass_after_it(banks: list[Bank]) -> None:
    ana, bruno = banks[0].rich("ana"), banks[0].rich("bruno")
    before: list[int] = []

    def lower() -> None:
        lowered(banks[0], ana, 0)
        before.append(sent(banks[0], ana))

    lowering = threading.Thread(target=lower)
    lowering.start()
    outcomes = all_at_once(banks[1:], ana, bruno, 12)
    lowering.join()
    passed = sum(isinstance(each, Transfer) for each in outcomes)
    assert sent(banks[0], ana) == before[0] == passed * EACH_CENTS
    assert banks[0].auditor.audit().ok

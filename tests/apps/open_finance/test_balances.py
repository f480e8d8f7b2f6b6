"""All balances at once: nobody waits for a slow bank, no failure hides a figure, no limit is broken."""

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from apps.kit.outbound import Answer, Call
from apps.open_finance.access import MONTHLY_CALLS
from apps.open_finance.banks import MOST_AT_ONCE
from apps.simulators.other_bank.faults import Fault, FaultPlan
from tests.apps.open_finance.stage import CAJU, CPFS, IPE, JATOBA, START, Stage, staged
from tests.apps.serving import ANA


def seen(stage: Stage) -> dict[str, list[dict[str, Any]]]:
    """Linked accounts by institution."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in stage.get("/linked-accounts").json()["accounts"]:
        found.setdefault(each["institution"], []).append(each)
    return found


def book(stage: Stage, bank_id: str, cents: int) -> None:
    """A credit on the first account at a bank."""
    stage.bank(bank_id).customers[CPFS[ANA]].accounts[0].available_cents += cents


@pytest.mark.parametrize("bank", [IPE, CAJU], ids=["two decimals", "four decimals"])
def test_a_balance_is_the_banks_in_centavos(stage: Stage, bank: str) -> None:
    stage.linked(bank)
    book(stage, bank, 7)
    account = stage.get("/linked-accounts").json()["accounts"][0]
    assert (account["available_cents"], account["on_hold_cents"], account["currency"]) == (232_112, 0, "BRL")
    assert (account["stale"], account["as_of"]) == (False, START.isoformat().replace("+00:00", "Z"))


def test_a_bank_that_hangs_delays_nobody_beyond_the_deadline_and_shows_its_last_figure() -> None:
    with staged(fresh_seconds=0, bank_deadline_ms=6_000) as stage:
        for bank in (IPE, JATOBA, CAJU):
            stage.linked(bank)
        assert not any(each["stale"] for accounts in seen(stage).values() for each in accounts)
        for bank in (IPE, JATOBA, CAJU):
            book(stage, bank, 100)
        stage.wire.holds.add("/jatoba/open-banking/accounts")
        stage.time.skip(minutes=1)
        started = time.monotonic()
        found = seen(stage)
        assert time.monotonic() - started < 20, "the answer waited for the bank"
        assert {name: accounts[0]["available_cents"] for name, accounts in found.items()} == {
            "Banco Ipê": 232_205,
            "Jatobá Pagamentos": 232_105,
            "Caju Bank": 232_205,
        }
        assert [each["stale"] for each in found["Jatobá Pagamentos"]] == [True, True]
        assert found["Jatobá Pagamentos"][0]["as_of"] == START.isoformat().replace("+00:00", "Z")
        assert not any(each["stale"] for each in found["Banco Ipê"] + found["Caju Bank"])


def test_a_bank_with_many_accounts_is_asked_for_all_of_them_in_time(stage: Stage) -> None:
    accounts = stage.bank(IPE).customers[CPFS[ANA]].accounts
    for number in range(MOST_AT_ONCE):
        accounts.append(replace(accounts[0], account_id=f"account-{number}", number=f"{20_000_000 + number}"))
    stage.linked(IPE)
    stage.wire.holds.add("/balances")
    threading.Timer(1, stage.wire.let_go.set).start()
    found = seen(stage)["Banco Ipê"]
    assert len(found) > MOST_AT_ONCE
    assert not any(each["stale"] for each in found)


FAILURES = {
    "error": FaultPlan(faults=[Fault(path="/balances", status=500)]),
    "too often": FaultPlan(faults=[Fault(path="/balances", status=429)]),
    "refuses": FaultPlan(faults=[Fault(path="/balances", status=400)]),
    "no interaction id": FaultPlan(faults=[Fault(path="/balances", interaction="missing")]),
    "another interaction id": FaultPlan(faults=[Fault(path="/balances", interaction="changed")]),
    "below a centavo": FaultPlan(lies={"fractions"}),
}


@pytest.mark.parametrize("plan", FAILURES.values(), ids=FAILURES)
def test_a_failing_banks_last_figure_stands_in_and_hides_no_other(stage: Stage, plan: FaultPlan) -> None:
    stage.linked(IPE)
    stage.linked(JATOBA)
    seen(stage)
    book(stage, IPE, 500)
    book(stage, JATOBA, 500)
    stage.bank(IPE).faults.plan(plan)
    found = seen(stage)
    assert (found["Banco Ipê"][0]["available_cents"], found["Banco Ipê"][0]["stale"]) == (232_105, True)
    other = found["Jatobá Pagamentos"][0]
    assert (other["available_cents"], other["stale"]) == (232_605, False)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'{"data": {}}', b"[" * 100_000, b'{"data": {"availableAmount": 1}}'],
    ids=["empty", "list", "null", "cut off", "nothing in it", "deep", "a number"],
)
def test_an_answer_that_is_none_changes_no_figure(stage: Stage, body: bytes) -> None:
    stage.linked(IPE)
    seen(stage)

    def bend(call: Call, answer: Answer) -> Answer:
        return Answer(200, answer.headers, body) if call.url.endswith("/balances") else answer

    stage.wire.bend = bend
    account = seen(stage)["Banco Ipê"][0]
    assert (account["available_cents"], account["stale"]) == (232_105, True)


def test_an_account_whose_bank_has_never_told_is_shown_without_a_figure(stage: Stage) -> None:
    stage.linked(IPE)
    stage.bank(IPE).faults.plan(FAILURES["error"])
    account = seen(stage)["Banco Ipê"][0]
    assert (account["available_cents"], account["on_hold_cents"], account["as_of"]) == (None, None, None)
    assert account["stale"] is True


def test_a_fresh_figure_is_not_asked_for_again() -> None:
    with staged(fresh_seconds=60, bank_deadline_ms=30_000) as stage:
        stage.linked(IPE)
        seen(stage)
        asked = stage.wire.asked("/balances")
        book(stage, IPE, 500)
        stage.time.skip(seconds=59)
        account = seen(stage)["Banco Ipê"][0]
        assert (account["available_cents"], account["stale"]) == (232_105, False)
        assert stage.wire.asked("/balances") == asked
        stage.time.skip(seconds=1)
        assert seen(stage)["Banco Ipê"][0]["available_cents"] == 232_605


def test_a_month_has_so_many_calls_and_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MONTHLY_CALLS, "balances", 3)
    stage.linked(IPE)
    for _ in range(3):
        assert not any(each["stale"] for each in seen(stage)["Banco Ipê"])
    asked = stage.wire.asked("/balances")
    assert [each["stale"] for each in seen(stage)["Banco Ipê"]] == [True, True]
    assert stage.wire.asked("/balances") == asked
    stage.time.skip(days=7)
    assert [each["stale"] for each in seen(stage)["Banco Ipê"]] == [False, False]


def test_our_limits_are_not_above_the_banks() -> None:
    from apps.simulators.other_bank.bank import MONTHLY_CALLS as BANKS  # noqa: PLC0415 (two sides, one name)

    assert {name: limit for name, limit in MONTHLY_CALLS.items() if limit > BANKS[name]} == {}


def test_a_link_without_the_balances_group_shows_none_and_asks_for_none(stage: Stage) -> None:
    stage.linked(IPE, permissions=["ACCOUNTS_READ", "ACCOUNTS_TRANSACTIONS_READ", "RESOURCES_READ"])
    assert seen(stage) == {}
    assert stage.wire.asked("/balances") == 0

"""Statements of linked accounts: read seldom, kept, shown in pages, and still there when the bank is not."""

from datetime import timedelta
from typing import Any

import pytest

from apps.kit.outbound import Answer, Call
from apps.open_finance.access import MONTHLY_CALLS
from apps.simulators.other_bank.customers import Movement
from apps.simulators.other_bank.faults import Fault, FaultPlan
from tests.apps.open_finance.stage import AROEIRA, CPFS, IPE, JATOBA, Stage
from tests.apps.serving import ANA, problem


def entries(stage: Stage, link: dict[str, Any], query: str = "") -> dict[str, Any]:
    answer = stage.get(f"/linked-accounts/{link['accounts'][0]['account_id']}/entries{query}")
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def spend(stage: Stage, bank: str, cents: int) -> None:
    movement = Movement(f"tx{cents}", False, "Café", "PIX", cents, stage.time.now())
    stage.bank(bank).customers[CPFS[ANA]].accounts[0].book(movement)


@pytest.mark.parametrize("bank", [IPE, JATOBA], ids=["one page", "three at a time, four decimals"])
def test_a_statement_has_every_booked_transaction_newest_first(stage: Stage, bank: str) -> None:
    page = entries(stage, stage.linked(bank))
    assert [(each["kind"], each["amount_cents"], each["description"]) for each in page["entries"]] == [
        ("debit", 1_250, "Padaria"),
        ("debit", 8_990, "Mercado"),
        ("credit", 12_345, "Pix recebido"),
        ("debit", 120_000, "Aluguel"),
        ("credit", 350_000, "Salário"),
    ]
    assert (page["stale"], page["cursor"]) == (False, None)


def test_a_cursor_leads_through_the_whole_statement_without_asking_the_bank_again(stage: Stage) -> None:
    link = stage.linked()
    first = entries(stage, link, "?limit=2")
    asked = len(stage.wire.calls)
    second = entries(stage, link, f"?limit=2&cursor={first['cursor']}")
    third = entries(stage, link, f"?limit=2&cursor={second['cursor']}")
    pages = [len(page["entries"]) for page in (first, second, third)]
    assert (pages, third["cursor"]) == ([2, 2, 1], None)
    assert len({each["entry_id"] for page in (first, second, third) for each in page["entries"]}) == 5
    assert len(stage.wire.calls) == asked


@pytest.mark.parametrize(
    ("query", "amounts"),
    [
        ("?from=2026-11-20", [1_250, 8_990]),
        ("?to=2026-11-05", [12_345, 120_000, 350_000]),
        ("?from=2026-11-05&to=2026-11-20", [8_990, 12_345]),
        ("?from=2026-12-01", []),
    ],
)
def test_a_statement_is_of_the_days_that_were_asked_for(stage: Stage, query: str, amounts: list[int]) -> None:
    assert [each["amount_cents"] for each in entries(stage, stage.linked(), query)["entries"]] == amounts


def test_the_whole_is_read_once_and_then_only_the_last_days(stage: Stage) -> None:
    link = stage.linked()
    entries(stage, link)
    stage.time.skip(days=3)
    spend(stage, IPE, 77)
    page = entries(stage, link)
    assert [each["amount_cents"] for each in page["entries"]][:2] == [77, 1_250]
    assert len(page["entries"]) == 6
    assert (stage.wire.asked("/transactions?"), stage.wire.asked("/transactions-current?")) == (1, 1)
    stage.time.skip(days=10)
    entries(stage, link)
    assert stage.wire.asked("/transactions?") == 2


def test_what_is_kept_is_shown_when_the_bank_fails(stage: Stage) -> None:
    link = stage.linked()
    before = entries(stage, link)
    stage.bank(IPE).faults.plan(FaultPlan(faults=[Fault(path="/transactions", status=503)]))
    stage.time.skip(hours=1)
    after = entries(stage, link)
    assert after["entries"] == before["entries"]
    assert (before["stale"], after["stale"]) == (False, True)
    assert after["as_of"] == before["as_of"]


def test_calls_above_the_limit_are_not_made(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MONTHLY_CALLS, "transactions-current", 1)
    link = stage.linked()
    stale = [entries(stage, link)["stale"] for _ in range(3)]
    assert stale == [False, False, True]
    assert stage.wire.asked("/transactions-current?") == 1


@pytest.mark.parametrize("cursor", ["abc", "=", "YWJj", "a" * 301])
def test_a_cursor_that_no_page_gave_is_refused(stage: Stage, cursor: str) -> None:
    account = stage.linked()["accounts"][0]["account_id"]
    answer = stage.get(f"/linked-accounts/{account}/entries?cursor={cursor}")
    assert [each["where"] for each in problem(answer, 422, "invalid_request")["errors"]] == ["query.cursor"]


def test_an_account_whose_link_has_ended_says_so(stage: Stage) -> None:
    link = stage.linked()
    account = link["accounts"][0]["account_id"]
    stage.browser.client.delete(f"/admin/ipe/consents/{stage.consent_of().consent_id}")
    problem(stage.get(f"/linked-accounts/{account}/entries"), 409, "link_not_active")


def booked(stage: Stage, bank: str, count: int) -> list[int]:
    """Makes so many movements, one a day from today back; gives their amounts, newest first."""
    account = stage.bank(bank).customers[CPFS[ANA]].accounts[0]
    account.movements.clear()
    for day in range(count):
        at = stage.time.now() - timedelta(days=day)
        account.movements.append(Movement(f"tx{day}", False, "Café", "PIX", 100 + day, at))
    return [100 + day for day in range(count)]


def amounts(page: dict[str, Any]) -> list[int]:
    return [each["amount_cents"] for each in page["entries"]]


def calls_counted(stage: Stage, bank: str, endpoint: str) -> int:
    """The most that the bank has counted for one account and month."""
    counted = stage.bank(bank).calls.items()
    return max(number for place, number in counted if place[1].split(" ")[0] == endpoint)


def test_where_each_page_counts_what_came_is_shown_and_the_rest_is_read_next_month(stage: Stage) -> None:
    link = stage.linked(JATOBA)
    all_of_them = booked(stage, JATOBA, 15)
    first = entries(stage, link)
    assert (amounts(first), first["stale"]) == (all_of_them[:12], True)
    assert calls_counted(stage, JATOBA, "transactions") == 4, "no call is made that the bank would refuse"
    stage.time.skip(days=1)
    spend(stage, JATOBA, 77)
    second = entries(stage, link)
    assert (amounts(second), second["stale"]) == ([77, *all_of_them[:12]], True)
    assert second["as_of"] > first["as_of"], "the last days are up to date"
    stage.time.skip(days=5)
    third = entries(stage, link)
    assert (amounts(third), third["stale"]) == ([77, *all_of_them], False)
    asked = stage.wire.asked("/transactions?")
    assert stage.wire.calls[-1].url.count("toBookingDate=2026-11-14"), "only what was missing is asked for"
    entries(stage, link)
    assert stage.wire.asked("/transactions?") == asked
    assert calls_counted(stage, JATOBA, "transactions") <= 4


def test_where_a_bank_gives_a_key_to_go_on_with_its_further_pages_do_not_count(stage: Stage) -> None:
    link = stage.linked(AROEIRA)
    all_of_them = booked(stage, AROEIRA, 120)
    page = entries(stage, link, "?limit=200")
    assert (amounts(page), page["stale"]) == (all_of_them, False)
    assert stage.wire.asked("/transactions?") == 5
    assert calls_counted(stage, AROEIRA, "transactions") == 1


def test_a_bank_that_fails_halfway_has_told_what_it_has_told(stage: Stage) -> None:
    link = stage.linked(AROEIRA)
    all_of_them = booked(stage, AROEIRA, 60)

    def bend(call: Call, answer: Answer) -> Answer:
        return (
            Answer(503, answer.headers, b"")
            if "/transactions?" in call.url and "page=2" in call.url
            else answer
        )

    stage.wire.bend = bend
    page = entries(stage, link)
    assert (amounts(page), page["stale"]) == (all_of_them[:25], True)
    stage.wire.bend = lambda _, answer: answer
    page = entries(stage, link, "?limit=200")
    assert (amounts(page), page["stale"]) == (all_of_them, False)


def test_the_last_days_are_shown_when_the_whole_may_not_be_read(stage: Stage) -> None:
    link = stage.linked(IPE)
    stage.bank(IPE).faults.plan(FaultPlan(faults=[Fault(path="/transactions", status=503, times=1)]))
    page = entries(stage, link)
    assert (amounts(page), page["stale"]) == ([1_250, 8_990], True)
    assert (amounts(entries(stage, link)), entries(stage, link)["stale"]) == (
        [1_250, 8_990, 12_345, 120_000, 350_000],
        False,
    )


def test_a_repeated_call_counts_as_well(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MONTHLY_CALLS, "balances", 1)
    stage.linked(IPE)
    stage.bank(IPE).oauth._access.clear()
    accounts = stage.get("/linked-accounts").json()["accounts"]
    assert [each["stale"] for each in accounts] == [True, True]
    assert stage.wire.asked("/balances") == 2, "one for each account, and none for a second try"

"""Statements of linked accounts: read seldom, kept, shown in pages, and still there when the bank is not."""

from typing import Any

import pytest

from apps.open_finance.access import MONTHLY_CALLS
from apps.simulators.other_bank.customers import Movement
from apps.simulators.other_bank.faults import Fault, FaultPlan
from tests.apps.open_finance.stage import CPFS, IPE, JATOBA, Stage
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

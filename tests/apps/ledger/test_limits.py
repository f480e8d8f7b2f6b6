"""What a payment takes of its payer's limit: together with the hold, and given back when it is rejected."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apps.ledger import account
from apps.ledger.account import Balance, Refusal
from apps.ledger.entries import AccountStatus
from apps.ledger.transfer import Attempt, Change, Order, hold, iso, reject, send, settle
from apps.pix import limits
from apps.pix.limits import NOTHING_USED, USUAL, Receiver
from tests.apps.ledger.values import (
    ANA,
    AT,
    BRUNO,
    GRANT,
    LIFETIME,
    NOON,
    ORDER,
    PIX,
    RETURN,
    SENT_ORDER,
    TREASURY_ITEM,
    balance,
    settlement,
    treasury,
)

EVENING = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)
"""Half past eight in Brasília."""
NIGHT = "2026-11-25/night"
DAY = "2026-11-25/day"
LEGAL = "2026-11-25/legal"


def rich(holder: Receiver = "natural") -> Balance:
    return replace(balance(available=10**9), holder=holder)


def payee(holder: Receiver = "natural") -> Balance:
    return replace(balance(BRUNO, owner="bruno"), holder=holder)


def held(order: Order, payer: Balance, paid: Balance, now: datetime = NOON) -> Change:
    return hold(order, payer, paid, LIFETIME, Attempt(now, "e"))


def of(cents: int) -> Order:
    return replace(ORDER, amount_cents=cents)


@pytest.mark.parametrize(
    ("holder", "now", "period"),
    [
        ("natural", NOON, DAY),
        ("natural", EVENING, NIGHT),
        ("legal", NOON, LEGAL),
        ("legal", EVENING, LEGAL),
    ],
)
def test_a_payment_here_counts_by_who_is_paid_and_when(holder: Receiver, now: datetime, period: str) -> None:
    change = held(of(300), rich(), payee(holder), now)
    assert change.transfer.limit_period == period
    assert change.postings[0].after.used == NOTHING_USED.plus(period, 300)


@pytest.mark.parametrize(("receiver", "period"), [("natural", NIGHT), ("legal", LEGAL)])
def test_a_payment_to_another_bank_counts_by_who_is_paid_there(receiver: Receiver, period: str) -> None:
    change = held(replace(PIX, receiver=receiver), rich(), settlement(), EVENING)
    assert change.transfer.limit_period == period
    assert change.postings[0].after.used.of(period) == PIX.amount_cents


def test_who_pays_is_limited_the_same_whoever_they_are() -> None:
    assert held(of(300), rich("legal"), payee()).transfer.limit_period == DAY


def test_the_first_night_lets_a_thousand_reais_go_and_no_centavo_more() -> None:
    change = held(of(100_000), rich(), payee(), EVENING)
    with pytest.raises(Refusal) as refused:
        held(of(1), change.postings[0].after, payee(), EVENING)
    assert (refused.value.code, refused.value.facts) == (
        "limit_exceeded",
        {
            "limit": "night",
            "limit_cents": 100_000,
            "left_cents": 0,
            "period_ends_at": "2026-11-26T09:00:00.000Z",
        },
    )
    morning = EVENING + timedelta(hours=10)
    assert held(of(1), change.postings[0].after, payee(), morning).transfer.limit_period == "2026-11-26/day"


def test_who_has_not_the_money_is_told_so_whatever_their_limit() -> None:
    with pytest.raises(Refusal) as refused:
        held(of(10**7), balance(available=5), payee())
    assert refused.value.code == "insufficient_funds"


@pytest.mark.parametrize("reason", ["hold_expired", "payee_closed"])
def test_a_rejected_payment_gives_back_what_it_took(reason: str) -> None:
    first = held(of(300), rich(), payee()).postings[0].after
    change = held(of(200), first, payee())
    rejected = reject(change.transfer, change.postings[0].after, reason, Attempt(NOON, "f"))
    assert rejected.postings[0].after.used.of(DAY) == 300


@pytest.mark.parametrize("status", ["BLOCKED", "CLOSED"])
def test_a_payee_that_cannot_be_credited_costs_nothing_of_the_limit(status: AccountStatus) -> None:
    change = held(of(300), rich(), payee())
    gone = replace(payee(), status=status)
    settled = settle(change.transfer, change.postings[0].after, gone, Attempt(NOON, "f"))
    assert settled.transfer.status == "REJECTED"
    assert settled.postings[0].after.used.of(DAY) == 0


def test_a_payment_that_the_spi_rejects_gives_back_what_it_took() -> None:
    change = held(PIX, rich(), settlement())
    sent = send(change.transfer, change.postings[0].after, SENT_ORDER, Attempt(NOON, "f"))
    rejected = reject(sent.transfer, change.postings[0].after, "AC03", Attempt(NOON, "g"))
    assert rejected.postings[0].after.used.of(DAY) == 0


def test_a_settled_payment_stays_counted() -> None:
    change = held(of(300), rich(), payee())
    settled = settle(change.transfer, change.postings[0].after, payee(), Attempt(NOON, "f"))
    assert settled.postings[0].after.used.of(DAY) == 300


def test_a_payment_that_is_rejected_in_the_next_period_leaves_that_one_alone() -> None:
    change = held(of(300), rich(), payee())
    tomorrow = NOON + timedelta(days=1)
    later = held(of(50), change.postings[0].after, payee(), tomorrow).postings[0].after
    rejected = reject(change.transfer, later, "hold_expired", Attempt(tomorrow, "f"))
    assert rejected.postings[0].after.used == later.used
    assert rejected.postings[0].after.available == later.available + 300


def test_neither_a_return_nor_a_grant_counts() -> None:
    for change in (
        held(RETURN, replace(balance(BRUNO, owner="bruno"), available=10**9), balance(), EVENING),
        held(GRANT, treasury(), balance()),
        held(replace(of(10**8), subject="", payer=TREASURY_ITEM), treasury(), payee()),
    ):
        assert change.transfer.limit_period is None
        assert change.postings[0].after.used == NOTHING_USED


def test_other_limits_are_written_with_an_entry_that_moves_nothing() -> None:
    wish = limits.changed(USUAL, "night", 50_000, NOON)
    posting = account.limit(balance(), wish, AT)
    assert posting is not None
    assert posting.after == replace(
        balance(), seq=8, limits=wish, last_hash=posting.entry.hash, month=posting.entry.month
    )
    assert (posting.entry.kind, posting.entry.delta_available, posting.entry.delta_on_hold) == ("limit", 0, 0)
    assert account.limit(posting.after, wish, iso(NOON)) is None


def test_the_usual_limits_need_no_writing_down() -> None:
    assert account.limit(balance(), USUAL, AT) is None


@pytest.mark.parametrize(
    ("standing", "code"),
    [
        (treasury(), "internal_account"),
        (balance(status="CLOSED"), "account_closed"),
        (balance(frozen=True), "account_frozen"),
    ],
)
def test_limits_that_nobody_may_change_are_refused(standing: Balance, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        account.limit(standing, limits.changed(USUAL, "day", 0, NOON), AT)
    assert refused.value.code == code


def test_a_lower_limit_holds_for_the_very_next_payment() -> None:
    posting = account.limit(rich(), limits.changed(USUAL, "day", 299, NOON), AT)
    assert posting is not None
    with pytest.raises(Refusal) as refused:
        held(of(300), posting.after, payee())
    assert refused.value.facts["left_cents"] == 299
    assert held(of(299), posting.after, payee()).transfer.payer == ANA

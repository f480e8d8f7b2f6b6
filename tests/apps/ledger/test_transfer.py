"""A transfer's states: who decides each change, and that money is neither made nor lost on the way."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kit.events import Event
from apps.ledger import account, incoming
from apps.ledger.account import (
    Balance,
    Frozen,
    Refusal,
    counted,
    credit,
    debit,
    release,
)
from apps.ledger.entries import AccountStatus
from apps.ledger.transfer import (
    EVENT_VERSION,
    HELD,
    REJECTED,
    SETTLED,
    SOURCE,
    Change,
    Order,
    Status,
    Transfer,
    expired,
    hold,
    iso,
    next_look,
    partition_key,
    reject,
    send,
    settle,
)
from apps.pix.limits import Used
from tests.apps.ledger.values import (
    ANA,
    AT,
    ATTEMPT,
    BRUNO,
    GRANT,
    LATER,
    LIFETIME,
    NEXT_ATTEMPT,
    NOON,
    ORDER,
    PIX,
    PIX_IN,
    SENT_ORDER,
    TRANSFER_ID,
    TREASURY_ITEM,
    balance,
    settlement,
    treasury,
)

DAY = "2026-11-25/day"
PAYEE = balance(BRUNO, owner="bruno", available=50)
DATA = {
    "transfer_id": TRANSFER_ID,
    "kind": "transfer",
    "status": "HELD",
    "payer": ANA,
    "payee": BRUNO,
    "amount_cents": 300,
    "end_to_end_id": ORDER.end_to_end_id,
    "description": "Almoço",
    "created_at": AT,
    "decided_at": None,
    "reason": None,
    "original_transfer_id": None,
    "rail": None,
}


def held() -> Change:
    """Ana has asked for the transfer of `ORDER` to Bruno."""
    return hold(ORDER, balance(), PAYEE, LIFETIME, ATTEMPT)


def payer() -> Balance:
    """Ana's balance after the hold."""
    return held().postings[0].after


def test_a_hold_writes_the_transfer_the_payers_posting_and_the_event() -> None:
    change = held()
    assert change == Change(
        transfer=Transfer(
            transfer_id=TRANSFER_ID,
            kind="transfer",
            status="HELD",
            payer=ANA,
            payee=BRUNO,
            payer_owner="ana",
            payee_owner="bruno",
            amount_cents=300,
            description="Almoço",
            end_to_end_id=ORDER.end_to_end_id,
            created_at=AT,
            expires_at="2026-11-25T12:30:00.000Z",
            due_at="2026-11-25T12:00:05.000Z",
            looks=0,
            decided_at=None,
            reason=None,
            request_hash=ORDER.request_hash,
            request_id="req-1",
            event_id=ATTEMPT.event_id,
            answer="",
            limit_period=DAY,
        ),
        postings=(counted(account.hold(balance(), 300, TRANSFER_ID, AT), Used(((DAY, 300),))),),
        event=Event(ATTEMPT.event_id, HELD, EVENT_VERSION, SOURCE, TRANSFER_ID, AT, DATA, "req-1"),
    )


def test_settling_takes_the_held_money_and_credits_the_payee() -> None:
    assert settle(held().transfer, payer(), PAYEE, NEXT_ATTEMPT) == Change(
        transfer=replace(
            held().transfer,
            status="SETTLED",
            decided_at=LATER,
            due_at=None,
            event_id=NEXT_ATTEMPT.event_id,
            returnable_cents=300,
        ),
        postings=(
            debit(payer(), 300, TRANSFER_ID, LATER),
            credit(PAYEE, 300, TRANSFER_ID, LATER),
        ),
        event=Event(
            NEXT_ATTEMPT.event_id,
            SETTLED,
            EVENT_VERSION,
            SOURCE,
            TRANSFER_ID,
            LATER,
            DATA | {"status": "SETTLED", "decided_at": LATER},
            "req-1",
        ),
    )


def test_rejecting_gives_the_held_money_back_and_says_why() -> None:
    assert reject(held().transfer, payer(), "hold_expired", NEXT_ATTEMPT) == Change(
        transfer=replace(
            held().transfer,
            status="REJECTED",
            reason="hold_expired",
            decided_at=LATER,
            due_at=None,
            event_id=NEXT_ATTEMPT.event_id,
        ),
        postings=(counted(release(payer(), 300, TRANSFER_ID, LATER), Used(((DAY, 0),))),),
        event=Event(
            NEXT_ATTEMPT.event_id,
            REJECTED,
            EVENT_VERSION,
            SOURCE,
            TRANSFER_ID,
            LATER,
            DATA | {"status": "REJECTED", "decided_at": LATER, "reason": "hold_expired"},
            "req-1",
        ),
    )


def test_settling_with_a_missing_payee_rejects_and_releases() -> None:
    change = settle(held().transfer, payer(), None, NEXT_ATTEMPT)
    assert change == reject(held().transfer, payer(), "payee_unavailable", NEXT_ATTEMPT)
    assert (change.transfer.status, change.transfer.reason) == ("REJECTED", "payee_unavailable")
    assert change.postings[0].after.available == 1000


def test_a_grant_is_held_on_the_banks_own_account() -> None:
    change = hold(GRANT, treasury(), balance(available=0), LIFETIME, ATTEMPT)
    assert (change.transfer.kind, change.transfer.payer_owner, change.transfer.payee_owner) == (
        "grant",
        "",
        "ana",
    )
    assert change.postings[0].after.available == -100_000
    assert change.event.request_id is None


@pytest.mark.parametrize(
    ("order", "payer", "payee", "code", "facts"),
    [
        (ORDER, None, PAYEE, "account_not_found", {}),
        (ORDER, None, None, "account_not_found", {}),
        (ORDER, balance(owner="carla"), PAYEE, "account_not_found", {}),
        (replace(ORDER, payer=TREASURY_ITEM), treasury(), PAYEE, "account_not_found", {}),
        (GRANT, balance(TREASURY_ITEM, owner="ana"), PAYEE, "account_not_found", {}),
        (replace(ORDER, payee=ANA), balance(), balance(), "same_account", {}),
        (replace(ORDER, payee=ANA), balance(owner="carla"), balance(), "account_not_found", {}),
        (ORDER, balance(), None, "payee_not_found", {}),
        (replace(ORDER, payee=TREASURY_ITEM), balance(), treasury(), "payee_not_found", {}),
        (ORDER, balance(available=299), PAYEE, "insufficient_funds", {"available_cents": 299}),
        (ORDER, balance(available=0, on_hold=900), PAYEE, "insufficient_funds", {"available_cents": 0}),
        (ORDER, balance(available=299), None, "payee_not_found", {}),
        (ORDER, balance(frozen=True), PAYEE, "account_frozen", {}),
        (ORDER, balance(available=0, frozen=True), PAYEE, "account_frozen", {}),
        (ORDER, balance(status="BLOCKED"), PAYEE, "account_blocked", {}),
        (ORDER, balance(available=0, status="BLOCKED"), PAYEE, "account_blocked", {}),
        (ORDER, balance(status="BLOCKED", frozen=True), PAYEE, "account_frozen", {}),
        (ORDER, balance(status="CLOSED"), PAYEE, "account_closed", {}),
        (ORDER, balance(), replace(PAYEE, status="CLOSED"), "payee_closed", {}),
        (ORDER, balance(available=-1), PAYEE, "account_frozen", {}),
        (ORDER, balance(on_hold=-1), PAYEE, "account_frozen", {}),
    ],
    ids=[
        "no such account",
        "neither account",
        "somebody else's account",
        "the bank's account for a customer",
        "a customer's account for the bank",
        "itself",
        "somebody else's account to itself",
        "no such payee",
        "the bank's account as payee",
        "a centavo short",
        "all is held",
        "a centavo short for nobody",
        "frozen",
        "frozen and empty",
        "blocked",
        "blocked and empty",
        "blocked and frozen",
        "closed",
        "a closed payee",
        "below zero",
        "less than nothing on hold",
    ],
)
def test_a_hold_is_refused_by_name(
    order: Order, payer: Balance | None, payee: Balance | None, code: str, facts: dict[str, object]
) -> None:
    with pytest.raises(Refusal) as refused:
        hold(order, payer, payee, LIFETIME, ATTEMPT)
    assert (refused.value.code, refused.value.facts) == (code, facts)
    assert refused.value.detail


def test_somebody_elses_account_is_refused_just_as_one_that_is_not_there() -> None:
    with pytest.raises(Refusal) as missing:
        hold(ORDER, None, PAYEE, LIFETIME, ATTEMPT)
    with pytest.raises(Refusal) as foreign:
        hold(ORDER, balance(owner="carla", available=0, frozen=True), PAYEE, LIFETIME, ATTEMPT)
    assert str(missing.value) == str(foreign.value)


def test_a_frozen_payee_may_be_paid_later_and_waits() -> None:
    frozen = replace(PAYEE, frozen=True)
    change = hold(ORDER, balance(), frozen, LIFETIME, ATTEMPT)
    with pytest.raises(Frozen) as waits:
        settle(change.transfer, change.postings[0].after, frozen, NEXT_ATTEMPT)
    assert waits.value.account_id == BRUNO


@pytest.mark.parametrize(
    ("status", "reason"),
    [("BLOCKED", "payee_blocked"), ("CLOSED", "payee_closed")],
    ids=["blocked", "closed"],
)
def test_a_payee_who_cannot_be_paid_makes_it_rejected_with_the_code(
    status: AccountStatus, reason: str
) -> None:
    change = settle(held().transfer, payer(), replace(PAYEE, status=status), NEXT_ATTEMPT)
    assert change == reject(held().transfer, payer(), reason, NEXT_ATTEMPT)
    assert change.postings[0].after.available == 1000


def test_a_blocked_payee_may_be_unblocked_before_the_money_comes() -> None:
    assert (
        hold(ORDER, balance(), replace(PAYEE, status="BLOCKED"), LIFETIME, ATTEMPT).transfer.status == "HELD"
    )


@pytest.mark.parametrize("wrong", [{"frozen": True}, {"available": -1}, {"on_hold": -1}], ids=str)
def test_a_payee_under_review_waits_even_when_blocked(wrong: dict[str, Any]) -> None:
    with pytest.raises(Frozen):
        settle(held().transfer, payer(), replace(PAYEE, status="BLOCKED", **wrong), NEXT_ATTEMPT)


def test_what_was_held_before_a_block_is_settled_all_the_same() -> None:
    change = settle(held().transfer, replace(payer(), status="BLOCKED"), PAYEE, NEXT_ATTEMPT)
    assert change.transfer.status == "SETTLED"
    assert [posting.after.status for posting in change.postings] == ["BLOCKED", "ACTIVE"]


def test_only_a_settled_transfer_has_something_to_return() -> None:
    grant = hold(GRANT, treasury(), balance(available=0), LIFETIME, ATTEMPT)
    settled = settle(grant.transfer, grant.postings[0].after, balance(available=0), NEXT_ATTEMPT)
    assert (settled.transfer.status, settled.transfer.returnable_cents) == ("SETTLED", 0)
    assert held().transfer.returnable_cents == 0
    assert settle(held().transfer, payer(), PAYEE, NEXT_ATTEMPT).transfer.returnable_cents == 300


@pytest.mark.parametrize(
    "decide",
    [
        lambda frozen: settle(held().transfer, frozen, PAYEE, NEXT_ATTEMPT),
        lambda frozen: settle(held().transfer, frozen, None, NEXT_ATTEMPT),
        lambda frozen: reject(held().transfer, frozen, "hold_expired", NEXT_ATTEMPT),
    ],
    ids=["settle", "settle without payee", "reject"],
)
def test_a_transfer_of_a_frozen_payer_is_not_decided(decide: Callable[[Balance], Change]) -> None:
    with pytest.raises(Frozen) as waits:
        decide(replace(payer(), frozen=True))
    assert waits.value.account_id == ANA


@pytest.mark.parametrize("status", ["SETTLED", "REJECTED"])
@pytest.mark.parametrize(
    "decide",
    [
        lambda transfer: settle(transfer, payer(), PAYEE, NEXT_ATTEMPT),
        lambda transfer: settle(transfer, payer(), None, NEXT_ATTEMPT),
        lambda transfer: reject(transfer, payer(), "hold_expired", NEXT_ATTEMPT),
    ],
    ids=["settle", "settle without payee", "reject"],
)
def test_what_is_decided_stays_decided(status: Status, decide: Callable[[Transfer], Change]) -> None:
    with pytest.raises(AssertionError):
        decide(replace(held().transfer, status=status))


@pytest.mark.parametrize(
    ("status", "at", "over"),
    [
        ("HELD", "2026-11-25T12:29:59.999Z", False),
        ("HELD", "2026-11-25T12:30:00.000Z", True),
        ("HELD", "2026-11-25T12:30:00.001Z", True),
        ("HELD", "2027-01-01T00:00:00.000Z", True),
        ("SETTLED", "2027-01-01T00:00:00.000Z", False),
        ("REJECTED", "2027-01-01T00:00:00.000Z", False),
    ],
)
def test_only_a_held_transfer_expires_and_to_the_millisecond(status: Status, at: str, over: bool) -> None:
    assert expired(replace(held().transfer, status=status), datetime.fromisoformat(at)) is over


@pytest.mark.parametrize(
    ("looks", "at", "due_at"),
    [
        (0, "2026-11-25T12:00:05.000Z", "2026-11-25T12:00:15.000Z"),
        (1, "2026-11-25T12:00:15.000Z", "2026-11-25T12:00:35.000Z"),
        (4, "2026-11-25T12:10:00.000Z", "2026-11-25T12:12:40.000Z"),
        (5, "2026-11-25T12:10:00.000Z", "2026-11-25T12:15:00.000Z"),
        (6, "2026-11-25T12:10:00.000Z", "2026-11-25T12:15:00.000Z"),
        (10**6, "2026-11-25T12:10:00.000Z", "2026-11-25T12:15:00.000Z"),
        (9, "2026-11-25T12:25:00.000Z", "2026-11-25T12:30:00.000Z"),
        (9, "2026-11-25T12:26:00.000Z", "2026-11-25T12:30:00.000Z"),
        (9, "2026-11-25T12:29:59.999Z", "2026-11-25T12:30:00.000Z"),
        (9, "2026-11-25T12:30:00.000Z", "2026-11-25T12:35:00.000Z"),
        (9, "2026-11-26T00:00:00.000Z", "2026-11-26T00:05:00.000Z"),
    ],
    ids=[
        "10 s after the first",
        "twice as long",
        "160 s",
        "5 minutes at most",
        "and no more",
        "for ever",
        "just at expiry",
        "no later than expiry",
        "a moment before expiry",
        "at expiry: frozen, so wait on",
        "long over: wait on",
    ],
)
def test_the_next_look_comes_after_twice_as_long(looks: int, at: str, due_at: str) -> None:
    seen = replace(held().transfer, looks=looks)
    later = next_look(seen, datetime.fromisoformat(at))
    assert later == replace(seen, looks=looks + 1, due_at=due_at)


@given(after=st.integers(0, 7200), looks=st.integers(0, 50))
def test_a_look_is_always_ahead_and_never_more_than_five_minutes(after: int, looks: int) -> None:
    now = NOON + timedelta(seconds=after)
    due_at = next_look(replace(held().transfer, looks=looks), now).due_at
    assert due_at is not None
    assert iso(now) < due_at <= iso(now + timedelta(minutes=5))
    assert due_at <= held().transfer.expires_at or now >= NOON + LIFETIME


@pytest.mark.parametrize(
    ("subject", "sees"), [("ana", True), ("bruno", True), ("carla", False), ("", False), (ANA, False)]
)
def test_payer_and_payee_both_see_a_transfer_and_nobody_else(subject: str, sees: bool) -> None:
    assert held().transfer.seen_by(subject) is sees


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOON, AT),
        (datetime(2026, 11, 25, 9, 0, tzinfo=timezone(timedelta(hours=-3))), AT),
        (datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=UTC), "2026-01-02T03:04:05.006Z"),
    ],
    ids=["UTC", "Brasília", "milliseconds"],
)
def test_a_moment_is_written_in_utc_to_the_millisecond(moment: datetime, text: str) -> None:
    assert iso(moment) == text


zones = st.sampled_from([UTC, timezone(timedelta(hours=-3)), timezone(timedelta(hours=5, minutes=30))])
moments = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=zones)  # noqa: DTZ001


@given(one=moments, gap=st.timedeltas(timedelta(milliseconds=1), timedelta(days=4000)))
def test_written_moments_sort_in_time_order(one: datetime, gap: timedelta) -> None:
    assert iso(one) < iso(one + gap)
    assert datetime.fromisoformat(iso(one)) <= one


def test_every_status_has_an_event_of_its_own_that_names_it() -> None:
    pix = hold(PIX, balance(), settlement(), LIFETIME, ATTEMPT)
    changes = [
        held(),
        send(pix.transfer, pix.postings[0].after, SENT_ORDER, NEXT_ATTEMPT),
        incoming.accept(PIX_IN, balance(), None, ATTEMPT),
        settle(held().transfer, payer(), PAYEE, NEXT_ATTEMPT),
        reject(held().transfer, payer(), "hold_expired", NEXT_ATTEMPT),
    ]
    assert {change.transfer.status for change in changes} == set(get_args(Status))
    assert len({change.event.type for change in changes}) == len(changes)
    for change in changes:
        assert change.event.type == f"br.gobanking.transfer.{change.transfer.status.lower()}"
        assert change.event.data["status"] == change.transfer.status


def test_all_events_of_a_transfer_carry_the_key_of_the_account_that_is_credited() -> None:
    for transfer in (
        held().transfer,
        replace(held().transfer, status="SETTLED"),
        replace(held().transfer, status="REJECTED"),
    ):
        assert partition_key(transfer) == BRUNO


CARLA = balance("0c000000-0000-5000-8000-000000000003", owner="ana", available=900, on_hold=900)


@pytest.mark.parametrize(
    "decide",
    [
        lambda: hold(ORDER, CARLA, PAYEE, LIFETIME, ATTEMPT),
        lambda: hold(ORDER, balance(), CARLA, LIFETIME, ATTEMPT),
        lambda: settle(held().transfer, CARLA, PAYEE, NEXT_ATTEMPT),
        lambda: settle(held().transfer, payer(), CARLA, NEXT_ATTEMPT),
        lambda: settle(held().transfer, CARLA, None, NEXT_ATTEMPT),
        lambda: settle(held().transfer, PAYEE, payer(), NEXT_ATTEMPT),
        lambda: reject(held().transfer, CARLA, "hold_expired", NEXT_ATTEMPT),
    ],
    ids=[
        "hold on another payer",
        "hold for another payee",
        "settle from another payer",
        "settle to another payee",
        "settle back to another payer",
        "settle the wrong way round",
        "reject to another payer",
    ],
)
def test_the_balance_of_somebody_else_stops_the_process(decide: Callable[[], Change]) -> None:
    with pytest.raises(AssertionError, match="not the party"):
        decide()

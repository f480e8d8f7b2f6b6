"""What may happen to one balance: every history adds up, and no rule gives way."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.ledger import account
from apps.ledger.account import (
    INTERNAL_ITEMS,
    TREASURY,
    Balance,
    Frozen,
    Posting,
    Refusal,
    block,
    close,
    credit,
    debit,
    hold,
    internal_item,
    is_internal,
    month_of,
    open_account,
    release,
    unblock,
    unopened,
)
from apps.ledger.entries import GENESIS, AccountStatus, fold
from apps.ledger.transfer import iso
from tests.apps.ledger.values import (
    ANA,
    AT,
    LATER,
    NOON,
    TRANSFER_ID,
    TREASURY_ITEM,
    balance,
    ids,
    times,
    treasury,
)

Rule = Callable[[Balance, int, str, str], Posting]
Effect = tuple[int, int]

RULES: dict[str, tuple[Rule, Effect]] = {
    "hold": (hold, (-1, 1)),
    "release": (release, (1, -1)),
    "debit": (debit, (0, -1)),
    "credit": (credit, (1, 0)),
}
"""Each rule, and what it does to available and to on_hold for each centavo of its amount."""

steps = st.lists(
    st.tuples(st.sampled_from(sorted(RULES)), st.integers(1, 50), ids, st.integers(-100, 100).map(timedelta)),
    max_size=30,
)
"""A rule, its amount, the transfer, and how far the clock is from noon, in days: machines disagree."""


def lived(start: Balance, history: list[tuple[str, int, str, timedelta]]) -> list[Posting]:
    """The postings of a history, each held against a model that knows nothing but two numbers. What the
    model forbids must be refused, and is left out."""
    postings: list[Posting] = []
    now, available, on_hold = start, start.available, start.on_hold
    if not start.internal:
        postings.append(open_account(start, AT))
        now = postings[-1].after
    for kind, amount, transfer_id, away in history:
        rule, (sign_available, sign_on_hold) = RULES[kind]
        wanted = (available + sign_available * amount, on_hold + sign_on_hold * amount)
        if wanted[1] < 0:
            with pytest.raises(AssertionError):
                rule(now, amount, transfer_id, iso(NOON + away))
            continue
        if wanted[0] < 0 and not start.internal:
            with pytest.raises(Refusal):
                rule(now, amount, transfer_id, iso(NOON + away))
            continue
        posting = rule(now, amount, transfer_id, iso(NOON + away))
        available, on_hold = wanted
        assert posting.before == now
        now = posting.after
        assert (now.available, now.on_hold) == wanted
        postings.append(posting)
    return postings


@pytest.mark.parametrize("start", [unopened(ANA, "ana", AT), unopened(TREASURY_ITEM, "", AT)])
@given(history=steps)
def test_any_history_is_gapless_chained_and_folds_to_the_balance(
    start: Balance, history: list[tuple[str, int, str, timedelta]]
) -> None:
    postings = lived(start, history)
    entries = [posting.entry for posting in postings]
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    hashes = [GENESIS, *(entry.hash for entry in entries)]
    assert [entry.prev_hash for entry in entries] == hashes[: len(entries)]
    folded = fold(start.account_id, entries)
    now = postings[-1].after if postings else start
    assert (folded.seq, folded.available, folded.on_hold, folded.last_hash) == (
        now.seq,
        now.available,
        now.on_hold,
        now.last_hash,
    )
    for posting in postings:
        after, entry = posting.after, posting.entry
        assert (after.seq, after.month, after.last_hash) == (entry.seq, entry.month, entry.hash)
        assert after.on_hold >= 0
        assert after.internal or after.available >= 0
        assert replace(after, seq=0, available=0, on_hold=0, month=start.month, last_hash=GENESIS) == start
    for previous, posting in zip([None, *postings], postings, strict=False):
        begins = previous is None or posting.entry.month > previous.entry.month
        assert (posting.opens is not None) == begins
        if posting.opens is not None:
            place = entries.index(posting.entry)
            assert posting.opens.folded == fold(start.account_id, entries[:place])
            assert (posting.opens.account_id, posting.opens.month) == (start.account_id, posting.entry.month)


@given(history=steps)
def test_a_clock_that_goes_back_never_moves_an_entry_to_an_earlier_month(
    history: list[tuple[str, int, str, timedelta]],
) -> None:
    entries = [posting.entry for posting in lived(unopened(TREASURY_ITEM, "", AT), history)]
    months = [entry.month for entry in entries]
    assert months == sorted(months)
    newest = "202611"
    for entry in entries:
        newest = max(newest, month_of(entry.at))
        assert entry.month == newest


@pytest.mark.parametrize(
    ("read", "at", "month"),
    [
        ("202611", "2026-11-30T23:59:59.999Z", "202611"),
        ("202611", "2026-12-01T00:00:00.000Z", "202612"),
        ("202611", "2026-10-31T23:59:59.999Z", "202611"),
        ("202612", "2027-01-01T00:00:00.000Z", "202701"),
        ("202701", "2026-12-31T23:59:59.999Z", "202701"),
    ],
    ids=["same", "next", "clock back", "next year", "clock back over the year"],
)
def test_an_entry_keeps_its_time_and_goes_to_the_newest_month(read: str, at: str, month: str) -> None:
    posting = credit(balance(month=read), 1, TRANSFER_ID, at)
    assert (posting.entry.at, posting.entry.month, posting.after.month) == (at, month, month)


@pytest.mark.parametrize("kind", sorted(RULES))
def test_an_entry_says_which_rule_which_transfer_and_what_moved(kind: str) -> None:
    rule, (sign_available, sign_on_hold) = RULES[kind]
    before = balance(available=1000, on_hold=400)
    posting = rule(before, 300, TRANSFER_ID, LATER)
    entry = posting.entry
    assert (entry.account_id, entry.seq, entry.kind) == (ANA, 8, kind)
    assert (entry.transfer_id, entry.at, entry.prev_hash) == (TRANSFER_ID, LATER, before.last_hash)
    assert (entry.delta_available, entry.delta_on_hold) == (300 * sign_available, 300 * sign_on_hold)
    assert (entry.available_after, entry.on_hold_after) == (
        1000 + 300 * sign_available,
        400 + 300 * sign_on_hold,
    )
    assert entry.hash == entry.sealed().hash
    assert posting.before == before
    assert posting.after == replace(
        before,
        seq=8,
        available=entry.available_after,
        on_hold=entry.on_hold_after,
        last_hash=entry.hash,
    )


def test_an_account_opens_with_a_zero_entry_and_only_once() -> None:
    new = unopened(ANA, "ana", AT)
    assert new == Balance(ANA, "ana", 0, 0, 0, AT, "202611", GENESIS)
    posting = open_account(new, AT)
    entry = posting.entry
    assert (entry.seq, entry.kind, entry.transfer_id, entry.prev_hash) == (1, "open", None, GENESIS)
    assert (entry.delta_available, entry.delta_on_hold, entry.available_after, entry.on_hold_after) == (
        0,
        0,
        0,
        0,
    )
    with pytest.raises(AssertionError):
        open_account(posting.after, AT)


@pytest.mark.parametrize(
    ("available", "amount", "on_hold"),
    [(300, 300, 0), (301, 300, 0), (1, 1, 0), (300, 300, 999)],
    ids=["all of it", "a centavo stays", "one centavo", "beside another hold"],
)
def test_a_hold_takes_up_to_the_last_centavo(available: int, amount: int, on_hold: int) -> None:
    after = hold(balance(available=available, on_hold=on_hold), amount, TRANSFER_ID, AT).after
    assert (after.available, after.on_hold) == (available - amount, on_hold + amount)


@pytest.mark.parametrize(
    ("available", "amount", "on_hold"),
    [(299, 300, 0), (0, 1, 0), (299, 300, 300), (0, 10**12, 0)],
    ids=["a centavo short", "nothing there", "held money is not available", "far from it"],
)
def test_a_hold_beyond_available_is_refused_with_what_is_there(
    available: int, amount: int, on_hold: int
) -> None:
    with pytest.raises(Refusal) as refused:
        hold(balance(available=available, on_hold=on_hold), amount, TRANSFER_ID, AT)
    assert refused.value.code == "insufficient_funds"
    assert refused.value.facts == {"available_cents": available}
    assert str(refused.value).startswith("insufficient_funds: ")


def test_an_internal_account_goes_below_zero() -> None:
    held = hold(treasury(), 100_000, TRANSFER_ID, AT).after
    assert (held.available, held.on_hold, held.total) == (-100_000, 100_000, 0)
    assert debit(held, 100_000, TRANSFER_ID, AT).after.total == -100_000


@pytest.mark.parametrize("start", [balance(available=0, frozen=True), treasury(frozen=True)])
def test_a_hold_on_a_frozen_account_is_refused_before_its_money_is_looked_at(start: Balance) -> None:
    with pytest.raises(Refusal) as refused:
        hold(start, 1, TRANSFER_ID, AT)
    assert refused.value.code == "account_frozen"
    assert refused.value.facts == {}


@pytest.mark.parametrize("kind", ["release", "debit", "credit"])
@pytest.mark.parametrize("internal", [False, True], ids=["customer", "internal"])
def test_nothing_is_posted_to_a_frozen_balance(kind: str, internal: bool) -> None:
    name = TREASURY_ITEM if internal else ANA
    frozen = balance(name, on_hold=300, frozen=True)
    with pytest.raises(Frozen) as stopped:
        RULES[kind][0](frozen, 300, TRANSFER_ID, AT)
    assert stopped.value.account_id == name


def test_a_frozen_balance_is_not_opened_and_not_posted_to_directly() -> None:
    with pytest.raises(Frozen):
        open_account(replace(unopened(ANA, "ana", AT), frozen=True), AT)
    with pytest.raises(Frozen):
        account.post(balance(frozen=True), "hold", TRANSFER_ID, AT, available=-1, on_hold=1)


@pytest.mark.parametrize("kind", ["release", "debit"])
def test_more_than_is_held_is_never_given_back_or_taken(kind: str) -> None:
    with pytest.raises(AssertionError, match="on_hold below zero"):
        RULES[kind][0](balance(on_hold=299), 300, TRANSFER_ID, AT)
    assert RULES[kind][0](balance(on_hold=300), 300, TRANSFER_ID, AT).after.on_hold == 0


def test_no_posting_takes_a_customer_below_zero() -> None:
    with pytest.raises(AssertionError, match="available below zero"):
        account.post(balance(available=299), "debit", TRANSFER_ID, AT, available=-300, on_hold=0)
    assert (
        account.post(
            balance(available=300), "debit", TRANSFER_ID, AT, available=-300, on_hold=0
        ).after.available
        == 0
    )


@given(transfer_id=ids)
def test_a_transfer_always_uses_the_same_one_of_the_internal_items(transfer_id: str) -> None:
    item = internal_item(TREASURY, transfer_id)
    assert item == internal_item(TREASURY, transfer_id)
    assert item in {f"treasury#{number}" for number in range(INTERNAL_ITEMS)}
    assert is_internal(item)
    assert not is_internal(transfer_id)


def test_transfers_spread_over_all_internal_items() -> None:
    items = {internal_item(TREASURY, f"{number:08x}") for number in range(1000)}
    assert len(items) == INTERNAL_ITEMS


@example(at=AT)
@given(at=times)
def test_a_month_is_named_so_that_it_sorts(at: str) -> None:
    assert month_of(at) == at[:7].replace("-", "")
    assert month_of("2026-11-25T12:00:00.000Z") == "202611"


@pytest.mark.parametrize("kind", sorted(RULES))
@pytest.mark.parametrize("amount", [0, -1, -300])
def test_an_amount_that_is_not_above_zero_stops_the_process(kind: str, amount: int) -> None:
    """A negative credit would be a debit that nobody checks."""
    with pytest.raises(AssertionError, match="above zero"):
        RULES[kind][0](balance(available=1000, on_hold=1000), amount, TRANSFER_ID, AT)


STATUS_RULES = {"block": block, "unblock": unblock, "close": close}
EMPTY = balance(available=0)


@pytest.mark.parametrize(
    ("how", "before", "after"),
    [
        ("block", balance(on_hold=5), "BLOCKED"),
        ("block", EMPTY, "BLOCKED"),
        ("unblock", balance(status="BLOCKED"), "ACTIVE"),
        ("close", EMPTY, "CLOSED"),
    ],
)
def test_a_change_of_status_is_an_entry_of_its_own_kind_that_moves_nothing(
    how: str, before: Balance, after: AccountStatus
) -> None:
    posting = STATUS_RULES[how](before, LATER)
    assert posting is not None
    entry = posting.entry
    assert (entry.kind, entry.seq, entry.transfer_id) == (how, before.seq + 1, None)
    assert (entry.delta_available, entry.delta_on_hold) == (0, 0)
    assert posting.after == replace(before, seq=entry.seq, last_hash=entry.hash, status=after)


@pytest.mark.parametrize(
    ("how", "before"),
    [
        ("block", balance(status="BLOCKED")),
        ("unblock", balance()),
        ("close", replace(EMPTY, status="CLOSED")),
        ("close", replace(EMPTY, status="CLOSED", frozen=True)),
    ],
    ids=["blocked already", "not blocked", "closed already", "closed and frozen"],
)
def test_a_status_that_stands_already_needs_nothing_written(how: str, before: Balance) -> None:
    assert STATUS_RULES[how](before, LATER) is None


@pytest.mark.parametrize(
    ("how", "before", "code"),
    [
        ("block", treasury(), "internal_account"),
        ("unblock", treasury(), "internal_account"),
        ("close", treasury(), "internal_account"),
        ("block", balance(frozen=True), "account_frozen"),
        ("unblock", balance(frozen=True, status="BLOCKED"), "account_frozen"),
        ("close", replace(EMPTY, frozen=True), "account_frozen"),
        ("block", replace(EMPTY, status="CLOSED"), "account_closed"),
        ("unblock", replace(EMPTY, status="CLOSED"), "account_closed"),
        ("close", replace(EMPTY, status="BLOCKED"), "account_blocked"),
    ],
)
def test_a_change_of_status_is_refused_by_name(how: str, before: Balance, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        STATUS_RULES[how](before, LATER)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "left",
    [{"available": 1}, {"available": 0, "on_hold": 1}, {"available": 0, "pending_credits": 1}],
    ids=str,
)
def test_an_account_with_anything_left_is_not_closed_and_says_what(left: dict[str, int]) -> None:
    before = balance(**left)  # type: ignore[arg-type]
    with pytest.raises(Refusal) as refused:
        close(before, LATER)
    assert refused.value.code == "account_not_empty"
    assert refused.value.facts == {
        "available_cents": before.available,
        "on_hold_cents": before.on_hold,
        "pending_credits_cents": before.pending_credits,
    }


@pytest.mark.parametrize("kind", ["release", "debit"])
def test_a_block_keeps_no_held_money_from_going_its_way(kind: str) -> None:
    after = RULES[kind][0](balance(on_hold=300, status="BLOCKED"), 300, TRANSFER_ID, LATER).after
    assert (after.on_hold, after.status) == (0, "BLOCKED")


@pytest.mark.parametrize("wrong", [{"available": -1}, {"on_hold": -1}], ids=str)
@pytest.mark.parametrize("kind", sorted(RULES))
def test_no_money_moves_on_a_balance_that_says_what_cannot_be(kind: str, wrong: dict[str, int]) -> None:
    with pytest.raises((Frozen, Refusal), match=f"^{ANA}$|account_frozen"):
        RULES[kind][0](balance(**wrong), 1, TRANSFER_ID, LATER)  # type: ignore[arg-type]

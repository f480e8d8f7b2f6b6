"""Ledger values in DynamoDB's shape: what was written is read back, and every number is a whole one."""

import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kit.dynamo import Client, Deadline, transact
from apps.ledger import account, items
from apps.ledger.account import Balance, Posting
from apps.ledger.entries import Entry, MonthOpening
from apps.ledger.items import OPEN_SHARDS, Corrupted, Mark
from apps.ledger.store import Clock, Ledger, Tables
from apps.ledger.transfer import Transfer, hold
from apps.pix.limits import USUAL, Limits, Used
from tests.apps.ledger.fake_table import FakeTable
from tests.apps.ledger.values import (
    ANA,
    AT,
    ATTEMPT,
    BRUNO,
    LIFETIME,
    NOON,
    ORDER,
    TRANSFER_ID,
    balance,
    balances,
    counts,
    entries,
    ids,
    marks,
    openings,
    transfers,
)

WHOLE = re.compile(r"-?[0-9]+")


def ledger(table: FakeTable) -> Ledger:
    return Ledger(cast("Client", table), Tables("t", "t", "t"), 1, clock=Clock(now=lambda: NOON))


def assert_text_and_whole_numbers(item: Any) -> None:
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        assert isinstance(value, str), name
        assert kind == "S" or (kind == "N" and WHOLE.fullmatch(value)), name


def assert_no_fraction(value: Any) -> None:
    for field in fields(value):
        assert type(getattr(value, field.name)) in {str, int, bool, type(None), Limits, Used}, field.name


@given(transfer=transfers)
def test_a_transfer_is_read_back_as_it_was_written(transfer: Transfer) -> None:
    item = items.transfer_item(transfer)
    assert_text_and_whole_numbers(item)
    found = items.transfer_of(item)
    assert found == transfer
    assert items.found_of(item) == transfer
    assert_no_fraction(found)


@given(entry=entries)
def test_an_entry_is_read_back_as_it_was_sealed(entry: Entry) -> None:
    item = items.entry_item(entry.sealed())
    assert_text_and_whole_numbers(item)
    found = items.entry_of(item)
    assert found == entry.sealed()
    assert found.sealed() == found
    assert_no_fraction(found)


def stored(balance: Balance, entry: Entry) -> Any:
    """The item of a balance as a change writes it."""
    table = FakeTable()
    actions = ledger(table)._posting(Posting(balance, balance, entry))
    transact(cast("Client", table), actions, Deadline.after(1))
    return table.items[f"ACC#{balance.account_id}", "BAL"]


SAMPLE_ENTRY = account.credit(balance(), 5, TRANSFER_ID, AT).entry
SAMPLE_OPENING = MonthOpening(ANA, "202611", 7, 5, 5, "a" * 64, "BLOCKED")
SAMPLE_TRANSFER = hold(ORDER, balance(), balance(BRUNO), LIFETIME, ATTEMPT).transfer


def stored_balance() -> Any:
    return stored(replace(balance(), limits=USUAL, used=Used((("2026-11-25/day", 5),))), SAMPLE_ENTRY)


@given(balance=balances, entry=entries)
def test_a_balance_is_read_back_as_the_ledger_wrote_it(balance: Balance, entry: Entry) -> None:
    item = stored(balance, entry)
    assert_text_and_whole_numbers(item)
    found = items.balance_of(item)
    assert found == balance
    assert_no_fraction(found)


@given(balance=balances, entry=entries, why=st.sampled_from(["wrong_sum", ""]))
def test_the_auditors_mark_freezes_a_balance_whatever_it_says(
    balance: Balance, entry: Entry, why: str
) -> None:
    marked = items.balance_of(stored(balance, entry) | {"frozen": {"S": why}})
    assert marked == replace(balance, frozen=True)


@given(opening=openings)
def test_what_a_month_begins_with_is_read_back_as_it_was_written(opening: MonthOpening) -> None:
    item = items.opening_item(opening)
    assert_text_and_whole_numbers(item)
    assert items.opening_of(item) == opening


@pytest.mark.parametrize(
    ("read", "item"),
    [
        (items.balance_of, stored_balance),
        (items.entry_of, lambda: items.entry_item(SAMPLE_ENTRY)),
        (items.opening_of, lambda: items.opening_item(SAMPLE_OPENING)),
        (items.transfer_of, lambda: items.transfer_item(SAMPLE_TRANSFER)),
    ],
    ids=["balance", "entry", "opening", "transfer"],
)
def test_an_item_without_an_attribute_or_with_another_type_is_corrupted(
    read: Callable[[Any], object], item: Callable[[], Any]
) -> None:
    whole = item()
    assert read(whole)
    optional = {
        "pk",
        "sk",
        "transfer_id",
        "due_at",
        "open_shard",
        "description",
        "end_to_end_id",
        "request_id",
        "limit_period",
        "limits",
    }
    for name in set(whole) - optional:
        for spoilt in ({name: None}, {name: {"BOOL": True}}, {name: {"N": "x"}}, {name: "text"}):
            damaged = {key: value for key, value in {**whole, **spoilt}.items() if value is not None}
            with pytest.raises(Corrupted) as found:
                read(damaged)
            assert whole["pk"]["S"] in str(found.value)


@pytest.mark.parametrize("name", ["limits", "used"])
@pytest.mark.parametrize(
    "spoilt",
    [{"S": ""}, {"S": "[1]"}, {"S": '{"day": "1"}'}, {"S": '{"2026-11-25/day": 1.5}'}, {"N": "1"}, {"M": {}}],
    ids=str,
)
def test_limits_that_cannot_be_read_corrupt_their_balance(name: str, spoilt: Any) -> None:
    with pytest.raises(Corrupted):
        items.balance_of(stored_balance() | {name: spoilt})


@pytest.mark.parametrize("attribute", ["seq", "owner_subject", "status", "available"])
def test_a_corrupted_balance_counts_as_frozen_and_keeps_its_name(attribute: str) -> None:
    item = {name: value for name, value in stored_balance().items() if name != attribute}
    found = items.balance_or_halted(item)
    assert found.halted
    assert found.account_id == ANA
    assert items.balance_or_halted(stored_balance()) == items.balance_of(stored_balance())


@given(mark=marks)
def test_a_refusal_leaves_a_mark_that_is_read_back_and_is_no_transfer(mark: Mark) -> None:
    table = FakeTable()
    seen = Mark(mark.refused - 1, "earlier")
    assert ledger(table).refuse(TRANSFER_ID, seen, mark.problem) is None
    (item,) = table.items.values()
    assert_text_and_whole_numbers(item)
    assert items.found_of(item) == mark
    assert ledger(table).find(TRANSFER_ID) == mark
    assert ledger(table).transfer(TRANSFER_ID) is None


def test_a_mark_stays_for_a_day() -> None:
    table = FakeTable()
    ledger(table).refuse(TRANSFER_ID, None, "[]")
    ttl = int(table.items[f"TX#{TRANSFER_ID}", "TX"]["ttl"]["N"])
    assert datetime.fromtimestamp(ttl, UTC) == datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def test_nothing_stands_where_there_is_no_item() -> None:
    assert items.found_of(None) is None


@given(transfer=transfers)
def test_the_index_of_open_transfers_shows_only_those_with_a_next_look(transfer: Transfer) -> None:
    item = items.transfer_item(transfer)
    assert ("open_shard" in item) == ("due_at" in item) == (transfer.due_at is not None)


@given(transfer_id=ids)
def test_an_open_transfer_is_in_one_of_the_shards_that_the_sweep_reads(transfer_id: str) -> None:
    assert items.open_shard(transfer_id) in {str(shard) for shard in range(OPEN_SHARDS)}


@pytest.mark.parametrize(
    ("last", "shard"), [("0", "0"), ("3", "3"), ("4", "0"), ("9", "1"), ("f", "3"), ("F", "3")]
)
def test_a_transfers_shard_is_its_last_digit(last: str, shard: str) -> None:
    assert items.open_shard(TRANSFER_ID[:-1] + last) == shard


def test_what_is_missing_is_no_attribute_but_zero_and_the_empty_text_are() -> None:
    assert items.attributes({"none": None, "zero": 0, "empty": "", "below": -5, "digits": "7"}) == {
        "zero": {"N": "0"},
        "empty": {"S": ""},
        "below": {"N": "-5"},
        "digits": {"S": "7"},
    }


def test_the_places_of_stored_items_never_change() -> None:
    assert items.balance_key(ANA) == {"pk": {"S": f"ACC#{ANA}"}, "sk": {"S": "BAL"}}
    assert items.transfer_key(TRANSFER_ID) == {"pk": {"S": f"TX#{TRANSFER_ID}"}, "sk": {"S": "TX"}}
    assert items.entries_partition(ANA, "202611") == f"ENT#{ANA}#202611"
    assert items.entry_sort(42) == "000000000042"


@given(entry=entries)
def test_an_entry_is_kept_by_account_month_and_number(entry: Entry) -> None:
    item = items.entry_item(entry)
    assert item["pk"] == {"S": f"ENT#{entry.account_id}#{entry.month}"}
    assert item["sk"] == {"S": f"{entry.seq:012d}"}


@given(one=counts, other=counts)
def test_entries_sort_by_number(one: int, other: int) -> None:
    assert (items.entry_sort(one) < items.entry_sort(other)) == (one < other)

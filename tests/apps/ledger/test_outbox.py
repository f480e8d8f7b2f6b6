"""The outbox's values: where an event waits, who may publish it, and what is kept of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kit import events
from apps.kit.dynamo import Client
from apps.ledger.outbox import BATCH, TOPIC, Lease, Mark, Outbox, Published, Row, row_of, shard_of
from apps.ledger.transfer import Transfer, hold, iso, settle
from tests.apps.ledger.fake_table import FakeTable
from tests.apps.ledger.values import (
    AT,
    ATTEMPT,
    BRUNO,
    LIFETIME,
    NEXT_ATTEMPT,
    NOON,
    ORDER,
    TRANSFER_ID,
    balance,
    counts,
    ids,
    leases,
    rows,
)

LEASE = Lease(
    shard=3,
    owner="one",
    epoch=4,
    version=6,
    until="2026-11-25T12:00:10.000Z",
    memory=2,
    last={0: Mark(7, "an-event"), 5: Mark(0, "another")},
    witnesses={0: Mark(3, "an-earlier-one")},
)


def outbox(table: FakeTable) -> Outbox:
    return Outbox(cast("Client", table), "events")


def held() -> tuple[events.Event, Transfer]:
    change = hold(ORDER, balance(), balance(BRUNO, owner="bruno"), LIFETIME, ATTEMPT)
    return change.event, change.transfer


@given(transfer_id=ids, shards=st.integers(1, 16))
def test_a_transfer_is_in_one_of_the_shards_that_the_relay_reads(transfer_id: str, shards: int) -> None:
    assert 0 <= shard_of(transfer_id, shards) < shards


def test_a_transfers_shard_never_changes() -> None:
    """Rows and history of before would be looked for in another shard."""
    ids_of_before = [f"7e000000-0000-5000-8000-00000000000{last}" for last in "0123"]
    assert [shard_of(each, 8) for each in ids_of_before] == [2, 4, 6, 0]


def test_transfers_spread_over_all_shards() -> None:
    assert {shard_of(f"{number:08x}", 8) for number in range(1000)} == set(range(8))


def test_a_row_holds_the_whole_record_under_the_key_of_the_payee() -> None:
    event, transfer = held()
    row = row_of(event, transfer, 8)
    assert (row.shard, row.sort) == (shard_of(TRANSFER_ID, 8), f"{AT}#{ATTEMPT.event_id}")
    assert (row.transfer_id, row.event_id) == (TRANSFER_ID, ATTEMPT.event_id)
    record = events.record_from_json(row.record)
    assert record == events.encode(event, TOPIC, BRUNO)
    assert events.decode(record.headers, record.value) == event


def test_every_copy_of_an_event_is_the_same() -> None:
    assert row_of(*held(), 8) == row_of(*held(), 8)


def test_rows_of_one_transfer_share_a_shard_and_sort_in_time_order() -> None:
    change = hold(ORDER, balance(), balance(BRUNO), LIFETIME, ATTEMPT)
    later = settle(change.transfer, change.postings[0].after, balance(BRUNO), NEXT_ATTEMPT)
    one = row_of(change.event, change.transfer, 8)
    other = row_of(later.event, later.transfer, 8)
    assert one.shard == other.shard
    assert one.sort < other.sort


@given(row=rows)
def test_a_row_is_read_back_as_it_was_put(row: Row) -> None:
    table = FakeTable()
    outbox(table).put_back(row)
    assert outbox(table).waiting(row.shard, 10) == [row]
    assert outbox(table).waiting(row.shard + 1, 10) == []


@given(seen=leases)
def test_a_lease_is_read_back_as_it_was_taken_with_whole_numbers(seen: Lease) -> None:
    table = FakeTable()
    past = datetime.fromisoformat(seen.until)
    taken = outbox(table).take_lease(seen, seen.shard, "next", until=past + timedelta(seconds=10), now=past)
    until = iso(past + timedelta(seconds=10))
    assert taken == replace(seen, owner="next", epoch=seen.epoch + 1, version=seen.version + 1, until=until)
    found = outbox(table).lease(seen.shard)
    assert found == taken
    assert outbox(table).lease(seen.shard + 1) is None
    numbers = [found.epoch, found.memory, *found.last, *(mark.offset for mark in found.last.values())]
    assert {type(number) for number in numbers} == {int}


@pytest.mark.parametrize(
    ("owner", "at", "epoch"),
    [
        ("one", "2026-11-25T12:00:09.999Z", 4),
        ("one", "2026-11-25T12:00:10.000Z", 5),
        ("two", "2026-11-25T12:00:09.999Z", None),
        ("two", "2026-11-25T12:00:10.000Z", 5),
    ],
    ids=["holder goes on", "holder comes late", "another waits", "another takes over"],
)
def test_a_lease_is_its_holders_until_its_time_is_over(owner: str, at: str, epoch: int | None) -> None:
    now = datetime.fromisoformat(at)
    until = now + timedelta(seconds=10)
    taken = outbox(FakeTable()).take_lease(LEASE, 3, owner, until=until, now=now)
    if epoch is None:
        assert taken is None
    else:
        assert taken == replace(LEASE, owner=owner, epoch=epoch, version=7, until=iso(until))


def test_the_first_lease_of_a_shard_remembers_nothing() -> None:
    until = NOON + timedelta(seconds=10)
    taken = outbox(FakeTable()).take_lease(None, 3, "one", until=until, now=NOON)
    assert taken == Lease(3, "one", 1, 1, iso(until), 1, {}, {})


@given(row=rows, partition=st.integers(0, 99), offset=counts)
def test_what_kafka_took_leaves_the_outbox_and_its_history_gives_the_same_row(
    row: Row, partition: int, offset: int
) -> None:
    table = FakeTable()
    outbox(table).put_back(row)
    lease = replace(LEASE, shard=row.shard, last={partition: Mark(offset, row.event_id)})
    written = outbox(table).published([Published(row, partition, offset)], lease, LEASE, NOON)
    assert written == replace(lease, version=LEASE.version + 1)
    assert outbox(table).waiting(row.shard, 10) == []
    assert outbox(table).history(row.transfer_id, row.event_id) == row
    assert outbox(table).lease(row.shard) == written


def test_history_says_where_the_record_is_and_stays_for_over_a_year() -> None:
    table = FakeTable()
    row = row_of(*held(), 8)
    outbox(table).put_back(row)
    outbox(table).published([Published(row, 2, 41)], LEASE, LEASE, NOON)
    item: Any = table.items[f"HIS#{TRANSFER_ID}", ATTEMPT.event_id]
    assert (item["topic"], item["partition"], item["offset"]) == ({"S": TOPIC}, {"N": "2"}, {"N": "41"})
    assert (item["history_shard"], item["memory"]) == ({"S": str(row.shard)}, {"N": "2"})
    assert item["published_at"] == {"S": AT}
    assert datetime.fromtimestamp(int(item["ttl"]["N"]), UTC) - NOON == timedelta(days=400)


def test_a_batch_is_what_one_transaction_takes() -> None:
    assert 2 * BATCH + 1 <= 100
    published = [Published(row_of(*held(), 8), 0, offset) for offset in range(BATCH + 1)]
    with pytest.raises(AssertionError):
        outbox(FakeTable()).published(published, LEASE, LEASE, NOON)


def test_the_age_of_the_outbox_is_that_of_its_oldest_row() -> None:
    table = FakeTable()
    assert outbox(table).oldest(4) is None
    for shard, at in ((0, "2026-11-25T12:00:02.000Z"), (3, AT), (3, "2026-11-25T12:00:01.000Z")):
        outbox(table).put_back(replace(row_of(*held(), 4), shard=shard, sort=f"{at}#e"))
    assert outbox(table).oldest(4) == AT

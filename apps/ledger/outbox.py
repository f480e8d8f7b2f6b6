"""The outbox: rows that wait for Kafka, the relay's lease on them, and the history of what Kafka took.

A row is written in the transaction that makes its event true, and leaves only after the broker's delivery
report, in the transaction that puts its history row. A crash before that sends the event twice, never not
at all. The row holds the record's bytes, so that every copy of an event is the same.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from apps.kit import dynamo, events
from apps.kit.dynamo import Cancelled, Client, ConditionFailed, Deadline, Unavailable
from apps.kit.events import Malformed
from apps.ledger.items import Attribute, Corrupted, attributes, key, number, text, whole
from apps.ledger.transfer import Transfer, iso, partition_key

TOPIC = "transfers"
BATCH = 49
"""Rows that one transaction takes out: two actions each, one for the lease, a hundred at most."""
WRITE_SECONDS = 2.0
HISTORY_DAYS = 400
"""History outlives the topic, so that a transfer can be traced for over a year."""


@dataclass(frozen=True)
class Row:
    """One event on its way to Kafka: its place in the outbox and its record, whole."""

    shard: int
    sort: str
    transfer_id: str
    event_id: str
    record: str

    @property
    def written_at(self) -> datetime:
        """When the event became true."""
        return datetime.fromisoformat(self.sort.partition("#")[0])

    def item(self) -> dict[str, Attribute]:
        """The row as an item."""
        values = {"transfer_id": self.transfer_id, "event_id": self.event_id, "record": self.record}
        return key(f"OUT#{self.shard}", self.sort) | attributes(values)


@dataclass(frozen=True)
class Found:
    """Rows that were read, and what kept others from being read: one damaged row stops nothing but itself."""

    rows: list[Row]
    damaged: list[Corrupted]


@dataclass(frozen=True)
class Search:
    """A walk through the history for what a broker has lost, a page at a time.

    The index may lag, so there is a `first` pass, a `rest`, and from `again_at` on (ISO 8601) a `last` pass.
    `after` is where the present pass goes on.
    """

    phase: Literal["first", "rest", "last"]
    again_at: str
    after: str | None = None


@dataclass(frozen=True)
class Mark:
    """An event that the broker said it has at this offset of a partition."""

    offset: int
    event_id: str


@dataclass(frozen=True)
class Lease:
    """Who publishes a shard, until when, and how far the broker got.

    `version` rises with each write, so that one that arrives late overwrites nothing; `epoch` when the holder
    changes. `last` is what was reported last by partition: a report at or below
    it means that the broker lost its memory. `witnesses` are earlier ones of which the holder makes sure now
    and then that they are still there; what is reported replaces none, since a log that has grown anew may
    have reported it. `memory` rises with a loss, and tells the history rows of the lost broker from those of
    its successor. `search` goes on with whoever holds the lease next.
    """

    shard: int
    owner: str
    epoch: int
    version: int
    until: str
    memory: int
    last: Mapping[int, Mark]
    witnesses: Mapping[int, Mark]
    search: Search | None = None


@dataclass(frozen=True)
class Published:
    """A row, and where the broker says that its record is."""

    row: Row
    partition: int
    offset: int


@dataclass(frozen=True)
class Taken:
    """An event that Kafka took, the time, and where it was put then."""

    row: Row
    topic: str
    partition: int
    offset: int
    published_at: str


def shard_of(transfer_id: str, shards: int) -> int:
    """The outbox shard of a transfer."""
    return zlib.crc32(transfer_id.encode()) % shards


def row_of(event: events.Event, transfer: Transfer, shards: int) -> Row:
    """The outbox row of an event: sorted by time within its shard."""
    record = events.encode(event, TOPIC, partition_key(transfer))
    return Row(
        shard=shard_of(transfer.transfer_id, shards),
        sort=f"{event.time}#{event.id}",
        transfer_id=transfer.transfer_id,
        event_id=event.id,
        record=events.record_to_json(record),
    )


class Outbox:
    """Outbox, lease and history in the table `events`."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    def waiting(self, shard: int, limit: int) -> list[Row]:
        """The oldest rows of a shard that can be read."""
        return self.look(shard, limit).rows

    def look(self, shard: int, limit: int) -> Found:
        """The oldest rows of a shard, and the damaged ones among them. Read from the start each time: what
        commits late is never skipped. Damaged rows stay where they are, and however many there are, those
        behind them are found."""
        found, more = Found([], []), dict[str, Any]()
        while True:
            answer = dynamo.read(
                self._client.query,
                TableName=self._table,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": text(f"OUT#{shard}")},
                ConsistentRead=True,
                Limit=limit - len(found.rows),
                **more,
            )
            page = _found(answer["Items"], lambda item: _row_of(item, shard))
            found = Found(found.rows + page.rows, found.damaged + page.damaged)
            if not page.damaged or len(found.rows) == limit or "LastEvaluatedKey" not in answer:
                return found
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def unreadable(self, shard: int) -> list[Corrupted]:
        """Every damaged row of a shard."""
        items = dynamo.pages(
            self._client,
            self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": text(f"OUT#{shard}")},
            ConsistentRead=True,
        )
        return _found(items, lambda item: _row_of(item, shard)).damaged

    def published(self, batch: Sequence[Published], lease: Lease, seen: Lease, now: datetime) -> Lease | None:
        """Records what the broker took, takes the rows out and writes the lease: all or nothing, and only
        while the lease is still as `seen`. Gives it as it stands now; nothing when it was not as seen, and
        then the rows stay.

        At most `BATCH` rows. Raises `Unavailable` or `OutcomeUnknown`; the rows may be sent once more.
        """
        assert len(batch) <= BATCH
        actions: list[dict[str, Any]] = []
        for each in batch:
            item = _history_item(each, lease, now)
            place = key(f"OUT#{each.row.shard}", each.row.sort)
            actions.append({"Put": {"TableName": self._table, "Item": item}})
            actions.append({"Delete": {"TableName": self._table, "Key": place}})
        return self._write(actions, lease, seen)

    def _write(self, actions: Sequence[Mapping[str, Any]], lease: Lease, seen: Lease) -> Lease | None:
        written = replace(lease, version=seen.version + 1)
        held = {"Put": {"TableName": self._table, "Item": _lease_item(written), **_unchanged(seen)}}
        try:
            dynamo.transact(self._client, [held, *actions], Deadline.after(WRITE_SECONDS))
        except Cancelled as cancelled:
            if cancelled.only_contention:
                raise Unavailable("contention") from cancelled
            if not cancelled.repeatable:
                # A mistake of ours (a row too large, say) and not a lost lease: no new attempt mends it.
                raise
            return None
        return written

    def history(self, transfer_id: str, event_id: str) -> Row | None:
        """The row of an event that Kafka took once, or nothing while it still waits. Raises `Corrupted`."""
        item = dynamo.item(self._client, self._table, key(f"HIS#{transfer_id}", event_id))
        return _history_row(item) if item is not None else None

    def taken(self, transfer_id: str) -> list[Taken]:
        """Every event of a transfer that Kafka took, and where it is. Raises `Corrupted`."""
        answer = dynamo.read(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": text(f"HIS#{transfer_id}")},
            ConsistentRead=True,
        )
        return [_taken_of(item) for item in answer["Items"]]

    def still_waiting(self, transfer_id: str, shards: int) -> list[Row]:
        """The events of a transfer that Kafka has not taken yet. Raises `Corrupted`."""
        shard = shard_of(transfer_id, shards)
        found = dynamo.pages(
            self._client,
            self._table,
            KeyConditionExpression="pk = :pk",
            FilterExpression="transfer_id = :transfer",
            ExpressionAttributeValues={":pk": text(f"OUT#{shard}"), ":transfer": text(transfer_id)},
            ConsistentRead=True,
        )
        return [_row_of(item, shard) for item in found]

    def put_back(self, row: Row) -> None:
        """Puts a row where it was, unless it is there."""
        try:
            dynamo.write(
                self._client.put_item,
                TableName=self._table,
                Item=row.item(),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ConditionFailed:
            return

    def lost(self, lease: Lease, since: datetime, after: str | None) -> tuple[Found, str | None]:
        """A page of the rows that only an earlier memory of the broker took, younger than `since`; and where
        the next page goes on, if there is one."""
        answer = dynamo.read(
            self._client.query,
            TableName=self._table,
            IndexName="history",
            KeyConditionExpression="history_shard = :shard AND published_at >= :since",
            FilterExpression="memory < :memory",
            ExpressionAttributeValues={
                ":shard": text(str(lease.shard)),
                ":since": text(iso(since)),
                ":memory": number(lease.memory),
            },
            Limit=BATCH,
            **({"ExclusiveStartKey": json.loads(after)} if after else {}),
        )
        following = answer.get("LastEvaluatedKey")
        return _found(answer["Items"], _history_row), json.dumps(following) if following else None

    def put_lost_back(self, rows: Sequence[Row], lease: Lease, seen: Lease) -> Lease | None:
        """Puts rows where they were and writes the lease, while it is still as `seen`; gives it as it stands
        now.

        A row that is there already has the same bytes. At most `BATCH` rows; raises as `published` does.
        """
        assert len(rows) <= BATCH
        actions = [{"Put": {"TableName": self._table, "Item": row.item()}} for row in rows]
        return self._write(actions, lease, seen)

    def lease(self, shard: int) -> Lease | None:
        """The lease of a shard as it stands."""
        item = dynamo.item(self._client, self._table, _lease_key(shard))
        return _lease_of(item, shard) if item is not None else None

    def take_lease(
        self,
        seen: Lease | None,
        shard: int,
        owner: str,
        *,
        until: datetime,
        now: datetime,
        abandoned: bool = False,
    ) -> Lease | None:
        """Takes, or takes on, a shard; nothing while another holds it and it is not `abandoned`, or when
        another was quicker."""
        held = seen is not None and seen.until > iso(now) and not abandoned
        kept = held and seen is not None and seen.owner == owner
        if held and not kept:
            return None
        lease = Lease(
            shard=shard,
            owner=owner,
            epoch=(seen.epoch if seen else 0) + (0 if kept else 1),
            version=(seen.version if seen else 0) + 1,
            until=iso(until),
            memory=seen.memory if seen else 1,
            last=seen.last if seen else {},
            witnesses=seen.witnesses if seen else {},
            search=seen.search if seen else None,
        )
        return lease if self._replace(lease, seen) else None

    def _replace(self, lease: Lease, seen: Lease | None) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if seen is not None:
            condition = _unchanged(seen)
        try:
            dynamo.write(self._client.put_item, TableName=self._table, Item=_lease_item(lease), **condition)
        except ConditionFailed:
            return False
        return True

    def oldest(self, shards: int) -> str | None:
        """When the oldest event that still waits was written (ISO 8601), over all shards. A damaged row goes
        nowhere, so that its age says nothing of the relay."""
        heads: Sequence[Row] = [row for shard in range(shards) for row in self.waiting(shard, 1)]
        return min((row.sort.partition("#")[0] for row in heads), default=None)


def _unchanged(seen: Lease) -> dict[str, Any]:
    return {
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": {":version": number(seen.version)},
    }


def _history_item(published: Published, lease: Lease, now: datetime) -> dict[str, Attribute]:
    row = published.row
    values: dict[str, str | int | None] = {
        "transfer_id": row.transfer_id,
        "event_id": row.event_id,
        "record": row.record,
        "outbox_shard": row.shard,
        "outbox_sort": row.sort,
        "topic": TOPIC,
        "partition": published.partition,
        "offset": published.offset,
        "memory": lease.memory,
        "history_shard": str(row.shard),
        "published_at": iso(now),
        "ttl": int((now + timedelta(days=HISTORY_DAYS)).timestamp()),
    }
    return key(f"HIS#{row.transfer_id}", row.event_id) | attributes(values)


def _found(items: Iterable[dynamo.Item], read: Callable[[dynamo.Item], Row]) -> Found:
    found = Found([], [])
    for item in items:
        try:
            found.rows.append(read(item))
        except Corrupted as corrupted:
            found.damaged.append(corrupted)
    return found


def _row_of(item: dynamo.Item, shard: int) -> Row:
    """The row that an item of the outbox holds. Raises `Corrupted`."""
    with whole(item):
        return _sound(
            Row(
                shard=shard,
                sort=item["sk"]["S"],
                transfer_id=item["transfer_id"]["S"],
                event_id=item["event_id"]["S"],
                record=item["record"]["S"],
            )
        )


def _history_row(item: dynamo.Item) -> Row:
    """The row that an item of the history was once. Raises `Corrupted`."""
    with whole(item):
        return _sound(
            Row(
                shard=int(item["outbox_shard"]["N"]),
                sort=item["outbox_sort"]["S"],
                transfer_id=item["transfer_id"]["S"],
                event_id=item["event_id"]["S"],
                record=item["record"]["S"],
            )
        )


def _sound(row: Row) -> Row:
    """The row, of which everything can be used that will be: what fails only after Kafka has taken the whole
    batch has it sent again for ever. Raises `ValueError`."""
    try:
        topic = events.record_from_json(row.record).topic
    except Malformed as malformed:
        raise ValueError(malformed.reason) from malformed
    if topic != TOPIC:
        raise ValueError("a record for another topic")
    if row.written_at.tzinfo is None:
        raise ValueError("a time without a zone")
    return row


def _taken_of(item: dynamo.Item) -> Taken:
    row = _history_row(item)
    with whole(item):
        return Taken(
            row=row,
            topic=item["topic"]["S"],
            partition=int(item["partition"]["N"]),
            offset=int(item["offset"]["N"]),
            published_at=item["published_at"]["S"],
        )


def _lease_key(shard: int) -> dict[str, Attribute]:
    return key(f"LEASE#{shard}", "LEASE")


def _lease_item(lease: Lease) -> dict[str, Attribute]:
    values = attributes(
        {
            "owner": lease.owner,
            "epoch": lease.epoch,
            "version": lease.version,
            "until": lease.until,
            "memory": lease.memory,
        }
    )
    marks = {"last": _marks_item(lease.last), "witnesses": _marks_item(lease.witnesses)}
    item: dict[str, Attribute] = _lease_key(lease.shard) | values | marks
    if lease.search is not None:
        item["search"] = {"M": attributes(vars(lease.search))}
    return item


def _lease_of(item: dynamo.Item, shard: int) -> Lease:
    return Lease(
        shard=shard,
        owner=item["owner"]["S"],
        epoch=int(item["epoch"]["N"]),
        version=int(item["version"]["N"]),
        until=item["until"]["S"],
        memory=int(item["memory"]["N"]),
        last=_marks_of(item["last"]),
        witnesses=_marks_of(item["witnesses"]),
        search=_search_of(item["search"]["M"]) if "search" in item else None,
    )


def _marks_item(marks: Mapping[int, Mark]) -> Attribute:
    return {"M": {str(partition): {"M": attributes(vars(mark))} for partition, mark in marks.items()}}


def _marks_of(value: Mapping[str, Any]) -> dict[int, Mark]:
    each = {int(name): mark["M"] for name, mark in value["M"].items()}
    return {name: Mark(int(mark["offset"]["N"]), mark["event_id"]["S"]) for name, mark in each.items()}


def _search_of(item: dynamo.Item) -> Search:
    phase = cast("Literal['first', 'rest', 'last']", item["phase"]["S"])
    return Search(phase, item["again_at"]["S"], item["after"]["S"] if "after" in item else None)

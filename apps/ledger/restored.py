"""Reads what a restore has left of the three tables, and writes a repair's plan.

Services are off meanwhile; all the same each write carries the condition that its item is still what was
read, so that a service that runs makes the repair stop (`Moved`) and never makes it wrong. What is written
adds to what proves it and takes nothing away: a repair that is killed half way is done by the next one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.kit import dynamo, events
from apps.kit.dynamo import Cancelled, Client, ConditionFailed, Deadline, Unavailable
from apps.kit.events import Malformed
from apps.ledger import charges, items, outbox, store
from apps.ledger.account import Balance
from apps.ledger.chain import Whole
from apps.ledger.evidence import STATUS_OF, Finding, Records
from apps.ledger.items import Corrupted
from apps.ledger.repair import Plan
from apps.ledger.store import Tables
from apps.ledger.transfer import Transfer, iso

TOGETHER = 40
"""Entries of one transaction: each may begin a month, and a hundred actions are the most."""
WRITE_SECONDS = 10.0


class Moved(Exception):  # noqa: N818
    """An item is no longer what was read: something else writes. Nothing was written over it."""


def events_since(now: datetime) -> str:
    """From when on every event is in the outbox or in the history, whose rows end."""
    return iso(now - timedelta(days=outbox.HISTORY_DAYS))


@dataclass(frozen=True)
class Restored:
    """The three tables after a restore."""

    client: Client
    tables: Tables
    shards: int

    def records(self) -> Records:
        """All that is there, read whole into memory. Raises `Unavailable`."""
        found = Records()
        for table, note in (
            (self.tables.accounts, _note_account),
            (self.tables.transactions, _note_transaction),
            (self.tables.events, _note_event),
        ):
            for item in self._scanned(table):
                try:
                    note(found, item)
                except (Corrupted, Malformed) as error:
                    found.unreadable.append(_unreadable(item, error))
        return found

    def write(self, plan: Plan) -> None:
        """Raises `Moved`, `Unavailable` or `OutcomeUnknown`; it may be planned and written again then."""
        try:
            for before, after in plan.transfers:
                self._transfer(before, after)
            for end_to_end_id, transfer_id in plan.identities:
                self._put(self.tables.transactions, store.identity_item(end_to_end_id, transfer_id))
            for charge_id, transfer_id, takes in plan.charges:
                write = charges.take if takes else charges.give_back
                action = write(self.tables.transactions, charge_id, transfer_id)["Update"]
                dynamo.write(self.client.update_item, **action)
            for whole in plan.accounts:
                self._account(whole)
            for event, transfer in plan.events:
                row = outbox.row_of(event, transfer, self.shards)
                self._put(self.tables.events, row.item())
        except ConditionFailed as failed:
            raise Moved from failed

    def _scanned(self, table: str) -> Iterator[dynamo.Item]:
        more: dict[str, Any] = {}
        while True:
            answer = dynamo.read(self.client.scan, TableName=table, ConsistentRead=True, **more)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _put(self, table: str, item: dynamo.Item) -> None:
        dynamo.put(self.client, table, item, "attribute_not_exists(pk)")

    def _transfer(self, before: Transfer | None, after: Transfer) -> None:
        item = items.transfer_item(after)
        if before is None:
            # A refusal's mark may stand there, from before the request that was let in.
            unused = "attribute_not_exists(pk) OR attribute_exists(refused)"
            dynamo.put(self.client, self.tables.transactions, item, unused)
            return
        was = items.transfer_item(before)
        changed = [name for name in item if item[name] != was.get(name)]
        gone = [name for name in was if name not in item]
        names = {f"#{name}": name for name in {*changed, *gone, "status", "event_id", "returnable_cents"}}
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in changed)
        if gone:
            update += " REMOVE " + ", ".join(f"#{name}" for name in gone)
        seen = ("status", "event_id", "returnable_cents")
        dynamo.write(
            self.client.update_item,
            TableName=self.tables.transactions,
            Key=items.transfer_key(after.transfer_id),
            UpdateExpression=update,
            ConditionExpression=" AND ".join(f"#{name} = :was_{name}" for name in seen),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={
                **{f":{name}": item[name] for name in changed},
                **{f":was_{name}": was[name] for name in seen},
            },
        )

    def _account(self, whole: Whole) -> None:
        """Entries above the balance go with it, and a month with its first entry, so that no service meets
        what its own write would put."""
        begin = {each.seq + 1: each for each in whole.openings}
        put = {entry.seq for entry, _ in whole.later} - whole.written
        for seq, opening in begin.items():
            if seq not in put:
                self._put(self.tables.accounts, items.opening_item(opening))
        for entry in whole.below:
            self._put(self.tables.accounts, items.entry_item(entry))
        seen = whole.before.seq if whole.before is not None else 0
        for start in range(0, len(whole.later), TOGETHER):
            some = whole.later[start : start + TOGETHER]
            new = [entry for entry, _ in some if entry.seq in put]
            written = [items.entry_item(entry) for entry in new]
            written += [items.opening_item(begin[entry.seq]) for entry in new if entry.seq in begin]
            self._transact([self._balance(seen, some[-1][1]), *map(self._absent, written)])
            seen = some[-1][1].seq

    def _transact(self, actions: Sequence[Mapping[str, Any]]) -> None:
        try:
            dynamo.transact(self.client, actions, Deadline.after(WRITE_SECONDS))
        except Cancelled as cancelled:
            if cancelled.only_contention:
                raise Unavailable("contention") from cancelled
            if not cancelled.repeatable:
                raise
            raise Moved from cancelled

    def _absent(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        absent = {"ConditionExpression": "attribute_not_exists(pk)"}
        return {"Put": {"TableName": self.tables.accounts, "Item": item, **absent}}

    def _balance(self, seen: int, after: Balance) -> Mapping[str, Any]:
        """The balance, frozen or not: it is an audit that lets it go."""
        values = items.attributes(
            {
                "account_id": after.account_id,
                "owner_subject": after.owner,
                "seq": after.seq,
                "available": after.available,
                "on_hold": after.on_hold,
                "opened_at": after.opened_at,
                "month": after.month,
                "last_hash": after.last_hash,
                "status": after.status,
                "pending_credits": after.pending_credits,
                "holder": after.holder,
                "used": items.used_text(after.used),
            }
        )
        said = {f":{name}": value for name, value in values.items()}
        condition = "attribute_not_exists(pk)"
        if seen:
            said[":seen"] = items.number(seen)
            condition = "#seq = :seen"
        return {
            "Update": {
                "TableName": self.tables.accounts,
                "Key": items.balance_key(after.account_id),
                "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in values),
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {f"#{name}": name for name in values},
                "ExpressionAttributeValues": said,
            }
        }


def _note_account(found: Records, item: dynamo.Item) -> None:
    """Balances, months and entries; what else the account service keeps there is none of the ledger's."""
    partition, sort = item["pk"]["S"], item["sk"]["S"]
    if partition.startswith("ENT#"):
        entry = items.entry_of(item)
        found.entries.setdefault(entry.account_id, []).append(entry)
    elif sort == items.BALANCE_SORT:
        balance = items.balance_of(item)
        found.balances[balance.account_id] = balance
    elif partition.startswith("ACC#") and sort.startswith(items.MONTH_SORT):
        opening = items.opening_of(item)
        found.openings.setdefault(opening.account_id, {})[opening.month] = opening


def _note_transaction(found: Records, item: dynamo.Item) -> None:
    kind, _, name = item["pk"]["S"].partition("#")
    if kind == "TX":
        transfer = items.found_of(item)
        if isinstance(transfer, Transfer):
            found.transfers[transfer.transfer_id] = transfer
    elif kind == "E2E":
        with items.whole(item):
            found.identities[name] = item["transfer"]["S"]
    elif kind == "CHARGE":
        with items.whole(item):
            found.charges[name] = item["taken_by"]["S"] if "taken_by" in item else None


def _note_event(found: Records, item: dynamo.Item) -> None:
    if "record" not in item:
        return  # a lease
    with items.whole(item):
        written = item["record"]["S"]
    record = events.record_from_json(written)
    event = events.decode(record.headers, record.value)
    if event.type in STATUS_OF:
        found.events.setdefault(event.subject, {})[STATUS_OF[event.type]] = event


def _unreadable(item: dynamo.Item, error: Exception) -> Finding:
    """An item that says nothing any more, by whom it concerns."""
    kind, _, rest = item["pk"]["S"].partition("#")
    detail = str(error)
    if kind == "TX":
        return Finding("unreadable_transfer", detail, transfer_id=rest)
    if kind in {"OUT", "HIS"}:
        return Finding("unreadable_event", detail, transfer_id=item.get("transfer_id", {}).get("S"))
    return Finding(
        "unreadable_account", detail, account_id=rest.rpartition("#")[0] if kind == "ENT" else rest
    )

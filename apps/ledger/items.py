"""Ledger values as DynamoDB items, and back: written by hand, so that a number never becomes a Decimal.

An item that is not what was written (an attribute is gone, or is of another type) is `Corrupted`: nothing
may be decided by it, and the auditor names it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar, get_args

from apps.kit.dynamo import Item
from apps.ledger.account import Balance
from apps.ledger.entries import GENESIS, AccountStatus, Entry, EntryKind, MonthOpening
from apps.ledger.transfer import Kind, Status, Transfer, iso
from apps.pix.limits import Limits, Receiver, Setting, Used

BALANCE_SORT = "BAL"
MONTH_SORT = "MONTH#"
TRANSFER_SORT = "TX"
OPEN_SHARDS = 4
"""Partitions of the sparse index `open`."""

Attribute = Mapping[str, Any]
L = TypeVar("L", bound=str)


class Corrupted(Exception):  # noqa: N818
    """An item is not what the ledger wrote. `place` is its partition and sort key, `detail` what is wrong."""

    def __init__(self, place: str, detail: str) -> None:
        super().__init__(f"{place}: {detail}")
        self.place = place
        self.detail = detail


def text(value: str) -> Attribute:
    """A string attribute."""
    return {"S": value}


def number(value: int) -> Attribute:
    """A number attribute."""
    return {"N": str(value)}


def attributes(values: Mapping[str, str | int | None]) -> dict[str, Attribute]:
    """Attributes for all values but the missing ones."""
    return {
        name: text(value) if isinstance(value, str) else number(value)
        for name, value in values.items()
        if value is not None
    }


def key(partition: str, sort: str) -> dict[str, Attribute]:
    """The primary key of an item."""
    return {"pk": text(partition), "sk": text(sort)}


def balance_key(account_id: str) -> dict[str, Attribute]:
    """Where an account's balance is."""
    return key(f"ACC#{account_id}", BALANCE_SORT)


def transfer_key(transfer_id: str) -> dict[str, Attribute]:
    """Where a transfer, or the mark of a refusal, is."""
    return key(f"TX#{transfer_id}", TRANSFER_SORT)


def transfer_id_of(item: Item) -> str:
    """Whose place an item stands at: the transfer, or the mark of a refusal, of this id."""
    transfer_id: str = item["pk"]["S"].removeprefix("TX#")
    return transfer_id


def opening_key(account_id: str, month: str) -> dict[str, Attribute]:
    """Where it stands what a month of an account begins with; together, the months that have entries."""
    return key(f"ACC#{account_id}", f"{MONTH_SORT}{month}")


def entries_partition(account_id: str, month: str) -> str:
    """The partition of an account's entries of one month; their sort key is the number, zero-padded."""
    return f"ENT#{account_id}#{month}"


def entry_sort(seq: int) -> str:
    """An entry's number as a sort key."""
    return f"{seq:012d}"


def balance_of(item: Item) -> Balance:
    """The balance that an item holds. Raises `Corrupted`."""
    with whole(item):
        return Balance(
            account_id=item["account_id"]["S"],
            owner=item["owner_subject"]["S"],
            seq=int(item["seq"]["N"]),
            available=int(item["available"]["N"]),
            on_hold=int(item["on_hold"]["N"]),
            opened_at=item["opened_at"]["S"],
            month=item["month"]["S"],
            last_hash=item["last_hash"]["S"],
            frozen="frozen" in item,
            status=_one_of(get_args(AccountStatus), item["status"]["S"]),
            pending_credits=int(item["pending_credits"]["N"]),
            holder=_one_of(get_args(Receiver), item["holder"]["S"]),
            limits=_limits_of(item["limits"]["S"]) if "limits" in item else None,
            used=_used_of(item["used"]["S"]),
        )


def limits_text(limits: Limits | None) -> str | None:
    """A holder's limits as one attribute; without a wish there is none."""
    if limits is None:
        return None
    return json.dumps({name: _setting_list(each) for name, each in vars(limits).items()})


def used_text(used: Used) -> str:
    """What counts against the limits, as one attribute."""
    return json.dumps(dict(used.periods))


def _setting_list(setting: Setting) -> list[int | str]:
    if setting.following is None or setting.follows_at is None:
        return [setting.value]
    return [setting.value, setting.following, iso(setting.follows_at)]


def _limits_of(written: str) -> Limits:
    said = json.loads(written)
    return Limits(**{each.name: _setting_of(said[each.name]) for each in fields(Limits)})


def _setting_of(said: list[Any]) -> Setting:
    value, *following = said
    if not following:
        return Setting(_whole_number(value))
    return Setting(_whole_number(value), _whole_number(following[0]), datetime.fromisoformat(following[1]))


def _used_of(written: str) -> Used:
    return Used(tuple(sorted((name, _whole_number(cents)) for name, cents in json.loads(written).items())))


def _whole_number(said: object) -> int:
    if type(said) is not int:
        raise ValueError("no whole number")
    return said


def balance_or_halted(item: Item) -> Balance:
    """The balance that an item holds; of a corrupted one a balance that counts as frozen, whose numbers
    nobody may use: the account stands still, and others go on."""
    try:
        return balance_of(item)
    except Corrupted:
        owner = item.get("owner_subject", {}).get("S", "")
        return Balance(account_of(item), owner, 0, 0, 0, "", "", GENESIS, frozen=True)


def account_of(item: Item) -> str:
    """The account that an item under an account's key belongs to, whatever else it says."""
    account_id: str = item["pk"]["S"].removeprefix("ACC#")
    return account_id


def entry_item(entry: Entry) -> dict[str, Attribute]:
    """An entry as an item."""
    values: dict[str, str | int | None] = {field.name: getattr(entry, field.name) for field in fields(entry)}
    place = key(entries_partition(entry.account_id, entry.month), entry_sort(entry.seq))
    return place | attributes(values)


def entry_of(item: Item) -> Entry:
    """The entry that an item holds. Raises `Corrupted`."""
    with whole(item):
        return Entry(
            account_id=item["account_id"]["S"],
            seq=int(item["seq"]["N"]),
            kind=_one_of(get_args(EntryKind), item["kind"]["S"]),
            transfer_id=_optional(item, "transfer_id"),
            delta_available=int(item["delta_available"]["N"]),
            delta_on_hold=int(item["delta_on_hold"]["N"]),
            available_after=int(item["available_after"]["N"]),
            on_hold_after=int(item["on_hold_after"]["N"]),
            at=item["at"]["S"],
            month=item["month"]["S"],
            prev_hash=item["prev_hash"]["S"],
            hash=item["hash"]["S"],
        )


def opening_item(opening: MonthOpening) -> dict[str, Attribute]:
    """What a month begins with, as an item."""
    return opening_key(opening.account_id, opening.month) | attributes(vars(opening))


def opening_of(item: Item) -> MonthOpening:
    """What a month begins with. Raises `Corrupted`."""
    with whole(item):
        return MonthOpening(
            account_id=item["account_id"]["S"],
            month=item["month"]["S"],
            seq=int(item["seq"]["N"]),
            available=int(item["available"]["N"]),
            on_hold=int(item["on_hold"]["N"]),
            last_hash=item["last_hash"]["S"],
            status=_one_of(get_args(AccountStatus), item["status"]["S"]),
        )


def open_shard(transfer_id: str) -> str:
    """The partition of the index `open` that a transfer shows up in. The id is a UUID: its last digit."""
    return str(int(transfer_id[-1], 16) % OPEN_SHARDS)


def transfer_item(transfer: Transfer) -> dict[str, Attribute]:
    """A transfer as an item. `open_shard` is there only while `due_at` is: the index `open` is sparse."""
    values: dict[str, str | int | None] = {
        field.name: getattr(transfer, field.name) for field in fields(transfer)
    }
    if transfer.due_at is not None:
        values["open_shard"] = open_shard(transfer.transfer_id)
    return transfer_key(transfer.transfer_id) | attributes(values)


def transfer_of(item: Item) -> Transfer:
    """The transfer that an item holds. Raises `Corrupted`."""
    with whole(item):
        return Transfer(
            transfer_id=item["transfer_id"]["S"],
            kind=_one_of(get_args(Kind), item["kind"]["S"]),
            status=_one_of(get_args(Status), item["status"]["S"]),
            payer=item["payer"]["S"],
            payee=item["payee"]["S"],
            payer_owner=item["payer_owner"]["S"],
            payee_owner=item["payee_owner"]["S"],
            amount_cents=int(item["amount_cents"]["N"]),
            description=_optional(item, "description"),
            end_to_end_id=_optional(item, "end_to_end_id"),
            created_at=item["created_at"]["S"],
            expires_at=item["expires_at"]["S"],
            due_at=_optional(item, "due_at"),
            looks=int(item["looks"]["N"]),
            decided_at=_optional(item, "decided_at"),
            reason=_optional(item, "reason"),
            request_hash=item["request_hash"]["S"],
            request_id=_optional(item, "request_id"),
            event_id=item["event_id"]["S"],
            answer=item["answer"]["S"],
            original_transfer_id=_optional(item, "original_transfer_id"),
            returnable_cents=int(item["returnable_cents"]["N"]),
            payment=_optional(item, "payment"),
            sent_order=_optional(item, "sent_order"),
            message_id=_optional(item, "message_id"),
            accepted_at=_optional(item, "accepted_at"),
            limit_period=_optional(item, "limit_period"),
            charge_id=_optional(item, "charge_id"),
        )


@dataclass(frozen=True)
class Mark:
    """The trace of the n-th refusal of one idempotency key; the transfer's id stays free."""

    refused: int
    problem: str


def found_of(item: Item | None) -> Transfer | Mark | None:
    """What stands at a transfer's id: the transfer, the mark of a refusal, or nothing. Raises `Corrupted`."""
    if item is None:
        return None
    if "refused" in item:
        with whole(item):
            return Mark(int(item["refused"]["N"]), item["problem"]["S"])
    return transfer_of(item)


@contextmanager
def whole(item: Item) -> Iterator[None]:
    """Says of an item that cannot be read which one it is, and why; the values stay unsaid."""
    try:
        yield
    except KeyError as error:
        name = error.args[0]
        wrong = "is of another type" if name in {"S", "N"} else f"has no {name}"
        raise Corrupted(_place(item), wrong) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise Corrupted(_place(item), "holds a value that it cannot have") from error


def _place(item: Item) -> str:
    return " ".join(str(item.get(name, {}).get("S", "?")) for name in ("pk", "sk"))


def _one_of(known: tuple[L, ...], value: str) -> L:
    if value not in known:
        raise ValueError(value)
    return value


def _optional(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None

"""The auditor: an independent reader that recomputes every balance from its entries.

It never compares a live sum, because a scan is not a snapshot. It reads a balance, folds that account's
entries up to the balance's own `seq`, and then holds each transfer's entries against the transfer, read
after them. What moved in between shows as later entries; what does not fit even then, or a sum that is not
zero, is a suspicion, and a suspicion is drift only if a second full pass at fresh numbers shows it too.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from apps.kit import dynamo
from apps.kit.dynamo import Client, ConditionFailed, Deadline, OutcomeUnknown, Unavailable
from apps.ledger import items, outbox
from apps.ledger import transfer as rules
from apps.ledger.account import Balance, month_of
from apps.ledger.entries import Drift, Entry, fold
from apps.ledger.items import text
from apps.ledger.store import Clock, Tables
from apps.ledger.transfer import Transfer

Deltas = tuple[int, int]
"""What a transfer did to one account: centavos of available, and of on_hold."""
NOTHING: Deltas = (0, 0)
MARK_SECONDS = 10.0
"""How long freezing an account, or letting it go, is tried for."""


@dataclass(frozen=True)
class Report:
    """What a full audit found. `sum_cents` is the sum over all accounts and must be zero."""

    accounts: int
    transfers: int
    entries: int
    sum_cents: int
    drift: tuple[Drift, ...]
    outbox_age_seconds: float

    @property
    def ok(self) -> bool:
        """Whether every promise of the ledger holds."""
        return not self.drift and self.sum_cents == 0

    def document(self) -> dict[str, object]:
        """The report as JSON."""
        return {
            "ok": self.ok,
            "accounts": self.accounts,
            "transfers": self.transfers,
            "entries": self.entries,
            "sum_cents": self.sum_cents,
            "drift": [
                {"account_id": drift.account_id, "what": drift.what, "detail": drift.detail}
                for drift in self.drift
            ],
            "outbox_age_seconds": round(self.outbox_age_seconds, 3),
        }


@dataclass
class _Account:
    """One account as it was read: its balance, and what each transfer did to it up to that `seq`."""

    balance: Balance
    deltas: dict[str, Deltas] = field(default_factory=dict)


@dataclass
class _Pass:
    """One full pass over the ledger, with a heartbeat for each read: a scan can go through many entries
    before it meets a balance, and an account can have many months."""

    beat: Callable[[], None]
    accounts: dict[str, _Account] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)
    """By transfer, the accounts whose entries name it and that are still to be held against it."""
    checked: dict[str, set[str]] = field(default_factory=dict)
    """By transfer, the accounts that were."""
    suspicions: list[Drift] = field(default_factory=list)
    entries: int = 0
    unseen_cents: int = 0
    """Money of transfers that one account shows already and the other, read earlier, does not yet."""

    @property
    def sum_cents(self) -> int:
        return sum(each.balance.total for each in self.accounts.values()) + self.unseen_cents

    def read(self, call: Callable[..., Mapping[str, Any]], **request: Any) -> Mapping[str, Any]:
        """Reads, and shows that it goes on. Raises `Unavailable`."""
        self.beat()
        return dynamo.read(call, **request)


class Auditor:
    """Reads the three tables; writes only the mark `frozen`."""

    def __init__(
        self,
        client: Client,
        tables: Tables,
        shards: int,
        *,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._client = client
        self._tables = tables
        self._shards = shards
        self._clock = clock or Clock()

    def audit(self, beat: Callable[[], None] = lambda: None) -> Report:
        """Audits every account and every transfer that an entry names. Raises `Unavailable`.

        Calls `beat` for each read: a large ledger takes longer than a worker may be silent.
        """
        first = found = self._pass(beat)
        if first.suspicions or first.sum_cents != 0:
            found = self._pass(beat)
        suspected = {(each.account_id, each.what) for each in first.suspicions}
        return Report(
            accounts=len(found.accounts),
            transfers=len(found.checked),
            entries=found.entries,
            # Of two passes the better one: what only one of them shows was moving.
            sum_cents=min(first.sum_cents, found.sum_cents, key=abs),
            drift=tuple(each for each in found.suspicions if (each.account_id, each.what) in suspected),
            outbox_age_seconds=self._outbox_age(),
        )

    def freeze(self, drift: Drift) -> None:
        """Stops all writes to an account: no `seq`, no entry, so that the evidence stays as it is.

        Raises `LookupError` without such an account, `Unavailable` or `OutcomeUnknown`.
        """
        self._mark(drift.account_id, "SET frozen = :what", {":what": text(drift.what)})

    def unfreeze(self, account_id: str) -> tuple[Drift, ...]:
        """Lets an account move again if its audit is clean; else gives what is wrong and changes nothing."""
        drift = tuple(each for each in self.audit().drift if each.account_id == account_id)
        if not drift:
            self._mark(account_id, "REMOVE frozen", {})
        return drift

    def _mark(self, account_id: str, update: str, values: dict[str, items.Attribute]) -> None:
        """Marks a balance, or takes the mark away. A busy account's transactions are in the way at first, and
        doing it twice is doing it once, so it is tried until it is done or its time is over."""
        deadline = Deadline(self._monotonic() + MARK_SECONDS, self._monotonic)
        for attempt in count():
            try:
                dynamo.write(
                    self._client.update_item,
                    TableName=self._tables.accounts,
                    Key=items.balance_key(account_id),
                    UpdateExpression=update,
                    ConditionExpression="attribute_exists(pk)",
                    **({"ExpressionAttributeValues": values} if values else {}),
                )
            except ConditionFailed as failed:
                raise LookupError(f"no account has the id {account_id}") from failed
            except (Unavailable, OutcomeUnknown):
                if deadline.passed:
                    raise
                dynamo.pause(attempt)
            else:
                return

    def _pass(self, beat: Callable[[], None]) -> _Pass:
        found = _Pass(beat)
        for account_id in self._account_ids(found):
            self._read_account(found, account_id)
        # An account that was opened after the scan comes in with its first transfer, and names others.
        while found.named:
            transfer_id, names = found.named.popitem()
            if not names <= found.checked.setdefault(transfer_id, set()):
                self._check_transfer(found, transfer_id, names)
        return found

    def _account_ids(self, found: _Pass) -> Iterator[str]:
        request: dict[str, Any] = {
            "TableName": self._tables.accounts,
            "FilterExpression": "sk = :balance",
            "ProjectionExpression": "account_id",
            "ExpressionAttributeValues": {":balance": text(items.BALANCE_SORT)},
            "ConsistentRead": True,
        }
        for item in self._all(found, self._client.scan, request):
            yield item["account_id"]["S"]

    def _read_account(self, found: _Pass, account_id: str) -> None:
        """Reads and folds one account, if it exists."""
        answer = found.read(
            self._client.get_item,
            TableName=self._tables.accounts,
            Key=items.balance_key(account_id),
            ConsistentRead=True,
        )
        if "Item" not in answer:
            return
        balance = items.balance_of(answer["Item"])
        account = found.accounts[account_id] = _Account(balance)
        until = month_of(rules.iso(self._clock.now()))
        entries = [
            entry
            for entry in self._entries(found, account_id, balance.opened_at, max(until, balance.month), 0)
            if entry.seq <= balance.seq
        ]
        found.entries += len(entries)
        for entry in entries:
            if entry.transfer_id is not None:
                _add(account.deltas, entry)
                found.named.setdefault(entry.transfer_id, set()).add(account_id)
        found.suspicions += self._misfits(balance, entries)

    def _misfits(self, balance: Balance, entries: list[Entry]) -> Iterator[Drift]:
        account_id = balance.account_id
        try:
            folded = fold(account_id, entries)
        except Drift as drift:
            yield drift
            return
        for what, says, should in (
            ("seq", balance.seq, folded.seq),
            ("available", balance.available, folded.available),
            ("on_hold", balance.on_hold, folded.on_hold),
            ("last_hash", balance.last_hash, folded.last_hash),
        ):
            if says != should:
                yield Drift(account_id, f"wrong_{what}", f"the balance says {says}, its entries {should}")
        if not balance.internal and balance.available < 0:
            yield Drift(account_id, "negative", f"available is {balance.available}")

    def _check_transfer(self, found: _Pass, transfer_id: str, names: set[str]) -> None:
        """Holds a transfer against its parties and against every other account that names it."""
        transfer = self._transfer(found, transfer_id)
        if transfer is None:
            found.suspicions += [
                Drift(name, "orphan_entry", f"entries name transfer {transfer_id}, which does not exist")
                for name in sorted(names)
            ]
            found.checked[transfer_id] |= names
            return
        accounts = names | {transfer.payer, transfer.payee}
        if new := accounts - set(found.accounts):
            # A transfer is held against accounts that were read before it, never after.
            for account_id in sorted(new):
                self._read_account(found, account_id)
            transfer = self._transfer(found, transfer_id) or transfer
        for account_id in sorted(accounts - found.checked[transfer_id]):
            self._check_account(found, transfer, account_id)
        found.checked[transfer_id] |= accounts

    def _check_account(self, found: _Pass, transfer: Transfer, account_id: str) -> None:
        account = found.accounts.get(account_id)
        name = transfer.transfer_id
        seen = account.deltas.get(name, NOTHING) if account else NOTHING
        if seen == _expected(transfer, account_id):
            return
        if account is not None:
            # The transfer may have moved on after the account was read: count what came since.
            since = dict[str, Deltas]()
            until = month_of(rules.iso(self._clock.now()))
            for entry in self._entries(
                found,
                account_id,
                account.balance.month,
                max(until, account.balance.month),
                account.balance.seq,
            ):
                if entry.transfer_id == name:
                    _add(since, entry)
            later = since.get(name, NOTHING)
            now = self._transfer(found, name)
            if now is not None and _sum(seen, later) == _expected(now, account_id):
                found.unseen_cents += sum(later)
                return
        found.suspicions.append(
            Drift(
                account_id,
                "transfer_mismatch",
                f"transfer {name} is {transfer.status}, the entries add up to {seen}",
            )
        )

    def _transfer(self, found: _Pass, transfer_id: str) -> Transfer | None:
        answer = found.read(
            self._client.get_item,
            TableName=self._tables.transactions,
            Key=items.transfer_key(transfer_id),
            ConsistentRead=True,
        )
        transfer = items.found_of(answer.get("Item"))
        return transfer if isinstance(transfer, Transfer) else None

    def _entries(self, found: _Pass, account_id: str, since: str, until: str, after: int) -> list[Entry]:
        """The entries numbered above `after`, in order; `since` is a date or month, `until` a month."""
        first = month_of(since) if "-" in since else since
        entries: list[Entry] = []
        for month in _months(first, until):
            request = {
                "TableName": self._tables.accounts,
                "KeyConditionExpression": "pk = :pk AND sk > :after",
                "ExpressionAttributeValues": {
                    ":pk": text(items.entries_partition(account_id, month)),
                    ":after": text(items.entry_sort(after)),
                },
                "ConsistentRead": True,
            }
            entries += [items.entry_of(item) for item in self._all(found, self._client.query, request)]
        return sorted(entries, key=lambda entry: entry.seq)

    def _all(self, found: _Pass, call: Any, request: dict[str, Any]) -> Iterable[dynamo.Item]:
        more: dict[str, Any] = {}
        while True:
            answer = found.read(call, **request, **more)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _outbox_age(self) -> float:
        oldest = outbox.Outbox(self._client, self._tables.events).oldest(self._shards)
        if oldest is None:
            return 0.0
        return max(0.0, (self._clock.now() - datetime.fromisoformat(oldest)).total_seconds())


def _expected(transfer: Transfer, account_id: str) -> Deltas:
    """What the transfer, as it stands, must have done to the account: to a stranger, nothing."""
    amount = transfer.amount_cents
    if account_id == transfer.payer:
        return {"HELD": (-amount, amount), "SETTLED": (-amount, 0), "REJECTED": NOTHING}[transfer.status]
    credited = account_id == transfer.payee and transfer.status == "SETTLED"
    return (amount, 0) if credited else NOTHING


def _add(deltas: dict[str, Deltas], entry: Entry) -> None:
    assert entry.transfer_id is not None
    before = deltas.get(entry.transfer_id, NOTHING)
    deltas[entry.transfer_id] = _sum(before, (entry.delta_available, entry.delta_on_hold))


def _sum(one: Deltas, other: Deltas) -> Deltas:
    return one[0] + other[0], one[1] + other[1]


def _months(first: str, last: str) -> Iterator[str]:
    year, month = int(first[:4]), int(first[4:])
    while (current := f"{year:04d}{month:02d}") <= last:
        yield current
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)

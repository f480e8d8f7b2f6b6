"""The auditor: an independent reader that recomputes every balance from its entries.

It never compares a live sum, because a scan is not a snapshot. It reads a balance, folds that account's
entries month by month up to the balance's own `seq`, holds what each month begins with against the fold, and
then holds each transfer's entries against the transfer, read after them. What moved in between shows as later
entries; what does not fit even then, or a sum that is not zero, is a suspicion, and a suspicion is drift only
if a second full pass at fresh numbers shows it too. An item that cannot be read is named like any other.

An audit may begin with a month instead of with the first entry: it then believes what that month begins with,
and leaves transfers from before it to an audit of everything.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from apps.kit import dynamo
from apps.kit.dynamo import Client, ConditionFailed, Deadline, OutcomeUnknown, Unavailable
from apps.ledger import items, outbox
from apps.ledger.account import Balance, is_internal, month_of
from apps.ledger.entries import NOTHING_YET, Drift, Entry, Folded, MonthOpening, fold
from apps.ledger.items import Corrupted, text
from apps.ledger.reading import Reader
from apps.ledger.store import Clock, Tables
from apps.ledger.transfer import Transfer, iso

Deltas = tuple[int, int]
"""What a transfer did to one account: centavos of available, and of on_hold."""
NOTHING: Deltas = (0, 0)
RETURNABLE_LOOKS = 3
"""How often a transfer that is returned from right now is looked at before it is suspected."""
NO_ACCOUNT = "-"
"""Stands where an account's id would: what is wrong is no account's, and none can be frozen for it."""
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
    promised: set[str] = field(default_factory=set)
    """Transfers that its entries accept and do not end: another bank is to pay them."""
    whole: bool = True
    """Whether all its entries were read, and not only those since a month."""


@dataclass
class _Folding:
    """Folds an account's entries month by month. `so_far` is what it begins with, or nothing where the first
    month's own word is taken for it."""

    account_id: str
    openings: dict[str, MonthOpening]
    so_far: Folded | None
    found: list[Drift] = field(default_factory=list)
    broken: bool = False

    def add(self, month: str, entries: list[Entry]) -> None:
        """The entries of the next month that has any."""
        opening = self.openings.pop(month, None)
        if self.broken:
            return
        before = self.so_far or (opening.folded if opening else NOTHING_YET)
        if opening is None or opening.folded != before:
            self._suspect("wrong_opening", f"month {month} does not begin where the one before ended")
        try:
            self.so_far = fold(self.account_id, entries, before)
        except Drift as drift:
            # What comes after it fits no better, and would only be said over again.
            self.found.append(drift)
            self.broken = True

    def misfits(self, balance: Balance) -> list[Drift]:
        """All that does not fit, the balance included."""
        if not self.broken:
            self.found += _differences(balance, self.so_far or NOTHING_YET)
        for opening in self.openings.values():
            if opening.seq < balance.seq:
                self._suspect("wrong_opening", f"month {opening.month} begins and has no entries")
        return self.found

    def _suspect(self, what: str, detail: str) -> None:
        self.found.append(Drift(self.account_id, what, detail))


@dataclass
class _Pass:
    """One full pass over the ledger."""

    reader: Reader
    since: str | None
    accounts: dict[str, _Account] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    """Accounts that a corrupted item keeps from being recomputed: named for that, and for nothing else."""
    named: dict[str, set[str]] = field(default_factory=dict)
    """By transfer, the accounts whose entries name it and that are still to be held against it."""
    checked: dict[str, set[str]] = field(default_factory=dict)
    """By transfer, the accounts that were."""
    returns: dict[str, set[str]] = field(default_factory=dict)
    """By transfer, the returns that give back from it."""
    suspicions: list[Drift] = field(default_factory=list)
    entries: int = 0
    unseen_cents: int = 0
    """Money of transfers that one account shows already and the other, read earlier, does not yet."""

    @property
    def sum_cents(self) -> int:
        return sum(each.balance.total for each in self.accounts.values()) + self.unseen_cents

    def suspect(self, account_id: str, what: str, detail: str) -> None:
        self.suspicions.append(Drift(account_id, what, detail))

    def older(self, transfer: Transfer) -> bool:
        """Whether the transfer is from before the audit's first month."""
        return self.since is not None and month_of(transfer.created_at) < self.since


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

    def audit(self, beat: Callable[[], None] = lambda: None, since: str | None = None) -> Report:
        """Audits every account and every transfer that an entry names, from month `since` (yyyymm) on, or
        all. Raises `Unavailable`.

        Calls `beat` for each read: a large ledger takes longer than a worker may be silent.
        """
        first = found = self._pass(beat, since)
        if first.suspicions or first.sum_cents != 0:
            found = self._pass(beat, since)
        suspected = {(each.account_id, each.what) for each in first.suspicions}
        return Report(
            accounts=len(found.accounts),
            transfers=len(found.checked),
            entries=found.entries,
            # Of two passes the better one: what only one of them shows was moving.
            sum_cents=min(first.sum_cents, found.sum_cents, key=abs),
            drift=(
                *(each for each in found.suspicions if (each.account_id, each.what) in suspected),
                *self._unreadable_events(beat),
            ),
            outbox_age_seconds=self._outbox_age(),
        )

    def last_month(self) -> str:
        """The month before this one (yyyymm). No transfer that is still undecided is older."""
        first = self._clock.now().replace(day=1)
        return month_of(iso(first - timedelta(days=1)))

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

    def _pass(self, beat: Callable[[], None], since: str | None) -> _Pass:
        found = _Pass(Reader(self._client, self._tables, self._clock, beat), since)
        for account_id in found.reader.account_ids():
            self._read_account(found, account_id)
        # An account that was opened after the scan comes in with its first transfer, and names others.
        while found.named:
            transfer_id, names = found.named.popitem()
            if names <= found.checked.setdefault(transfer_id, set()):
                continue
            try:
                self._check_transfer(found, transfer_id, names)
            except Corrupted as corrupted:
                found.suspicions += [_unreadable(name, corrupted) for name in sorted(names)]
                found.checked[transfer_id] |= names
        for transfer_id, returns in found.returns.items():
            self._check_returnable(found, transfer_id, returns)
        for account_id, account in found.accounts.items():
            if account_id not in found.unreadable:
                self._check_promised(found, account)
        return found

    def _read_account(self, found: _Pass, account_id: str) -> None:
        """Reads and folds one account, if it exists."""
        try:
            balance = found.reader.balance(account_id)
            if balance is not None:
                found.accounts[account_id] = _Account(balance)
                found.suspicions += self._misfits(found, found.accounts[account_id])
        except Corrupted as corrupted:
            found.unreadable.add(account_id)
            found.suspicions.append(_unreadable(account_id, corrupted))

    def _misfits(self, found: _Pass, account: _Account) -> Iterator[Drift]:
        """Folds an account's entries, and gives what does not fit."""
        balance = account.balance
        account_id = balance.account_id
        begin = opened = month_of(balance.opened_at)
        if found.since is not None:
            begin = max(opened, min(found.since, balance.month))
        account.whole = begin == opened
        openings = found.reader.openings(account_id, begin)
        folding = _Folding(account_id, openings, NOTHING_YET if begin == opened else None)
        newest = 0
        for month, written in found.reader.months(balance, begin, 0):
            newest = max(newest, written[-1].seq)
            if entries := [entry for entry in written if entry.seq <= balance.seq]:
                self._name(found, account, entries)
                folding.add(month, entries)
        yield from folding.misfits(balance)
        if not balance.internal and balance.available < 0:
            yield Drift(account_id, "negative", f"available is {balance.available}")
        if newest > balance.seq:
            # An entry comes with its balance: read after it, that is at least as new.
            now = found.reader.balance(account_id)
            if now is None or now.seq < newest:
                yield Drift(account_id, "entry_above_seq", f"entry {newest} is above every write there was")

    @staticmethod
    def _name(found: _Pass, account: _Account, entries: list[Entry]) -> None:
        found.entries += len(entries)
        for entry in entries:
            if entry.transfer_id is not None:
                _add(account.deltas, entry)
                _promise(account.promised, entry)
                found.named.setdefault(entry.transfer_id, set()).add(account.balance.account_id)

    def _check_transfer(self, found: _Pass, transfer_id: str, names: set[str]) -> None:
        """Holds a transfer against its parties and against every other account that names it."""
        transfer = found.reader.transfer(transfer_id)
        if transfer is None:
            found.suspicions += [
                Drift(name, "orphan_entry", f"entries name transfer {transfer_id}, which does not exist")
                for name in sorted(names)
            ]
            found.checked[transfer_id] |= names
            return
        if found.older(transfer):
            found.checked[transfer_id] |= names
            return
        accounts = names | {transfer.payer, transfer.payee}
        if new := accounts - set(found.accounts) - found.unreadable:
            # A transfer is held against accounts that were read before it, never after.
            for account_id in sorted(new):
                self._read_account(found, account_id)
            transfer = found.reader.transfer(transfer_id) or transfer
        if transfer.original_transfer_id is not None:
            found.returns.setdefault(transfer.original_transfer_id, set()).add(transfer_id)
        elif transfer.returnable_cents != _whole_amount(transfer):
            found.returns.setdefault(transfer_id, set())
        for account_id in sorted(accounts - found.checked[transfer_id] - found.unreadable):
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
            for entry in found.reader.since(account.balance):
                if entry.transfer_id == name:
                    _add(since, entry)
            later = since.get(name, NOTHING)
            now = found.reader.transfer(name)
            if now is not None and _sum(seen, later) == _expected(now, account_id):
                found.unseen_cents += sum(later)
                return
        found.suspect(
            account_id,
            "transfer_mismatch",
            f"transfer {name} is {transfer.status}, the entries add up to {seen}",
        )

    @staticmethod
    def _check_promised(found: _Pass, account: _Account) -> None:
        """Holds what an account waits for from other banks against the transfers that its entries promise.

        An amount never changes, so that it does not matter how a transfer stands by now.
        """
        balance = account.balance
        try:
            transfers = [found.reader.transfer(each) for each in sorted(account.promised)]
        except Corrupted:
            return  # named where the transfer is held against its parties
        cents = sum(each.amount_cents for each in transfers if each is not None)
        # An audit since a month does not see what was promised before and is still to come.
        if balance.pending_credits == cents or (not account.whole and balance.pending_credits > cents):
            return
        found.suspect(
            balance.account_id,
            "wrong_pending_credits",
            f"the balance waits for {balance.pending_credits}, its entries for {cents}",
        )

    def _check_returnable(self, found: _Pass, transfer_id: str, returns: set[str]) -> None:
        """Holds what can still be returned of a transfer against the returns that there are."""
        try:
            original = found.reader.transfer(transfer_id)
            if original is None or found.older(original):
                return
            for _ in range(RETURNABLE_LOOKS):
                before = original
                taken = sum(self._taken(found, each) for each in returns)
                original = found.reader.transfer(transfer_id) or original
                if original.returnable_cents == _whole_amount(original) - taken:
                    return
                # Returns that came after the account was read count too; then nothing may have moved.
                returns |= self._returns_since(found, original)
                if before == original and taken == sum(self._taken(found, each) for each in returns):
                    break
            found.suspect(
                # Of a Pix to or from another bank, the customer: an item of `settlement` is everybody's.
                original.payer if is_internal(original.payee) else original.payee,
                "wrong_returnable",
                f"transfer {transfer_id} says that {original.returnable_cents} can be returned",
            )
        except Corrupted as corrupted:
            found.suspicions.append(_unreadable(original.payee if original else transfer_id, corrupted))

    @staticmethod
    def _taken(found: _Pass, return_id: str) -> int:
        giving = found.reader.transfer(return_id)
        return 0 if giving is None or giving.status == "REJECTED" else giving.amount_cents

    @staticmethod
    def _returns_since(found: _Pass, original: Transfer) -> set[str]:
        named: set[str | None] = set()
        # A return begins with a hold of who was paid, or, at another bank, with a promise to who had paid.
        for account_id, kind in ((original.payee, "hold"), (original.payer, "accept")):
            account = found.accounts.get(account_id)
            if account is not None:
                since = found.reader.since(account.balance)
                named |= {each.transfer_id for each in since if each.kind == kind}
        transfers = [found.reader.transfer(each) for each in sorted(filter(None, named))]
        return {
            each.transfer_id
            for each in transfers
            if each is not None and each.original_transfer_id == original.transfer_id
        }

    def _unreadable_events(self, beat: Callable[[], None]) -> Iterator[Drift]:
        """Events that will never reach Kafka. One pass is enough: no row is ever changed."""
        waiting = outbox.Outbox(self._client, self._tables.events)
        for shard in range(self._shards):
            beat()
            for corrupted in waiting.unreadable(shard):
                yield Drift(NO_ACCOUNT, "unreadable_event", str(corrupted))

    def _outbox_age(self) -> float:
        oldest = outbox.Outbox(self._client, self._tables.events).oldest(self._shards)
        if oldest is None:
            return 0.0
        return max(0.0, (self._clock.now() - datetime.fromisoformat(oldest)).total_seconds())


def _expected(transfer: Transfer, account_id: str) -> Deltas:
    """What the transfer, as it stands, must have done to the account: to a stranger, nothing."""
    amount = transfer.amount_cents
    if account_id == transfer.payer:
        return {
            "HELD": (-amount, amount),
            "SENT": (-amount, amount),
            "ACCEPTED": NOTHING,
            "SETTLED": (-amount, 0),
            "REJECTED": NOTHING,
        }[transfer.status]
    credited = account_id == transfer.payee and transfer.status == "SETTLED"
    return (amount, 0) if credited else NOTHING


def _add(deltas: dict[str, Deltas], entry: Entry) -> None:
    assert entry.transfer_id is not None
    before = deltas.get(entry.transfer_id, NOTHING)
    deltas[entry.transfer_id] = _sum(before, (entry.delta_available, entry.delta_on_hold))


def _promise(promised: set[str], entry: Entry) -> None:
    """What an entry does to the credits that an account waits for."""
    assert entry.transfer_id is not None
    if entry.kind == "accept":
        promised.add(entry.transfer_id)
    elif entry.kind in {"credit", "reject"}:
        promised.discard(entry.transfer_id)


def _sum(one: Deltas, other: Deltas) -> Deltas:
    return one[0] + other[0], one[1] + other[1]


def _whole_amount(transfer: Transfer) -> int:
    """What could be returned of a transfer if nothing had been."""
    return transfer.amount_cents if (transfer.kind, transfer.status) == ("transfer", "SETTLED") else 0


def _differences(balance: Balance, folded: Folded) -> Iterable[Drift]:
    for what, says, should in (
        ("seq", balance.seq, folded.seq),
        ("available", balance.available, folded.available),
        ("on_hold", balance.on_hold, folded.on_hold),
        ("last_hash", balance.last_hash, folded.last_hash),
        ("status", balance.status, folded.status),
    ):
        if says != should:
            detail = f"the balance says {says}, its entries {should}"
            yield Drift(balance.account_id, f"wrong_{what}", detail)


def _unreadable(account_id: str, corrupted: Corrupted) -> Drift:
    """A corrupted item, named by what it should be and where it is."""
    partition, _, sort = corrupted.place.partition(" ")
    what = {"ENT": "entry", "TX": "transfer"}.get(partition.partition("#")[0], "balance")
    if sort.startswith(items.MONTH_SORT):
        what = "opening"
    return Drift(account_id, f"unreadable_{what}", str(corrupted))

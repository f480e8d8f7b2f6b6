"""Entries: the numbered, hash-chained record of every write to a balance.

Every write to a balance item makes exactly one entry with the balance's new `seq`, in the same
transaction. A balance is therefore the fold of its entries, and `fold` refuses (`Drift`) any set of
entries that has a gap, a broken chain or sums that do not add up.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

EntryKind = Literal[
    "open", "hold", "release", "debit", "credit", "accept", "reject", "block", "unblock", "close", "limit"
]
"""`accept` and `reject` move no money: what another bank was promised is on its way, or will not come."""

AccountStatus = Literal["ACTIVE", "BLOCKED", "CLOSED"]
_STATUS: dict[EntryKind, AccountStatus] = {
    "open": "ACTIVE",
    "block": "BLOCKED",
    "unblock": "ACTIVE",
    "close": "CLOSED",
}

STATEMENT_KINDS: frozenset[EntryKind] = frozenset({"debit", "credit"})
"""What a customer's statement shows: money that left and money that came."""

GENESIS = "0" * 64
"""The `prev_hash` of an account's first entry."""


@dataclass(frozen=True)
class Entry:
    """One write to one balance. Amounts in centavos, `at` ISO 8601 UTC, hashes SHA-256 in hex."""

    account_id: str
    seq: int
    kind: EntryKind
    transfer_id: str | None
    delta_available: int
    delta_on_hold: int
    available_after: int
    on_hold_after: int
    at: str
    month: str
    prev_hash: str
    hash: str = ""

    def sealed(self) -> "Entry":
        """The same entry with the hash that its content and its predecessor give it."""
        return replace(self, hash=digest(self))


def digest(entry: Entry) -> str:
    """SHA-256 over the entry's content, the hash of its predecessor included."""
    content = {name: value for name, value in vars(entry).items() if name != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(eq=False)
class Drift(Exception):  # noqa: N818
    """What the record says and what it should say differ. `what` is a stable code, `detail` is for people."""

    account_id: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.account_id}: {self.what}: {self.detail}"


@dataclass(frozen=True)
class Folded:
    """What a run of entries adds up to."""

    seq: int
    available: int
    on_hold: int
    last_hash: str
    status: AccountStatus = "ACTIVE"


NOTHING_YET = Folded(0, 0, 0, GENESIS)
"""An account before its first entry."""


@dataclass(frozen=True)
class MonthOpening:
    """What an account's entries of all earlier months add up to, written with the first entry of `month`
    (yyyymm): a fold may begin here, and the auditor checks that it says the truth."""

    account_id: str
    month: str
    seq: int
    available: int
    on_hold: int
    last_hash: str
    status: AccountStatus

    @property
    def folded(self) -> Folded:
        """Where a fold of the month begins."""
        return Folded(self.seq, self.available, self.on_hold, self.last_hash, self.status)


def status_after(status: AccountStatus, kind: EntryKind) -> AccountStatus:
    """An account's status once an entry of this kind is written: money changes none."""
    return _STATUS.get(kind, status)


def fold(account_id: str, entries: Iterable[Entry], start: Folded = NOTHING_YET) -> Folded:
    """Adds up an account's entries that come after `start`. Raises `Drift` at the first that does not fit."""
    so_far = start
    for entry in entries:
        so_far = _next(account_id, so_far, entry)
    return so_far


def _next(account_id: str, before: Folded, entry: Entry) -> Folded:
    if entry.account_id != account_id:
        raise Drift(account_id, "foreign_entry", f"entry {entry.seq} belongs to {entry.account_id}")
    if entry.seq != before.seq + 1:
        raise Drift(account_id, "gap", f"entry {entry.seq} follows entry {before.seq}")
    if entry.prev_hash != before.last_hash:
        raise Drift(account_id, "broken_chain", f"entry {entry.seq} does not follow the hash before it")
    if entry.hash != digest(entry):
        raise Drift(account_id, "wrong_hash", f"entry {entry.seq} is not what was sealed")
    available = before.available + entry.delta_available
    on_hold = before.on_hold + entry.delta_on_hold
    if (available, on_hold) != (entry.available_after, entry.on_hold_after):
        raise Drift(
            account_id,
            "wrong_sum",
            f"entry {entry.seq} says {entry.available_after} and {entry.on_hold_after} on hold, "
            f"its predecessors add up to {available} and {on_hold}",
        )
    status = status_after(before.status, entry.kind)
    return Folded(entry.seq, available, on_hold, entry.hash, status)

"""An account's chain of entries after a restore, made whole again. Rules only, no I/O.

Three kinds of loss have three kinds of proof. An entry that is missing below another one, or below the
balance, is put back only if it gives exactly the hash that the next one, or the balance, names. A balance
behind its entries follows from them. What both lack, but a transfer of the other tables must have done, is
written after all of that, as the transfer's own service would have written it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, permutations

from apps.ledger.account import Balance, month_of, unopened
from apps.ledger.entries import NOTHING_YET, Drift, Entry, Folded, MonthOpening, fold, status_after
from apps.ledger.evidence import Finding, Needed
from apps.ledger.transfer import Transfer

ORDERS_TRIED = 5_040
"""Orders of missing entries that are held against a hash: those of one moment may stand in any."""

Step = tuple[str | None, int]
"""A transfer and its step (`Needed.step`): all of a step's postings were one transaction."""


@dataclass(frozen=True)
class Read:
    """An account as it was read: its months' openings by month."""

    account_id: str
    balance: Balance | None
    entries: Sequence[Entry]
    openings: Mapping[str, MonthOpening]

    def lacks(self, needed: Sequence[Needed]) -> list[Needed]:
        """Those postings of which the account has no entry, in the order in which they were made."""
        stand = {(each.transfer_id, each.kind) for each in self.entries}
        missing = [each for each in needed if (each.transfer_id, each.kind) not in stand]
        return sorted(missing, key=lambda each: (each.at, each.step))


@dataclass
class Whole:
    """An account made whole. `before` is nothing where the balance is to be made; `later` are entries above
    it, each with the balance after it; `below` are entries that are put back under it; `written` are the
    numbers of those that stand."""

    account_id: str
    before: Balance | None
    balance: Balance
    below: list[Entry] = field(default_factory=list)
    later: list[tuple[Entry, Balance]] = field(default_factory=list)
    written: frozenset[int] = frozenset()
    openings: list[MonthOpening] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    impossible: set[Step] = field(default_factory=set)
    """Steps of which the account lacks a posting that cannot be made."""

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.below or self.later or self.openings)


class Broken(Exception):  # noqa: N818
    """The chain cannot be made whole: `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


@dataclass
class _Chain:
    """A chain while it is put together."""

    account_id: str
    so_far: Folded = NOTHING_YET
    month: str = ""
    openings: list[MonthOpening] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Raises `Drift` where it does not follow."""
        before = self.so_far
        self.so_far = fold(self.account_id, [entry], before)
        if entry.month != self.month:
            self.openings.append(MonthOpening(account_id=self.account_id, month=entry.month, **vars(before)))
        self.month = entry.month

    def next(self, needed: Needed) -> Entry:
        """The entry of a posting, if it is the next one."""
        return _sealed(self.account_id, self.so_far, self.month, needed)

    def bridge(self, last: int, to: str, missing: list[Needed]) -> list[Entry]:
        """The entries up to number `last` that lead from here to a hash; they are no longer missing then."""
        count = last - self.so_far.seq
        for order in islice(permutations(missing, count), ORDERS_TRIED):
            at, month, found = self.so_far, self.month, list[Entry]()
            for each in order:
                entry = _sealed(self.account_id, at, month, each)
                at = Folded(entry.seq, entry.available_after, entry.on_hold_after, entry.hash, at.status)
                month = entry.month
                found.append(entry)
            if at.last_hash == to:
                for each in order:
                    missing.remove(each)
                return found
        first = self.so_far.seq + 1
        detail = f"entries {first} to {first + count - 1} are missing, and no transfer gives their hash"
        raise Broken(Finding("entries_lost", detail, account_id=self.account_id))


def made_whole(
    read: Read,
    needed: Sequence[Needed],
    transfers: Mapping[str, Transfer],
    impossible: frozenset[Step],
) -> Whole:
    """The account as it should be, by its own entries and what transfers must have done to it. `impossible`
    are steps that another account cannot make, so that this one does not either. Raises `Broken`."""
    written = sorted(read.entries, key=lambda each: each.seq)
    missing = read.lacks(needed)
    start = read.balance or _made(read.account_id, written, missing)
    numbers = frozenset(each.seq for each in written)
    whole = Whole(read.account_id, read.balance, start, written=numbers)
    chain = _Chain(read.account_id)
    try:
        for entry in written:
            if entry.seq > chain.so_far.seq + 1:
                for lost in chain.bridge(entry.seq - 1, entry.prev_hash, missing):
                    _add(whole, chain, lost, transfers)
            _add(whole, chain, entry, transfers)
        if start.seq > chain.so_far.seq:
            for lost in chain.bridge(start.seq, start.last_hash, missing):
                _add(whole, chain, lost, transfers)
    except Drift as drift:
        raise Broken(Finding(drift.what, drift.detail, account_id=read.account_id)) from drift
    possible = [
        each for each in missing if each.transfer_id and (each.transfer_id, each.step) not in impossible
    ]
    _append(whole, chain, possible, transfers)
    whole.openings = [each for each in chain.openings if each.month not in read.openings]
    return whole


def _made(account_id: str, entries: Sequence[Entry], missing: Sequence[Needed]) -> Balance:
    """The balance of an internal account before its first entry. A customer's knows more than entries do."""
    opened = [each.at for each in entries[:1]] or [each.at for each in missing[:1]]
    made = unopened(account_id, "", opened[0])
    if not made.internal:
        raise Broken(Finding("account_lost", "its balance item is gone", account_id=account_id))
    return made


def _add(whole: Whole, chain: _Chain, entry: Entry, transfers: Mapping[str, Transfer]) -> None:
    """An entry of the chain, which stands or is put back; above the balance, the balance follows it."""
    if entry.seq == whole.balance.seq + 1:
        _check(whole.balance, chain.so_far)
    chain.add(entry)
    if entry.seq > whole.balance.seq:
        if entry.kind == "limit":
            detail = f"entry {entry.seq} changed what may be sent, and does not say to what"
            whole.left.append(Finding("limits_lost", detail, account_id=whole.account_id))
        _follow(whole, entry, transfers)
    elif entry.seq not in whole.written:
        whole.below.append(entry)


def _check(balance: Balance, folded: Folded) -> None:
    """Raises `Broken` where a balance is not what its own entries add up to: that is no loss."""
    said = (balance.seq, balance.available, balance.on_hold, balance.last_hash)
    if said != (folded.seq, folded.available, folded.on_hold, folded.last_hash):
        detail = "the balance is not the sum of its entries, and nothing of it is missing"
        raise Broken(Finding("balance_differs", detail, account_id=balance.account_id))


def _append(whole: Whole, chain: _Chain, missing: list[Needed], transfers: Mapping[str, Transfer]) -> None:
    """Writes what is missing at the end, in an order in which no rule is broken on the way."""
    if missing:
        _check(whole.balance, chain.so_far)
    while missing:
        allowed = next((each for each in missing if _allowed(whole.balance, each, transfers)), None)
        if allowed is None:
            whole.impossible.add((missing[0].transfer_id, missing[0].step))
            return
        missing.remove(allowed)
        entry = chain.next(allowed)
        chain.add(entry)
        _follow(whole, entry, transfers)


def _allowed(balance: Balance, needed: Needed, transfers: Mapping[str, Transfer]) -> bool:
    pending = balance.pending_credits + _pending(needed.kind, transfers.get(needed.transfer_id or ""))
    if pending < 0 or balance.on_hold + needed.on_hold < 0:
        return False
    return balance.internal or balance.available + needed.available >= 0


def _follow(whole: Whole, entry: Entry, transfers: Mapping[str, Transfer]) -> None:
    balance = whole.balance
    transfer = transfers.get(entry.transfer_id or "")
    if transfer is None and entry.kind in {"accept", "credit", "reject"}:
        detail = f"entry {entry.seq} is of a transfer that is lost, with its amount"
        raise Broken(Finding("amount_lost", detail, entry.transfer_id, whole.account_id))
    whole.balance = replace(
        balance,
        seq=entry.seq,
        available=entry.available_after,
        on_hold=entry.on_hold_after,
        month=entry.month,
        last_hash=entry.hash,
        status=status_after(balance.status, entry.kind),
        pending_credits=balance.pending_credits + _pending(entry.kind, transfer),
    )
    period = transfer.limit_period if transfer is not None else None
    if transfer is not None and period is not None:
        if entry.kind == "hold":
            whole.balance = replace(whole.balance, used=balance.used.plus(period, transfer.amount_cents))
        elif entry.kind == "release" and balance.used.holds(period, transfer.amount_cents):
            whole.balance = replace(whole.balance, used=balance.used.minus(period, transfer.amount_cents))
    whole.later.append((entry, whole.balance))


def _pending(kind: str, transfer: Transfer | None) -> int:
    """What an entry does to the credits that its account waits for."""
    if transfer is None or not transfer.incoming:
        return 0
    if kind == "accept":
        return transfer.amount_cents
    return -transfer.amount_cents if kind in {"credit", "reject"} else 0


def _sealed(account_id: str, before: Folded, month: str, needed: Needed) -> Entry:
    return Entry(
        account_id=account_id,
        seq=before.seq + 1,
        kind=needed.kind,
        transfer_id=needed.transfer_id,
        delta_available=needed.available,
        delta_on_hold=needed.on_hold,
        available_after=before.available + needed.available,
        on_hold_after=before.on_hold + needed.on_hold,
        at=needed.at,
        month=max(month, month_of(needed.at)),
        prev_hash=before.last_hash,
    ).sealed()

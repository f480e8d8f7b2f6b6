"""Many transfers in one transaction: rules only, no I/O.

All that a batch writes to one balance is one write of its item, with consecutive entries in the batch's
order; each change is decided by the balances that the changes before it leave. Which actions failed says
which transfers start again, and which balances are to be read again: nobody else is touched by that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Literal, Protocol, TypeVar

from apps.ledger.account import Balance, Posting, Refusal
from apps.ledger.transfer import Change, Transfer

MAX_ACTIONS = 100
"""Of one TransactWriteItems (API_TransactWriteItems)."""

Action = dict[str, Any]


class Again(Enum):
    """What was read does not fit together: it has moved meanwhile, and is to be read again."""

    AGAIN = "again"


AGAIN: Literal[Again.AGAIN] = Again.AGAIN
Decided = Change | Transfer | None | Literal[Again.AGAIN]
"""What is to be written, or how the transfer stands already (`None`: there is none)."""


class Candidate(Protocol):
    """A transfer that wants to be in the batch. `decide` may raise, and then only this one fails."""

    def accounts(self) -> Iterable[str]: ...

    def decide(self, balances: Mapping[str, Balance]) -> Decided: ...

    def own(self, change: Change) -> Sequence[Action]: ...


C = TypeVar("C", bound=Candidate)


@dataclass(frozen=True)
class Writing:
    """How postings become actions: the compare-and-set of a balance from what was read to what is to be
    there, and what goes with each posting on the way. `told` reads the item that stood in the way of the
    first."""

    balance: Callable[[Balance, Balance], Action]
    entry: Callable[[Posting], Sequence[Action]]
    told: Callable[[Mapping[str, Any]], Balance]


@dataclass(frozen=True)
class Batch(Generic[C]):
    """One transaction. `owners` says of each action whose own item it writes, or on which account it is.

    `refused` were refused for what the batch itself does to their accounts: that is true once it stands.
    """

    changes: tuple[tuple[C, Change], ...]
    refused: tuple[tuple[C, Refusal], ...]
    actions: tuple[Action, ...]
    owners: tuple[C | str, ...]
    after: Mapping[str, Balance]


@dataclass(frozen=True)
class Folded(Generic[C]):
    """A batch, those whose answer needs no write (`None`: no such transfer), and those to be read again.

    Candidates that are in none of the three found no room and come next.
    """

    batch: Batch[C]
    answers: tuple[tuple[C, Transfer | Exception | None], ...]
    again: tuple[C, ...]


@dataclass(frozen=True)
class Verdict(Generic[C]):
    """What a cancellation says: whose own items failed, whose balances have moved, and whether somebody else
    was just writing one of the items."""

    out: tuple[C, ...]
    stale: frozenset[str]
    contended: bool


class _Chain:
    """What a batch writes to one balance so far."""

    def __init__(self, posting: Posting) -> None:
        self.before = posting.before
        self.after = posting.before
        self.entries: list[Action] = []

    def add(self, posting: Posting, entry: Sequence[Action]) -> None:
        assert posting.before == self.after, f"{posting.before.account_id}: not decided by what stands there"
        self.after = posting.after
        self.entries += entry


def fold(candidates: Sequence[C], balances: Mapping[str, Balance], writing: Writing) -> Folded[C]:
    """Decides as many of the candidates, one after the other, as one transaction can write."""
    view = dict(balances)
    chains: dict[str, _Chain] = {}
    changes: list[tuple[C, Change]] = []
    refused: list[tuple[C, Refusal]] = []
    answers: list[tuple[C, Transfer | Exception | None]] = []
    again: list[C] = []
    own: list[tuple[C, Action]] = []
    places: set[tuple[str, ...]] = set()
    count = 0
    for candidate in candidates:
        try:
            decided = candidate.decide(view)
        except Refusal as refusal:
            if chains.keys().isdisjoint(candidate.accounts()):
                answers.append((candidate, refusal))
            else:
                refused.append((candidate, refusal))
            continue
        except Exception as error:  # noqa: BLE001 (whatever it is, it concerns this one alone)
            answers.append((candidate, error))
            continue
        if decided is AGAIN:
            again.append(candidate)
            continue
        if not isinstance(decided, Change):
            answers.append((candidate, decided))
            continue
        actions = candidate.own(decided)
        taken = {place_of(action) for action in actions}
        if not places.isdisjoint(taken):
            # The same transfer twice, or two that share an item which is no balance: one after the other.
            continue
        entries = [(posting, writing.entry(posting)) for posting in decided.postings]
        new = {posting.before.account_id for posting in decided.postings} - chains.keys()
        size = len(actions) + len(new) + sum(len(each) for _, each in entries)
        assert size <= MAX_ACTIONS, "a transfer that fits into no transaction"
        if count + size > MAX_ACTIONS:
            break
        count += size
        places |= taken
        for posting, entry in entries:
            account_id = posting.before.account_id
            chains.setdefault(account_id, _Chain(posting)).add(posting, entry)
            view[account_id] = posting.after
        own += [(candidate, action) for action in actions]
        changes.append((candidate, decided))
    shared = [
        (account_id, action)
        for account_id, chain in chains.items()
        for action in (writing.balance(chain.before, chain.after), *chain.entries)
    ]
    batch = Batch(
        changes=tuple(changes),
        refused=tuple(refused),
        actions=(*(action for _, action in own), *(action for _, action in shared)),
        owners=(*(candidate for candidate, _ in own), *(account_id for account_id, _ in shared)),
        after={account_id: chain.after for account_id, chain in chains.items()},
    )
    return Folded(batch, tuple(answers), tuple(again))


def verdict(batch: Batch[C], reasons: Sequence[str | None]) -> Verdict[C]:
    """Reads the reasons of a cancellation, one for each action: a condition that failed (`True`-like code
    `ConditionalCheckFailed`), nothing (`None`), or contention. Without reasons, all start again."""
    out: dict[int, C] = {}
    stale: set[str] = set()
    contended = not reasons
    if not reasons:
        return Verdict(tuple(candidate for candidate, _ in batch.changes), frozenset(batch.after), contended)
    for owner, reason in zip(batch.owners, reasons, strict=False):
        if reason == "ConditionalCheckFailed":
            if isinstance(owner, str):
                stale.add(owner)
            else:
                out[id(owner)] = owner
        elif reason not in {None, "None"}:
            contended = True
    return Verdict(tuple(out.values()), frozenset(stale), contended)


def place_of(action: Action) -> tuple[str, ...]:
    """Which item an action writes: table, partition, sort key."""
    ((_, request),) = action.items()
    key = request["Item"] if "Item" in request else request["Key"]
    return request["TableName"], key["pk"]["S"], key["sk"]["S"]

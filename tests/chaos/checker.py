"""Whether the bank kept its promises: what its clients were told, held against what its tables say.

`violations` is everything that is wrong; an empty list is the proof. It knows the rules of design section 3
and the documented items, and shares no code with the product's own auditor but the list of an entry's fields.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from apps.ledger.entries import Entry
from tests.chaos.books import Account, Books, Payment

GENESIS = "0" * 64
UNDECIDED = frozenset({"HELD", "SENT", "ACCEPTED"})


@dataclass(frozen=True)
class Violation:
    """One broken promise. `what` is a stable name, `where` an account, a transfer or a key."""

    what: str
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.where} {self.detail}".strip()


@dataclass(frozen=True)
class Asked:
    """What a key was first used for. The key is the transfer's description too, so that a transfer that
    nobody was told of is found. Whoever is paid at another bank has a `pix_key` and no account here."""

    key: str
    payer: str
    payee: str
    amount_cents: int
    pix_key: str | None = None

    def is_done_by(self, payment: Payment) -> bool:
        """Whether a transfer is what was asked for."""
        if (payment.payer, payment.amount_cents) != (self.payer, self.amount_cents):
            return False
        if self.pix_key is None:
            return payment.payee == self.payee
        return payment.outgoing and json.loads(payment.payment or "{}").get("key") == self.pix_key


@dataclass(frozen=True)
class Answered:
    """What one request with a key was told, and when (monotonic seconds).

    `acked`: 201. `refused`: a problem that is final. `unknown`: anything else, no answer included.
    """

    outcome: Literal["acked", "refused", "unknown"]
    started: float
    ended: float
    transfer_id: str | None = None
    text: str = ""
    code: str = ""
    other_body: bool = False


@dataclass
class History:
    """All that the clients asked and were told, by key; and the snapshots that were read meanwhile."""

    asked: dict[str, Asked] = field(default_factory=dict)
    answered: dict[str, list[Answered]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, str] = field(default_factory=dict)
    """By transfer, the status that GET told at the end."""
    snapshots: list[dict[str, tuple[int, int]]] = field(default_factory=list)

    def state(self, key: str) -> Literal["acked", "refused", "unknown"]:
        """What the client of a key knows: an acknowledgement is for good, else the latest answer counts."""
        answers = [each for each in self.answered.get(key, []) if not each.other_body]
        if any(each.outcome == "acked" for each in answers):
            return "acked"
        return max(answers, key=lambda each: each.ended).outcome if answers else "unknown"

    def unknown(self) -> list[Asked]:
        """What is still to be decided by repeating its key."""
        return [asked for key, asked in self.asked.items() if self.state(key) == "unknown"]


def violations(books: Books, history: History | None = None) -> list[Violation]:
    """Everything that is wrong after the drain."""
    found = [
        *_balances(books),
        *_transfers(books),
        *_events(books),
    ]
    if history is not None:
        found += [*_promises(books, history), *_replays(history), *_snapshots(history)]
    return found


# --- balances and entries ------------------------------------------------------------------------


def _balances(books: Books) -> Iterator[Violation]:
    total = sum(each.available + each.on_hold for each in books.accounts.values())
    if total != 0:
        yield Violation("sum_is_not_zero", "all accounts", str(total))
    for account_id in books.entries.keys() - books.accounts.keys():
        yield Violation("entries_without_a_balance", account_id)
    held, promised = Counter[str](), Counter[str]()
    for payment in books.payments.values():
        held[payment.payer] += payment.amount_cents if payment.status in {"HELD", "SENT"} else 0
        promised[payment.payee] += payment.amount_cents if payment.status == "ACCEPTED" else 0
    for account in books.accounts.values():
        if account.frozen:
            yield Violation("frozen", account.account_id)
        if account.on_hold < 0 or (account.available < 0 and not account.internal):
            yield Violation("negative", account.account_id, f"{account.available}, {account.on_hold} held")
        if account.on_hold != held[account.account_id]:
            detail = f"{account.on_hold} on hold, {held[account.account_id]} in held transfers"
            yield Violation("on_hold_is_not_the_held_transfers", account.account_id, detail)
        if account.pending_credits != promised[account.account_id]:
            detail = f"{account.pending_credits} pending, {promised[account.account_id]} accepted"
            yield Violation("pending_credits_are_not_the_promises", account.account_id, detail)
        yield from _chain(account, books.entries.get(account.account_id, []))


def _chain(account: Account, entries: Sequence[Entry]) -> Iterator[Violation]:
    where = account.account_id
    seq, available, on_hold, last = 0, 0, 0, GENESIS
    for entry in entries:
        if entry.account_id != where:
            yield Violation("foreign_entry", where, f"entry {entry.seq} is of {entry.account_id}")
        if entry.seq != seq + 1:
            yield Violation("gap", where, f"entry {entry.seq} follows {seq}")
        if entry.prev_hash != last:
            yield Violation("broken_chain", where, f"entry {entry.seq}")
        if entry.hash != sealed(entry):
            yield Violation("wrong_hash", where, f"entry {entry.seq}")
        seq, last = entry.seq, entry.hash
        available, on_hold = available + entry.delta_available, on_hold + entry.delta_on_hold
        if (entry.available_after, entry.on_hold_after) != (available, on_hold):
            yield Violation("wrong_running_balance", where, f"entry {entry.seq}")
        if on_hold < 0 or (available < 0 and not account.internal):
            yield Violation("was_negative", where, f"after entry {entry.seq}")
    if (account.seq, account.available, account.on_hold, account.last_hash) != (
        seq,
        available,
        on_hold,
        last,
    ):
        detail = f"balance {account.available}, {account.on_hold} held, number {account.seq}; "
        yield Violation("balance_is_not_its_entries", where, detail + f"{available}, {on_hold}, {seq}")


def sealed(entry: Entry) -> str:
    """The hash that an entry must have: SHA-256 over its other fields as sorted, dense JSON."""
    content = {name: value for name, value in asdict(entry).items() if name != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# --- transfers -----------------------------------------------------------------------------------


def _transfers(books: Books) -> Iterator[Violation]:
    moved: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for account_id, entries in books.entries.items():
        for entry in entries:
            if entry.transfer_id is not None:
                available, on_hold = moved[entry.transfer_id].get(account_id, (0, 0))
                moved[entry.transfer_id][account_id] = (
                    available + entry.delta_available,
                    on_hold + entry.delta_on_hold,
                )
    for transfer_id in moved.keys() - books.payments.keys():
        yield Violation("entries_without_a_transfer", transfer_id)
    for payment in books.payments.values():
        did = {account: deltas for account, deltas in moved[payment.transfer_id].items() if any(deltas)}
        if did != _should(payment):
            detail = f"{payment.status} of {payment.amount_cents} moved {did}"
            yield Violation("entries_are_not_the_transfer", payment.transfer_id, detail)
        if payment.status in UNDECIDED:
            yield Violation("undecided", payment.transfer_id)


def _should(payment: Payment) -> dict[str, tuple[int, int]]:
    """What a transfer must have done, by account."""
    amount = payment.amount_cents
    if payment.status in {"HELD", "SENT"}:
        return {payment.payer: (-amount, amount)}
    if payment.status == "SETTLED":
        return {payment.payer: (-amount, 0), payment.payee: (amount, 0)}
    return {}


def _events(books: Books) -> Iterator[Violation]:
    if books.waiting:
        yield Violation("outbox_not_empty", "outbox", f"{books.waiting} rows")
    sent: dict[str, Counter[str]] = defaultdict(Counter)
    last: dict[tuple[str, str], str] = {}
    for row in books.history:
        sent[row.transfer_id][row.status] += 1
        last[row.transfer_id, row.status] = row.event_id
    for transfer_id in sent.keys() - books.payments.keys():
        yield Violation("event_without_a_transfer", transfer_id)
    for payment in books.payments.values():
        expected = _told(payment)
        found = sent[payment.transfer_id]
        for status in sorted(expected - found.keys()):
            yield Violation("event_missing", payment.transfer_id, status)
        for status in sorted(found.keys() - expected):
            yield Violation("event_that_never_was", payment.transfer_id, status)
        for status, times in sorted(found.items()):
            if times > 1:
                yield Violation("two_events_of_one_change", payment.transfer_id, status)
        told = last.get((payment.transfer_id, payment.status))
        if told is not None and told != payment.event_id:
            yield Violation("event_of_another_attempt", payment.transfer_id, told)


def _told(payment: Payment) -> set[str]:
    """Every status that a transfer has had: a Pix is SENT before it settles, and may be rejected before."""
    if payment.incoming:
        return {"ACCEPTED", payment.status}
    was_sent = payment.outgoing and (payment.accepted_at is not None or payment.status == "SETTLED")
    return {"HELD", payment.status} | ({"SENT"} if was_sent else set())


def on_topic(books: Books, event_ids: Iterable[str]) -> list[Violation]:
    """What is wrong with a topic that has forgotten nothing: it has the events of the history, no others."""
    there, told = set(event_ids), {row.event_id for row in books.history}
    return [
        *(Violation("event_not_on_the_topic", each) for each in sorted(told - there)),
        *(Violation("event_not_in_the_history", each) for each in sorted(there - told)),
    ]


# --- what clients were told ----------------------------------------------------------------------


def _promises(books: Books, history: History) -> Iterator[Violation]:
    by_key: dict[str, list[Payment]] = defaultdict(list)
    for payment in books.payments.values():
        if payment.kind == "transfer" and not payment.incoming:
            by_key[payment.description or ""].append(payment)
    for key in by_key.keys() - history.asked.keys():
        yield Violation("nobody_asked", by_key[key][0].transfer_id, f"key {key}")
    owners: dict[str, str] = {}
    for key, asked in history.asked.items():
        yield from _promise(asked, history, by_key.get(key, []))
        for answer in history.answered.get(key, []):
            if answer.outcome == "acked" and owners.setdefault(str(answer.transfer_id), key) != key:
                yield Violation("two_keys_of_one_transfer", str(answer.transfer_id), key)
    for payment in books.payments.values():
        told = history.seen.get(payment.transfer_id, payment.status)
        if told != payment.status:
            yield Violation("get_disagrees", payment.transfer_id, f"{told}, but it is {payment.status}")


def _promise(asked: Asked, history: History, there: Sequence[Payment]) -> Iterator[Violation]:
    """One key: acknowledged is present, refused is absent, and unknown may not be left."""
    key = asked.key
    if len(there) > 1:
        yield Violation("two_transfers_of_one_key", key)
    match history.state(key):
        case "unknown":
            yield Violation("never_decided", key)
        case "refused" if there:
            # A request that its client had given up on was carried out after the key was refused for good?
            late = any(each.outcome == "unknown" for each in history.answered[key])
            what = "carried_out_after_its_refusal" if late else "refused_but_present"
            yield Violation(what, key, there[0].transfer_id)
        case "acked":
            told = {each.transfer_id for each in history.answered[key] if each.outcome == "acked"}
            if len(told) > 1:
                yield Violation("two_transfers_of_one_key", key, str(sorted(map(str, told))))
            if told != {each.transfer_id for each in there}:
                yield Violation("acknowledged_but_absent", key, str(sorted(map(str, told))))
    for payment in there:
        if not asked.is_done_by(payment):
            yield Violation("not_what_was_asked", key, str(payment))


def _replays(history: History) -> Iterator[Violation]:
    """Every answer to a key after its acknowledgement is the same, and another body is never taken."""
    for key, answers in history.answered.items():
        same = [each for each in answers if not each.other_body]
        acked = [each for each in same if each.outcome == "acked"]
        if len({each.text for each in acked}) > 1:
            yield Violation("answers_differ", key)
        if acked:
            first = min(each.ended for each in acked)
            for each in same:
                if each.outcome == "refused" and each.started > first:
                    yield Violation("refused_after_acknowledged", key, each.code)
        for each in answers:
            if each.other_body and (
                each.outcome == "acked"
                or (each.outcome == "refused" and each.code != "idempotency_key_reused")
            ):
                yield Violation("another_body_was_taken", key, f"{each.outcome} {each.code}")


def _snapshots(history: History) -> Iterator[Violation]:
    for number, snapshot in enumerate(history.snapshots):
        total = sum(map(sum, snapshot.values()))
        if total != 0:
            yield Violation("snapshot_sum_is_not_zero", f"snapshot {number}", str(total))
        for account_id, (available, on_hold) in snapshot.items():
            if on_hold < 0 or (available < 0 and "#" not in account_id):
                yield Violation("snapshot_negative", account_id, f"snapshot {number}")


def counted(found: Iterable[Violation]) -> Mapping[str, int]:
    """How many there are of each kind."""
    return Counter(each.what for each in found)

"""The ledger on DynamoDB: the only code that writes balances, transfers and outbox rows.

Every change is part of one `TransactWriteItems`, which it may share with others (`committer`). Money is
guarded by its conditions (the balance's `seq`, the transfer's status), never by the request token. A change
that was cancelled is decided afresh from what stands then; a change whose outcome is unknown is repeated with
identical bytes until it is known.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from apps.kit import dynamo
from apps.kit.dynamo import Cancelled, Client, ConditionFailed, Deadline, OutcomeUnknown, Unavailable
from apps.kit.turns import GoOn, Turn, Turns
from apps.ledger import account, charge, charges, items, outbox, returns
from apps.ledger import transfer as rules
from apps.ledger.account import Balance, Posting, Refusal
from apps.ledger.charge import Charge
from apps.ledger.charges import Charges
from apps.ledger.committer import BATCH, Balances, Committer, Found, Job, Known, Unread, Wish
from apps.ledger.group import AGAIN, Action, Decided, Writing
from apps.ledger.items import Mark, attributes, number, text
from apps.ledger.room import Room
from apps.ledger.transfer import Attempt, Change, Order, Sent, Status, Transfer

StatusRule = Callable[[Balance, str], Posting | None]
"""`account.block`, `account.unblock`, `account.close`, or `account.limit` with what is wished."""

READ_SECONDS = 4.0
"""Nobody waits longer for a turn to read; the read itself has an end of its own."""

READ_TOGETHER = 100
"""Items of one BatchGetItem."""
MARK_DAYS = 1
"""How long the mark of a refusal is kept: an attempt in flight lives for seconds."""


@dataclass(frozen=True)
class Tables:
    """The physical names of the three tables that one transaction may span."""

    accounts: str
    transactions: str
    events: str


@dataclass(frozen=True)
class Clock:
    """Time and identity, so that tests and simulations own both. `monotonic` and `rest` are in seconds."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    monotonic: Callable[[], float] = time.monotonic
    rest: Callable[[float], None] = time.sleep

    def attempt(self) -> Attempt:
        """The values that one attempt fixes."""
        return Attempt(self.now(), self.new_id())


@dataclass(frozen=True)
class Standing:
    """What stands at a transfer's id, and on the accounts that it concerns, as one call read it; and, for a
    return, the original; and the charge that is to be paid."""

    found: Transfer | Mark | None
    balances: Mapping[str, Balance]
    original: Transfer | None = None
    charge: Charge | None = None


class Superseded(Exception):  # noqa: N818
    """Another request with the same key was refused meanwhile: that refusal is this request's answer too."""

    def __init__(self, mark: Mark) -> None:
        super().__init__("superseded")
        self.mark = mark


class RefusedAfterUnknown(Refusal):
    """A rule says no after a send without a reply: that one may stand until the refusal's mark does."""


def check_repeatable(cancelled: Cancelled, *, unknown: bool) -> None:
    """Lets a failed condition and contention pass: a new attempt may mend them. Any other reason is a mistake
    of ours and is raised, as `OutcomeUnknown` where an earlier send may stand."""
    if not cancelled.repeatable:
        if unknown:
            raise OutcomeUnknown from cancelled
        raise cancelled


class Ledger:
    """Transfers and balances in the tables `accounts`, `transactions` and `events`."""

    def __init__(
        self, client: Client, tables: Tables, outbox_shards: int, *, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._tables = tables
        self.charges = Charges(client, tables.transactions)
        self._shards = outbox_shards
        self.clock = clock or Clock()
        self._known = Known(Room(self.clock.monotonic))
        self._committer = Committer(
            client,
            self._read,
            Writing(self._balance, self._entry, items.balance_or_halted),
            monotonic=self.clock.monotonic,
            rest=self.clock.rest,
        )
        self._looks: Turns[_Look] = Turns(self._look_together, BATCH)
        self._holds: Turns[Job] = Turns(self._hold_together, BATCH)

    def find(self, transfer_id: str) -> Transfer | Mark | None:
        """What stands at a transfer's id, consistently read. Raises `Unavailable`."""
        return items.found_of(self._get(self._tables.transactions, items.transfer_key(transfer_id)))

    def transfer(self, transfer_id: str) -> Transfer | None:
        """The transfer, consistently read; a mark is invisible. Raises `Unavailable`."""
        found = self.find(transfer_id)
        return found if isinstance(found, Transfer) else None

    def balance(self, account_id: str) -> Balance | None:
        """The balance of an account, consistently read; an internal item that was never used is zero.

        Raises `Unavailable` or `items.Corrupted`.
        """
        item = self._get(self._tables.accounts, items.balance_key(account_id))
        if item is not None:
            return items.balance_of(item)
        if account.is_internal(account_id):
            return account.unopened(account_id, "", rules.iso(self.clock.now()))
        return None

    def balances_of(self, account_ids: Iterable[str]) -> dict[str, Balance]:
        """The balances of these accounts, each consistently read, in as few calls as there can be.

        Raises `Unavailable` or `items.Corrupted`.
        """
        wanted = [items.balance_key(each) for each in sorted(set(account_ids))]
        found: list[dynamo.Item] = []
        for start in range(0, len(wanted), READ_TOGETHER):
            keys = {self._tables.accounts: wanted[start : start + READ_TOGETHER]}
            found += dynamo.read_together(self._client, keys)[self._tables.accounts]
        return {each.account_id: each for each in map(items.balance_of, found)}

    def standing(
        self, transfer_id: str, account_ids: Iterable[str], original_id: str | None = None
    ) -> Standing:
        """What stands at a transfer's id and on these accounts, with the original of a return, in one call,
        which others may share.

        Raises `Unavailable`, or `items.Corrupted` for a transfer; a corrupted balance counts as frozen.
        """
        look = _Look(transfer_id, sorted(set(account_ids)), original_id)
        self._looks.take(look)
        return look.outcome()

    def hold(
        self,
        order: Order,
        first: Standing,
        lifetime: timedelta,
        render: Callable[[Transfer], str],
        deadline: Deadline,
    ) -> Transfer:
        """Sets the money of `order` aside, or finds that an earlier send of it did.

        `first` is what the request read first, and no transfer stood there; the hold commits only if that
        is still so, so that no attempt in flight anywhere can commit after a refusal. `render` makes the
        body of the first answer, which is kept. Raises `Refusal` (a rule; `RefusedAfterUnknown` when an
        earlier send may stand), `Superseded`, `Unavailable` (nothing was written) or `OutcomeUnknown`.
        """
        assert not isinstance(first.found, Transfer)
        wish = _Hold(self, order, first.found, lifetime, render, first.original, first.charge)
        read = {each: first.balances.get(each) for each in (order.payer, order.payee)}
        job = Job(order.transfer_id, wish, deadline, found=first.found, balances=read)
        self._holds.take(job)
        if not job.over:
            self._committer.to_the_end([job], self._known)
        try:
            held = job.outcome()
        except Refusal as refusal:
            if job.unknown:
                raise RefusedAfterUnknown(refusal.code, refusal.detail, refusal.facts) from refusal
            raise
        assert held is not None
        return held

    @property
    def waiting_looks(self) -> int:
        """How many reads wait for their turn in this process."""
        return self._looks.waiting

    @property
    def waiting_holds(self) -> int:
        """How many holds wait for their turn in this process."""
        return self._holds.waiting

    def refuse(self, transfer_id: str, seen: Mark | None, problem: str) -> Transfer | None:
        """Leaves the mark that makes a refusal final for everything in flight under the same key.

        Gives the transfer when one stands there after all: it is the answer. Raises `Unavailable` or
        `OutcomeUnknown`, and then the refusal must not be answered.
        """
        # Marks end, and a hold that waits for one that has ended must not take a later one for it: numbers go
        # on from the one read, or from the clock, and never come again.
        last = seen.refused if seen else int(self.clock.now().timestamp())
        return self._put_mark(transfer_id, seen, Mark(last + 1, problem))

    def settle(self, transfer_id: str, parties: Sequence[str], deadline: Deadline) -> Transfer | None:
        """Moves the held money to the payee, or back. Settles nothing that is not HELD.

        `parties` are payer and payee as the event names them: read along, never believed. Gives the
        transfer as it stands afterwards, `None` if there is none. Raises `account.Frozen`, `Unavailable` or
        `OutcomeUnknown`; all of them may simply be repeated.
        """

        (outcome,) = self.settle_together([(transfer_id, parties)], deadline)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def settle_together(
        self, wanted: Sequence[tuple[str, Sequence[str]]], deadline: Deadline
    ) -> list[Transfer | Exception | None]:
        """Settles many transfers in as few transactions as there can be: for each what `settle` gives for it
        or raises. None of them fails another."""
        jobs = {
            transfer_id: Job(transfer_id, _Decision(self, self._settled, parties), deadline)
            for transfer_id, parties in reversed(wanted)
        }
        self._committer.to_the_end(list(reversed(jobs.values())), Known())
        return [_outcome(jobs[transfer_id]) for transfer_id, _ in wanted]

    def send(
        self,
        transfer_id: str,
        prepare: Callable[[Transfer, Attempt], Sent],
        deadline: Deadline,
    ) -> tuple[Transfer | None, bool]:
        """Makes a held payment to another bank SENT, with the order that `prepare` makes of it.

        Gives the transfer as it stands, and whether this call made it so: only who did may let the order
        leave without asking first. Raises `account.Frozen`, `Unavailable`, or `OutcomeUnknown`, and then
        nobody may: whoever finds it SENT asks.
        """
        ((outcome, mine),) = self.send_together([transfer_id], prepare, deadline)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome, mine

    def send_together(
        self,
        transfer_ids: Sequence[str],
        prepare: Callable[[Transfer, Attempt], Sent],
        deadline: Deadline,
    ) -> list[tuple[Transfer | Exception | None, bool]]:
        """Makes many payments SENT in as few transactions as there can be: for each what `send` gives for it
        or raises. None of them fails another. What `prepare` raises is the outcome of that one."""
        made: set[str] = set()

        def sent(held: Transfer, balances: Mapping[str, Balance]) -> Change | None:
            if not held.by_spi:
                return None
            attempt = self.clock.attempt()
            leaving = prepare(held, attempt)
            made.add(leaving.message_id)
            return rules.send(held, _payer(held, balances), leaving, attempt)

        outcomes = self.carry_out({each: _Decision(self, sent, ()) for each in transfer_ids}, deadline)
        return [
            (found, isinstance(found, Transfer) and found.status == "SENT" and found.message_id in made)
            for found in (outcomes[each] for each in transfer_ids)
        ]

    def arrive(self, transfer_id: str, deadline: Deadline) -> Transfer | None:
        """Settles a payment that the SPI has settled. Raises what `settle` raises."""
        (outcome,) = self.answer_together([(transfer_id, None)], deadline)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def turn_down(self, transfer_id: str, reason: str, deadline: Deadline) -> Transfer | None:
        """Gives the money of a payment back that the SPI has rejected for good. Raises what `settle`
        raises."""
        (outcome,) = self.answer_together([(transfer_id, reason)], deadline)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def answer_together(
        self, answers: Sequence[tuple[str, str | None]], deadline: Deadline
    ) -> list[Transfer | Exception | None]:
        """Decides payments that the SPI has decided, in as few transactions as there can be: without a reason
        it has settled them, else rejected for good. For each what `arrive` gives for it or raises."""
        wishes = {
            transfer_id: _Decision(
                self, self._settled if reason is None else self._rejected(reason), (), "SENT"
            )
            for transfer_id, reason in answers
        }
        outcomes = self.carry_out(wishes, deadline)
        return [outcomes[transfer_id] for transfer_id, _ in answers]

    def _rejected(self, reason: str) -> Callable[[Transfer, Mapping[str, Balance]], Change]:
        return lambda sent, balances: rules.reject(sent, _payer(sent, balances), reason, self.clock.attempt())

    def carry_out(
        self, wishes: Mapping[str, Wish], deadline: Deadline
    ) -> dict[str, Transfer | Exception | None]:
        """Does what is wished of many transfers, by id, in as few transactions as there can be: for each the
        transfer as it stands then, or why not. None of them fails another."""
        jobs = {transfer_id: Job(transfer_id, wish, deadline) for transfer_id, wish in wishes.items()}
        self._committer.to_the_end(list(jobs.values()), Known())
        return {transfer_id: _outcome(job) for transfer_id, job in jobs.items()}

    def paid_as(self, end_to_end_id: str) -> str | None:
        """The id of the transfer that left here under this end-to-end id, or return id; consistently read.
        Raises `Unavailable`."""
        item = self._get(self._tables.transactions, _identity(end_to_end_id))
        return str(item["transfer"]["S"]) if item is not None else None

    def expire(self, transfer_id: str, deadline: Deadline) -> Transfer | None:
        """Gives the money of a hold back whose time is over. Raises what `settle` raises."""

        job = Job(transfer_id, _Decision(self, self._expired, ()), deadline)
        self._committer.to_the_end([job], Known())
        return job.outcome()

    def _settled(self, held: Transfer, balances: Mapping[str, Balance]) -> Change | None:
        if held.by_spi and held.status == "HELD":
            # It settles when the SPI says so.
            return None
        return rules.settle(held, _payer(held, balances), balances.get(held.payee), self.clock.attempt())

    def _expired(self, held: Transfer, balances: Mapping[str, Balance]) -> Change | None:
        attempt = self.clock.attempt()
        if not rules.expired(held, attempt.now):
            return None
        return rules.reject(held, _payer(held, balances), "hold_expired", attempt)

    def look_later(self, held: Transfer) -> None:
        """Moves the sweep's next look at a transfer, unless its status or the look has changed meanwhile."""
        later = rules.next_look(held, self.clock.now())
        assert held.due_at is not None
        assert later.due_at is not None
        try:
            dynamo.write(
                self._client.update_item,
                TableName=self._tables.transactions,
                Key=items.transfer_key(held.transfer_id),
                UpdateExpression="SET due_at = :due, looks = :looks",
                ConditionExpression="#status = :status AND due_at = :seen",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":due": text(later.due_at),
                    ":looks": number(later.looks),
                    ":status": text(held.status),
                    ":seen": text(held.due_at),
                },
            )
        except ConditionFailed:
            return

    def due(self, shard: int, limit: int, *, accepted: bool = False) -> list[str]:
        """Ids of undecided transfers whose next look has come: those that are ACCEPTED, or all others. The
        index may lag, so read each again."""
        found = dynamo.pages(
            self._client,
            self._tables.transactions,
            IndexName="open",
            KeyConditionExpression="open_shard = :shard AND due_at <= :now",
            FilterExpression=f"#status {'=' if accepted else '<>'} :accepted",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":shard": text(str(shard)),
                ":now": text(rules.iso(self.clock.now())),
                ":accepted": text("ACCEPTED"),
            },
            Limit=limit,
        )
        return [item["transfer_id"]["S"] for item in islice(found, limit)]

    def change_status(self, account_id: str, rule: StatusRule, deadline: Deadline) -> tuple[Balance, bool]:
        """Blocks, unblocks, closes or limits an account: gives the balance as it stands then, and whether
        this call changed it. Doing it twice is doing it once, so any failure may simply be repeated.

        Raises `LookupError` without such an account, `Refusal`, `Unavailable` or `OutcomeUnknown`.
        """
        tries = 0
        unknown = False
        while True:
            try:
                item = self._get(self._tables.accounts, items.balance_key(account_id))
                if item is None:
                    raise LookupError(f"no account has the id {account_id}")
                balance = items.balance_or_halted(item)
                posting = rule(balance, rules.iso(self.clock.now()))
                if posting is None:
                    return balance, unknown
                dynamo.transact(self._client, self._posting(posting), deadline)
            except Cancelled as cancelled:
                unknown = unknown or cancelled.after_unknown
                check_repeatable(cancelled, unknown=unknown)
            except Unavailable as error:
                if unknown:
                    raise OutcomeUnknown from error
                raise
            else:
                return posting.after, True
            if deadline.passed:
                raise (OutcomeUnknown if unknown else Unavailable)("contention")
            dynamo.pause(tries)
            tries += 1

    def opening(self, balance: Balance, grant: Change | None) -> list[Action]:
        """The ledger's part of opening an account: its balance at zero and, with a grant, its hold."""
        opened = account.open_account(balance, balance.opened_at)
        actions = self._posting(opened)
        if grant is not None:
            actions += [
                *self._put_held(grant.transfer, None),
                *self._postings(grant),
                self._outbox_row(grant),
            ]
        return actions

    def _look_together(self, looks: Sequence["_Look"], _: GoOn) -> None:
        """Reads for all in one call; where one of them cannot be read, for each alone."""
        ids = sorted({each for look in looks for each in look.transfers})
        accounts = sorted({each for look in looks for each in look.accounts})
        try:
            found, balances = self._read(ids, accounts)
        except Unavailable as error:
            for look in looks:
                look.fail(Unavailable(*error.args))
        except Exception as error:  # noqa: BLE001 (whoever it concerns gets it raised)
            if len(looks) == 1:
                looks[0].fail(error)
            else:
                for look in looks:
                    self._look_together([look], _)
        else:
            for look in looks:
                there = {each: balance for each in look.accounts if (balance := balances[each]) is not None}
                original = found[look.original] if look.original is not None else None
                look.answer(
                    Standing(found[look.key], there, original if isinstance(original, Transfer) else None)
                )

    def _read(
        self, transfer_ids: Sequence[str], account_ids: Sequence[str]
    ) -> tuple[Mapping[str, Found], Balances]:
        """What stands at these transfers' ids and on these accounts, each id once, in as few calls as there
        can be. Raises `Unavailable`."""
        keys = [(self._tables.transactions, items.transfer_key(each)) for each in transfer_ids]
        keys += [(self._tables.accounts, items.balance_key(each)) for each in account_ids]
        found: dict[str, Found] = dict.fromkeys(transfer_ids)
        at = rules.iso(self.clock.now())
        balances: dict[str, Balance | None] = {
            each: account.unopened(each, "", at) if account.is_internal(each) else None
            for each in account_ids
        }
        for start in range(0, len(keys), READ_TOGETHER):
            wanted: dict[str, list[dynamo.Item]] = {}
            for table, key in keys[start : start + READ_TOGETHER]:
                wanted.setdefault(table, []).append(key)
            answer = dynamo.read_together(self._client, wanted)
            for item in answer.get(self._tables.transactions, ()):
                found[items.transfer_id_of(item)] = items.found_of(item)
            for item in answer.get(self._tables.accounts, ()):
                balance = items.balance_or_halted(item)
                balances[balance.account_id] = balance
        return found, balances

    def _get(self, table: str, key: dict[str, items.Attribute]) -> dynamo.Item | None:
        return dynamo.item(self._client, table, key)

    def _put_mark(self, transfer_id: str, seen: Mark | None, mark: Mark) -> Transfer | None:
        ends_at = self.clock.now() + timedelta(days=MARK_DAYS)
        values: dict[str, str | int | None] = {
            "refused": mark.refused,
            "problem": mark.problem,
            "ttl": int(ends_at.timestamp()),
        }
        try:
            dynamo.write(
                self._client.put_item,
                TableName=self._tables.transactions,
                Item=items.transfer_key(transfer_id) | attributes(values),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **_still(seen),
            )
        except ConditionFailed as failed:
            found = items.found_of(failed.item)
            if found is None and seen is not None:
                # The mark that was read has ended. A refusal without one would stop nothing in flight.
                return self._put_mark(transfer_id, None, mark)
            return found if isinstance(found, Transfer) else None
        return None

    def own_held(self, change: Change, seen: Mark | None) -> list[Action]:
        """The writes of a hold beside its posting."""
        return [
            *self._put_held(change.transfer, seen),
            *self._taken(change.transfer),
            *self._returnable(change),
            self._outbox_row(change),
        ]

    def own_accepted(self, change: Change) -> list[Action]:
        """The writes of a promise to another bank beside its posting. Its id comes from the end-to-end id, so
        that the transfer is that id's own record."""
        return [
            _put(self._tables.transactions, items.transfer_item(change.transfer), **_ABSENT),
            *self._returnable(change),
            self._outbox_row(change),
        ]

    def own_decided(self, change: Change) -> list[Action]:
        """The writes of a decision beside its postings."""
        return [
            self._leave(change.transfer) if change.transfer.status == "SENT" else self._decide(change),
            *self._taken(change.transfer),
            *self._returnable(change),
            self._outbox_row(change),
        ]

    def _hold_together(self, jobs: Sequence[Job], go_on: GoOn) -> None:
        self._committer.in_turn(jobs, self._known, go_on)

    def _put_held(self, transfer: Transfer, seen: Mark | None) -> list[Action]:
        actions: list[Action] = [
            _put(self._tables.transactions, items.transfer_item(transfer), **_still(seen)),
        ]
        if transfer.end_to_end_id is not None:
            mapped = identity_item(transfer.end_to_end_id, transfer.transfer_id)
            actions.append(_put(self._tables.transactions, mapped, **_ABSENT))
        return actions

    def _leave(self, transfer: Transfer) -> Action:
        """The compare-and-set that lets one worker send: with it stands what it sends."""
        assert transfer.sent_order is not None
        values = attributes(
            {
                ":sent": "SENT",
                ":held": "HELD",
                ":order": transfer.sent_order,
                ":message_id": transfer.message_id,
                ":accepted_at": transfer.accepted_at,
                ":due_at": transfer.due_at,
                ":looks": transfer.looks,
                ":event_id": transfer.event_id,
            }
        )
        return _update(
            self._tables.transactions,
            items.transfer_key(transfer.transfer_id),
            "SET #status = :sent, sent_order = :order, message_id = :message_id, accepted_at = :accepted_at, "
            "due_at = :due_at, looks = :looks, event_id = :event_id",
            "#status = :held",
            values=values,
            names={"#status": "status"},
        )

    def _decide(self, change: Change) -> Action:
        """The compare-and-set of the status: the only thing that keeps money from moving twice."""
        transfer = change.transfer
        assert transfer.decided_at is not None
        names = {"#status": "status"}
        values = {
            ":status": text(transfer.status),
            ":before": text(change.before),
            ":decided_at": text(transfer.decided_at),
            ":event_id": text(transfer.event_id),
            ":returnable": number(transfer.returnable_cents),
        }
        assignments = (
            "#status = :status, decided_at = :decided_at, event_id = :event_id, "
            "returnable_cents = :returnable"
        )
        if transfer.reason is not None:
            values[":reason"] = text(transfer.reason)
            assignments += ", reason = :reason"
        return _update(
            self._tables.transactions,
            items.transfer_key(transfer.transfer_id),
            f"SET {assignments} REMOVE due_at, open_shard",
            "#status = :before",
            values=values,
            names=names,
        )

    def _postings(self, change: Change) -> list[Action]:
        return [action for posting in change.postings for action in self._posting(posting)]

    def _posting(self, posting: Posting) -> list[Action]:
        """The compare-and-set of a balance, and the posting's entry."""
        return [self._balance(posting.before, posting.after), *self._entry(posting)]

    def _balance(self, before: Balance, after: Balance) -> Action:
        """The compare-and-set of a balance by `seq`, over all postings that lie between."""
        values = attributes(
            {
                ":account_id": after.account_id,
                ":owner": after.owner,
                ":seq": after.seq,
                ":available": after.available,
                ":on_hold": after.on_hold,
                ":opened_at": after.opened_at,
                ":month": after.month,
                ":last_hash": after.last_hash,
                ":status": after.status,
                ":pending_credits": after.pending_credits,
                ":holder": after.holder,
                ":used": items.used_text(after.used),
                ":limits": items.limits_text(after.limits),
            }
        )
        condition = "attribute_not_exists(pk)"
        if before.seq > 0:
            values[":seen"] = number(before.seq)
            condition = "seq = :seen AND attribute_not_exists(frozen)"
        return _update(
            self._tables.accounts,
            items.balance_key(after.account_id),
            "SET account_id = :account_id, owner_subject = :owner, seq = :seq, available = :available, "
            "on_hold = :on_hold, opened_at = :opened_at, #month = :month, last_hash = :last_hash, "
            "#status = :status, pending_credits = :pending_credits, holder = :holder, used = :used"
            f"{', limits = :limits' if ':limits' in values else ''}",
            condition,
            values=values,
            names={"#month": "month", "#status": "status"},
            # Whoever decides anew begins from what stood in the way.
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def _entry(self, posting: Posting) -> list[Action]:
        """What is written beside the balance for each posting on it: its entry, and what a new month begins
        with."""
        actions = [_put(self._tables.accounts, items.entry_item(posting.entry), **_ABSENT)]
        if posting.opens is not None:
            actions.append(_put(self._tables.accounts, items.opening_item(posting.opens), **_ABSENT))
        return actions

    def _returnable(self, change: Change) -> list[Action]:
        """What a return takes of its original, or gives back to it: only ever as much as is left there."""
        if change.returnable is None:
            return []
        cents = change.returnable.cents
        values = {":cents": number(abs(cents)), ":settled": text("SETTLED")}
        left = " AND returnable_cents >= :cents" if cents < 0 else ""
        return [
            _update(
                self._tables.transactions,
                items.transfer_key(change.returnable.transfer_id),
                f"SET returnable_cents = returnable_cents {'-' if cents < 0 else '+'} :cents",
                f"#status = :settled{left}",
                values=values,
                names={"#status": "status"},
            )
        ]

    def _taken(self, transfer: Transfer) -> list[Action]:
        """What a hold does to the charge that it pays, and what its rejection does."""
        if transfer.charge_id is None or transfer.status not in {"HELD", "REJECTED"}:
            return []
        write = charges.take if transfer.status == "HELD" else charges.give_back
        return [write(self._tables.transactions, transfer.charge_id, transfer.transfer_id)]

    def _outbox_row(self, change: Change) -> Action:
        row = outbox.row_of(change.event, change.transfer, self._shards)
        return _put(self._tables.events, row.item(), **_ABSENT)


class _Look(Turn[Standing]):
    """One caller's wish to read."""

    def __init__(self, transfer_id: str, accounts: Sequence[str], original_id: str | None) -> None:
        super().__init__(transfer_id, Deadline.after(READ_SECONDS))
        self.accounts = accounts
        self.original = original_id if original_id != transfer_id else None

    @property
    def transfers(self) -> list[str]:
        """The ids to read."""
        return [self.key] if self.original is None else [self.key, self.original]


@dataclass
class _Hold:
    """Sets money aside. `seen` is what the request read first at its transfer's id: the mark that the hold's
    own condition names, so that no attempt in flight anywhere can commit after a refusal. `original` is what
    a return gives back from and `charge` what is paid, as the request read it; each further attempt reads it
    again."""

    ledger: Ledger
    order: Order
    seen: Mark | None
    lifetime: timedelta
    render: Callable[[Transfer], str]
    original: Transfer | None
    charge: Charge | None

    def accounts(self, _: Found | Unread) -> Iterable[str]:
        """Payer and payee."""
        return self.order.payer, self.order.payee

    def decide(self, found: Found, balances: Mapping[str, Balance]) -> Decided:
        """The hold, or the transfer that stands already. Raises `Refusal` or `Superseded`."""
        if isinstance(found, Transfer):
            return found
        if found is not None and found != self.seen:
            raise Superseded(found)
        # The mark that was read first may have ended: nothing waits for it any more.
        self.seen = found
        payer, payee = balances.get(self.order.payer), balances.get(self.order.payee)
        attempt = self.ledger.clock.attempt()
        if self.order.charge_id is not None:
            asked, self.charge = self.charge, None
            change = charge.hold(
                self.order,
                asked or self.ledger.charges.find(self.order.charge_id),
                payer,
                payee,
                lifetime=self.lifetime,
                attempt=attempt,
            )
        elif self.order.original_transfer_id is None:
            change = rules.hold(self.order, payer, payee, self.lifetime, attempt)
        else:
            original, self.original = self.original, None
            change = returns.hold(
                self.order,
                original or self.ledger.transfer(self.order.original_transfer_id),
                payer,
                payee,
                lifetime=self.lifetime,
                attempt=attempt,
            )
        return replace(change, transfer=replace(change.transfer, answer=self.render(change.transfer)))

    def own(self, change: Change) -> Sequence[Action]:
        """Transfer, end-to-end id and outbox row."""
        return self.ledger.own_held(change, self.seen)


@dataclass
class _Decision:
    """Decides a transfer that stands at `status` by `change`, which gives `None` to leave it as it is.

    `parties` are payer and payee as somebody names them: read along, never believed.
    """

    ledger: Ledger
    change: Callable[[Transfer, Mapping[str, Balance]], Change | None]
    parties: Sequence[str]
    status: Status = "HELD"

    def accounts(self, found: Found | Unread) -> Iterable[str]:
        """The parties of the transfer, once it is read."""
        if isinstance(found, Unread):
            return self.parties
        if not isinstance(found, Transfer) or found.status != self.status:
            return ()
        return found.payer, found.payee

    def decide(self, found: Found, balances: Mapping[str, Balance]) -> Decided:
        """The decision, or how the transfer stands already. Raises `account.Frozen`."""
        if not isinstance(found, Transfer):
            return None
        if found.status != self.status:
            return found
        payer = _payer(found, balances)
        counted = payer.used.holds(found.limit_period, found.amount_cents)
        if not (counted and payer.on_hold >= found.amount_cents) and not payer.halted:
            # Another worker decided it after the transfer was read and before the balance was.
            return AGAIN
        return self.change(found, balances) or found

    def own(self, change: Change) -> Sequence[Action]:
        """Transfer and outbox row."""
        return self.ledger.own_decided(change)


def _outcome(job: Job) -> Transfer | Exception | None:
    try:
        return job.outcome()
    except Exception as error:  # noqa: BLE001 (given to whoever asked for this one)
        return error


_ABSENT: Action = {"ConditionExpression": "attribute_not_exists(pk)"}


def identity_item(end_to_end_id: str, transfer_id: str) -> dict[str, items.Attribute]:
    """What says which transfer left here under an end-to-end id."""
    return _identity(end_to_end_id) | attributes({"transfer": transfer_id})


def _identity(end_to_end_id: str) -> dict[str, items.Attribute]:
    return items.key(f"E2E#{end_to_end_id}", "E2E")


def _payer(held: Transfer, balances: Mapping[str, Balance]) -> Balance:
    """The payer's balance. Without one nothing can be decided, and the others go on: as if it were frozen."""
    if held.payer not in balances:
        raise account.Frozen(held.payer)
    return balances[held.payer]


def _still(seen: Mark | None) -> Action:
    """The condition that a transfer's id holds exactly what a request read there first."""
    if seen is None:
        return _ABSENT
    return {
        "ConditionExpression": "refused = :refused",
        "ExpressionAttributeValues": {":refused": number(seen.refused)},
    }


def _put(table: str, item: dict[str, items.Attribute], **condition: Any) -> Action:
    return {"Put": {"TableName": table, "Item": item, **condition}}


def _update(
    table: str,
    key: dict[str, items.Attribute],
    update: str,
    condition: str,
    *,
    values: dict[str, items.Attribute],
    names: dict[str, str],
    **more: str,
) -> Action:
    return {
        "Update": {
            **more,
            "TableName": table,
            "Key": key,
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ExpressionAttributeNames": names,
        }
    }

"""Rules broken on purpose, one at a time: a simulator that finds none of these would find nothing else."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, NoReturn

from apps.consumers.pix_orders import Orders
from apps.consumers.relay_outbox import Relay, Shard
from apps.consumers.sweep_transfers import SECONDS, Sweep
from apps.kit import dynamo, events
from apps.kit.dynamo import Deadline
from apps.kit.worker import Worker
from apps.ledger import group, items
from apps.ledger.account import Refusal
from apps.ledger.committer import Committer
from apps.ledger.group import Action
from apps.ledger.items import Mark
from apps.ledger.outbox import BATCH, Published
from apps.ledger.store import Ledger
from apps.ledger.transfer import Change, Transfer, iso
from apps.pix import end_to_end_id, limits
from apps.pix.limits import NOTHING_USED, Period, Used
from apps.transaction.request import Answer, Payment, Transfers
from tests.simulator.patching import replaced

SLIPS = (KeyError, TypeError, AttributeError)
"""What a fault raises that no longer fits the code it is to break: it breaks everything, and so no rule."""


@dataclass(frozen=True)
class Mutant:
    """`make` gets the real `owner.name` and gives the broken one.

    `offence` is what such a bank is caught at: a fault that is caught at anything else breaks another rule
    than it says. `first` is a seed from which on it soon shows.
    """

    what: str
    owner: Any
    name: str
    make: Callable[[Callable[..., Any]], Callable[..., Any]]
    offence: str
    first: int = 0

    @contextmanager
    def applied(self) -> Iterator[list[str]]:
        """The rule is broken inside; gives the slips of the fault itself, as they come."""
        broken, slips = self.make(vars(self.owner)[self.name]), list[str]()

        @wraps(broken)
        def watched(*args: Any, **more: Any) -> Any:
            try:
                return broken(*args, **more)
            except SLIPS as slip:
                # Whoever called catches it, as it would any mistake of ours, and tries again for ever.
                slips.append(f"{type(slip).__name__}: {slip}")
                raise

        with replaced(self.owner, self.name, watched):
            yield slips

    def caught(self, violations: Sequence[str]) -> bool:
        """Whether these are what this fault does."""
        return any(re.search(self.offence, each) for each in violations)


def _settle_without_status(real: Callable[..., Action]) -> Callable[..., Action]:
    def decide(self: Ledger, transfer: Any) -> Action:
        action = real(self, transfer)
        action["Update"]["ConditionExpression"] = "attribute_exists(pk)"
        del action["Update"]["ExpressionAttributeValues"][":before"]
        return action

    return decide


def _hold_without_seq(real: Callable[..., Action]) -> Callable[..., Action]:
    def balance(self: Ledger, before: Any, after: Any) -> Action:
        action = real(self, before, after)
        if action["Update"]["ExpressionAttributeValues"].pop(":seen", None):
            action["Update"]["ConditionExpression"] = "attribute_not_exists(frozen)"
        return action

    return balance


def _ack_before_write(real: Callable[..., Any]) -> Callable[..., Any]:
    def committed(self: Committer, part: Any, batch: Any, known: Any, go_on: Any) -> Any:
        for job, change in batch.changes:
            job.answer(change.transfer)
        return real(self, part, batch, known, go_on)

    return committed


def _commit_before_effect(_: Callable[..., None]) -> Callable[..., None]:
    def work(self: Worker, consumer: Any, stop: Any) -> None:
        while not stop.is_set():
            batches = consumer.poll(timeout_ms=500)
            self._uncommitted |= {partition: records[-1] for partition, records in batches.items()}
            self._commit(consumer)
            self._handled_together(batches.values())

    return work


def _row_gone_before_report(_: Callable[..., int]) -> Callable[..., int]:
    def relay(self: Relay, shard: Shard) -> int:
        self._ask_for_witnesses(shard)
        self._look_for_lost(shard)
        if shard.lease is None:
            return 0
        outbox = self._outbox
        rows = outbox.waiting(shard.number, BATCH)
        for row in rows:
            place = items.key(f"OUT#{row.shard}", row.sort)
            dynamo.write(outbox._client.delete_item, TableName=outbox._table, Key=place)
        if rows:
            reported = self._reported(shard.lease.memory)
            deliveries = self._publisher.send([events.record_from_json(row.record) for row in rows])
            places = zip(rows, deliveries, strict=True)
            self._note(shard, [Published(row, each.partition, each.offset) for row, each in places], reported)
        return len(rows)

    return relay


def _timeout_is_failure(real: Callable[[Any], str]) -> Callable[[Any], str]:
    def fate(error: Any) -> str:
        known = real(error)
        return "not done" if known == "unknown" else known

    return fate


def _token_of_the_transfers(_: Callable[..., str]) -> Callable[..., str]:
    def token(actions: Sequence[Mapping[str, Any]]) -> str:
        places = [group.place_of(dict(each)) for each in actions]
        names = sorted(key for _, key, _ in places if key.startswith(("TX#", "ACC#")))
        return str(uuid.uuid5(uuid.NAMESPACE_OID, ",".join(names)))

    return token


def _return_checked_before(real: Callable[..., list[Action]]) -> Callable[..., list[Action]]:
    def returnable(self: Ledger, change: Change) -> list[Action]:
        actions = real(self, change)
        for each in actions:
            each["Update"]["ConditionExpression"] = "#status = :settled"
        return actions

    return returnable


def _limit_kept_by_rejected(_: Callable[..., Used]) -> Callable[..., Used]:
    return lambda used, period, cents: used


def _limit_checked_alone(real: Callable[..., Period]) -> Callable[..., Period]:
    """Each payment is within the limit, and nobody asks what was sent before."""
    return lambda allowed, receiver, used, cents, now: real(allowed, receiver, NOTHING_USED, cents, now)


def _only_the_first_leg(_: Callable[..., None]) -> Callable[..., None]:
    def add(self: Any, posting: Any, entry: Sequence[Action]) -> None:
        if not self.entries:
            self.after = posting.after
        self.entries += entry

    return add


def _refusal_without_mark(_: Callable[..., Answer]) -> Callable[..., NoReturn]:
    def refuse(
        self: Transfers, transfer_id: str, request_hash: str, seen: Mark | None, refusal: Refusal
    ) -> NoReturn:
        raise refusal

    return refuse


def _replay_after_look_up(real: Callable[..., Answer]) -> Callable[..., Answer]:
    def request(self: Transfers, payment: Payment, deadline: Deadline) -> Answer:
        payee = self.ledger.balance(payment.to if isinstance(payment.to, str) else "settlement#0")
        stands = self.ledger.transfer(payment.transfer_id) is not None
        # Only those: a refusal of the others would lack its mark, which is another rule.
        if stands and (payee is None or payee.status != "ACTIVE"):
            raise Refusal("payee_closed", "The account that would be paid is closed.")
        return real(self, payment, deadline)

    return request


def _sent_expires(real: Callable[..., None]) -> Callable[..., None]:
    def look(self: Sweep, transfer_id: str) -> None:
        found = self._ledger.transfer(transfer_id)
        now = self._ledger.clock.now()
        if found is not None and found.status == "SENT" and iso(now) >= found.expires_at:
            self._ledger.turn_down(transfer_id, "hold_expired", Deadline.after(SECONDS))
        real(self, transfer_id)

    return look


def _new_id_on_resend(real: Callable[..., None]) -> Callable[..., None]:
    def leave(self: Orders, sent: Transfer, *, again: bool) -> None:
        if again and sent.sent_order and sent.end_to_end_id:
            fresh = end_to_end_id.new(sent.end_to_end_id[1:9], self._now())
            sent = replace(sent, sent_order=sent.sent_order.replace(sent.end_to_end_id, fresh))
        real(self, sent, again=again)

    return leave


MUTANTS = [
    Mutant(
        "settle without status condition",
        Ledger,
        "_decide",
        _settle_without_status,
        r"has -?\d+ on hold, its held transfers are",
    ),
    Mutant(
        "hold without seq",
        Ledger,
        "_balance",
        _hold_without_seq,
        r"the sum of all accounts is|on hold, its held transfers are",
        first=10,
    ),
    Mutant(
        "ack before write",
        Committer,
        "_committed",
        _ack_before_write,
        r"is acknowledged and does not stand",
    ),
    Mutant(
        "commit before effect",
        Worker,
        "_work",
        _commit_before_effect,
        r"is committed before .* is decided or sent",
    ),
    Mutant(
        "outbox row gone before the delivery report",
        Relay,
        "_relay",
        _row_gone_before_report,
        r"transfers are held and 0 events wait|was never told",
    ),
    Mutant(
        "timeout taken as failure",
        dynamo,
        "_fate",
        _timeout_is_failure,
        r"is unavailable, and stands|was made by a request that was told unavailable",
        first=70,
    ),
    Mutant(
        "token reused for another payload",
        dynamo,
        "token",
        _token_of_the_transfers,
        r"belongs to two payloads",
    ),
    Mutant(
        "return checked outside the transaction",
        Ledger,
        "_returnable",
        _return_checked_before,
        r"more was returned of .* than was paid",
    ),
    Mutant(
        "limit not restored on reject",
        Used,
        "minus",
        _limit_kept_by_rejected,
        r"says \d+ of .*, it has sent",
    ),
    Mutant(
        "limit counted for each payment alone",
        limits,
        "use",
        _limit_checked_alone,
        r"has sent \d+ in ",
    ),
    Mutant(
        "leg merge dropped",
        group._Chain,
        "add",
        _only_the_first_leg,
        r"has -?\d+ on hold, its held transfers are",
    ),
    Mutant(
        "refusal answered without its mark",
        Transfers,
        "_refuse",
        _refusal_without_mark,
        r"is refused .* without a mark",
    ),
    Mutant(
        "expiry of SENT",
        Sweep,
        "look",
        _sent_expires,
        r"is REJECTED, and its money has moved",
        first=73,
    ),
    Mutant(
        "new end-to-end id on resend",
        Orders,
        "leave",
        _new_id_on_resend,
        r"left, and nobody made it",
        first=8,
    ),
    Mutant(
        "replay after the look-up",
        Transfers,
        "request",
        _replay_after_look_up,
        r"was refused, and a request that had looked before made it",
        first=15,
    ),
]

"""The plan of a repair after a restore: everything that is missing and can be derived. Rules only, no I/O.

First how each transfer stood (`evidence`), then each account's chain (`chain`), then what hangs on them:
events, end-to-end ids, what returns took of their originals, who has taken a charge. A step of a transfer is
written on all its accounts or on none, so that no money comes or goes. The same records give the same plan,
and records that are as a plan wants them give an empty one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from apps.kit.events import Event
from apps.ledger import evidence
from apps.ledger.account import is_internal
from apps.ledger.chain import Broken, Read, Step, Whole, made_whole
from apps.ledger.evidence import Finding, Needed, Records, needed
from apps.ledger.transfer import Transfer

Findings = list[Finding]
WHY = "and to write it, or the other side of it, would break the ledger's rules"


@dataclass
class Plan:
    """What a repair writes, what that mends, and what is left. `charges` are taken by a transfer, or given
    back by it where the flag is false."""

    transfers: list[tuple[Transfer | None, Transfer]] = field(default_factory=list)
    identities: list[tuple[str, str]] = field(default_factory=list)
    charges: list[tuple[str, str, bool]] = field(default_factory=list)
    accounts: list[Whole] = field(default_factory=list)
    events: list[tuple[Event, Transfer]] = field(default_factory=list)
    mended: Findings = field(default_factory=list)
    left: Findings = field(default_factory=list)

    def document(self) -> dict[str, object]:
        """The findings as JSON."""
        return {"mended": [vars(each) for each in self.mended], "left": [vars(each) for each in self.left]}


def planned(records: Records, lifetime: timedelta, events_since: str) -> Plan:
    """The repair. `lifetime` is that of a hold; no event from before `events_since` (ISO 8601) is missed."""
    plan = Plan(left=list(records.unreadable))
    transfers = _stood(plan, records, lifetime)
    transfers = _returnable(plan, records, transfers)
    for transfer_id, transfer in sorted(transfers.items()):
        before = records.transfers.get(transfer_id)
        if before != transfer:
            plan.transfers.append((before, transfer))
    _accounts(plan, records, transfers)
    for transfer_id, transfer in sorted(transfers.items()):
        told = records.events.get(transfer_id, {})
        for event in evidence.missing_events(transfer, told, events_since):
            plan.events.append((event, transfer))
            kind = event.type.rpartition(".")[2]
            plan.mended.append(Finding("event", f"{kind} goes to the outbox again", transfer_id))
        _identity(plan, records, transfer)
        _charge(plan, records, transfer)
    return plan


def _stood(plan: Plan, records: Records, lifetime: timedelta) -> dict[str, Transfer]:
    entries = records.naming()
    found: dict[str, Transfer] = {}
    unreadable = {each.transfer_id for each in records.unreadable}
    for transfer_id in sorted({*records.transfers, *records.events, *entries} - unreadable):
        stood = evidence.stood(transfer_id, records, entries.get(transfer_id, ()), lifetime)
        plan.mended += stood.mended
        plan.left += stood.left
        if stood.transfer is not None:
            found[transfer_id] = stood.transfer
    return found


def _returnable(plan: Plan, records: Records, transfers: Mapping[str, Transfer]) -> dict[str, Transfer]:
    """What can still be returned of each transfer, by the returns that there are."""
    taken: dict[str, int] = {}
    for each in transfers.values():
        if each.original_transfer_id is not None and each.status != "REJECTED":
            taken.setdefault(each.original_transfer_id, 0)
            taken[each.original_transfer_id] += each.amount_cents
    uncertain = {
        event.data.get("original_transfer_id")
        for transfer_id, told in records.events.items()
        if transfer_id not in transfers
        for event in told.values()
    }
    found = dict(transfers)
    for transfer_id, each in transfers.items():
        whole = each.amount_cents if (each.kind, each.status) == ("transfer", "SETTLED") else 0
        left = whole - taken.get(transfer_id, 0)
        if left < 0:
            detail = f"its returns add up to {taken[transfer_id]} of {whole}"
            plan.left.append(Finding("returned_too_much", detail, transfer_id))
        elif left < each.returnable_cents or (left > each.returnable_cents and transfer_id not in uncertain):
            found[transfer_id] = replace(each, returnable_cents=left)
            plan.mended.append(Finding("returnable", f"{left} can still be returned", transfer_id))
    return found


def _accounts(plan: Plan, records: Records, transfers: Mapping[str, Transfer]) -> None:
    """Every account made whole. One that cannot make a posting keeps the others from making the same step, so
    all begin anew then."""
    wanted: dict[str, list[Needed]] = {each: [] for each in {*records.balances, *records.entries}}
    for transfer in transfers.values():
        for each in needed(transfer):
            wanted.setdefault(each.account_id, []).append(each)
    for account_id, balance in records.balances.items():
        if not balance.internal:
            wanted[account_id].append(Needed(account_id, None, "open", 0, balance.opened_at))
    impossible: set[Step] = set()
    while True:
        wholes, left, more = _pass(records, transfers, wanted, frozenset(impossible))
        if more <= impossible:
            break
        impossible |= more
    plan.accounts += [each for each in wholes if each.changed]
    plan.left += left
    for whole in plan.accounts:
        plan.mended += _said(whole)


def _pass(
    records: Records,
    transfers: Mapping[str, Transfer],
    wanted: Mapping[str, list[Needed]],
    impossible: frozenset[Step],
) -> tuple[list[Whole], Findings, set[Step]]:
    wholes: list[Whole] = []
    left: Findings = []
    more = set(impossible)
    unreadable = {each.account_id for each in records.unreadable}
    for account_id in sorted(wanted):
        read = Read(
            account_id,
            records.balances.get(account_id),
            records.entries.get(account_id, []),
            records.openings.get(account_id, {}),
        )
        lacking = read.lacks(wanted[account_id])
        steps = {(each.transfer_id, each.step) for each in lacking if each.transfer_id}
        if account_id in unreadable:
            more |= steps
        elif read.entries or lacking or read.balance:
            try:
                whole = made_whole(read, wanted[account_id], transfers, impossible)
            except Broken as broken:
                left.append(broken.finding)
                more |= steps
            else:
                wholes.append(whole)
                more |= whole.impossible
                left += whole.left
        left += [
            Finding("posting_impossible", f"its {each.kind} is lost, {WHY}", each.transfer_id, account_id)
            for each in lacking
            if (each.transfer_id, each.step) in impossible
        ]
    return wholes, left, more


def _said(whole: Whole) -> Findings:
    """What is put back on an account."""
    put = [*whole.below, *(entry for entry, _ in whole.later if entry.seq not in whole.written)]
    found = [
        Finding(
            "entry", f"{entry.kind} is put back as entry {entry.seq}", entry.transfer_id, whole.account_id
        )
        for entry in put
    ]
    if whole.later:
        before = whole.before.seq if whole.before is not None else 0
        detail = f"follows its entries from {before} to {whole.balance.seq}"
        found.append(Finding("balance", detail, account_id=whole.account_id))
    found += [
        Finding("opening", f"what month {each.month} begins with", account_id=whole.account_id)
        for each in whole.openings
    ]
    return found


def _identity(plan: Plan, records: Records, transfer: Transfer) -> None:
    """The end-to-end id of what left here; a Pix from another bank has its id from it."""
    one = transfer.end_to_end_id
    if one is None or is_internal(transfer.payer):
        return
    named = records.identities.get(one)
    if named is None:
        plan.identities.append((one, transfer.transfer_id))
        plan.mended.append(Finding("end_to_end_id", one, transfer.transfer_id))
    elif named != transfer.transfer_id:
        plan.left.append(Finding("end_to_end_id_taken", f"{one} names {named}", transfer.transfer_id))


def _charge(plan: Plan, records: Records, transfer: Transfer) -> None:
    charge_id = transfer.charge_id
    if charge_id is None:
        return
    taken_by, takes = records.charges.get(charge_id), transfer.status != "REJECTED"
    if charge_id not in records.charges or (takes and taken_by not in {None, transfer.transfer_id}):
        detail = f"charge {charge_id} is gone, or another transfer has taken it"
        plan.left.append(Finding("charge_lost", detail, transfer.transfer_id))
    elif takes != (taken_by == transfer.transfer_id):
        plan.charges.append((charge_id, transfer.transfer_id, takes))
        does = "is taken" if takes else "may be paid again"
        plan.mended.append(Finding("charge", f"{charge_id} {does}", transfer.transfer_id))

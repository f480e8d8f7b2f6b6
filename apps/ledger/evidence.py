"""What a restore has left of each transfer, and what that proves. Rules only, no I/O.

Tables are restored one by one, so that one of them may lack the last writes that another has. But every
change was one transaction: whatever any table still shows of it has happened as a whole. A transfer therefore
stands as the furthest of its item, its events and the entries that name it say, and its postings follow from
that.

What stood on the lost item alone is not made up: the order of a Pix, who pays whom at another bank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from apps.kit.events import Event
from apps.ledger import transfer as rules
from apps.ledger.account import Balance, is_internal
from apps.ledger.entries import Entry, EntryKind, MonthOpening
from apps.ledger.transfer import FIRST_LOOK, Attempt, Kind, Status, Transfer, iso
from apps.pix import limits

NAMESPACE = UUID("6f3c2a52-4c0e-5d0b-9f0e-2c3d5b1f7a90")
REASON_LOST = "reason_lost"
"""Why a transfer was rejected of which only an entry says that it was."""

STATUS_OF: Mapping[str, Status] = {
    rules.HELD: "HELD",
    rules.SENT: "SENT",
    rules.ACCEPTED: "ACCEPTED",
    rules.SETTLED: "SETTLED",
    rules.REJECTED: "REJECTED",
}
_SAID_BY: Mapping[EntryKind, Status] = {
    "hold": "HELD",
    "accept": "ACCEPTED",
    "release": "REJECTED",
    "reject": "REJECTED",
    "debit": "SETTLED",
    "credit": "SETTLED",
}
_RANK: Mapping[Status, int] = {"HELD": 0, "ACCEPTED": 0, "SENT": 1, "SETTLED": 2, "REJECTED": 2}


@dataclass(frozen=True)
class Finding:
    """One thing that was mended, or that cannot be. `what` is a stable code, `detail` is for people."""

    what: str
    detail: str
    transfer_id: str | None = None
    account_id: str | None = None

    def __str__(self) -> str:
        about = [f"transfer {self.transfer_id}"] if self.transfer_id else []
        about += [f"account {self.account_id}"] if self.account_id else []
        return ": ".join([", ".join(about) or "the ledger", self.what, self.detail])


@dataclass
class Records:
    """All that was read. Events by transfer and by the status that they tell; end-to-end ids and charges by
    the transfer that has them."""

    balances: dict[str, Balance] = field(default_factory=dict)
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    openings: dict[str, dict[str, MonthOpening]] = field(default_factory=dict)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    events: dict[str, dict[Status, Event]] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    charges: dict[str, str | None] = field(default_factory=dict)
    unreadable: list[Finding] = field(default_factory=list)

    def naming(self) -> dict[str, list[Entry]]:
        """The entries of all accounts by the transfer that they name."""
        found: dict[str, list[Entry]] = {}
        for entries in self.entries.values():
            for entry in entries:
                if entry.transfer_id is not None:
                    found.setdefault(entry.transfer_id, []).append(entry)
        return found


@dataclass(frozen=True)
class Stood:
    """A transfer as it stood before the restore. `mended` says what was put back, `left` what is lost."""

    transfer: Transfer | None
    mended: Sequence[Finding] = ()
    left: Sequence[Finding] = ()


@dataclass(frozen=True)
class Needed:
    """One write to one balance that a transfer must have made, at its first step (0) or when decided (1); or,
    without a transfer, that opened the account."""

    account_id: str
    transfer_id: str | None
    kind: EntryKind
    step: int
    at: str
    available: int = 0
    on_hold: int = 0


def event_id(transfer_id: str, status: Status) -> str:
    """The id of an event whose own is lost: the same one in every repair."""
    return str(uuid5(NAMESPACE, f"{transfer_id}\n{status}"))


def stood(transfer_id: str, records: Records, entries: Sequence[Entry], lifetime: timedelta) -> Stood:
    """How a transfer stood, by all that is left of it."""
    item = records.transfers.get(transfer_id)
    told = records.events.get(transfer_id, {})
    said = {*told, *(_SAID_BY[each.kind] for each in entries if each.kind in _SAID_BY)}
    said |= {item.status} if item is not None else set()
    if {"SETTLED", "REJECTED"} <= said or {"HELD", "ACCEPTED"} <= said:
        detail = f"what is left says {', '.join(sorted(said))}, and no transfer was all of that"
        return _lost("contradiction", detail, transfer_id)
    status = max(said, key=lambda each: _RANK[each])
    if item is None:
        return _put_back(transfer_id, status, records, entries, lifetime)
    return Stood(item) if _RANK[item.status] >= _RANK[status] else _advanced(item, status, told, entries)


def _put_back(
    transfer_id: str, status: Status, records: Records, entries: Sequence[Entry], lifetime: timedelta
) -> Stood:
    """A transfer whose item is lost, by its events."""
    told = records.events.get(transfer_id, {})
    if not told:
        return _lost("transfer_lost", "only entries name it: who was paid is not known", transfer_id)
    first = min(told.values(), key=lambda each: each.time)
    if first.data.get("rail", "spi") is not None:
        return _lost("payment_lost", "who pays whom at another bank stood on its item alone", transfer_id)
    rebuilt = _rebuilt(first, records, lifetime)
    if rebuilt is None:
        return _lost("transfer_lost", "an account of its parties is lost", transfer_id)
    mended = Finding("transfer", f"put back as {status}, by its events{_forgotten(rebuilt)}", transfer_id)
    if status == "HELD":
        return Stood(rebuilt, (mended,))
    return replace(_advanced(rebuilt, status, told, entries), mended=(mended,))


def _forgotten(rebuilt: Transfer) -> str:
    """What a rebuilt transfer no longer knows: a grant was asked for by nobody."""
    if rebuilt.kind == "grant":
        return ""
    return "; its request's hash and first answer are lost, so its key is answered `idempotency_key_reused`"


def _lost(what: str, detail: str, transfer_id: str) -> Stood:
    return Stood(None, left=(Finding(what, detail, transfer_id),))


def _rebuilt(event: Event, records: Records, lifetime: timedelta) -> Transfer | None:
    """The transfer as HELD, by any of its events."""
    data = event.data
    payer, payee = str(data["payer"]), str(data["payee"])
    owners = {each: _owner(each, records) for each in (payer, payee)}
    payer_owner, payee_owner = owners[payer], owners[payee]
    if payer_owner is None or payee_owner is None:
        return None
    amount = data["amount_cents"]
    assert isinstance(amount, int)
    created = datetime.fromisoformat(str(data["created_at"]))
    transfer_id = event.subject
    held = records.events[transfer_id].get("HELD", event)
    return Transfer(
        transfer_id=transfer_id,
        kind=_kind(data["kind"]),
        status="HELD",
        payer=payer,
        payee=payee,
        payer_owner=payer_owner,
        payee_owner=payee_owner,
        amount_cents=amount,
        description=_text(data["description"]),
        end_to_end_id=_text(data["end_to_end_id"]),
        created_at=str(data["created_at"]),
        expires_at=iso(created + lifetime),
        due_at=iso(created + FIRST_LOOK),
        looks=0,
        decided_at=None,
        reason=None,
        request_hash="",
        request_id=event.request_id,
        event_id=held.id,
        original_transfer_id=_text(data.get("original_transfer_id")),
        limit_period=_period(data, records, amount, created),
        charge_id=next((each for each, by in records.charges.items() if by == transfer_id), None),
    )


def _period(data: Mapping[str, object], records: Records, amount: int, created: datetime) -> str | None:
    """The period whose limit the amount counts in, unless the payer's balance does not show it."""
    payer, payee = (records.balances.get(str(data[each])) for each in ("payer", "payee"))
    if data["kind"] != "transfer" or payer is None or payee is None or payer.internal:
        return None
    name = limits.period(payer.allowed, payee.holder, created).name
    return name if payer.used.holds(name, amount) else None


def _owner(account_id: str, records: Records) -> str | None:
    if is_internal(account_id):
        return ""
    found = records.balances.get(account_id)
    return found.owner if found is not None else None


def _advanced(
    before: Transfer, status: Status, told: Mapping[Status, Event], entries: Sequence[Entry]
) -> Stood:
    """The transfer at the later status that events or entries prove."""
    event = told.get(status)
    times = [each.at for each in entries if _SAID_BY.get(each.kind) == status]
    at = event.time if event is not None else min(times)
    attempt = Attempt(
        datetime.fromisoformat(at), event.id if event is not None else event_id(before.transfer_id, status)
    )
    mended = Finding("status", f"{before.status} becomes {status}", before.transfer_id)
    if status == "SENT":
        # Nobody sends it again, long after its forty seconds; whoever finds it asks the SPI.
        sent = replace(
            before,
            status="SENT",
            accepted_at=at,
            due_at=iso(attempt.now + FIRST_LOOK),
            looks=0,
            event_id=attempt.event_id,
        )
        detail = "the bytes of its order are lost: the SPI will be asked what became of it"
        return Stood(sent, (mended,), (Finding("order_lost", detail, before.transfer_id),))
    reason = None
    if status == "REJECTED":
        reason = _text(event.data["reason"]) if event is not None else REASON_LOST
    decided = rules.decided(before, status, reason, attempt)
    if (decided.kind, status) == ("transfer", "SETTLED"):
        decided = replace(decided, returnable_cents=decided.amount_cents)
    return Stood(decided, (mended,))


def needed(transfer: Transfer) -> list[Needed]:
    """Every write to a balance that the transfer, as it stands, must have made."""
    one, amount = transfer.transfer_id, transfer.amount_cents
    payer, payee, begun, ended = transfer.payer, transfer.payee, transfer.created_at, transfer.decided_at
    if transfer.incoming:
        found = [Needed(payee, one, "accept", 0, begun)]
        if transfer.status == "REJECTED":
            found.append(Needed(payee, one, "reject", 1, ended or begun))
        taken = Needed(payer, one, "debit", 1, ended or begun, available=-amount)
    else:
        found = [Needed(payer, one, "hold", 0, begun, available=-amount, on_hold=amount)]
        if transfer.status == "REJECTED":
            found.append(Needed(payer, one, "release", 1, ended or begun, available=amount, on_hold=-amount))
        taken = Needed(payer, one, "debit", 1, ended or begun, on_hold=-amount)
    if transfer.status == "SETTLED":
        found += [taken, Needed(payee, one, "credit", 1, ended or begun, available=amount)]
    return found


def missing_events(transfer: Transfer, told: Mapping[Status, Event], since: str) -> list[Event]:
    """The transfer's events, younger than `since`, of which no table knows any more."""
    steps: list[tuple[Status, str | None]] = [
        ("ACCEPTED" if transfer.incoming else "HELD", transfer.created_at),
        ("SENT", None if transfer.incoming else transfer.accepted_at),
    ]
    if transfer.decided_at is not None:
        steps.append((transfer.status, transfer.decided_at))
    return [
        _event(transfer, status, at)
        for status, at in steps
        if at is not None and at > since and status not in told
    ]


def _event(transfer: Transfer, status: Status, at: str) -> Event:
    its_own = transfer.event_id if status == transfer.status else event_id(transfer.transfer_id, status)
    then = transfer
    if status != transfer.status:
        then = replace(transfer, status=status, decided_at=None, reason=None)
    return rules.event_of(then, Attempt(datetime.fromisoformat(at), its_own))


def _kind(said: object) -> Kind:
    match said:
        case "transfer" | "grant" | "return":
            return said
        case _:
            raise ValueError(said)


def _text(said: object) -> str | None:
    return said if isinstance(said, str) else None

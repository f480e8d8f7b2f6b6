"""Accounts over HTTP: open, list, look at, close; statements, history, and all balances in one place."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from apps.account import statement
from apps.account.account import INSTITUTION, AccountType, Opening, Profile, view
from apps.account.linked import BadCursor, Linked, LinkedAway, LinkedBalance, LinkedEntry, NotLinked
from apps.account.statement import Cursor, Period, Question
from apps.account.store import AccountStore
from apps.kit.dynamo import Deadline, OutcomeUnknown
from apps.kit.logs import request_id
from apps.kit.printable import PRINTABLE
from apps.kit.problems import Problem, responses
from apps.kit.service import CallerDep, IdempotencyKeyDep
from apps.ledger.account import Balance, Refusal
from apps.ledger.entries import STATEMENT_KINDS, AccountStatus, Entry, EntryKind
from apps.ledger.transfer import iso
from apps.pix.tax_id import normalised

OPEN_SECONDS = CLOSE_SECONDS = 4
LINKED_SECONDS = 3.0
"""The longest that anybody waits for other banks before seeing what is here."""
MAX_PAGE = 200
CURRENCY = "BRL"

router = APIRouter(tags=["accounts"])
_log = logging.getLogger(__name__)


class AccountService:
    """What the endpoints share: the store, who we are, who knows of other banks, and the time."""

    def __init__(
        self,
        store: AccountStore,
        ispb: str,
        linked: Linked,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self.ispb = ispb
        self.linked = linked
        self.now = now

    def owned(self, account_id: UUID, subject: str) -> Profile:
        """The caller's account. What is not theirs does not exist for them."""
        profile = self.store.profile(str(account_id))
        if profile is None or profile.owner != subject:
            raise Problem(404, "account_not_found", "You have no such account.")
        return profile


async def _service(request: Request) -> AccountService:
    service: AccountService = request.app.state.service
    return service


ServiceDep = Annotated[AccountService, Depends(_service)]


class OpenAccount(BaseModel):
    """A request to open an account."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=PRINTABLE),
    ] = Field(examples=["Ana Souza"])
    tax_id: Annotated[str, StringConstraints(max_length=20), AfterValidator(normalised)] = Field(
        description="CPF or CNPJ, with or without punctuation", examples=["529.982.247-25"]
    )
    account_type: AccountType = Field(description="Current, savings or payment account")


class Institution(BaseModel):
    """A bank, by its ISPB."""

    ispb: str
    name: str


class AccountView(BaseModel):
    """An account as its owner sees it."""

    account_id: UUID
    name: str
    tax_id: str
    account_type: AccountType
    institution: Institution
    branch: str
    number: str
    opened_at: datetime


class AccountWithBalance(AccountView):
    """An account and what is on it, in centavos. A BLOCKED one neither pays nor is paid; a CLOSED one has
    ended."""

    status: AccountStatus
    available_cents: int
    on_hold_cents: int


class AccountList(BaseModel):
    """All accounts of the caller, oldest first."""

    accounts: list[AccountWithBalance]


class EntryView(BaseModel):
    """One write to the account: as a rule a debit or a credit. `available_after_cents` is what was available
    right after it. Another bank tells neither that nor a number, but its own `reference` and what it calls
    the entry."""

    seq: int | None
    kind: EntryKind
    transfer_id: UUID | None
    amount_cents: int
    currency: str = CURRENCY
    available_after_cents: int | None
    on_hold_after_cents: int | None
    at: datetime
    description: str | None = None
    reference: str | None = None


class Statement(BaseModel):
    """A page of entries, newest first. `cursor` asks for the next one and is absent on the last; a page that
    has one may be short, or even empty. `stale` marks what another bank did not refresh after `as_of`."""

    account_id: UUID
    entries: list[EntryView]
    cursor: str | None = None
    stale: bool = False
    as_of: datetime | None = None


class PastBalance(BaseModel):
    """What was on an account at a moment, after its entry number `seq`."""

    account_id: UUID
    at: datetime
    available_cents: int
    on_hold_cents: int
    seq: int


class BalanceView(BaseModel):
    """What is on one account. `link_id` is there for one at another bank; `stale` marks a figure that the
    bank did not refresh, and without a figure it has never told one."""

    account_id: UUID
    link_id: UUID | None = None
    institution: str
    currency: str
    available_cents: int | None
    on_hold_cents: int | None
    as_of: datetime | None
    stale: bool


class Total(BaseModel):
    """What is available in one currency."""

    currency: str
    total_cents: int


class Balances(BaseModel):
    """Every account of the caller that is not closed, at every bank, and their sums. `total_cents` is the one
    in reais. `complete` is false while an account is missing or a figure was never told."""

    total_cents: int
    totals: list[Total]
    complete: bool
    accounts: list[BalanceView]


@router.post(
    "/accounts",
    status_code=201,
    response_model=AccountView,
    responses=responses(
        "idempotency_key_missing",
        "idempotency_key_reused",
        "tax_id_bound",
        "unavailable",
        "outcome_unknown",
        "record_damaged",
    ),
)
def open_account(
    body: OpenAccount, caller: CallerDep, key: IdempotencyKeyDep, service: ServiceDep
) -> Response:
    """Open an account. The first one binds the login to the tax id, for good and both ways."""
    opening = Opening(
        subject=caller.subject,
        name=body.name,
        tax_id=body.tax_id,
        account_type=body.account_type,
        key=key,
        request_id=request_id(),
    )
    try:
        profile, replayed = service.store.open(
            opening,
            lambda opened: json.dumps(view(opened, service.ispb), ensure_ascii=False),
            Deadline.after(OPEN_SECONDS),
        )
    except Refusal as refusal:
        # Final: a binding is for good, so no attempt under this key can ever open the account.
        raise Problem(409, refusal.code, refusal.detail, final=True) from refusal
    except OutcomeUnknown as error:
        raise Problem(
            504,
            "outcome_unknown",
            "The account may be open or not. Repeat the request with the same Idempotency-Key.",
            headers={"Retry-After": "1"},
            account_id=opening.account_id,
        ) from error
    if profile.request_hash != opening.request_hash:
        raise Problem(
            422, "idempotency_key_reused", "This Idempotency-Key opened another account.", final=True
        )
    headers = {"Location": f"/accounts/{profile.account_id}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(profile.answer, 201, headers, "application/json")


@router.get("/accounts", responses=responses("unavailable", "record_damaged"))
def list_accounts(caller: CallerDep, service: ServiceDep) -> AccountList:
    """All your accounts here, closed ones too, with what is on them."""
    profiles = service.store.owned_by(caller.subject)
    balances = service.store.balances_of(each.account_id for each in profiles)
    return AccountList(accounts=[_with(each, balances[each.account_id], service) for each in profiles])


@router.get(
    "/accounts/{account_id}", responses=responses("account_not_found", "unavailable", "record_damaged")
)
def get_account(account_id: UUID, caller: CallerDep, service: ServiceDep) -> AccountWithBalance:
    """One of your accounts, with what is on it."""
    profile = service.owned(account_id, caller.subject)
    return _with(profile, service.store.balance(profile.account_id), service)


@router.delete(
    "/accounts/{account_id}",
    status_code=204,
    responses=responses(
        "account_not_found",
        "account_not_empty",
        "account_blocked",
        "account_frozen",
        "unavailable",
        "outcome_unknown",
        "record_damaged",
    ),
)
def close_account(account_id: UUID, caller: CallerDep, service: ServiceDep) -> Response:
    """Close one of your accounts, for good. It must be empty: nothing available, on hold, or on its way from
    another bank. What it was stays to be read. Closing it again changes nothing."""
    profile = service.owned(account_id, caller.subject)
    try:
        service.store.close(profile.account_id, Deadline.after(CLOSE_SECONDS))
    except Refusal as refusal:
        raise Problem(409, refusal.code, refusal.detail, facts=refusal.facts) from refusal
    except OutcomeUnknown as error:
        raise Problem(
            504,
            "outcome_unknown",
            "The account may be closed or not. Repeat the request.",
            headers={"Retry-After": "1"},
            account_id=profile.account_id,
        ) from error
    return Response(status_code=204)


@router.get(
    "/accounts/{account_id}/entries",
    responses=responses("account_not_found", "link_not_active", "unavailable", "record_damaged"),
)
def list_entries(
    account_id: UUID,
    caller: CallerDep,
    service: ServiceDep,
    request: Request,
    first: Annotated[date | None, Query(alias="from", description="First day, UTC")] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day, UTC")] = None,
    kind: Annotated[
        list[EntryKind] | None, Query(description="Debits and credits if absent", max_length=10)
    ] = None,
    cursor: Annotated[str | None, Query(max_length=300, description="From the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> Statement:
    """Debits and credits of one of your accounts, here or linked, newest first; with `kind`, other entries of
    an account here too.

    A cursor goes on with the question of its first page: `from`, `to` and `kind` beside it are left out, or
    are the same again.
    """
    asked = Question(Period(first, last), frozenset(kind or STATEMENT_KINDS))
    profile = service.store.profile(str(account_id))
    if profile is None or profile.owner != caller.subject:
        elsewhere = {"from": first, "to": last, "cursor": cursor, "limit": limit}
        query = {name: str(value) for name, value in elsewhere.items() if value is not None}
        return _linked_entries(service, request, account_id, query, asked.kinds)
    place = _read(cursor, asked) if cursor is not None else None
    store = service.store
    page = statement.page(
        store.balance(profile.account_id),
        place.question if place else asked,
        place,
        limit,
        lambda month, below, count: store.entries_before(profile.account_id, month, below, count),
    )
    return Statement(
        account_id=account_id,
        entries=[_entry(entry) for entry in page.entries],
        cursor=page.following.opaque() if page.following else None,
    )


@router.get(
    "/accounts/{account_id}/balance",
    responses=responses("account_not_found", "before_opening", "unavailable", "record_damaged"),
)
def get_past_balance(
    account_id: UUID,
    caller: CallerDep,
    service: ServiceDep,
    at: Annotated[
        AwareDatetime | None,
        Query(description="A moment with its offset, not in the future; now if absent"),
    ] = None,
) -> PastBalance:
    """What was on one of your accounts at a moment. Before it was opened there was nothing, not even zero."""
    profile = service.owned(account_id, caller.subject)
    now = service.now()
    if at is not None and at > now:
        raise _not_valid("query.at", "must not be in the future")
    balance = service.store.balance(profile.account_id)
    if at is None:
        seq, available, on_hold = balance.seq, balance.available, balance.on_hold
    elif at < datetime.fromisoformat(balance.opened_at):
        raise Problem(
            404, "before_opening", "The account was not open at that moment.", opened_at=balance.opened_at
        )
    else:
        then = service.store.at_moment(balance, iso(at))
        seq, available, on_hold = then.seq, then.available, then.on_hold
    return PastBalance(
        account_id=account_id,
        at=at or datetime.fromisoformat(iso(now)),
        available_cents=available,
        on_hold_cents=on_hold,
        seq=seq,
    )


@router.get("/balances", responses=responses("unavailable", "record_damaged"))
def get_balances(caller: CallerDep, service: ServiceDep, request: Request) -> Balances:
    """What you have, here and at the banks that you have linked, in one place."""
    asked = service.linked.balances(_authorization(request))
    ids = [each.account_id for each in service.store.owned_by(caller.subject)]
    found = service.store.balances_of(ids)
    accounts = [_balance(found[each], service) for each in ids if found[each].status != "CLOSED"]
    try:
        accounts += [_linked_balance(each) for each in asked.result(LINKED_SECONDS)]
        complete = all(each.available_cents is not None for each in accounts)
    except (LinkedAway, NotLinked, BadCursor, TimeoutError) as error:
        # What is here never waits for what is elsewhere.
        _log.warning("linked accounts are missing", extra={"error": type(error).__name__})
        complete = False
    totals = {CURRENCY: 0}
    for each in accounts:
        totals[each.currency] = totals.get(each.currency, 0) + (each.available_cents or 0)
    return Balances(
        total_cents=totals[CURRENCY],
        totals=[Total(currency=name, total_cents=cents) for name, cents in sorted(totals.items())],
        complete=complete,
        accounts=accounts,
    )


def _read(cursor: str, asked: Question) -> Cursor:
    """The place that a client goes on from. What it asks for beside it must be what it asked for at first."""
    try:
        place = Cursor.read(cursor)
    except ValueError as error:
        raise _not_valid("query.cursor", str(error)) from error
    if asked not in {Question(), place.question}:
        raise _not_valid("query.cursor", "belongs to a page with another from, to or kind")
    return place


def _not_valid(where: str, message: str) -> Problem:
    return Problem(
        422,
        "invalid_request",
        "The request is not valid.",
        errors=[{"where": where, "message": message}],
    )


def _with(profile: Profile, balance: Balance, service: AccountService) -> AccountWithBalance:
    return AccountWithBalance.model_validate(view(profile, service.ispb, balance))


def _authorization(request: Request) -> str:
    return request.headers.get("authorization", "")


def _linked_entries(
    service: AccountService,
    request: Request,
    account_id: UUID,
    query: dict[str, str],
    kinds: frozenset[EntryKind],
) -> Statement:
    """A page of a linked account's statement; whoever has no such account, here or linked, gets a 404."""
    try:
        page = service.linked.entries(_authorization(request), account_id, query)
    except NotLinked as error:
        if error.ended:
            raise Problem(409, "link_not_active", "The link of this account has ended.") from error
        raise Problem(404, "account_not_found", "You have no such account.") from error
    except BadCursor as error:
        raise _not_valid("query.cursor", str(error)) from error
    except LinkedAway as error:
        raise Problem(
            503, "unavailable", "Other banks cannot be asked. Try again.", headers={"Retry-After": "1"}
        ) from error
    return Statement(
        account_id=account_id,
        entries=[_linked_entry(each) for each in page.entries if each.kind in kinds],
        cursor=page.cursor,
        stale=page.stale,
        as_of=page.as_of,
    )


def _linked_balance(linked: LinkedBalance) -> BalanceView:
    return BalanceView.model_validate(linked.model_dump())


def _linked_entry(entry: LinkedEntry) -> EntryView:
    return EntryView(
        seq=None,
        kind=entry.kind,
        transfer_id=None,
        amount_cents=entry.amount_cents,
        currency=entry.currency,
        available_after_cents=None,
        on_hold_after_cents=None,
        at=entry.at,
        description=entry.description,
        reference=entry.entry_id,
    )


def _balance(balance: Balance, service: AccountService) -> BalanceView:
    return BalanceView(
        account_id=UUID(balance.account_id),
        institution=INSTITUTION,
        currency=CURRENCY,
        available_cents=balance.available,
        on_hold_cents=balance.on_hold,
        as_of=datetime.fromisoformat(iso(service.now())),
        stale=False,
    )


def _entry(entry: Entry) -> EntryView:
    return EntryView.model_validate(
        {
            "seq": entry.seq,
            "kind": entry.kind,
            "transfer_id": entry.transfer_id,
            "amount_cents": max(abs(entry.delta_available), abs(entry.delta_on_hold)),
            "available_after_cents": entry.available_after,
            "on_hold_after_cents": entry.on_hold_after,
            "at": entry.at,
        }
    )

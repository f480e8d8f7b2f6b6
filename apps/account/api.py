"""Accounts over HTTP: open, list, look at one, its statement, and all balances in one place."""

import json
from datetime import UTC, date, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from apps.account import statement
from apps.account.account import INSTITUTION, AccountType, Opening, Profile, view
from apps.account.statement import Cursor, Period
from apps.account.store import AccountStore
from apps.account.tax_id import normalised
from apps.kit.dynamo import Deadline, OutcomeUnknown
from apps.kit.logs import request_id
from apps.kit.printable import PRINTABLE
from apps.kit.problems import Problem, responses
from apps.kit.service import CallerDep, IdempotencyKeyDep
from apps.ledger.account import Balance, Refusal
from apps.ledger.entries import Entry
from apps.ledger.transfer import iso

OPEN_SECONDS = 4
MAX_PAGE = 200

router = APIRouter(tags=["accounts"])


class AccountService:
    """What the endpoints share: the store and who we are."""

    def __init__(self, store: AccountStore, ispb: str) -> None:
        self.store = store
        self.ispb = ispb

    def owned(self, account_id: UUID, subject: str) -> Profile:
        """The caller's account. What is not theirs does not exist for them."""
        profile = self.store.profile(str(account_id))
        if profile is None or profile.owner != subject:
            raise Problem(404, "account_not_found", "You have no such account.")
        return profile


def _service(request: Request) -> AccountService:
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
    """An account and what is on it, in centavos."""

    available_cents: int
    on_hold_cents: int


class AccountList(BaseModel):
    """All accounts of the caller, oldest first."""

    accounts: list[AccountWithBalance]


class EntryView(BaseModel):
    """A debit or a credit. `available_after_cents` is what was available right after it."""

    seq: int
    kind: Literal["debit", "credit"]
    transfer_id: UUID | None
    amount_cents: int
    available_after_cents: int
    on_hold_after_cents: int
    at: datetime


class Statement(BaseModel):
    """A page of entries, newest first. `cursor` asks for the next one and is absent on the last; a page that
    has one may be short, or even empty."""

    account_id: UUID
    entries: list[EntryView]
    cursor: str | None = None


class BalanceView(BaseModel):
    """What is on one account. `stale` marks a figure that another bank did not refresh."""

    account_id: UUID
    institution: str
    available_cents: int
    on_hold_cents: int
    as_of: datetime
    stale: bool


class Balances(BaseModel):
    """Every account of the caller, at every bank, and their sum."""

    total_cents: int
    accounts: list[BalanceView]


@router.post(
    "/accounts",
    status_code=201,
    response_model=AccountView,
    responses=responses(
        "idempotency_key_missing", "idempotency_key_reused", "tax_id_bound", "unavailable", "outcome_unknown"
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


@router.get("/accounts", responses=responses("unavailable"))
def list_accounts(caller: CallerDep, service: ServiceDep) -> AccountList:
    """All your accounts here, with what is on them."""
    profiles = service.store.owned_by(caller.subject)
    return AccountList(accounts=[_with_balance(service, profile) for profile in profiles])


@router.get("/accounts/{account_id}", responses=responses("account_not_found", "unavailable"))
def get_account(account_id: UUID, caller: CallerDep, service: ServiceDep) -> AccountWithBalance:
    """One of your accounts, with what is on it."""
    return _with_balance(service, service.owned(account_id, caller.subject))


@router.get("/accounts/{account_id}/entries", responses=responses("account_not_found", "unavailable"))
def list_entries(
    account_id: UUID,
    caller: CallerDep,
    service: ServiceDep,
    first: Annotated[date | None, Query(alias="from", description="First day, UTC")] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day, UTC")] = None,
    cursor: Annotated[str | None, Query(max_length=64, description="From the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> Statement:
    """Debits and credits of one of your accounts, newest first."""
    profile = service.owned(account_id, caller.subject)
    try:
        place = Cursor.read(cursor) if cursor is not None else None
    except ValueError as error:
        raise Problem(
            422,
            "invalid_request",
            "The request is not valid.",
            errors=[{"where": "query.cursor", "message": str(error)}],
        ) from error
    store = service.store
    page = statement.page(
        store.balance(profile.account_id),
        Period(first, last),
        place,
        limit,
        lambda month, below, count: store.entries_before(profile.account_id, month, below, count),
    )
    return Statement(
        account_id=account_id,
        entries=[_entry(entry) for entry in page.entries],
        cursor=page.following.opaque() if page.following else None,
    )


@router.get("/balances", responses=responses("unavailable"))
def get_balances(caller: CallerDep, service: ServiceDep) -> Balances:
    """What you have, in one place."""
    balances = [service.store.balance(each.account_id) for each in service.store.owned_by(caller.subject)]
    return Balances(
        total_cents=sum(balance.available for balance in balances),
        accounts=[_balance(balance) for balance in balances],
    )


def _with_balance(service: AccountService, profile: Profile) -> AccountWithBalance:
    balance = service.store.balance(profile.account_id)
    return AccountWithBalance.model_validate(view(profile, service.ispb, balance))


def _balance(balance: Balance) -> BalanceView:
    return BalanceView(
        account_id=UUID(balance.account_id),
        institution=INSTITUTION,
        available_cents=balance.available,
        on_hold_cents=balance.on_hold,
        as_of=datetime.fromisoformat(iso(datetime.now(UTC))),
        stale=False,
    )


def _entry(entry: Entry) -> EntryView:
    return EntryView.model_validate(
        {
            "seq": entry.seq,
            "kind": entry.kind,
            "transfer_id": entry.transfer_id,
            "amount_cents": abs(entry.delta_available + entry.delta_on_hold),
            "available_after_cents": entry.available_after,
            "on_hold_after_cents": entry.on_hold_after,
            "at": entry.at,
        }
    )

"""Open Finance over HTTP: banks, links, payments from other banks, and what the account service shows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from apps.kit.money import AmountCents
from apps.kit.printable import PRINTABLE
from apps.kit.problems import Problem, responses
from apps.kit.service import CallerDep, IdempotencyKeyDep
from apps.open_finance import consent
from apps.open_finance.access import LinkEnded
from apps.open_finance.balances import LinkedBalances, Seen
from apps.open_finance.callbacks import Callbacks
from apps.open_finance.calls import BankRefused
from apps.open_finance.consent import (
    AUTHORISE_LINK_WITHIN,
    LONGEST,
    IncompletePermissions,
    Link,
    LinkedAccount,
    LinkStatus,
)
from apps.open_finance.documents import Movement
from apps.open_finance.initiations import BadDay, Initiations, NotCancellable, Wish
from apps.open_finance.links import KeyReused, Links, Returned
from apps.open_finance.payees import TOLD, Payees
from apps.open_finance.payment import Creditor, Initiation, Status
from apps.open_finance.statements import LinkedStatements

MAX_PAGE = 200
ASKING = ("bank_unknown", "bank_refused", "tax_id_unknown", "unavailable", "bank_unavailable")
ANSWERS = (*ASKING, "bank_answer_invalid", "outcome_unknown")

router = APIRouter(tags=["open finance"])


@dataclass(frozen=True)
class OpenFinanceService:
    """What the endpoints share."""

    links: Links
    balances: LinkedBalances
    statements: LinkedStatements
    initiations: Initiations
    callbacks: Callbacks
    payees: Payees
    now: Callable[[], datetime]

    def link(self, link_id: UUID, owner: str) -> Link:
        """The caller's link. What is not theirs does not exist for them."""
        found = self.links.owned(owner, str(link_id))
        if found is None:
            raise Problem(404, "link_not_found", "You have no such link.")
        return found

    def account(self, account_id: UUID, owner: str) -> tuple[Link, LinkedAccount]:
        """The caller's linked account, whose link stands."""
        link = self.links.store.link_of_account(str(account_id))
        if link is None or link.owner != owner:
            raise Problem(404, "account_not_found", "You have no such account.")
        if self.links.now(link).status != "ACTIVE":
            raise Problem(409, "link_not_active", "The link of this account has ended. Make a new one.")
        return link, next(each for each in link.accounts if each.account_id == str(account_id))

    def initiation(self, initiation_id: UUID, owner: str) -> Initiation:
        """The caller's initiation."""
        found = self.initiations.owned(owner, str(initiation_id))
        if found is None:
            raise Problem(404, "payment_initiation_not_found", "You have no such payment initiation.")
        return found


async def _service(request: Request) -> OpenFinanceService:
    service: OpenFinanceService = request.app.state.service
    return service


ServiceDep = Annotated[OpenFinanceService, Depends(_service)]


class Bank(BaseModel):
    """A bank that can be linked."""

    bank: str
    name: str
    ispb: str


class BankList(BaseModel):
    """All banks that can be linked, by name."""

    banks: list[Bank]


class RequestLink(BaseModel):
    """Which bank, and what may be read there: everything that we use if nothing is named."""

    model_config = ConfigDict(extra="forbid")

    bank: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        description="From GET /banks"
    )
    permissions: Annotated[list[str], Field(max_length=20)] | None = Field(
        default=None, examples=[["ACCOUNTS_READ", "ACCOUNTS_BALANCES_READ", "RESOURCES_READ"]]
    )
    expires_at: AwareDatetime | None = Field(default=None, description="A year from now if absent")


class LinkedAccountView(BaseModel):
    """An account at another bank."""

    account_id: UUID
    account_type: str
    branch: str
    number: str


class LinkView(BaseModel):
    """A link as its owner sees it. While it waits, `authorisation_url` is where to go, by `authorise_by`."""

    link_id: UUID
    bank: str
    institution: str
    status: LinkStatus
    permissions: list[str]
    created_at: datetime
    expires_at: datetime
    authorise_by: datetime | None
    authorisation_url: str | None
    accounts: list[LinkedAccountView]
    reason: str | None


class LinkList(BaseModel):
    """All links of the caller, oldest first."""

    links: list[LinkView]


class CallbackView(BaseModel):
    """What a visit at the bank came to."""

    link_id: UUID | None = None
    payment_initiation_id: UUID | None = None
    status: str


class PayBank(BaseModel):
    """Who is paid, by bank data."""

    model_config = ConfigDict(extra="forbid")

    ispb: Annotated[str, StringConstraints(pattern=r"^[0-9]{8}$")]
    branch: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}$")]
    number: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")] = Field(
        description="With its check digit, without a dash"
    )
    account_type: Annotated[str, StringConstraints(pattern=r"^(CACC|SVGS|TRAN)$")]
    tax_id: Annotated[str, StringConstraints(pattern=r"^([0-9]{11}|[0-9]{14})$")]
    name: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=PRINTABLE)]


class PayTo(BaseModel):
    """Who is paid: a Pix key, or bank data."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, StringConstraints(min_length=1, max_length=77, pattern=PRINTABLE)] | None = None
    bank: PayBank | None = None


def _one(to: PayTo) -> PayTo:
    if (to.key is None) == (to.bank is None):
        raise ValueError("name a key or a bank, one of them")
    return to


class RequestInitiation(BaseModel):
    """From which linked account, to whom, and how much."""

    model_config = ConfigDict(extra="forbid")

    from_account: UUID = Field(description="A linked account")
    to: Annotated[PayTo, AfterValidator(_one)]
    amount_cents: AmountCents
    description: Annotated[str, StringConstraints(min_length=1, max_length=140, pattern=PRINTABLE)] | None = (
        None
    )
    scheduled_for: date | None = Field(default=None, description="A later day; today if absent")


class InitiationView(BaseModel):
    """A payment from another bank. `bank_status` is that bank's own word for where it is."""

    payment_initiation_id: UUID
    status: Status
    bank_status: str | None
    from_account: UUID
    institution: str
    payee: str
    amount_cents: int
    description: str | None
    scheduled_for: date | None
    end_to_end_id: str
    created_at: datetime
    authorisation_url: str | None
    reason: str | None


class InitiationList(BaseModel):
    """All payment initiations of the caller, oldest first, as they were last seen."""

    payment_initiations: list[InitiationView]


class LinkedBalance(BaseModel):
    """What is known of one linked account. Without a figure no bank has told one yet."""

    link_id: UUID
    account_id: UUID
    institution: str
    currency: str
    available_cents: int | None
    on_hold_cents: int | None
    as_of: datetime | None
    stale: bool


class LinkedBalanceList(BaseModel):
    """All linked accounts of the caller."""

    accounts: list[LinkedBalance]


class LinkedEntry(BaseModel):
    """A booked transaction of a linked account."""

    entry_id: str
    kind: str
    description: str
    amount_cents: int
    currency: str
    at: datetime


class LinkedStatement(BaseModel):
    """A page of them, newest first."""

    entries: list[LinkedEntry]
    cursor: str | None
    stale: bool
    as_of: datetime | None


@router.get("/banks", responses=responses("unavailable"))
def list_banks(caller: CallerDep, service: ServiceDep) -> BankList:  # noqa: ARG001 (signed in is enough)
    """The banks that you can link."""
    found = service.links.banks.directory.all()
    return BankList(banks=[Bank(bank=each.bank_id, name=each.name, ispb=each.ispb) for each in found])


@router.post(
    "/links",
    status_code=201,
    response_model=LinkView,
    responses=responses(
        "idempotency_key_missing", "idempotency_key_reused", "permissions_incomplete", *ANSWERS
    ),
)
def request_link(
    body: RequestLink, caller: CallerDep, key: IdempotencyKeyDep, service: ServiceDep, response: Response
) -> LinkView:
    """Ask for consent at another bank. Send the browser to `authorisation_url`; it waits for an hour."""
    try:
        permissions = consent.complete(body.permissions)
    except IncompletePermissions as error:
        raise Problem(
            422,
            "permissions_incomplete",
            "Ask for whole groups: accounts and resources, with balances, transactions or both.",
        ) from error
    now = service.now()
    if body.expires_at is not None and not now < body.expires_at <= now + LONGEST:
        raise invalid("body.expires_at", "must be in the future, within a year")
    try:
        link, replayed = service.links.start(caller.subject, key, body.bank, permissions, body.expires_at)
    except KeyReused as error:
        raise key_reused() from error
    except BankRefused as error:
        raise refused(error) from error
    _said(response, f"/links/{link.link_id}", replayed=replayed)
    return link_view(link)


@router.get("/links", responses=responses("unavailable"))
def list_links(caller: CallerDep, service: ServiceDep) -> LinkList:
    """Your links to other banks."""
    return LinkList(links=[link_view(each) for each in service.links.of(caller.subject)])


@router.get(
    "/links/callback",
    openapi_extra={"security": []},
    responses=responses("callback_refused", *ANSWERS),
)
def come_back(
    service: ServiceDep,
    state: Annotated[str, Query(min_length=1, max_length=200)],
    code: Annotated[str | None, Query(max_length=2000)] = None,
    error: Annotated[str | None, Query(max_length=200)] = None,
    iss: Annotated[str | None, Query(max_length=500)] = None,
) -> CallbackView:
    """Where a bank sends the browser back to. Works once for each visit; needs no token: `state` is one."""
    found = service.callbacks.take(Returned(state, code, error, iss))
    if isinstance(found, Link):
        return CallbackView(link_id=UUID(found.link_id), status=found.status)
    return CallbackView(payment_initiation_id=UUID(found.initiation_id), status=found.status)


@router.get("/links/{link_id}", responses=responses("link_not_found", "unavailable"))
def get_link(link_id: UUID, caller: CallerDep, service: ServiceDep) -> LinkView:
    """One of your links; its bank is asked whether it still stands."""
    link = service.link(link_id, caller.subject)
    return link_view(service.links.look_after(link) if link.status == "ACTIVE" else link)


@router.delete("/links/{link_id}", status_code=204, responses=responses("link_not_found", *ANSWERS))
def revoke_link(link_id: UUID, caller: CallerDep, service: ServiceDep) -> Response:
    """End a link: at the bank, and here with all that was read by it."""
    try:
        service.links.revoke(service.link(link_id, caller.subject))
    except BankRefused as error:
        raise refused(error) from error
    return Response(status_code=204)


@router.post(
    "/payment-initiations",
    status_code=201,
    response_model=InitiationView,
    responses=responses(
        "idempotency_key_missing",
        "idempotency_key_reused",
        "account_not_found",
        "link_not_active",
        "payee_not_found",
        *(code for code in TOLD if code != "account_not_found"),
        *ANSWERS,
    ),
)
def request_initiation(
    body: RequestInitiation,
    caller: CallerDep,
    key: IdempotencyKeyDep,
    service: ServiceDep,
    request: Request,
    response: Response,
) -> InitiationView:
    """Pay from an account at another bank. Send the browser to `authorisation_url` within five minutes."""
    link, account = service.account(body.from_account, caller.subject)
    wish = Wish(
        caller.subject,
        key,
        account.account_id,
        body.to.model_dump(mode="json"),
        _payee(body.to, service, request.headers.get("authorization", "")),
        body.amount_cents,
        body.description,
        body.scheduled_for,
    )
    try:
        initiation, replayed = service.initiations.start(wish, link)
    except KeyReused as error:
        raise key_reused() from error
    except BadDay as error:
        raise invalid("body.scheduled_for", "must be a later day, within two years") from error
    except BankRefused as error:
        raise refused(error) from error
    _said(response, f"/payment-initiations/{initiation.initiation_id}", replayed=replayed)
    return initiation_view(initiation)


@router.get("/payment-initiations", responses=responses("unavailable"))
def list_initiations(caller: CallerDep, service: ServiceDep) -> InitiationList:
    """Your payments from other banks, as they were last seen."""
    found = service.initiations.of(caller.subject)
    return InitiationList(payment_initiations=[initiation_view(each) for each in found])


@router.get(
    "/payment-initiations/{initiation_id}", responses=responses("payment_initiation_not_found", "unavailable")
)
def get_initiation(
    initiation_id: UUID, caller: CallerDep, service: ServiceDep, response: Response
) -> InitiationView:
    """One of them, as its bank has it now. While it is not final, `Retry-After` says when to look again."""
    found = service.initiation(initiation_id, caller.subject)
    if not found.final:
        response.headers["Retry-After"] = "1"
    return initiation_view(found)


@router.delete(
    "/payment-initiations/{initiation_id}",
    responses=responses("payment_initiation_not_found", "not_cancellable", *ANSWERS),
)
def cancel_initiation(initiation_id: UUID, caller: CallerDep, service: ServiceDep) -> InitiationView:
    """Cancel one that waits: for you, for its bank's checks, or for its day."""
    try:
        return initiation_view(service.initiations.cancel(service.initiation(initiation_id, caller.subject)))
    except NotCancellable as error:
        raise Problem(409, "not_cancellable", "The payment has gone too far, or not far enough.") from error
    except BankRefused as error:
        raise refused(error) from error


@router.get("/linked-accounts", include_in_schema=False)
def list_linked_balances(caller: CallerDep, service: ServiceDep) -> LinkedBalanceList:
    """For the account service, with the caller's own token: all linked accounts and their figures."""
    seen = service.balances.of(service.links.of(caller.subject))
    return LinkedBalanceList(accounts=[_balance(each) for each in seen])


@router.get("/linked-accounts/{account_id}/entries", include_in_schema=False)
def list_linked_entries(
    account_id: UUID,
    caller: CallerDep,
    service: ServiceDep,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> LinkedStatement:
    """For the account service, with the caller's own token: a page of a linked account's statement."""
    link, account = service.account(account_id, caller.subject)
    try:
        page = service.statements.page(link, account, (first, last), cursor, limit)
    except ValueError as error:
        raise invalid("query.cursor", str(error)) from error
    except LinkEnded as error:
        raise Problem(
            409, "link_not_active", "The link of this account has ended. Make a new one."
        ) from error
    return LinkedStatement(
        entries=[_entry(each) for each in page.movements],
        cursor=page.cursor,
        stale=page.stale,
        as_of=page.as_of,
    )


def refused(error: BankRefused) -> Problem:
    """A bank's no."""
    return Problem(409, "bank_refused", "The bank refuses; `bank_code` says why.", bank_code=error.code)


def key_reused() -> Problem:
    """Another request has this key."""
    return Problem(
        422, "idempotency_key_reused", "This Idempotency-Key belongs to another request.", final=True
    )


def invalid(where: str, message: str) -> Problem:
    """A request that only rules can tell to be wrong."""
    return Problem(
        422,
        "invalid_request",
        "The request is not valid; `errors` says where.",
        errors=[{"where": where, "message": message}],
    )


def link_view(link: Link) -> LinkView:
    """A link for its owner."""
    waits = link.status == "AWAITING_AUTHORISATION"
    return LinkView(
        link_id=UUID(link.link_id),
        bank=link.bank_id,
        institution=link.institution,
        status=link.status,
        permissions=sorted(link.permissions),
        created_at=link.created_at,
        expires_at=link.expires_at,
        authorise_by=link.created_at + AUTHORISE_LINK_WITHIN if waits else None,
        authorisation_url=link.authorisation_url,
        accounts=[_account(each) for each in link.accounts] if link.status == "ACTIVE" else [],
        reason=link.reason,
    )


def initiation_view(initiation: Initiation) -> InitiationView:
    """An initiation for its owner."""
    return InitiationView(
        payment_initiation_id=UUID(initiation.initiation_id),
        status=initiation.status,
        bank_status=initiation.bank_status,
        from_account=UUID(initiation.account_id),
        institution=initiation.institution,
        payee=initiation.creditor.name,
        amount_cents=initiation.amount_cents,
        description=initiation.description,
        scheduled_for=initiation.scheduled_for,
        end_to_end_id=initiation.end_to_end_id,
        created_at=initiation.created_at,
        authorisation_url=initiation.authorisation_url,
        reason=initiation.reason,
    )


def _said(response: Response, location: str, *, replayed: bool) -> None:
    response.headers["Location"] = location
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"


def _payee(to: PayTo, service: OpenFinanceService, authorization: str) -> Callable[[str], Creditor]:
    def find(end_to_end_id: str) -> Creditor:
        if to.bank is not None:
            return Creditor(**to.bank.model_dump())
        return service.payees.find(str(to.key), end_to_end_id, authorization)

    return find


def _account(account: LinkedAccount) -> LinkedAccountView:
    values: dict[str, Any] = vars(account)
    return LinkedAccountView.model_validate(values)


def _balance(seen: Seen) -> LinkedBalance:
    figures = seen.figures
    return LinkedBalance(
        link_id=UUID(seen.link.link_id),
        account_id=UUID(seen.account.account_id),
        institution=seen.link.institution,
        currency=figures.currency if figures else "BRL",
        available_cents=figures.available_cents if figures else None,
        on_hold_cents=figures.on_hold_cents if figures else None,
        as_of=figures.as_of if figures else None,
        stale=seen.stale,
    )


def _entry(movement: Movement) -> LinkedEntry:
    return LinkedEntry(
        entry_id=movement.transaction_id,
        kind="credit" if movement.credit else "debit",
        description=movement.description,
        amount_cents=movement.amount_cents,
        currency=movement.currency,
        at=movement.at,
    )

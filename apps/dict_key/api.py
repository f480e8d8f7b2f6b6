"""Pix keys over HTTP: whom a key leads to, your own keys, and claims.

`/internal/keys/lookup` is for the services that start payments, transaction and open_finance: the gateway has
no route to it, and nobody else has a way in. It says what a payment needs, the other answers say what people
may see.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from apps.dict_key.budget import Exhausted
from apps.dict_key.claim_rules import Action
from apps.dict_key.claims import ClaimRequest, Claims
from apps.dict_key.client import DictDown, DictLimited, DictRefused, NotRegistered
from apps.dict_key.entry import AccountType, ClaimStatus, ClaimType, OwnerType, Role
from apps.dict_key.holders import Holders
from apps.dict_key.items import ClaimRecord, Registration
from apps.dict_key.lookup import Lookup, Resolved
from apps.dict_key.refusals import Refusal, of_the_dict
from apps.dict_key.registration import KeyRequest, KeyReused, Registrations
from apps.dict_key.store import Changed, KeyStore
from apps.kit.dynamo import OutcomeUnknown
from apps.kit.problems import CODES, Problem, responses
from apps.kit.service import CallerDep, IdempotencyKeyDep
from apps.pix import end_to_end_id, keys, participants
from apps.pix.end_to_end_id import BadId
from apps.pix.keys import BadKey, Key, KeyType

LIMITED_SECONDS = 60
"""The DICT says nothing of when it counts anew; its periods are minutes."""
LOOKUPS = (
    "invalid_key",
    "key_not_found",
    "account_not_found",
    "lookup_limited",
    "dict_unavailable",
    "dict_timeout",
    "dict_bad_answer",
    "key_refused",
)
WRITES = (
    "idempotency_key_missing",
    "idempotency_key_reused",
    "invalid_key",
    "key_not_yours",
    "account_not_found",
    "key_exists",
    "key_limit",
    "key_locked",
    "key_taken",
    "key_refused",
    "dict_unavailable",
    "outcome_unknown",
)

router = APIRouter(tags=["keys"])


@dataclass(frozen=True)
class KeyService:
    """What the endpoints share."""

    lookup: Lookup
    registrations: Registrations
    claims: Claims
    store: KeyStore
    holders: Holders
    ispb: str

    def payer(self, subject: str) -> str:
        """The caller's document. Who has no account here looks nothing up."""
        tax_id = self.holders.tax_id(subject)
        if tax_id is None:
            raise Problem(404, "account_not_found", "Open an account first.")
        return tax_id


async def _service(request: Request) -> KeyService:
    service: KeyService = request.app.state.service
    return service


ServiceDep = Annotated[KeyService, Depends(_service)]
KeyText = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class LookUpKey(BaseModel):
    """A Pix key, in any usual spelling."""

    model_config = ConfigDict(extra="forbid")

    key: KeyText = Field(examples=["(11) 98765-4321", "pix@bcb.gov.br"])


class LookUpForPayment(LookUpKey):
    """A Pix key and the id that its payment will carry."""

    end_to_end_id: str


class KeyInstitution(BaseModel):
    """A participant of Pix. The name is missing where nobody here knows it."""

    ispb: str
    name: str | None


class KeyOwnerView(BaseModel):
    """Whom a key leads to, as the rules of Pix let a payer see it."""

    key: str
    key_type: KeyType
    name: str
    trade_name: str | None
    document: str = Field(description="A person's is masked", examples=["***.982.247-**"])
    institution: KeyInstitution


class PayeeView(BaseModel):
    """Whom a key leads to, as a payment needs it. `account_id` is there for an account of ours."""

    key: str
    key_type: KeyType
    participant: str
    branch: str | None
    number: str
    account_type: AccountType
    owner_type: OwnerType
    tax_id: str
    name: str
    account_id: str | None


class RegisterKey(BaseModel):
    """A key for one of your accounts. Type EVP takes none: the DICT makes it."""

    model_config = ConfigDict(extra="forbid")

    key_type: KeyType
    key: KeyText | None = None
    account_id: UUID


class KeyView(BaseModel):
    """One of your keys. `key` is missing while a random one is being made."""

    key_id: UUID
    key_type: KeyType
    key: str | None
    account_id: UUID
    status: Literal["PENDING", "ACTIVE", "DELETING"]
    created_at: datetime


class KeyList(BaseModel):
    """All your keys, oldest first."""

    keys: list[KeyView]


class OpenClaim(BaseModel):
    """A key of yours at another bank (PORTABILITY), or a phone that has become yours (OWNERSHIP)."""

    model_config = ConfigDict(extra="forbid")

    type: ClaimType
    key: KeyText
    account_id: UUID


class ClaimView(BaseModel):
    """A claim that concerns you. As DONOR you are asked for a key; as CLAIMER you ask."""

    claim_id: UUID
    role: Role
    type: ClaimType
    status: ClaimStatus | Literal["PENDING"]
    key_type: KeyType
    key: str
    account_id: UUID
    created_at: datetime
    resolution_ends: datetime | None
    completion_ends: datetime | None


class ClaimList(BaseModel):
    """All claims that concern you, oldest first."""

    claims: list[ClaimView]


@router.post("/keys/lookup", responses=responses(*LOOKUPS, "unavailable"))
def look_up_key(body: LookUpKey, caller: CallerDep, service: ServiceDep) -> KeyOwnerView:
    """Whom a key leads to. Looking keys up is limited, most of all keys that nobody has."""
    key = _key(lambda: keys.classify(body.key))
    found = _found(
        service, key, service.payer(caller.subject), end_to_end_id.new(service.ispb, datetime.now(UTC))
    )
    entry = found.entry
    return KeyOwnerView(
        key=entry.key.value,
        key_type=entry.key.type,
        name=entry.owner.name,
        trade_name=entry.owner.trade_name,
        document=entry.owner.shown_document,
        institution=KeyInstitution(
            ispb=entry.account.participant, name=participants.name_of(entry.account.participant, service.ispb)
        ),
    )


@router.post("/internal/keys/lookup", include_in_schema=False)
def look_up_for_payment(body: LookUpForPayment, caller: CallerDep, service: ServiceDep) -> PayeeView:
    """Whom a key leads to, for the payment that will carry this end-to-end id."""
    key = _key(lambda: keys.classify(body.key))
    try:
        identification = end_to_end_id.read(body.end_to_end_id, "E")
        end_to_end_id.check_time(identification, datetime.now(UTC))
    except BadId as bad:
        raise _invalid("body.end_to_end_id", str(bad)) from bad
    if identification.ispb != service.ispb:
        raise _invalid("body.end_to_end_id", "is another participant's")
    entry = _found(service, key, service.payer(caller.subject), body.end_to_end_id).entry
    return PayeeView(
        key=entry.key.value,
        key_type=entry.key.type,
        participant=entry.account.participant,
        branch=entry.account.branch,
        number=entry.account.number,
        account_type=entry.account.account_type,
        owner_type=entry.owner.type,
        tax_id=entry.owner.tax_id,
        name=entry.owner.name,
        account_id=entry.account_id,
    )


@router.post("/keys", status_code=201, responses=responses(*WRITES, "unavailable"))
def register_key(
    body: RegisterKey,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
    service: ServiceDep,
    response: Response,
) -> KeyView:
    """Register a key for one of your accounts."""
    request = KeyRequest(caller.subject, idempotency_key, str(body.account_id), body.key_type, _own_key(body))
    registration, replayed = _written(request.key_id, lambda: service.registrations.register(request))
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return _key_view(registration)


@router.get("/keys", responses=responses("unavailable"))
def list_keys(caller: CallerDep, service: ServiceDep) -> KeyList:
    """All your keys. A new one may take a moment to appear."""
    registrations, _ = service.store.owned_by(caller.subject)
    return KeyList(keys=[_key_view(each) for each in registrations if each.status != "REFUSED"])


@router.delete(
    "/keys/{key_id}",
    status_code=204,
    response_class=Response,
    responses=responses(
        "key_not_found", "key_locked", "key_refused", "dict_unavailable", "outcome_unknown", "unavailable"
    ),
)
def delete_key(key_id: UUID, caller: CallerDep, service: ServiceDep) -> Response:
    """End a key. Repeat it while the outcome is unknown."""
    _written(str(key_id), lambda: service.registrations.delete(caller.subject, str(key_id)))
    return Response(status_code=204)


@router.post(
    "/keys/claims",
    status_code=201,
    responses=responses(*WRITES, "claim_not_possible", "key_not_found", "unavailable"),
)
def open_claim(
    body: OpenClaim,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
    service: ServiceDep,
    response: Response,
) -> ClaimView:
    """Claim a key that another bank, or another person, has."""
    key = _key(lambda: keys.classify(body.key))
    request = ClaimRequest(caller.subject, idempotency_key, str(body.account_id), body.type, key)
    record, replayed = _written(request.claim_id, lambda: service.claims.open(request))
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return _claim_view(record)


@router.get("/keys/claims", responses=responses("unavailable"))
def list_claims(caller: CallerDep, service: ServiceDep) -> ClaimList:
    """All claims that concern you: for keys that you want, and for keys that you have."""
    _, claims = service.store.owned_by(caller.subject)
    return ClaimList(claims=[_claim_view(each) for each in claims if each.status != "REFUSED"])


@router.post(
    "/keys/claims/{claim_id}/{action}",
    responses=responses(
        "claim_not_found",
        "claim_not_possible",
        "key_refused",
        "dict_unavailable",
        "outcome_unknown",
        "unavailable",
    ),
)
def act_on_claim(claim_id: UUID, action: Action, caller: CallerDep, service: ServiceDep) -> ClaimView:
    """Confirm or cancel a claim for your key; cancel or complete your own. Harmless twice."""
    return _claim_view(
        _written(str(claim_id), lambda: service.claims.act(caller.subject, str(claim_id), action))
    )


def _found(service: KeyService, key: Key, payer: str, end_to_end: str) -> Resolved:
    try:
        return service.lookup.find(key, payer, end_to_end)
    except NotRegistered:
        raise Problem(404, "key_not_found", "Nobody has this key.") from None
    except DictRefused as refused:
        if refused.code == "EntryInvalid":
            raise Problem(422, "invalid_key", "The DICT takes no such key.", verdict="dict") from None
        raise Problem(
            409, "key_refused", "The DICT does not answer for this key.", dict_code=refused.code
        ) from None
    except (Exhausted, DictLimited, DictDown) as error:
        raise _not_answered(error) from None


T = TypeVar("T")


def _written(what: str, write: Callable[[], T]) -> T:
    """What a write gives, or the problem that says what became of it. A refusal is final: it is kept."""
    try:
        return write()
    except Refusal as refusal:
        status, _ = CODES[refusal.code]
        raise Problem(status, refusal.code, refusal.detail, final=True, facts=refusal.facts) from refusal
    except KeyReused as reused:
        raise Problem(
            422, "idempotency_key_reused", "This Idempotency-Key belongs to another request.", final=True
        ) from reused
    except DictRefused as refused:
        said = of_the_dict(refused)
        status, _ = CODES[said.code]
        raise Problem(status, said.code, said.detail, facts=said.facts) from refused
    except (Changed, OutcomeUnknown) as error:
        raise _unknown(what) from error
    except DictDown as down:
        raise (_not_answered(down) if down.not_done else _unknown(what)) from None
    except (Exhausted, DictLimited) as error:
        raise _unavailable(error.retry_after if isinstance(error, Exhausted) else LIMITED_SECONDS) from None


def _not_answered(error: Exhausted | DictLimited | DictDown) -> Problem:
    if isinstance(error, Exhausted):
        if not error.of_user:
            return _unavailable(error.retry_after)
        return Problem(
            429,
            "lookup_limited",
            "You looked up too many keys, or keys that nobody has.",
            headers={"Retry-After": str(error.retry_after)},
        )
    if isinstance(error, DictLimited):
        return Problem(
            429,
            "lookup_limited",
            "The DICT counts too many look-ups.",
            headers={"Retry-After": str(LIMITED_SECONDS)},
        )
    if error.kind == "timeout":
        return Problem(504, "dict_timeout", "The DICT did not answer in time.", headers={"Retry-After": "1"})
    if error.kind == "bad_answer":
        return Problem(
            502, "dict_bad_answer", "The DICT's answer cannot be used.", headers={"Retry-After": "1"}
        )
    return _unavailable(error.retry_after or 1)


def _unavailable(retry_after: int) -> Problem:
    return Problem(
        503,
        "dict_unavailable",
        "The DICT cannot be asked at the moment.",
        headers={"Retry-After": str(retry_after)},
    )


def _unknown(what: str) -> Problem:
    return Problem(
        504,
        "outcome_unknown",
        "Whether it was done is not known. Repeat the request.",
        headers={"Retry-After": "1"},
        id=what,
    )


def _key(read: Callable[[], Key]) -> Key:
    try:
        return read()
    except BadKey as bad:
        raise Problem(422, "invalid_key", f"The key {bad}.", verdict=bad.code, final=True) from None


def _own_key(body: RegisterKey) -> Key | None:
    if body.key_type == "EVP":
        if body.key is not None:
            raise _invalid("body.key", "a random key is made by the DICT")
        return None
    if body.key is None:
        raise _invalid("body.key", "is missing")
    text = body.key
    return _key(lambda: keys.of_type(body.key_type, text))


def _invalid(where: str, message: str) -> Problem:
    return Problem(
        422, "invalid_request", "The request is not valid.", errors=[{"where": where, "message": message}]
    )


def _key_view(registration: Registration) -> KeyView:
    return KeyView.model_validate({name: getattr(registration, name) for name in KeyView.model_fields})


def _claim_view(record: ClaimRecord) -> ClaimView:
    return ClaimView.model_validate({name: getattr(record, name) for name in ClaimView.model_fields})

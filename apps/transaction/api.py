"""Transfers over HTTP: ask for one, return one, look at it, list an account's."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from apps.kit.dynamo import Deadline
from apps.kit.logs import request_id
from apps.kit.money import AmountCents
from apps.kit.printable import PRINTABLE
from apps.kit.problems import CODES, Problem, responses
from apps.kit.service import CallerDep, IdempotencyKeyDep
from apps.ledger.account import Refusal
from apps.ledger.transfer import Transfer, iso
from apps.pix import outgoing, participants
from apps.pix.rejections import in_words
from apps.pix.spi import Party
from apps.pix.tax_id import masked, normalised
from apps.transaction.destination import (
    BankAccount,
    Destination,
    LookUpCode,
    LookUpFailed,
    PixKey,
    QrCode,
)
from apps.transaction.listing import Cursor, Direction, Listing
from apps.transaction.request import SECONDS, Answer, GivingBack, KeyReused, Payment, Transfers, Unknown

MAX_PAGE = 100
UNDECIDED = ("unavailable", "outcome_unknown", "record_damaged")
HOLD_REFUSALS = (
    "account_not_found",
    "account_frozen",
    "account_blocked",
    "account_closed",
    "insufficient_funds",
    "payee_not_found",
    "payee_closed",
)
DESTINATION_REFUSALS = (
    "invalid_key",
    "key_not_found",
    "key_refused",
    "payee_takes_no_pix",
    "qr_code_tampered",
    "qr_code_foreign",
    "qr_code_invalid",
    "qr_code_unknown",
    "qr_code_expired",
    "qr_code_paid",
    "qr_code_amount",
)
LOOK_UP_FAILURES = ("lookup_limited", "dict_unavailable", "dict_timeout", "dict_bad_answer")
RETURN_REFUSALS = (
    "transfer_not_found",
    "not_the_payee",
    "not_returnable",
    "transfer_not_settled",
    "return_exceeds_amount",
    "return_too_late",
)

router = APIRouter(tags=["transfers"])


@dataclass(frozen=True)
class TransferService:
    """What the endpoints share."""

    transfers: Transfers
    listing: Listing


async def _service(request: Request) -> TransferService:
    service: TransferService = request.app.state.service
    return service


ServiceDep = Annotated[TransferService, Depends(_service)]


class ToBank(BaseModel):
    """An account at any bank that takes part in Pix."""

    model_config = ConfigDict(extra="forbid")

    ispb: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{8}$")] = Field(examples=["60701190"])
    branch: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}$")] = Field(
        description="Without its check digit", examples=["0001"]
    )
    number: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{1,20}$")] = Field(
        description="With its check digit, without a dash", examples=["123456789"]
    )
    account_type: Literal["CACC", "SVGS", "TRAN"]
    tax_id: Annotated[str, StringConstraints(max_length=20), AfterValidator(normalised)] = Field(
        description="The holder's CPF or CNPJ", examples=["529.982.247-25"]
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=PRINTABLE)] = Field(
        examples=["Maria da Silva"]
    )


class To(BaseModel):
    """Who is paid: an account here, whoever has a Pix key, an account by its data, or whoever made a QR code.
    One of them."""

    model_config = ConfigDict(extra="forbid")

    account: UUID | None = None
    key: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        default=None, description="In any usual spelling", examples=["(11) 98765-4321"]
    )
    bank: ToBank | None = None
    qr_code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=512)] | None = (
        Field(default=None, description="The text of a QR code (Pix copia e cola)")
    )

    def destination(self, authorization: str) -> Destination:
        """The same for the rules. `authorization` is the caller's, for looking a key up."""
        if self.key is not None:
            return PixKey(self.key, authorization)
        if self.qr_code is not None:
            return QrCode(self.qr_code, authorization)
        if self.bank is not None:
            return BankAccount(**self.bank.model_dump())
        return str(self.account)


def _one(to: To) -> To:
    if sum(each is not None for each in (to.account, to.key, to.bank, to.qr_code)) != 1:
        raise ValueError("name one of: account, key, bank, qr_code")
    return to


class RequestTransfer(BaseModel):
    """Who pays whom, and how much."""

    model_config = ConfigDict(extra="forbid")

    from_account: UUID
    to: Annotated[To, AfterValidator(_one)]
    amount_cents: AmountCents
    description: Annotated[str, StringConstraints(min_length=1, max_length=140, pattern=PRINTABLE)] | None = (
        Field(default=None, examples=["Almoço"])
    )


class ReturnTransfer(BaseModel):
    """How much goes back, and why; several returns may share a transfer's amount."""

    model_config = ConfigDict(extra="forbid")

    amount_cents: AmountCents
    reason: Annotated[str, StringConstraints(min_length=1, max_length=140, pattern=PRINTABLE)] = Field(
        description="Shown as the return's description", examples=["Pedido errado"]
    )


class Participant(BaseModel):
    """A participant of Pix. The name is missing where nobody here knows it."""

    ispb: str
    name: str | None


class PartyElsewhere(BaseModel):
    """Somebody at another bank, as the rules of Pix let the other side see them."""

    name: str | None
    document: str = Field(description="A person's is masked", examples=["***.982.247-**"])
    institution: Participant


class PayeeElsewhere(PartyElsewhere):
    """Who is paid at another bank; `key` is the one that was used."""

    key: str | None


Stamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Moment = Annotated[datetime, PlainSerializer(iso, return_type=Stamp, when_used="json")]
"""Written as the ledger writes it, so that a transfer looks the same in a list and alone."""


class TransferView(BaseModel):
    """A transfer as payer and payee see it. `reason` says why a REJECTED one was, `reason_text` in words. A
    Pix to another bank has a `payee` instead of `to_account`, and is SENT between HELD and its end. One from
    another bank has a `payer` instead of `from_account`, and is ACCEPTED until its money is there. A return
    names the transfer that it gives back from; of a settled transfer, `returnable_cents` can still be
    returned."""

    transfer_id: UUID
    status: Literal["HELD", "SENT", "ACCEPTED", "SETTLED", "REJECTED"]
    kind: Literal["transfer", "grant", "return"]
    from_account: str | None
    to_account: str | None
    payer: PartyElsewhere | None
    payee: PayeeElsewhere | None
    amount_cents: int
    description: str | None
    end_to_end_id: str | None
    created_at: Moment
    decided_at: Moment | None
    reason: str | None
    reason_text: str | None
    original_transfer_id: UUID | None
    returnable_cents: int


class TransferList(BaseModel):
    """A page of transfers, newest first. `cursor` asks for the next one and is absent on the last."""

    transfers: list[TransferView]
    cursor: str | None = None


def rendered(transfer: Transfer) -> str:
    """The body of a transfer's first answer."""
    return json.dumps(_view(transfer), ensure_ascii=False)


@router.post(
    "/transfers",
    status_code=201,
    response_model=TransferView,
    responses=responses(
        "idempotency_key_missing",
        "idempotency_key_reused",
        "same_account",
        "limit_exceeded",
        *UNDECIDED,
        *LOOK_UP_FAILURES,
        *HOLD_REFUSALS,
        *DESTINATION_REFUSALS,
    ),
)
def request_transfer(
    body: RequestTransfer,
    request: Request,
    caller: CallerDep,
    key: IdempotencyKeyDep,
    service: ServiceDep,
) -> Response:
    """Pay. The money is set aside before this answers (`HELD`) and reaches the payee moments later. To
    another bank it goes by Pix, which takes some seconds; if it does not arrive, the money comes back.

    What you send in a period counts against its limit (`GET /limits`), and what comes back because it could
    not be sent counts no more: beyond it, `limit_exceeded` says what is left.

    An answer without `"final": true` decides nothing: repeat the request with the same Idempotency-Key
    until there is a 201 or a final problem.
    """
    payment = Payment(
        subject=caller.subject,
        key=key,
        from_account=str(body.from_account),
        to=body.to.destination(request.headers["authorization"]),
        amount_cents=body.amount_cents,
        description=body.description,
        request_id=request_id(),
    )
    return _answered(lambda: service.transfers.request(payment, Deadline.after(SECONDS)))


@router.post(
    "/transfers/{transfer_id}/returns",
    status_code=201,
    response_model=TransferView,
    responses=responses(
        "idempotency_key_missing", "idempotency_key_reused", *UNDECIDED, *HOLD_REFUSALS, *RETURN_REFUSALS
    ),
)
def return_transfer(
    transfer_id: UUID, body: ReturnTransfer, caller: CallerDep, key: IdempotencyKeyDep, service: ServiceDep
) -> Response:
    """Give a settled transfer that you were paid back, or some of it. The return is a transfer of its own
    (`kind` is `return`), from the account that was paid to the one that paid, and cannot itself be returned.

    Only who was paid may: for the payer this is a 403, for anybody else there is no such transfer. Repeat the
    request as that of any transfer.
    """
    giving = GivingBack(
        subject=caller.subject,
        key=key,
        original_transfer_id=str(transfer_id),
        amount_cents=body.amount_cents,
        reason=body.reason,
        request_id=request_id(),
    )
    return _answered(lambda: service.transfers.give_back(giving, Deadline.after(SECONDS)))


@router.get(
    "/transfers/{transfer_id}",
    response_model=TransferView,
    responses=responses("transfer_not_found", "unavailable", "record_damaged"),
)
def get_transfer(transfer_id: UUID, caller: CallerDep, service: ServiceDep) -> Response:
    """A transfer that you pay or get. While it is not decided, `Retry-After` says when to look again."""
    transfer = service.transfers.ledger.transfer(str(transfer_id))
    if transfer is None or not transfer.seen_by(caller.subject):
        raise Problem(404, "transfer_not_found", "You have no such transfer.")
    # As a first answer is written: FastAPI would validate the view once more, on another thread's turn.
    waits = transfer.status in {"HELD", "SENT", "ACCEPTED"}
    return Response(rendered(transfer), 200, {"Retry-After": "1"} if waits else {}, "application/json")


@router.get("/transfers", responses=responses("account_not_found", "unavailable", "record_damaged"))
def list_transfers(
    account: UUID,
    caller: CallerDep,
    service: ServiceDep,
    direction: Annotated[Direction | None, Query(description="Both if absent")] = None,
    cursor: Annotated[str | None, Query(max_length=256, description="From the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> TransferList:
    """Transfers of one of your accounts, newest first. A new one may take a moment to appear.

    A cursor goes on with the question of its first page: `direction` beside it is left out or the same.
    """
    balance = service.transfers.ledger.balance(str(account))
    if balance is None or balance.owner != caller.subject:
        raise Problem(404, "account_not_found", "You have no such account.")
    place = _read(cursor, str(account), direction) if cursor is not None else None
    asked = place.direction if place else direction
    transfers, following = service.listing.page(str(account), asked, place.place if place else None, limit)
    return TransferList(
        transfers=[TransferView.model_validate(_view(each)) for each in transfers],
        cursor=Cursor(following, str(account), asked).opaque() if following else None,
    )


def _read(cursor: str, account_id: str, direction: Direction | None) -> Cursor:
    """The place that a client goes on from. What it asks for beside it must be what it asked for at first."""
    try:
        found = Cursor.read(cursor)
        if found.account_id != account_id or direction not in {None, found.direction}:
            raise ValueError("belongs to a page of another account or direction")  # noqa: TRY301
    except ValueError as error:
        raise Problem(
            422,
            "invalid_request",
            "The request is not valid.",
            errors=[{"where": "query.cursor", "message": str(error)}],
        ) from error
    return found


def _answered(request: Callable[[], Answer]) -> Response:
    """The answer to a request that moves money, or the problem that it ended with."""
    try:
        answer = request()
    except Refusal as refusal:
        raise refused(refusal) from refusal
    except KeyReused as reused:
        raise Problem(
            422, "idempotency_key_reused", "This Idempotency-Key belongs to another request.", final=True
        ) from reused
    except LookUpFailed as failed:
        status, _ = CODES[failed.code]
        raise Problem(
            status, failed.code, _LOOK_UP[failed.code], headers={"Retry-After": str(failed.retry_after)}
        ) from failed
    except Unknown as unknown:
        raise Problem(
            504,
            "outcome_unknown",
            "The transfer may stand or not. Repeat the request with the same Idempotency-Key.",
            headers={"Retry-After": "1"},
            transfer_id=unknown.transfer_id,
        ) from unknown
    headers = {"Location": f"/transfers/{answer.transfer.transfer_id}"}
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.transfer.answer, 201, headers, "application/json")


def refused(refusal: Refusal) -> Problem:
    """A refusal of the rules as HTTP: final, because its mark stands."""
    status, _ = CODES[refusal.code]
    return Problem(status, refusal.code, refusal.detail, final=True, facts=refusal.facts)


_LOOK_UP: Mapping[LookUpCode, str] = {
    "lookup_limited": "You looked up too many keys, or keys that nobody has.",
    "dict_unavailable": "Keys cannot be looked up at the moment. Try again.",
    "dict_timeout": "The DICT did not answer in time. Try again.",
    "dict_bad_answer": "The DICT's answer cannot be used. Try again.",
    "unavailable": "Keys cannot be looked up at the moment. Try again.",
}


def _elsewhere(transfer: Transfer) -> dict[str, object]:
    """The other bank's side of a Pix that goes there or comes from there."""
    if transfer.payment is None:
        return {"payer": None, "payee": None}
    paid = outgoing.read(transfer.payment)
    if transfer.incoming:
        return {"payer": _party(paid.debtor, paid.creditor.ispb), "payee": None}
    return {"payer": None, "payee": _party(paid.creditor, paid.debtor.ispb) | {"key": paid.key}}


def _party(party: Party, ours: str) -> dict[str, object]:
    return {
        "name": party.name,
        "document": masked(party.tax_id),
        "institution": {"ispb": party.ispb, "name": participants.name_of(party.ispb, ours)},
    }


def _view(transfer: Transfer) -> dict[str, object]:
    return {
        "transfer_id": transfer.transfer_id,
        "status": transfer.status,
        "kind": transfer.kind,
        "from_account": None if transfer.incoming else transfer.payer,
        "to_account": None if transfer.by_spi and not transfer.incoming else transfer.payee,
        **_elsewhere(transfer),
        "amount_cents": transfer.amount_cents,
        "description": transfer.description,
        "end_to_end_id": transfer.end_to_end_id,
        "created_at": transfer.created_at,
        "decided_at": transfer.decided_at,
        "reason": transfer.reason,
        "reason_text": in_words(transfer.reason),
        "original_transfer_id": transfer.original_transfer_id,
        "returnable_cents": transfer.returnable_cents,
    }

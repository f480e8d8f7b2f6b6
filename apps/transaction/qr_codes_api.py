"""QR codes over HTTP: make one, read one, and see what became of a charge."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from apps.kit.dynamo import OutcomeUnknown
from apps.kit.money import AmountCents, whole_cents
from apps.kit.printable import PRINTABLE
from apps.kit.problems import CODES, Problem, responses
from apps.kit.service import CallerDep, IdempotencyKeyDep
from apps.ledger.account import Refusal
from apps.ledger.charge import Charge
from apps.ledger.store import Ledger
from apps.ledger.transfer import iso
from apps.pix.br_code import MAX_CHARACTERS, StaticCode
from apps.transaction.qr_codes import (
    ChargeWish,
    KeyReused,
    Picture,
    QrCodes,
    StaticWish,
    decoded,
    drawn,
)

MAX_CENTS = 10**12 - 1
"""What the code's field for the amount can say."""
MAX_MINUTES = 90 * 24 * 60
UNREADABLE = ("qr_code_tampered", "qr_code_foreign", "qr_code_invalid", "qr_code_unknown")

router = APIRouter(tags=["QR codes"])


class QrCodeService:
    """What the endpoints share."""

    def __init__(self, qr_codes: QrCodes, ledger: Ledger) -> None:
        self.qr_codes = qr_codes
        self.ledger = ledger


async def _service(request: Request) -> QrCodeService:
    service: QrCodeService = request.app.state.qr_codes
    return service


ServiceDep = Annotated[QrCodeService, Depends(_service)]
Description = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=PRINTABLE)]
City = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=PRINTABLE)]


class MakeStatic(BaseModel):
    """A code for one of your keys, which anybody may pay again and again; without an amount, any amount."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["static"]
    key: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        description="A key of yours, in any usual spelling", examples=["ana@example.com"]
    )
    amount_cents: AmountCents | None = Field(default=None, le=MAX_CENTS)
    txid: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9]{1,25}$")] | None = Field(
        default=None, description="What a payment says that it is for", examples=["pedido42"]
    )
    description: Description | None = None
    city: City | None = Field(default=None, examples=["São Paulo"])
    picture: Picture = "svg"


class MakeCharge(BaseModel):
    """A code for so much money on one of your accounts, which is paid once until it expires."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["dynamic"]
    account_id: UUID
    amount_cents: AmountCents = Field(le=MAX_CENTS)
    expires_in_minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES), BeforeValidator(whole_cents)] = 24 * 60
    description: Description | None = None
    city: City | None = Field(default=None, examples=["São Paulo"])
    picture: Picture = "svg"


class ReadCode(BaseModel):
    """A code's text, as it is copied."""

    model_config = ConfigDict(extra="forbid")

    qr_code: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)]


class QrCodeView(BaseModel):
    """What a code says. `qr_code` is its text ("Pix copia e cola"). A static one has a `key`, a dynamic one a
    charge: `OPEN` until it is paid or has expired, and `PAYING` while the money is on its way."""

    kind: Literal["static", "dynamic"]
    qr_code: str
    name: str
    city: str
    amount_cents: int | None
    description: str | None
    key: str | None
    txid: str | None
    qr_code_id: UUID | None
    status: Literal["OPEN", "PAYING", "PAID", "EXPIRED"] | None
    expires_at: datetime | None


class MadeQrCode(QrCodeView):
    """The same, with its picture as a `data:` URI, ready to be shown."""

    picture: str = Field(examples=["data:image/png;base64,iVBORw0KGgo="])


class ChargeView(QrCodeView):
    """A charge as whoever asks for it sees it. `transfer_id` is the transfer that pays it."""

    account_id: UUID
    transfer_id: UUID | None


@router.post(
    "/qr-codes",
    status_code=201,
    responses=responses(
        "idempotency_key_missing",
        "idempotency_key_reused",
        "account_not_found",
        "account_closed",
        "key_not_found",
        "invalid_key",
        "qr_code_invalid",
        "unavailable",
        "outcome_unknown",
        "record_damaged",
    ),
)
def make_qr_code(
    *,
    body: Annotated[MakeStatic | MakeCharge, Field(discriminator="kind")],
    request: Request,
    caller: CallerDep,
    key: IdempotencyKeyDep,
    service: ServiceDep,
    response: Response,
) -> MadeQrCode:
    """Make a QR code that asks for money: `static` for one of your keys, or `dynamic` for a charge, which is
    paid once. Its text is what people copy and paste; its picture is drawn from the same text."""
    try:
        if isinstance(body, MakeStatic):
            wish = StaticWish(
                body.key,
                request.headers["authorization"],
                body.amount_cents,
                body.txid,
                body.description,
                body.city,
            )
            code, text = service.qr_codes.static(wish)
            seen = _static(code, text)
        else:
            _check_account(service, str(body.account_id), caller.subject)
            charge, found = service.qr_codes.charge(
                ChargeWish(
                    subject=caller.subject,
                    key=key,
                    account_id=str(body.account_id),
                    amount_cents=body.amount_cents,
                    description=body.description,
                    lifetime=timedelta(minutes=body.expires_in_minutes),
                    city=body.city,
                )
            )
            seen = _charge(charge, service)
            response.headers["Location"] = f"/qr-codes/{charge.charge_id}"
            if found:
                response.headers["Idempotent-Replayed"] = "true"
    except Refusal as refusal:
        raise _refused(refusal) from refusal
    except KeyReused as reused:
        raise Problem(
            422, "idempotency_key_reused", "This Idempotency-Key made another QR code.", final=True
        ) from reused
    except OutcomeUnknown as error:
        raise Problem(
            504,
            "outcome_unknown",
            "The QR code may stand or not. Repeat the request with the same Idempotency-Key.",
            headers={"Retry-After": "1"},
        ) from error
    return MadeQrCode(**seen, picture=drawn(str(seen["qr_code"]), body.picture))


@router.post("/qr-codes/decode", responses=responses(*UNREADABLE, "unavailable", "record_damaged"))
def read_qr_code(body: ReadCode, _: CallerDep, service: ServiceDep) -> QrCodeView:
    """Read a QR code before you pay it, whoever made it. Who is paid by a key, `POST /keys/lookup` tells.

    A code that cannot be read is refused with the rule that it breaks as `verdict`: it was changed
    (`qr_code_tampered`), is none of Pix or asks for a charge of another bank (`qr_code_foreign`), or is wrong
    in itself (`qr_code_invalid`).
    """
    try:
        found = service.qr_codes.read(body.qr_code)
    except Refusal as refusal:
        raise _refused(refusal) from refusal
    if isinstance(found, StaticCode):
        return QrCodeView.model_validate(_static(found, body.qr_code.strip()))
    return QrCodeView.model_validate(_charge(found, service))


@router.get(
    "/qr-codes/{qr_code_id}", responses=responses("qr_code_not_found", "unavailable", "record_damaged")
)
def get_qr_code(qr_code_id: UUID, caller: CallerDep, service: ServiceDep) -> ChargeView:
    """A charge of yours, and whether it is paid."""
    charge = service.qr_codes.charges.find(str(qr_code_id))
    if charge is None or charge.subject != caller.subject:
        raise Problem(404, "qr_code_not_found", "You have no such QR code.")
    return ChargeView.model_validate(
        {**_charge(charge, service), "account_id": charge.account_id, "transfer_id": charge.taken_by}
    )


def _check_account(service: QrCodeService, account_id: str, subject: str) -> None:
    balance = service.ledger.balance(account_id)
    if balance is None or balance.owner != subject:
        raise Refusal("account_not_found", "You have no such account.")
    if balance.status == "CLOSED":
        raise Refusal("account_closed", "The account is closed.")


def _static(code: StaticCode, text: str) -> dict[str, object]:
    return {
        "kind": "static",
        "qr_code": text,
        "name": code.name,
        "city": code.city,
        "amount_cents": code.amount_cents,
        "description": code.description,
        "key": code.key,
        "txid": code.txid,
        "qr_code_id": None,
        "status": None,
        "expires_at": None,
    }


def _charge(charge: Charge, service: QrCodeService) -> dict[str, object]:
    code = decoded(charge.code)
    return {
        "kind": "dynamic",
        "qr_code": charge.code,
        "name": code.name,
        "city": code.city,
        "amount_cents": charge.amount_cents,
        "description": charge.description,
        "key": None,
        "txid": None,
        "qr_code_id": charge.charge_id,
        "status": _status(charge, service),
        "expires_at": charge.expires_at,
    }


def _status(charge: Charge, service: QrCodeService) -> str:
    if charge.taken_by is not None:
        paying = service.ledger.transfer(charge.taken_by)
        return "PAID" if paying is not None and paying.status == "SETTLED" else "PAYING"
    return "EXPIRED" if iso(service.ledger.clock.now()) >= charge.expires_at else "OPEN"


def _refused(refusal: Refusal) -> Problem:
    return Problem(CODES[refusal.code][0], refusal.code, refusal.detail, facts=refusal.facts)

"""What tests and `gobank` do with the simulator itself: faults, payments of other banks, time. JSON.

No bank has any of this, so it lies apart, under `/simulator`.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from apps.kit.problems import Problem
from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.clock import stamp
from apps.simulators.bacen.directory import Account, AccountType, Owner
from apps.simulators.bacen.faults import POSSIBLE, Fault, Place, What
from apps.simulators.bacen.orders import Order
from apps.simulators.bacen.policies import CATEGORIES
from apps.simulators.bacen.population import BANKS, NEIGHBOURS, WELL_KNOWN
from apps.simulators.bacen.spi_messages import Payment
from apps.simulators.bacen.spi_schema import REASONS, RETURN_REASONS

router = APIRouter(prefix="/simulator", include_in_schema=False)
Cents = Annotated[int, Field(ge=0, strict=True)]
_NO_SUCH_ORDER = "There is no such order."


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaultAsked(_Asked):
    """A fault; see `faults`."""

    place: Place
    what: What
    times: Annotated[int, Field(ge=1)] | None = 1
    seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    code: str | None = None
    participant: str | None = None
    message: str | None = None
    status: Annotated[int, Field(ge=200, le=599)] = 200
    media_type: str = "application/xml"
    body: str = ""

    @model_validator(mode="after")
    def _possible(self) -> "FaultAsked":
        if self.what not in POSSIBLE[self.place]:
            raise ValueError(f"at '{self.place}' there is: {', '.join(sorted(POSSIBLE[self.place]))}")
        if (self.what == "reject") is not (self.code in REASONS):
            raise ValueError("`reject`, and only that, goes with the code of a pacs.002")
        return self


class AccountAsked(_Asked):
    """An account anywhere, by its data."""

    ispb: Annotated[str, Field(pattern=r"^[0-9A-Z]{8}$")]
    branch: Annotated[str, Field(pattern=r"^[0-9]{1,4}$")] | None = None
    number: Annotated[str, Field(pattern=r"^[0-9A-Z]{1,20}$")]
    account_type: AccountType
    tax_id: Annotated[str, Field(pattern=r"^([0-9]{11}|[0-9A-Z]{12}[0-9]{2})$")]


class PaymentAsked(_Asked):
    """A Pix of a customer of another bank, to a key or to an account. `tx_id` as from a QR code."""

    from_ispb: str = "60701190"
    key: str | None = None
    account: AccountAsked | None = None
    amount_cents: Cents
    tx_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9]{1,35}$")] | None = None
    note: Annotated[str, Field(min_length=1, max_length=140)] | None = None

    @model_validator(mode="after")
    def _one_receiver(self) -> "PaymentAsked":
        if (self.key is None) is (self.account is None):
            raise ValueError("pay a key or an account")
        return self


class PayerAsked(AccountAsked):
    """The account that pays, at a bank that another simulator plays."""

    name: Annotated[str, Field(min_length=1, max_length=140)]


class OrderAsked(_Asked):
    """A Pix that a neighbour's customer has ordered. `initiator` is the CNPJ of who started it for them."""

    payer: PayerAsked
    payee: AccountAsked
    amount_cents: Cents
    instrument: Literal["MANU", "DICT", "QRDN", "QRES", "INIC"] = "MANU"
    key: str | None = None
    initiator: Annotated[str, Field(pattern=r"^[0-9A-Z]{12}[0-9]{2}$")] | None = None
    note: Annotated[str, Field(min_length=1, max_length=140)] | None = None


class ReturnAsked(_Asked):
    """What another bank gives back of a Pix that it was paid."""

    end_to_end_id: str
    amount_cents: Cents
    reason: str = "MD06"

    @model_validator(mode="after")
    def _published(self) -> "ReturnAsked":
        if self.reason not in RETURN_REASONS:
            raise ValueError(f"reasons are {', '.join(sorted(RETURN_REASONS))}")
        return self


class TimeAsked(_Asked):
    """How far to move Bacen's clock."""

    advance_seconds: Annotated[int, Field(ge=0)]


class ParticipantAsked(_Asked):
    """A participant's category for what it reads in the DICT."""

    category: Annotated[str, Field(pattern="^[A-H]$")]


@router.post("/faults", status_code=201)
async def add_fault(asked: FaultAsked, request: Request) -> dict[str, Any]:
    """Plans a fault."""
    return {"fault_id": _bacen(request).faults.add(Fault(**asked.model_dump()))}


@router.get("/faults")
async def list_faults(request: Request) -> dict[str, Any]:
    """What may still go wrong."""
    waiting = _bacen(request).faults.waiting()
    return {"faults": [{"fault_id": number, **vars(fault)} for number, fault in waiting.items()]}


@router.delete("/faults", status_code=204)
async def clear_faults(request: Request) -> None:
    """Nothing goes wrong any more."""
    _bacen(request).faults.clear()


@router.delete("/faults/{fault_id}", status_code=204)
async def clear_fault(fault_id: int, request: Request) -> None:
    """This does not go wrong any more."""
    _bacen(request).faults.clear(fault_id)


@router.post("/payments", status_code=201)
async def pay(asked: PaymentAsked, request: Request) -> dict[str, Any]:
    """Has another bank send a Pix."""
    bacen = _bacen(request)
    if asked.from_ispb not in BANKS:
        raise Problem(404, "not_found", "No bank of this simulator has this ISPB.")
    if asked.account is not None:
        account, tax_id = _account(asked.account, bacen), asked.account.tax_id
    else:
        entry = bacen.directory.get(asked.key or "")
        if entry is None:
            raise Problem(404, "not_found", "Nobody has this key.")
        account, tax_id = entry.account, entry.owner.tax_id
    end_to_end_id = bacen.banks.pay(
        asked.from_ispb,
        tax_id,
        account,
        asked.amount_cents,
        key=asked.key,
        tx_id=asked.tx_id,
        note=asked.note,
    )
    bacen.agenda.run_due()
    return _shown(bacen, end_to_end_id) or {"order_id": end_to_end_id, "status": "REFUSED"}


@router.post("/returns", status_code=201)
async def give_back(asked: ReturnAsked, request: Request) -> dict[str, Any]:
    """Has another bank give back what it was paid."""
    bacen = _bacen(request)
    order = bacen.spi.orders.get(asked.end_to_end_id)
    if order is None or order.kind != "payment" or order.payee not in BANKS:
        raise Problem(404, "not_found", _NO_SUCH_ORDER)
    return_id = bacen.banks.give_back(order, asked.amount_cents, asked.reason)
    bacen.agenda.run_due()
    return _shown(bacen, return_id) or {"order_id": return_id, "status": "REFUSED"}


@router.put("/orders/{end_to_end_id}")
async def order(end_to_end_id: str, asked: OrderAsked, request: Request) -> dict[str, Any]:
    """Has a neighbour order a payment, once however often it is asked; gives it as Bacen has it."""
    bacen = _bacen(request)
    if asked.payer.ispb not in NEIGHBOURS:
        raise Problem(404, "not_found", "No bank beside this simulator has this ISPB.")
    if end_to_end_id not in bacen.spi.orders:
        bacen.banks.pay_for(
            Payment(
                end_to_end_id,
                asked.amount_cents,
                bacen.agenda(),
                asked.instrument,
                Owner(asked.payer.tax_id, asked.payer.name),
                _account(asked.payer, bacen),
                asked.payee.tax_id,
                _account(asked.payee, bacen),
                asked.key,
                note=asked.note,
                initiator=asked.initiator,
            )
        )
        bacen.agenda.run_due()
    return _shown(bacen, end_to_end_id) or {"order_id": end_to_end_id, "status": "REFUSED"}


@router.get("/orders")
async def list_orders(request: Request) -> dict[str, Any]:
    """Every order that Bacen keeps, in the order that they came."""
    bacen = _bacen(request)
    return {"orders": [_shown(bacen, order_id) for order_id in bacen.spi.orders]}


@router.delete("/streams/{ispb}", status_code=204)
async def end_streams(ispb: str, request: Request) -> None:
    """Ends a participant's streams at once: what a reader that is gone did not confirm is handed out again
    without the wait for it."""
    _bacen(request).transport.end_streams(ispb)


@router.get("/orders/{order_id}")
async def show_order(order_id: str, request: Request) -> dict[str, Any]:
    """An order as Bacen has it."""
    found = _shown(_bacen(request), order_id)
    if found is None:
        raise Problem(404, "not_found", _NO_SUCH_ORDER)
    return found


@router.get("/banks")
async def list_banks(request: Request) -> dict[str, Any]:
    """The participants that answer by themselves, and those that do not."""
    bacen = _bacen(request)
    banks = [{"ispb": ispb, "name": name} for ispb, name in BANKS.items()]
    return {"banks": banks, "live": sorted(bacen.live)}


@router.get("/keys")
async def list_keys(request: Request) -> dict[str, Any]:
    """Keys that demos may count on, and what a payment to each meets. Everybody here is made up."""
    _bacen(request)
    known = [
        {
            "key": each.key,
            "name": each.owner.name,
            "bank": BANKS[each.ispb],
            "payment": each.restriction or each.habit,
        }
        for each in WELL_KNOWN
    ]
    return {"keys": known}


@router.post("/clock")
async def move_clock(asked: TimeAsked, request: Request) -> dict[str, Any]:
    """Lets time pass at Bacen: for claims, which take days, and returns, which end after ninety."""
    bacen = _bacen(request)
    bacen.clock.advance(timedelta(seconds=asked.advance_seconds))
    bacen.agenda.run_due()
    return {"now": stamp(bacen.agenda())}


@router.put("/participants/{ispb}")
async def categorise(ispb: str, asked: ParticipantAsked, request: Request) -> dict[str, Any]:
    """Puts a participant into another category, with full buckets."""
    bacen = _bacen(request)
    if ispb not in bacen.participants:
        raise Problem(404, "not_found", "There is no such participant.")
    bacen.limits.categorise(ispb, asked.category)
    rate = CATEGORIES[asked.category]
    return {"ispb": ispb, "category": asked.category, "capacity": rate.capacity}


def _bacen(request: Request) -> Bacen:
    bacen: Bacen = request.app.state.bacen
    bacen.agenda.run_due()
    return bacen


def _account(asked: AccountAsked, bacen: Bacen) -> Account:
    return Account(asked.ispb, asked.branch, asked.number, asked.account_type, bacen.agenda())


def _shown(bacen: Bacen, order_id: str) -> dict[str, Any] | None:
    order: Order | None = bacen.spi.orders.get(order_id)
    if order is None:
        return None
    return {
        "order_id": order.id,
        "kind": order.kind,
        "end_to_end_id": order.end_to_end_id,
        "payer": order.payer,
        "payee": order.payee,
        "amount_cents": order.amount_cents,
        "returned_cents": order.returned_cents,
        "status": order.status,
        "reason": order.reason,
        "settled_at": stamp(order.settled_at) if order.settled_at else None,
    }

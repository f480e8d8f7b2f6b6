"""The simulator's controls, for tests and demos: faults, time, people, and what a bank's staff would do."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from apps.kit.problems import Problem
from apps.simulators.other_bank import consents
from apps.simulators.other_bank.customers import Customer, Movement, customer
from apps.simulators.other_bank.faults import FaultPlan
from apps.simulators.other_bank.requests import BankDep, BanksDep

router = APIRouter(prefix="/admin")


class Skip(BaseModel):
    """How far time goes forward."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(gt=0)]


class Person(BaseModel):
    """Somebody who becomes a customer."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=70)]
    savings: bool = True


class Booking(BaseModel):
    """A movement on an account, by its number."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
    credit: bool
    name: str
    amount_cents: Annotated[int, Field(gt=0)]


class Incoming(BaseModel):
    """A payment that comes by the SPI, before it is taken."""

    model_config = ConfigDict(extra="forbid")

    ispb: str
    number: str
    tax_id: str


class Arrived(BaseModel):
    """A payment that has come by the SPI, or a return of one."""

    model_config = ConfigDict(extra="forbid")

    order_id: str
    ispb: str
    number: str
    amount_cents: Annotated[int, Field(gt=0)]
    payer: str
    payer_tax_id: str | None


class AccountSeen(BaseModel):
    """An account, as the bank's own staff sees it."""

    account_id: str
    type: str
    branch: str
    number: str
    check_digit: str
    available_cents: int
    blocked_cents: int


class CustomerSeen(BaseModel):
    """A customer, as the bank's own staff does. The password is the simulator's, for its own page."""

    cpf: str
    name: str
    password: str
    accounts: list[AccountSeen]


class BankSeen(BaseModel):
    """A bank and its customers."""

    slug: str
    name: str
    ispb: str
    organisation_id: str
    customers: list[CustomerSeen]


@router.post("/clock")
def skip(body: Skip, banks: BanksDep) -> dict[str, str]:
    """Moves time forward for all banks."""
    banks.clock.skip(body.seconds)
    return {"now": banks.clock.now().isoformat()}


@router.get("/banks")
def list_banks(banks: BanksDep) -> list[BankSeen]:
    """All banks with their customers."""
    return [
        BankSeen(
            slug=slug,
            name=bank.brand.name,
            ispb=bank.brand.ispb,
            organisation_id=bank.brand.organisation_id,
            customers=[_seen(each) for each in bank.customers.values()],
        )
        for slug, bank in banks.by_slug.items()
    ]


@router.put("/{brand}/faults")
def plan_faults(body: FaultPlan, bank: BankDep) -> FaultPlan:
    """What goes wrong from now on."""
    bank.faults.plan(body)
    return bank.faults.current


@router.put("/{brand}/customers/{cpf}")
def add_customer(cpf: str, body: Person, bank: BankDep) -> CustomerSeen:
    """Makes somebody a customer, with accounts; whoever is one stays as they are."""
    if cpf not in bank.customers:
        bank.customers[cpf] = customer(bank.brand, cpf, body.name, bank.clock.now(), savings=body.savings)
    return _seen(bank.customers[cpf])


@router.post("/{brand}/accounts/{number}/movements", status_code=204)
def book(number: str, body: Booking, bank: BankDep) -> None:
    """Books a movement."""
    movement = Movement(
        body.transaction_id, body.credit, body.name, "PIX", body.amount_cents, bank.clock.now()
    )
    if not bank.credit(number, movement):
        raise Problem(404, "not_found", "There is no such account.")


@router.post("/spi/judgements")
def judge(body: Incoming, banks: BanksDep) -> dict[str, str | None]:
    """Bacen asks whether an account takes money: why not, or nothing."""
    return {"reason": banks.judge(body.ispb, body.number, body.tax_id)}


@router.post("/spi/credits", status_code=204)
def credit(body: Arrived, banks: BanksDep) -> None:
    """Bacen says that money has come."""
    bank = banks.of(body.ispb)
    movement = Movement(
        body.order_id, True, body.payer, "PIX", body.amount_cents, banks.clock.now(), body.payer_tax_id
    )
    if bank is None or not bank.credit(body.number, movement):
        raise Problem(404, "not_found", "There is no such account.")


@router.delete("/{brand}/consents/{consent_id}", status_code=204)
def revoke(consent_id: str, bank: BankDep) -> None:
    """The customer revokes a consent in the bank's own app."""
    consent = bank.consents.get(consent_id)
    if consent is None:
        raise Problem(404, "not_found", "There is no such consent.")
    consents.revoke(consent, "USER", bank.clock.now())
    bank.oauth.forget(consent_id)


@router.get("/{brand}/consents")
def list_consents(bank: BankDep) -> list[dict[str, object]]:
    """Every consent as it stands."""
    for each in bank.consents.values():
        bank.age(each)
    return [
        {"consent_id": each.consent_id, "kind": each.kind, "cpf": each.cpf, "status": each.status}
        for each in bank.consents.values()
    ]


def _seen(each: Customer) -> CustomerSeen:
    accounts = [
        AccountSeen(
            account_id=account.account_id,
            type=account.type,
            branch=account.branch,
            number=account.number,
            check_digit=account.check_digit,
            available_cents=account.available_cents,
            blocked_cents=account.blocked_cents,
        )
        for account in each.accounts
    ]
    return CustomerSeen(cpf=each.cpf, name=each.name, password=each.password, accounts=accounts)

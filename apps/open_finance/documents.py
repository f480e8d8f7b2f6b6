"""What banks answer, read strictly: what is not as published is `Invalid`, and nothing of it is believed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

_AMOUNT = re.compile(r"(-?)([0-9]{1,15})\.([0-9]{2})([0-9]{0,2})")

Identifier = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9-]{0,99}$")]


class Invalid(Exception):  # noqa: N818
    """A bank's answer is not what the rules allow. The reason names what, never a value."""


def cents(amount: str, *, signed: bool = True) -> int:
    """Centavos of an amount as banks write it: two to four decimals, of which only centavos may be money.

    >>> cents("1000.0400")
    100004
    """
    match = _AMOUNT.fullmatch(amount)
    if match is None or (match[1] and not signed):
        raise Invalid("amount")
    if match[4].strip("0"):
        raise Invalid("amount below a centavo")
    value = int(match[2]) * 100 + int(match[3])
    return -value if match[1] else value


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Money(_Document):
    """An amount as banks write it."""

    amount: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Resource(_Document):
    """Something that a consent covers."""

    resourceId: Identifier  # noqa: N815 (the bank's own name)
    type: str
    status: str


class Account(_Document):
    """An account in a bank's list."""

    accountId: Identifier  # noqa: N815
    type: Literal["CONTA_DEPOSITO_A_VISTA", "CONTA_POUPANCA", "CONTA_PAGAMENTO_PRE_PAGA"]
    branchCode: Annotated[str, Field(pattern=r"^[0-9]{4}$")] = "0000"  # noqa: N815 (a prepaid one has none)
    number: Annotated[str, Field(pattern=r"^[0-9]{8,20}$")]
    checkDigit: Annotated[str, Field(min_length=1, max_length=1)]  # noqa: N815


class _Balance(_Document):
    availableAmount: Money  # noqa: N815
    blockedAmount: Money  # noqa: N815
    updateDateTime: AwareDatetime  # noqa: N815


class _Transaction(_Document):
    transactionId: Annotated[str, Field(min_length=1, max_length=100)]  # noqa: N815
    completedAuthorisedPaymentType: str  # noqa: N815
    creditDebitType: Literal["CREDITO", "DEBITO"]  # noqa: N815
    transactionName: Annotated[str, Field(max_length=200)]  # noqa: N815
    transactionAmount: Money  # noqa: N815
    transactionDateTime: AwareDatetime  # noqa: N815


class Consent(_Document):
    """A consent as the bank has it, for data or for a payment."""

    consentId: Annotated[str, Field(max_length=256, pattern=r"^urn:")]  # noqa: N815
    status: str
    permissions: frozenset[str] = frozenset()
    loggedUser: Mapping[str, Any] | None = None  # noqa: N815
    payment: Mapping[str, Any] | None = None
    rejection: Mapping[str, Any] | None = None
    rejectionReason: Mapping[str, Any] | None = None  # noqa: N815


class Payment(_Document):
    """A payment as the bank has it."""

    paymentId: Annotated[str, Field(min_length=1, max_length=100)]  # noqa: N815
    endToEndId: str  # noqa: N815
    consentId: str | None = None  # noqa: N815
    status: Literal["RCVD", "PDNG", "SCHD", "ACCP", "ACPD", "ACSC", "CANC", "RJCT"]
    payment: Money
    creditorAccount: Mapping[str, Any]  # noqa: N815
    rejectionReason: Mapping[str, Any] | None = None  # noqa: N815


@dataclass(frozen=True)
class Figures:
    """What is on an account, in centavos, and the moment that it was so."""

    available_cents: int
    on_hold_cents: int
    currency: str
    as_of: datetime


@dataclass(frozen=True)
class Movement:
    """A booked transaction."""

    transaction_id: str
    credit: bool
    description: str
    amount_cents: int
    currency: str
    at: datetime


D = TypeVar("D", bound=BaseModel)


def read(kind: type[D], content: object) -> D:
    """A document of this kind. Raises `Invalid`."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise Invalid(f"{kind.__name__.strip('_')}.{error.errors()[0]['loc']}") from error


def resources(content: Sequence[object]) -> frozenset[str]:
    """The accounts that a consent covers and that can be had now."""
    found = [read(Resource, each) for each in content]
    return frozenset(
        each.resourceId for each in found if (each.type, each.status) == ("ACCOUNT", "AVAILABLE")
    )


def accounts(content: Sequence[object], covered: frozenset[str]) -> list[Account]:
    """The accounts of a list, all of which must be covered: others are another customer's."""
    found = [read(Account, each) for each in content]
    if not covered.issuperset(each.accountId for each in found):
        raise Invalid("an account that the consent does not cover")
    return found


def figures(content: object) -> Figures:
    """The balance in an answer."""
    found = read(_Balance, content)
    if found.availableAmount.currency != found.blockedAmount.currency:
        raise Invalid("two currencies")
    return Figures(
        cents(found.availableAmount.amount),
        cents(found.blockedAmount.amount, signed=False),
        found.availableAmount.currency,
        found.updateDateTime,
    )


def movements(content: Sequence[object]) -> list[Movement]:
    """The booked transactions of a page; what is still to come is left out."""
    found = [read(_Transaction, each) for each in content]
    return [
        Movement(
            each.transactionId,
            each.creditDebitType == "CREDITO",
            each.transactionName,
            cents(each.transactionAmount.amount, signed=False),
            each.transactionAmount.currency,
            each.transactionDateTime,
        )
        for each in found
        if each.completedAuthorisedPaymentType == "TRANSACAO_EFETIVADA"
    ]

"""Rules of payment initiations: whom they pay, what a bank is asked, and what its states mean to our user."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, Literal

from apps.open_finance.consent import AUTHORISE_PAYMENT_WITHIN, LinkedAccount

Status = Literal[
    "AWAITING_AUTHORISATION", "PROCESSING", "SCHEDULED", "SETTLED", "REJECTED", "CANCELLED", "EXPIRED"
]
FINAL: frozenset[Status] = frozenset({"SETTLED", "REJECTED", "CANCELLED", "EXPIRED"})
MEANING: Mapping[str, Status] = {
    "RCVD": "PROCESSING",
    "PDNG": "PROCESSING",
    "ACCP": "PROCESSING",
    "ACPD": "PROCESSING",
    "SCHD": "SCHEDULED",
    "ACSC": "SETTLED",
    "RJCT": "REJECTED",
    "CANC": "CANCELLED",
}
"""The published states of payments 4.0 and what they are to our user."""
CANCELLABLE = frozenset({"PDNG", "SCHD"})
FURTHEST_DAYS = 730
BRASILIA = timezone(timedelta(hours=-3))
"""A bank's day; Brazil has had no summer time since 2019."""


@dataclass(frozen=True)
class Creditor:
    """Who is paid. `key` is the Pix key that named them, if one did; not every account has a branch."""

    ispb: str
    branch: str | None
    number: str
    account_type: str
    tax_id: str
    name: str
    key: str | None = None


@dataclass(frozen=True)
class Initiation:
    """A payment that a user asked us to have made from an account at another bank.

    `status` is ours, `bank_status` the bank's own. `order` is what is sent to the bank, made once.
    """

    initiation_id: str
    owner: str
    cpf: str
    link_id: str
    account_id: str
    bank_id: str
    institution: str
    status: Status
    amount_cents: int
    creditor: Creditor
    description: str | None
    scheduled_for: date | None
    created_at: datetime
    request_hash: str
    end_to_end_id: str
    consent_request: Mapping[str, Any]
    consent_id: str | None = None
    authorisation_url: str | None = None
    authorised_at: datetime | None = None
    payment_id: str | None = None
    bank_status: str | None = None
    reason: str | None = None

    def bank_key(self, step: Literal["consent", "payment"]) -> str:
        """The idempotency key of a step at the bank: 40 characters, the same for every try."""
        return f"{self.initiation_id.replace('-', '')}-{step}"

    @property
    def final(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in FINAL

    def at(self, now: datetime) -> "Initiation":
        """The initiation as it stands now: five minutes are all the time that there is to authorise it."""
        if self.status == "AWAITING_AUTHORISATION" and now >= self.created_at + AUTHORISE_PAYMENT_WITHIN:
            return replace(self, status="EXPIRED", authorisation_url=None)
        return self

    def order(self, cnpj: str) -> dict[str, Any]:
        """The payment that the consent is for, `cnpj` being ours."""
        payment = self.consent_request["payment"]
        order: dict[str, Any] = {
            "endToEndId": self.end_to_end_id,
            "localInstrument": payment["details"]["localInstrument"],
            "payment": {"amount": payment["amount"], "currency": payment["currency"]},
            "creditorAccount": payment["details"]["creditorAccount"],
            "cnpjInitiator": cnpj,
            "consentId": self.consent_id,
        }
        if self.creditor.key is not None:
            order["proxy"] = self.creditor.key
        if self.description is not None:
            order["remittanceInformation"] = self.description
        return order


def carried_out(day: date) -> datetime:
    """The time in the end-to-end id of a payment scheduled for a day: 15:00 UTC, whenever it is made."""
    return datetime.combine(day, time(15), UTC)


def reais(cents: int) -> str:
    """An amount as payments are asked for: two decimals."""
    assert cents > 0, "nobody pays nothing"
    return f"{cents // 100}.{cents % 100:02d}"


def consent_request(
    cpf: str, creditor: Creditor, cents: int, day: date, scheduled_for: date | None
) -> dict[str, Any]:
    """`data` of the payment consent."""
    details: dict[str, Any] = {
        "localInstrument": "MANU" if creditor.key is None else "DICT",
        "creditorAccount": {
            "ispb": creditor.ispb,
            **({"issuer": creditor.branch} if creditor.branch is not None else {}),
            "number": creditor.number,
            "accountType": creditor.account_type,
        },
    }
    if creditor.key is not None:
        details["proxy"] = creditor.key
    payment: dict[str, Any] = {
        "type": "PIX",
        "currency": "BRL",
        "amount": reais(cents),
        "details": details,
    }
    if scheduled_for is None:
        payment["date"] = day.isoformat()
    else:
        payment["schedule"] = {"single": {"date": scheduled_for.isoformat()}}
    person = "PESSOA_NATURAL" if len(creditor.tax_id) == 11 else "PESSOA_JURIDICA"
    return {
        "loggedUser": {"document": {"identification": cpf, "rel": "CPF"}},
        "creditor": {"personType": person, "cpfCnpj": creditor.tax_id, "name": creditor.name},
        "payment": payment,
    }


def with_debtor(request: Mapping[str, Any], account: LinkedAccount, ispb: str) -> dict[str, Any]:
    """The same request, from this very account."""
    types = {"CONTA_DEPOSITO_A_VISTA": "CACC", "CONTA_POUPANCA": "SVGS", "CONTA_PAGAMENTO_PRE_PAGA": "TRAN"}
    debtor = {
        "ispb": ispb,
        "issuer": account.branch,
        "number": account.number,
        "accountType": types[account.account_type],
    }
    return {**request, "debtorAccount": debtor}


def request_hash(*asked: object) -> str:
    """Tells a replay from another request under the same key."""
    return hashlib.sha256(json.dumps(asked, default=str).encode()).hexdigest()

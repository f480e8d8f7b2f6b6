"""Payment initiation (payments 4.0): what may be asked for, and the published states.

A payment consent waits five minutes for its customer and, once authorised, an hour for its payment.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

from apps.simulators.other_bank.answers import Refused, cents
from apps.simulators.other_bank.brands import Brand
from apps.simulators.other_bank.clock import stamp
from apps.simulators.other_bank.consents import Consent, Rejection, logged_user, new_id
from apps.simulators.other_bank.customers import Account, Customer, Movement

AUTHORISE_WITHIN = timedelta(minutes=5)
CONSUME_WITHIN = timedelta(minutes=60)
FURTHEST_DAYS = 730
FINAL = frozenset({"ACSC", "RJCT", "CANC"})
BRASILIA = timezone(timedelta(hours=-3))
"""Brazil has had no summer time since 2019."""

_END_TO_END = re.compile(r"E[0-9]{8}[0-9]{12}[A-Za-z0-9]{11}")
_INSTRUMENTS = frozenset({"MANU", "DICT", "QRDN", "QRES", "INIC"})


def requested(asked: Mapping[str, Any], client_id: str, now: datetime) -> Consent:
    """The payment consent that signed data asks for. Raises `Refused`."""
    cpf = logged_user(asked)
    creditor, payment = _part(asked, "creditor"), _part(asked, "payment")
    if creditor.get("personType") not in {"PESSOA_NATURAL", "PESSOA_JURIDICA"}:
        raise Refused(422, "PARAMETRO_INVALIDO", "creditor.personType is none.")
    if not re.fullmatch(r"[0-9]{11}|[0-9]{14}", str(creditor.get("cpfCnpj", ""))):
        raise Refused(422, "PARAMETRO_INVALIDO", "creditor.cpfCnpj is none.")
    if not 1 <= len(str(creditor.get("name", ""))) <= 120:
        raise Refused(422, "PARAMETRO_NAO_INFORMADO", "creditor.name is missing or too long.")
    if payment.get("type") != "PIX":
        raise Refused(422, "FORMA_PAGAMENTO_INVALIDA", "Only PIX is paid.")
    if payment.get("currency") != "BRL" or not cents(payment.get("amount")):
        raise Refused(422, "PARAMETRO_INVALIDO", "payment.amount must be reais with two decimals.")
    _check_day(payment, now)
    _check_details(_part(payment, "details"))
    return Consent(
        consent_id=new_id(),
        client_id=client_id,
        kind="payment",
        cpf=cpf,
        status="AWAITING_AUTHORISATION",
        created_at=now,
        updated_at=now,
        expires_at=now + AUTHORISE_WITHIN,
        order=dict(asked),
    )


def _part(asked: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = asked.get(name)
    if not isinstance(found, dict):
        raise Refused(422, "PARAMETRO_NAO_INFORMADO", f"{name} is missing.")
    return found


def _check_day(payment: Mapping[str, Any], now: datetime) -> None:
    """One day, today, or one single day in the future. Raises `Refused`."""
    today = now.astimezone(BRASILIA).date()
    given, planned = payment.get("date"), payment.get("schedule")
    if (given is None) == (planned is None):
        raise Refused(422, "DATA_PAGAMENTO_INVALIDA", "Either date or schedule.")
    if planned is not None:
        day = _day(planned)
        if day is None or not today < day <= today + timedelta(days=FURTHEST_DAYS):
            raise Refused(422, "DATA_PAGAMENTO_INVALIDA", "A schedule is for a later day, within two years.")
    elif given != today.isoformat():
        raise Refused(422, "DATA_PAGAMENTO_INVALIDA", "date must be today.")


def _day(planned: object) -> date | None:
    try:
        return date.fromisoformat(planned["single"]["date"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return None


def _check_details(details: Mapping[str, Any]) -> None:
    instrument = details.get("localInstrument")
    if instrument not in _INSTRUMENTS:
        raise Refused(422, "DETALHE_PAGAMENTO_INVALIDO", "localInstrument is none.")
    account = _part(details, "creditorAccount")
    good = (
        re.fullmatch(r"[0-9]{8}", str(account.get("ispb", "")))
        and re.fullmatch(r"[0-9]{1,20}", str(account.get("number", "")))
        and account.get("accountType") in {"CACC", "SVGS", "TRAN"}
    )
    if not good:
        raise Refused(422, "DETALHE_PAGAMENTO_INVALIDO", "creditorAccount is no account.")
    if instrument == "DICT" and not details.get("proxy"):
        raise Refused(422, "PARAMETRO_NAO_INFORMADO", "DICT needs the key as proxy.")
    if instrument == "MANU" and (details.get("proxy") or details.get("qrCode")):
        raise Refused(422, "DETALHE_PAGAMENTO_INVALIDO", "MANU has neither proxy nor QR code.")
    if instrument in {"QRDN", "QRES"} and not details.get("qrCode"):
        raise Refused(422, "PARAMETRO_NAO_INFORMADO", "A QR code payment needs qrCode.")


def age(consent: Consent, now: datetime) -> None:
    """Ends a payment consent whose five or sixty minutes are over."""
    if consent.status == "AWAITING_AUTHORISATION" and now >= consent.created_at + AUTHORISE_WITHIN:
        consent.move("REJECTED", now, Rejection("ASPSP", "TEMPO_EXPIRADO_AUTORIZACAO"))
    elif consent.status == "AUTHORISED" and now >= consent.updated_at + CONSUME_WITHIN:
        consent.move("REJECTED", now, Rejection("ASPSP", "TEMPO_EXPIRADO_CONSUMO"))


def consent_view(consent: Consent) -> dict[str, Any]:
    """`data` of a payment consent."""
    seen: dict[str, Any] = {
        "consentId": consent.consent_id,
        "creationDateTime": stamp(consent.created_at),
        "expirationDateTime": stamp(consent.created_at + AUTHORISE_WITHIN),
        "statusUpdateDateTime": stamp(consent.updated_at),
        "status": consent.status,
        **{name: consent.order[name] for name in ("loggedUser", "creditor", "payment")},
    }
    if consent.rejection is not None:
        seen["rejectionReason"] = {"code": consent.rejection.code, "detail": consent.rejection.code}
    return seen


@dataclass
class Payment:
    """An order to pay. Its money is blocked until it is final."""

    payment_id: str
    consent: Consent
    order: Mapping[str, Any]
    payer: Account
    payer_name: str
    amount_cents: int
    created_at: datetime
    updated_at: datetime
    status: str
    planned_for: date | None = None
    reason: str | None = None
    cancelled_by: str | None = None

    def move(self, status: str, now: datetime) -> None:
        """Goes to another state; a final one gives the money back or takes it for good."""
        self.status, self.updated_at = status, now
        if status in FINAL:
            self.payer.blocked_cents -= self.amount_cents
            self.payer.available_cents += self.amount_cents
        if status == "ACSC":
            creditor = self.consent.order["creditor"]
            self.payer.book(
                Movement(
                    self.order["endToEndId"],
                    False,
                    creditor["name"],
                    "PIX",
                    self.amount_cents,
                    now,
                    creditor["cpfCnpj"],
                )
            )


def ordered(
    order: Mapping[str, Any], consent: Consent, customer: Customer, payer: Account, now: datetime
) -> Payment:
    """The payment of an authorised consent, with its money blocked. Raises `Refused`."""
    agreed = consent.order["payment"]
    details = agreed["details"]
    if not _END_TO_END.fullmatch(str(order.get("endToEndId", ""))):
        raise Refused(422, "PARAMETRO_INVALIDO", "endToEndId is none.")
    if not re.fullmatch(r"[0-9]{14}", str(order.get("cnpjInitiator", ""))):
        raise Refused(422, "PARAMETRO_INVALIDO", "cnpjInitiator is none.")
    same = (
        order.get("payment") == {"amount": agreed["amount"], "currency": agreed["currency"]}
        and order.get("creditorAccount") == details["creditorAccount"]
        and order.get("localInstrument") == details["localInstrument"]
        and order.get("proxy") == details.get("proxy")
        and order.get("qrCode") == details.get("qrCode")
    )
    if not same:
        raise Refused(422, "PAGAMENTO_DIVERGENTE_CONSENTIMENTO", "The payment is not what was consented to.")
    amount = cents(agreed["amount"]) or 0
    if payer.available_cents < amount:
        raise Refused(422, "SALDO_INSUFICIENTE", "The account has not so much.")
    payer.available_cents -= amount
    payer.blocked_cents += amount
    planned = _day(agreed["schedule"]) if agreed.get("schedule") else None
    status = "SCHD" if planned else "RCVD"
    payment_id = str(uuid.uuid4())
    return Payment(payment_id, consent, dict(order), payer, customer.name, amount, now, now, status, planned)


def progress(payment: Payment, brand: Brand, now: datetime, *, stuck: bool, refused: bool) -> bool:
    """Moves a payment as far as time has, but never to its good end; gives whether that is due."""
    if payment.status == "SCHD" and payment.planned_for is not None:
        if now.astimezone(BRASILIA).date() < payment.planned_for:
            return False
        payment.move("RCVD", now)
    while payment.status not in FINAL:
        due = payment.updated_at + timedelta(seconds=brand.step_seconds)
        if now < due or (stuck and payment.status == "PDNG"):
            return False
        following = "PDNG" if stuck else _following(brand, payment.status)
        if refused and following not in {"RCVD", "PDNG"}:
            payment.reason = "PAGAMENTO_RECUSADO_DETENTORA"
            following = "RJCT"
        if following == "ACSC":
            return True
        payment.move(following, due)
    return False


def conclude(payment: Payment, now: datetime, *, settled: bool) -> None:
    """Ends a payment as whoever carries its money says."""
    if not settled:
        payment.reason = "PAGAMENTO_RECUSADO_SPI"
    payment.move("ACSC" if settled else "RJCT", now)


def _following(brand: Brand, status: str) -> str:
    """The next of this bank's steps; also after one that it usually leaves out."""
    way = ("RCVD", "PDNG", "ACCP", "ACPD", "ACSC")
    return next(each for each in way[way.index(status) + 1 :] if each in brand.steps)


def cancel(payment: Payment, body: Mapping[str, Any], now: datetime) -> None:
    """Cancels what may be: held for checks, or scheduled until the day before. Raises `Refused`."""
    today = now.astimezone(BRASILIA).date()
    planned = payment.status == "SCHD" and payment.planned_for is not None and today < payment.planned_for
    if payment.status != "PDNG" and not planned:
        raise Refused(422, "PAGAMENTO_NAO_PERMITE_CANCELAMENTO", "It is too late to cancel.")
    if body.get("status") != "CANC":
        raise Refused(422, "PARAMETRO_INVALIDO", "status must be CANC.")
    payment.cancelled_by = _by(body)
    payment.move("CANC", now)


def _by(body: Mapping[str, Any]) -> str:
    by = _part(_part(body, "cancellation"), "cancelledBy")
    return logged_user({"loggedUser": by})


def payment_view(payment: Payment, brand: Brand) -> dict[str, Any]:
    """`data` of a payment."""
    seen: dict[str, Any] = {
        "paymentId": payment.payment_id,
        "consentId": payment.consent.consent_id,
        "creationDateTime": stamp(payment.created_at),
        "statusUpdateDateTime": stamp(payment.updated_at),
        "status": payment.status,
        "debtorAccount": {
            "ispb": brand.ispb,
            "issuer": payment.payer.branch,
            "number": payment.payer.number + payment.payer.check_digit,
            "accountType": "CACC",
        },
        **payment.order,
    }
    if payment.reason is not None:
        seen["rejectionReason"] = {"code": payment.reason, "detail": payment.reason}
    if payment.cancelled_by is not None:
        seen["cancellation"] = {
            "reason": "CANCELADO_PENDENCIA" if payment.planned_for is None else "CANCELADO_AGENDAMENTO",
            "cancelledFrom": "INICIADORA",
            "cancelledAt": stamp(payment.updated_at),
            "cancelledBy": {"document": {"identification": payment.cancelled_by, "rel": "CPF"}},
        }
    return seen

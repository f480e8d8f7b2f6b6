"""Payments 4 over HTTP: signed bodies both ways, each POST carried out once per idempotency key."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from apps.simulators.other_bank import payments
from apps.simulators.other_bank.answers import Refused, money, one
from apps.simulators.other_bank.bank import Bank
from apps.simulators.other_bank.payments import Payment
from apps.simulators.other_bank.requests import BankDep, BodyDep, authorization, url

PAYMENTS = "/{brand}/open-banking/payments/v4"

router = APIRouter()


@router.post(PAYMENTS + "/consents")
def ask_for_consent(request: Request, bank: BankDep, body: BodyDep) -> Response:
    """A new payment consent, waiting five minutes for its customer."""
    token = bank.bearer(authorization(request), "payments")
    asked = _signed(request, bank, body, token.client_id)

    def make() -> str:
        if not isinstance(asked, dict):
            raise Refused(422, "PARAMETRO_NAO_INFORMADO", "data is missing.")
        consent = payments.requested(asked, token.client_id, bank.clock.now())
        bank.consents[consent.consent_id] = consent
        return consent.consent_id

    consent_id = bank.once(token.client_id, request.headers.get("x-idempotency-key"), asked, make)
    consent = bank.consent(consent_id, token.client_id)
    return _answer(request, bank, token.client_id, payments.consent_view(consent), 201)


@router.get(PAYMENTS + "/consents/{consent_id}")
def look_at_consent(request: Request, consent_id: str, bank: BankDep) -> Response:
    """A payment consent as it stands."""
    token = bank.bearer(authorization(request), "payments")
    consent = bank.consent(consent_id, token.client_id)
    if consent.kind != "payment":
        raise Refused(404, "NAO_ENCONTRADO", "There is no such consent.")
    return _answer(request, bank, token.client_id, payments.consent_view(consent))


@router.post(PAYMENTS + "/pix/payments")
def pay(request: Request, bank: BankDep, body: BodyDep) -> Response:
    """The payment of an authorised consent."""
    token = bank.bearer(authorization(request), "payments")
    if token.consent_id is None:
        raise Refused(403, "NAO_PERMITIDO", "A payment needs its customer's token.")
    order = _signed(request, bank, body, token.client_id)
    payment_id = bank.once(
        token.client_id,
        request.headers.get("x-idempotency-key"),
        order,
        lambda: bank.pay(token, order).payment_id,
    )
    found = bank.payments[payment_id]
    return _answer(request, bank, token.client_id, [_view(bank, found)], 201)


@router.get(PAYMENTS + "/pix/payments/{payment_id}")
def look_at_payment(request: Request, payment_id: str, bank: BankDep) -> Response:
    """A payment as it stands."""
    token = bank.bearer(authorization(request), "payments")
    payment = bank.payment(payment_id, token.client_id)
    return _answer(request, bank, token.client_id, _view(bank, payment))


@router.patch(PAYMENTS + "/pix/payments/{payment_id}")
def cancel(request: Request, payment_id: str, bank: BankDep, body: BodyDep) -> Response:
    """Cancels a payment that waits."""
    token = bank.bearer(authorization(request), "payments")
    asked = _signed(request, bank, body, token.client_id)
    payment = bank.payment(payment_id, token.client_id)
    with bank.lock:
        payments.cancel(payment, asked if isinstance(asked, dict) else {}, bank.clock.now())
    return _answer(request, bank, token.client_id, _view(bank, payment))


@router.patch(PAYMENTS + "/pix/payments/consents/{consent_id}")
def cancel_all(request: Request, consent_id: str, bank: BankDep, body: BodyDep) -> Response:
    """Cancels every payment of a consent that still may be."""
    token = bank.bearer(authorization(request), "payments")
    asked = _signed(request, bank, body, token.client_id)
    bank.consent(consent_id, token.client_id)
    ended = []
    for each in [each for each in bank.payments.values() if each.consent.consent_id == consent_id]:
        payment = bank.payment(each.payment_id, token.client_id)
        with bank.lock:
            payments.cancel(payment, asked if isinstance(asked, dict) else {}, bank.clock.now())
        ended.append(
            {
                "paymentId": payment.payment_id,
                "statusUpdateDateTime": _view(bank, payment)["statusUpdateDateTime"],
            }
        )
    return _answer(request, bank, token.client_id, ended)


def _signed(request: Request, bank: Bank, body: bytes, client_id: str) -> object:
    found: object = bank.signed_request(
        body, request.headers.get("content-type", ""), client_id, url(request)
    )
    return found


def _answer(request: Request, bank: Bank, client_id: str, data: object, status: int = 200) -> Response:
    document = one(data, url(request), bank.clock.now())
    return Response(bank.signed_answer(document, client_id), status, media_type="application/jwt")


def _view(bank: Bank, payment: Payment) -> Mapping[str, Any]:
    seen = payments.payment_view(payment, bank.brand)
    if bank.faults.lies("another_amount"):
        seen["payment"] = money(payment.amount_cents + 1, 2)
    return seen

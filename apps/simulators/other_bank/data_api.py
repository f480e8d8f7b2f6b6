"""Consents 3, resources 3 and accounts 2 over HTTP: what a receiver of data may ask."""

from datetime import date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from apps.simulators.other_bank import consents
from apps.simulators.other_bank.answers import Refused, listed, money, one
from apps.simulators.other_bank.bank import Bank
from apps.simulators.other_bank.clock import fine_stamp, stamp
from apps.simulators.other_bank.consents import Consent
from apps.simulators.other_bank.customers import Account, Movement
from apps.simulators.other_bank.payments import BRASILIA
from apps.simulators.other_bank.requests import (
    BankDep,
    BodyDep,
    answer,
    authorization,
    document,
    leads_on,
    page,
    url,
)

CONSENTS = "/{brand}/open-banking/consents/v3/consents"
ACCOUNTS = "/{brand}/open-banking/accounts/v2/accounts"
CUSTOMER_IS_THERE = ("x-fapi-customer-ip-address", "x-customer-user-agent")
CURRENT_DAYS = 7
STATEMENT_DAYS = 366

router = APIRouter()


@router.post(CONSENTS)
def ask_for_consent(request: Request, bank: BankDep, body: BodyDep) -> Response:
    """A new consent, waiting for its customer."""
    token = bank.bearer(authorization(request), "consents")
    consent = consents.requested(document(body), token.client_id, bank.clock.now())
    bank.consents[consent.consent_id] = consent
    return answer(one(consents.view(consent), url(request), bank.clock.now()), 201)


@router.get(CONSENTS + "/{consent_id}")
def look_at_consent(request: Request, consent_id: str, bank: BankDep) -> Response:
    """A consent as it stands."""
    consent = _own(request, consent_id, bank)
    return answer(one(consents.view(consent), url(request), bank.clock.now()))


@router.delete(CONSENTS + "/{consent_id}")
def revoke_consent(request: Request, consent_id: str, bank: BankDep) -> Response:
    """Ends a consent."""
    consent = _own(request, consent_id, bank)
    consents.revoke(consent, "USER", bank.clock.now())
    bank.oauth.forget(consent_id)
    return Response(status_code=204)


@router.post(CONSENTS + "/{consent_id}/extends")
def extend_consent(request: Request, consent_id: str, bank: BankDep, body: BodyDep) -> Response:
    """Another end for a consent; its customer must be there."""
    token = bank.bearer(authorization(request), "accounts")
    told = {name: request.headers.get(name) or "" for name in CUSTOMER_IS_THERE}
    for header, value in told.items():
        if not value:
            raise Refused(400, "PARAMETRO_NAO_INFORMADO", f"{header} is missing.")
    if token.consent_id != consent_id:
        raise Refused(403, "NAO_PERMITIDO", "The access token is another consent's.")
    consent = bank.consent(consent_id, token.client_id)
    consents.extended(consent, document(body), bank.clock.now(), *told.values())
    return answer(one(consents.view(consent), url(request), bank.clock.now()), 201)


@router.get(CONSENTS + "/{consent_id}/extensions")
def list_extensions(request: Request, consent_id: str, bank: BankDep) -> Response:
    """How often the end of a consent was set anew, the last time first."""
    consent = _own(request, consent_id, bank)
    found = [consents.extension_view(consent, each) for each in consent.extensions]
    return answer(listed(found, page(request, bank), bank.clock.now()))


@router.get("/{brand}/open-banking/resources/v3/resources")
def list_resources(request: Request, bank: BankDep) -> Response:
    """What the consent covers."""
    consent = bank.reader(
        authorization(request), "RESOURCES_READ", "resources", leads_on=leads_on(request, bank)
    )
    found = [{"resourceId": each, "type": "ACCOUNT", "status": "AVAILABLE"} for each in consent.accounts]
    return answer(listed(found, page(request, bank), bank.clock.now()))


@router.get(ACCOUNTS)
def list_accounts(request: Request, bank: BankDep) -> Response:
    """The accounts that the consent covers."""
    consent = bank.reader(
        authorization(request), "ACCOUNTS_READ", "accounts", leads_on=leads_on(request, bank)
    )
    wanted = request.query_params.get("accountType")
    found = [_listed(bank, each) for each in bank.listed(consent) if wanted in {None, each.type}]
    return answer(listed(found, page(request, bank), bank.clock.now()))


@router.get(ACCOUNTS + "/{account_id}")
def look_at_account(request: Request, account_id: str, bank: BankDep) -> Response:
    """One account."""
    account = _account(request, account_id, bank, "ACCOUNTS_READ", "account")
    data = {
        "compeCode": bank.brand.compe,
        "branchCode": account.branch,
        "number": account.number,
        "checkDigit": account.check_digit,
        "type": account.type,
        "subtype": "INDIVIDUAL",
        "currency": "BRL",
    }
    return answer(one(data, url(request), bank.clock.now()))


@router.get(ACCOUNTS + "/{account_id}/balances")
def look_at_balance(request: Request, account_id: str, bank: BankDep) -> Response:
    """What is on an account."""
    account = _account(request, account_id, bank, "ACCOUNTS_BALANCES_READ", "balances")
    fraction = bank.faults.lies("fractions")
    data = {
        "availableAmount": money(account.available_cents, bank.brand.decimals, fraction=fraction),
        "blockedAmount": money(account.blocked_cents, bank.brand.decimals),
        "automaticallyInvestedAmount": money(0, bank.brand.decimals),
        "updateDateTime": stamp(bank.clock.now()),
    }
    return answer(one(data, url(request), bank.clock.now()))


@router.get(ACCOUNTS + "/{account_id}/overdraft-limits")
def look_at_overdraft(request: Request, account_id: str, bank: BankDep) -> Response:
    """No account here has an overdraft, which is said by an empty object."""
    _account(request, account_id, bank, "ACCOUNTS_OVERDRAFT_LIMITS_READ", "overdraft-limits")
    return answer(one({}, url(request), bank.clock.now()))


@router.get(ACCOUNTS + "/{account_id}/transactions")
def list_transactions(request: Request, account_id: str, bank: BankDep) -> Response:
    """A statement of up to a year."""
    return _statement(request, account_id, bank, "transactions", STATEMENT_DAYS)


@router.get(ACCOUNTS + "/{account_id}/transactions-current")
def list_current_transactions(request: Request, account_id: str, bank: BankDep) -> Response:
    """A statement of the last days, which may be asked for more often."""
    return _statement(request, account_id, bank, "transactions-current", CURRENT_DAYS - 1)


def _statement(request: Request, account_id: str, bank: Bank, endpoint: str, days: int) -> Response:
    account = _account(request, account_id, bank, "ACCOUNTS_TRANSACTIONS_READ", endpoint)
    first, last = _period(request, bank.clock.now(), days)
    indicator = request.query_params.get("creditDebitIndicator")
    found = [
        _transaction(bank, each)
        for each in sorted(account.movements, key=lambda each: each.at, reverse=True)
        if first <= each.at.astimezone(BRASILIA).date() <= last
        and indicator in {None, "CREDITO" if each.credit else "DEBITO"}
    ]
    return answer(listed(found, page(request, bank), bank.clock.now(), counted=False))


def _period(request: Request, now: datetime, days: int) -> tuple[date, date]:
    """First and last day, both or none. Raises `Refused`."""
    today = now.astimezone(BRASILIA).date()
    given = [request.query_params.get(name) for name in ("fromBookingDate", "toBookingDate")]
    if given == [None, None]:
        return today, today
    try:
        first, last = (date.fromisoformat(str(each)) for each in given)
    except ValueError as error:
        raise Refused(422, "PARAMETRO_INVALIDO", "Both booking dates, as YYYY-MM-DD, or none.") from error
    if first > last or first < today - timedelta(days=days) or last > today + timedelta(days=days):
        raise Refused(422, "PARAMETRO_INVALIDO", "The period is upside down or too long ago.")
    return first, last


def _own(request: Request, consent_id: str, bank: Bank) -> Consent:
    token = bank.bearer(authorization(request), "consents")
    consent = bank.consent(consent_id, token.client_id)
    if consent.kind != "data":
        raise Refused(404, "NAO_ENCONTRADO", "There is no such consent.")
    return consent


def _account(request: Request, account_id: str, bank: Bank, permission: str, endpoint: str) -> Account:
    place = f"{endpoint} {account_id}"
    consent = bank.reader(authorization(request), permission, place, leads_on=leads_on(request, bank))
    return bank.account(consent, account_id)


def _listed(bank: Bank, account: Account) -> dict[str, Any]:
    return {
        "brandName": bank.brand.name,
        "companyCnpj": bank.brand.cnpj,
        "type": account.type,
        "compeCode": bank.brand.compe,
        "branchCode": account.branch,
        "number": account.number,
        "checkDigit": account.check_digit,
        "accountId": account.account_id,
    }


def _transaction(bank: Bank, movement: Movement) -> dict[str, Any]:
    seen: dict[str, Any] = {
        "transactionId": movement.transaction_id,
        "completedAuthorisedPaymentType": "TRANSACAO_EFETIVADA",
        "creditDebitType": "CREDITO" if movement.credit else "DEBITO",
        "transactionName": movement.name,
        "type": movement.kind,
        "transactionAmount": money(movement.amount_cents, bank.brand.decimals),
        "transactionDateTime": fine_stamp(movement.at),
    }
    if movement.party is not None:
        seen["partieCnpjCpf"] = movement.party
        seen["partiePersonType"] = "PESSOA_NATURAL" if len(movement.party) == 11 else "PESSOA_JURIDICA"
    return seen

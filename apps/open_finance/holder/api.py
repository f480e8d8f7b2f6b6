"""What others may ask of us by HTTP: our authorisation server, and consents 3, resources 3 and accounts 2.

No customer's token opens anything here, and none of these tokens opens anything else. Every answer below
`/open-banking/` echoes its interaction id.
"""

import json
import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from html import escape
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from apps.open_finance.holder import accounts, answers, consents
from apps.open_finance.holder.accounts import Held
from apps.open_finance.holder.answers import OAuthRefused, Refused
from apps.open_finance.holder.consents import URN, Given
from apps.open_finance.holder.holder import Holder
from apps.open_finance.payment import BRASILIA

INTERACTION = "x-fapi-interaction-id"
JSON = "application/json; charset=utf-8"
CURRENT_DAYS = 6
STATEMENT_DAYS = 366
CONSENTS = "/open-banking/consents/v3/consents"
ACCOUNTS = "/open-banking/accounts/v2/accounts"


async def _holder(request: Request) -> Holder:
    holder: Holder = request.app.state.holder
    return holder


async def _body(request: Request) -> bytes:
    return await request.body()


def _interaction(request: Request) -> None:
    """Takes the interaction id of a request, or makes one and refuses. Raises `Refused`."""
    given = request.headers.get(INTERACTION, "")
    try:
        good = str(uuid.UUID(given)) == given.lower()
    except ValueError:
        good = False
    request.state.interaction = given if good else str(uuid.uuid4())
    if not good:
        raise Refused(400, "PARAMETRO_INVALIDO", f"{INTERACTION} must be a UUID.")


HolderDep = Annotated[Holder, Depends(_holder)]
BodyDep = Annotated[bytes, Depends(_body)]

oauth = APIRouter(include_in_schema=False)
data = APIRouter(include_in_schema=False, dependencies=[Depends(_interaction)])


# --- the authorisation server ---


@oauth.get("/.well-known/openid-configuration")
def discover(holder: HolderDep) -> Response:
    """Where everything is."""
    return JSONResponse(holder.server.discovery())


@oauth.get("/oauth/jwks")
def list_keys(holder: HolderDep) -> Response:
    """The keys that we sign with."""
    return JSONResponse({"keys": [holder.server.key.jwk]})


@oauth.post("/oauth/register")
def register(holder: HolderDep, body: BodyDep) -> Response:
    """Makes somebody a client."""
    client = holder.server.register(_document(body))
    said = {
        "client_id": client.client_id,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "token_endpoint_auth_method": "private_key_jwt",
    }
    return JSONResponse(said, 201)


@oauth.post("/oauth/par")
def push(holder: HolderDep, body: BodyDep) -> Response:
    """Takes a client's signed request."""
    form = _form(body)
    client = holder.server.authenticated(form)
    uri, seconds = holder.server.pushed(client, form.get("request", ""))
    return JSONResponse({"request_uri": uri, "expires_in": seconds}, 201)


@oauth.get("/oauth/authorize")
def arrive(request: Request, holder: HolderDep) -> Response:
    """A browser with a pushed request. What it asks for is decided in our app, by its customer signed in."""
    query = request.query_params
    asked = holder.server.arrived(query.get("client_id", ""), query.get("request_uri", ""))
    client = holder.store.client(asked.client_id)
    name = client.name if client is not None else asked.client_id
    return HTMLResponse(
        f"""<!doctype html><html lang="pt-BR"><meta charset="utf-8"><title>GO Banking</title>
<h1>GO Banking</h1><p>{escape(name)} pede para ler dados seus. Confirme no aplicativo:</p>
<p><code id="consent-request">{asked.request_id}</code></p></html>""",
        headers={"Cache-Control": "no-store"},
    )


@oauth.post("/oauth/token")
def token(holder: HolderDep, body: BodyDep) -> Response:
    """Exchanges a grant."""
    form = _form(body)
    said = holder.server.tokens(holder.server.authenticated(form), form)
    return JSONResponse(said, headers={"Cache-Control": "no-store"})


# --- consents ---


@data.post(CONSENTS)
def ask_for_consent(request: Request, holder: HolderDep, body: BodyDep) -> Response:
    """A new consent, waiting for its customer."""
    allowed = holder.server.bearer(_authorization(request), "consents")
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "PARAMETRO_INVALIDO", "The body is not JSON.") from error
    consent = consents.requested(asked, allowed.client_id, holder.now())
    holder.store.add_consent(consent)
    return _one(request, holder, consent.view(), 201)


@data.get(CONSENTS + "/{consent_id}")
def look_at_consent(request: Request, consent_id: str, holder: HolderDep) -> Response:
    """A consent as it stands."""
    return _one(request, holder, _own(request, consent_id, holder).view())


@data.delete(CONSENTS + "/{consent_id}")
def revoke_consent(request: Request, consent_id: str, holder: HolderDep) -> Response:
    """Ends a consent, as its customer told the client to."""
    consent = _own(request, consent_id, holder)
    holder.end(consent, "TPP")
    return Response(status_code=204, headers=_echo(request))


# --- what is covered ---


@data.get("/open-banking/resources/v3/resources")
def list_resources(request: Request, holder: HolderDep) -> Response:
    """What the consent covers; a closed account is no longer there to be read."""
    consent = _reader(request, holder, "RESOURCES_READ")
    found = [
        {"resourceId": each, "type": "ACCOUNT", "status": "AVAILABLE" if is_open else "UNAVAILABLE"}
        for each, is_open in ((each, holder.is_open(each)) for each in consent.accounts)
    ]
    return _listed(request, holder, found)


@data.get(ACCOUNTS)
def list_accounts(request: Request, holder: HolderDep) -> Response:
    """The accounts that the consent covers."""
    consent = _reader(request, holder, "ACCOUNTS_READ")
    wanted = request.query_params.get("accountType")
    if wanted not in {None, *accounts.TYPES.values()}:
        raise Refused(422, "PARAMETRO_INVALIDO", "accountType is none.")
    held = [holder.accounts.find(each) for each in consent.accounts]
    found = [
        each.listed(holder.cnpj)
        for each in held
        if each is not None and wanted in {None, each.kind} and holder.is_open(each.account_id)
    ]
    return _listed(request, holder, found)


@data.get(ACCOUNTS + "/{account_id}")
def look_at_account(request: Request, account_id: str, holder: HolderDep) -> Response:
    """One account."""
    return _one(request, holder, _account(request, account_id, holder, "ACCOUNTS_READ").described())


@data.get(ACCOUNTS + "/{account_id}/balances")
def look_at_balance(request: Request, account_id: str, holder: HolderDep) -> Response:
    """What is on an account."""
    held = _account(request, account_id, holder, "ACCOUNTS_BALANCES_READ")
    balance = holder.accounts.balance(held.account_id)
    return _one(request, holder, accounts.balance_view(balance, holder.now()))


@data.get(ACCOUNTS + "/{account_id}/overdraft-limits")
def look_at_overdraft(request: Request, account_id: str, holder: HolderDep) -> Response:
    """No account here has an overdraft, which is said by an empty object."""
    _account(request, account_id, holder, "ACCOUNTS_OVERDRAFT_LIMITS_READ")
    return _one(request, holder, {})


@data.get(ACCOUNTS + "/{account_id}/transactions")
def list_transactions(request: Request, account_id: str, holder: HolderDep) -> Response:
    """A statement of up to a year."""
    return _statement(request, account_id, holder, STATEMENT_DAYS)


@data.get(ACCOUNTS + "/{account_id}/transactions-current")
def list_current_transactions(request: Request, account_id: str, holder: HolderDep) -> Response:
    """A statement of the last seven days."""
    return _statement(request, account_id, holder, CURRENT_DAYS)


def _statement(request: Request, account_id: str, holder: Holder, days: int) -> Response:
    held = _account(request, account_id, holder, "ACCOUNTS_TRANSACTIONS_READ")
    first, last = _period(request, holder.now(), days)
    indicator = request.query_params.get("creditDebitIndicator")
    if indicator not in {None, "CREDITO", "DEBITO"}:
        raise Refused(422, "PARAMETRO_INVALIDO", "creditDebitIndicator is CREDITO or DEBITO.")
    asked = answers.page(_url(request, holder), request.query_params.multi_items())
    lines, more = holder.accounts.lines(held, first, last, indicator, skip=asked.start, limit=asked.size)
    found = [accounts.transaction_view(each) for each in lines]
    return _said(request, answers.statement(found, asked, holder.now(), more=more))


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


# --- who asks ---


def _own(request: Request, consent_id: str, holder: Holder) -> Given:
    """A consent of the client that asks. Raises `Refused`."""
    allowed = holder.server.bearer(_authorization(request), "consents")
    consent = holder.server.consent(consent_id.removeprefix(URN)) if consent_id.startswith(URN) else None
    if consent is None or consent.client_id != allowed.client_id:
        raise Refused(404, "NAO_ENCONTRADO", "There is no such consent.")
    return consent


def _reader(request: Request, holder: Holder, permission: str) -> Given:
    """The consent by which a request reads. Raises `Refused`."""
    allowed = holder.server.bearer(_authorization(request), "accounts", "resources")
    consent = holder.server.consent(allowed.consent_id)
    if consent is None or consent.status != "AUTHORISED":
        raise Refused(401, "CONSENTIMENTO_INVALIDO", "The consent has ended.")
    wanted = "resources" if permission == "RESOURCES_READ" else "accounts"
    # Resources are also what a token for accounts covers (resources 3.0).
    if permission not in consent.permissions or not {wanted, "accounts"} & set(allowed.scopes):
        raise Refused(403, "NAO_PERMITIDO", f"The consent does not cover {permission}.")
    return consent


def _account(request: Request, account_id: str, holder: Holder, permission: str) -> Held:
    """An account that the request's consent covers. Raises `Refused`."""
    consent = _reader(request, holder, permission)
    held = holder.accounts.find(account_id) if account_id in consent.accounts else None
    if held is None or not holder.is_open(account_id):
        raise Refused(404, "NAO_ENCONTRADO", "The consent covers no such account.")
    return held


# --- how it is said ---


def _authorization(request: Request) -> str | None:
    return request.headers.get("authorization")


def _url(request: Request, holder: Holder) -> str:
    """This request's URL as it is from outside."""
    return holder.server.issuer + request.url.path


def _one(request: Request, holder: Holder, content: Mapping[str, Any], status: int = 200) -> Response:
    return _said(request, answers.one(content, _url(request, holder), holder.now()), status)


def _listed(request: Request, holder: Holder, found: list[dict[str, Any]]) -> Response:
    asked = answers.page(_url(request, holder), request.query_params.multi_items())
    return _said(request, answers.listed(found, asked, holder.now()))


def _said(request: Request, content: Mapping[str, Any], status: int = 200) -> Response:
    text = json.dumps(content, ensure_ascii=False)
    return Response(text, status, _echo(request), media_type=JSON)


def _echo(request: Request) -> dict[str, str]:
    return {INTERACTION: request.state.interaction}


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form that has each once."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50)
    if len({name for name, _ in pairs}) < len(pairs):
        raise OAuthRefused("invalid_request", "a parameter stands twice")
    return dict(pairs)


def _document(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise OAuthRefused("invalid_client_metadata", "the body is not JSON") from error
    return found


def answer_refusals(app: FastAPI, holder: Holder) -> None:
    """Lets refusals be said in the standards' own shapes."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return _said(request, answers.error_body(error, holder.now()), error.status)

    @app.exception_handler(OAuthRefused)
    async def oauth_refused(_: Request, error: OAuthRefused) -> Response:
        said = {"error": error.error, "error_description": error.description}
        return JSONResponse(said, error.status, {"Cache-Control": "no-store"})

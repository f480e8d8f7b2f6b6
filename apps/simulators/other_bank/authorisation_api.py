"""The authorisation server over HTTP: discovery, registration, PAR, tokens, and the page for people."""

from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from apps.simulators.other_bank import pages
from apps.simulators.other_bank.answers import Refused
from apps.simulators.other_bank.authorisation import (
    ACCESS_TOKEN_LIFE,
    AuthorisationRequest,
    Code,
    OAuthRefused,
    redirect,
)
from apps.simulators.other_bank.bank import Bank, Visit
from apps.simulators.other_bank.requests import BankDep, BanksDep, BodyDep, base, document, form, issuer
from apps.simulators.other_bank.signatures import ALGORITHM

router = APIRouter()


@router.get("/directory/participants")
def participants(request: Request, banks: BanksDep) -> Response:
    """Who takes part in Open Finance."""
    return JSONResponse(banks.participants(base(request)))


@router.get("/{brand}/.well-known/openid-configuration")
def discover(request: Request, bank: BankDep) -> Response:
    """Where everything is, and what is asked for."""
    at = issuer(request, bank)
    return JSONResponse(
        {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "pushed_authorization_request_endpoint": f"{at}/par",
            "registration_endpoint": f"{at}/register",
            "jwks_uri": f"{at}/jwks",
            "require_pushed_authorization_requests": bank.brand.pushed_requests,
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "code_challenge_methods_supported": ["S256"],
            "request_object_signing_alg_values_supported": [ALGORITHM],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": ["openid", "consents", "resources", "accounts", "payments"],
            "claims_supported": ["cpf", "acr"],
        }
    )


@router.get("/{brand}/jwks")
def keys(bank: BankDep) -> Response:
    """The keys that this bank signs with."""
    return JSONResponse({"keys": [bank.oauth.key.jwk]})


@router.post("/{brand}/register")
def register(bank: BankDep, body: BodyDep) -> Response:
    """A new client. Whoever reaches a simulator may be one: there is no directory that vouches."""
    asked = document(body)
    client = bank.oauth.register(asked if isinstance(asked, dict) else {})
    return JSONResponse({"client_id": client.client_id, "redirect_uris": sorted(client.redirect_uris)}, 201)


@router.post("/{brand}/par")
def push(request: Request, bank: BankDep, body: BodyDep) -> Response:
    """Keeps an authorisation request (RFC 9126)."""
    fields, at = form(body), issuer(request, bank)
    client = bank.oauth.authenticated(fields, frozenset({at, f"{at}/token", f"{at}/par"}))
    uri, seconds = bank.oauth.push(bank.oauth.request(fields.get("request", ""), client, at))
    return JSONResponse({"request_uri": uri, "expires_in": seconds}, 201)


@router.post("/{brand}/token")
def token(request: Request, bank: BankDep, body: BodyDep) -> Response:
    """Tokens for what a client has."""
    fields, at = form(body), issuer(request, bank)
    client = bank.oauth.authenticated(fields, frozenset({at, f"{at}/token"}))
    answer: dict[str, object] = {
        "token_type": "Bearer",
        "expires_in": int(ACCESS_TOKEN_LIFE.total_seconds()),
    }
    match fields.get("grant_type"):
        case "client_credentials":
            answer["access_token"] = bank.oauth.own(client, fields.get("scope", ""))
        case "refresh_token":
            answer["access_token"] = bank.oauth.refreshed(client, fields)
        case "authorization_code":
            answer |= _exchanged(bank, at, *bank.oauth.exchange(client, fields))
        case _:
            raise OAuthRefused("unsupported_grant_type", "a code, a refresh token or client credentials")
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _exchanged(bank: Bank, at: str, code: Code, access: str, refresh: str) -> dict[str, object]:
    nonce = "another" if bank.faults.lies("wrong_nonce") else code.request.nonce
    cpf = "00000000191" if bank.faults.lies("another_customer") else code.cpf
    id_token = bank.oauth.id_token(code, at, nonce=nonce, cpf=cpf, key=bank.key)
    return {"access_token": access, "refresh_token": refresh, "id_token": id_token}


@router.get("/{brand}/authorize")
def authorize(request: Request, bank: BankDep) -> Response:
    """The page that a customer's browser is sent to."""
    try:
        visit = bank.arrive(_asked(request, bank))
    except OAuthRefused as refused:
        # The redirect_uri is not proven either, so the browser stays here.
        return HTMLResponse(pages.failed(bank.brand, refused.description), 400)
    return HTMLResponse(pages.sign_in(bank.brand, visit))


def _asked(request: Request, bank: Bank) -> AuthorisationRequest:
    query = request.query_params
    client = bank.oauth.clients.get(query.get("client_id", ""))
    if client is None:
        raise OAuthRefused("invalid_client", "nobody knows this client")
    if "request_uri" in query:
        return bank.oauth.pushed(query["request_uri"], client.client_id)
    if bank.brand.pushed_requests:
        raise OAuthRefused("invalid_request", "push the request first")
    return bank.oauth.request(query.get("request", ""), client, issuer(request, bank))


@router.post("/{brand}/authorize/login")
def sign_in(request: Request, bank: BankDep, body: BodyDep) -> Response:
    """CPF and password."""
    fields = form(body)
    key = fields.get("visit", "")
    visit = bank.visit(key)
    if visit.consent.status != "AWAITING_AUTHORISATION":
        return _away(request, bank, key, visit, "access_denied")
    customer = bank.signs_in(visit, fields.get("cpf", ""), fields.get("password", ""))
    if customer is None:
        return HTMLResponse(pages.sign_in(bank.brand, key, "CPF ou senha incorretos."), 401)
    if customer.cpf != visit.consent.cpf:
        data = visit.consent.kind == "data"
        bank.refuse(visit.consent, "ASPSP", "INTERNAL_SECURITY_REASON" if data else "NAO_INFORMADO")
        return _away(request, bank, key, visit, "access_denied")
    return HTMLResponse(
        pages.decide(bank.brand, key, bank.client_names(visit.asked.client), visit.consent, customer.accounts)
    )


@router.post("/{brand}/authorize/decision")
def decide(request: Request, bank: BankDep, body: BodyDep) -> Response:
    """Yes, with these accounts, or no."""
    fields = form(body)
    key = fields.get("visit", "")
    visit = bank.visit(key)
    if visit.cpf != visit.consent.cpf:
        return HTMLResponse(pages.failed(bank.brand, "Entre primeiro."), 403)
    if visit.consent.status != "AWAITING_AUTHORISATION":
        return _away(request, bank, key, visit, "access_denied")
    if fields.get("decision") != "approve":
        data = visit.consent.kind == "data"
        bank.refuse(visit.consent, "USER", "CUSTOMER_MANUALLY_REJECTED" if data else "REJEITADO_USUARIO")
        return _away(request, bank, key, visit, "access_denied")
    try:
        code = bank.authorise(visit, parse_qs(body.decode("utf-8", "replace")).get("account", []))
    except Refused as refused:
        return HTMLResponse(pages.failed(bank.brand, refused.detail), 422)
    del bank.visits[key]
    return RedirectResponse(redirect(visit.asked, issuer(request, bank), code=code), 303)


def _away(request: Request, bank: Bank, key: str, visit: Visit, error: str) -> Response:
    """Back to the client without a code."""
    bank.visits.pop(key, None)
    return RedirectResponse(redirect(visit.asked, issuer(request, bank), error=error), 303)

"""The authorisation server of a bank: clients, pushed and signed requests, codes and tokens.

OAuth code flow with PKCE (S256), request objects signed by the client, client authentication by private key
JWT, codes and assertions that work once. Tokens are opaque; what they allow is kept here.
"""

import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.signatures import BadSignature, SigningKey, verified

ACCESS_TOKEN_LIFE = timedelta(minutes=15)
CODE_LIFE = timedelta(minutes=1)
REQUEST_LIFE = timedelta(minutes=10)
PUSHED_LIFE = timedelta(seconds=90)
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PUSHED = "urn:ietf:params:oauth:request_uri:"


class OAuthRefused(Exception):  # noqa: N818
    """An OAuth error, as RFC 6749 names it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True)
class Client:
    """A registered initiator or receiver of data."""

    client_id: str
    organisation_id: str
    name: str
    jwks: Mapping[str, Any]
    redirect_uris: frozenset[str]


@dataclass(frozen=True)
class AuthorisationRequest:
    """What a client asks its user to authorise."""

    client: Client
    redirect_uri: str
    scope: str
    state: str
    nonce: str
    challenge: str
    claims: Mapping[str, Any]
    expires_at: datetime

    @property
    def consent_id(self) -> str | None:
        """The consent that the scope names, if it names one."""
        found = [each.removeprefix("consent:") for each in self.scope.split() if each.startswith("consent:")]
        return found[0] if len(found) == 1 else None


@dataclass
class Code:
    """An authorisation code. `tokens` are what it was exchanged for: replaying it ends them."""

    request: AuthorisationRequest
    cpf: str
    expires_at: datetime
    used: bool = False
    tokens: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Token:
    """What a bearer may do."""

    client_id: str
    scopes: frozenset[str]
    expires_at: datetime | None
    cpf: str | None = None
    consent_id: str | None = None


class AuthorisationServer:
    """State of one bank's authorisation server. `key` signs id tokens."""

    def __init__(self, clock: Clock, key: SigningKey) -> None:
        self.clients: dict[str, Client] = {}
        self.key = key
        self._clock = clock
        self._pushed: dict[str, AuthorisationRequest] = {}
        self._codes: dict[str, Code] = {}
        self._access: dict[str, Token] = {}
        self._refresh: dict[str, Token] = {}
        self._assertions: set[str] = set()

    def register(self, asked: Mapping[str, Any]) -> Client:
        """A new client (RFC 7591). Raises `OAuthRefused`."""
        uris = asked.get("redirect_uris")
        jwks = asked.get("jwks")
        if asked.get("token_endpoint_auth_method") != "private_key_jwt":
            raise OAuthRefused("invalid_client_metadata", "private_key_jwt is the only way in")
        if not isinstance(uris, list) or not uris or not all(isinstance(each, str) for each in uris):
            raise OAuthRefused("invalid_redirect_uri", "at least one")
        if not isinstance(jwks, dict) or not jwks.get("keys"):
            raise OAuthRefused("invalid_client_metadata", "jwks has no key")
        client = Client(
            str(uuid.uuid4()),
            str(asked.get("organisation_id", "")),
            str(asked.get("client_name", "")),
            jwks,
            frozenset(uris),
        )
        self.clients[client.client_id] = client
        return client

    def authenticated(self, form: Mapping[str, str], audiences: frozenset[str]) -> Client:
        """The client that an assertion proves. Raises `OAuthRefused` 401."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthRefused("invalid_client", "a client proves itself by private_key_jwt", 401)
        try:
            client = self.clients[form.get("client_id", "")]
            claims = verified(form.get("client_assertion", ""), client.jwks)
            now = self._clock.now().timestamp()
            good = (
                claims["iss"] == claims["sub"] == client.client_id
                and not audiences.isdisjoint(_listed(claims["aud"]))
                and now - 30 <= claims["exp"] <= now + 600
                and claims["jti"] not in self._assertions
            )
        except (BadSignature, KeyError, TypeError) as error:
            raise OAuthRefused("invalid_client", "the assertion proves no client", 401) from error
        if not good:
            raise OAuthRefused("invalid_client", "the assertion is not for here, or not any more", 401)
        self._assertions.add(claims["jti"])
        return client

    def request(self, message: str, client: Client, issuer: str) -> AuthorisationRequest:
        """The signed request of a client. Raises `OAuthRefused`."""
        try:
            claims = verified(message, client.jwks)
        except BadSignature as error:
            raise OAuthRefused("invalid_request_object", "not signed by this client") from error
        now = self._clock.now()
        good = (
            claims.get("iss") == claims.get("client_id") == client.client_id
            and issuer in _listed(claims.get("aud"))
            and isinstance(claims.get("exp"), int)
            and now.timestamp() < claims["exp"] <= now.timestamp() + 3600
            and claims.get("response_type") == "code"
            and claims.get("code_challenge_method") == "S256"
            and all(_text(claims.get(name)) for name in ("state", "nonce", "code_challenge", "scope"))
        )
        if not good:
            raise OAuthRefused("invalid_request_object", "a claim is missing or not allowed")
        if claims.get("redirect_uri") not in client.redirect_uris:
            raise OAuthRefused("invalid_request", "the redirect_uri is not registered")
        asked = AuthorisationRequest(
            client,
            claims["redirect_uri"],
            claims["scope"],
            claims["state"],
            claims["nonce"],
            claims["code_challenge"],
            claims.get("claims") or {},
            now + REQUEST_LIFE,
        )
        if "openid" not in asked.scope.split() or asked.consent_id is None:
            raise OAuthRefused("invalid_scope", "openid and one consent:<id>")
        return asked

    def push(self, asked: AuthorisationRequest) -> tuple[str, int]:
        """Keeps a request for the browser that will come with its URI; gives URI and seconds."""
        uri = PUSHED + secrets.token_urlsafe(24)
        self._pushed[uri] = asked
        return uri, int(PUSHED_LIFE.total_seconds())

    def pushed(self, uri: str, client_id: str) -> AuthorisationRequest:
        """The request kept under a URI, once. Raises `OAuthRefused`."""
        asked = self._pushed.pop(uri, None)
        pushed_at = asked.expires_at - REQUEST_LIFE if asked else self._clock.now()
        if asked is None or asked.client.client_id != client_id:
            raise OAuthRefused("invalid_request_uri", "nobody pushed this request, or it was used")
        if self._clock.now() > pushed_at + PUSHED_LIFE:
            raise OAuthRefused("invalid_request_uri", "the pushed request is too old")
        return asked

    def code(self, asked: AuthorisationRequest, cpf: str) -> str:
        """A code for a request that its user has authorised."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = Code(asked, cpf, self._clock.now() + CODE_LIFE)
        return code

    def exchange(self, client: Client, form: Mapping[str, str]) -> tuple[Code, str, str]:
        """Code, access token and refresh token for a code. Raises `OAuthRefused`."""
        code = self._codes.get(form.get("code", ""))
        if code is None or code.request.client.client_id != client.client_id:
            raise OAuthRefused("invalid_grant", "the code is not this client's")
        if code.used:
            # RFC 6749, 4.1.2: somebody has the code who should not.
            for token in code.tokens:
                self._access.pop(token, None)
                self._refresh.pop(token, None)
            raise OAuthRefused("invalid_grant", "the code was used before; its tokens end")
        code.used = True
        if self._clock.now() > code.expires_at:
            raise OAuthRefused("invalid_grant", "the code is too old")
        if form.get("redirect_uri") != code.request.redirect_uri:
            raise OAuthRefused("invalid_grant", "another redirect_uri")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if not hmac.compare_digest(challenge, code.request.challenge):
            raise OAuthRefused("invalid_grant", "the code_verifier is another request's")
        scopes = frozenset(code.request.scope.split())
        allowed = Token(client.client_id, scopes, None, code.cpf, code.request.consent_id)
        access, refresh = self._issue(allowed), secrets.token_urlsafe(32)
        self._refresh[refresh] = allowed
        code.tokens += [access, refresh]
        return code, access, refresh

    def refreshed(self, client: Client, form: Mapping[str, str]) -> str:
        """A new access token for a refresh token, which stays the same. Raises `OAuthRefused`."""
        allowed = self._refresh.get(form.get("refresh_token", ""))
        if allowed is None or allowed.client_id != client.client_id:
            raise OAuthRefused("invalid_grant", "the refresh token is not this client's, or not any more")
        return self._issue(allowed)

    def own(self, client: Client, scope: str) -> str:
        """A client's own token. Raises `OAuthRefused`."""
        if not scope or not set(scope.split()) <= {"consents", "resources", "accounts", "payments"}:
            raise OAuthRefused("invalid_scope", "consents or payments")
        return self._issue(Token(client.client_id, frozenset(scope.split()), None))

    def token(self, bearer: str) -> Token | None:
        """What a bearer token allows, while it does."""
        found = self._access.get(bearer)
        if found is None or found.expires_at is None or self._clock.now() >= found.expires_at:
            return None
        return found

    def forget(self, consent_id: str) -> None:
        """Ends every token of a consent."""
        for tokens in (self._access, self._refresh):
            for text in [text for text, token in tokens.items() if token.consent_id == consent_id]:
                del tokens[text]

    def id_token(
        self, code: Code, issuer: str, *, nonce: str, cpf: str, key: SigningKey | None = None
    ) -> str:
        """Who authorised, for this one request."""
        now = int(self._clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": code.request.client.client_id,
            "sub": hashlib.sha256(f"{issuer}/{code.cpf}".encode()).hexdigest()[:32],
            "nonce": nonce,
            "acr": "urn:brasil:openbanking:loa2",
            "iat": now,
            "exp": now + 300,
        }
        wanted = code.request.claims.get("id_token")
        if isinstance(wanted, dict) and "cpf" in wanted:
            claims["cpf"] = cpf
        return (key or self.key).sign(claims)

    def _issue(self, allowed: Token) -> str:
        text = secrets.token_urlsafe(32)
        self._access[text] = Token(
            allowed.client_id,
            allowed.scopes,
            self._clock.now() + ACCESS_TOKEN_LIFE,
            allowed.cpf,
            allowed.consent_id,
        )
        return text


def redirect(asked: AuthorisationRequest, issuer: str, **parameters: str) -> str:
    """Where the browser goes back to."""
    separator = "&" if "?" in asked.redirect_uri else "?"
    query = urlencode({**parameters, "state": asked.state, "iss": issuer})
    return f"{asked.redirect_uri}{separator}{query}"


def _listed(audience: object) -> list[object]:
    return list(audience) if isinstance(audience, list) else [audience]


def _text(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 500

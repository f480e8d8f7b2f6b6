"""Our authorisation server for those who read here: FAPI 1 Advanced as Open Finance Brasil profiles it.

Clients prove themselves by private key JWT and push signed requests (PAR, PKCE S256); the customer says yes
in our own app; codes work once, and a replayed one ends the consent. Tokens are opaque and stand for one
consent: whoever ends that ends them.
"""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from apps.open_finance.holder.answers import OAuthRefused, Refused
from apps.open_finance.holder.consents import URN, Given
from apps.open_finance.holder.store import Allowed, Asked, Client, HolderStore
from apps.open_finance.signatures import SigningKey, Unproven, encoded, proven

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PUSHED = "urn:ietf:params:oauth:request_uri:"
PUSHED_LIFE = timedelta(seconds=90)
REQUEST_LIFE = timedelta(minutes=10)
CODE_LIFE = timedelta(minutes=1)
ACCESS_LIFE = timedelta(minutes=15)
REFRESH_LIFE = timedelta(days=365)
LEEWAY_SECONDS = 30
LONGEST_ASSERTION_SECONDS = 600
LONGEST_REQUEST_SECONDS = 3600
DATA_SCOPES = frozenset({"accounts", "resources"})
_MOST = 2000


class AuthorisationServer:
    """Clients, requests, codes and tokens. `issuer` is our public URL; `open_registration` lets in whoever
    asks, which only an environment with simulated banks does."""

    def __init__(
        self,
        store: HolderStore,
        key: SigningKey,
        issuer: str,
        now: Callable[[], datetime],
        *,
        open_registration: bool,
    ) -> None:
        self.issuer = issuer
        self.key = key
        self._store = store
        self._now = now
        self._open = open_registration

    def discovery(self) -> dict[str, Any]:
        """Where everything is, and what is asked for."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/oauth/authorize",
            "token_endpoint": f"{self.issuer}/oauth/token",
            "jwks_uri": f"{self.issuer}/oauth/jwks",
            "registration_endpoint": f"{self.issuer}/oauth/register",
            "pushed_authorization_request_endpoint": f"{self.issuer}/oauth/par",
            "require_pushed_authorization_requests": True,
            "scopes_supported": ["openid", "consents", *sorted(DATA_SCOPES)],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["PS256"],
            "request_object_signing_alg_values_supported": ["PS256"],
            "id_token_signing_alg_values_supported": ["PS256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "subject_types_supported": ["public"],
        }

    def register(self, asked: object) -> Client:
        """A new client (RFC 7591). Raises `OAuthRefused`."""
        if not self._open:
            raise OAuthRefused("invalid_software_statement", "the directory vouches for nobody here yet", 403)
        values: Mapping[str, Any] = asked if isinstance(asked, dict) else {}
        uris, jwks = values.get("redirect_uris"), values.get("jwks")
        if values.get("token_endpoint_auth_method") != "private_key_jwt":
            raise OAuthRefused("invalid_client_metadata", "private_key_jwt is the only way in")
        if not isinstance(uris, list) or not 1 <= len(uris) <= 10 or not all(_is_url(each) for each in uris):
            raise OAuthRefused("invalid_redirect_uri", "one to ten URLs without a fragment")
        if not isinstance(jwks, dict) or not jwks.get("keys"):
            raise OAuthRefused("invalid_client_metadata", "jwks has no key")
        client = Client(
            str(uuid.uuid4()),
            str(values.get("organisation_id", ""))[:100],
            str(values.get("client_name", ""))[:100],
            {"keys": jwks["keys"]},
            tuple(uris),
        )
        self._store.add_client(client)
        return client

    def authenticated(self, form: Mapping[str, str]) -> Client:
        """The client that an assertion proves, once. Raises `OAuthRefused` 401."""
        client = self._store.client(form.get("client_id", "")) if form.get("client_id") else None
        if client is None or form.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthRefused("invalid_client", "a client proves itself by private_key_jwt", 401)
        try:
            claims = proven(form.get("client_assertion", ""), client.jwks)
        except Unproven as error:
            raise OAuthRefused("invalid_client", "the assertion proves no client", 401) from error
        now = self._now().timestamp()
        expires, jti = claims.get("exp"), claims.get("jti")
        good = (
            claims.get("iss") == claims.get("sub") == client.client_id
            and not {self.issuer, f"{self.issuer}/oauth/token", f"{self.issuer}/oauth/par"}.isdisjoint(
                _audience(claims)
            )
            and isinstance(expires, int)
            and now - LEEWAY_SECONDS <= expires <= now + LONGEST_ASSERTION_SECONDS
            and _is_text(jti)
        )
        if not good or not self._store.first_use(client.client_id, str(jti), float(str(expires))):
            raise OAuthRefused("invalid_client", "the assertion is not for here, or not any more", 401)
        return client

    def pushed(self, client: Client, message: str) -> tuple[str, int]:
        """Keeps a client's signed request; gives its URI and how many seconds it waits. Raises
        `OAuthRefused`."""
        asked = self._request(client, message)
        uri = PUSHED + secrets.token_urlsafe(24)
        self._store.keep(uri, "request", asked, asked.expires_at)
        return uri, int(PUSHED_LIFE.total_seconds())

    def arrived(self, client_id: str, uri: str) -> Asked:
        """A browser comes with a pushed request, which works once; from now on our app knows it by its
        `request_id`. Raises `OAuthRefused`."""
        asked = self._store.asked(uri)
        now = self._now().timestamp()
        pushed_at = asked.expires_at - REQUEST_LIFE.total_seconds() if asked else 0.0
        if asked is None or asked.client_id != client_id or now > pushed_at + PUSHED_LIFE.total_seconds():
            raise OAuthRefused("invalid_request_uri", "nobody pushed this request, or too long ago")
        if not self._store.use_up(uri, "request"):
            raise OAuthRefused("invalid_request_uri", "the request was used")
        self._store.keep(asked.request_id, "request", asked, asked.expires_at)
        return asked

    def waiting(self, request_id: str) -> Asked | None:
        """A request that waits for its customer's word."""
        asked = self._store.asked(request_id)
        return asked if asked is not None and self._now().timestamp() < asked.expires_at else None

    def decided(self, asked: Asked) -> bool:
        """Uses a request; gives whether it was still to be decided."""
        return self._store.use_up(asked.request_id, "request")

    def code(self, asked: Asked) -> str:
        """Where the browser goes back to with a code, after the customer's yes."""
        code = secrets.token_urlsafe(32)
        expires = (self._now() + CODE_LIFE).timestamp()
        allowed = Allowed(
            "code", asked.client_id, asked.consent_id, tuple(asked.scope.split()), expires, asked
        )
        self._store.keep(code, "code", allowed, expires)
        return self.back(asked, code=code)

    def back(self, asked: Asked, **parameters: str) -> str:
        """Where the browser goes back to. `iss` says whose answer it is (RFC 9207)."""
        separator = "&" if "?" in asked.redirect_uri else "?"
        query = urlencode({**parameters, "state": asked.state, "iss": self.issuer})
        return f"{asked.redirect_uri}{separator}{query}"

    def tokens(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        """What a grant is exchanged for. Raises `OAuthRefused`."""
        grant = form.get("grant_type")
        if grant == "client_credentials":
            if form.get("scope") != "consents":
                raise OAuthRefused("invalid_scope", "a client's own token is for consents")
            return self._issued(Allowed("access", client.client_id, None, ("consents",), 0))
        if grant == "authorization_code":
            return self._exchanged(client, form)
        if grant == "refresh_token":
            return self._refreshed(client, form)
        raise OAuthRefused("unsupported_grant_type", "authorization_code, client_credentials, refresh_token")

    def bearer(self, header: str | None, *scopes: str) -> Allowed:
        """What a request's token allows, if that is one of `scopes`. Raises `Refused`."""
        scheme, _, token = (header or "").partition(" ")
        found = self._store.allowed(token.strip(), "access") if scheme.lower() == "bearer" and token else None
        if found is None or self._now().timestamp() >= found[0].expires_at:
            raise Refused(401, "NAO_AUTORIZADO", "The access token is not valid, or not any more.")
        if frozenset(found[0].scopes).isdisjoint(scopes):
            raise Refused(403, "NAO_PERMITIDO", "The access token is for something else.")
        return found[0]

    def consent(self, consent_id: str | None) -> Given | None:
        """A consent as it stands now."""
        found = self._store.consent(consent_id) if consent_id else None
        return found.at(self._now()) if found is not None else None

    def _request(self, client: Client, message: str) -> Asked:
        try:
            claims = proven(message, client.jwks)
        except Unproven as error:
            raise OAuthRefused("invalid_request_object", "not signed by this client") from error
        now = self._now().timestamp()
        expires = claims.get("exp")
        good = (
            claims.get("iss") == claims.get("client_id") == client.client_id
            and self.issuer in _audience(claims)
            and isinstance(expires, int)
            and now < expires <= now + LONGEST_REQUEST_SECONDS
            and claims.get("response_type") == "code"
            and claims.get("code_challenge_method") == "S256"
            and all(_is_text(claims.get(name)) for name in ("state", "nonce", "code_challenge", "scope"))
        )
        if not good:
            raise OAuthRefused("invalid_request_object", "a claim is missing or not allowed")
        if claims.get("redirect_uri") not in client.redirect_uris:
            raise OAuthRefused("invalid_request", "the redirect_uri is not registered")
        consent = self._asked_for(claims["scope"], client)
        wanted = claims.get("claims")
        id_token = wanted.get("id_token") if isinstance(wanted, dict) else None
        return Asked(
            str(uuid.uuid4()),
            client.client_id,
            consent.consent_id,
            claims["redirect_uri"],
            claims["scope"],
            claims["state"],
            claims["nonce"],
            claims["code_challenge"],
            isinstance(id_token, dict) and "cpf" in id_token,
            (self._now() + REQUEST_LIFE).timestamp(),
        )

    def _asked_for(self, scope: str, client: Client) -> Given:
        """The one consent of this client that a scope names, still waiting. Raises `OAuthRefused`."""
        parts = scope.split()
        named = [each.removeprefix("consent:") for each in parts if each.startswith("consent:")]
        known = {"openid", *DATA_SCOPES, *(f"consent:{each}" for each in named)}
        if len(named) != 1 or "openid" not in parts or not known.issuperset(parts):
            raise OAuthRefused("invalid_scope", "openid, one consent:<id>, and accounts or resources")
        consent = self.consent(named[0].removeprefix(URN)) if named[0].startswith(URN) else None
        if consent is None or consent.client_id != client.client_id:
            raise OAuthRefused("invalid_scope", "there is no such consent")
        if consent.status != "AWAITING_AUTHORISATION":
            raise OAuthRefused("invalid_scope", "the consent does not wait for anybody")
        return consent

    def _exchanged(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        code = form.get("code", "")
        found = self._store.allowed(code, "code") if code else None
        if found is None or found[0].client_id != client.client_id:
            raise OAuthRefused("invalid_grant", "the code is not this client's")
        allowed = found[0]
        asked, consent = allowed.asked, self.consent(allowed.consent_id)
        assert asked is not None, "a code answers a request"
        if not self._store.use_up(code, "code"):
            # RFC 6749, 4.1.2: somebody has the code who should not.
            if consent is not None and consent.status != "REJECTED":
                ended = consent.rejected("ASPSP", "INTERNAL_SECURITY_REASON", self._now())
                self._store.change_consent(ended, was=consent)
            raise OAuthRefused("invalid_grant", "the code was used before; the consent ends")
        challenge = encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if not hmac.compare_digest(challenge.encode(), asked.challenge.encode()):
            raise OAuthRefused("invalid_grant", "the code_verifier is another request's")
        if self._now().timestamp() > allowed.expires_at:
            raise OAuthRefused("invalid_grant", "the code is too old")
        if form.get("redirect_uri") != asked.redirect_uri:
            raise OAuthRefused("invalid_grant", "another redirect_uri")
        if consent is None or consent.status != "AUTHORISED":
            raise OAuthRefused("invalid_grant", "the consent has ended")
        refresh = secrets.token_urlsafe(32)
        until = min(
            (self._now() + REFRESH_LIFE), consent.expires_at or self._now() + REFRESH_LIFE
        ).timestamp()
        self._store.keep(
            refresh,
            "refresh",
            Allowed("refresh", client.client_id, consent.consent_id, allowed.scopes, until),
            until,
        )
        issued = self._issued(Allowed("access", client.client_id, consent.consent_id, allowed.scopes, 0))
        return {**issued, "refresh_token": refresh, "id_token": self._id_token(asked, consent)}

    def _refreshed(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        token = form.get("refresh_token", "")
        found = self._store.allowed(token, "refresh") if token else None
        if found is None or found[0].client_id != client.client_id:
            raise OAuthRefused("invalid_grant", "the refresh token is not this client's")
        consent = self.consent(found[0].consent_id)
        if consent is None or consent.status != "AUTHORISED":
            raise OAuthRefused("invalid_grant", "the consent has ended")
        return self._issued(Allowed("access", client.client_id, consent.consent_id, found[0].scopes, 0))

    def _issued(self, allowed: Allowed) -> dict[str, Any]:
        token = secrets.token_urlsafe(32)
        expires = (self._now() + ACCESS_LIFE).timestamp()
        kept = Allowed("access", allowed.client_id, allowed.consent_id, allowed.scopes, expires)
        self._store.keep(token, "access", kept, expires)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(ACCESS_LIFE.total_seconds()),
            "scope": " ".join(allowed.scopes),
        }

    def _id_token(self, asked: Asked, consent: Given) -> str:
        now = int(self._now().timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": asked.client_id,
            # Not the login's own subject: each client knows a customer by a name of its own.
            "sub": hashlib.sha256(f"{self.issuer}\n{asked.client_id}\n{consent.owner}".encode()).hexdigest(),
            "nonce": asked.nonce,
            "acr": "urn:brasil:openbanking:loa2",
            "iat": now,
            "exp": now + 300,
        }
        if asked.wants_cpf:
            claims["cpf"] = consent.cpf
        return self.key.sign(claims)


def _audience(claims: Mapping[str, Any]) -> set[str]:
    found = claims.get("aud")
    return {each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= _MOST


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or len(value) > _MOST or any(ord(each) <= 32 for each in value):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.netloc) and not parts.fragment

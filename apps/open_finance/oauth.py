"""Our side of a bank's authorisation server: registration, who we are, what a user authorises, and tokens.

FAPI 1 Advanced as Open Finance Brasil profiles it: private key JWT, signed request objects, PAR where the
bank asks for it, PKCE, and an id token whose nonce, audience, issuer and CPF are all checked.
"""

import hashlib
import hmac
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, ValidationError

from apps.kit.outbound import Send
from apps.open_finance.calls import BankRefused, Patience, form, plain
from apps.open_finance.documents import Invalid
from apps.open_finance.institutions import Institution
from apps.open_finance.keys import Ourselves
from apps.open_finance.signatures import Unproven, encoded, proven

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
REQUEST_SECONDS = 300
LEEWAY_SECONDS = 60
KEEP_SECONDS = 600.0
"""How long a bank's discovery document and keys are kept."""
CLIENT_NAME = "GO Banking"


class Clients(Protocol):
    """Where our client ids at banks are kept."""

    def client_id(self, bank_id: str) -> str | None: ...

    def keep_client_id(self, bank_id: str, client_id: str) -> None: ...


class Discovery(BaseModel):
    """What a bank says of its authorisation server."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    registration_endpoint: str
    pushed_authorization_request_endpoint: str | None = None
    require_pushed_authorization_requests: bool = False


@dataclass(frozen=True)
class Tokens:
    """What a code or a refresh token was exchanged for. `expires_at` is in seconds since 1970."""

    access: str
    refresh: str | None
    expires_at: float


@dataclass(frozen=True)
class Authorisation:
    """One request to a user, and what proves that an answer belongs to it."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Authorisation":
        """Fresh secrets."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """The verifier's digest, which alone travels by the browser (RFC 7636, S256)."""
        return encoded(hashlib.sha256(self.verifier.encode()).digest())


class OAuth:
    """Our client at one bank. `now` is seconds since 1970, `clock` monotonic."""

    def __init__(
        self,
        institution: Institution,
        send: Send,
        us: Ourselves,
        clients: Clients,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._institution = institution
        self._send = send
        self._us = us
        self._clients = clients
        self._now = now
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Any]] = {}
        self._own: dict[str, Tokens] = {}

    def discovery(self, patience: Patience) -> Discovery:
        """Where everything is. Raises `Invalid` when the document is another server's."""

        def ask() -> Discovery:
            try:
                found = Discovery.model_validate(plain(self._send, self._institution.discovery_url, patience))
            except ValidationError as error:
                raise Invalid("discovery") from error
            if found.issuer != self._institution.issuer:
                raise Invalid("the issuer is another one's")
            return found

        found: Discovery = self._cached("discovery", ask)
        return found

    def jwks(self, patience: Patience) -> dict[str, Any]:
        """The keys that the bank publishes."""
        url = self.discovery(patience).jwks_uri
        found: dict[str, Any] = self._cached("jwks", lambda: plain(self._send, url, patience))
        return found

    def signed_by_bank(self, message: str, patience: Patience) -> dict[str, Any]:
        """The claims of a message of this bank. Raises `Invalid`."""
        try:
            return proven(message, self.jwks(patience))
        except Unproven as error:
            # The bank may have a new key; a second look is allowed now and then, not for every message.
            self._kept.pop("jwks", None)
            raise Invalid(f"signature: {error}") from error

    def authorisation_url(self, scope: str, asked: Authorisation, patience: Patience) -> str:
        """Where the user's browser goes to authorise."""
        found = self.discovery(patience)
        client_id = self._client_id(patience)
        request = self._us.signer.sign(
            {
                "iss": client_id,
                "aud": found.issuer,
                "client_id": client_id,
                "redirect_uri": self._us.redirect_uri,
                "response_type": "code",
                "scope": scope,
                "state": asked.state,
                "nonce": asked.nonce,
                "code_challenge": asked.challenge,
                "code_challenge_method": "S256",
                "claims": {"id_token": {"cpf": {"essential": True}}},
                "iat": int(self._now()),
                "nbf": int(self._now()) - 5,
                "exp": int(self._now()) + REQUEST_SECONDS,
                "jti": str(uuid.uuid4()),
            }
        )
        query = {"client_id": client_id, "response_type": "code", "scope": scope}
        if found.require_pushed_authorization_requests and found.pushed_authorization_request_endpoint:
            pushed = self._as_client(
                found.pushed_authorization_request_endpoint, {"request": request}, patience
            )
            uri = pushed.get("request_uri")
            if not isinstance(uri, str):
                raise Invalid("request_uri")
            query["request_uri"] = uri
        else:
            query["request"] = request
        return f"{found.authorization_endpoint}?{urlencode(query)}"

    def exchange(self, code: str, asked: Authorisation, cpf: str, patience: Patience) -> Tokens:
        """Tokens for a code that answers this request, by this person. Raises `Invalid` otherwise."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._us.redirect_uri,
            "code_verifier": asked.verifier,
        }
        answer = self._as_client(self.discovery(patience).token_endpoint, fields, patience)
        self._check_id_token(answer.get("id_token"), asked, cpf, patience)
        return self._tokens(answer)

    def refreshed(self, refresh: str, patience: Patience) -> Tokens:
        """Tokens for a refresh token, which stays good unless the bank gives another one."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh}
        found = self._tokens(self._as_client(self.discovery(patience).token_endpoint, fields, patience))
        return Tokens(found.access, found.refresh or refresh, found.expires_at)

    def own(self, scope: str, patience: Patience) -> str:
        """Our own token, without a user."""
        kept = self._own.get(scope)
        if kept is None or kept.expires_at <= self._now() + 30:
            fields = {"grant_type": "client_credentials", "scope": scope}
            endpoint = self.discovery(patience).token_endpoint
            kept = self._own[scope] = self._tokens(self._as_client(endpoint, fields, patience))
        return kept.access

    def forget_own(self) -> None:
        """Drops our own tokens: the bank does not take them any more."""
        self._own.clear()

    def _check_id_token(self, token: object, asked: Authorisation, cpf: str, patience: Patience) -> None:
        if not isinstance(token, str):
            raise Invalid("id token")
        claims = self.signed_by_bank(token, patience)
        audience = claims.get("aud")
        expires = claims.get("exp")
        if claims.get("iss") != self._institution.issuer:
            raise Invalid("id token: iss")
        if self._client_id(patience) not in (audience if isinstance(audience, list) else [audience]):
            raise Invalid("id token: aud")
        if not isinstance(expires, int) or expires + LEEWAY_SECONDS < self._now():
            raise Invalid("id token: exp")
        if not hmac.compare_digest(str(claims.get("nonce")).encode(), asked.nonce.encode()):
            raise Invalid("id token: nonce")
        if claims.get("cpf") != cpf:
            raise Invalid("id token: cpf")

    def _as_client(self, url: str, fields: dict[str, str], patience: Patience) -> dict[str, Any]:
        """What an endpoint answers to us, registering anew once where the bank has forgotten who we are."""
        client_id = self._client_id(patience)
        try:
            return form(self._send, url, {**fields, **self._assertion(client_id, patience)}, patience)
        except BankRefused as refused:
            if refused.code != "invalid_client":
                raise
        client_id = self._register(patience, instead_of=client_id)
        return form(self._send, url, {**fields, **self._assertion(client_id, patience)}, patience)

    def _assertion(self, client_id: str, patience: Patience) -> dict[str, str]:
        now = int(self._now())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": self.discovery(patience).token_endpoint,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": str(uuid.uuid4()),
        }
        return {
            "client_id": client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._us.signer.sign(claims),
        }

    def _client_id(self, patience: Patience) -> str:
        return self._clients.client_id(self._institution.bank_id) or self._register(patience, instead_of=None)

    def _register(self, patience: Patience, *, instead_of: str | None) -> str:
        """Makes us a client (RFC 7591), once, however many ask at this moment."""
        with self._lock:
            known = self._clients.client_id(self._institution.bank_id)
            if known is not None and known != instead_of:
                return known
            metadata: dict[str, Any] = {
                "client_name": CLIENT_NAME,
                "organisation_id": self._us.keys.organisation_id,
                "redirect_uris": [self._us.redirect_uri],
                "token_endpoint_auth_method": "private_key_jwt",
                "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
                "response_types": ["code"],
                "jwks": {"keys": [self._us.signer.jwk]},
            }
            if self._us.keys.software_statement is not None:
                metadata["software_statement"] = self._us.keys.software_statement
            url = self.discovery(patience).registration_endpoint
            client_id = plain(self._send, url, patience, metadata).get("client_id")
            if not isinstance(client_id, str) or not 1 <= len(client_id) <= 200:
                raise Invalid("client_id")
            self._clients.keep_client_id(self._institution.bank_id, client_id)
            self._own.clear()
            return client_id

    def _tokens(self, answer: dict[str, Any]) -> Tokens:
        access, refresh, seconds = (
            answer.get(name) for name in ("access_token", "refresh_token", "expires_in")
        )
        good = isinstance(access, str) and isinstance(refresh, str | None) and isinstance(seconds, int)
        if not good or str(answer.get("token_type", "")).lower() != "bearer":
            raise Invalid("tokens")
        return Tokens(str(access), refresh, self._now() + int(str(seconds)))

    def _cached(self, name: str, ask: Callable[[], Any]) -> Any:
        kept = self._kept.get(name)
        if kept is None or kept[0] <= self._clock():
            kept = self._kept[name] = (self._clock() + KEEP_SECONDS, ask())
        return kept[1]

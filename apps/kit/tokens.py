"""Cognito access tokens: who is calling, verified. python-jose stays inside this module.

Every service verifies for itself. The key is chosen by `kid` from the pool's JWKS, the algorithm is ours and
never the token's, and every claim that must be there is asked for. A signed token stays valid until it
expires (Cognito cannot take an access token back from those who verify offline), so lifetimes are short. One
that was verified is remembered for as long as a second verification would say the same (`kit/verified.py`).
"""

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any, NewType

from jose import jwk, jwt

from apps.kit.verified import VerifiedTokens

MAX_TOKEN_BYTES = 8 * 1024
LEEWAY_SECONDS = 30
REFRESH_SECONDS = 3600.0
MISS_COOLDOWN_SECONDS = 10.0
FIRST_RETRY_SECONDS = 0.2
FETCH_SECONDS = 3.0
MIN_MODULUS_BITS = 2048
ALGORITHM = "RS256"

_log = logging.getLogger(__name__)

VerifiedClaims = NewType("VerifiedClaims", dict[str, Any])
"""Claims whose signature, issuer and times were checked: unverified ones cannot be passed for them."""


class InvalidToken(Exception):  # noqa: N818
    """The token proves nothing. The reason is for logs of its class; callers learn only `invalid_token`."""


class NoKeys(Exception):  # noqa: N818
    """The pool's keys were never loaded."""


@dataclass(frozen=True)
class Caller:
    """Who is calling: the Cognito subject, the user's name there, the app client and its scopes."""

    subject: str
    username: str
    client_id: str
    scopes: frozenset[str]


Fetch = Callable[[str], Mapping[str, Any]]


def fetch_json(url: str) -> Mapping[str, Any]:
    """The JSON document at a URL that the settings name."""
    with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as answer:  # noqa: S310 (our own setting)
        document: Mapping[str, Any] = json.load(answer)
    return document


class KeySet:
    """The pool's public keys by id. Keeps the last good set; asks again for an unknown id, but not often."""

    def __init__(self, url: str, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, Any] = {}
        self._asked_at = float("-inf")

    @property
    def published(self) -> Mapping[str, Any]:
        """The keys of the last good set by id: each refresh makes new ones."""
        return self._keys

    @property
    def loaded(self) -> bool:
        """Whether there ever was a good set."""
        return bool(self._keys)

    def key(self, kid: str) -> Any:
        """The key with this id. Raises `InvalidToken` when the pool has none, `NoKeys` when nobody knows."""
        if kid not in self._keys:
            with self._lock:
                if kid not in self._keys and self._clock() - self._asked_at >= MISS_COOLDOWN_SECONDS:
                    self.refresh()
        try:
            return self._keys[kid]
        except KeyError:
            if not self._keys:
                raise NoKeys(self._url) from None
            raise InvalidToken("unknown kid") from None

    def refresh(self) -> None:
        """Asks for the keys again. An error or an empty set changes nothing."""
        self._asked_at = self._clock()
        try:
            document = self._fetch(self._url)
            keys = {each["kid"]: jwk.construct(each, ALGORITHM) for each in document["keys"] if _usable(each)}
        except Exception as error:  # noqa: BLE001 (whatever another server answers, the old keys stay good)
            _log.warning("the keys could not be read", extra={"error": type(error).__name__})
            return
        if keys:
            self._keys = keys


def _usable(key: Mapping[str, Any]) -> bool:
    if key.get("kty") != "RSA" or key.get("use", "sig") != "sig" or key.get("alg", ALGORITHM) != ALGORITHM:
        return False
    # Base64 carries six bits a character.
    return isinstance(key.get("kid"), str) and len(str(key.get("n", ""))) * 6 >= MIN_MODULUS_BITS


class Verifier:
    """Verifies access tokens of one pool for a set of app clients."""

    def __init__(
        self,
        issuer: str,
        jwks_url: str,
        client_ids: Set[str],
        *,
        fetch: Fetch = fetch_json,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._client_ids = frozenset(client_ids)
        self._now = now
        self._keys = KeySet(jwks_url, fetch, clock)
        self._verified: VerifiedTokens[Caller] = VerifiedTokens()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Loads the keys, and again every hour, on a thread of its own."""
        self._thread = threading.Thread(target=self._refresh, name="jwks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops refreshing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(FETCH_SECONDS + 1)

    def ready(self) -> None:
        """Raises `NoKeys` until the keys were loaded once."""
        if not self._keys.loaded:
            raise NoKeys(self._issuer)

    def refresh(self) -> None:
        """Reads the keys again now."""
        self._keys.refresh()

    def verify(self, token: str) -> Caller:
        """The caller that the token proves. Raises `InvalidToken`, whatever is wrong with it, and `NoKeys`
        while the pool's keys were never read: then nobody knows whether it is."""
        try:
            return self._verify(token)
        except (InvalidToken, NoKeys):
            raise
        except Exception as error:
            # python-jose lets TypeError, RecursionError and others out for hostile input.
            raise InvalidToken(type(error).__name__) from error

    def known(self, token: str) -> Caller | None:
        """The caller that this very token has proven before and still proves. Waits for nothing."""
        if len(token) > MAX_TOKEN_BYTES:
            return None
        return self._verified.find(token, self._keys.published, self._now())

    def _verify(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2:
            raise InvalidToken("shape")
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("alg") != ALGORITHM or not isinstance(kid, str) or "crit" in header:
            raise InvalidToken("header")
        key = self._keys.key(kid)
        claims = self._claims(token, key)
        caller = self._caller(claims)
        self._verified.remember(token, caller, kid=kid, key=key, expires_at=claims["exp"])
        return caller

    def _claims(self, token: str, key: Any) -> VerifiedClaims:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=self._issuer,
            options={
                "require_exp": True,
                "require_iat": True,
                "require_iss": True,
                "require_sub": True,
                "verify_signature": True,
                "verify_exp": True,
                "verify_nbf": True,
                "verify_iat": True,
                "verify_iss": True,
                "verify_sub": True,
                # An access token of Cognito has no audience; `client_id` is checked instead.
                "verify_aud": False,
                "verify_at_hash": False,
                "leeway": LEEWAY_SECONDS,
            },
        )
        return VerifiedClaims(claims)

    def _caller(self, claims: VerifiedClaims) -> Caller:
        if claims.get("token_use") != "access":
            raise InvalidToken("token_use")
        if claims.get("client_id") not in self._client_ids:
            raise InvalidToken("client_id")
        if claims["iat"] > self._now() + LEEWAY_SECONDS:
            raise InvalidToken("iat")
        return Caller(
            subject=claims["sub"],
            username=str(claims.get("username", "")),
            client_id=claims["client_id"],
            scopes=frozenset(str(claims.get("scope", "")).split()),
        )

    def _refresh(self) -> None:
        rest = 0.0
        while not self._stop.wait(rest):
            self._keys.refresh()
            rest = REFRESH_SECONDS if self._keys.loaded else max(FIRST_RETRY_SECONDS, min(rest * 2, 10.0))

"""A Cognito pool for tests: an RSA key, its JWKS, and tokens signed with it."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jose import jwt

ISSUER = "https://cognito-idp.sa-east-1.amazonaws.com/sa-east-1_Test"
CLIENT = "client-of-the-app"


@dataclass(frozen=True)
class Key:
    """A signing key with its id."""

    kid: str
    private: rsa.RSAPrivateKey

    @classmethod
    def new(cls, kid: str, bits: int = 2048) -> "Key":
        return cls(kid, rsa.generate_private_key(public_exponent=65537, key_size=bits))

    @property
    def pem(self) -> str:
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    @property
    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def jwk(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": _base64(numbers.n),
            "e": _base64(numbers.e),
        }


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good access token; `None` leaves one out."""
    now = int(time.time())
    good = {
        "sub": "subject-of-ana",
        "iss": ISSUER,
        "client_id": CLIENT,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "username": "ana",
        "iat": now - 10,
        "exp": now + 600,
    } | changes
    return {name: value for name, value in good.items() if value is not None}


def token(key: Key, headers: dict[str, str] | None = None, **changes: Any) -> str:
    """A token signed with `key`."""
    signed: str = jwt.encode(claims(**changes), key.pem, "RS256", {"kid": key.kid, **(headers or {})})
    return signed


def bad_tokens(ours: Key, others: Key) -> dict[str, str]:
    """Tokens that prove nothing to whoever trusts the pool whose only key is `ours`, by what is wrong."""
    now = int(time.time())
    null_exp = f"{_part({'alg': 'RS256', 'kid': ours.kid})}.{_part(claims() | {'exp': None})}.AA"
    return {
        "empty": "",
        "no token at all": "abc",
        "two segments": "a.b",
        "no JSON": "a.b.c",
        "expired": token(ours, exp=now - 120),
        "without exp": token(ours, exp=None),
        "without iat": token(ours, iat=None),
        "without sub": token(ours, sub=None),
        "without iss": token(ours, iss=None),
        "exp is null": null_exp,
        "from the future": token(ours, iat=now + 3600),
        "not yet": token(ours, nbf=now + 3600),
        "of another pool": token(ours, iss=ISSUER + "X"),
        "of another client": token(ours, client_id="another"),
        "an id token": token(ours, token_use="id", aud=CLIENT),
        "signed by another key": token(others, {"kid": ours.kid}),
        "unknown kid": token(others),
        "kid is no text": f"{_part({'alg': 'RS256', 'kid': 7})}.{_part(claims())}.AA",
        "critical header": token(ours, {"crit": ["exp"]}),  # type: ignore[dict-item]
        "unsigned": f"{_part({'alg': 'none', 'kid': ours.kid})}.{_part(claims())}.",
        "algorithm swapped": _signed_with_the_public_key(ours),
        "tampered": _tampered(ours),
        "9 KiB": token(ours, padding="x" * 9 * 1024),
        "deep JSON": base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.AA",
    }


def _signed_with_the_public_key(key: Key) -> str:
    text = f"{_part({'alg': 'HS256', 'kid': key.kid, 'typ': 'JWT'})}.{_part(claims())}"
    mac = hmac.new(key.public_pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _tampered(key: Key) -> str:
    header, _, signature = token(key).split(".")
    return f"{header}.{_part(claims(sub='somebody-else'))}.{signature}"


def _part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _base64(number: int) -> str:
    content = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(content).decode().rstrip("=")

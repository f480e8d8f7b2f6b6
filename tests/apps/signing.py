"""A Cognito pool for tests: an RSA key, its JWKS, and tokens signed with it."""

import base64
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


def _base64(number: int) -> str:
    content = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(content).decode().rstrip("=")

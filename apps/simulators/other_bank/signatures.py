"""Signed messages (JWS, compact, PS256) as the profile of Open Finance Brasil wants them, and keys as JWK.

Written on `cryptography` because python-jose knows no PS256. The bank under test has its own: two readings of
the rules check each other.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ALGORITHM = "PS256"
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class BadSignature(Exception):  # noqa: N818
    """The message does not prove who wrote it."""


class SigningKey:
    """A private key and the id under which its public half is published."""

    def __init__(self, kid: str, private: rsa.RSAPrivateKey | None = None) -> None:
        self.kid = kid
        self._private = private or rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def jwk(self) -> dict[str, str]:
        """The public half."""
        numbers = self._private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": ALGORITHM,
            "kid": self.kid,
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The claims as a signed message."""
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self.kid}
        text = f"{_part(header)}.{_part(claims)}"
        return f"{text}.{_encoded(self._private.sign(text.encode(), _PSS, hashes.SHA256()))}"


def verified(message: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of a message that one of these keys signed. Raises `BadSignature`."""
    try:
        head, body, signature = message.split(".")
        header = json.loads(_decoded(head))
        if header["alg"] != ALGORITHM or "crit" in header:
            raise BadSignature("algorithm")
        key = _public(next(each for each in jwks["keys"] if each["kid"] == header["kid"]))
        key.verify(_decoded(signature), f"{head}.{body}".encode(), _PSS, hashes.SHA256())
        claims = json.loads(_decoded(body))
    except (ValueError, KeyError, TypeError, StopIteration, InvalidSignature, RecursionError) as error:
        raise BadSignature(type(error).__name__) from error
    if not isinstance(claims, dict):
        raise BadSignature("claims")
    return claims


def _public(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    if jwk.get("kty") != "RSA":
        raise BadSignature("key type")
    numbers = (int.from_bytes(_decoded(str(jwk[name])), "big") for name in ("e", "n"))
    return rsa.RSAPublicNumbers(*numbers).public_key()


def _part(content: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

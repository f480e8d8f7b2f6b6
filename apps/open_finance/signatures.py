"""Messages that banks and we sign for each other: JWS compact, PS256 and nothing else (FAPI 1 Advanced).

python-jose knows no PS256, so this stands on `cryptography`. The algorithm is ours and never the message's;
the key is chosen by `kid` among those that the other side publishes.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ALGORITHM = "PS256"
MAX_MESSAGE_BYTES = 64 * 1024
MIN_MODULUS_BITS = 2048

Proven = NewType("Proven", dict[str, Any])
"""Claims whose signature was checked; whom they are for and when is still to be."""


class Unproven(Exception):  # noqa: N818
    """The message does not prove who wrote it. The reason is for logs."""


class SigningKey:
    """Our private key, and the id under which its public half is registered."""

    def __init__(self, kid: str, pem: str) -> None:
        private = serialization.load_pem_private_key(pem.encode(), None)
        if not isinstance(private, rsa.RSAPrivateKey) or private.key_size < MIN_MODULUS_BITS:
            raise ValueError(f"the signing key must be RSA of at least {MIN_MODULUS_BITS} bits")
        self.kid = kid
        self._private = private

    @property
    def jwk(self) -> dict[str, str]:
        """The public half."""
        numbers = self._private.public_key().public_numbers()
        public = {"n": _from_number(numbers.n), "e": _from_number(numbers.e)}
        return {"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": self.kid, **public}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The claims as a message of ours."""
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self.kid}
        text = ".".join(
            encoded(json.dumps(each, separators=(",", ":")).encode()) for each in (header, claims)
        )
        signature = self._private.sign(text.encode(), _pss(), hashes.SHA256())
        return f"{text}.{encoded(signature)}"


def proven(message: str, jwks: Mapping[str, Any]) -> Proven:
    """The claims of a message that one of these keys signed. Raises `Unproven`, whatever is wrong."""
    if len(message) > MAX_MESSAGE_BYTES or message.count(".") != 2:
        raise Unproven("shape")
    head, body, signature = message.split(".")
    header = _object(head)
    if header.get("alg") != ALGORITHM or "crit" in header:
        raise Unproven("header")
    key = _key(jwks, header.get("kid"))
    try:
        key.verify(_decoded(signature), f"{head}.{body}".encode(), _pss(), hashes.SHA256())
    except InvalidSignature as error:
        raise Unproven("signature") from error
    return Proven(_object(body))


def encoded(content: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _key(jwks: Mapping[str, Any], kid: object) -> rsa.RSAPublicKey:
    keys = jwks.get("keys")
    for each in keys if isinstance(keys, list) else []:
        if not isinstance(each, dict) or each.get("kid") != kid or not isinstance(kid, str):
            continue
        if each.get("kty") != "RSA" or each.get("use", "sig") != "sig":
            continue
        modulus, exponent = _to_number(each.get("n")), _to_number(each.get("e"))
        if modulus.bit_length() < MIN_MODULUS_BITS:
            raise Unproven("short key")
        try:
            return rsa.RSAPublicNumbers(exponent, modulus).public_key()
        except ValueError as error:
            raise Unproven("key") from error
    raise Unproven("unknown key")


def _pss() -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_decoded(part))
    except (ValueError, RecursionError) as error:
        raise Unproven("JSON") from error
    if not isinstance(found, dict):
        raise Unproven("no object")
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise Unproven("base64") from error


def _from_number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _to_number(text: object) -> int:
    return int.from_bytes(_decoded(text), "big") if isinstance(text, str) else 0

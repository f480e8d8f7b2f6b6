"""Codes of an authenticator app (RFC 6238), for users that exist for one test."""

import base64
import hmac
import struct

STEP_SECONDS = 30
DIGITS = 6


def code(secret: str, now: float) -> str:
    """The code that is good at `now`, in seconds since 1970. `secret` is in base 32, as Cognito gives it."""
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    counter = struct.pack(">Q", int(now) // STEP_SECONDS)
    mac = hmac.digest(key, counter, "sha1")
    offset = mac[-1] & 0x0F
    number = struct.unpack(">I", mac[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"

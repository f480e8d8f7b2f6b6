"""Codes as RFC 6238, appendix B, lists them (its last six digits)."""

import base64

import pytest

from environments.preview.totp import code

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("now", "digits"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(now: int, digits: str) -> None:
    assert code(SECRET, now) == digits
    assert code(SECRET.lower().rstrip("="), now + 0.9) == digits

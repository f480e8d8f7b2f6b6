"""The end-to-end identification of a payment: `E`, ISPB, UTC minute and eleven letters or digits.

Source: Manual das Interfaces de Comunicação (Bacen), EndToEndId: `ExxxxxxxxyyyyMMddHHmmkkkkkkkkkkk`; that of
a return (RtrId) begins with `D`.
"""

import secrets
import string
from datetime import UTC, datetime

_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARACTERS = 11


def new(ispb: str, now: datetime) -> str:
    """A fresh id of 32 characters for a payment that participant `ispb` (8 characters) starts now."""
    return _fresh("E", ispb, now)


def of_return(ispb: str, now: datetime) -> str:
    """A fresh id of 32 characters for a return that participant `ispb` starts now."""
    return _fresh("D", ispb, now)


def _fresh(letter: str, ispb: str, now: datetime) -> str:
    assert len(ispb) == 8, "an ISPB has eight characters"
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return f"{letter}{ispb}{now.astimezone(UTC):%Y%m%d%H%M}{tail}"

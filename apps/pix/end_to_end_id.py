"""The identification of a payment (`E`) and of a return (`D`): ISPB, UTC minute, eleven letters or digits.

Source: XSD pacs.008.spi.1.16 (`EndToEndIdType`); `E` + ISPB + `yyyyMMddHHmm` + 11, 32 characters,
case-sensitive. A new attempt after a rejection gets a new one.
"""

import re
import secrets
import string
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

IdCode = Literal["id_length", "id_prefix", "id_ispb", "id_time", "id_tail", "id_too_far"]

TOLERANCE = timedelta(hours=12)
"""How far an id's minute may be from the present; farther, the SPI answers FF08."""

_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARACTERS = 11
_ISPB = re.compile(r"[0-9A-Z]{8}")
_MINUTE = re.compile(r"[0-9]{12}")
_TAIL = re.compile(r"[a-zA-Z0-9]{11}")


class BadId(ValueError):  # noqa: N818
    """No identification of a payment or return. `code` is stable."""

    def __init__(self, code: IdCode, message: str) -> None:
        super().__init__(message)
        self.code: IdCode = code


@dataclass(frozen=True)
class Identification:
    """What an id says of itself: payment (`E`) or return (`D`), whose, and of which minute."""

    prefix: Literal["E", "D"]
    ispb: str
    minute: datetime


def new(ispb: str, now: datetime) -> str:
    """A fresh id of 32 characters for a payment that participant `ispb` (8 characters) starts now."""
    return _new("E", ispb, now)


def of_return(ispb: str, now: datetime) -> str:
    """A fresh id for a return that participant `ispb` starts now."""
    return _new("D", ispb, now)


def read(text: str, prefix: Literal["E", "D"]) -> Identification:
    """What a payment's (`E`) or a return's (`D`) id says. Raises `BadId`."""
    if len(text) != 32:
        raise BadId("id_length", "must have 32 characters")
    if text[0] != prefix:
        raise BadId("id_prefix", f"must start with {prefix}")
    if not _ISPB.fullmatch(text[1:9]):
        raise BadId("id_ispb", "must name a participant's ISPB")
    try:
        # strptime would also take other alphabets' digits.
        if not _MINUTE.fullmatch(text[9:21]):
            raise ValueError  # noqa: TRY301 (one way out for both)
        minute = datetime.strptime(text[9:21], "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        raise BadId("id_time", "must name a minute in UTC") from None
    if not _TAIL.fullmatch(text[21:]):
        raise BadId("id_tail", "must end with 11 letters or digits")
    return Identification(prefix, text[1:9], minute)


def check_time(found: Identification, now: datetime) -> None:
    """Raises `BadId` `id_too_far` for an id whose minute the SPI would refuse."""
    if abs(now - found.minute) > TOLERANCE:
        raise BadId("id_too_far", "is more than 12 hours away from now")


def _new(prefix: str, ispb: str, now: datetime) -> str:
    assert len(ispb) == 8, "an ISPB has eight characters"
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return f"{prefix}{ispb}{now.astimezone(UTC):%Y%m%d%H%M}{tail}"

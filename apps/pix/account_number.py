"""An account's number of ours, as customers read it and as the rails write it.

Customers see eight digits, a dash and a check digit; the DICT and the SPI take digits alone, the check digit
among them (DICT API 2.12, section 1.5; pacs.008).
"""

import re

_SHOWN = re.compile(r"[0-9]{8}-[0-9]")
_ON_THE_RAIL = re.compile(r"[0-9]{1,20}")
_DIGITS = 9


def on_the_rail(shown: str) -> str:
    """`00001234-5` as `000012345`."""
    assert _SHOWN.fullmatch(shown), "no account number of ours"
    return shown.replace("-", "")


def shown(on_the_rail: str) -> str | None:
    """`000012345`, or the same without leading zeros, as `00001234-5`. None for what is none of ours."""
    if not _ON_THE_RAIL.fullmatch(on_the_rail):
        return None
    digits = on_the_rail.lstrip("0").rjust(_DIGITS, "0")
    return f"{digits[:-1]}-{digits[-1]}" if len(digits) == _DIGITS else None

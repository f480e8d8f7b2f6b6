"""The five kinds of Pix key, as the DICT takes them: it never puts one in order, it refuses it (D2, 1.6).

Any eleven digits are a CPF and any fourteen characters a CNPJ here: their check digits are the duty of the
participant. A telephone begins with `+`; no digits alone are ever one.
"""

import re
from typing import Literal, get_args

KeyType = Literal["CPF", "CNPJ", "PHONE", "EMAIL", "EVP"]
KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)
LONGEST = 77

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PATTERNS: dict[KeyType, re.Pattern[str]] = {
    "EVP": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    "PHONE": re.compile(r"\+[1-9][0-9]{1,14}"),
    "EMAIL": re.compile(rf"[a-z0-9.!#$'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*"),
    "CPF": re.compile(r"[0-9]{11}"),
    # D2 takes letters of both cases, X8 upper case and two digits at the end; entries are kept in upper case.
    "CNPJ": re.compile(r"[0-9A-Za-z]{14}"),
}


def fits(key: str, key_type: KeyType) -> bool:
    """Whether a key has the form of its type."""
    return len(key) <= LONGEST and _PATTERNS[key_type].fullmatch(key) is not None


def type_of(key: str) -> KeyType | None:
    """The type of a key by its form alone; none for what no key looks like."""
    return next((each for each in _PATTERNS if fits(key, each)), None)


def canonical(key: str) -> str:
    """How a key is kept: a CNPJ in upper case, everything else as it is."""
    return key.upper() if type_of(key) == "CNPJ" else key

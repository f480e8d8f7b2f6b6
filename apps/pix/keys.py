"""Pix keys: which kind a text is, in the one form that the DICT stores.

The DICT does not normalise, it rejects (DICT API 2.12); so people's spellings end here: masks go, e-mail and
EVP become lower case, a number in the Brazilian way gets its country code. Nothing is guessed: eleven bare
digits are a CPF, whatever the caller had in mind, because a phone has its `+`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from apps.pix import tax_id
from apps.pix.tax_id import BadTaxId, TaxIdCode

KeyType = Literal["CPF", "CNPJ", "PHONE", "EMAIL", "EVP"]
KeyCode = (
    TaxIdCode
    | Literal[
        "key_empty",
        "key_too_long",
        "key_form",
        "key_other_type",
        "phone_form",
        "phone_not_brazilian",
        "email_form",
        "evp_form",
    ]
)

MAX_CHARACTERS = 77
COUNTRY_CODE = "+55"

_SPACE = " \t\r\n"
_EVP = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PHONE = re.compile(r"\+[1-9][0-9]{1,14}")
_NATIONAL = re.compile(r"[1-9][0-9]{9,10}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9.!#$'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*")
_HYPHENS_OF_AN_EVP = 4


class BadKey(ValueError):  # noqa: N818
    """No Pix key. `code` is stable; the message never repeats the text."""

    def __init__(self, code: KeyCode, message: str) -> None:
        super().__init__(message)
        self.code: KeyCode = code


@dataclass(frozen=True)
class Key:
    """A key as the DICT stores it. It is personal data: `repr` shows its type alone, so that no log has
    it."""

    type: KeyType
    value: str

    def __repr__(self) -> str:
        return f"Key({self.type})"


def classify(text: str) -> Key:
    """The key that a text is, by its form: EVP, phone, e-mail, CNPJ, CPF, in this order. Raises `BadKey`."""
    given = _plain(text)
    if given.count("-") == _HYPHENS_OF_AN_EVP and len(given) == 36:
        return _evp(given)
    if given.startswith(("+", "(")):
        return _phone(given)
    if "@" in given:
        return _email(given)
    return _tax_id(given)


def of_type(key_type: KeyType, text: str) -> Key:
    """The key of a type that the caller names, which lets a phone come without its country code. Raises
    `BadKey`, `key_other_type` for a good key of another type."""
    given = _plain(text)
    if key_type == "PHONE" and not given.startswith("+") and "@" not in given:
        return _phone(f"({given}")
    found = classify(given)
    if found.type != key_type:
        raise BadKey("key_other_type", f"is a key of type {found.type}")
    return found


def _plain(text: str) -> str:
    given = text.strip(_SPACE)
    if not given:
        raise BadKey("key_empty", "is empty")
    if len(given) > MAX_CHARACTERS:
        raise BadKey("key_too_long", f"has more than {MAX_CHARACTERS} characters")
    # Before any letter changes its case: the lower case of a foreign letter can be an ASCII one (U+212A).
    if not given.isascii() or not given.isprintable():
        raise BadKey("key_form", "has a character that no Pix key has")
    return given


def _evp(given: str) -> Key:
    value = given.lower()
    if not _EVP.fullmatch(value):
        raise BadKey("evp_form", "is not a random key: 32 hexadecimal digits with hyphens")
    return Key("EVP", value)


def _phone(given: str) -> Key:
    bare = re.sub(r"[ ().-]", "", given)
    if not bare.startswith("+"):
        if not _NATIONAL.fullmatch(bare):
            raise BadKey("phone_not_brazilian", "without + must be area code and number, 10 or 11 digits")
        bare = COUNTRY_CODE + bare
    if not _PHONE.fullmatch(bare):
        raise BadKey("phone_form", "is not a phone number such as +5511987654321")
    return Key("PHONE", bare)


def _email(given: str) -> Key:
    value = given.lower()
    if not _EMAIL.fullmatch(value):
        raise BadKey("email_form", "is not an e-mail address that Pix takes")
    return Key("EMAIL", value)


def _tax_id(given: str) -> Key:
    try:
        value = tax_id.normalised(given)
    except BadTaxId as bad:
        if bad.code == "tax_id_form":
            raise BadKey("key_form", "is no CPF, CNPJ, phone with +, e-mail or random key") from bad
        raise BadKey(bad.code, str(bad)) from bad
    return Key("CPF" if len(value) == 11 else "CNPJ", value)

"""Brazilian tax ids: CPF (people) and CNPJ (companies), the alphanumeric CNPJ of 2026 included.

Check digits: Receita Federal; CNPJ by Instrução Normativa RFB 2.229/2024 (a character counts as its ASCII
code less 48, so that numeric CNPJs keep their digits).
"""

import re
from typing import Literal

TaxIdCode = Literal["tax_id_form", "tax_id_repeated", "tax_id_check_digits"]

_CPF = re.compile(r"[0-9]{11}")
_CNPJ = re.compile(r"[0-9A-Za-z]{12}[0-9]{2}")


class BadTaxId(ValueError):  # noqa: N818
    """No CPF and no CNPJ. The message goes on after the name of a field; `code` is stable."""

    def __init__(self, code: TaxIdCode, message: str) -> None:
        super().__init__(message)
        self.code: TaxIdCode = code


def normalised(text: str) -> str:
    """The id without punctuation, letters in upper case. Raises `BadTaxId`."""
    bare = re.sub(r"[.\-/ ]", "", text)
    # Before any letter changes: the capital of a foreign letter can be an ASCII one (U+017F gives `S`).
    if _CPF.fullmatch(bare):
        body, given, weights = bare[:9], bare[9:], 10
    elif _CNPJ.fullmatch(bare):
        bare = bare.upper()
        body, given, weights = bare[:12], bare[12:], 8
    else:
        raise BadTaxId("tax_id_form", "must be a CPF of 11 digits or a CNPJ of 14 characters")
    if len(set(bare)) == 1:
        raise BadTaxId("tax_id_repeated", "is one repeated digit, which nobody has")
    if given != _check_digits(body, weights):
        raise BadTaxId("tax_id_check_digits", "has wrong check digits")
    return bare


def kind(tax_id: str) -> Literal["natural", "legal"]:
    """Whose document it is: a person's CPF or a company's CNPJ, without punctuation."""
    return "natural" if len(tax_id) == 11 else "legal"


def masked(tax_id: str) -> str:
    """The id as others may see it: `***.456.789-**` for people, companies in full."""
    if len(tax_id) == 11:
        return f"***.{tax_id[3:6]}.{tax_id[6:9]}-**"
    return f"{tax_id[:2]}.{tax_id[2:5]}.{tax_id[5:8]}/{tax_id[8:12]}-{tax_id[12:]}"


def _check_digits(body: str, weights: int) -> str:
    """Two modulo-11 digits. Weights rise from 2 at the right and start again after so many."""
    digits = ""
    for _ in range(2):
        values = [ord(character) - 48 for character in reversed(body + digits)]
        total = sum(value * (2 + place % weights) for place, value in enumerate(values))
        rest = total % 11
        digits += "0" if rest < 2 else str(11 - rest)
    return digits

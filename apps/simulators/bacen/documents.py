"""CPF and CNPJ with the check digits that they must have, the CNPJ with letters of July 2026 included.

Source: Receita Federal; Instrução Normativa RFB 2.229/2024: a character counts as its ASCII code less 48.
"""

import re

_SHAPE = re.compile(r"[0-9]{11}|[0-9A-Z]{12}[0-9]{2}")
_CPF_WEIGHTS = ((10, 9, 8, 7, 6, 5, 4, 3, 2), (11, 10, 9, 8, 7, 6, 5, 4, 3, 2))
_CNPJ_WEIGHTS = ((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))


def completed(body: str) -> str:
    """A CPF of its first nine digits, or a CNPJ of its first twelve characters."""
    for weights in _CPF_WEIGHTS if len(body) == 9 else _CNPJ_WEIGHTS:
        rest = sum((ord(each) - 48) * weight for each, weight in zip(body, weights, strict=True)) % 11
        body += "0" if rest < 2 else str(11 - rest)
    return body


def is_valid(document: str) -> bool:
    """Whether somebody can have this CPF or CNPJ: digits and upper-case letters alone, no mask."""
    if not _SHAPE.fullmatch(document) or len(set(document)) == 1:
        return False
    return completed(document[:-2]) == document

"""What a command of an operator ends with, for people and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

DONE, NOT_SOUND, UNKNOWN, AWAY = 0, 1, 2, 3
"""Exit codes: done; not as it should be, or refused; no such thing; what it needs does not answer."""


@dataclass(frozen=True)
class Outcome:
    """What a command prints, and the code that it exits with."""

    text: str
    exit_code: int


def said(document: Mapping[str, object], text: str, exit_code: int, *, as_json: bool) -> Outcome:
    """The outcome in the form that was asked for."""
    return Outcome(json.dumps(document, ensure_ascii=False) if as_json else text, exit_code)


def failed(code: str, detail: str, exit_code: int, *, as_json: bool) -> Outcome:
    """A command that did not do what it was asked for."""
    return said({"error": code, "detail": detail}, detail, exit_code, as_json=as_json)


def masked(text: object) -> object:
    """Text that a person wrote, such that only its first letter shows."""
    return f"{text[0]}***" if isinstance(text, str) and text else text

"""One call to a bank: its interaction id, its time, and the three things that can come of it.

A bank says yes, says no (`BankRefused`), or does not say (`BankSilent`). What it says without the interaction
id that we sent, or not as published, was never said (`documents.Invalid`).
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from apps.kit.outbound import Answer, Call, NoAnswer, Send
from apps.open_finance.documents import Invalid

INTERACTION = "x-fapi-interaction-id"
_NOT_SAID = frozenset({408, 423, 425, 429})


class BankRefused(Exception):  # noqa: N818
    """A bank says no. `code` is the published one, or OAuth's."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class BankSilent(Exception):  # noqa: N818
    """A bank does not answer in time, or answers that it cannot. What was asked may have been done."""


@dataclass(frozen=True)
class Patience:
    """How long somebody waits for a bank, over all calls together."""

    ends: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, seconds: float) -> "Patience":
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left. Raises `BankSilent` when none are."""
        left = self.ends - self.clock()
        if left <= 0:
            raise BankSilent("no time left")
        return left


def form(send: Send, url: str, fields: Mapping[str, str], patience: Patience) -> dict[str, Any]:
    """What an OAuth endpoint answers to a form. Raises `BankRefused`, `BankSilent` or `Invalid`."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    answer = _sent(send, Call("POST", url, headers, urlencode(fields).encode()), patience)
    return _said(answer)


def plain(
    send: Send, url: str, patience: Patience, content: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A JSON document at a URL, or the answer to one. Raises as `form` does."""
    headers = {"Accept": "application/json"}
    if content is None:
        return _said(_sent(send, Call("GET", url, headers), patience))
    headers["Content-Type"] = "application/json"
    return _said(_sent(send, Call("POST", url, headers, json.dumps(content).encode()), patience))


def fapi(send: Send, call: Call, token: str, patience: Patience) -> Answer:
    """What an Open Finance API answers, once it is proven to be for this very call.

    Raises `BankRefused`, `BankSilent` or `Invalid`.
    """
    interaction = str(uuid.uuid4())
    headers = {"Authorization": f"Bearer {token}", INTERACTION: interaction, **call.headers}
    answer = _sent(send, Call(call.method, call.url, headers, call.body), patience)
    # A no counts no more than a yes unless it answers this call: one 404 ends a link.
    if answer.headers.get(INTERACTION) != interaction:
        raise Invalid("the interaction id is missing or another call's")
    if answer.status >= 400:
        raise BankRefused(answer.status, _code(answer))
    return answer


def document(answer: Answer) -> dict[str, Any]:
    """The JSON object in an answer. Raises `Invalid`."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Invalid("no JSON") from error
    if not isinstance(found, dict):
        raise Invalid("no object")
    return found


def _sent(send: Send, call: Call, patience: Patience) -> Answer:
    try:
        answer = send(call, patience.left)
    except NoAnswer as error:
        raise BankSilent(str(error)) from error
    if answer.status >= 500 or answer.status in _NOT_SAID:
        raise BankSilent(str(answer.status))
    return answer


def _said(answer: Answer) -> dict[str, Any]:
    if answer.status >= 400:
        raise BankRefused(answer.status, _code(answer))
    if answer.status >= 300:
        raise Invalid("a redirect")
    return document(answer)


def _code(answer: Answer) -> str:
    """The error's code: of Open Finance, or of OAuth. Never longer than a code is."""
    try:
        found = json.loads(answer.body)
        code = found["errors"][0]["code"] if "errors" in found else found["error"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return "unknown"
    return code[:64] if isinstance(code, str) else "unknown"

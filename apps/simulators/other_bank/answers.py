"""The shapes that every answer of the Open Finance APIs has: errors, envelopes, pages and amounts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from apps.simulators.other_bank.clock import stamp

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 25


class Refused(Exception):  # noqa: N818
    """A request that the bank does not carry out, with the published code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail


def error_body(refused: Refused, now: datetime) -> dict[str, Any]:
    """The published error document."""
    error = {
        "code": refused.code,
        "title": refused.code.replace("_", " ").capitalize(),
        "detail": refused.detail,
    }
    return {"errors": [error], "meta": {"requestDateTime": stamp(now)}}


@dataclass(frozen=True)
class Place:
    """Where an answer is: its URL without a query, and the page that was asked for. With `key` the list's
    further pages are not counted as calls."""

    url: str
    page: int
    size: int
    query: tuple[tuple[str, str], ...] = ()
    key: str | None = None

    def link(self, page: int) -> str:
        """The URL of a page of the same list."""
        asked = [pair for pair in self.query if pair[0] not in {"page", "page-size", "pagination-key"}]
        asked += [("page", str(page)), ("page-size", str(self.size))]
        if self.key is not None:
            asked.append(("pagination-key", self.key))
        return f"{self.url}?{urlencode(asked)}"


def place(url: str, query: Sequence[tuple[str, str]], largest: int, key: str | None = None) -> Place:
    """The page that a query asks for. Raises `Refused`."""
    asked = dict(query)
    page = _positive(asked.get("page", "1"), "page")
    size = _positive(asked.get("page-size", str(DEFAULT_PAGE_SIZE)), "page-size")
    if size > MAX_PAGE_SIZE:
        raise Refused(422, "PARAMETRO_INVALIDO", f"page-size may be {MAX_PAGE_SIZE}.")
    return Place(url, page, min(size, largest), tuple(query), key)


def one(data: Any, url: str, now: datetime) -> dict[str, Any]:
    """A single thing."""
    return {"data": data, "links": {"self": url}, "meta": {"requestDateTime": stamp(now)}}


def listed(items: Sequence[Any], where: Place, now: datetime, *, counted: bool = True) -> dict[str, Any]:
    """A page of a list. Statements are not counted: their `meta` has the time alone and there is no last."""
    pages = max(1, -(-len(items) // where.size))
    links = {"self": where.link(where.page)}
    if where.page > 1:
        links |= {"first": where.link(1), "prev": where.link(where.page - 1)}
    if where.page < pages:
        links["next"] = where.link(where.page + 1)
    if counted and pages > 1:
        links["last"] = where.link(pages)
    meta: dict[str, Any] = {"requestDateTime": stamp(now)}
    if counted:
        meta |= {"totalRecords": len(items), "totalPages": pages}
    start = (where.page - 1) * where.size
    return {"data": list(items[start : start + where.size]), "links": links, "meta": meta}


def money(cents: int, decimals: int, *, fraction: bool = False) -> dict[str, str]:
    """An amount as this bank writes it; with `fraction` one that no centavo can say."""
    whole, rest = divmod(abs(cents), 100)
    text = f"{'-' if cents < 0 else ''}{whole}.{rest:02d}"
    if fraction:
        text += "37"
    elif decimals == 4:
        text += "00"
    return {"amount": text, "currency": "BRL"}


_AMOUNT = re.compile(r"([0-9]{1,16})\.([0-9]{2})")


def cents(amount: object) -> int | None:
    """A payment's amount in centavos, if it is written as payments are: exactly two decimals."""
    match = _AMOUNT.fullmatch(amount) if isinstance(amount, str) else None
    return int(match[1]) * 100 + int(match[2]) if match else None


def _positive(text: str, name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise Refused(422, "PARAMETRO_INVALIDO", f"{name} must be a whole number from 1.")
    return int(text)

"""The shapes of what we answer as a holder of data: errors, envelopes, pages, amounts and times."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 25
_WHOLE = re.compile(r"[0-9]{1,9}")


class Refused(Exception):  # noqa: N818
    """A request that is not carried out, with the published code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail


class OAuthRefused(Exception):  # noqa: N818
    """An error of the authorisation server, as RFC 6749 names it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for, and where the list is."""

    url: str
    number: int
    size: int
    query: tuple[tuple[str, str], ...]

    @property
    def start(self) -> int:
        """How many things come before it."""
        return (self.number - 1) * self.size

    def link(self, number: int) -> str:
        """The URL of a page of the same list."""
        kept = [pair for pair in self.query if pair[0] not in {"page", "page-size"}]
        return f"{self.url}?{urlencode([*kept, ('page', str(number)), ('page-size', str(self.size))])}"


def page(url: str, query: Sequence[tuple[str, str]]) -> Page:
    """The page that a query asks for. Raises `Refused`."""
    asked = dict(query)
    number = _positive(asked.get("page", "1"), "page")
    size = _positive(asked.get("page-size", str(DEFAULT_PAGE_SIZE)), "page-size")
    if size > MAX_PAGE_SIZE:
        raise Refused(422, "PARAMETRO_INVALIDO", f"page-size may be {MAX_PAGE_SIZE}.")
    return Page(url, number, size, tuple(query))


def error_body(refused: Refused, now: datetime) -> dict[str, Any]:
    """The published error document."""
    title = refused.code.replace("_", " ").capitalize()
    error = {"code": refused.code, "title": title, "detail": refused.detail}
    return {"errors": [error], "meta": {"requestDateTime": stamp(now)}}


def one(data: Mapping[str, Any], url: str, now: datetime) -> dict[str, Any]:
    """A single thing."""
    return {"data": data, "links": {"self": url}, "meta": {"requestDateTime": stamp(now)}}


def listed(items: Sequence[Mapping[str, Any]], asked: Page, now: datetime) -> dict[str, Any]:
    """A page of a list that is wholly known."""
    pages = max(1, -(-len(items) // asked.size))
    links = _around(asked, more=asked.number < pages)
    if pages > 1:
        links["last"] = asked.link(pages)
    meta = {"requestDateTime": stamp(now), "totalRecords": len(items), "totalPages": pages}
    return {"data": list(items[asked.start : asked.start + asked.size]), "links": links, "meta": meta}


def statement(
    items: Sequence[Mapping[str, Any]], asked: Page, now: datetime, *, more: bool
) -> dict[str, Any]:
    """A page of transactions, which are never counted: no totals, and no last page."""
    return {"data": list(items), "links": _around(asked, more=more), "meta": {"requestDateTime": stamp(now)}}


def money(cents: int) -> dict[str, str]:
    """An amount, with a sign where it is below zero."""
    return {
        "amount": f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}",
        "currency": "BRL",
    }


def stamp(moment: datetime) -> str:
    """A moment in UTC without a fraction, 20 characters."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: object) -> datetime | None:
    """A moment that somebody wrote in the only form allowed, or nothing."""
    if not isinstance(text, str) or len(text) != 20:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _around(asked: Page, *, more: bool) -> dict[str, str]:
    links = {"self": asked.link(asked.number)}
    if asked.number > 1:
        links |= {"first": asked.link(1), "prev": asked.link(asked.number - 1)}
    if more:
        links["next"] = asked.link(asked.number + 1)
    return links


def _positive(text: str, name: str) -> int:
    if not _WHOLE.fullmatch(text) or int(text) < 1:
        raise Refused(422, "PARAMETRO_INVALIDO", f"{name} must be a whole number from 1.")
    return int(text)

"""The customer's accounts at other banks, as the Open Finance Service tells them: asked with the caller's own
token, so that it answers nobody else's."""

import json
import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Annotated, Literal, Protocol, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.kit.logs import request_id
from apps.kit.outbound import Answer, Call, NoAnswer, Send

SECONDS = 2.5
"""A little more than that service gives a bank."""
STATEMENT_SECONDS = 5.0
WORKERS = 40

_log = logging.getLogger(__name__)


class LinkedAway(Exception):  # noqa: N818
    """The Open Finance Service does not answer: what is linked is not known at the moment."""


class NotLinked(Exception):  # noqa: N818
    """The caller has no such linked account. `ended` says that it was one until its link ended."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__("not linked")
        self.ended = ended


class BadCursor(ValueError):  # noqa: N818
    """The cursor is none that a page gave."""


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class LinkedBalance(_Told):
    """What is on a linked account. Without figures its bank has never told."""

    link_id: UUID
    account_id: UUID
    institution: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    available_cents: int | None
    on_hold_cents: int | None
    as_of: datetime | None
    stale: bool


class LinkedEntry(_Told):
    """A booked transaction at another bank."""

    entry_id: str
    kind: Literal["credit", "debit"]
    description: str
    amount_cents: int
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    at: datetime


class LinkedStatement(_Told):
    """A page of them."""

    entries: list[LinkedEntry]
    cursor: str | None
    stale: bool
    as_of: datetime | None


class _Balances(_Told):
    accounts: list[LinkedBalance]


class Linked(Protocol):
    """Where linked accounts are asked for, with the caller's Authorization header."""

    def balances(self, authorization: str) -> "Future[list[LinkedBalance]]":
        """What is on every linked account; the future raises `LinkedAway`."""
        ...

    def entries(self, authorization: str, account_id: UUID, query: Mapping[str, str]) -> LinkedStatement:
        """A page of a statement. Raises `NotLinked`, `BadCursor` or `LinkedAway`."""
        ...


D = TypeVar("D", bound=BaseModel)


class OpenFinance:
    """The Open Finance Service over HTTP."""

    def __init__(self, send: Send, url: str) -> None:
        self._send = send
        self._url = url
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="linked")

    def close(self) -> None:
        """Lets go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def balances(self, authorization: str) -> "Future[list[LinkedBalance]]":
        """What is on every linked account, asked for while others read what is here."""
        call = self._call("/linked-accounts", authorization)
        return self._pool.submit(lambda: _read(_Balances, self._answer(call, SECONDS)).accounts)

    def entries(self, authorization: str, account_id: UUID, query: Mapping[str, str]) -> LinkedStatement:
        """A page of a statement."""
        path = f"/linked-accounts/{account_id}/entries?{urlencode(query)}"
        answer = self._answer(self._call(path, authorization), STATEMENT_SECONDS)
        return _read(LinkedStatement, answer)

    def _call(self, path: str, authorization: str) -> Call:
        headers = {"Authorization": authorization, "Accept": "application/json"}
        if (known := request_id()) is not None:
            headers["X-Request-Id"] = known
        return Call("GET", self._url + path, headers)

    def _answer(self, call: Call, seconds: float) -> Answer:
        try:
            answer = self._send(call, seconds)
        except NoAnswer as error:
            raise LinkedAway(str(error)) from error
        if answer.status in {404, 409}:
            raise NotLinked(ended=answer.status == 409)
        if answer.status == 422:
            raise BadCursor("is not a cursor that a page gave")
        if answer.status != 200:
            _log.warning("open finance does not answer as it should", extra={"status": answer.status})
            raise LinkedAway(str(answer.status))
        return answer


def _read(kind: type[D], answer: Answer) -> D:
    try:
        return kind.model_validate(json.loads(answer.body))
    except (ValueError, ValidationError) as error:
        raise LinkedAway("not as agreed") from error

"""Accounts at other banks, without any bank."""

from collections.abc import Mapping
from concurrent.futures import Future
from uuid import UUID

from apps.account.linked import LinkedBalance, LinkedStatement, NotLinked


class FakeLinked:
    """`found` is what is linked, `fails` what is raised instead, `asked` with whose token. With `hangs` no
    answer ever comes."""

    def __init__(self) -> None:
        self.found: list[LinkedBalance] = []
        self.statements: dict[UUID, LinkedStatement] = {}
        self.fails: Exception | None = None
        self.hangs = False
        self.asked: list[str] = []
        self.queries: list[Mapping[str, str]] = []

    def balances(self, authorization: str) -> "Future[list[LinkedBalance]]":
        self.asked.append(authorization)
        future: Future[list[LinkedBalance]] = Future()
        if self.fails is not None:
            future.set_exception(self.fails)
        elif not self.hangs:
            future.set_result(self.found)
        return future

    def entries(self, authorization: str, account_id: UUID, query: Mapping[str, str]) -> LinkedStatement:
        self.asked.append(authorization)
        self.queries.append(query)
        if self.fails is not None:
            raise self.fails
        if account_id not in self.statements:
            raise NotLinked(ended=False)
        return self.statements[account_id]

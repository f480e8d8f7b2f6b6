"""Statements of linked accounts: read from the bank as seldom as the limits want, shown from what is kept."""

import base64
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from apps.open_finance.access import Access, LinkEnded
from apps.open_finance.balances import Pace
from apps.open_finance.banks import Banks
from apps.open_finance.calls import Patience
from apps.open_finance.consent import Link, LinkedAccount
from apps.open_finance.documents import Movement
from apps.open_finance.payment import BRASILIA
from apps.open_finance.store import OpenFinanceStore

WHOLE_DAYS = 364
CURRENT_DAYS = 6
"""What `transactions-current` reaches back, today aside: after a longer silence the whole is read."""
READ_FACTOR = 2
"""A statement has pages, so it may take so much longer than a balance."""
BEGINNING = "0001-01-01"
_PLACE = re.compile(r"[0-9TZ:.-]{24}#[!-~]{1,100}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """Some of a statement, newest first. `cursor` leads on; `stale` says that the bank did not refresh it."""

    movements: tuple[Movement, ...]
    cursor: str | None
    stale: bool
    as_of: datetime | None


class LinkedStatements:
    """Statements of linked accounts. `now` is the time in UTC."""

    def __init__(
        self,
        store: OpenFinanceStore,
        banks: Banks,
        access: Access,
        pace: Pace,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._banks = banks
        self._access = access
        self._pace = pace
        self._now = now

    def page(
        self,
        link: Link,
        account: LinkedAccount,
        period: tuple[date | None, date | None],
        cursor: str | None,
        limit: int,
    ) -> Page:
        """The next `limit` transactions of the days asked for (UTC, both included).

        Raises `ValueError` for a cursor that no page gave, and `LinkEnded`.
        """
        below = _below(cursor, period[1])
        read_at = self._store.read_at(link.link_id, account.account_id)
        stale = False
        # A later page goes on with what the first one read.
        if cursor is None and not self._fresh(read_at):
            stale = not self._read(link, account, read_at)
            read_at = read_at if stale else self._now().timestamp()
        since = period[0].isoformat() if period[0] else BEGINNING
        found, more = self._store.movements(account.account_id, below, since, limit)
        return Page(
            tuple(each for _, each in found),
            _opaque(found[-1][0]) if found and more else None,
            stale,
            datetime.fromtimestamp(read_at).astimezone() if read_at is not None else None,
        )

    def _fresh(self, read_at: float | None) -> bool:
        return read_at is not None and self._now().timestamp() - read_at < self._pace.fresh_seconds

    def _read(self, link: Link, account: LinkedAccount, read_at: float | None) -> bool:
        """Brings what is kept up to date; false when the bank or its limits do not let us."""
        today = self._now().astimezone(BRASILIA).date()
        last = datetime.fromtimestamp(read_at, BRASILIA).date() if read_at is not None else None
        current = last is not None and (today - last).days < CURRENT_DAYS
        endpoint = "transactions-current" if current else "transactions"
        since = today - timedelta(days=CURRENT_DAYS if current else WHOLE_DAYS)
        patience = Patience.of(self._pace.bank_seconds * READ_FACTOR)
        try:
            with self._banks.place(link.bank_id):
                bank = self._banks.find(link.bank_id)
                self._access.count(link, endpoint, account.account_id)
                found = self._access.read(
                    link,
                    bank,
                    lambda token: bank.transactions(
                        token, account.bank_account_id, since, today, patience, current=current
                    ),
                    patience,
                )
        except LinkEnded:
            raise
        except Exception as error:  # noqa: BLE001 (what is kept is shown, whatever ails the bank)
            _log.warning(
                "a bank gave no statement", extra={"error": type(error).__name__, "bank_id": link.bank_id}
            )
            return False
        self._store.keep_movements(link.link_id, account.account_id, found, self._now().timestamp())
        return True


def _below(cursor: str | None, last: date | None) -> str | None:
    if cursor is not None:
        return _place(cursor)
    return (last + timedelta(days=1)).isoformat() if last is not None and last < date.max else None


def _opaque(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str) -> str:
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        place = ""
    if not _PLACE.fullmatch(place) or _opaque(place) != cursor:
        raise ValueError("is not a cursor that a page gave")
    return place

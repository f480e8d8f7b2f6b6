"""Statements of linked accounts: read from the bank as seldom as the limits want, shown from what is kept."""

import base64
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise

from apps.open_finance.access import Access, LinkEnded
from apps.open_finance.balances import Pace
from apps.open_finance.bank import Bank, Period
from apps.open_finance.banks import Banks
from apps.open_finance.calls import Patience
from apps.open_finance.consent import Link, LinkedAccount
from apps.open_finance.documents import Movement
from apps.open_finance.payment import BRASILIA
from apps.open_finance.store import KnownDays, OpenFinanceStore

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
    """Some of a statement, newest first. `cursor` leads on; `stale` says that the bank did not refresh it,
    or that its limits have not let us read all of it yet."""

    movements: tuple[Movement, ...]
    cursor: str | None
    stale: bool
    as_of: datetime | None


@dataclass(frozen=True)
class _Reading:
    """Whose statement is read, where, and for how long."""

    link: Link
    account: LinkedAccount
    bank: Bank
    patience: Patience


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
        known = self._store.known(link.link_id, account.account_id)
        stale = False
        # A later page goes on with what the first one read.
        if cursor is None and not self._fresh(known):
            refreshed = self._refreshed(link, account, known)
            known, stale = refreshed or known, refreshed is None
        since = period[0].isoformat() if period[0] else BEGINNING
        found, more = self._store.movements(account.account_id, below, since, limit)
        return Page(
            tuple(each for _, each in found),
            _opaque(found[-1][0]) if found and more else None,
            stale or known.missing_until is not None,
            datetime.fromtimestamp(known.at).astimezone() if known.at is not None else None,
        )

    def _fresh(self, known: KnownDays) -> bool:
        return known.at is not None and self._now().timestamp() - known.at < self._pace.fresh_seconds

    def _refreshed(self, link: Link, account: LinkedAccount, known: KnownDays) -> KnownDays | None:
        """What is known after asking the bank; nothing when the bank or its limits do not let us."""
        patience = Patience.of(self._pace.bank_seconds * READ_FACTOR)
        try:
            with self._banks.place(link.bank_id):
                bank = self._banks.find(link.bank_id)
                missing = self._brought(_Reading(link, account, bank, patience), known)
        except LinkEnded:
            raise
        except Exception as error:  # noqa: BLE001 (what is kept is shown, whatever ails the bank)
            _log_failure(error, link)
            return None
        now = self._now().timestamp()
        self._store.keep_known(link, account.account_id, now, missing)
        return KnownDays(now, missing)

    def _brought(self, reading: _Reading, known: KnownDays) -> date | None:
        """Reads what may be new, and then what is missing; gives up to which day some still may be."""
        today = self._now().astimezone(BRASILIA).date()
        recent = Period("transactions-current", today - timedelta(days=CURRENT_DAYS), today)
        last = datetime.fromtimestamp(known.at, BRASILIA).date() if known.at is not None else None
        if last is not None and (today - last).days < CURRENT_DAYS:
            self._read(reading, recent)
            return self._older(reading, known.missing_until) if known.missing_until is not None else None
        missing = self._older(reading, today)
        if missing == today:
            # Nothing came. The last days may be had more often than the whole.
            self._read(reading, recent)
            return recent.since
        return missing

    def _older(self, reading: _Reading, until: date) -> date | None:
        """Reads the year up to a day; gives up to which day some may be missing, if any."""
        since = self._now().astimezone(BRASILIA).date() - timedelta(days=WHOLE_DAYS)
        came: list[Movement] = []
        try:
            self._read(reading, Period("transactions", min(since, until), until), came)
        except LinkEnded:
            raise
        except Exception as error:  # noqa: BLE001 (the pages that came are kept, whatever ails the bank)
            _log_failure(error, reading.link)
        else:
            return None
        newest_first = all(one.at >= other.at for one, other in pairwise(came))
        return came[-1].at.astimezone(BRASILIA).date() if came and newest_first else until

    def _read(self, reading: _Reading, period: Period, came: list[Movement] | None = None) -> None:
        """Reads a period into `came` and keeps it, page by page: each counts as the bank counts it."""
        link, account, bank = reading.link, reading.account, reading.bank
        found = came if came is not None else []

        def ask(token: str) -> None:
            found.clear()
            count = partial(self._access.count, link, period.endpoint, account.account_id)
            for page in bank.transactions(token, account.bank_account_id, period, count, reading.patience):
                found.extend(page)

        try:
            self._access.read(link, bank, ask, reading.patience)
        except LinkEnded:
            found.clear()
            raise
        finally:
            self._store.keep_movements(link, account.account_id, found)


def _log_failure(error: Exception, link: Link) -> None:
    _log.warning("a bank gave no statement", extra={"error": type(error).__name__, "bank_id": link.bank_id})


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

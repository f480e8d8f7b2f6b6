"""Reading at a bank on a link's behalf: with a token that is good, within the published limits, and knowing
when the consent has ended on the other side."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from apps.open_finance.bank import Bank
from apps.open_finance.calls import BankRefused, BankSilent, Patience
from apps.open_finance.consent import Link
from apps.open_finance.oauth import Tokens
from apps.open_finance.store import KEEP_COUNTS_SECONDS, OpenFinanceStore

MONTHLY_CALLS = {
    "balances": 420,
    "transactions-current": 240,
    "transactions": 4,
    "accounts": 120,
    "resources": 120,
}
"""Calls per month that a bank must answer, for each account or for the list: limits of Open Finance Brasil.
Which endpoint has which is cut off in public, so the last two are the stricter reading."""
REFRESH_BEFORE_SECONDS = 30
_ENDED = frozenset({401, 403})

T = TypeVar("T")
_log = logging.getLogger(__name__)


class LinkEnded(Exception):  # noqa: N818
    """The consent is over: nothing can be read any more."""


class LimitReached(Exception):  # noqa: N818
    """The month's calls to this endpoint are used up."""


class Access:
    """Calls on behalf of links. A consent's state counts as fresh for `fresh_seconds`; `now` is the time in
    UTC."""

    def __init__(self, store: OpenFinanceStore, fresh_seconds: float, now: Callable[[], datetime]) -> None:
        self._store = store
        self._fresh_seconds = fresh_seconds
        self._now = now

    def count(self, link: Link, endpoint: str, account_id: str = "") -> None:
        """Counts a call to come. Raises `LimitReached`."""
        now = self._now()
        place = f"{endpoint}#{account_id}"
        ttl = int(now.timestamp()) + KEEP_COUNTS_SECONDS
        if not self._store.may_call(link.link_id, place, f"{now:%Y%m}", MONTHLY_CALLS[endpoint], ttl):
            raise LimitReached(endpoint)

    def read(self, link: Link, bank: Bank, ask: Callable[[str], T], patience: Patience) -> T:
        """What `ask` reads with a good token. Raises `LinkEnded`, and what `ask` raises."""
        tokens = self._store.tokens(link.link_id)
        if tokens is None:
            raise LinkEnded(link.link_id)
        try:
            if tokens.expires_at <= self._now().timestamp() + REFRESH_BEFORE_SECONDS:
                tokens = self._refreshed(link, bank, tokens, patience)
            try:
                return ask(tokens.access)
            except BankRefused as refused:
                if refused.status != 401:
                    raise
            return ask(self._refreshed(link, bank, tokens, patience).access)
        except BankRefused as refused:
            if refused.status in _ENDED or refused.code == "invalid_grant":
                self.check(link, bank, patience)
            raise

    def may_check(self, link: Link) -> bool:
        """Whether it is time to ask a consent's bank for it again; says so once."""
        now = self._now().timestamp()
        return self._store.may_look(link.link_id, now, self._fresh_seconds, int(now) + KEEP_COUNTS_SECONDS)

    def check(self, link: Link, bank: Bank, patience: Patience) -> None:
        """Asks the bank whether the consent has ended there, and ends the link if so. Raises `LinkEnded`."""
        try:
            consent = bank.consent(link.consent_id, patience)
            status, rejection = consent.status, consent.rejection
        except BankRefused as refused:
            if refused.status != 404:
                raise
            status, rejection = "REJECTED", None
        if status != "REJECTED":
            return
        reason = rejection["reason"]["code"] if rejection and "reason" in rejection else "ended_by_bank"
        _log.info("a consent has ended at its bank", extra={"link_id": link.link_id})
        ended = replace(link, status="REVOKED", reason=str(reason)[:64], authorisation_url=None)
        if self._store.change_link(ended, was="ACTIVE"):
            self._store.forget(link)
        raise LinkEnded(link.link_id)

    def _refreshed(self, link: Link, bank: Bank, tokens: Tokens, patience: Patience) -> Tokens:
        if tokens.refresh is None:
            raise BankSilent("no refresh token")
        fresh = bank.oauth.refreshed(tokens.refresh, patience)
        self._store.keep_tokens(link.link_id, fresh, link.expires_at)
        return fresh

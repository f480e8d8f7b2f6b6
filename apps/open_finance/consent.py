"""Rules of consents: which permissions belong together, how long things wait, and what states there are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

AUTHORISE_LINK_WITHIN = timedelta(minutes=60)
AUTHORISE_PAYMENT_WITHIN = timedelta(minutes=5)
CONSUME_PAYMENT_WITHIN = timedelta(minutes=60)
LONGEST = timedelta(days=365)

_ALWAYS = frozenset({"ACCOUNTS_READ", "RESOURCES_READ"})
GROUPS: Mapping[str, frozenset[str]] = {
    "balances": _ALWAYS | {"ACCOUNTS_BALANCES_READ"},
    "transactions": _ALWAYS | {"ACCOUNTS_TRANSACTIONS_READ"},
}
"""What we may ask for: groups, each whole (Open Finance Brasil, consents 3.0)."""
EVERYTHING = frozenset().union(*GROUPS.values())

LinkStatus = Literal["AWAITING_AUTHORISATION", "ACTIVE", "REJECTED", "REVOKED", "EXPIRED"]


class IncompletePermissions(Exception):  # noqa: N818
    """The permissions are none of ours, or part of a group without the rest."""


@dataclass(frozen=True)
class LinkedAccount:
    """An account at another bank. `account_id` is our name of it, `bank_account_id` the bank's."""

    account_id: str
    bank_account_id: str
    account_type: str
    branch: str
    number: str


@dataclass(frozen=True)
class Link:
    """A customer's consent at another bank, and what it covers."""

    link_id: str
    owner: str
    bank_id: str
    institution: str
    status: LinkStatus
    permissions: frozenset[str]
    consent_id: str
    created_at: datetime
    expires_at: datetime
    request_hash: str
    authorisation_url: str | None = None
    accounts: tuple[LinkedAccount, ...] = ()
    reason: str | None = None

    def at(self, now: datetime) -> "Link":
        """The link as it stands now: time ends one that waits too long, and one whose consent is over."""
        waited = self.status == "AWAITING_AUTHORISATION" and now >= self.created_at + AUTHORISE_LINK_WITHIN
        over = self.status == "ACTIVE" and now >= self.expires_at
        if waited or over:
            return replace(self, status="EXPIRED", authorisation_url=None)
        return self


def complete(permissions: Iterable[str] | None) -> frozenset[str]:
    """The permissions to ask for; everything if none are named. Raises `IncompletePermissions`."""
    if permissions is None:
        return EVERYTHING
    asked = frozenset(permissions)
    covered = frozenset().union(*(group for group in GROUPS.values() if group <= asked))
    if not asked or covered != asked:
        raise IncompletePermissions(", ".join(sorted(asked - covered)))
    return asked

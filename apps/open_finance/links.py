"""Linking a bank: ask for consent, send the user there, take the answer once, and end it from either side."""

import hmac
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from apps.open_finance import payment
from apps.open_finance.access import Access, LinkEnded
from apps.open_finance.bank import Bank, check_permissions
from apps.open_finance.banks import Banks
from apps.open_finance.calls import BankRefused, BankSilent, Patience
from apps.open_finance.consent import AUTHORISE_LINK_WITHIN, LONGEST, Link, LinkedAccount
from apps.open_finance.documents import Account, Invalid
from apps.open_finance.oauth import Authorisation, Tokens
from apps.open_finance.store import Customers, OpenFinanceStore, Pending

START_SECONDS = 6.0
FINISH_SECONDS = 6.0
REVOKE_SECONDS = 5.0
SCOPE = "openid consent:{} accounts resources"
_LINKS = uuid.UUID("6d1f0a52-8a0b-5d6e-9c7a-30a1c7a9b401")
_ACCOUNTS = uuid.UUID("6d1f0a52-8a0b-5d6e-9c7a-30a1c7a9b402")

_log = logging.getLogger(__name__)


class UnknownCustomer(Exception):  # noqa: N818
    """This login has opened no account here as a person, so we do not know whose consent it would be."""


class KeyReused(Exception):  # noqa: N818
    """The idempotency key belongs to another request."""


class CallbackRefused(Exception):  # noqa: N818
    """What a browser brought back proves nothing. The reason is for logs; nothing was linked or moved."""


@dataclass(frozen=True)
class Returned:
    """What a browser brings back from a bank."""

    state: str
    code: str | None
    error: str | None
    issuer: str | None


class Links:
    """A user's consents at other banks."""

    def __init__(
        self,
        store: OpenFinanceStore,
        customers: Customers,
        banks: Banks,
        access: Access,
        now: Callable[[], datetime],
    ) -> None:
        self.store = store
        self.banks = banks
        self._customers = customers
        self._access = access
        self._now = now

    def start(
        self, owner: str, key: str, bank_id: str, permissions: frozenset[str], until: datetime | None
    ) -> tuple[Link, bool]:
        """A new link that waits for its user, or the one that this key has made; and whether it has.

        Raises `KeyReused`, `UnknownCustomer`, `UnknownBank`, `DirectoryAway`, and what banks raise.
        """
        link_id = str(uuid.uuid5(_LINKS, f"{owner}\nlinks\n{key}"))
        asked = payment.request_hash(bank_id, sorted(permissions), until)
        if (found := self.store.link(link_id)) is not None:
            return self._same(found, asked), True
        cpf = self.cpf(owner)
        bank = self.banks.find(bank_id)
        now, patience = self._now(), Patience.of(START_SECONDS)
        ends = until or now + LONGEST
        consent = bank.ask_for_consent(cpf, permissions, ends, patience)
        secrets = Authorisation.new()
        url = bank.oauth.authorisation_url(SCOPE.format(consent.consentId), secrets, patience)
        link = Link(
            link_id=link_id,
            owner=owner,
            bank_id=bank_id,
            institution=bank.institution.name,
            status="AWAITING_AUTHORISATION",
            permissions=consent.permissions,
            consent_id=consent.consentId,
            created_at=now,
            expires_at=ends,
            request_hash=asked,
            authorisation_url=url,
        )
        if not self.store.add_link(link):
            # Another try of this request was faster; what this one asked for ends by itself in an hour.
            found = self.store.link(link_id)
            assert found is not None, "links are never deleted"
            return self._same(found, asked), True
        expires = (now + AUTHORISE_LINK_WITHIN).timestamp()
        self.store.expect(Pending("link", link_id, secrets, expires))
        return link, False

    def finish(self, link_id: str, asked: Authorisation, returned: Returned) -> Link:
        """The link after its user came back. Raises `CallbackRefused`: then nothing is linked."""
        link = self.store.link(link_id)
        if link is None or link.at(self._now()).status != "AWAITING_AUTHORISATION":
            if link is not None:
                self.late(link)
            raise CallbackRefused("the link does not wait")
        bank = self.banks.find(link.bank_id)
        patience = Patience.of(FINISH_SECONDS)
        try:
            code = accepted(returned, bank)
            tokens = bank.oauth.exchange(code, asked, self.cpf(link.owner), patience)
            active = self._activated(link, bank, tokens, patience)
        except (BankRefused, BankSilent, Invalid, CallbackRefused) as error:
            # The code is spent and the state too: this link can never become anything.
            self._end(link, bank, "access_denied" if returned.error else type(error).__name__)
            raise
        self.store.keep_tokens(link_id, tokens, link.expires_at)
        for each in active.accounts:
            self.store.place_account(each, active)
        if not self.store.change_link(active, was="AWAITING_AUTHORISATION"):
            self.store.forget(active)
            self._revoked_at(bank, link)
            raise CallbackRefused("the link does not wait any more")
        return active

    def late(self, link: Link) -> None:
        """Ends a consent whose user came back when nobody waited any more: it may have been given in time."""
        if link.status == "AWAITING_AUTHORISATION":
            self._end(link, self.banks.find(link.bank_id), "too_late")

    def of(self, owner: str) -> list[Link]:
        """Somebody's links as they stand now, oldest first."""
        return [self.now(each) for each in self.store.links_of(owner)]

    def owned(self, owner: str, link_id: str) -> Link | None:
        """One of somebody's links."""
        found = self.store.link(link_id)
        return self.now(found) if found is not None and found.owner == owner else None

    def now(self, link: Link) -> Link:
        """The link as it stands now. Whoever sees first that its consent is over deletes what it let us have;
        the table's TTL does so where nobody looks."""
        seen = link.at(self._now())
        if (link.status, seen.status) == ("ACTIVE", "EXPIRED") and self.store.change_link(seen, was="ACTIVE"):
            self.store.forget(link)
        return seen

    def revoke(self, link: Link) -> None:
        """Ends a link: first at the bank, so that it is never open there and closed here. Raises what banks
        raise; a bank that has ended it before is fine."""
        stored = self.store.link(link.link_id)
        if stored is None or stored.status not in {"AWAITING_AUTHORISATION", "ACTIVE"}:
            return
        bank = self.banks.find(link.bank_id)
        bank.revoke(link.consent_id, Patience.of(REVOKE_SECONDS))
        ended = replace(stored, status="REVOKED", reason="revoked_by_user", authorisation_url=None)
        if self.store.change_link(ended, was=stored.status):
            self.store.forget(stored)

    def look_after(self, link: Link) -> Link:
        """The link after asking its bank whether it still stands; as it was when the bank is silent, or was
        asked a moment ago."""
        if not self._access.may_check(link):
            return link
        try:
            self._access.check(link, self.banks.find(link.bank_id), Patience.of(REVOKE_SECONDS))
        except LinkEnded:
            return self.store.link(link.link_id) or link
        except (BankRefused, BankSilent, Invalid):
            return link
        return link

    def cpf(self, owner: str) -> str:
        """The CPF of a login. Raises `UnknownCustomer`."""
        found = self._customers.cpf(owner)
        if found is None:
            raise UnknownCustomer
        return found

    def _activated(self, link: Link, bank: Bank, tokens: Tokens, patience: Patience) -> Link:
        consent = bank.consent(link.consent_id, patience)
        if consent.status != "AUTHORISED":
            raise Invalid("the consent is not authorised")
        check_permissions(consent, link.permissions)
        counted = partial(self._access.count, link)
        covered = bank.resources(tokens.access, partial(counted, "resources"), patience)
        accounts = bank.accounts(tokens.access, covered, partial(counted, "accounts"), patience)
        return replace(
            link,
            status="ACTIVE",
            permissions=consent.permissions,
            authorisation_url=None,
            accounts=tuple(_account(link, each) for each in accounts),
        )

    def _end(self, link: Link, bank: Bank, reason: str) -> None:
        ended = replace(link, status="REJECTED", reason=reason, authorisation_url=None)
        self.store.change_link(ended, was="AWAITING_AUTHORISATION")
        self._revoked_at(bank, link)

    @staticmethod
    def _revoked_at(bank: Bank, link: Link) -> None:
        try:
            bank.revoke(link.consent_id, Patience.of(REVOKE_SECONDS))
        except (BankRefused, BankSilent, Invalid) as error:
            _log.warning("a consent stays open at its bank", extra={"error": type(error).__name__})

    @staticmethod
    def _same(found: Link, asked: str) -> Link:
        if found.request_hash != asked:
            raise KeyReused
        return found


def accepted(returned: Returned, bank: Bank) -> str:
    """The code that a browser brought from this very bank. Raises `CallbackRefused`."""
    if returned.issuer is None or not hmac.compare_digest(
        returned.issuer.encode(), bank.institution.issuer.encode()
    ):
        # RFC 9207: an answer of one bank must never be taken to another.
        raise CallbackRefused("issuer")
    if returned.error is not None or not returned.code:
        raise CallbackRefused("the bank gave no code")
    return returned.code


def _account(link: Link, found: Account) -> LinkedAccount:
    """The account under our own name, the same whenever it is read by this link."""
    account_id = str(uuid.uuid5(_ACCOUNTS, json.dumps([link.link_id, found.accountId])))
    return LinkedAccount(
        account_id, found.accountId, found.type, found.branchCode, found.number + found.checkDigit
    )

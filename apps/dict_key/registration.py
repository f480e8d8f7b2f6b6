"""Keys of our customers: registered and ended, here and at the DICT, so that both say the same.

What is to happen is written here first (PENDING, DELETING), then the DICT is told, then it is written that it
happened. In between everything may end: the same request again goes on where it was, with the same request id
that makes the DICT answer the same; and what nobody asks for again is taken up when it is due (`resume`).
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from apps.dict_key import refusals
from apps.dict_key.budget import Budget
from apps.dict_key.client import DictRefused, NotRegistered
from apps.dict_key.entry import Account, Entry, Owner
from apps.dict_key.holders import Holders, Holding
from apps.dict_key.items import Registration
from apps.dict_key.refusals import Refusal
from apps.dict_key.store import Changed, KeyStore
from apps.ledger.transfer import iso
from apps.pix.keys import Key, KeyType
from apps.pix.lookup_tokens import ENTRIES_WRITE

DUE_AFTER = timedelta(seconds=30)
"""A request that is still on its way after so long is taken up by whoever looks next."""
REFUSED_SECONDS = 24 * 3600
_KEYS = uuid.UUID("8a7c5d04-1f0f-5a53-9a86-5d2f0e5bb101")

_log = logging.getLogger(__name__)


class KeyReused(Exception):  # noqa: N818
    """The idempotency key belongs to a request that says something else."""


class Directory(Protocol):
    """The DICT, told of keys."""

    def create_entry(
        self, key_type: KeyType, key: Key | None, account: Account, owner: Owner, request_id: str
    ) -> Entry: ...

    def delete_entry(self, key: Key) -> None: ...


@dataclass(frozen=True)
class KeyRequest:
    """A customer's wish for a key, checked for shape. `key` is missing for type EVP."""

    subject: str
    idempotency_key: str
    account_id: str
    key_type: KeyType
    key: Key | None

    @property
    def key_id(self) -> str:
        """The id that this idempotency key gives the registration."""
        return str(uuid.uuid5(_KEYS, f"{self.subject}\nkeys\n{self.idempotency_key}"))

    @property
    def request_hash(self) -> str:
        """SHA-256 of what was asked for."""
        content = [self.account_id, self.key_type, self.key.value if self.key is not None else None]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class Registrations:
    """Registers and ends keys. `now` is the clock."""

    store: KeyStore
    holders: Holders
    budget: Budget
    directory: Directory
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def register(self, request: KeyRequest) -> tuple[Registration, bool]:
        """The registration that this request made, and whether it was there before.

        Raises `Refusal` (kept: the same request gets it again), `KeyReused`, `Exhausted`, `DictLimited`,
        `DictDown`, `Unavailable` or `OutcomeUnknown`; after these last five the same request goes on.
        """
        found = self.store.registration(request.key_id)
        replayed = found is not None
        if found is None:
            found = self._begun(request)
        if found.request_hash != request.request_hash:
            raise KeyReused
        if found.status == "REFUSED" and found.refusal is not None:
            raise refusals.read(found.refusal)
        if found.status == "PENDING":
            found = self._created(found)
        return found, replayed

    def delete(self, subject: str, key_id: str) -> None:
        """Ends a customer's key. Raises `Refusal` `key_not_found` or `key_locked`, or as `register` does."""
        found = self.store.registration(key_id)
        if found is None or found.owner != subject or found.status in {"REFUSED", "PENDING"}:
            raise Refusal("key_not_found", "You have no such key.")
        if found.status == "ACTIVE":
            found = self.store.begin_delete(found, self._due())
        self._deleted(found)

    def resume(self, key_id: str) -> None:
        """Goes on with what was left half done. Raises as `register` does."""
        found = self.store.registration(key_id)
        if found is None:
            return
        if found.status == "PENDING":
            self._created(found)
        elif found.status == "DELETING":
            self._deleted(found)

    def _begun(self, request: KeyRequest) -> Registration:
        holding = self._holding(request)
        if request.key is not None:
            self._check_key(request.key, holding)
        registration = Registration(
            key_id=request.key_id,
            owner=request.subject,
            created_at=iso(self.now()),
            account_id=holding.account_id,
            key_type=request.key_type,
            key=request.key.value if request.key is not None else None,
            status="PENDING",
            request_id=str(uuid.uuid4()),
            request_hash=request.request_hash,
            tax_id=holding.owner.tax_id,
            name=holding.owner.name,
            participant=holding.account.participant,
            branch=holding.account.branch,
            number=holding.account.number,
            account_type=holding.account.account_type,
            opened_at=holding.account.opened_at,
        )
        try:
            self.store.begin(registration, self._due())
        except Changed as changed:
            if changed.full:
                raise refusals.of_the_dict(DictRefused(400, "EntryLimitExceeded")) from changed
            if changed.key_held and request.key is not None:
                raise self._held_by_another(request.key, holding) from changed
            begun = self.store.registration(request.key_id)
            if begun is None:
                raise
            return begun
        return registration

    def _holding(self, request: KeyRequest) -> Holding:
        holding = self.holders.holding(request.account_id)
        if holding is None or holding.subject != request.subject:
            raise Refusal("account_not_found", "You have no such account.")
        return holding

    def _check_key(self, key: Key, holding: Holding) -> None:
        if key.type in {"CPF", "CNPJ"} and key.value != holding.owner.tax_id:
            raise Refusal("key_not_yours", "A CPF or CNPJ can be a key of its holder alone.")

    def _held_by_another(self, key: Key, holding: Holding) -> Refusal:
        """Another registration here has the key: the same customer's, or somebody else's."""
        other = self.store.holder_of(key)
        if other is not None and other.tax_id != holding.owner.tax_id:
            return refusals.of_the_dict(DictRefused(400, "EntryKeyOwnedByDifferentPerson"))
        return refusals.of_the_dict(DictRefused(400, "EntryAlreadyExists"))

    def _created(self, registration: Registration) -> Registration:
        self.budget.spend(ENTRIES_WRITE)
        key = registration.pix_key if registration.key is not None else None
        try:
            entry = self.directory.create_entry(
                registration.key_type, key, registration.account, registration.holder, registration.request_id
            )
        except DictRefused as refused:
            refusal = refusals.of_the_dict(refused)
            _log.info("the DICT refused a key", extra={"dict_code": refused.code})
            try:
                self.store.refuse(
                    registration, refusal.written(), int(self.now().timestamp()) + REFUSED_SECONDS
                )
            except Changed:
                # Another attempt under the same request id was first; what it found stands.
                return self._standing(registration)
            raise refusal from refused
        try:
            return self.store.activate(registration, entry.key)
        except Changed:
            standing = self._standing(registration)
            return self.store.activate(standing, entry.key) if standing.status == "REFUSED" else standing

    def _standing(self, registration: Registration) -> Registration:
        standing = self.store.registration(registration.key_id)
        if standing is None:
            raise Refusal("key_not_found", "The key was ended meanwhile.")
        return standing

    def _deleted(self, registration: Registration) -> None:
        self.budget.spend(ENTRIES_WRITE)
        try:
            self.directory.delete_entry(registration.pix_key)
        except NotRegistered:
            _log.info("a key to end was gone at the DICT")
        except DictRefused as refused:
            _log.info("the DICT keeps a key", extra={"dict_code": refused.code})
            self.store.keep(registration)
            raise refusals.of_the_dict(refused) from refused
        try:
            self.store.end(registration)
        except Changed:
            if self.store.registration(registration.key_id) is not None:
                raise

    def _due(self) -> str:
        return iso(self.now() + DUE_AFTER)

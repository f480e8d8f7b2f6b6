"""What the DICT holds: entries, each a key, an account and its owner (D2; 1.5 to 1.7)."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Literal
from uuid import UUID

from apps.simulators.bacen.keys import KeyType, canonical

AccountType = Literal["CACC", "TRAN", "SLRY", "SVGS", "OTHR"]
Restriction = Literal["EntryBlocked", "EntryWithFraudRelatedRestriction"]
KEYS_OF_A_PERSON, KEYS_OF_A_COMPANY = 5, 20
"""Keys that one account may have, however many holders it has (DM 1)."""


@dataclass(frozen=True)
class Account:
    """An account at a participant (ISPB). The branch has no check digit, the number has it."""

    participant: str
    branch: str | None
    number: str
    type: AccountType
    opened_at: datetime


@dataclass(frozen=True)
class Owner:
    """Who owns an account: a person by CPF, or a company by CNPJ, which may have a trade name."""

    tax_id: str
    name: str
    trade_name: str | None = None

    @property
    def is_person(self) -> bool:
        """Whether it is a natural person."""
        return len(self.tax_id) == 11


@dataclass(frozen=True)
class Entry:
    """A key and where it leads. `restriction` is the error that answers whoever looks it up."""

    key: str
    key_type: KeyType
    account: Account
    owner: Owner
    created_at: datetime
    owned_since: datetime
    request_id: UUID
    restriction: Restriction | None = None

    @property
    def cid(self) -> str:
        """The identifier of its content (D2, "Cálculo de CID")."""
        parts = (
            self.key_type,
            self.key,
            self.owner.tax_id,
            self.owner.name,
            self.owner.trade_name or "",
            self.account.participant,
            self.account.branch or "",
            self.account.number,
            self.account.type,
        )
        return hmac.digest(self.request_id.bytes, "&".join(parts).encode(), hashlib.sha256).hex()

    @property
    def keys_allowed(self) -> int:
        """How many keys its account may have."""
        return KEYS_OF_A_PERSON if self.owner.is_person else KEYS_OF_A_COMPANY


def vsync(cids: Iterable[str]) -> str:
    """The check of a set of contents: the exclusive or of all of them (D2, "Cálculo do VSync")."""
    return f"{reduce(lambda so_far, cid: so_far ^ int(cid, 16), cids, 0):064x}"


class Directory:
    """All entries, by key. It never holds two for one key."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            assert canonical(entry.key) not in self._entries, "a key leads to one account"
            self.put(entry)

    def get(self, key: str) -> Entry | None:
        """The entry of a key."""
        return self._entries.get(canonical(key))

    def put(self, entry: Entry) -> None:
        """Adds an entry, or puts it in the place of the one with its key."""
        self._entries[canonical(entry.key)] = entry

    def remove(self, key: str) -> None:
        """Takes an entry out."""
        del self._entries[canonical(key)]

    def all(self) -> list[Entry]:
        """Every entry, in the order they came."""
        return list(self._entries.values())

    def of_account(self, account: Account) -> list[Entry]:
        """The entries of one account, whatever else they say of it."""
        place = (account.participant, account.branch, account.number)
        return [
            entry
            for entry in self._entries.values()
            if (entry.account.participant, entry.account.branch, entry.account.number) == place
        ]

    def of_owner(self, tax_id: str) -> list[Entry]:
        """The entries of a person or company."""
        return [entry for entry in self._entries.values() if entry.owner.tax_id == tax_id]

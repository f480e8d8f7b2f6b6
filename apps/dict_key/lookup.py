"""Whom a key leads to: one of our own accounts, an answer that may still be used, or the DICT's.

Own keys never leave the house: the DICT refuses to be asked for them, and their payment is a book transfer.
"""

import logging
from dataclasses import dataclass
from typing import Literal, Protocol

from apps.dict_key.budget import Budget
from apps.dict_key.cache import Cache
from apps.dict_key.client import DictDown, DictLimited, DictRefused, Found, NotRegistered
from apps.dict_key.entry import Entry
from apps.kit import metrics
from apps.kit.dynamo import OutcomeUnknown, Unavailable
from apps.pix.keys import Key

REMEMBER_SECONDS = 2 * 24 * 3600
"""A payment is sent within its hold's time, half an hour as a rule; its look-up is remembered longer."""

_log = logging.getLogger(__name__)


class OwnKeys(Protocol):
    """The keys that are held here."""

    def entry(self, key: Key) -> Entry | None:
        """The entry of a key of ours, consistently read."""
        ...


class Directory(Protocol):
    """The DICT, asked for a key."""

    def look_up(self, key: Key, payer: str, end_to_end_id: str) -> Found: ...


@dataclass(frozen=True)
class Resolved:
    """An entry, and who gave it."""

    entry: Entry
    source: Literal["own", "cache", "dict"]


@dataclass(frozen=True)
class Lookup:
    """Resolves keys for payers."""

    own: OwnKeys
    cache: Cache
    budget: Budget
    directory: Directory

    def find(self, key: Key, payer: str, end_to_end_id: str) -> Resolved:
        """Whom the key leads to. Raises `NotRegistered`, `Exhausted`, `DictRefused`, `DictLimited`,
        `DictDown` or `Unavailable`."""
        if (mine := self.own.entry(key)) is not None:
            return Resolved(mine, "own")
        if (kept := self.cache.entry(key)) is not None:
            return Resolved(kept, "cache")
        spending = self.budget.admit(key.type, payer)
        try:
            found = self.directory.look_up(key, payer, end_to_end_id)
        except NotRegistered:
            self.budget.missed(spending)
            raise
        except (DictRefused, DictLimited):
            self.budget.give_back(spending)
            raise
        except DictDown as down:
            # Without an answer nobody knows what Bacen counted: the token stays spent.
            if down.not_done:
                self.budget.give_back(spending)
            raise
        try:
            self.budget.remember(spending, end_to_end_id, REMEMBER_SECONDS)
            self.cache.keep(found.entry, found.max_age)
        except (Unavailable, OutcomeUnknown) as error:
            # The payer has their answer; tokens that do not come back make us stricter, no more.
            _log.warning("a look-up was not noted", extra={"error": type(error).__name__})
            metrics.emit("lookups_not_noted", 1)
        return Resolved(found.entry, "dict")

"""The rules of entries: who may add, change and take out which key (D2; DM 1, 5, 8; 1.6, 1.7).

The DICT checks forms, not truth: that a person exists and owns the key is the participant's duty. EVPs are
made here and nowhere else.
"""

import random
import re
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from apps.simulators.bacen.clock import Clock
from apps.simulators.bacen.directory import Account, Directory, Entry, Owner
from apps.simulators.bacen.keys import KEY_TYPES, KeyType, canonical, fits
from apps.simulators.bacen.refusals import Refused, Violation

CREATE_REASONS = frozenset({"USER_REQUESTED", "RECONCILIATION"})
UPDATE_REASONS = frozenset({"USER_REQUESTED", "BRANCH_TRANSFER", "RECONCILIATION", "RFB_VALIDATION"})
DELETE_REASONS = frozenset({"USER_REQUESTED", "ACCOUNT_CLOSURE", "RECONCILIATION", "FRAUD", "RFB_VALIDATION"})

_ACCOUNT_TYPES = frozenset({"CACC", "TRAN", "SLRY", "SVGS", "OTHR"})
_BRANCH = re.compile(r"[0-9]{1,4}")
_NUMBER = re.compile(r"[0-9A-Za-z]{1,20}")
_PERSON_NAME = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ' -]{1,150}")
_COMPANY_NAME = re.compile(r"[\u0020-\u007E\u00A1-\u00FF]{1,150}")
_CPF = re.compile(r"[0-9]{11}")
# D2 writes digits alone here too, which would keep every company of July 2026 out: the wider form is assumed.
_CNPJ = re.compile(r"[0-9A-Z]{12}[0-9]{2}")


@dataclass(frozen=True)
class NewEntry:
    """What a participant asks to add. An EVP has no key yet."""

    key: str | None
    key_type: str
    account: Account
    owner: Owner
    reason: str
    request_id: uuid.UUID


class Entries:
    """The entries of a directory. `claimed` tells whether a claim on a key is still open."""

    def __init__(
        self, directory: Directory, clock: Clock, chance: random.Random, claimed: Callable[[str], bool]
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._chance = chance
        self._claimed = claimed
        self._requests: dict[tuple[str, uuid.UUID], Entry] = {}

    def create(self, new: NewEntry, known: Collection[str]) -> Entry:
        """Adds an entry, or gives the one that this very request has added before. Raises `Refused`.

        `known` are the participants of the arrangement.
        """
        check_reason(new.reason, CREATE_REASONS)
        if new.account.participant not in known:
            raise Refused("ParticipantInvalid", "The account's participant takes no part in this.")
        broken = [*_key_violations(new), *account_violations(new.account, "entry.account")]
        broken += owner_violations(new.owner, "entry.owner")
        if broken:
            raise Refused("EntryInvalid", "Some fields are not valid.", tuple(broken))
        if new.key_type in {"CPF", "CNPJ"} and canonical(str(new.key)) != new.owner.tax_id:
            raise Refused("EntryTaxIdNumberByDifferentOwner", "The key is not the owner's document.")
        return self.add(new)

    def add(self, new: NewEntry) -> Entry:
        """Adds what has been checked; a claim that ends does so too. Raises `Refused`."""
        asked = (new.account.participant, new.request_id)
        now = self._clock()
        key_type: KeyType = next(each for each in KEY_TYPES if each == new.key_type)
        before = self._requests.get(asked)
        key = before.key if before and new.key is None else new.key or self._random_key()
        entry = Entry(canonical(key), key_type, new.account, new.owner, now, now, new.request_id)
        if before is not None:
            if before.cid != entry.cid:
                raise Refused("RequestIdAlreadyUsed", "This RequestId belongs to another entry.")
            if self._directory.get(before.key) is not None:
                return before
        self._check_free(entry)
        if len(self._directory.of_account(entry.account)) >= entry.keys_allowed:
            raise Refused("EntryLimitExceeded", f"This account may have {entry.keys_allowed} keys.")
        self.keep(entry)
        return entry

    def keep(self, entry: Entry) -> None:
        """Puts an entry in, and remembers the request that asked for it."""
        self._directory.put(entry)
        self._requests[entry.account.participant, entry.request_id] = entry

    def update(self, key: str, account: Account, owner: Owner | None, reason: str) -> Entry:
        """Changes account and names of an entry that stays where it is. Raises `Refused`."""
        check_reason(reason, UPDATE_REASONS)
        entry = self.held(key, account.participant)
        if entry.key_type == "EVP" and reason == "USER_REQUESTED":
            raise Refused("InvalidReason", "A random key is not changed for its user.")
        owner = owner or entry.owner
        broken = [*account_violations(account, "account"), *owner_violations(owner, "owner")]
        if owner.tax_id != entry.owner.tax_id:
            broken.append(Violation("owner.taxIdNumber", "an entry never changes its owner"))
        if broken:
            raise Refused("EntryInvalid", "Some fields are not valid.", tuple(broken))
        changed = replace(entry, account=account, owner=owner)
        self._directory.put(changed)
        return changed

    def delete(self, key: str, participant: str, reason: str) -> Entry:
        """Takes an entry out. Raises `Refused`."""
        check_reason(reason, DELETE_REASONS)
        entry = self.held(key, participant)
        if self._claimed(entry.key):
            raise Refused("EntryLockedByClaim", "A claim on this key is open.")
        self._directory.remove(entry.key)
        return entry

    def held(self, key: str, participant: str) -> Entry:
        """The entry of a key if this participant holds it. Raises `Refused`."""
        entry = self._directory.get(key)
        if entry is None:
            raise Refused("NotFound", "Entry associated with given key does not exist")
        if entry.account.participant != participant:
            raise Refused("Forbidden", "Another participant holds this key.")
        return entry

    def _check_free(self, entry: Entry) -> None:
        there = self._directory.get(entry.key)
        if there is None:
            if self._claimed(entry.key):
                raise Refused("EntryLockedByClaim", "A claim on this key is open.")
            return
        if there.owner.tax_id != entry.owner.tax_id:
            raise Refused("EntryKeyOwnedByDifferentPerson", "Claim its ownership.")
        if there.account.participant != entry.account.participant:
            raise Refused("EntryKeyInCustodyOfDifferentParticipant", "Claim its portability.")
        raise Refused("EntryAlreadyExists", "This participant and owner have this key already.")

    def _random_key(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))


def check_reason(reason: str, allowed: Collection[str]) -> None:
    """Raises `Refused` unless the reason is one for this operation."""
    if reason not in allowed:
        raise Refused("InvalidReason", f"Reasons here: {', '.join(sorted(allowed))}.")


def account_violations(account: Account, where: str) -> list[Violation]:
    """What is wrong with the form of an account."""
    broken = []
    if account.branch is not None and not _BRANCH.fullmatch(account.branch):
        broken.append(Violation(f"{where}.branch", "1 to 4 digits", account.branch))
    if not _NUMBER.fullmatch(account.number):
        broken.append(Violation(f"{where}.accountNumber", "1 to 20 letters and digits", account.number))
    if account.type not in _ACCOUNT_TYPES:
        broken.append(Violation(f"{where}.accountType", "no such type of account", account.type))
    return broken


def owner_violations(owner: Owner, where: str) -> list[Violation]:
    """What is wrong with the form of an owner; check digits are the participant's duty."""
    broken = []
    if not (_CPF if owner.is_person else _CNPJ).fullmatch(owner.tax_id):
        broken.append(Violation(f"{where}.taxIdNumber", "a CPF or a CNPJ without its mask", owner.tax_id))
    if not (_PERSON_NAME if owner.is_person else _COMPANY_NAME).fullmatch(owner.name):
        broken.append(Violation(f"{where}.name", "1 to 150 characters of a name", owner.name))
    if owner.trade_name is not None and (owner.is_person or not 1 <= len(owner.trade_name) <= 100):
        broken.append(Violation(f"{where}.tradeName", "up to 100 characters, of a company", owner.trade_name))
    return broken


def _key_violations(new: NewEntry) -> list[Violation]:
    if new.key_type not in KEY_TYPES:
        return [Violation("entry.keyType", "no such type of key", new.key_type)]
    if new.key_type == "EVP":
        return [Violation("entry.key", "a random key is made by the DICT", new.key)] if new.key else []
    if new.key is None:
        return [Violation("entry.key", "is missing")]
    if any(each == new.key_type and not fits(new.key, each) for each in KEY_TYPES):
        return [Violation("entry.key", f"no key of type {new.key_type} looks like this", new.key)]
    return []

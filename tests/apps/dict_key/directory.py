"""A DICT in memory: entries and claims of all banks, and faults on demand."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from apps.dict_key.client import DictDown, DictRefused, Found, NotRegistered
from apps.dict_key.entry import Account, Claim, ClaimType, Entry, Owner
from apps.dict_key.messages import CancelReason
from apps.ledger.transfer import iso
from apps.pix.keys import Key, KeyType

T = TypeVar("T")

OURS, OTHER = "99999010", "18236120"
BRUNA = Owner("11144477735", "Bruna Lima")
STORE = Owner("11222333000181", "Mercado Azul Ltda", "Mercado Azul")
THEIRS = Account(OTHER, "0001", "7050321", "CACC", "2020-01-10T03:00:00Z")


@dataclass
class FakeDirectory:
    """What the DICT answers. `before` runs before a call is carried out, `after` when its answer is on its
    way: either may raise."""

    now: Callable[[], datetime]
    entries: dict[Key, Entry] = field(default_factory=dict)
    open_claims: dict[str, Claim] = field(default_factory=dict)
    requests: dict[str, Key] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    before: list[Exception] = field(default_factory=list)
    after: list[Exception] = field(default_factory=list)
    max_age: int = 60

    def holds(self, key: Key, owner: Owner = BRUNA, account: Account = THEIRS) -> None:
        self.entries[key] = Entry(key, account, owner)

    def look_up(self, key: Key, payer: str, end_to_end_id: str) -> Found:
        self._begin("look_up", key.value, payer, end_to_end_id)
        if key not in self.entries:
            raise NotRegistered
        found = self.entries[key]
        if found.account.participant == OURS:
            raise DictRefused(400, "EntryCannotBeQueriedForBookTransfer")
        return self._end(Found(found, self.max_age))

    def create_entry(
        self, key_type: KeyType, key: Key | None, account: Account, owner: Owner, request_id: str
    ) -> Entry:
        self._begin("create_entry", key_type, request_id)
        if request_id in self.requests:
            return self._end(self.entries[self.requests[request_id]])
        made = key or Key("EVP", str(uuid.uuid4()))
        if made in self.entries:
            raise DictRefused(400, _taken(self.entries[made], account, owner))
        self.entries[made] = Entry(made, account, owner)
        self.requests[request_id] = made
        return self._end(self.entries[made])

    def delete_entry(self, key: Key) -> None:
        self._begin("delete_entry", key.value)
        if key not in self.entries:
            raise NotRegistered
        del self.entries[key]
        self._end(None)

    def create_claim(self, claim_type: ClaimType, key: Key, account: Account, claimer: Owner) -> Claim:
        self._begin("create_claim", claim_type)
        if key not in self.entries:
            raise DictRefused(404, "ClaimKeyNotFound")
        if any(
            each.key == key and each.status in {"OPEN", "WAITING_RESOLUTION", "CONFIRMED"}
            for each in self.open_claims.values()
        ):
            raise DictRefused(400, "ClaimAlreadyExistsForKey")
        if (self.entries[key].owner.tax_id == claimer.tax_id) != (claim_type == "PORTABILITY"):
            raise DictRefused(400, "ClaimTypeInconsistent")
        claim = Claim(
            str(uuid.uuid4()),
            claim_type,
            "OPEN",
            key,
            account,
            claimer,
            self.entries[key].account.participant,
            iso(self.now() + timedelta(days=7)),
            iso(self.now() + timedelta(days=14)),
            iso(self.now()),
        )
        self.open_claims[claim.claim_id] = claim
        return self._end(claim)

    def act_on_claim(
        self,
        name: Literal["Acknowledge", "Confirm", "Cancel", "Complete"],
        claim_id: str,
        *,
        reason: CancelReason | None = None,
        request_id: str | None = None,
    ) -> Claim:
        self._begin(name, reason or "", request_id or "")
        return self._end(self.step(name, claim_id))

    def step(self, name: str, claim_id: str) -> Claim:
        """What another bank may do, too."""
        claim = self.open_claims[claim_id]
        of, to = {
            "Acknowledge": ({"OPEN"}, "WAITING_RESOLUTION"),
            "Confirm": ({"WAITING_RESOLUTION"}, "CONFIRMED"),
            "Cancel": ({"OPEN", "WAITING_RESOLUTION", "CONFIRMED"}, "CANCELLED"),
            "Complete": ({"CONFIRMED"}, "COMPLETED"),
        }[name]
        if claim.status != to:
            if claim.status not in of:
                raise DictRefused(409, "ClaimOperationInvalid")
            claim = replace(claim, status=to, modified_at=iso(self.now()))  # type: ignore[arg-type]
        if to == "CONFIRMED":
            self.entries.pop(claim.key, None)
        if to == "COMPLETED":
            self.entries[claim.key] = Entry(claim.key, claim.claimer_account, claim.claimer)
        self.open_claims[claim_id] = claim
        return claim

    def claims(self, modified_after: str, limit: int) -> tuple[list[Claim], bool]:
        self._begin("claims", modified_after)
        found = sorted(self.open_claims.values(), key=lambda each: each.modified_at)
        found = [each for each in found if each.modified_at >= modified_after]
        return self._end((found[:limit], len(found) > limit))

    def calls(self, name: str) -> int:
        return sum(each[0] == name for each in self.asked)

    def _begin(self, *call: str) -> None:
        self.asked.append(call)
        if self.before:
            raise self.before.pop(0)

    def _end(self, answer: T) -> T:
        if self.after:
            raise self.after.pop(0)
        return answer


def lost() -> DictDown:
    """No answer, though it was done."""
    return DictDown("timeout")


def _taken(entry: Entry, account: Account, owner: Owner) -> str:
    if entry.owner.tax_id != owner.tax_id:
        return "EntryKeyOwnedByDifferentPerson"
    if entry.account.participant != account.participant:
        return "EntryKeyInCustodyOfDifferentParticipant"
    return "EntryAlreadyExists"

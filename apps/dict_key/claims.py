"""Claims for keys: our customers', and other banks' for keys that are held here.

The DICT says what a claim is; here is kept what it said last, whose customer it concerns and when something
is due. Each step may come twice (from a customer, from either of two processes that read the DICT's list)
and is harmless then: the DICT answers it the same, and the record only moves forward.
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from apps.dict_key import claim_rules, refusals
from apps.dict_key.budget import Budget
from apps.dict_key.claim_rules import Action
from apps.dict_key.client import DictRefused
from apps.dict_key.entry import Account, Claim, ClaimType, Owner
from apps.dict_key.holders import Holders
from apps.dict_key.items import ClaimRecord, Registration
from apps.dict_key.messages import CancelReason
from apps.dict_key.refusals import Refusal
from apps.dict_key.registration import DUE_AFTER, KeyReused
from apps.dict_key.store import Changed, KeyStore
from apps.ledger.transfer import iso
from apps.pix.keys import Key
from apps.pix.lookup_tokens import CLAIMS_LIST, CLAIMS_WRITE

OVERLAP = timedelta(seconds=60)
"""The DICT's list may lag 5 s behind a change: each reading begins before the end of the last."""
BEGINNING = datetime(2020, 11, 16, tzinfo=UTC)
"""No claim is older than Pix."""
PAGE = 200
_CLAIMS = uuid.UUID("8a7c5d04-1f0f-5a53-9a86-5d2f0e5bb102")

_log = logging.getLogger(__name__)


class Directory(Protocol):
    """The DICT, as far as claims go."""

    def create_claim(self, claim_type: ClaimType, key: Key, account: Account, claimer: Owner) -> Claim: ...

    def act_on_claim(
        self,
        name: Literal["Acknowledge", "Confirm", "Cancel", "Complete"],
        claim_id: str,
        *,
        reason: CancelReason | None = None,
        request_id: str | None = None,
    ) -> Claim: ...

    def claims(self, modified_after: str, limit: int) -> tuple[list[Claim], bool]: ...


@dataclass(frozen=True)
class ClaimRequest:
    """A customer's wish for a key that somebody else has."""

    subject: str
    idempotency_key: str
    account_id: str
    type: ClaimType
    key: Key

    @property
    def claim_id(self) -> str:
        """The id that this idempotency key gives the claim here."""
        return str(uuid.uuid5(_CLAIMS, f"{self.subject}\nclaims\n{self.idempotency_key}"))

    @property
    def request_hash(self) -> str:
        """SHA-256 of what was asked for."""
        content = json.dumps([self.account_id, self.type, self.key.value])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Claims:
    """Makes, answers and follows claims of participant `ispb`. `now` is the clock."""

    store: KeyStore
    holders: Holders
    budget: Budget
    directory: Directory
    ispb: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def open(self, request: ClaimRequest) -> tuple[ClaimRecord, bool]:
        """The claim that this request made, and whether it was there before. Raises `Refusal` (kept),
        `KeyReused`, and what the DICT, the budget and the store raise; the same request goes on then."""
        found = self.store.claim(request.claim_id)
        replayed = found is not None
        if found is None:
            found = self._begun(request)
        if found.request_hash != request.request_hash:
            raise KeyReused
        if found.status == "REFUSED" and found.refusal is not None:
            raise refusals.read(found.refusal)
        if found.status == "PENDING":
            found = self._created(found, repeated=replayed)
        return found, replayed

    def act(self, subject: str, claim_id: str, action: Action) -> ClaimRecord:
        """What a customer does with a claim that concerns them. Raises as `open` does."""
        record = self.store.claim(claim_id)
        if record is None or record.owner != subject or record.dict_id is None:
            raise Refusal("claim_not_found", "You have no such claim.")
        if claim_rules.done(action, record.role, record.status):
            return record
        if not claim_rules.allowed(action, record.role, record.type, record.status):
            raise Refusal(
                "claim_not_possible",
                "The claim is not where this can be done.",
                {"claim_status": record.status, "role": record.role},
            )
        if action == "complete":
            return self._completed(record)
        return self._stepped(record, "Confirm" if action == "confirm" else "Cancel", "USER_REQUESTED")

    def read_list(self) -> None:
        """Takes in what the DICT's list of claims says, from where the last reading ended. Raises what the
        DICT, the budget and the store raise; the next reading begins there again."""
        until = self.store.claims_read_until()
        after = BEGINNING if until is None else datetime.fromisoformat(until) - OVERLAP
        more = True
        while more:
            self.budget.spend(CLAIMS_LIST)
            page, more = self.directory.claims(iso(after), PAGE)
            for claim in page:
                self._taken_in(claim)
            newest = max((datetime.fromisoformat(each.modified_at) for each in page), default=after)
            # A page full of one moment would come again for ever.
            more = more and newest > after
            after = newest
            if page:
                self.store.note_claims_read(iso(newest))

    def resume(self, claim_id: str) -> None:
        """Goes on with a claim whose time has come. Raises as `open` does."""
        record = self.store.claim(claim_id)
        if record is None or claim_rules.final(record.status):
            return
        if record.role == "DONOR":
            if record.status == "WAITING_RESOLUTION":
                self._stepped(record, claim_rules.unanswered(record.type), "DEFAULT_OPERATION")
        elif record.status == "PENDING":
            self._created(record, repeated=True)
        elif record.status == "CONFIRMED" and record.type == "PORTABILITY":
            self._completed(record)

    def _begun(self, request: ClaimRequest) -> ClaimRecord:
        if not claim_rules.claimable(request.type, request.key.type):
            raise Refusal("claim_not_possible", "A key of this type cannot be claimed so.")
        holding = self.holders.holding(request.account_id)
        if holding is None or holding.subject != request.subject:
            raise Refusal("account_not_found", "You have no such account.")
        if request.key.type in {"CPF", "CNPJ"} and request.key.value != holding.owner.tax_id:
            raise Refusal("key_not_yours", "A CPF or CNPJ can be a key of its holder alone.")
        record = ClaimRecord(
            claim_id=request.claim_id,
            owner=request.subject,
            created_at=iso(self.now()),
            role="CLAIMER",
            type=request.type,
            status="PENDING",
            key_type=request.key.type,
            key=request.key.value,
            account_id=holding.account_id,
            request_id=str(uuid.uuid4()),
            request_hash=request.request_hash,
        )
        try:
            self.store.save_claim(None, record, self._due())
        except Changed:
            begun = self.store.claim(request.claim_id)
            if begun is None:
                raise
            return begun
        return record

    def _created(self, record: ClaimRecord, *, repeated: bool) -> ClaimRecord:
        holding = self.holders.holding(record.account_id)
        assert holding is not None, "an account that made a claim has its profile"
        self.budget.spend(CLAIMS_WRITE)
        try:
            claim = self.directory.create_claim(record.type, record.pix_key, holding.account, holding.owner)
        except DictRefused as refused:
            # The DICT knows no request id of a claim: one that stands may be this very one, its answer lost.
            mine = self._mine(record, holding.account) if repeated and refused.code in _STANDS else None
            if mine is None:
                refusal = refusals.of_the_dict(refused)
                self._saved(record, replace(record, status="REFUSED", refusal=refusal.written()), None)
                raise refusal from refused
            claim = mine
        return self._followed(record, claim)

    def _mine(self, record: ClaimRecord, account: Account) -> Claim | None:
        self.budget.spend(CLAIMS_LIST)
        # As old as the record: the list is in the order of changes.
        page, _ = self.directory.claims(iso(datetime.fromisoformat(record.created_at) - OVERLAP), PAGE)
        for claim in page:
            if (claim.key, claim.claimer_account.number) == (record.pix_key, account.number):
                return claim if not claim_rules.final(claim.status) else None
        return None

    def _taken_in(self, claim: Claim) -> None:
        try:
            if claim.donor == self.ispb:
                self._as_donor(claim)
            if claim.claimer_account.participant == self.ispb:
                record = self.store.claim_at_dict(claim.claim_id)
                if record is not None:
                    self._followed(record, claim)
        except (DictRefused, Refusal) as refused:
            # Nothing to be done about this one; the others go on.
            _log.warning("a claim could not go on", extra={"error": str(refused), "status": claim.status})
        except Changed:
            # The other process has just taken it in.
            return

    def _as_donor(self, claim: Claim) -> None:
        """Another bank's claim for a key of a customer of ours."""
        if claim.status == "OPEN":
            self.budget.spend(CLAIMS_WRITE)
            claim = self.directory.act_on_claim("Acknowledge", claim.claim_id)
        record = self.store.claim(_donors_id(claim.claim_id))
        if record is None:
            held = self.store.holder_of(claim.key)
            if held is None:
                return
            record = ClaimRecord(
                claim_id=_donors_id(claim.claim_id),
                owner=held.owner,
                created_at=iso(self.now()),
                role="DONOR",
                type=claim.type,
                status=claim.status,
                key_type=claim.key.type,
                key=claim.key.value,
                account_id=held.account_id,
                request_id=str(uuid.uuid4()),
                request_hash="",
                dict_id=claim.claim_id,
                resolution_ends=claim.resolution_ends,
                completion_ends=claim.completion_ends,
            )
            self.store.save_claim(None, record, self._donors_due(record))
        self._followed(record, claim)

    def _followed(self, record: ClaimRecord, claim: Claim) -> ClaimRecord:
        """The record with what the DICT says of its claim now, and what follows from that."""
        after = replace(
            record,
            status=claim.status,
            dict_id=claim.claim_id,
            resolution_ends=claim.resolution_ends,
            completion_ends=claim.completion_ends,
        )
        if record.role == "DONOR" and claim_rules.lost_by_donor(claim.status):
            self._lose(claim.key, record.owner)
        if record.status != claim.status:
            if not claim_rules.follows(record.status, claim.status):
                return record
            if (record.role, claim.status) == ("CLAIMER", "COMPLETED"):
                return self._gained(record, after)
            due = self._donors_due(after) if record.role == "DONOR" else None
            if (record.role, record.type, claim.status) == ("CLAIMER", "PORTABILITY", "CONFIRMED"):
                due = self._due()
            self._saved(record, after, due)
        if (after.role, after.type, after.status) == ("CLAIMER", "PORTABILITY", "CONFIRMED"):
            return self._completed(after)
        return after

    def _stepped(
        self, record: ClaimRecord, step: Literal["Confirm", "Cancel"], reason: CancelReason
    ) -> ClaimRecord:
        self.budget.spend(CLAIMS_WRITE)
        try:
            claim = self.directory.act_on_claim(step, self._dict_id(record), reason=reason)
        except DictRefused as refused:
            raise refusals.of_the_dict(refused) from refused
        return self._followed(record, claim)

    def _completed(self, record: ClaimRecord) -> ClaimRecord:
        self.budget.spend(CLAIMS_WRITE)
        try:
            claim = self.directory.act_on_claim(
                "Complete", self._dict_id(record), request_id=record.request_id
            )
        except DictRefused as refused:
            raise refusals.of_the_dict(refused) from refused
        return self._followed(record, claim)

    def _gained(self, seen: ClaimRecord, record: ClaimRecord) -> ClaimRecord:
        holding = self.holders.holding(record.account_id)
        assert holding is not None, "an account that made a claim has its profile"
        registration = Registration(
            key_id=record.claim_id,
            owner=record.owner,
            created_at=iso(self.now()),
            account_id=record.account_id,
            key_type=record.key_type,
            key=record.key,
            status="ACTIVE",
            request_id=record.request_id,
            request_hash=record.request_hash,
            tax_id=holding.owner.tax_id,
            name=holding.owner.name,
            participant=holding.account.participant,
            branch=holding.account.branch,
            number=holding.account.number,
            account_type=holding.account.account_type,
            opened_at=holding.account.opened_at,
        )
        try:
            self.store.gain(record, seen, registration)
        except Changed:
            standing = self.store.claim(record.claim_id)
            if standing is None or standing.status != "COMPLETED":
                raise
        return record

    def _lose(self, key: Key, owner: str) -> None:
        held = self.store.holder_of(key)
        if held is None or held.owner != owner:
            return
        try:
            self.store.end(held)
        except Changed:
            again = self.store.holder_of(key)
            if again is not None and again.owner == owner:
                raise

    def _saved(self, seen: ClaimRecord, record: ClaimRecord, due_at: str | None) -> None:
        self.store.save_claim(seen, record, due_at)

    def _donors_due(self, record: ClaimRecord) -> str | None:
        return record.resolution_ends if record.status == "WAITING_RESOLUTION" else None

    def _due(self) -> str:
        return iso(self.now() + DUE_AFTER)

    @staticmethod
    def _dict_id(record: ClaimRecord) -> str:
        assert record.dict_id is not None, "the DICT knows this claim"
        return record.dict_id


_STANDS = frozenset({"ClaimAlreadyExistsForKey"})


def _donors_id(dict_id: str) -> str:
    """Our id of a claim in which we are the donor, the same in every process that reads the list."""
    return str(uuid.uuid5(_CLAIMS, f"donor\n{dict_id}"))

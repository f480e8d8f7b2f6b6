"""Claims: a key that goes to another bank (portability) or to another person (ownership) (D2; DM 5-6; 1.11).

OPEN → WAITING_RESOLUTION → CONFIRMED → COMPLETED, or CANCELLED. The donor has seven days to decide; an owner
who keeps silent loses the key, but only on the fourteenth day can the claimer take it, unless the donor's
user agreed; whoever has not proven by day thirty that the key is theirs is out.
"""

import random
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from apps.simulators.bacen.clock import Clock
from apps.simulators.bacen.directory import Account, Directory, Entry, Owner
from apps.simulators.bacen.entries import account_violations, check_reason, owner_violations
from apps.simulators.bacen.keys import KEY_TYPES, KeyType, canonical, fits
from apps.simulators.bacen.refusals import Refused, Violation

Status = Literal["OPEN", "WAITING_RESOLUTION", "CONFIRMED", "COMPLETED", "CANCELLED"]
Kind = Literal["OWNERSHIP", "PORTABILITY"]
Role = Literal["DONOR", "CLAIMER"]
RESOLUTION, COMPLETION, VALIDATION = timedelta(days=7), timedelta(days=14), timedelta(days=30)
CLAIMABLE: Mapping[str, frozenset[str]] = {
    "OWNERSHIP": frozenset({"PHONE"}),  # D1 had EMAIL too
    "PORTABILITY": frozenset({"CPF", "CNPJ", "PHONE", "EMAIL"}),
}
CONFIRM_REASONS: Mapping[str, frozenset[str]] = {
    "OWNERSHIP": frozenset({"USER_REQUESTED", "DEFAULT_OPERATION"}),
    "PORTABILITY": frozenset({"USER_REQUESTED", "ACCOUNT_CLOSURE"}),
}
_CLAIMER = frozenset({"USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RECONCILIATION", "RFB_VALIDATION"})
CANCEL_REASONS: Mapping[tuple[str, Role], frozenset[str]] = {
    ("PORTABILITY", "DONOR"): frozenset({"USER_REQUESTED", "DEFAULT_OPERATION", "FRAUD"}),
    ("PORTABILITY", "CLAIMER"): _CLAIMER,
    ("OWNERSHIP", "DONOR"): frozenset({"FRAUD"}),
    ("OWNERSHIP", "CLAIMER"): _CLAIMER | {"DEFAULT_OPERATION"},
}
_AFTER_CONFIRMED = frozenset({"FRAUD", "RECONCILIATION", "RFB_VALIDATION"})


@dataclass(frozen=True)
class Claim:
    """One claim as it stands."""

    id: uuid.UUID
    kind: Kind
    key: str
    key_type: KeyType
    claimer_account: Account
    claimer: Owner
    donor: str
    status: Status
    created_at: datetime
    resolution_end: datetime
    completion_end: datetime
    modified_at: datetime
    owned_since: datetime
    confirm_reason: str | None = None
    cancel_reason: str | None = None
    cancelled_by: Role | None = None
    request_id: uuid.UUID | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be decided, so that the key is locked."""
        return self.status not in {"COMPLETED", "CANCELLED"}

    def role(self, participant: str) -> Role | None:
        """What a participant is in it; who is both gives and takes as the donor."""
        if participant == self.donor:
            return "DONOR"
        return "CLAIMER" if participant == self.claimer_account.participant else None


@dataclass(frozen=True)
class NewClaim:
    """What a participant asks to claim."""

    kind: str
    key: str
    key_type: str
    account: Account
    claimer: Owner


class Claims:
    """All claims on the keys of a directory."""

    def __init__(self, directory: Directory, clock: Clock, chance: random.Random) -> None:
        self._directory = directory
        self._clock = clock
        self._chance = chance
        self._claims: dict[uuid.UUID, Claim] = {}

    def open_on(self, key: str) -> Claim | None:
        """The open claim on a key."""
        wanted = canonical(key)
        return next((each for each in self._claims.values() if each.is_open and each.key == wanted), None)

    def get(self, claim_id: uuid.UUID) -> Claim:
        """A claim by its id. Raises `Refused`."""
        if claim_id not in self._claims:
            raise Refused("NotFound", "There is no such claim.")
        return self._claims[claim_id]

    def of(self, participant: str) -> list[Claim]:
        """The claims that concern a participant, the one changed longest ago first."""
        concerned = (
            each for each in self._claims.values() if each.donor == participant or _claims(each, participant)
        )
        return sorted(concerned, key=lambda claim: claim.modified_at)

    def create(self, new: NewClaim, known: Collection[str]) -> Claim:
        """Opens a claim. Raises `Refused`."""
        if new.account.participant not in known:
            raise Refused("ParticipantInvalid", "The claimer's participant takes no part in this.")
        kind, key_type = _checked(new)
        entry = self._directory.get(new.key)
        if self.open_on(new.key) is not None:
            raise Refused("ClaimAlreadyExistsForKey", "A claim on this key is open.")
        if entry is None:
            raise Refused("ClaimKeyNotFound", "Nobody has this key.")
        same_owner = entry.owner.tax_id == new.claimer.tax_id
        if same_owner and entry.account.participant == new.account.participant:
            raise Refused("ClaimResultingEntryAlreadyExists", "The claimer has this key there already.")
        if same_owner is not (kind == "PORTABILITY"):
            raise Refused(
                "ClaimTypeInconsistent", "Portability is for the same owner, ownership for another."
            )
        now = self._clock()
        claim = Claim(
            uuid.UUID(int=self._chance.getrandbits(128), version=4),
            kind,
            entry.key,
            key_type,
            new.account,
            new.claimer,
            entry.account.participant,
            "OPEN",
            now,
            now + RESOLUTION,
            now + (COMPLETION if kind == "OWNERSHIP" else RESOLUTION),
            now,
            entry.owned_since,
        )
        return self._keep(claim)

    def acknowledge(self, claim_id: uuid.UUID, participant: str) -> Claim:
        """The donor has seen it. Raises `Refused`."""
        claim = self.get(claim_id)
        _only(participant == claim.donor)
        if claim.status == "WAITING_RESOLUTION":
            return claim
        _in(claim, "OPEN")
        return self._keep(replace(claim, status="WAITING_RESOLUTION", modified_at=self._clock()))

    def confirm(self, claim_id: uuid.UUID, participant: str, reason: str) -> Claim:
        """The donor gives the key away; from now on nobody has it. Raises `Refused`."""
        claim = self.get(claim_id)
        _only(participant == claim.donor)
        if claim.status == "CONFIRMED" and claim.confirm_reason == reason:
            return claim
        _in(claim, "WAITING_RESOLUTION")
        check_reason(reason, CONFIRM_REASONS[claim.kind])
        now = self._clock()
        if reason == "DEFAULT_OPERATION" and now < claim.resolution_end:
            raise Refused("ClaimResolutionPeriodNotEnded", "The owner may still object.")
        end = min(now, claim.completion_end) if reason == "USER_REQUESTED" else claim.completion_end
        self._directory.remove(claim.key)
        return self._keep(
            replace(claim, status="CONFIRMED", modified_at=now, confirm_reason=reason, completion_end=end)
        )

    def cancel(self, claim_id: uuid.UUID, participant: str, reason: str) -> Claim:
        """Donor or claimer gives it up. Raises `Refused`."""
        claim = self.get(claim_id)
        role = claim.role(participant)
        if role is None:
            raise Refused("Forbidden", "This claim does not concern this participant.")
        if claim.status == "CANCELLED" and (claim.cancel_reason, claim.cancelled_by) == (reason, role):
            return claim
        allowed = CANCEL_REASONS[claim.kind, role]
        if participant == claim.donor == claim.claimer_account.participant:
            allowed |= CANCEL_REASONS[claim.kind, "CLAIMER"]
        if not allowed & {reason}:
            check_reason(reason, allowed)
        _cancellable(claim, role, reason)
        now = self._clock()
        if reason == "DEFAULT_OPERATION":
            until = claim.created_at + VALIDATION if claim.kind == "OWNERSHIP" else claim.resolution_end
            if now < until:
                raise Refused("ClaimResolutionPeriodNotEnded", "The period has not ended.")
        return self._keep(
            replace(claim, status="CANCELLED", modified_at=now, cancel_reason=reason, cancelled_by=role)
        )

    def complete(self, claim_id: uuid.UUID, participant: str, request_id: uuid.UUID) -> tuple[Claim, Entry]:
        """The claimer takes the key: the entry to add. Raises `Refused`."""
        claim = self.get(claim_id)
        _only(_claims(claim, participant))
        now = self._clock()
        if claim.status == "COMPLETED" and claim.request_id == request_id:
            now = claim.modified_at
        else:
            _in(claim, "CONFIRMED")
            if claim.kind == "OWNERSHIP" and now < claim.completion_end:
                raise Refused("ClaimCompletionPeriodNotEnded", "The key cannot be taken yet.")
            claim = self._keep(replace(claim, status="COMPLETED", modified_at=now, request_id=request_id))
        # Whoever takes a key along has owned it all the time; a new owner begins today.
        since = claim.owned_since if claim.kind == "PORTABILITY" else now
        account, owner = claim.claimer_account, claim.claimer
        return claim, Entry(claim.key, claim.key_type, account, owner, now, since, request_id)

    def _keep(self, claim: Claim) -> Claim:
        self._claims[claim.id] = claim
        return claim


def _checked(new: NewClaim) -> tuple[Kind, KeyType]:
    broken = [
        *account_violations(new.account, "claim.claimerAccount"),
        *owner_violations(new.claimer, "claim.claimer"),
    ]
    kinds: tuple[Kind, ...] = ("OWNERSHIP", "PORTABILITY")
    kind = next((each for each in kinds if each == new.kind), None)
    key_type = next((each for each in KEY_TYPES if each == new.key_type), None)
    if kind is None:
        broken.append(Violation("claim.type", "OWNERSHIP or PORTABILITY", new.kind))
    if key_type is None or not fits(new.key, key_type):
        broken.append(Violation("claim.key", f"no key of type {new.key_type} looks like this", new.key))
    if kind is not None and key_type is not None and key_type not in CLAIMABLE[kind]:
        broken.append(Violation("claim.keyType", f"{kind} of such a key cannot be claimed", new.key_type))
    if broken or kind is None or key_type is None:
        raise Refused("ClaimInvalid", "Some fields are not valid.", tuple(broken))
    return kind, key_type


def _cancellable(claim: Claim, role: Role, reason: str) -> None:
    if claim.kind == "OWNERSHIP":
        _in(claim, "OPEN", "WAITING_RESOLUTION", "CONFIRMED")
    elif role == "CLAIMER" and reason in _AFTER_CONFIRMED and claim.status == "CONFIRMED":
        return
    else:
        _in(claim, "OPEN", "WAITING_RESOLUTION")
    if reason == "RECONCILIATION" and claim.status == "WAITING_RESOLUTION":
        raise Refused("InvalidReason", "Not while it waits for its resolution.")


def _in(claim: Claim, *allowed: Status) -> None:
    if claim.status not in allowed:
        raise Refused("ClaimOperationInvalid", f"The claim is {claim.status}.")


def _only(permitted: bool) -> None:
    if not permitted:
        raise Refused("Forbidden", "This is for the other participant to do.")


def _claims(claim: Claim, participant: str) -> bool:
    return claim.claimer_account.participant == participant

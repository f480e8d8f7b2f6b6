"""The operations of the DICT API v2, each under its limits (D2; 1.3, 1.4, 1.9).

Who asks: on the RSFN the certificate says so. Here it is the header `PI-RequestingParticipant` where there is
one, else the participant that the body names, else the bank of this environment. A body that names another
participant than the header does is refused: Forbidden.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.clock import moment
from apps.simulators.bacen.dict_messages import (
    account,
    claim_node,
    entry_node,
    identifier,
    keys_to_check,
    needed,
    new_claim,
    new_entry,
    owner,
    policy_node,
    read,
)
from apps.simulators.bacen.keys import KeyType, type_of
from apps.simulators.bacen.markup import Element, Node, find, text
from apps.simulators.bacen.policies import FIXED, PARTICIPANT, STATISTICS
from apps.simulators.bacen.refusals import Refused, Violation
from apps.simulators.bacen.signature import verify

Headers = Mapping[str, str]
CACHED_SECONDS = 180
"""For companies' keys alone (DM 12)."""
_ISPB = re.compile(r"[0-9A-Za-z]{8}")
# D2 has digits alone; companies with letters in their CNPJ must be able to pay as well (assumed).
_PAYER = re.compile(r"[0-9]{11}|[0-9A-Z]{12}[0-9]{2}")
_END_TO_END_ID = re.compile(
    r"E[0-9A-Z]{8}[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-3])[0-5][0-9][a-zA-Z0-9]{11}"
)
_LISTED, _LISTED_AT_MOST = 20, 200


@dataclass(frozen=True)
class Write:
    """A request that changes data: its limit, its root element, and where it says whose it is."""

    policy: str
    name: str
    participant: str


CREATE_ENTRY = Write("ENTRIES_WRITE", "CreateEntryRequest", "Entry/Account/Participant")
UPDATE_ENTRY = Write("ENTRIES_UPDATE", "UpdateEntryRequest", "Account/Participant")
DELETE_ENTRY = Write("ENTRIES_WRITE", "DeleteEntryRequest", "Participant")
CREATE_CLAIM = Write("CLAIMS_WRITE", "CreateClaimRequest", "Claim/ClaimerAccount/Participant")


@dataclass(frozen=True)
class Said:
    """An answer: its root element, what stands in it, and what its headers say beside the usual."""

    name: str
    members: Sequence[Node | Element]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class DictDesk:
    """Answers for the DICT. Every method raises `Refused`. `own` is the bank of this environment."""

    def __init__(self, bacen: Bacen, own: str) -> None:
        self._bacen = bacen
        self._own = own

    def get_entry(self, key: str, headers: Headers, *, with_statistics: bool) -> Said:
        """Looks a key up for a payment."""
        participant, payer, end_to_end_id = _lookup_headers(headers)
        key_type = _key_type(key)
        if participant not in self._bacen.participants:
            raise Refused("Forbidden", "This participant takes no part in this.")
        limits = self._bacen.limits
        limits.admit_lookup(participant, payer, key_type)
        entry = self._bacen.directory.get(key)
        if entry is None:
            limits.charge_lookup(participant, payer, key_type, end_to_end_id, 404)
            raise Refused("NotFound", "Entry associated with given key does not exist")
        if entry.account.participant == participant:
            raise Refused(
                "EntryCannotBeQueriedForBookTransfer", "Payer and receiver have the same participant."
            )
        if entry.restriction is not None:
            raise Refused(entry.restriction, "This entry cannot be looked up.")
        limits.charge_lookup(participant, payer, key_type, end_to_end_id, 200)
        claim = self._bacen.claims.open_on(key)
        members: list[Node | Element] = [entry_node(entry, claim.created_at if claim else None)]
        if with_statistics:
            members += [
                self._bacen.statistics.of_person(entry.owner.tax_id),
                self._bacen.statistics.of_key(entry.key),
            ]
        cache = "no-store" if entry.owner.is_person else f"private, max-age={CACHED_SECONDS}"
        return Said("GetEntryResponse", members, headers={"Cache-Control": cache})

    def create_entry(self, headers: Headers, body: bytes) -> Said:
        """Adds a key."""

        def create(request: Element, _: str) -> Said:
            entry = self._bacen.entries.create(new_entry(request), self._bacen.participants)
            return Said("CreateEntryResponse", [entry_node(entry)], status=201)

        return self._write(CREATE_ENTRY, headers, body, create)

    def update_entry(self, key: str, headers: Headers, body: bytes) -> Said:
        """Changes the account or the names of a key."""

        def update(request: Element, participant: str) -> Said:
            _same(key, needed(request, "Key"))
            there = self._bacen.entries.held(key, participant).account
            new = account(request, "Account") if find(request, "Account") is not None else there
            names = owner(request, "Owner") if find(request, "Owner") is not None else None
            entry = self._bacen.entries.update(key, new, names, needed(request, "Reason"))
            return Said("UpdateEntryResponse", [entry_node(entry)])

        return self._write(UPDATE_ENTRY, headers, body, update)

    def delete_entry(self, key: str, headers: Headers, body: bytes) -> Said:
        """Takes a key out."""

        def delete(request: Element, participant: str) -> Said:
            _same(key, needed(request, "Key"))
            entry = self._bacen.entries.delete(key, participant, needed(request, "Reason"))
            return Said("DeleteEntryResponse", [("Key", entry.key)])

        return self._write(DELETE_ENTRY, headers, body, delete)

    def check_keys(self, headers: Headers, body: bytes) -> Said:
        """Which of some keys anybody has."""

        def check() -> Said:
            listed = Element("Keys")
            for key in keys_to_check(read(body, "CheckKeysRequest")):
                has_entry = "true" if self._bacen.directory.get(key) is not None else "false"
                child = Element("Key", {"hasEntry": has_entry})
                child.text = key
                listed.append(child)
            return Said("CheckKeysResponse", [listed])

        return self._limited("KEYS_CHECK", self._caller(headers), check)

    def entry_statistics(self, key: str, headers: Headers) -> Said:
        """The counters of a key and of who has it."""

        def count() -> Said:
            _key_type(key)
            entry = self._bacen.directory.get(key)
            owners = [self._bacen.statistics.of_person(entry.owner.tax_id)] if entry else []
            # D2 lists no 404 here: of a key that nobody has, the key's own counters are told.
            return Said(
                "GetEntryStatisticsResponse", [("Key", key), *owners, self._bacen.statistics.of_key(key)]
            )

        return self._limited(STATISTICS, self._caller(headers), count)

    def person_statistics(self, tax_id: str, headers: Headers) -> Said:
        """The counters of a person or company."""

        def count() -> Said:
            if not _PAYER.fullmatch(tax_id.upper()):
                raise Refused("BadRequest", "A CPF or a CNPJ without its mask.")
            return Said("GetPersonStatisticsResponse", [self._bacen.statistics.of_person(tax_id.upper())])

        return self._limited("PERSONS_STATISTICS_READ", self._caller(headers), count)

    def create_claim(self, headers: Headers, body: bytes) -> Said:
        """Opens a claim."""

        def create(request: Element, _: str) -> Said:
            claim = self._bacen.claims.create(new_claim(request), self._bacen.participants)
            self._bacen.claimed(claim)
            return Said("CreateClaimResponse", [claim_node(claim)], status=201)

        return self._write(CREATE_CLAIM, headers, body, create)

    def get_claim(self, claim_id: UUID, headers: Headers) -> Said:
        """One claim, for donor or claimer."""
        participant = self._caller(headers)

        def get() -> Said:
            claim = self._bacen.claims.get(claim_id)
            if claim.role(participant) is None:
                raise Refused("NotFound", "There is no such claim.")
            return Said("GetClaimResponse", [claim_node(claim)])

        return self._limited("CLAIMS_READ", participant, get)

    def list_claims(self, headers: Headers, query: Mapping[str, Sequence[str]]) -> Said:
        """The claims of a participant, the one changed longest ago first."""
        stated = _one(query, "Participant")
        if not stated:
            raise Refused("BadRequest", "Say which Participant.", (Violation("participant", "is missing"),))
        participant = self._caller(headers, stated)
        donor, claimer = _flag(query, "IsDonor"), _flag(query, "IsClaimer")
        by_role = donor is not None or claimer is not None

        def list_them() -> Said:
            if participant != stated.upper():
                raise Refused("Forbidden", "These are another participant's claims.")
            limit = _one(query, "Limit") or str(_LISTED)
            if not re.fullmatch("[0-9]{1,4}", limit):
                raise Refused("BadRequest", "Limit is a number.")
            after, before = (_time(query, name) for name in ("ModifiedAfter", "ModifiedBefore"))
            found = [
                claim
                for claim in self._bacen.claims.of(participant)
                if (donor == claimer or (claim.donor == participant) is bool(donor))
                and (not query.get("Status") or claim.status in query["Status"])
                and _one(query, "Type") in {None, claim.kind}
                and (after is None or claim.modified_at >= after)
                and (before is None or claim.modified_at <= before)
            ]
            shown = found[: min(int(limit), _LISTED_AT_MOST)]
            more = "true" if len(found) > len(shown) else "false"
            claims: Node = ("Claims", [claim_node(claim) for claim in shown])
            return Said("ListClaimsResponse", [("HasMoreElements", more), claims])

        return self._limited(f"CLAIMS_LIST_WITH{'' if by_role else 'OUT'}_ROLE", participant, list_them)

    def act_on_claim(self, action: str, claim_id: UUID, headers: Headers, body: bytes) -> Said:
        """`acknowledge`, `confirm`, `cancel` or `complete` a claim."""
        claims = self._bacen.claims
        name = action.capitalize()

        def act(request: Element, participant: str) -> Said:
            _same(str(claim_id), str(identifier(request, "ClaimId")))
            if action == "complete":
                request_id = identifier(request, "RequestId", version=4)
                claim, entry = self._bacen.complete(claim_id, participant, request_id)
                _, members = entry_node(entry)
                assert isinstance(members, list)
                dates: list[Node] = [
                    each for each in members if each[0] in {"CreationDate", "KeyOwnershipDate"}
                ]
                created = ("EntryCreationDate", dates[0][1])
                return Said("CompleteClaimResponse", [claim_node(claim), created, dates[1]])
            if action == "acknowledge":
                claim = claims.acknowledge(claim_id, participant)
            else:
                change = claims.confirm if action == "confirm" else claims.cancel
                claim = change(claim_id, participant, needed(request, "Reason"))
            return Said(f"{name}ClaimResponse", [claim_node(claim)])

        return self._write(Write("CLAIMS_WRITE", f"{name}ClaimRequest", "Participant"), headers, body, act)

    def policies(self, headers: Headers, name: str | None) -> Said:
        """The state of one bucket of a participant, or of all."""
        participant = self._caller(headers)
        limits, now = self._bacen.limits, self._bacen.agenda()
        mine = [PARTICIPANT, STATISTICS, *FIXED]

        def show() -> Said:
            category: Node = ("Category", limits.category(participant))
            if name is None:
                states = [policy_node(each, limits.bucket(each, participant), now) for each in mine]
                return Said("ListPoliciesResponse", [category, ("Policies", states)])
            if name not in mine:
                raise Refused("NotFound", "There is no such policy.")
            state = policy_node(name, limits.bucket(name, participant), now)
            return Said("GetPolicyResponse", [category, state])

        return self._limited("POLICIES_LIST" if name is None else "POLICIES_READ", participant, show)

    def _caller(self, headers: Headers, stated: str | None = None) -> str:
        found = (headers.get("pi-requestingparticipant") or stated or self._own).upper()
        if found not in self._bacen.participants:
            raise Refused("Forbidden", "This participant takes no part in this.")
        return found

    def _write(
        self, write: Write, headers: Headers, body: bytes, work: Callable[[Element, str], Said]
    ) -> Said:
        """Something that changes data: signed, and by the participant that it names."""
        unreadable: Refused | None = None
        try:
            request = read(body, write.name)
        except Refused as refused:
            request, unreadable = Element(write.name), refused
        stated = text(request, write.participant)
        participant = self._caller(headers, stated)

        def checked() -> Said:
            if unreadable is not None:
                raise unreadable
            verify(request)
            if (stated or participant).upper() != participant:
                raise Refused("Forbidden", "The request is for another participant.")
            return work(request, participant)

        return self._limited(write.policy, participant, checked)

    def _limited(self, policy: str, participant: str, work: Callable[[], Said]) -> Said:
        self._bacen.limits.admit(policy, participant)
        status = 500
        try:
            said = work()
            status = said.status
        except Refused as refused:
            status = refused.status
            raise
        finally:
            self._bacen.limits.spend(policy, participant, status)
        return said


def _lookup_headers(headers: Headers) -> tuple[str, str, str]:
    """Participant, payer and end-to-end id of a look-up, which no look-up goes without."""
    values, broken = [], []
    for name, pattern in (
        ("PI-RequestingParticipant", _ISPB),
        ("PI-PayerId", _PAYER),
        ("PI-EndToEndId", _END_TO_END_ID),
    ):
        value = headers.get(name.lower(), "")
        values.append(value)
        if not pattern.fullmatch(value):
            broken.append(Violation(name, "not of the right form" if value else "is missing"))
    if broken:
        raise Refused("BadRequest", "Headers are missing or not valid.", tuple(broken))
    return values[0].upper(), values[1], values[2]


def _key_type(key: str) -> KeyType:
    found = type_of(key)
    if found is None:
        raise Refused("BadRequest", "No key looks like this.", (Violation("key", "no type of key", key),))
    return found


def _same(in_path: str, in_body: str) -> None:
    if in_path != in_body:
        raise Refused("BadRequest", "Path and body disagree.")


def _one(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    return next(iter(query.get(name, ())), None)


def _flag(query: Mapping[str, Sequence[str]], name: str) -> bool | None:
    value = _one(query, name)
    if value not in {None, "true", "false"}:
        raise Refused("BadRequest", f"{name} is true or false.")
    return None if value is None else value == "true"


def _time(query: Mapping[str, Sequence[str]], name: str) -> datetime | None:
    value = _one(query, name)
    try:
        return None if value is None else moment(value)
    except ValueError:
        raise Refused("BadRequest", f"{name} is a date-time in UTC.") from None

"""What may become of a claim, and who may do what with it. Rules, no I/O.

`OPEN → WAITING_RESOLUTION → CONFIRMED → COMPLETED`, and from each of the first three `CANCELLED` (DICT API
2.12). Portability moves a key between banks of the same person: CPF, CNPJ, phone and e-mail. Ownership moves
it between persons: phones alone. A random key is made anew, never claimed.
"""

from collections.abc import Mapping
from typing import Literal

from apps.dict_key.entry import ClaimStatus, ClaimType, RecordStatus, Role
from apps.pix.keys import KeyType

Action = Literal["confirm", "cancel", "complete"]

_NEXT: Mapping[RecordStatus, frozenset[RecordStatus]] = {
    "PENDING": frozenset({"OPEN", "WAITING_RESOLUTION", "CONFIRMED", "CANCELLED", "REFUSED"}),
    # Between two looks, more than one step may have been taken.
    "OPEN": frozenset({"WAITING_RESOLUTION", "CONFIRMED", "COMPLETED", "CANCELLED"}),
    "WAITING_RESOLUTION": frozenset({"CONFIRMED", "COMPLETED", "CANCELLED"}),
    "CONFIRMED": frozenset({"COMPLETED", "CANCELLED"}),
    "COMPLETED": frozenset(),
    "CANCELLED": frozenset(),
    "REFUSED": frozenset(),
}
_CLAIMABLE: Mapping[ClaimType, frozenset[KeyType]] = {
    "PORTABILITY": frozenset({"CPF", "CNPJ", "PHONE", "EMAIL"}),
    "OWNERSHIP": frozenset({"PHONE"}),
}
_ALLOWED: Mapping[Action, frozenset[tuple[Role, ClaimType, RecordStatus]]] = {
    "confirm": frozenset(
        {("DONOR", "PORTABILITY", "WAITING_RESOLUTION"), ("DONOR", "OWNERSHIP", "WAITING_RESOLUTION")}
    ),
    "cancel": frozenset(
        {
            ("DONOR", "PORTABILITY", "WAITING_RESOLUTION"),
            ("CLAIMER", "PORTABILITY", "OPEN"),
            ("CLAIMER", "PORTABILITY", "WAITING_RESOLUTION"),
            ("CLAIMER", "OWNERSHIP", "OPEN"),
            ("CLAIMER", "OWNERSHIP", "WAITING_RESOLUTION"),
            ("CLAIMER", "OWNERSHIP", "CONFIRMED"),
        }
    ),
    "complete": frozenset({("CLAIMER", "PORTABILITY", "CONFIRMED"), ("CLAIMER", "OWNERSHIP", "CONFIRMED")}),
}


def claimable(claim_type: ClaimType, key_type: KeyType) -> bool:
    """Whether a key of this type can be claimed so."""
    return key_type in _CLAIMABLE[claim_type]


def follows(before: RecordStatus, after: RecordStatus) -> bool:
    """Whether a claim can have come from the one state to the other."""
    return after in _NEXT[before]


def final(status: RecordStatus) -> bool:
    """Whether nothing can become of it any more."""
    return not _NEXT[status]


def allowed(action: Action, role: Role, claim_type: ClaimType, status: RecordStatus) -> bool:
    """Whether a customer may do this to a claim."""
    return (role, claim_type, status) in _ALLOWED[action]


def done(action: Action, role: Role, status: RecordStatus) -> bool:
    """Whether the claim stands already where this would bring it, so that doing it twice is doing it once."""
    if action == "cancel":
        return status == "CANCELLED"
    if action == "complete":
        return role == "CLAIMER" and status == "COMPLETED"
    return role == "DONOR" and status in {"CONFIRMED", "COMPLETED"}


def unanswered(claim_type: ClaimType) -> Literal["Confirm", "Cancel"]:
    """What a donor does when its customer says nothing until the resolution period ends: portability falls,
    ownership passes (DICT manual, sections 5 and 6)."""
    return "Cancel" if claim_type == "PORTABILITY" else "Confirm"


def lost_by_donor(status: ClaimStatus) -> bool:
    """Whether the donor no longer has the key: confirming takes it out of the DICT."""
    return status in {"CONFIRMED", "COMPLETED"}

"""What the DICT knows of a key: its account and its owner. Values, and what of them a payer may see."""

from dataclasses import dataclass
from typing import Literal

from apps.pix.keys import Key
from apps.pix.lookup_tokens import is_company
from apps.pix.tax_id import masked

OwnerType = Literal["NATURAL_PERSON", "LEGAL_PERSON"]
AccountType = Literal["CACC", "TRAN", "SLRY", "SVGS", "OTHR"]
ClaimType = Literal["PORTABILITY", "OWNERSHIP"]
ClaimStatus = Literal["OPEN", "WAITING_RESOLUTION", "CONFIRMED", "COMPLETED", "CANCELLED"]
RecordStatus = ClaimStatus | Literal["PENDING", "REFUSED"]
"""A claim as the bank keeps it: before the DICT has answered, and refused by it, too."""
Role = Literal["CLAIMER", "DONOR"]


@dataclass(frozen=True)
class Account:
    """Where a key leads. `opened_at` is a UTC time as text."""

    participant: str
    branch: str | None
    number: str
    account_type: AccountType
    opened_at: str

    def __repr__(self) -> str:
        return f"Account({self.participant})"


@dataclass(frozen=True)
class Owner:
    """Whose a key is."""

    tax_id: str
    name: str
    trade_name: str | None = None

    def __repr__(self) -> str:
        return f"Owner({self.type})"

    @property
    def type(self) -> OwnerType:
        """What the DICT calls a person or a company."""
        return "LEGAL_PERSON" if is_company(self.tax_id) else "NATURAL_PERSON"

    @property
    def shown_document(self) -> str:
        """The document as a payer sees it: `***.777.888-**`, a company's in full (DICT manual, section
        8.1)."""
        return masked(self.tax_id)


@dataclass(frozen=True)
class Entry:
    """One key with its account and owner. `account_id` is there for an account of ours."""

    key: Key
    account: Account
    owner: Owner
    account_id: str | None = None


@dataclass(frozen=True)
class Claim:
    """A customer's wish for a key that another bank, or another person, has. Times are UTC text."""

    claim_id: str
    type: ClaimType
    status: ClaimStatus
    key: Key
    claimer_account: Account
    claimer: Owner
    donor: str
    resolution_ends: str
    completion_ends: str
    modified_at: str

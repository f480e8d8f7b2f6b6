"""What opening an account means: its number, and the view of it that its owner gets. Rules, no I/O."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Literal

from apps.ledger.account import Balance

AccountType = Literal["CACC", "SVGS", "TRAN"]
"""Current, savings and payment account, as ISO 20022 and Pix call them."""

BRANCH = "0001"
INSTITUTION = "GO Banking"
_ACCOUNTS = uuid.UUID("0b6f0a3e-64ef-5c3a-9d47-3b8f8b0d7f02")


@dataclass(frozen=True)
class Opening:
    """A request to open an account, checked for shape. `tax_id` has no punctuation."""

    subject: str
    name: str
    tax_id: str
    account_type: AccountType
    key: str
    request_id: str | None

    @property
    def account_id(self) -> str:
        """The id that this idempotency key gives the account, so that the account is its own record."""
        return str(uuid.uuid5(_ACCOUNTS, f"{self.subject}\naccounts\n{self.key}"))

    @property
    def request_hash(self) -> str:
        """SHA-256 of what was asked for, to tell a replay from another request under the same key."""
        content = json.dumps([self.name, self.tax_id, self.account_type])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Profile:
    """An account's lasting facts. `answer` is the body of the response that opened it."""

    account_id: str
    owner: str
    name: str
    tax_id: str
    account_type: AccountType
    branch: str
    number: str
    opened_at: str
    request_hash: str
    answer: str


def number_of(account_id: str, tries: int) -> str:
    """The account number to try: eight digits from the id, a dash and a modulo-11 check digit."""
    digest = hashlib.sha256(f"{account_id}/{tries}".encode()).digest()
    digits = f"{int.from_bytes(digest[:8], 'big') % 10**8:08d}"
    total = sum(int(digit) * (2 + place) for place, digit in enumerate(reversed(digits)))
    rest = total % 11
    return f"{digits}-{'0' if rest < 2 else 11 - rest}"


def grant_id(account_id: str) -> str:
    """The id of the transfer that brings an account's opening grant."""
    return str(uuid.uuid5(uuid.UUID(account_id), "grant"))


def view(profile: Profile, ispb: str, balance: Balance | None = None) -> dict[str, object]:
    """What the owner sees of an account, with its balance where one is given."""
    seen: dict[str, object] = {
        "account_id": profile.account_id,
        "name": profile.name,
        "tax_id": profile.tax_id,
        "account_type": profile.account_type,
        "institution": {"ispb": ispb, "name": INSTITUTION},
        "branch": profile.branch,
        "number": profile.number,
        "opened_at": profile.opened_at,
    }
    if balance is not None:
        seen |= {
            "status": balance.status,
            "available_cents": balance.available,
            "on_hold_cents": balance.on_hold,
        }
    return seen

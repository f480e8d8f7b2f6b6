"""Keys and claims as items of the table `keys`, and back.

Two kinds of item stand in the index `owner`: what a customer sees (their subject is the owner, the time of
creation the sort key), and what is due (`#due`, and when): work that a crash, or a silent DICT, left half
done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast

from apps.dict_key.entry import Account, AccountType, ClaimType, Entry, Owner, RecordStatus, Role
from apps.kit.dynamo import Item
from apps.pix.keys import Key, KeyType

KeyStatus = Literal["PENDING", "ACTIVE", "DELETING", "REFUSED"]

DUE = "#due"
REGISTRATION_SORT = "REG"
CLAIM_SORT = "CLAIM"
DUE_SORT = "DUE"

Attributes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Registration:
    """A key of a customer of ours: asked for (PENDING), held (ACTIVE), on its way out (DELETING) or refused.

    `key` is missing while the DICT has not made one of type EVP. `request_id` is the DICT's idempotency; the
    account's and the owner's data are those of the moment of asking.
    """

    key_id: str
    owner: str
    created_at: str
    account_id: str
    key_type: KeyType
    key: str | None
    status: KeyStatus
    request_id: str
    request_hash: str
    tax_id: str
    name: str
    participant: str
    branch: str | None
    number: str
    account_type: AccountType
    opened_at: str
    refusal: str | None = None

    def __repr__(self) -> str:
        return f"Registration({self.key_id}, {self.status})"

    @property
    def account(self) -> Account:
        """Where the key leads."""
        return Account(self.participant, self.branch, self.number, self.account_type, self.opened_at)

    @property
    def holder(self) -> Owner:
        """Whose the key is."""
        return Owner(self.tax_id, self.name)

    @property
    def entry(self) -> Entry:
        """The entry of a key that is there."""
        return Entry(self.pix_key, self.account, self.holder, self.account_id)

    @property
    def pix_key(self) -> Key:
        """The key itself, where there is one."""
        assert self.key is not None, "the DICT has not made it yet"
        return Key(self.key_type, self.key)


@dataclass(frozen=True)
class ClaimRecord:
    """A claim as the bank keeps it, for one of its customers: as claimer or as donor.

    `dict_id` is the DICT's own id, missing until the DICT has answered; `request_id` completes it.
    """

    claim_id: str
    owner: str
    created_at: str
    role: Role
    type: ClaimType
    status: RecordStatus
    key_type: KeyType
    key: str
    account_id: str
    request_id: str
    request_hash: str
    dict_id: str | None = None
    resolution_ends: str | None = None
    completion_ends: str | None = None
    refusal: str | None = None

    def __repr__(self) -> str:
        return f"ClaimRecord({self.claim_id}, {self.role}, {self.status})"

    @property
    def pix_key(self) -> Key:
        """The key that is claimed."""
        return Key(self.key_type, self.key)


def place(partition: str, sort: str) -> Attributes:
    """The primary key of an item."""
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def registration_place(key_id: str) -> Attributes:
    """Where a registration is."""
    return place(f"reg#{key_id}", REGISTRATION_SORT)


def key_place(key: str) -> Attributes:
    """Where it is said which registration has a key."""
    return place(f"key#{key}", "KEY")


def count_place(account_id: str) -> Attributes:
    """Where an account's keys are counted."""
    return place(f"account#{account_id}", "COUNT")


def claim_place(claim_id: str) -> Attributes:
    """Where a claim is."""
    return place(f"claim#{claim_id}", CLAIM_SORT)


def claim_pointer_place(dict_id: str) -> Attributes:
    """Where it is said which claim of ours has the DICT's id."""
    return place(f"claim-at-dict#{dict_id}", CLAIM_SORT)


def due_item(of: Attributes, at: str) -> Attributes:
    """The item that says when something is due."""
    return {**place(of["pk"]["S"], DUE_SORT), "owner": {"S": DUE}, "created_at": {"S": at}}


def item_of(record: Registration | ClaimRecord) -> Attributes:
    """A record as an item."""
    of = (
        registration_place(record.key_id)
        if isinstance(record, Registration)
        else claim_place(record.claim_id)
    )
    return of | {
        field.name: {"S": value}
        for field in fields(record)
        if (value := getattr(record, field.name)) is not None
    }


def registration_of(item: Item) -> Registration:
    """The registration in an item."""
    return Registration(**_texts(item, Registration))


def claim_of(item: Item) -> ClaimRecord:
    """The claim in an item."""
    return ClaimRecord(**_texts(item, ClaimRecord))


def _texts(item: Item, kind: type[Registration] | type[ClaimRecord]) -> Any:
    texts: Mapping[str, str | None] = {
        field.name: cast("str", item[field.name]["S"]) if field.name in item else None
        for field in fields(kind)
    }
    return texts

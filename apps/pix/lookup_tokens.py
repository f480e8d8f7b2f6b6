"""The DICT's token buckets, as we count them ourselves, to refuse before Bacen does (DICT manual, section
13).

A request is let through while the bucket has a token at all, and is charged by its outcome; a bucket may go
far below zero and is never lifted to it. A look-up that finds nothing costs a user 20 and the bank 3;
sending the payment that was looked up gives tokens back. Tokens come back in whole periods of a minute: a
user with 5 who misses is at -15 and waits 8 minutes, as the manual counts it. Where Bacen's minutes begin is
not published: ours begin when a full bucket is first charged, and are never ahead by more than one minute's
refill.

Rules, and the places of the items that `dict_key` and `refund_lookups` share; no I/O.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from apps.pix.keys import KeyType

PERIOD_SECONDS = 60
HIT_COST = 1
USER_MISS_COST = 20
PARTICIPANT_MISS_COST = 3
PARTICIPANT_CREDIT = 1

Category = Literal["A", "B", "C", "D", "E", "F", "G", "H"]
_CATEGORIES: Mapping[str, tuple[int, int]] = {
    "A": (25_000, 50_000),
    "B": (20_000, 40_000),
    "C": (15_000, 30_000),
    "D": (8_000, 16_000),
    "E": (2_500, 5_000),
    "F": (250, 500),
    "G": (25, 250),
    "H": (2, 50),
}
"""Refill per minute and capacity of a participant's bucket (DICT API 2.12)."""


@dataclass(frozen=True)
class Policy:
    """One kind of bucket: what it holds when full, and what comes back each minute."""

    name: str
    refill: int
    capacity: int


@dataclass(frozen=True)
class Bucket:
    """A bucket as it was last written. `refilled_at` are epoch seconds."""

    tokens: int
    refilled_at: int


ENTRIES_WRITE = Policy("ENTRIES_WRITE", 1_200, 36_000)
CLAIMS_WRITE = Policy("CLAIMS_WRITE", 1_200, 36_000)
CLAIMS_LIST = Policy("CLAIMS_LIST_WITH_ROLE", 40, 200)


def is_company(tax_id: str) -> bool:
    """Whether a tax id is a legal person's."""
    return len(tax_id) == 14


def user_policy(key_type: KeyType, payer: str) -> Policy:
    """The policy of a payer's look-ups: one for phones and e-mails, one for the other types."""
    name = "ENTRIES_READ_USER_ANTISCAN"
    if key_type not in {"EMAIL", "PHONE"}:
        name += "_V2"
    return Policy(name, 20, 1_000) if is_company(payer) else Policy(name, 2, 100)


def participant_policy(category: Category) -> Policy:
    """The policy of all look-ups of a bank in this category."""
    return Policy("ENTRIES_READ_PARTICIPANT_ANTISCAN", *_CATEGORIES[category])


def user_credit(payer: str) -> int:
    """What a payer gets back when the payment that was looked up is sent."""
    return 2 if is_company(payer) else 1


def refilled(bucket: Bucket | None, policy: Policy, now: int) -> Bucket:
    """The bucket as it stands now; one that nobody has is full."""
    if bucket is None or bucket.tokens >= policy.capacity:
        return Bucket(policy.capacity, now)
    periods = max(0, now - bucket.refilled_at) // PERIOD_SECONDS
    if periods == 0:
        return bucket
    tokens = bucket.tokens + periods * policy.refill
    if tokens >= policy.capacity:
        return Bucket(policy.capacity, now)
    return Bucket(tokens, bucket.refilled_at + periods * PERIOD_SECONDS)


def wait_seconds(bucket: Bucket, policy: Policy, now: int) -> int:
    """How long until there is a token, at least a second."""
    periods = -(-(1 - bucket.tokens) // policy.refill)
    return max(1, bucket.refilled_at + periods * PERIOD_SECONDS - now)


# --- places in the table `keys` ------------------------------------------------------------------

BUCKET_SORT = "BUCKET"
LOOKUP_SORT = "LOOKUP"
REFUND_SORT = "REFUND"


def user_bucket(policy: Policy, payer: str) -> str:
    """The partition of a payer's bucket. The tax id is hashed: a bucket need not say whose it is."""
    return f"bucket#{policy.name}#{hashlib.sha256(payer.encode()).hexdigest()}"


def participant_bucket(policy: Policy) -> str:
    """The partition of a bucket of the bank's own."""
    return f"bucket#{policy.name}"


def lookup_partition(end_to_end_id: str) -> str:
    """Where a look-up that the DICT answered is remembered until its payment is sent."""
    return f"lookup#{end_to_end_id}"


def refund_partition(end_to_end_id: str) -> str:
    """Where the mark is that its tokens were given back."""
    return f"refund#{end_to_end_id}"

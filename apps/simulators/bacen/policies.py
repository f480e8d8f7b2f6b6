"""The DICT's rate limits: token buckets with the published numbers (D2; DM 13; 1.9).

A request is let in while its bucket holds a whole token, and pays when its status is known: so a bucket may
end below nothing, and stays there until time has filled it up. Looking up a key is limited twice, for the
payer and for the participant, and a payment that was sent under the looked-up end-to-end id gives tokens
back. Assumed: a request that is refused for its limit costs nothing more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.simulators.bacen.clock import Clock
from apps.simulators.bacen.keys import KeyType
from apps.simulators.bacen.refusals import Refused

_PERIOD_SECONDS = 60
USER, USER_V2 = "ENTRIES_READ_USER_ANTISCAN", "ENTRIES_READ_USER_ANTISCAN_V2"
PARTICIPANT, STATISTICS = "ENTRIES_READ_PARTICIPANT_ANTISCAN", "ENTRIES_STATISTICS_READ"


@dataclass(frozen=True)
class Rate:
    """Tokens that come back in a minute, and how many there can be."""

    refill: int
    capacity: int


PERSON, COMPANY = Rate(2, 100), Rate(20, 1_000)
CATEGORIES: Mapping[str, Rate] = {
    "A": Rate(25_000, 50_000),
    "B": Rate(20_000, 40_000),
    "C": Rate(15_000, 30_000),
    "D": Rate(8_000, 16_000),
    "E": Rate(2_500, 5_000),
    "F": Rate(250, 500),
    "G": Rate(25, 250),
    "H": Rate(2, 50),
}
"""Of a participant, for what it reads."""
FIXED: Mapping[str, Rate] = {
    # The manual (DM 14) says 800 a minute and 1,200 in the bucket; the API is what participants meet.
    "ENTRIES_WRITE": Rate(1_200, 36_000),
    "ENTRIES_UPDATE": Rate(600, 600),
    "KEYS_CHECK": Rate(70, 70),
    "CLAIMS_READ": Rate(600, 18_000),
    "CLAIMS_WRITE": Rate(1_200, 36_000),
    "CLAIMS_LIST_WITH_ROLE": Rate(40, 200),
    "CLAIMS_LIST_WITHOUT_ROLE": Rate(10, 50),
    "PERSONS_STATISTICS_READ": Rate(12_000, 36_000),
    "POLICIES_READ": Rate(60, 200),
    "POLICIES_LIST": Rate(6, 20),
}
LOOKUP_COSTS: Mapping[int, tuple[int, int]] = {200: (1, 1), 404: (20, 3)}
"""What a look-up costs the payer and the participant, by its status; nothing by any other."""


@dataclass
class Bucket:
    """Tokens that come back with time: exactly, because each microsecond adds `refill` parts of one."""

    rate: Rate
    parts: int
    as_of: datetime
    period_seconds: int = _PERIOD_SECONDS

    @classmethod
    def full(cls, rate: Rate, now: datetime, period_seconds: int = _PERIOD_SECONDS) -> "Bucket":
        """A bucket that nobody has used yet."""
        made = cls(rate, 0, now, period_seconds)
        made.parts = made.full_parts
        return made

    @property
    def token(self) -> int:
        """The parts of one token."""
        return self.period_seconds * 1_000_000

    @property
    def full_parts(self) -> int:
        """The parts that it can hold."""
        return self.rate.capacity * self.token

    def tokens(self, now: datetime) -> int:
        """Whole tokens, below zero as well."""
        passed = (now - self.as_of) // timedelta(microseconds=1)
        if passed > 0:
            self.parts, self.as_of = min(self.parts + passed * self.rate.refill, self.full_parts), now
        return self.parts // self.token

    def is_empty(self, now: datetime) -> bool:
        """Whether not even a part of a token is left."""
        self.tokens(now)
        return self.parts <= 0

    def add(self, tokens: int, now: datetime, *, thousandths: int = 0) -> None:
        """Takes tokens out (negative) or puts some back, never above the capacity."""
        self.tokens(now)
        changed = self.parts + tokens * self.token + thousandths * self.token // 1_000
        self.parts = min(changed, self.full_parts)


@dataclass
class Limits:
    """Every bucket of the DICT. `categories` are the participants' own; others have `default`."""

    clock: Clock
    default: str = "A"
    categories: dict[str, str] = field(default_factory=dict)
    _buckets: dict[tuple[str, str], Bucket] = field(default_factory=dict)
    _lookups: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def category(self, participant: str) -> str:
        """The category of a participant, A to H."""
        return self.categories.get(participant, self.default)

    def categorise(self, participant: str, category: str) -> None:
        """Puts a participant into a category; its buckets start full."""
        assert category in CATEGORIES, f"there is no category {category}"
        self.categories[participant] = category
        for policy in (PARTICIPANT, STATISTICS):
            self._buckets.pop((policy, participant), None)

    def bucket(self, policy: str, scope: str) -> Bucket:
        """The bucket of a payer (CPF, CNPJ) or a participant (ISPB) under a policy."""
        found = self._buckets.get((policy, scope))
        if found is None:
            found = Bucket.full(self._rate(policy, scope), self.clock())
            self._buckets[policy, scope] = found
        return found

    def admit(self, policy: str, scope: str) -> None:
        """Lets a request in. Raises `Refused` when the bucket holds no token."""
        if self.bucket(policy, scope).tokens(self.clock()) < 1:
            raise Refused("RateLimited", f"The limit of {policy} is reached.")

    def spend(self, policy: str, participant: str, status: int) -> None:
        """One token for a request that was not a look-up, unless it ended with 500."""
        if status != 500:
            self.bucket(policy, participant).add(-1, self.clock())

    def admit_lookup(self, participant: str, payer: str, key_type: KeyType) -> None:
        """Lets a look-up in, by both buckets. Raises `Refused`."""
        self.admit(_user_policy(key_type), payer)
        self.admit(PARTICIPANT, participant)

    def charge_lookup(
        self, participant: str, payer: str, key_type: KeyType, end_to_end_id: str, status: int
    ) -> None:
        """Takes what a look-up costs by its status, and remembers what its payment will give back."""
        user, psp = LOOKUP_COSTS.get(status, (0, 0))
        policy = _user_policy(key_type)
        self.bucket(policy, payer).add(-user, self.clock())
        self.bucket(PARTICIPANT, participant).add(-psp, self.clock())
        if status == 200:
            self._lookups[end_to_end_id] = (participant, payer, policy)

    def payment_sent(self, end_to_end_id: str) -> None:
        """Gives back for a payment: 1 to a person or 2 to a company, and 1 to the participant, once."""
        looked_up = self._lookups.pop(end_to_end_id, None)
        if looked_up is not None:
            participant, payer, policy = looked_up
            self.bucket(policy, payer).add(1 if len(payer) == 11 else 2, self.clock())
            self.bucket(PARTICIPANT, participant).add(1, self.clock())

    def _rate(self, policy: str, scope: str) -> Rate:
        if policy in {USER, USER_V2}:
            return PERSON if len(scope) == 11 else COMPANY
        if policy in {PARTICIPANT, STATISTICS}:
            return CATEGORIES[self.category(scope)]
        return FIXED[policy]


def _user_policy(key_type: KeyType) -> str:
    return USER if key_type in {"EMAIL", "PHONE"} else USER_V2

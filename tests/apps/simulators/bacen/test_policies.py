"""The rate limits, number by number."""

from datetime import timedelta

import pytest

from apps.simulators.bacen.clock import ShiftedClock
from apps.simulators.bacen.keys import KeyType
from apps.simulators.bacen.policies import CATEGORIES, FIXED, PARTICIPANT, USER, USER_V2, Bucket, Limits, Rate
from apps.simulators.bacen.refusals import Refused
from tests.apps.simulators.bacen.scene import NOON, OWN

PERSON, COMPANY = "52998224725", "12ABC34501DE35"


def limits() -> Limits:
    return Limits(ShiftedClock(lambda: NOON))


def later(at: Limits, **span: float) -> None:
    assert isinstance(at.clock, ShiftedClock)
    at.clock.advance(timedelta(**span))


def left(at: Limits, policy: str, scope: str) -> int:
    return at.bucket(policy, scope).tokens(at.clock())


@pytest.mark.parametrize(
    ("key_type", "policy"),
    [("EMAIL", USER), ("PHONE", USER), ("CPF", USER_V2), ("CNPJ", USER_V2), ("EVP", USER_V2)],
)
@pytest.mark.parametrize(
    ("status", "costs"),
    [(200, (1, 1)), (404, (20, 3)), *((status, (0, 0)) for status in (400, 403, 429, 500, 503))],
)
@pytest.mark.parametrize("payer", [PERSON, COMPANY], ids=["person", "company"])
def test_a_look_up_costs_by_its_status_in_the_bucket_of_its_key_type(
    key_type: KeyType, policy: str, status: int, costs: tuple[int, int], payer: str
) -> None:
    (user, psp), full = costs, 100 if payer == PERSON else 1_000
    at = limits()
    at.admit_lookup(OWN, payer, key_type)
    at.charge_lookup(OWN, payer, key_type, "E1", status)
    assert left(at, policy, payer) == full - user
    assert left(at, USER if policy == USER_V2 else USER_V2, payer) == full, "two buckets"
    assert left(at, PARTICIPANT, OWN) == 50_000 - psp


def test_five_tokens_and_a_404_leave_fifteen_missing_and_eight_minutes_to_wait() -> None:
    """The example of the manual (DM 13.1)."""
    at = limits()
    for _ in range(95):
        at.charge_lookup(OWN, PERSON, "EMAIL", "E1", 200)
    assert left(at, USER, PERSON) == 5
    at.admit_lookup(OWN, PERSON, "EMAIL")
    at.charge_lookup(OWN, PERSON, "EMAIL", "E2", 404)
    assert left(at, USER, PERSON) == -15
    for seconds in (0, 300, 179):  # up to one second before the eighth minute ends
        later(at, seconds=seconds)
        with pytest.raises(Refused, match="RateLimited"):
            at.admit_lookup(OWN, PERSON, "EMAIL")
    at.admit_lookup(OWN, PERSON, "CPF")
    later(at, seconds=1)
    assert left(at, USER, PERSON) == 1
    at.admit_lookup(OWN, PERSON, "EMAIL")


def test_the_participants_bucket_stops_all_its_payers() -> None:
    at = limits()
    at.categorise(OWN, "H")
    for number in range(17):
        at.charge_lookup(OWN, f"{number:011d}", "CPF", "E1", 404)
    assert left(at, PARTICIPANT, OWN) == 50 - 51
    with pytest.raises(Refused, match="RateLimited"):
        at.admit_lookup(OWN, PERSON, "CPF")
    at.admit_lookup("60701190", PERSON, "CPF")


@pytest.mark.parametrize(("payer", "given"), [(PERSON, 1), (COMPANY, 2)], ids=["person", "company"])
def test_a_payment_that_was_sent_gives_tokens_back_once(payer: str, given: int) -> None:
    at = limits()
    for number in range(10):
        at.charge_lookup(OWN, payer, "EVP", f"E{number}", 200)
    before = left(at, USER_V2, payer), left(at, PARTICIPANT, OWN)
    for _ in range(3):
        at.payment_sent("E4")
    assert (left(at, USER_V2, payer), left(at, PARTICIPANT, OWN)) == (before[0] + given, before[1] + 1)


@pytest.mark.parametrize("status", [404, 400, 429])
def test_only_a_look_up_that_found_something_has_tokens_to_come(status: int) -> None:
    at = limits()
    at.charge_lookup(OWN, PERSON, "CPF", "E1", status)
    before = left(at, USER_V2, PERSON)
    at.payment_sent("E1")
    assert left(at, USER_V2, PERSON) == before


def test_nothing_fills_a_bucket_above_its_capacity() -> None:
    at = limits()
    at.charge_lookup(OWN, PERSON, "CPF", "E1", 200)
    later(at, hours=1)
    at.payment_sent("E1")
    assert left(at, USER_V2, PERSON) == 100


@pytest.mark.parametrize(
    ("category", "refill", "capacity"),
    [
        ("A", 25_000, 50_000),
        ("B", 20_000, 40_000),
        ("C", 15_000, 30_000),
        ("D", 8_000, 16_000),
        ("E", 2_500, 5_000),
        ("F", 250, 500),
        ("G", 25, 250),
        ("H", 2, 50),
    ],
)
def test_a_category_has_its_published_numbers(category: str, refill: int, capacity: int) -> None:
    assert CATEGORIES[category] == Rate(refill, capacity)
    at = limits()
    at.categorise(OWN, category)
    at.bucket(PARTICIPANT, OWN).add(-capacity, at.clock())
    assert left(at, PARTICIPANT, OWN) == 0
    later(at, minutes=1)
    assert left(at, PARTICIPANT, OWN) == refill


def test_the_other_limits_have_their_published_numbers() -> None:
    assert {name: (rate.refill, rate.capacity) for name, rate in FIXED.items()} == {
        "ENTRIES_WRITE": (1_200, 36_000),
        "ENTRIES_UPDATE": (600, 600),
        "KEYS_CHECK": (70, 70),
        "CLAIMS_READ": (600, 18_000),
        "CLAIMS_WRITE": (1_200, 36_000),
        "CLAIMS_LIST_WITH_ROLE": (40, 200),
        "CLAIMS_LIST_WITHOUT_ROLE": (10, 50),
        "PERSONS_STATISTICS_READ": (12_000, 36_000),
        "POLICIES_READ": (60, 200),
        "POLICIES_LIST": (6, 20),
    }


@pytest.mark.parametrize(("status", "cost"), [(200, 1), (201, 1), (400, 1), (404, 1), (403, 1), (500, 0)])
def test_everything_else_costs_one_unless_it_ends_with_500(status: int, cost: int) -> None:
    at = limits()
    at.spend("KEYS_CHECK", OWN, status)
    assert left(at, "KEYS_CHECK", OWN) == 70 - cost


def test_tokens_come_back_evenly_and_without_loss() -> None:
    bucket = Bucket.full(Rate(2, 100), NOON)
    bucket.add(-100, NOON)
    now = NOON
    for _ in range(6_000):
        now += timedelta(milliseconds=50)
        bucket.tokens(now)
    assert bucket.tokens(now) == 10, "five minutes at two a minute"

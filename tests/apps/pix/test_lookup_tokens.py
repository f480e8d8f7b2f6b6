"""The DICT's buckets: refilled by the minute, charged by the outcome, below zero where it hurts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.pix import lookup_tokens
from apps.pix.keys import KeyType
from apps.pix.lookup_tokens import Bucket, Category, Policy

PERSON, COMPANY = "52998224725", "12ABC34501DE35"
T0 = 1_800_000_000


@pytest.mark.parametrize(
    ("key_type", "payer", "name", "refill", "capacity"),
    [
        ("EMAIL", PERSON, "ENTRIES_READ_USER_ANTISCAN", 2, 100),
        ("PHONE", PERSON, "ENTRIES_READ_USER_ANTISCAN", 2, 100),
        ("CPF", PERSON, "ENTRIES_READ_USER_ANTISCAN_V2", 2, 100),
        ("CNPJ", PERSON, "ENTRIES_READ_USER_ANTISCAN_V2", 2, 100),
        ("EVP", PERSON, "ENTRIES_READ_USER_ANTISCAN_V2", 2, 100),
        ("EMAIL", COMPANY, "ENTRIES_READ_USER_ANTISCAN", 20, 1_000),
        ("EVP", COMPANY, "ENTRIES_READ_USER_ANTISCAN_V2", 20, 1_000),
    ],
)
def test_a_payer_has_two_buckets_by_type_of_key(
    key_type: KeyType, payer: str, name: str, refill: int, capacity: int
) -> None:
    assert lookup_tokens.user_policy(key_type, payer) == Policy(name, refill, capacity)


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
def test_a_bank_has_the_bucket_of_its_category(category: Category, refill: int, capacity: int) -> None:
    found = lookup_tokens.participant_policy(category)
    assert (found.refill, found.capacity) == (refill, capacity)


def test_with_five_tokens_a_miss_leaves_minus_fifteen_and_eight_minutes() -> None:
    policy = lookup_tokens.user_policy("EMAIL", PERSON)
    bucket = Bucket(5 - lookup_tokens.USER_MISS_COST, T0)
    assert bucket.tokens == -15
    assert lookup_tokens.wait_seconds(bucket, policy, T0) == 8 * 60
    assert lookup_tokens.refilled(bucket, policy, T0 + 8 * 60 - 1).tokens == -1
    assert lookup_tokens.refilled(bucket, policy, T0 + 8 * 60).tokens == 1


def test_a_payment_that_is_sent_gives_a_company_two_and_everybody_else_one() -> None:
    credits_ = lookup_tokens.user_credit(PERSON), lookup_tokens.user_credit(COMPANY)
    assert (*credits_, lookup_tokens.PARTICIPANT_CREDIT) == (1, 2, 1)


def test_a_bucket_that_nobody_has_is_full_and_a_clock_that_goes_back_takes_nothing() -> None:
    policy = lookup_tokens.user_policy("EMAIL", PERSON)
    assert lookup_tokens.refilled(None, policy, T0) == Bucket(100, T0)
    assert lookup_tokens.refilled(Bucket(7, T0), policy, T0 - 3600) == Bucket(7, T0)


@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from([1, 20])), max_size=40))
def test_we_are_never_more_than_a_minutes_refill_ahead_of_a_counter_that_refills_all_the_time(
    steps: list[tuple[int, int]],
) -> None:
    policy = lookup_tokens.user_policy("EMAIL", PERSON)
    bucket, now = Bucket(policy.capacity, T0), T0
    # Bacen's, in sixtieths of a token so that a second's refill is whole.
    bacens = policy.capacity * 60
    for wait, cost in steps:
        now += wait
        bacens = min(policy.capacity * 60, bacens + wait * policy.refill)
        bucket = lookup_tokens.refilled(bucket, policy, now)
        assert bucket.tokens * 60 <= bacens + policy.refill * 60
        if bucket.tokens > 0:
            bucket = Bucket(bucket.tokens - cost, bucket.refilled_at)
            bacens -= cost * 60


@given(st.integers(-500, 0), st.integers(0, 59), st.sampled_from(["A", "F", "G", "H"]))
def test_the_wait_ends_exactly_when_there_is_a_token(tokens: int, late: int, category: Category) -> None:
    policy = lookup_tokens.participant_policy(category)
    bucket, now = Bucket(tokens, T0), T0 + late
    wait = lookup_tokens.wait_seconds(bucket, policy, now)
    assert lookup_tokens.refilled(bucket, policy, now + wait).tokens > 0
    assert lookup_tokens.refilled(bucket, policy, now + wait - 1).tokens <= 0

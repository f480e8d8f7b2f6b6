"""Account ids and numbers: the same request has the same ones, and a misread number is noticed."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.account.account import Opening, grant_id, number_of

OPENING = Opening("ana", "Ana Souza", "52998224725", "CACC", "key", None)


@given(st.uuids().map(str), st.integers(0, 50))
def test_a_number_has_eight_digits_and_the_check_digit_that_banks_compute(account: str, tries: int) -> None:
    number = number_of(account, tries)
    assert re.fullmatch(r"\d{8}-\d", number)
    total = sum(int(digit) * weight for digit, weight in zip(number[:8], range(9, 1, -1), strict=True))
    assert int(number[9]) == {10: 0, 11: 0}.get(11 - total % 11, 11 - total % 11)


@given(st.uuids().map(str))
def test_a_number_is_the_accounts_own_and_another_one_at_the_next_try(account: str) -> None:
    numbers = [number_of(account, tries) for tries in range(5)]
    assert numbers == [number_of(account, tries) for tries in range(5)]
    assert len(set(numbers)) == 5


def test_the_same_request_has_the_same_account_and_hash() -> None:
    again = replace(OPENING, request_id="another")
    assert again.account_id == OPENING.account_id
    assert again.request_hash == OPENING.request_hash


@pytest.mark.parametrize("change", [{"subject": "beto"}, {"key": "other"}], ids=["subject", "key"])
def test_another_caller_or_key_has_another_account(change: dict[str, str]) -> None:
    assert replace(OPENING, **change).account_id != OPENING.account_id  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [{"name": "Ana"}, {"tax_id": "00000000191"}, {"account_type": "SVGS"}],
    ids=["name", "tax id", "type"],
)
def test_another_body_under_the_same_key_has_another_hash(change: dict[str, str]) -> None:
    other = replace(OPENING, **change)  # type: ignore[arg-type]
    assert other.account_id == OPENING.account_id
    assert other.request_hash != OPENING.request_hash


def test_an_account_has_one_grant_and_no_other_accounts() -> None:
    other = replace(OPENING, key="other")
    assert grant_id(OPENING.account_id) == grant_id(OPENING.account_id)
    assert grant_id(OPENING.account_id) != grant_id(other.account_id)

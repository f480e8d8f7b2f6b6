"""A preview's number among the listener's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import priority as by_hash
from environments.preview.priority import LAST, choose, in_use

NUMBERS = st.integers(1, LAST)


@given(preferred=NUMBERS, taken=st.sets(NUMBERS, max_size=50))
def test_the_number_is_free_and_the_preferred_one_if_that_is(preferred: int, taken: set[int]) -> None:
    number = choose(preferred, None, taken)
    assert 1 <= number <= LAST
    assert number not in taken
    assert (number == preferred) == (preferred not in taken)


@given(preferred=NUMBERS, own=NUMBERS, taken=st.sets(NUMBERS, max_size=50))
def test_a_preview_keeps_its_number_while_nobody_else_has_it(
    preferred: int, own: int, taken: set[int]
) -> None:
    assert (choose(preferred, own, taken) == own) or own in taken


def test_the_next_number_is_taken_on_collision_and_the_first_after_the_last() -> None:
    assert choose(7, None, {7, 8}) == 9
    assert choose(LAST, None, {LAST}) == 1
    with pytest.raises(LookupError):
        choose(1, None, range(1, LAST + 1))


def test_the_hash_gives_numbers_of_this_range() -> None:
    assert {1 <= by_hash(f"pr-{number:06x}") <= LAST for number in range(200)} == {True}


def test_awss_refusal_is_known() -> None:
    assert in_use("creating ELBv2 Listener Rule: PriorityInUse: Priority '7' is currently in use")
    assert not in_use("LimitExceeded")

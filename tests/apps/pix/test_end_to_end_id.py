"""An end-to-end id has the shape that Bacen's manual gives it, and is never given twice."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from apps.pix import end_to_end_id

ISPB = "99999004"
NOON = datetime(2026, 11, 25, 12, 0, 59, tzinfo=UTC)


def test_it_is_e_ispb_utc_minute_and_eleven_letters_or_digits() -> None:
    made = end_to_end_id.new(ISPB, NOON)
    assert len(made) == 32
    assert re.fullmatch(r"E99999004202611251200[A-Za-z0-9]{11}", made)


def test_the_minute_is_that_of_utc_wherever_the_clock_is() -> None:
    in_sao_paulo = datetime(2026, 12, 31, 22, 30, tzinfo=timezone(timedelta(hours=-3)))
    assert end_to_end_id.new(ISPB, in_sao_paulo)[9:21] == "202701010130"


def test_an_ispb_may_have_letters() -> None:
    assert end_to_end_id.new("12ABC345", NOON).startswith("E12ABC345")


def test_payments_of_one_minute_have_different_ids() -> None:
    assert len({end_to_end_id.new(ISPB, NOON) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("ispb", ["", "1234567", "123456789"])
def test_an_ispb_of_another_length_is_a_bug(ispb: str) -> None:
    with pytest.raises(AssertionError):
        end_to_end_id.new(ispb, NOON)


def test_that_of_a_return_begins_with_a_d() -> None:
    assert re.fullmatch(r"D99999004202611251200[A-Za-z0-9]{11}", end_to_end_id.of_return(ISPB, NOON))

"""The two spellings of an account's number."""

import pytest

from apps.pix import account_number


def test_the_rail_gets_the_digits_alone() -> None:
    assert account_number.on_the_rail("00001234-5") == "000012345"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("000012345", "00001234-5", id="nine digits"),
        pytest.param("12345", "00001234-5", id="without leading zeros"),
        pytest.param("00000000000012345", "00001234-5", id="with more of them"),
        pytest.param("1234567890", None, id="too long"),
        pytest.param("1234-5", None, id="a dash"),
        pytest.param("1234X", None, id="a letter"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_every_way_to_write_a_number_of_ours_is_read(written: str, shown: str | None) -> None:
    assert account_number.shown(written) == shown

"""Sets of addresses are what their members are, however they were written."""

import pytest

from tests.platform.addresses import EVERYWHERE, NOWHERE, Addresses


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (Addresses.of("10.0.0.0/25", "10.0.0.128/25"), "10.0.0.0/24"),
        (Addresses.of("10.0.0.0/24", "10.0.0.0/8"), "10.0.0.0/8"),
        (Addresses.of("10.0.0.0/24") | Addresses.of("10.0.2.0/24"), "10.0.0.0/24, 10.0.2.0/24"),
        (Addresses.of("10.0.0.0/8") & Addresses.of("10.1.0.0/16", "11.0.0.0/8"), "10.1.0.0/16"),
        (Addresses.of("10.0.0.0/24") - Addresses.of("10.0.0.64/26"), "10.0.0.0/26, 10.0.0.128/25"),
        (
            Addresses.of("10.0.0.0/30") - Addresses.of("10.0.0.1/32", "10.0.0.2/32"),
            "10.0.0.0/32, 10.0.0.3/32",
        ),
        (Addresses.of("10.0.0.0/24") - Addresses.of("10.0.0.0/8"), ""),
        (EVERYWHERE - Addresses.of("128.0.0.0/1"), "0.0.0.0/1"),
        (EVERYWHERE & NOWHERE, ""),
    ],
    ids=["adjacent", "nested", "or", "and", "hole", "ends", "gone", "half", "nowhere"],
)
def test_a_set_is_its_addresses(made: Addresses, wanted: str) -> None:
    assert str(made) == wanted
    assert made == Addresses.of(*(wanted.split(", ") if wanted else []))
    assert bool(made) == bool(wanted)

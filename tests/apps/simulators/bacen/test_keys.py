"""What the DICT takes for a key, and what it refuses: it puts nothing in order."""

import pytest

from apps.simulators.bacen.keys import canonical, type_of


@pytest.mark.parametrize(
    ("key", "key_type"),
    [
        ("52998224725", "CPF"),
        ("11987650001", "CPF"),  # never guessed to be a telephone
        ("00000000000", "CPF"),  # check digits are the participant's duty
        ("11222333000181", "CNPJ"),
        ("12ABC34501DE35", "CNPJ"),
        ("12abc34501de35", "CNPJ"),
        ("+5511987650001", "PHONE"),
        ("+12", "PHONE"),
        ("+123456789012345", "PHONE"),
        ("maria.silva@example.com", "EMAIL"),
        ("a@b", "EMAIL"),
        ("o'neil+pix/1@example.com", "EMAIL"),
        (f"{'a' * 65}@example.com", "EMAIL"),
        ("3f1c9d52-7b1e-4c5a-9d0e-6a2b8c4d0e1f", "EVP"),
    ],
)
def test_the_type_of_a_key_is_its_form(key: str, key_type: str) -> None:
    assert type_of(key) == key_type


@pytest.mark.parametrize(
    "key",
    [
        "",
        "529.982.247-25",
        "5299822472",
        "5511987650001",
        "+0511987650001",
        "+1234567890123456",
        "+55 11 98765-0001",
        "Maria.Silva@example.com",
        "maria.silva@",
        "maria silva@example.com",
        "maria%silva@example.com",
        "maria&silva@example.com",
        f"{'a' * 66}@example.com",
        "3F1C9D52-7B1E-4C5A-9D0E-6A2B8C4D0E1F",
        "3f1c9d527b1e4c5a9d0e6a2b8c4d0e1f",
        "١٢٣٤٥٦٧٨٩٠١",
        "52998224725\n",
    ],
)
def test_what_only_resembles_a_key_is_none(key: str) -> None:
    assert type_of(key) is None


def test_letters_of_a_cnpj_are_kept_in_upper_case_and_other_keys_as_they_are() -> None:
    assert canonical("12abc34501de35") == "12ABC34501DE35"
    assert canonical("maria.silva@example.com") == "maria.silva@example.com"

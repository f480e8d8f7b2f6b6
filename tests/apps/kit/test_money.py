"""Money is whole centavos on the way in, and readable for people on the way out."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from apps.kit.money import MAX_AMOUNT_CENTS, AmountCents, reais

AMOUNT: TypeAdapter[int] = TypeAdapter(AmountCents)


@pytest.mark.parametrize(
    ("cents", "text"),
    [
        (0, "R$ 0,00"),
        (1, "R$ 0,01"),
        (-1, "-R$ 0,01"),
        (99, "R$ 0,99"),
        (100, "R$ 1,00"),
        (-100, "-R$ 1,00"),
        (99_999, "R$ 999,99"),
        (100_000, "R$ 1.000,00"),
        (123_456, "R$ 1.234,56"),
        (-123_456_789, "-R$ 1.234.567,89"),
        (MAX_AMOUNT_CENTS, "R$ 10.000.000.000,00"),
    ],
)
def test_reais_are_written_as_in_brazil(cents: int, text: str) -> None:
    assert reais(cents) == text


@given(st.integers())
@example(2**53 + 1)
@example(-(10**40) - 7)
def test_no_centavo_is_lost_in_writing(cents: int) -> None:
    text = reais(cents)
    assert re.fullmatch(r"-?R\$ \d{1,3}(\.\d{3})*,\d\d", text)
    assert int(re.sub(r"[^0-9-]", "", text)) == cents


@given(st.integers(min_value=1))
def test_a_debt_is_written_as_the_amount_with_a_sign(cents: int) -> None:
    assert reais(-cents) == "-" + reais(cents)


@given(st.integers(min_value=1, max_value=MAX_AMOUNT_CENTS))
def test_every_whole_amount_up_to_the_limit_is_taken_as_it_is(cents: int) -> None:
    taken = AMOUNT.validate_json(str(cents))
    assert taken == cents
    assert type(taken) is int


@given(st.integers(min_value=1, max_value=MAX_AMOUNT_CENTS))
def test_what_json_schema_calls_an_integer_is_one(cents: int) -> None:
    taken = AMOUNT.validate_json(f"{cents}.0")
    assert taken == cents
    assert type(taken) is int


@given(st.integers(max_value=0) | st.integers(min_value=MAX_AMOUNT_CENTS + 1))
def test_no_amount_is_zero_negative_or_above_the_limit(cents: int) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_json(str(cents))


@given(st.floats().filter(lambda value: not value.is_integer()))
@example(float("inf"))
@example(0.1)
def test_a_part_of_a_centavo_is_no_amount(value: float) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_python(value)


@pytest.mark.parametrize(
    "body", ["true", "false", '"100"', '""', "null", "[]", "[5]", "{}", "1e13", "NaN", "Infinity"]
)
def test_what_is_no_number_of_centavos_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_json(body)


def test_the_description_tells_a_client_the_limits() -> None:
    schema = AMOUNT.json_schema()
    assert schema["type"] == "integer"
    assert schema["exclusiveMinimum"] == 0
    assert schema["maximum"] == MAX_AMOUNT_CENTS

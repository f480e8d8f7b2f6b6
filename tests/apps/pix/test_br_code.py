"""BR Codes: what is written can be read, and nothing that was changed on the way can be paid."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.pix import br_code
from apps.pix.br_code import BadCode, DynamicCode, StaticCode
from tests.apps.pix.verdicts import OFFICIAL

PRINTABLE = st.text(string.ascii_letters + string.digits + " .-", min_size=1, max_size=15).filter(
    lambda text: text.strip() != ""
)
AMOUNTS = st.none() | st.integers(1, 10**12 - 1)
TXIDS = st.none() | st.text(string.ascii_letters + string.digits, min_size=1, max_size=25)
KEYS = st.sampled_from(
    [
        "52998224725",
        "12ABC34501DE35",
        "+5511987654321",
        "pix@bcb.gov.br",
        "123e4567-e89b-12d3-a456-426655440000",
    ]
)
STATIC = st.builds(
    StaticCode,
    key=KEYS,
    name=PRINTABLE,
    city=PRINTABLE,
    amount_cents=AMOUNTS,
    txid=TXIDS,
    description=st.none() | PRINTABLE,
)
DYNAMIC = st.builds(
    DynamicCode,
    url=st.text(string.ascii_letters + string.digits, min_size=1, max_size=50).map(
        lambda tail: f"pix.exemplo.com/v2/{tail}"
    ),
    name=PRINTABLE,
    city=PRINTABLE,
    amount_cents=AMOUNTS,
)


@given(STATIC | DYNAMIC)
def test_what_is_written_is_read_back(code: StaticCode | DynamicCode) -> None:
    assert br_code.decode(br_code.encode(code)) == code


@given(STATIC, st.data())
def test_one_changed_character_is_noticed(code: StaticCode, data: st.DataObject) -> None:
    text = br_code.encode(code)
    place = data.draw(st.integers(0, len(text) - 9))
    other = data.draw(
        st.sampled_from(string.ascii_letters + string.digits).filter(lambda x: x != text[place])
    )
    with pytest.raises(BadCode):
        br_code.decode(text[:place] + other + text[place + 1 :])


@given(st.text(max_size=200))
def test_any_text_is_a_code_or_is_refused(text: str) -> None:
    for each in (text, text + "6304", f"{text}6304ABCD"):
        with pytest.raises(BadCode):
            br_code.decode(each)


def test_the_example_of_bacens_manual_comes_out_byte_for_byte() -> None:
    code = StaticCode("123e4567-e12b-12d1-a456-426655440000", "Fulano de Tal", "BRASILIA")
    assert br_code.encode(code) == OFFICIAL


def test_a_code_that_is_paid_once_says_so() -> None:
    text = br_code.encode(DynamicCode("pix.exemplo.com/v2/8b3d", "Loja", "SAO PAULO", 1000))
    assert text.startswith("000201010212")
    assert "540510.00" in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "x" * 26}, "name_form"),
        ({"name": ""}, "name_form"),
        ({"city": "x" * 16}, "city_form"),
        ({"city": "SAO\nPAULO"}, "city_form"),
        ({"amount_cents": 0}, "amount_zero"),
        ({"amount_cents": -1}, "amount_zero"),
        ({"amount_cents": 10**12}, "amount_form"),
        ({"txid": "x" * 26}, "txid_form"),
        ({"txid": "a-b"}, "txid_form"),
        ({"key": "529"}, "key_form"),
        ({"description": "x" * 80}, "description_form"),
        ({"description": "a\x00b"}, "description_form"),
    ],
    ids=str,
)
def test_what_a_code_cannot_carry_is_refused(change: dict[str, object], problem: str) -> None:
    good: dict[str, object] = {"key": "52998224725", "name": "Ana", "city": "SAO PAULO"}
    with pytest.raises(BadCode) as bad:
        br_code.encode(StaticCode(**(good | change)))  # type: ignore[arg-type]
    assert bad.value.code == problem


@pytest.mark.parametrize(
    ("text", "most", "plain"),
    [
        ("João da Silva Conceição", 25, "Joao da Silva Conceicao"),
        ("São  José\ndos Campos", 15, "Sao Jose dos Ca"),
        ("日本", 25, ""),
    ],
)
def test_a_name_becomes_what_a_code_can_carry(text: str, most: int, plain: str) -> None:
    assert br_code.plain(text, most) == plain

"""Tax ids: what Receita Federal issues is taken in any usual spelling, everything else is refused."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.pix.tax_id import masked, normalised

CPF_BODIES = st.text("0123456789", min_size=9, max_size=9)
CNPJ_BODIES = st.text(string.digits + string.ascii_uppercase, min_size=12, max_size=12)
CPF_WEIGHTS = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
CNPJ_WEIGHTS = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]
"""As Receita Federal prints them, for the second digit; the first digit has all but the first weight."""


def issued(body: str, weights: list[int]) -> str:
    """The id that Receita Federal gives this body, by its printed tables."""
    for row in (weights[1:], weights):
        total = sum((ord(each) - ord("0")) * weight for each, weight in zip(body, row, strict=True))
        body += str(0 if total % 11 < 2 else 11 - total % 11)
    return body


def dotted(bare: str) -> str:
    if len(bare) == 11:
        return f"{bare[:3]}.{bare[3:6]}.{bare[6:9]}-{bare[9:]}"
    return f"{bare[:2]}.{bare[2:5]}.{bare[5:8]}/{bare[8:12]}-{bare[12:]}"


@pytest.mark.parametrize(
    ("given", "bare"),
    [
        ("529.982.247-25", "52998224725"),
        ("52998224725", "52998224725"),
        (" 529 982 247 25 ", "52998224725"),
        ("000.000.001-91", "00000000191"),
        ("11.222.333/0001-81", "11222333000181"),
        ("00.000.000/0001-91", "00000000000191"),
        ("12.ABC.345/01DE-35", "12ABC34501DE35"),
        ("12.abc.345/01de-35", "12ABC34501DE35"),
    ],
    ids=["CPF", "bare", "spaces", "low", "CNPJ", "Banco do Brasil", "official example of 2026", "lower case"],
)
def test_known_ids_lose_only_their_punctuation(given: str, bare: str) -> None:
    assert normalised(given) == bare


@pytest.mark.parametrize(
    "given",
    [
        "",
        "529.982.247",
        "5299822472",
        "529982247250",
        "529.982.247-26",
        "529.982.247-52",
        "925.982.247-25",
        "111.111.111-11",
        "00000000000",
        "00.000.000/0000-00",
        "52A98224725",
        "11.222.333/0001-82",
        "12.ABC.345/01DE-53",
        "12.ABC.345/01DE-3A",
        "12.ÁBC.345/01DE-35",
        "529_982_247_25",
        "529.982.247-25\n",
        "529.982.247-25\x00",
    ],
)
def test_what_nobody_has_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is one|has wrong"):
        normalised(given)


@given(CPF_BODIES)
def test_every_cpf_that_is_issued_is_taken_and_no_other_with_its_body(body: str) -> None:
    cpf = issued(body, CPF_WEIGHTS)
    if len(set(cpf)) == 1:
        return
    assert normalised(dotted(cpf)) == cpf
    assert accepted_digits(body) == [cpf[9:]]


@given(CNPJ_BODIES)
def test_every_cnpj_that_is_issued_is_taken_and_no_other_with_its_body(body: str) -> None:
    cnpj = issued(body, CNPJ_WEIGHTS)
    if len(set(cnpj)) == 1:
        return
    assert normalised(dotted(cnpj)) == cnpj
    assert normalised(cnpj.lower()) == cnpj
    assert accepted_digits(body) == [cnpj[12:]]


@pytest.mark.parametrize(
    "given",
    [
        "\u0665\u0662\u0669\u0669\u0668\u0662\u0662\u0664\u066725",
        "\uff15\uff12\uff19982247-25",
        f"1\u017f{issued('1S0000000001', CNPJ_WEIGHTS)[2:]}",
    ],
    ids=["Arabic digits", "wide digits", "a letter whose capital is an S"],
)
def test_other_alphabets_are_refused_however_their_sums_come_out(given: str) -> None:
    with pytest.raises(ValueError, match="must be a CPF"):
        normalised(given)


@given(st.text(max_size=20))
def test_any_text_is_taken_in_plain_ascii_or_refused(text: str) -> None:
    try:
        bare = normalised(text)
    except ValueError:
        return
    assert bare.isascii()
    assert len(bare) in {11, 14}


@pytest.mark.parametrize(
    ("tax_id", "seen"),
    [
        ("52998224725", "***.982.247-**"),
        ("11222333000181", "11.222.333/0001-81"),
        ("12ABC34501DE35", "12.ABC.345/01DE-35"),
    ],
    ids=["people are masked", "companies are public", "with letters"],
)
def test_others_see_companies_whole_and_people_in_part(tax_id: str, seen: str) -> None:
    assert masked(tax_id) == seen


def accepted_digits(body: str) -> list[str]:
    """The check digits that are taken after this body."""
    found = []
    for number in range(100):
        try:
            normalised(f"{body}{number:02d}")
        except ValueError:
            continue
        found.append(f"{number:02d}")
    return found

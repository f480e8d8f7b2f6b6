"""The country that a seed makes: the same again and again, with documents that could be anybody's."""

import pytest

from apps.simulators.bacen.documents import completed, is_valid
from apps.simulators.bacen.keys import fits
from apps.simulators.bacen.population import BANKS, WELL_KNOWN, populated

SPECIFICATION_SAMPLES = {"11122233300", "43908445778", "11222333000150", "50685362000135"}
"""Documents of the specifications' examples, with check digits that nobody can have."""


@pytest.mark.parametrize(
    "document",
    [
        "52998224725",
        "12345678909",
        "11144477735",
        "12ABC34501DE35",
        "11222333000181",
        "00000000000191",
        "00038166000105",
        "18236120000158",
        "ABCDEFGHIJKL80",
    ],
)
def test_documents_of_the_published_vectors_are_valid(document: str) -> None:
    assert is_valid(document)
    assert completed(document[:-2]) == document


@pytest.mark.parametrize(
    "document",
    [
        *sorted(SPECIFICATION_SAMPLES),
        "00000000000000",
        "11111111111",
        "12abc34501de35",
        "529.982.247-25",
        "5299822472",
        "",
    ],
)
def test_documents_that_nobody_can_have_are_not(document: str) -> None:
    assert not is_valid(document)


def test_the_same_seed_gives_the_same_country_and_another_seed_another() -> None:
    assert populated(3) == populated(3)
    assert populated(3).entries != populated(4).entries


@pytest.mark.parametrize("seed", [1, 2, 20201116])
def test_everybody_has_a_valid_document_an_account_at_a_bank_and_keys_that_fit(seed: int) -> None:
    people = populated(seed)
    assert len(people.entries) > 250
    for entry in people.entries:
        assert is_valid(entry.owner.tax_id), entry.owner.tax_id
        assert fits(entry.key, entry.key_type), entry.key
        assert entry.account.participant in BANKS
        customer = people.customers[entry.account.participant, entry.account.number]
        assert (customer.account, customer.owner) == (entry.account, entry.owner)
        if entry.key_type in {"CPF", "CNPJ"}:
            assert entry.key == entry.owner.tax_id
    documents = {each.owner.tax_id for each in people.customers.values()}
    assert len(documents) == len(people.customers), "one person, one document"
    assert not documents & SPECIFICATION_SAMPLES
    assert any(not each.isdigit() for each in documents), "companies of July 2026 have letters"
    assert {entry.key_type for entry in people.entries} == {"CPF", "CNPJ", "PHONE", "EMAIL", "EVP"}
    assert all(people.of_bank(ispb) for ispb in BANKS), "every bank can pay"


def test_leading_zeros_are_kept() -> None:
    assert {"00000000", "00416968", "01181521"} <= BANKS.keys()
    assert {len(ispb) for ispb in BANKS} == {8}


def test_no_account_has_more_keys_than_it_may() -> None:
    people = populated(1)
    directory = people.directory()
    for entry in people.entries:
        assert len(directory.of_account(entry.account)) <= entry.keys_allowed


def test_the_well_known_are_there_whatever_the_seed() -> None:
    for seed in (1, 2):
        directory = populated(seed).directory()
        for known in WELL_KNOWN:
            entry = directory.get(known.key)
            assert entry is not None
            assert (entry.owner, entry.account.participant) == (known.owner, known.ispb)

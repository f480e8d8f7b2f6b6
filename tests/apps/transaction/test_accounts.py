"""What the account service writes of its customers is what this service reads."""

from datetime import timedelta

import pytest

from apps.account.account import Opening, Profile
from apps.account.store import AccountStore, Grant
from apps.kit.dynamo import Deadline
from apps.pix.spi import Party
from apps.transaction.accounts import HeldAccounts
from tests.apps.ledger.bank import Bank, fake_bank

OPENING = Opening("subject", "Ana Souza", "52998224725", "SVGS", "key", None)


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


@pytest.fixture
def profile(bank: Bank) -> Profile:
    store = AccountStore(bank.raw, bank.tables.accounts, bank.ledger, Grant(0, timedelta(minutes=30)))
    opened, _ = store.open(OPENING, lambda each: each.name, Deadline.after(5))
    return opened


@pytest.fixture
def accounts(bank: Bank) -> HeldAccounts:
    return HeldAccounts(bank.raw, bank.tables.accounts, "99999010")


def test_the_holder_of_an_account_is_found_as_other_banks_know_them(
    accounts: HeldAccounts, profile: Profile
) -> None:
    number = profile.number.replace("-", "")
    assert accounts.party(profile.account_id) == Party(
        "99999010", "52998224725", number, "SVGS", profile.branch, "Ana Souza"
    )
    assert accounts.party("nothing") is None


@pytest.mark.parametrize("zeros", ["", "000"], ids=["as it is", "with zeros in front"])
@pytest.mark.parametrize("branch", ["0001", "1"])
def test_an_account_is_found_by_branch_and_number(
    accounts: HeldAccounts, profile: Profile, branch: str, zeros: str
) -> None:
    number = zeros + profile.number.replace("-", "")
    assert accounts.account_at(branch, number) == profile.account_id


@pytest.mark.parametrize(
    ("branch", "number"), [("0002", None), ("0001", "1"), ("0001", "A12"), ("0001", "1" * 20)]
)
def test_no_other_branch_or_number_finds_it(
    accounts: HeldAccounts, profile: Profile, branch: str, number: str | None
) -> None:
    assert accounts.account_at(branch, number or profile.number.replace("-", "")) is None

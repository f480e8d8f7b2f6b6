"""What the account service writes of its customers is what this service reads."""

import json
from datetime import timedelta

from apps.account.account import Opening
from apps.account.store import AccountStore, Grant
from apps.dict_key.entry import Account, Owner
from apps.dict_key.holders import Holders
from apps.kit.dynamo import Deadline
from tests.apps.ledger.bank import fake_bank


def test_an_account_that_was_opened_is_found_with_its_holder() -> None:
    bank = fake_bank()
    store = AccountStore(bank.raw, bank.tables.accounts, bank.ledger, Grant(0, timedelta(minutes=30)))
    opening = Opening("subject", "Ana Souza", "52998224725", "SVGS", "key", None)
    profile, _ = store.open(opening, lambda opened: json.dumps(opened.name), Deadline.after(5))
    holders = Holders(bank.raw, bank.tables.accounts, "99999010")
    holding = holders.holding(opening.account_id)
    assert holding is not None
    assert (holding.account_id, holding.subject) == (opening.account_id, "subject")
    # Without the dash that customers see: the DICT takes digits alone.
    number = profile.number.replace("-", "")
    assert holding.account == Account("99999010", profile.branch, number, "SVGS", profile.opened_at)
    assert holding.owner == Owner("52998224725", "Ana Souza")
    assert holders.tax_id("subject") == "52998224725"


def test_who_has_no_account_is_nobody() -> None:
    bank = fake_bank()
    holders = Holders(bank.raw, bank.tables.accounts, "99999010")
    assert (holders.tax_id("nobody"), holders.holding("nothing")) == (None, None)

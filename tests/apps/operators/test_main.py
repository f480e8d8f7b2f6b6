"""What an operator types, and what comes back."""

import json

import pytest

from apps.ledger import items
from apps.operators.main import Outcome, parser, run
from tests.apps.ledger.bank import Bank, fake_bank


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


def typed(bank: Bank, *words: str) -> Outcome:
    return run(parser().parse_args(words), bank.auditor)


def tamper(bank: Bank, account_id: str, available: int) -> None:
    place = {"TableName": bank.tables.accounts, "Key": items.balance_key(account_id)}
    item = bank.raw.get_item(**place)["Item"]
    bank.raw.put_item(TableName=bank.tables.accounts, Item=item | items.attributes({"available": available}))


def freeze(bank: Bank, account_id: str) -> None:
    tamper(bank, account_id, 5)
    (drift,) = bank.auditor.audit().drift
    bank.auditor.freeze(drift)


def test_an_audit_of_a_sound_ledger_says_so(bank: Bank) -> None:
    bank.rich("ana")
    outcome = typed(bank, "audit")
    assert outcome.exit_code == 0
    assert outcome.text.splitlines() == [
        "2 accounts, 1 transfers, 4 entries: every balance is the sum of its entries",
        "sum over all accounts: 0 centavos",
        "oldest event in the outbox: 0.0 s",
    ]


def test_an_audit_of_an_empty_ledger_is_sound(bank: Bank) -> None:
    outcome = typed(bank, "audit")
    assert (outcome.exit_code, outcome.text.split(":")[0]) == (0, "0 accounts, 0 transfers, 0 entries")


def test_an_audit_that_finds_drift_names_it_and_exits_with_one(bank: Bank) -> None:
    ana = bank.rich("ana")
    tamper(bank, ana, 5)
    outcome = typed(bank, "audit")
    assert outcome.exit_code == 1
    assert "the ledger is NOT sound" in outcome.text
    assert f"drift: {ana}: wrong_available: the balance says 5, its entries 100000" in outcome.text


def test_an_audit_as_json_is_the_whole_report(bank: Bank) -> None:
    ana = bank.rich("ana")
    tamper(bank, ana, 5)
    outcome = typed(bank, "audit", "--json")
    assert outcome.exit_code == 1
    assert json.loads(outcome.text) == {
        "ok": False,
        "accounts": 2,
        "transfers": 1,
        "entries": 4,
        "sum_cents": 5 - 100_000,
        "drift": [
            {
                "account_id": ana,
                "what": "wrong_available",
                "detail": "the balance says 5, its entries 100000",
            }
        ],
        "outbox_age_seconds": 0.0,
    }


def test_an_account_whose_audit_is_clean_moves_again(bank: Bank) -> None:
    ana = bank.rich("ana")
    freeze(bank, ana)
    tamper(bank, ana, 100_000)
    assert typed(bank, "unfreeze", ana) == Outcome(f"{ana} moves again", 0)
    balance = bank.ledger.balance(ana)
    assert balance is not None
    assert not balance.frozen


def test_an_account_that_still_drifts_stays_frozen_and_is_told_why(bank: Bank) -> None:
    ana = bank.rich("ana")
    freeze(bank, ana)
    outcome = typed(bank, "unfreeze", ana)
    assert outcome.exit_code == 1
    assert outcome.text.splitlines()[0] == "still frozen:"
    assert f"{ana}: wrong_available" in outcome.text
    balance = bank.ledger.balance(ana)
    assert balance is not None
    assert balance.frozen


def test_the_drift_of_others_keeps_no_account_frozen(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    freeze(bank, ana)
    tamper(bank, ana, 100_000)
    tamper(bank, bruno, 5)
    assert typed(bank, "unfreeze", ana).exit_code == 0


def test_an_account_that_nobody_has_is_said_to_be_unknown(bank: Bank) -> None:
    assert typed(bank, "unfreeze", "nobody") == Outcome("no account has the id nobody", 2)


@pytest.mark.parametrize("words", [[], ["unfreeze"], ["drain"]], ids=["nothing", "no account", "unknown"])
def test_what_no_command_knows_is_refused(
    bank: Bank, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        typed(bank, *words)
    assert ended.value.code == 2
    assert "usage: operators" in capsys.readouterr().err

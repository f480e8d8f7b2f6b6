"""The auditor's worker: freezes what drifts, tells the metrics, and goes on whatever happens."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from apps.consumers.audit_ledger import FULL_EVERY, audit, run
from apps.ledger import items
from apps.ledger.audit import Auditor, Report
from apps.ledger.store import Clock
from tests.apps.kit.faulty_dynamo import Faulty, refuse
from tests.apps.ledger.bank import Bank, fake_bank


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


class Stop(threading.Event):
    """Says stop after so many beats, and notes how long a rest was asked for."""

    def __init__(self, beats: int) -> None:
        super().__init__()
        self.beats = beats
        self.rests: list[float] = []

    def beat(self) -> None:
        self.beats -= 1
        if self.beats == 0:
            self.set()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.rests.append(timeout)
        return self.is_set()


def change(bank: Bank, account_id: str, **values: int) -> None:
    place = {"TableName": bank.tables.accounts, "Key": items.balance_key(account_id)}
    item = bank.raw.get_item(**place)["Item"]
    bank.raw.put_item(TableName=bank.tables.accounts, Item=item | items.attributes(values))


def is_frozen(bank: Bank, account_id: str) -> bool:
    balance = bank.ledger.balance(account_id)
    assert balance is not None
    return balance.frozen


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"]: line for line in lines}


def test_what_drifts_is_frozen_and_nothing_else(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    change(bank, ana, available=1)
    report = audit(bank.auditor)
    assert [(each.account_id, each.what) for each in report.drift] == [(ana, "wrong_available")]
    assert (is_frozen(bank, ana), is_frozen(bank, bruno)) == (True, False)


def test_a_clean_audit_freezes_nothing(bank: Bank) -> None:
    ana = bank.rich("ana")
    assert audit(bank.auditor).ok
    assert not is_frozen(bank, ana)


def test_an_audit_tells_drift_sum_and_the_age_of_the_outbox(
    bank: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    ana = bank.open("ana")
    change(bank, ana, available=7)
    bank.time.moment = bank.time.moment.replace(second=12)
    audit(bank.auditor)
    told = metrics(capsys)
    assert told["drift"]["drift"] == 1
    assert told["ledger_sum_cents"]["ledger_sum_cents"] == 7
    assert told["outbox_age_seconds"]["outbox_age_seconds"] == 12


@pytest.mark.parametrize("gone", ["ana", "bruno"])
def test_an_account_that_is_gone_does_not_keep_others_from_being_frozen(bank: Bank, gone: str) -> None:
    ids = {"ana": bank.rich("ana"), "bruno": bank.rich("bruno"), "carla": bank.rich("carla")}
    for name, account_id in ids.items():
        if name != gone:
            change(bank, account_id, available=1)
    bank.raw.delete_item(TableName=bank.tables.accounts, Key=items.balance_key(ids[gone]))
    report = audit(bank.auditor)
    assert {each.account_id for each in report.drift} == set(ids.values())
    assert all(is_frozen(bank, account_id) for name, account_id in ids.items() if name != gone)


def test_an_audit_that_was_broken_off_is_followed_by_another(bank: Bank) -> None:
    ana = bank.rich("ana")
    change(bank, ana, available=1)
    client = Faulty(bank.raw, "scan", [refuse("InternalServerError", 500)] * 3)
    stop = Stop(beats=3)
    run(Auditor(client, bank.tables, 1, clock=Clock(now=bank.time)), 0, stop, stop.beat)
    assert is_frozen(bank, ana)


def test_the_heart_beats_for_every_month_of_a_long_history(bank: Bank) -> None:
    bank.open("ana")
    beats = list[None]()
    audit(bank.auditor, lambda: beats.append(None))
    before = len(beats)
    bank.time.moment = bank.time.moment.replace(year=bank.time.moment.year + 5)
    audit(bank.auditor, lambda: beats.append(None))
    assert len(beats) - before >= before + 5 * 12


def test_the_heart_beats_for_every_page_of_a_scan_that_meets_no_balance(bank: Bank) -> None:
    empty = {"Items": [], "LastEvaluatedKey": items.balance_key("one")}
    client = Faulty(bank.raw, "scan", [lambda *_: empty] * 20)
    beats = list[None]()
    audit(Auditor(client, bank.tables, 1, clock=Clock(now=bank.time)), lambda: beats.append(None))
    assert len(beats) >= 20


def test_the_heart_beats_while_it_rests(bank: Bank) -> None:
    stop = Stop(beats=5)
    run(bank.auditor, 2.5, stop, stop.beat)
    assert stop.rests == [1.0, 1.0, 0.5]
    assert stop.beats == 0


def test_a_busy_account_is_frozen_in_the_end(bank: Bank) -> None:
    ana = bank.rich("ana")
    change(bank, ana, available=1)
    busy = [refuse("TransactionConflictException")] * 3
    audit(Auditor(Faulty(bank.raw, "update_item", busy), bank.tables, 1, clock=Clock(now=bank.time)))
    assert is_frozen(bank, ana)


def test_an_account_that_cannot_be_frozen_does_not_keep_the_others_moving(
    bank: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts = [bank.rich(name) for name in ("ana", "bruno")]
    for each in accounts:
        change(bank, each, available=1)
    times = iter([0.0, 99.0])
    client = Faulty(bank.raw, "update_item", [refuse("TransactionConflictException")])
    auditor = Auditor(
        client, bank.tables, 1, clock=Clock(now=bank.time), monotonic=lambda: next(times, 100.0)
    )
    audit(auditor)
    assert sorted(is_frozen(bank, each) for each in accounts) == [False, True]
    told = metrics(capsys)
    assert (told["drift"]["drift"], told["freeze_failures"]["freeze_failures"]) == (2, 1)


def test_an_audit_shows_a_heartbeat_for_each_account_and_each_transfer(bank: Bank) -> None:
    bank.rich("ana")
    beats: list[None] = []
    report = audit(bank.auditor, lambda: beats.append(None))
    assert len(beats) >= report.accounts + report.transfers


def test_most_audits_begin_with_last_month_and_every_few_are_of_everything(bank: Bank) -> None:
    class Asked(Auditor):
        def __init__(self) -> None:
            super().__init__(bank.raw, bank.tables, 1, clock=Clock(now=bank.time))
            self.since: list[str | None] = []

        def audit(self, beat: Callable[[], None] = lambda: None, since: str | None = None) -> Report:
            self.since.append(since)
            return super().audit(lambda: None, since)

    auditor, stop = Asked(), Stop(beats=2 * FULL_EVERY)
    run(auditor, 0, stop, stop.beat)
    assert auditor.since == [None, *["202610"] * (FULL_EVERY - 1)] * 2


def test_an_account_that_cannot_be_read_is_frozen_all_the_same(bank: Bank) -> None:
    ana = bank.rich("ana")
    place = {"TableName": bank.tables.accounts, "Key": items.balance_key(ana)}
    item = {name: value for name, value in bank.raw.get_item(**place)["Item"].items() if name != "seq"}
    bank.raw.put_item(TableName=bank.tables.accounts, Item=item)
    report = audit(bank.auditor)
    assert [(each.account_id, each.what) for each in report.drift] == [(ana, "unreadable_balance")]
    assert "frozen" in bank.raw.get_item(**place)["Item"]

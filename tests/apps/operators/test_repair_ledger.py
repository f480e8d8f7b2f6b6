"""The repair's command: it waits for leases to run out, refuses while one is renewed, says what it did."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from apps.kit.dynamo import Unavailable
from apps.ledger import items
from apps.ledger.restored import Restored
from apps.operators import repair_ledger
from apps.operators.outcome import AWAY, DONE, NOT_SOUND, Outcome
from apps.operators.repair_ledger import Repair
from tests.apps.kit.faulty_dynamo import Faulty
from tests.apps.ledger.bank import Bank, fake_bank


@dataclass
class Stopped:
    """A bank whose transfer stands and whose accounts have lost it. `relays`: somebody renews a lease."""

    bank: Bank = field(default_factory=fake_bank)
    relays: bool = False
    slept: float = 0.0

    def __post_init__(self) -> None:
        self.ana, self.bruno = self.bank.rich("ana"), self.bank.rich("bruno")
        self.renew()
        before = self.bank.raw.scan(TableName="accounts")["Items"]
        keys = [(each["pk"], each["sk"]) for each in before]
        self.transfer_id = self.bank.pay("ana", self.ana, self.bruno, 700).transfer.transfer_id
        for item in self.bank.raw.scan(TableName="accounts")["Items"]:
            if (item["pk"], item["sk"]) not in keys:
                self.bank.raw.delete_item(TableName="accounts", Key={"pk": item["pk"], "sk": item["sk"]})
        for item in before:
            self.bank.raw.put_item(TableName="accounts", Item=item)

    def renew(self) -> None:
        """The lease is taken, or taken on, for ten seconds."""
        now = self.bank.time.moment
        lease = self.bank.outbox.lease(0)
        self.bank.outbox.take_lease(lease, 0, "relay-1", until=now + timedelta(seconds=10), now=now)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.bank.time.moment += timedelta(seconds=seconds)
        if self.relays:
            self.renew()

    def repair(self, *, dry: bool = False) -> tuple[Outcome, dict[str, Any]]:
        command = Repair(
            Restored(self.bank.client, self.bank.tables, 1),
            self.bank.outbox,
            timedelta(minutes=30),
            self.bank.time,
            self.sleep,
        )
        outcome = command.run(dry=dry, as_json=True)
        return outcome, json.loads(outcome.text)


def test_a_lease_that_nobody_renews_is_waited_for_and_the_loss_is_mended() -> None:
    bank = Stopped()
    outcome, said = bank.repair()
    assert 0 < bank.slept <= repair_ledger.WATCH_SECONDS
    assert outcome.exit_code == DONE
    mended = {(each["what"], each["transfer_id"], each["account_id"]) for each in said["mended"]}
    assert ("entry", bank.transfer_id, bank.ana) in mended
    assert said["left"] == []
    assert bank.bank.available(bank.ana) == 100_000 - 700
    outcome, said = bank.repair()
    assert (outcome.exit_code, said["mended"]) == (DONE, [])


def test_a_lease_that_is_renewed_refuses_the_repair_by_the_holders_name() -> None:
    bank = Stopped(relays=True)
    outcome, said = bank.repair()
    assert outcome.exit_code == NOT_SOUND
    assert said["error"] == "services_running"
    assert "relay-1" in said["detail"]
    assert bank.bank.available(bank.ana) == 100_000


def test_a_dry_run_says_the_same_and_writes_nothing() -> None:
    bank = Stopped()
    outcome, said = bank.repair(dry=True)
    assert (outcome.exit_code, said["dry_run"]) == (NOT_SOUND, True)
    assert bank.bank.available(bank.ana) == 100_000
    assert bank.repair()[1]["mended"] == said["mended"]


def test_what_is_left_is_named_in_words_with_its_transfer_and_ends_with_one() -> None:
    bank = Stopped()
    key = items.balance_key(bank.bruno)
    bank.bank.raw.delete_item(TableName="accounts", Key=key)
    outcome, said = bank.repair()
    assert outcome.exit_code == NOT_SOUND
    assert {each["what"] for each in said["left"]} >= {"account_lost"}
    assert {each["account_id"] for each in said["left"]} >= {bank.bruno}


def test_tables_that_do_not_answer_are_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Stopped()
    assert isinstance(bank.bank.client, Faulty)

    def away(**_: Any) -> Any:
        raise Unavailable("away")

    monkeypatch.setattr(bank.bank.client, "scan", away, raising=False)
    outcome, said = bank.repair()
    assert (outcome.exit_code, said["error"]) == (AWAY, "unavailable")


def test_words_name_the_transfer_the_account_and_what_to_do_next() -> None:
    bank = Stopped()
    bank.repair(dry=True)
    command = Repair(
        Restored(bank.bank.client, bank.bank.tables, 1),
        bank.bank.outbox,
        timedelta(minutes=30),
        bank.bank.time,
    )
    text = command.run(dry=False, as_json=False).text
    assert (
        f"mended: transfer {bank.transfer_id}, account {bank.ana}: entry: hold is put back as entry 3" in text
    )
    assert "gobank audit" in text

"""One damaged item in the table `events` stops nobody: each reader names it and goes on with the others."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from apps.consumers import audit_ledger
from apps.consumers.relay_outbox import Relay
from apps.consumers.sweep_transfers import Sweep
from apps.ledger import items
from apps.ledger.items import OPEN_SHARDS, Corrupted
from apps.ledger.outbox import BATCH, Row
from apps.ledger.store import Clock
from tests.apps.consumers.test_relay_outbox import RETENTION, Broker
from tests.apps.ledger.bank import Bank, fake_bank

Damage = Callable[[dict[str, Any]], object]


def no_record(item: dict[str, Any]) -> None:
    del item["record"]


def no_json(item: dict[str, Any]) -> None:
    item["record"] = items.text("{")


def another_topic(item: dict[str, Any]) -> None:
    item["record"] = items.text(json.dumps(json.loads(item["record"]["S"]) | {"topic": "elsewhere"}))


def no_time(item: dict[str, Any]) -> None:
    """Where the row is, or was, in the outbox is no time; it still comes first there."""
    name = "outbox_sort" if "outbox_sort" in item else "sk"
    item[name] = items.text(f"0-soon#{item['event_id']['S']}")


def no_zone(item: dict[str, Any]) -> None:
    name = "outbox_sort" if "outbox_sort" in item else "sk"
    item[name] = items.text(f"2026-01-01T00:00:00#{item['event_id']['S']}")


def another_type(item: dict[str, Any]) -> None:
    item["event_id"] = items.number(1)


DAMAGES: list[Damage] = [no_record, no_json, another_topic, no_time, no_zone, another_type]


@dataclass
class Scene:
    """Two held transfers, the first of which is damaged: its row in the outbox or in the history."""

    bank: Bank = field(default_factory=fake_bank)
    broker: Broker = field(default_factory=Broker)
    damaged: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ana, self.bruno = self.bank.rich("ana"), self.bank.rich("bruno")
        self.relay = Relay(
            self.bank.outbox, self.broker, self.broker, 1, "relay", retention=RETENTION, clock=self.clock
        )

    @property
    def clock(self) -> Clock:
        return Clock(now=self.bank.time)

    def held(self) -> Row:
        """One more transfer, and the row of its event."""
        before = self.bank.outbox.waiting(0, 100)
        self.bank.pay("ana", self.ana, self.bruno, 300)
        self.bank.time.moment += timedelta(milliseconds=1)
        (row,) = [each for each in self.bank.outbox.waiting(0, 100) if each not in before]
        return row

    def damage(self, key: dict[str, Any], damage: Damage) -> None:
        table = self.bank.tables.events
        item = dict(self.bank.raw.get_item(TableName=table, Key=key)["Item"])
        self.bank.raw.delete_item(TableName=table, Key=key)
        damage(item)
        self.bank.raw.put_item(TableName=table, Item=item)

    def damage_outbox(self, row: Row, damage: Damage) -> None:
        self.damage(items.key("OUT#0", row.sort), damage)

    def damage_history(self, row: Row, damage: Damage) -> None:
        self.damage(items.key(f"HIS#{row.transfer_id}", row.event_id), damage)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def metrics(capsys: pytest.CaptureFixture[str], name: str) -> list[float]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line[name] for line in lines if name in line]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_relay_passes_a_damaged_row_over(
    scene: Scene, damage: Damage, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, sound = scene.held(), scene.held()
    scene.damage_outbox(damaged, damage)
    assert scene.relay.turn() == 1
    assert metrics(capsys, "damaged_events") == [1]
    assert scene.bank.outbox.waiting(0, 100) == []
    assert scene.bank.outbox.history(sound.transfer_id, sound.event_id) == sound
    assert [dict(record.headers)["ce_id"] for record in scene.broker.taken] == [sound.event_id.encode()]
    assert scene.relay.turn() == 0
    assert len(scene.broker.taken) == 1, "nothing is sent anew"
    assert len(scene.bank.outbox.unreadable(0)) == 1, "it stays for whoever looks into it"


def test_a_whole_batch_of_damaged_rows_hides_nothing_behind_it(scene: Scene) -> None:
    sound = scene.held()
    damaged = sound.item()
    del damaged["record"]
    for number in range(BATCH + 1):
        place = items.key("OUT#0", f"0{number}")
        scene.bank.raw.put_item(TableName=scene.bank.tables.events, Item=damaged | place)
    assert scene.relay.turn() == 1
    assert scene.bank.outbox.history(sound.transfer_id, sound.event_id) == sound


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_history_row_is_not_put_back_and_its_neighbours_are(scene: Scene, damage: Damage) -> None:
    damaged, sound = scene.held(), scene.held()
    assert scene.relay.turn() == 2
    scene.damage_history(damaged, damage)
    scene.broker.lose_its_memory()
    relay = Relay(
        scene.bank.outbox, scene.broker, scene.broker, 1, "relay", retention=RETENTION, clock=scene.clock
    )
    relay.turn()
    relay.turn()
    assert {dict(record.headers)["ce_id"] for record in scene.broker.taken} == {sound.event_id.encode()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_auditor_names_a_damaged_row_and_freezes_nobody_for_it(
    scene: Scene, damage: Damage, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, _ = scene.held(), scene.held()
    scene.damage_outbox(damaged, damage)
    report = audit_ledger.audit(scene.bank.auditor)
    (drift,) = report.drift
    assert drift.what == "unreadable_event"
    assert drift.detail.startswith("OUT#0 ")
    assert not report.ok
    assert metrics(capsys, "drift") == [1]
    assert [scene.bank.auditor.unfreeze(each) for each in (scene.ana, scene.bruno)] == [(), ()]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_sweep_counts_a_damaged_history_row_and_looks_at_the_others(
    scene: Scene, damage: Damage, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, sound = scene.held(), scene.held()
    scene.relay.turn()
    scene.damage_history(damaged, damage)
    with pytest.raises(Corrupted):
        scene.bank.outbox.history(damaged.transfer_id, damaged.event_id)
    capsys.readouterr()
    scene.bank.time.moment += timedelta(seconds=6)
    sweep = Sweep(scene.bank.ledger, scene.bank.outbox)
    assert sum(sweep.turn(shard) for shard in range(OPEN_SHARDS)) == 2
    assert metrics(capsys, "damaged_events") == [1]
    assert scene.bank.outbox.waiting(0, 100) == [sound]
    assert sum(sweep.turn(shard) for shard in range(OPEN_SHARDS)) == 0, "it is looked at in its time again"

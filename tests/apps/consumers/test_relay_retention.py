"""What the relay brings back to a broker that lost its memory: all that the topic still promises to keep."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from apps.catalog import CATALOG, environment
from apps.consumers.relay_outbox import Relay, RelaySettings
from apps.kit import events
from apps.kit.kafka import Delivery
from apps.kit.settings import SettingsError, read
from apps.ledger.outbox import Lease, Outbox, Published, Row
from apps.ledger.store import Clock

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
RECORD = events.record_to_json(events.Record("transfers", "key", b"{}", ()))
ROW = Row(0, f"{NOW.isoformat()}#event", "transfer", "event", RECORD)


class OutboxWithOneRow:
    """One shard with one row for ever, whose broker once had an offset that it has forgotten."""

    def __init__(self) -> None:
        self.asked_since: list[datetime] = []
        self.put: list[Row] = []

    def waiting(self, shard: int, limit: int) -> list[Row]:
        return [ROW]

    def lease(self, shard: int) -> Lease | None:
        return None

    def take_lease(
        self, seen: Lease | None, shard: int, owner: str, *, until: datetime, now: datetime
    ) -> Lease | None:
        return Lease(shard, owner, 1, until.isoformat(), 1, {0: 100})

    def published(self, batch: Sequence[Published], lease: Lease, seen: Lease, now: datetime) -> bool:
        return True

    def lost(self, lease: Lease, since: datetime) -> list[Row]:
        self.asked_since.append(since)
        return [ROW]

    def put_back(self, row: Row) -> None:
        self.put.append(row)


class ForgetfulBroker:
    def send(self, records: Sequence[events.Record]) -> list[Delivery]:
        return [Delivery(0, 0) for _ in records]


@pytest.mark.parametrize("hours", [1, 168])
def test_what_is_put_back_reaches_as_far_as_the_topic_keeps(hours: int) -> None:
    outbox = OutboxWithOneRow()
    clock = Clock(now=lambda: NOW)
    relay = Relay(cast("Outbox", outbox), ForgetfulBroker(), 1, "owner", timedelta(hours=hours), clock=clock)
    relay.turn()
    assert outbox.asked_since == [], "the loss shows only in the first report"
    relay.turn()
    assert outbox.asked_since == [NOW - timedelta(hours=hours)]
    assert outbox.put == [ROW]


class Names:
    def table(self, name: str) -> str:
        return name

    topic = group = url = secret = table

    def setting(self, name: str) -> str:
        return {"log_level": "INFO", "kafka_security": "PLAINTEXT", "outbox_shards": "1"}.get(name, name)


def test_the_relay_reads_the_retention_that_the_catalog_declares() -> None:
    config = read(RelaySettings, environment(CATALOG, "relay_outbox", Names()))
    assert config.retention_hours_transfers == CATALOG.topic("transfers").retention_hours


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param({"RETENTION_HOURS_TRANSFERS": ""}, "is not set", id="not set"),
        pytest.param({"RETENTION_HOURS_TRANSFERS": "0"}, "greater than or equal to 1", id="none"),
    ],
)
def test_a_relay_that_would_bring_nothing_back_does_not_start(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(SettingsError, match=f"RETENTION_HOURS_TRANSFERS: .*{rule}"):
        read(RelaySettings, {**environment(CATALOG, "relay_outbox", Names()), **changes})

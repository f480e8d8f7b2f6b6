"""A dead letter is no loss: once its cause is mended it is replayed, and takes effect exactly once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from apps.consumers.relay_outbox import Relay
from apps.consumers.settle_transfers import Settlement
from apps.kit.kafka import Producer
from apps.kit.settings import KafkaSettings, read
from apps.kit.topics import TopicReader
from apps.kit.worker import Worker
from apps.ledger import items
from tests.apps.kit.fake_kafka import FakeBroker, running, until
from tests.apps.ledger.bank import GRANT_CENTS, Bank, fake_bank
from tests.apps.operators.test_main import DEAD, typed

GROUP = "settle"
_KAFKA = {
    "ENVIRONMENT": "test",
    "AWS_REGION": "sa-east-1",
    "PORT": "1",
    "KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "KAFKA_SECURITY": "PLAINTEXT",
    "TOPIC_TRANSFERS": "transfers",
    "TOPIC_TRANSFERS_DEAD_LETTER": DEAD,
}
RELAY = read(
    KafkaSettings,
    {**_KAFKA, "SERVICE": "relay_outbox", "KAFKA_PRODUCES": "transfers", "KAFKA_READS": "transfers"},
)
SETTLE = read(
    KafkaSettings,
    {
        **_KAFKA,
        "SERVICE": "settle_transfers",
        "KAFKA_PRODUCES": DEAD,
        "KAFKA_CONSUMES": "transfers",
        "KAFKA_GROUP": GROUP,
        "KAFKA_DEAD_LETTER": DEAD,
    },
)


@dataclass
class Pipeline:
    """The ledger, relay and settle workers on a store and a broker in memory. `knows` is what the release
    that runs can handle."""

    bank: Bank = field(default_factory=fake_bank)
    kafka: FakeBroker = field(default_factory=lambda: FakeBroker({"transfers": 6, DEAD: 1}))
    knows: bool = True

    def relay(self) -> None:
        """What waits goes to the broker."""
        Relay(
            self.bank.outbox,
            Producer(RELAY, self.kafka.producer),
            TopicReader(RELAY, self.kafka.reader),
            1,
            "relay",
            retention=timedelta(days=7),
            clock=self.bank.ledger.clock,
        ).turn()

    def work(self) -> None:
        """A worker handles all that there is, and stops."""
        settlement = Settlement(self.bank.ledger)
        worker = Worker(
            SETTLE,
            settlement.handlers(),
            Producer(SETTLE, self.kafka.producer),
            lambda: None,
            together=settlement.together() if self.knows else {},
            connect=lambda: self.kafka.consumer("transfers", GROUP),
            jitter=lambda: 0.0,
        )
        with running(worker):
            until(self._read_to_the_end)

    def _read_to_the_end(self) -> bool:
        logs = {place: log for place, log in self.kafka.logs.items() if place.topic == "transfers"}
        return all(self.kafka.committed.get((GROUP, place)) == len(log) for place, log in logs.items())


Cause = Callable[[Pipeline, str], Callable[[], None]]


def an_item_that_is_gone(at: Pipeline, transfer_id: str) -> Callable[[], None]:
    """The transfer is missing, as after a table was restored to a moment before it; it is put back."""
    place = {"TableName": at.bank.tables.transactions, "Key": items.transfer_key(transfer_id)}
    item = at.bank.raw.get_item(**place)["Item"]
    at.bank.raw.delete_item(**place)

    def mend() -> None:
        at.bank.raw.put_item(TableName=at.bank.tables.transactions, Item=item)

    return mend


def a_release_that_does_not_know_the_type(at: Pipeline, _: str) -> Callable[[], None]:
    """The worker is older than the type of event; it is rolled forward."""
    at.knows = False

    def mend() -> None:
        at.knows = True

    return mend


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (an_item_that_is_gone, "no such transfer"),
        (a_release_that_does_not_know_the_type, "nobody here knows this type of event"),
    ],
)
def test_a_dead_letter_takes_effect_exactly_once_when_its_cause_is_mended(cause: Cause, reason: str) -> None:
    at = Pipeline()
    ana, bruno = at.bank.rich("ana"), at.bank.rich("bruno")
    transfer_id = at.bank.pay("ana", ana, bruno, 300).transfer.transfer_id
    mend = cause(at, transfer_id)
    at.relay()
    at.work()
    (letter,) = at.kafka.records(DEAD)
    assert dict(letter.headers)["dl_reason"] == reason.encode()
    mend()
    assert at.bank.standing_of(transfer_id).status == "HELD"
    assert at.bank.available(bruno) == GRANT_CENTS
    for _ in range(2):
        # Twice: an operator who is not sure that it worked does it again.
        assert typed(at.bank, "dead-letters", "replay", "0:0", kafka=at.kafka).exit_code == 0
        at.work()
        at.relay()
        assert at.bank.standing_of(transfer_id).status == "SETTLED"
        assert (at.bank.available(ana), at.bank.available(bruno)) == (GRANT_CENTS - 300, GRANT_CENTS + 300)
    assert at.kafka.records(DEAD) == [letter], "the cause is mended: nothing is put aside any more"
    told = [dict(each.headers)["ce_type"].rpartition(b".")[2] for each in at.kafka.records("transfers")]
    assert sorted(told) == [b"held", b"held", b"held", b"settled"]
    assert at.bank.auditor.audit().ok

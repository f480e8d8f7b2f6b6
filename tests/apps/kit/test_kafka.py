"""The producer: delivery reports or `PublishFailed`, and no topic that the settings do not list."""

import pytest

from apps.kit.events import Record
from apps.kit.kafka import Delivery, ForbiddenTopic, Producer, PublishFailed, client_options
from apps.kit.settings import KafkaSettings, read
from tests.apps.kit.fake_kafka import FakeBroker

ENVIRONMENT = {
    "SERVICE": "settle_transfers",
    "ENVIRONMENT": "local",
    "AWS_REGION": "sa-east-1",
    "PORT": "8011",
    "KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "KAFKA_SECURITY": "PLAINTEXT",
    "TOPIC_TRANSFERS": "local-transfers",
    "TOPIC_TRANSFERS_DEAD_LETTER": "local-transfers.dead-letter",
    "KAFKA_PRODUCES": "transfers.dead-letter",
    "KAFKA_CONSUMES": "transfers",
    "KAFKA_GROUP": "local-settle-transfers",
    "KAFKA_DEAD_LETTER": "transfers.dead-letter",
}
SETTINGS = read(KafkaSettings, {**ENVIRONMENT, "KAFKA_PRODUCES": "transfers,transfers.dead-letter"})


def record(key: str, topic: str = "transfers") -> Record:
    return Record(topic, key, b"{}", (("ce_id", key.encode()),))


def broker() -> FakeBroker:
    return FakeBroker({"local-transfers": 3, "local-transfers.dead-letter": 1})


def test_deliveries_come_in_the_order_of_the_records() -> None:
    kafka = broker()
    sent = [record(key) for key in "abcabd"]
    deliveries = Producer(SETTINGS, kafka.producer).send(sent)
    assert len(deliveries) == len(sent)
    for one, delivery in zip(sent, deliveries, strict=True):
        stored = next(
            stored
            for stored in kafka.records("local-transfers")
            if Delivery(stored.partition, stored.offset) == delivery
        )
        assert (stored.key, stored.value, tuple(stored.headers)) == (
            one.key.encode(),
            one.value,
            one.headers,
        )


def test_a_topic_outside_the_settings_is_refused_before_anything_is_sent() -> None:
    kafka = broker()
    producer = Producer(read(KafkaSettings, ENVIRONMENT), kafka.producer)
    with pytest.raises(ForbiddenTopic, match="'transfers'"):
        producer.send([record("a", "transfers.dead-letter"), record("b")])
    assert kafka.logs == {}


def test_a_failure_names_the_records_without_a_report_and_the_next_send_starts_afresh() -> None:
    kafka = broker()
    kafka.refused.add("local-transfers")
    producer = Producer(SETTINGS, kafka.producer)
    with pytest.raises(PublishFailed) as failed:
        producer.send([record("a"), record("b", "transfers.dead-letter"), record("c")])
    assert failed.value.indexes == (0, 2)
    assert failed.value.cause == "TopicAuthorizationFailedError"
    kafka.refused.clear()
    assert producer.send([record("a")]) == [Delivery(1, 0)]
    assert kafka.connections == 2


def test_brokers_that_went_away_fail_every_record_without_waiting_for_each() -> None:
    kafka = broker()
    producer = Producer(SETTINGS, kafka.producer)
    producer.ready()
    kafka.away = True
    with pytest.raises(PublishFailed) as failed:
        producer.send([record("a"), record("b")])
    assert failed.value.indexes == (0, 1)
    with pytest.raises(PublishFailed, match="KafkaConnectionError"):
        producer.ready()
    kafka.away = False
    producer.ready()


def test_a_report_without_an_offset_is_no_report() -> None:
    kafka = broker()
    kafka.vague = True
    with pytest.raises(PublishFailed) as failed:
        Producer(SETTINGS, kafka.producer).send([record("a")])
    assert failed.value.indexes == (0,)


def test_foreign_bytes_are_forwarded_as_they_are() -> None:
    kafka = broker()
    producer = Producer(SETTINGS, kafka.producer)
    producer.forward("transfers.dead-letter", b"\xff", None, [("h", b"\xfe"), ("h", None)])
    producer.forward("transfers.dead-letter", None, None, [])
    first, second = kafka.records("local-transfers.dead-letter")
    assert (first.key, first.value, tuple(first.headers)) == (b"\xff", None, (("h", b"\xfe"), ("h", b"")))
    assert (second.key, second.value) == (None, b"")


def test_a_producer_connects_when_it_is_needed_and_lets_go_when_closed() -> None:
    kafka = broker()
    producer = Producer(SETTINGS, kafka.producer)
    assert kafka.connections == 0
    producer.send([record("a")])
    producer.close()
    producer.close()
    producer.send([record("a")])
    assert kafka.connections == 2


def test_each_kind_of_security_gives_the_client_its_identity() -> None:
    assert client_options(SETTINGS) == {
        "bootstrap_servers": ["127.0.0.1:1"],
        "security_protocol": "PLAINTEXT",
    }
    user = {**ENVIRONMENT, "KAFKA_USERNAME": "u", "KAFKA_PASSWORD": "p", "KAFKA_SECURITY": "SASL_PLAINTEXT"}
    options = client_options(read(KafkaSettings, user))
    assert (options["sasl_mechanism"], options["sasl_plain_username"], options["sasl_plain_password"]) == (
        "PLAIN",
        "u",
        "p",
    )
    options = client_options(read(KafkaSettings, {**ENVIRONMENT, "KAFKA_SECURITY": "AWS_MSK_IAM"}))
    assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "AWS_MSK_IAM")

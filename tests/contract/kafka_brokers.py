"""Three places where the kit's producer and worker keep the same promises: a fake, Tansu and Apache Kafka."""

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from apps.catalog import CATALOG, environment
from apps.kit.events import Event
from apps.kit.kafka import Producer
from apps.kit.settings import KafkaSettings, read
from apps.kit.topics import TopicReader
from apps.kit.worker import Worker
from environments.local import apache_kafka, tansu
from environments.local.broker import Broker, BrokerUnavailable, is_ready, provision
from tests.apps.kit.fake_kafka import FakeBroker, until

Handlers = Mapping[str, tuple[int, Callable[[Event], None]]]

_prefixes = itertools.count(1)


@dataclass(frozen=True)
class Prefixed:
    """Names of one test: its topics and groups are nobody else's."""

    prefix: str
    bootstrap: str
    security: str

    def table(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    topic = group = url = secret = table

    def setting(self, name: str) -> str:
        settings = {"kafka_bootstrap": self.bootstrap, "kafka_security": self.security, "log_level": "INFO"}
        return settings.get(name, "unused")


class Place(Protocol):
    """A broker with the catalog's topics on it, empty at the start of each test."""

    kind: str

    def settings(self, service: str, **changes: str) -> KafkaSettings:
        """The settings of a service of the catalog, with some variables changed."""
        ...

    def producer(self, settings: KafkaSettings) -> Producer: ...

    def reader(self, settings: KafkaSettings) -> TopicReader: ...

    def worker(self, handlers: Handlers, producer: Producer | None = None) -> Worker:
        """A worker with the settings of `settle_transfers`."""
        ...

    def records(self, topic: str) -> Sequence[Any]:
        """What is in a topic (a catalog name) now."""
        ...


class FakePlace:
    kind = "fake"

    def __init__(self) -> None:
        self.names = Prefixed("fake", "127.0.0.1:1", "PLAINTEXT")
        self.broker = FakeBroker({self.names.topic(topic.name): topic.partitions for topic in CATALOG.topics})

    def settings(self, service: str, **changes: str) -> KafkaSettings:
        return read(KafkaSettings, {**environment(CATALOG, service, self.names), **changes})

    def producer(self, settings: KafkaSettings) -> Producer:
        return Producer(settings, self.broker.producer)

    def reader(self, settings: KafkaSettings) -> TopicReader:
        return TopicReader(settings, self.broker.reader)

    def worker(self, handlers: Handlers, producer: Producer | None = None) -> Worker:
        settings = self.settings("settle_transfers")
        topic, group = self.names.topic("transfers"), str(settings.kafka_group)
        return Worker(
            settings,
            handlers,
            producer or self.producer(settings),
            lambda: None,
            connect=lambda: self.broker.consumer(topic, group),
        )

    def records(self, topic: str) -> Sequence[Any]:
        return self.broker.records(self.names.topic(topic))


class RealPlace:
    def __init__(self, kind: str, broker: Broker) -> None:
        self.kind = kind
        self.broker = broker
        self.names = Prefixed(f"test{next(_prefixes)}", broker.bootstrap, broker.security)
        self._producers: list[Producer] = []
        self._readers: list[TopicReader] = []
        provision(broker, CATALOG, self.names)

    def settings(self, service: str, **changes: str) -> KafkaSettings:
        variables = environment(CATALOG, service, self.names)
        return read(KafkaSettings, {**variables, **self.broker.variables(service), **changes})

    def producer(self, settings: KafkaSettings) -> Producer:
        producer = Producer(settings)
        self._producers.append(producer)
        return producer

    def reader(self, settings: KafkaSettings) -> TopicReader:
        reader = TopicReader(settings)
        self._readers.append(reader)
        return reader

    def worker(self, handlers: Handlers, producer: Producer | None = None) -> Worker:
        settings = self.settings("settle_transfers")
        return Worker(settings, handlers, producer or self.producer(settings), lambda: None)

    def records(self, topic: str) -> Sequence[Any]:
        options: dict[str, Any] = {
            "bootstrap_servers": self.broker.bootstrap,
            "fetch_max_wait_ms": 50,
            "enable_auto_commit": False,
            **self.broker.admin,
        }
        consumer: Any = KafkaConsumer(**options)
        try:
            name = self.names.topic(topic)
            partitions = [TopicPartition(name, number) for number in range(CATALOG.topic(topic).partitions)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            missing = sum(consumer.end_offsets(partitions).values())
            found: list[Any] = []
            deadline = time.monotonic() + 10
            while len(found) < missing and time.monotonic() < deadline:
                found += [record for batch in consumer.poll(timeout_ms=200).values() for record in batch]
            return found
        finally:
            consumer.close()

    def close(self) -> None:
        for producer in self._producers:
            producer.close()
        for reader in self._readers:
            reader.close()


@contextmanager
def started(broker: Broker, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The broker's process, ready, and gone at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            broker.argv, env={**os.environ, **broker.env}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            until(lambda: process.poll() is not None or is_ready(broker), 60)
            assert process.poll() is None, log.read_text()[-2_000:]
            yield process
        finally:
            process.kill()
            process.wait()


def prepared(kind: str, directory: Path) -> Broker:
    """A broker of that kind; skips, or fails under GOBANK_NO_SKIP=1, where this machine cannot run it."""
    try:
        return tansu.prepare() if kind == "tansu" else apache_kafka.prepare(directory, CATALOG)
    except BrokerUnavailable as unavailable:
        reason = f"THE CONTRACT WITH {kind.upper()} IS NOT CHECKED: {unavailable}"
        if os.environ.get("GOBANK_NO_SKIP") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

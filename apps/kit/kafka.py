"""The Kafka producer of a process: it returns once the broker has said where each record is.

It refuses a topic that its settings do not list. Nothing here says that a record was *not* written: after
`PublishFailed` the broker may have it all the same, so what must not be lost is kept elsewhere (the
outbox) and sent again. Constructing a `Producer` opens no connection, so a process starts without a
broker and becomes ready with it.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.net.compat import KafkaNetClient

from apps.kit.events import Record
from apps.kit.settings import KafkaSettings

CONNECT_TIMEOUT_MS = 3_000
DELIVERY_TIMEOUT_MS = 5_000
REQUEST_TIMEOUT_MS = 3_000
CLOSE_TIMEOUT_SECONDS = 5.0
MAX_REQUEST_BYTES = 2 * 1024 * 1024
"""Above a broker's usual limit for a record (1 MiB): a dead letter is its record and some headers."""

C = TypeVar("C")

_log = logging.getLogger(__name__)


class ForbiddenTopic(Exception):  # noqa: N818
    """This service may not use that topic: the catalog does not say that it does."""


class PublishFailed(Exception):  # noqa: N818
    """At least one record has no delivery report. `indexes` are the places of those in what was sent."""

    def __init__(self, indexes: Sequence[int], cause: str) -> None:
        super().__init__(f"{len(indexes)} records have no delivery report: {cause}")
        self.indexes = tuple(indexes)
        self.cause = cause


@dataclass(frozen=True)
class Delivery:
    """Where the broker put a record."""

    partition: int
    offset: int


class Pending(Protocol):
    """A delivery report that may still be on its way."""

    def get(self, timeout: float | None = None) -> Any:
        """The broker's answer, with `partition` and `offset`, or the `KafkaError` that came instead."""
        ...


class Client(Protocol):
    """The part of `kafka.KafkaProducer` that is used here."""

    def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> Pending: ...

    def close(self, timeout: float | None = None) -> None: ...


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every kafka-python client of this process is given: where the brokers are and who it is."""
    options: dict[str, Any] = {"bootstrap_servers": list(settings.kafka_bootstrap)}
    match settings.kafka_security:
        case "PLAINTEXT":
            options["security_protocol"] = "PLAINTEXT"
        case "SASL_PLAINTEXT":
            options |= {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": settings.kafka_username,
                "sasl_plain_password": settings.kafka_password,
            }
        case "AWS_MSK_IAM":
            # kafka-python signs with botocore's own credential chain and region.
            options |= {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}
    return options


def connected(construct: Callable[..., C], *topics: str, **options: Any) -> C:
    """A kafka-python client that reached its brokers. Raises `KafkaError` and leaves nothing behind if not.

    By itself, a constructor that fails leaves its thread and its sockets (kafka-python 3.0.12).
    """
    networks: list[Any] = []

    def network(**configs: Any) -> Any:
        networks.append(KafkaNetClient(**configs))
        return networks[-1]

    try:
        return construct(*topics, kafka_client=network, **options)
    except BaseException:
        for opened in networks:
            opened.close()
        raise


class Producer:
    """Sends records and waits for their delivery reports. One per process; safe to share among threads."""

    def __init__(self, settings: KafkaSettings, connect: Callable[[], Client] | None = None) -> None:
        self._topics = {name: settings.topics[name] for name in settings.kafka_produces}
        self._connect = connect or (lambda: _connected_producer(settings))
        self._lock = threading.Lock()
        self._client: Client | None = None

    def send(self, records: Sequence[Record]) -> list[Delivery]:
        """Send all, wait for all; where each one is, in the same order.

        Raises `ForbiddenTopic` before anything is sent, and `PublishFailed` naming the records without a
        report; the others were delivered.
        """
        topics = [self._physical(record.topic) for record in records]
        client = self._connected_client(len(records))
        sent: list[Pending | KafkaError] = []
        for topic, record in zip(topics, records, strict=True):
            if sent and isinstance(sent[-1], KafkaTimeoutError):
                # The brokers are away: the rest would wait just as long, one after the other.
                sent.append(sent[-1])
            else:
                sent.append(self._sent(client, topic, record.key.encode(), record.value, record.headers))
        return self._reports(client, sent)

    def forward(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> Delivery:
        """Send one record whose bytes are somebody else's, as they are. Raises as `send` does."""
        physical = self._physical(topic)
        if key is None and value is None:
            # kafka-python refuses a record with neither.
            value = b""
        client = self._connected_client(1)
        present = tuple((name, content or b"") for name, content in headers)
        return self._reports(client, [self._sent(client, physical, key, value, present)])[0]

    def ready(self) -> None:
        """Raise unless the brokers were reached and the last thing sent to them arrived."""
        self._connected_client(0)

    def close(self) -> None:
        """Wait shortly for what is on its way and let go of the connection."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            _close(client)

    def _physical(self, topic: str) -> str:
        physical = self._topics.get(topic)
        if physical is None:
            raise ForbiddenTopic(f"this service does not produce to '{topic}'")
        return physical

    def _connected_client(self, waiting: int) -> Client:
        with self._lock:
            if self._client is None:
                try:
                    self._client = self._connect()
                except (KafkaError, OSError) as error:
                    raise PublishFailed(range(waiting), type(error).__name__) from error
            return self._client

    @staticmethod
    def _sent(
        client: Client,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> Pending | KafkaError:
        try:
            return client.send(topic, value=value, key=key, headers=list(headers))
        except KafkaError as error:
            return error

    def _reports(self, client: Client, sent: Sequence[Pending | KafkaError]) -> list[Delivery]:
        deliveries: list[Delivery] = []
        failures: dict[int, KafkaError] = {}
        # One deadline for all: when brokers are away, each report would be waited for just as long.
        deadline = time.monotonic() + (DELIVERY_TIMEOUT_MS + REQUEST_TIMEOUT_MS) / 1000
        for index, pending in enumerate(sent):
            try:
                deliveries.append(_delivery(pending, max(0.0, deadline - time.monotonic())))
            except KafkaError as error:
                failures[index] = error
        if failures:
            self._discard(client)
            first = next(iter(failures.values()))
            raise PublishFailed(tuple(failures), type(first).__name__) from first
        return deliveries

    def _discard(self, client: Client) -> None:
        """A client that failed is not used again: its sequence numbers may not fit the broker's any more."""
        with self._lock:
            if self._client is client:
                self._client = None
        _close(client)


def _delivery(pending: Pending | KafkaError, timeout: float) -> Delivery:
    if isinstance(pending, KafkaError):
        raise pending
    report = pending.get(timeout=timeout)
    if report.offset < 0:
        # A duplicate that the broker knows and cannot place any more: nobody says where the record is.
        raise KafkaError("no offset")
    return Delivery(report.partition, report.offset)


def _connected_producer(settings: KafkaSettings) -> Client:
    client: Client = connected(
        KafkaProducer,
        **client_options(settings),
        # Either of these alone can silently turn the other off.
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        allow_auto_create_topics=False,
        max_block_ms=CONNECT_TIMEOUT_MS,
        bootstrap_timeout_ms=CONNECT_TIMEOUT_MS,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
        max_request_size=MAX_REQUEST_BYTES,
        reconnect_backoff_max_ms=1_000,
    )
    return client


def _close(client: Client) -> None:
    try:
        client.close(timeout=CLOSE_TIMEOUT_SECONDS)
    except KafkaError as error:
        _log.warning("the producer did not close in time", extra={"error": type(error).__name__})

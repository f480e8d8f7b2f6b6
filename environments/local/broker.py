"""A Kafka broker as a value: what to start, how to reach it, and the catalog's topics on it.

`tansu.prepare()`, `apache_kafka.prepare(directory, catalog)` and `existing("host:port")` make one. Whoever
runs it starts `argv` (empty for `existing`: it runs already), waits until `is_ready(broker)`, and then calls
`provision(broker, catalog, names)`, which may be repeated. A service is told `broker.variables(service)`.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.net.compat import KafkaNetClient

from apps.catalog import Catalog, Names, Topic

CONNECT_TIMEOUT_MS = 3_000
DEAD_LETTER_MAX_BYTES = 2 * 1024 * 1024


class BrokerUnavailable(Exception):  # noqa: N818
    """This kind of broker cannot run on this machine. The message says what to do instead."""


@dataclass(frozen=True)
class Broker:
    """One broker on this machine or elsewhere.

    `argv` and `env` (added to the parent's) start it; `wakes_fetches` as in the services' settings;
    `credentials` are user and password by service;
    `admin` are the options of kafka-python's admin client; `authorize` puts the catalog's permissions on
    it, where it has any.
    """

    name: str
    bootstrap: str
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    security: Literal["PLAINTEXT", "SASL_PLAINTEXT"] = "PLAINTEXT"
    session_timeout_ms: int = 10_000
    wakes_fetches: bool = True
    credentials: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    admin: Mapping[str, Any] = field(default_factory=dict, repr=False)
    authorize: Callable[[Any, Catalog, Names[str]], None] | None = None

    def variables(self, service: str) -> dict[str, str]:
        """What `service` is told besides the catalog's own variables: its credentials and its patience."""
        variables = {"KAFKA_SESSION_TIMEOUT_MS": str(self.session_timeout_ms)}
        if not self.wakes_fetches:
            variables["KAFKA_WAKES_FETCHES"] = "false"
        if service in self.credentials:
            variables["KAFKA_USERNAME"], variables["KAFKA_PASSWORD"] = self.credentials[service]
        return variables


def existing(bootstrap: str) -> Broker:
    """A broker that somebody else runs, without authentication. Its topics are created, it is not started."""
    return Broker(name=f"Kafka at {bootstrap}", bootstrap=bootstrap)


def is_ready(broker: Broker) -> bool:
    """Whether the broker answers. Never raises, and takes a few seconds at most."""
    host, _, port = broker.bootstrap.partition(",")[0].rpartition(":")
    try:
        # kafka-python complains in the log about each refused connection, so this asks first.
        socket.create_connection((host, int(port)), timeout=1.0).close()
        with _admin(broker) as admin:
            admin.list_topics()
    except (KafkaError, OSError):
        return False
    return True


def provision(broker: Broker, catalog: Catalog, names: Names[str]) -> None:
    """Create the catalog's topics and permissions where they are missing. Raises `KafkaError`."""
    with _admin(broker) as admin:
        create_topics(admin, catalog, names)
        if broker.authorize is not None:
            broker.authorize(admin, catalog, names)


def create_topics(admin: Any, catalog: Catalog, names: Names[str]) -> None:
    """Create the topics that are not there yet, through a `KafkaAdminClient`."""
    there = set(admin.list_topics())
    missing = {
        name: _topic_options(catalog, topic)
        for topic in catalog.topics
        if (name := names.topic(topic.name)) not in there
    }
    if missing:
        with contextlib.suppress(TopicAlreadyExistsError):
            admin.create_topics(missing, wait_for_metadata=True)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _topic_options(catalog: Catalog, topic: Topic) -> dict[str, Any]:
    configs = {"retention.ms": str(topic.retention_hours * 3_600_000)}
    if any(other.dead_letter == topic.name for other in catalog.topics):
        # A dead letter is the whole record plus headers that say why.
        configs["max.message.bytes"] = str(DEAD_LETTER_MAX_BYTES)
    return {"num_partitions": topic.partitions, "replication_factor": 1, "configs": configs}


@contextlib.contextmanager
def _admin(broker: Broker) -> Iterator[Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": broker.bootstrap.split(","),
        "bootstrap_timeout_ms": CONNECT_TIMEOUT_MS,
        **broker.admin,
    }
    networks: list[Any] = []

    def network(**configs: Any) -> Any:
        networks.append(KafkaNetClient(**configs))
        return networks[-1]

    try:
        yield KafkaAdminClient(kafka_client=network, **options)
    finally:
        # Also what a constructor that failed leaves behind (kafka-python 3.0.12).
        for opened in networks:
            opened.close()

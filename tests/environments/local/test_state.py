"""What an environment leaves on disk: found again, and never more than its own."""

import os
from pathlib import Path

import psutil
import pytest

from environments.local.processes import ROOT
from environments.local.state import Started, State, home


@pytest.mark.parametrize(
    ("value", "folder"),
    [(None, ROOT / ".gobank"), ("", ROOT / ".gobank"), ("/srv/bank", Path("/srv/bank"))],
    ids=["unset", "empty", "absolute"],
)
def test_the_home_is_the_checkouts_unless_named(
    monkeypatch: pytest.MonkeyPatch, value: str | None, folder: Path
) -> None:
    if value is None:
        monkeypatch.delenv("GOBANK_HOME", raising=False)
    else:
        monkeypatch.setenv("GOBANK_HOME", value)
    assert home() == folder


def test_a_relative_home_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOBANK_HOME", "bank")
    assert home() == tmp_path / "bank"


def test_files_of_a_folder_that_held_no_environment_stay(tmp_path: Path) -> None:
    for name in ("jobs", "tokens"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("precious")
    assert not State(tmp_path).clean_up()
    assert [path.read_text() for path in sorted(tmp_path.glob("*/mine.txt"))] == ["precious", "precious"]


def test_what_a_supervisor_left_is_cleaned_up(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.prepare()
    state.record(Started(os.getpid(), -1.0), [])
    state.describe({})
    (state.tokens / "gateway").write_text("token")
    assert state.clean_up()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_process_is_the_same_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Started.of(os.getpid())
    boot = psutil.boot_time()
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot + 1)  # type: ignore[attr-defined]
    assert ours.process() == psutil.Process()


def test_another_process_with_the_same_id_is_not_taken_for_ours() -> None:
    ours = Started.of(os.getpid())
    assert Started(ours.pid, ours.began - 1).process() is None

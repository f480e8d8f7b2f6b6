"""A command that is cut short ends what it has started, and says nothing that is not so."""

import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environment import GOBANK, Environment, gone


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Environment]:
    """Nothing is up in it, and nothing stays."""
    bank = Environment(tmp_path)
    yield bank
    bank.gobank("down")


def until_said(terminal: int, word: bytes, seconds: float = 60) -> None:
    """Reads what a command says to its terminal, up to and with `word`."""
    deadline = time.monotonic() + seconds
    said = b""
    while word not in said:
        assert time.monotonic() < deadline, said.decode()
        said += os.read(terminal, 4096)


@pytest.mark.parametrize(
    ("command", "word", "number"),
    [
        ("demo", b"creating tables", signal.SIGTERM),
        ("demo", b"Two people sign up", signal.SIGTERM),
        ("up", b"Ctrl-C takes it down", signal.SIGTERM),
        ("up", b"creating tables", signal.SIGHUP),
        ("up", b"Ctrl-C takes it down", signal.SIGHUP),
    ],
    ids=["demo-starting", "demo-telling", "up", "terminal-closed-starting", "terminal-closed-up"],
)
def test_a_command_that_is_ended_leaves_nothing(
    bank: Environment, command: str, word: bytes, number: signal.Signals
) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [GOBANK, command], env=bank.env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        until_said(ours, word)
        running = bank.processes()
        # A terminal that is closed can be written to no more.
        if number == signal.SIGHUP:
            os.close(ours)
        process.send_signal(number)
        process.wait(timeout=40)
    if number != signal.SIGHUP:
        os.close(ours)
    assert running
    gone(running, 5)
    assert bank.processes() == []


def test_a_start_whose_steps_nobody_reads_is_given_up(bank: Environment) -> None:
    with subprocess.Popen(
        [GOBANK, "up", "--detach"], env=bank.env, stderr=subprocess.PIPE, start_new_session=True
    ) as command:
        assert command.stderr is not None
        command.stderr.readline()
        command.stderr.close()
        assert command.wait(timeout=40) != 0
    assert bank.processes() == []

"""Emulators as processes: each dies with the supervisor, however that goes."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

STOP_SECONDS = 5.0


def start(argv: tuple[str, ...], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Starts `argv` with `env` added to this process's own variables, its output in `log`."""
    with log.open("wb") as output:
        return subprocess.Popen(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (it makes one system call and takes no lock)
        )


def stop(emulators: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ends them, and waits until they have."""
    ending = list(emulators)
    for emulator in ending:
        emulator.terminate()
    for emulator in ending:
        try:
            emulator.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            emulator.kill()
            emulator.wait()


def _die_with_parent() -> None:
    """Linux: be killed when the supervisor is gone, however it went (prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)

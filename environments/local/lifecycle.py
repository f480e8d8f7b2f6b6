"""Starting and ending the supervisor, from the outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import psutil

from environments.local.processes import ROOT
from environments.local.state import State
from environments.local.supervisor import Options

DOWN_SECONDS = 30.0
# Not `-m`: the services' fork server would import that module again into every service.
_PROGRAM = "from environments.local.supervisor import main; main()"


class NotUp(Exception):  # noqa: N818
    """There is no environment up in this folder."""


class UpFailed(Exception):  # noqa: N818
    """The environment did not come up; nothing of it is left. `log` are the last lines of what failed."""

    def __init__(self, message: str, log: list[str]) -> None:
        super().__init__(message)
        self.log = log


def launch(state: State, options: Options, on_step: Callable[[str], None]) -> subprocess.Popen[str]:
    """Starts a supervisor and waits until its environment is ready. Raises `UpFailed`."""
    state.prepare()
    clean_up(state)
    with (state.folder / "supervisor.log").open("w") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(asdict(options))],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert supervisor.stdout is not None
    try:
        for line in supervisor.stdout:
            said = json.loads(line)
            if "step" in said:
                on_step(said["step"])
            elif "ready" in said:
                return supervisor
            elif "failed" in said:
                supervisor.wait()
                raise UpFailed(said["failed"], said["log"])
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait()
        raise
    supervisor.wait()
    raise UpFailed(
        f"the supervisor ended with {supervisor.returncode} while starting",
        (state.folder / "supervisor.log").read_text().splitlines()[-15:],
    )


def description(state: State) -> dict[str, Any]:
    """What is up, by `environment.json`. Raises `NotUp`."""
    found = state.described()
    if found is None or state.supervisor() is None:
        raise NotUp
    return found


def down(state: State) -> bool:
    """Ends the environment and everything it started; gives whether there was anything to end."""
    supervisor = state.supervisor()
    if supervisor is None:
        return clean_up(state)
    supervisor.send_signal(signal.SIGTERM)
    try:
        supervisor.wait(DOWN_SECONDS)
    except psutil.TimeoutExpired:
        supervisor.kill()
        supervisor.wait(5)
    clean_up(state)
    return True


def clean_up(state: State) -> bool:
    """Ends what a supervisor that is gone has left behind; gives whether there was anything."""
    if state.supervisor() is not None:
        return False
    # What watches its parent is ending by itself at this moment; give it the chance.
    deadline = time.monotonic() + 2.0
    while (left := state.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=5)
    found = bool(left) or state.described() is not None
    state.forget()
    return found

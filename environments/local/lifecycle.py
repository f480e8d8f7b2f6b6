"""Starting and ending the supervisor, from the outside."""

import contextlib
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
from environments.local.supervisor import Options, ready

DOWN_SECONDS = 30.0
SERVICES_SECONDS = 60.0
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
    # Appended to: it is the winner's when two start at the same moment.
    with (state.folder / "supervisor.log").open("a") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(asdict(options))],
            cwd=ROOT,
            # Many threads on few cores: two arenas do, and hold less memory.
            env={
                "MALLOC_ARENA_MAX": "2",
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "GOBANK_HOME": str(state.folder),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert supervisor.stdout is not None
    failed: dict[str, Any] | None = None
    try:
        for line in supervisor.stdout:
            said = json.loads(line)
            if "step" in said:
                on_step(said["step"])
            elif "ready" in said:
                return supervisor
            elif "failed" in said:
                failed = said
    except BaseException:
        # Also when nobody reads the steps any more: what nobody knows of must not run on.
        supervisor.terminate()
        supervisor.wait()
        raise
    supervisor.wait()
    if failed is not None:
        raise UpFailed(failed["failed"], failed["log"])
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


def services_off(state: State) -> None:
    """Stops the bank's services and leaves their tables and topics up. Raises `NotUp`, or `TimeoutError`."""
    description(state)
    state.services_off.touch()
    _until(state, lambda services: not services)


def services_on(state: State) -> None:
    """Starts them again, and waits until each is ready. Raises `NotUp`, or `TimeoutError`."""
    description(state)
    state.services_off.unlink(missing_ok=True)
    _until(state, lambda services: services and all(ready(each["url"]) for each in services.values()))


def _until(state: State, good: Callable[[dict[str, Any]], object]) -> None:
    deadline = time.monotonic() + SERVICES_SECONDS
    while not good(description(state)["services"]):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all services are there after {SERVICES_SECONDS:.0f} s, or not all gone")
        time.sleep(0.1)


def down(state: State) -> bool:
    """Ends the environment and everything it started; gives whether there was anything to end."""
    state.prepare()
    deadline = time.monotonic() + DOWN_SECONDS
    while (supervisor := state.supervisor()) is None:
        with state.only_one() as alone:
            if alone:
                return state.clean_up()
        # Somebody holds the lock and has not written down who: a supervisor in its first moments.
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor.send_signal(signal.SIGTERM)
    try:
        supervisor.wait(DOWN_SECONDS)
    except psutil.TimeoutExpired:
        supervisor.kill()
        supervisor.wait(5)
    with state.only_one() as alone:
        if alone:
            state.clean_up()
    return True

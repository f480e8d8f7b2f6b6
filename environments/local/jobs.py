"""Jobs: programs of the catalog that run on demand, as a process with their own role's keys."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from environments.local.lifecycle import NotUp
from environments.local.processes import INHERITED, ROOT
from environments.local.state import State


def run(state: State, service: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a job to its end and gives its exit code and standard output. Raises `NotUp`."""
    argv, env = _started(state, service, arguments)
    return subprocess.run(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=False)


def show(state: State, service: str, arguments: Sequence[str]) -> int:
    """Runs a job whose output goes where this process's goes, as it comes; gives its exit code. Whatever
    tells this process to end tells the job. Raises `NotUp`."""
    argv, env = _started(state, service, arguments)
    with subprocess.Popen(argv, cwd=ROOT, env=env) as job:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: job.terminate())
        return job.wait()


def _started(state: State, service: str, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    path = state.jobs / f"{service}.json"
    if state.supervisor() is None or not path.exists():
        raise NotUp
    job = json.loads(path.read_text())
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    argv = [sys.executable, "-m", job["module"], *arguments]
    return argv, {**inherited, **job["variables"], "PYTHONPATH": str(ROOT)}

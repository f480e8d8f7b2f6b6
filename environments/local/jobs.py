"""Jobs: programs of the catalog that run on demand, as a process with their own role's keys."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from environments.local.lifecycle import NotUp
from environments.local.processes import INHERITED, ROOT
from environments.local.state import State


def run(state: State, service: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a job to its end and gives its exit code and standard output. Raises `NotUp`."""
    path = state.jobs / f"{service}.json"
    if state.supervisor() is None or not path.exists():
        raise NotUp
    job = json.loads(path.read_text())
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", job["module"], *arguments],
        cwd=ROOT,
        env={**inherited, **job["variables"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )

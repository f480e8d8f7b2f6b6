"""What an environment leaves on disk while it is up: who runs it, where things are, and what was started.

Everything lies in one folder, `.gobank` in the checkout or `GOBANK_HOME`. A process is known by its id
and the time that it began, so that an id used again by somebody else is never taken for ours.
"""

import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from environments.local.processes import ROOT

LEAVE_SECONDS = 2.0


def home() -> Path:
    """The folder of this checkout's environment, absolute: the supervisor works in another folder."""
    return Path(os.environ.get("GOBANK_HOME") or ROOT / ".gobank").absolute()


@dataclass(frozen=True)
class Started:
    """A process of ours. `began` is in seconds since the machine started."""

    pid: int
    began: float

    @classmethod
    def of(cls, pid: int) -> "Started":
        """The process that has this id now."""
        return cls(pid, _began(psutil.Process(pid)))

    def process(self) -> psutil.Process | None:
        """The process if it is still the same and alive."""
        try:
            found = psutil.Process(self.pid)
            same = abs(_began(found) - self.began) < 0.01
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class State:
    """The files of one environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description = folder / "environment.json"
        self.logs = folder / "logs"
        self.tokens = folder / "tokens"
        self.jobs = folder / "jobs"
        self.ministack = folder / "ministack"
        self.ended = folder / "ended.txt"
        self.services_off = folder / "services.off"
        """While it is there, the supervisor keeps the services down and what they stand on up."""
        self._started = folder / "started.json"

    def prepare(self) -> None:
        """Makes the folders, readable by this user alone."""
        for folder in (self.folder, self.logs, self.tokens, self.jobs, self.ministack):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def only_one(self) -> Iterator[bool]:
        """Holds the environment's lock; gives false when another supervisor has it."""
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def record(self, supervisor: Started, others: list[Started]) -> None:
        """Writes down every process, so that `down` finds them after a crash."""
        everything = {"supervisor": vars(supervisor), "others": [vars(each) for each in others]}
        _write(self._started, everything)

    def supervisor(self) -> psutil.Process | None:
        """The supervisor, if it is alive."""
        found = _read(self._started)
        return Started(**found["supervisor"]).process() if found else None

    def leftovers(self) -> list[psutil.Process]:
        """Recorded processes that are still alive, the supervisor not among them."""
        found = _read(self._started)
        recorded = [Started(**each) for each in found["others"]] if found else []
        return [process for each in recorded if (process := each.process()) is not None]

    def describe(self, description: Mapping[str, Any]) -> None:
        """Writes `environment.json`, whole or not at all."""
        _write(self.description, description)

    def described(self) -> dict[str, Any] | None:
        """`environment.json`, if there is one."""
        return _read(self.description)

    def clean_up(self) -> bool:
        """Ends what a supervisor that is gone has left behind; gives whether there was anything.

        Only for whoever holds the lock: a supervisor that starts would look like one that is gone.
        """
        # What watches its parent is ending by itself at this moment; give it the chance.
        deadline = time.monotonic() + LEAVE_SECONDS
        while (left := self.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)
        found = bool(left) or self.described() is not None
        self.forget()
        return found

    def forget(self) -> None:
        """Removes what says that something is up. What no supervisor of ours has recorded is not ours."""
        if not self._started.exists():
            return
        for folder in (self.tokens, self.jobs):
            for path in folder.glob("*"):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.ministack, ignore_errors=True)
        self.description.unlink(missing_ok=True)
        self.services_off.unlink(missing_ok=True)
        self._started.unlink()


def _began(process: psutil.Process) -> float:
    """When a process began, by a clock that nobody sets.

    Linux counts from the machine's start and psutil adds the time of that, which moves by a second when
    the clock is set or drifts: after that no process of ours would be ours any more.
    """
    began = process.create_time()
    return began - psutil.boot_time() if sys.platform == "linux" else began


def _write(path: Path, document: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(document, indent=2))
    fresh.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return document

"""Who holds a stack's lock, as the engine says it; and whether nobody does any more.

A bucket or a folder as backend keeps a lock as a file without an end, so an update that was killed leaves
one behind. It is ours to cancel when it was made by this user on this machine and its process is gone.
Everybody else's is only named: a second update beside a running one would break the stack. A sweep cancels
also those that are older than any update takes: a machine of CI that was killed never comes back to its own.
"""

import getpass
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import psutil

MARKS = ("the stack is currently locked by", "[409] Conflict: Another update is currently in progress")
HOLDER = re.compile(
    r"created by (?P<user>[^\s@]*)@(?P<host>\S+) \(pid (?P<pid>[0-9]+)\) at (?P<since>[0-9T:.Z+-]+)"
)
CLOCK_SECONDS = 5.0
"""By how much the time in a lock and the time that a process began may differ."""


@dataclass(frozen=True)
class Holder:
    """The process that made a lock, and when."""

    user: str
    host: str
    pid: int
    since: datetime

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class Machine:
    """Where this runs. `began` gives the time that a process began, None when there is no such process."""

    user: str
    host: str
    began: Callable[[int], float | None]

    @classmethod
    def here(cls) -> "Machine":
        """This one."""
        return cls(getpass.getuser(), socket.gethostname(), _began)


def locked(message: str) -> bool:
    """Whether the engine refused to work because somebody else does."""
    return any(mark in message for mark in MARKS)


def holders(message: str) -> list[Holder]:
    """Who holds the locks that the engine's message lists; none where the backend does not tell."""
    return [
        Holder(found["user"], found["host"], int(found["pid"]), datetime.fromisoformat(found["since"]))
        for found in HOLDER.finditer(message)
    ]


def stale(found: Sequence[Holder], machine: Machine) -> bool:
    """Whether all of them were ours and are gone."""
    return bool(found) and all(_gone(each, machine) for each in found)


def abandoned(found: Sequence[Holder], before: datetime) -> bool:
    """Whether all of them are from a time before: whoever made them has been ended since."""
    return bool(found) and all(each.since < before for each in found)


def named(stack: str, found: Sequence[Holder]) -> str:
    """What to say of a lock that is not ours to cancel."""
    who = "; ".join(map(str, found)) or "another update (its backend does not say whose)"
    return (
        f"{stack} is locked by {who}. Wait until that is done. If it was killed, release the lock and try "
        f"again: pulumi cancel --stack {stack} --yes"
    )


def _gone(holder: Holder, machine: Machine) -> bool:
    if (holder.user, holder.host) != (machine.user, machine.host):
        return False
    began = machine.began(holder.pid)
    # A process that began after the lock was made only has the same id.
    return began is None or began > holder.since.timestamp() + CLOCK_SECONDS


def _began(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None

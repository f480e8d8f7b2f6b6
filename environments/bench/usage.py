"""What the processes of an environment use: CPU, and memory counted twice and once.

Services are forked from one server and share what it had loaded. Resident memory (RSS) counts a shared page
in each of them; the proportional set (PSS) counts it once in all, so that its sum is what the machine gives.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

IDLE_SECONDS = 10.0
IDLE_TARGET_MIB = 900


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far, and memory, of one process. Where Linux does not tell, there is no `pss_mib`."""

    cpu_seconds: float
    resident_mib: float
    pss_mib: float | None


@dataclass(frozen=True)
class Idle:
    """An environment that nobody asks for anything: shares of a core, and memory, by process."""

    seconds: float
    core_share: Mapping[str, float]
    resident_mib: Mapping[str, float]
    pss_mib: Mapping[str, float] | None

    @property
    def cores(self) -> float:
        """Of all together."""
        return sum(self.core_share.values())


def usage(description: Mapping[str, Any]) -> dict[str, Usage]:
    """What each process of the environment has used, the supervisor and its fork server included."""
    pids = {
        name: each["pid"]
        for kind in ("services", "simulators", "emulators")
        for name, each in description.get(kind, {}).items()
    }
    supervisor = description["supervisor"]
    pids |= {"supervisor": supervisor["pid"], "forkserver": supervisor["forkserver"]}
    return {name: _used(pid) for name, pid in pids.items() if pid is not None}


def idle(description: Mapping[str, Any], seconds: float = IDLE_SECONDS) -> Idle:
    """What it uses while nothing is asked of it."""
    before, started = usage(description), time.perf_counter()
    time.sleep(seconds)
    after, passed = usage(description), time.perf_counter() - started
    return Idle(
        passed,
        {name: (after[name].cpu_seconds - used.cpu_seconds) / passed for name, used in before.items()},
        {name: used.resident_mib for name, used in after.items()},
        proportional(after),
    )


def proportional(used: Mapping[str, Usage]) -> dict[str, float] | None:
    """PSS by process, if each has one."""
    found = {name: each.pss_mib for name, each in used.items() if each.pss_mib is not None}
    return found if len(found) == len(used) else None


def _used(pid: int) -> Usage:
    process = psutil.Process(pid)
    times = process.cpu_times()
    return Usage(times.user + times.system, process.memory_info().rss / 2**20, _pss_mib(pid))


def _pss_mib(pid: int) -> float | None:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return None

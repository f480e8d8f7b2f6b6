"""`make soak`: the bank workload under random faults, for as long as you like.

Brings an environment of its own up, with a broker that may lose its memory, and says every few moments how
it goes. At the end it drains, asks what nobody knows, and judges. Exit code 0: no promise was broken and no
process of ours grew.
"""

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.chaos.checker import counted
from tests.chaos.nemesis import DEADLY, KINDS
from tests.chaos.stage import SERVICES, Stage, in_background, stage
from tests.chaos.trial import GRANT_CENTS, Trial
from tests.chaos.workload import told

SAMPLE_SECONDS = 2.0
REPORT_SECONDS = 30.0
WARM_SECONDS = 120.0
"""A process's memory is looked at from this age on: by then it has done everything once."""
GROWTH_MIB = 16.0
GROWTH_SHARE = 0.25


@dataclass
class Memory:
    """Resident MiB of each process by its age, for every life of it."""

    stage: Stage
    lives: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)

    def watch(self, stop: threading.Event) -> None:
        """Samples until told to stop."""
        while not stop.wait(SAMPLE_SECONDS):
            self.sample()

    def sample(self) -> dict[str, float]:
        """What each process holds now."""
        now: dict[str, float] = {}
        for name, pid in self._pids():
            try:
                process = psutil.Process(pid)
                mib = process.memory_info().rss / 2**20
                age = time.time() - process.create_time()
            except psutil.NoSuchProcess:
                continue
            self.lives.setdefault((name, pid), []).append((age, mib))
            now[name] = mib
        return now

    def grown(self) -> list[str]:
        """Processes of ours that held much more at the end of a life than when they were warm."""
        found = []
        for (name, pid), samples in sorted(self.lives.items()):
            warm = [mib for age, mib in samples if age >= WARM_SECONDS]
            if name in {*SERVICES, "supervisor"} and len(warm) > 10:
                first, last = sum(warm[:5]) / 5, sum(warm[-5:]) / 5
                if last - first > max(GROWTH_MIB, GROWTH_SHARE * first):
                    found.append(f"{name} (pid {pid}) grew from {first:.0f} to {last:.0f} MiB")
        return found

    def table(self) -> Table:
        """By process: how many lives, the longest of them, and what it held when young, warm and last."""
        table = Table(
            "process", "lives", "longest life", "MiB at first", "at half of it", "at its end", "most"
        )
        for name in sorted({name for name, _ in self.lives}):
            lives = [samples for (whose, _), samples in self.lives.items() if whose == name]
            longest = max(lives, key=lambda samples: samples[-1][0] - samples[0][0])
            table.add_row(
                name,
                str(len(lives)),
                f"{longest[-1][0] - longest[0][0]:.0f} s",
                f"{longest[0][1]:.0f}",
                f"{longest[len(longest) // 2][1]:.0f}",
                f"{longest[-1][1]:.0f}",
                f"{max(mib for samples in lives for _, mib in samples):.0f}",
            )
        return table

    def _pids(self) -> Iterator[tuple[str, int]]:
        described = self.stage.bank.state.described() or {}
        for kind in ("services", "emulators"):
            for name, each in described.get(kind, {}).items():
                yield name, int(each["pid"])
        if "supervisor" in described:
            yield "supervisor", int(described["supervisor"]["pid"])


def _report(trial: Trial, memory: Memory, console: Console, stop: threading.Event) -> None:
    started, before = time.monotonic(), 0
    while not stop.wait(REPORT_SECONDS):
        history = trial.workload.history
        acked = told(history).get("acked", 0)
        held = "  ".join(f"{name} {mib:.0f}" for name, mib in sorted(memory.sample().items()))
        console.print(
            f"{time.monotonic() - started:7.0f} s  {len(history.asked)} transfers asked, {acked} times 201 "
            f"({(acked - before) / REPORT_SECONDS:.1f}/s), {len(history.snapshots)} snapshots, "
            f"{len(trial.nemesis.episodes)} faults; MiB: {held}",
            highlight=False,
        )
        before = acked


def soak(arguments: argparse.Namespace, folder: Path, console: Console) -> bool:
    """One soak; gives whether all is well."""
    kinds = [name for name in KINDS if arguments.kills or name not in DEADLY]
    with stage(folder, own_broker=True, OPENING_GRANT_CENTS=str(GRANT_CENTS)) as on:
        trial = Trial(
            on,
            arguments.seed,
            seconds=None if arguments.transfers else arguments.seconds,
            transfers=arguments.transfers,
            clients=arguments.clients,
            faults=arguments.faults,
            kinds=kinds,
        )
        memory = Memory(on)
        with in_background(memory.watch), in_background(lambda stop: _report(trial, memory, console, stop)):
            found = trial.run()
        audit = on.bank.gobank("audit", "--json", timeout=3_600)
    counts = told(trial.workload.history)
    console.print(memory.table())
    console.print(
        f"seed {arguments.seed}: {len(trial.workload.history.asked)} transfers in {trial.took:.0f} s, "
        f"{counts.get('acked', 0) / trial.took:.1f} times 201 a second, {dict(counts)}, "
        f"{len(trial.nemesis.episodes)} faults, {len(trial.workload.history.snapshots)} snapshots"
    )
    for violation in found[:50]:
        console.print(f"[red]{violation}[/]")
    for line in (grown := memory.grown()):
        console.print(f"[red]{line}[/]")
    well = not found and not grown and audit.returncode == 0
    console.print(f"violations: {dict(counted(found)) or 'none'}; audit: {audit.stdout.strip()}")
    console.print("[green]All is well.[/]" if well else "[red]NOT well.[/]")
    return well


def main(arguments: Sequence[str]) -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--transfers", type=int, help="ends it instead of --seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument(
        "--no-kills", dest="kills", action="store_false", help="so that memory is seen to grow"
    )
    parser.add_argument("--no-faults", dest="faults", action="store_false", help="the workload alone")
    console = Console(width=180)
    # However it is told to stop, it takes down what it brought up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="gobank-soak-") as folder:
        return 0 if soak(parser.parse_args(arguments), Path(folder), console) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

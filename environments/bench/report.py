"""The figures as tables and sentences, with the targets that they are held against."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from rich.console import Console
from rich.table import Table

from environments.bench.ceiling import Ceiling
from environments.bench.consolidated import Consolidated
from environments.bench.lookups import LookUps
from environments.bench.usage import IDLE_TARGET_MIB, Idle

if TYPE_CHECKING:
    from environments.bench.targets import Target


@dataclass(frozen=True)
class Measured:
    """One run, in figures. What it has no values of is None. `settled_per_second` counts from the first
    request to the last decision, so that what waits when the clients stop counts against it."""

    workload: str
    clients: int
    transfers: int
    per_second: float
    settled_per_second: float
    ack_p50_ms: float | None
    ack_p99_ms: float | None
    settled_p50_ms: float | None
    settled_p99_ms: float | None
    unsettled: int
    refused: dict[str, int]
    cpu_ms_per_transfer: dict[str, float]


def conditions() -> str:
    """The machine that the figures belong to. The load generator shares its cores."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}"
    )


def show_view(console: Console, view: Consolidated) -> None:
    """The consolidated view's figures as a table."""
    table = Table(title=f"GET /balances over {view.banks} linked banks through the gateway ({conditions()})")
    for column in ("each bank answers in", "views", "p50", "p99", "target p50", "p50 while fresh"):
        table.add_column(column)
    table.add_row(
        f"{view.bank_ms:.0f} ms",
        str(view.views),
        f"{view.p50_ms:.1f} ms",
        f"{view.p99_ms:.1f} ms",
        f"under {view.target_p50_ms:.0f} ms",
        f"{view.fresh_p50_ms:.1f} ms",
    )
    console.print(table)


def show_runs(console: Console, runs: Sequence[Measured], ceiling: Ceiling | None) -> None:
    """The runs as a table, beside the ceiling if that was measured."""
    table = Table(title=f"Transfers through the gateway ({conditions()})")
    for column in (
        *("workload", "clients", "acked/s", "of bare holds", "settled/s", "of ceiling", "ack p50", "ack p99"),
        *("settled p50", "settled p99", "refused", "undecided", "CPU ms each"),
    ):
        table.add_column(column)
    for run in runs:
        table.add_row(
            run.workload,
            str(run.clients),
            f"{run.per_second:.1f}",
            f"{run.per_second / ceiling.hold_per_second:.0%}" if ceiling else "",
            f"{run.settled_per_second:.1f}",
            f"{run.settled_per_second / ceiling.transfers_per_second:.0%}" if ceiling else "",
            *(_ms(each) for each in (run.ack_p50_ms, run.ack_p99_ms, run.settled_p50_ms, run.settled_p99_ms)),
            str(sum(run.refused.values())),
            str(run.unsettled),
            f"{sum(run.cpu_ms_per_transfer.values()):.1f}",
        )
    console.print(table)
    for run in runs:
        each = sorted(run.cpu_ms_per_transfer.items(), key=lambda pair: -pair[1])
        used = ", ".join(f"{name} {ms:.1f}" for name, ms in each if ms >= 0.1)
        console.print(f"CPU ms each, {run.workload}, {run.clients} clients: {used}")
    if ceiling:
        console.print(
            f"ceiling: {ceiling.transfers_per_second:.1f} transfers/s (hold and settle, bare, best of three, "
            f"{ceiling.threads} threads); {ceiling.hold_per_second:.1f} holds/s"
        )


def show_targets(console: Console, targets: "Sequence[Target]") -> None:
    """What was promised, and what was measured."""
    table = Table(title=f"Targets ({conditions()}, load {psutil.getloadavg()[0]:.1f})")
    for column in ("what", "target", "measured", "reached"):
        table.add_column(column)
    for each in targets:
        table.add_row(each.what, each.wanted, each.found, "yes" if each.reached else "NO")
    console.print(table)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def show_lookups(console: Console, found: LookUps) -> None:
    """The look-ups' figures."""
    console.print(
        f"POST /keys/lookup through the gateway, the simulator answering at once, {found.lookups} look-ups: "
        f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms (target: p99 under {found.target_p99_ms:.0f} "
        f"ms); from the cache p50 {found.cached_p50_ms:.1f} ms, p99 {found.cached_p99_ms:.1f} ms"
    )


def show_idle(console: Console, idle: Idle) -> None:
    """What an environment at rest uses."""
    busiest = sorted(idle.core_share.items(), key=lambda pair: -pair[1])
    shares = ", ".join(f"{name} {share:.1%}" for name, share in busiest if share >= 0.001)
    console.print(f"at rest for {idle.seconds:.0f} s: {idle.cores:.2f} of a core ({shares})")
    show_memory(console, "at rest", idle.resident_mib, idle.pss_mib)


def show_memory(
    console: Console, when: str, resident: Mapping[str, float], pss: Mapping[str, float] | None
) -> None:
    """Memory by process: what the machine gives (PSS) where that is known, and resident memory."""
    told = pss or resident
    listed = ", ".join(f"{name} {mib:.0f}" for name, mib in told.items())
    console.print(f"{'PSS' if pss else 'resident'} MiB {when}: {listed}")
    total = f"PSS {sum(pss.values()):.0f} MiB (shared pages once), " if pss else ""
    console.print(
        f"in all {when}: {total}RSS {sum(resident.values()):.0f} MiB (shared pages in each process); "
        f"target at rest: under {IDLE_TARGET_MIB} MiB"
    )

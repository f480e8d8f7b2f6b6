"""`make bench`: the pipeline under load, beside what the store alone can do, in one run.

Brings an environment of its own up, loads it, audits it and takes it down. Every number in a document
comes from here, with the conditions that it was measured under.
"""

import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from environments.bench import consolidated
from environments.bench.ceiling import Bare, Ceiling, measure, six_items_ms
from environments.bench.consolidated import BANK_SECONDS, BANKS, Consolidated
from environments.bench.load import Clients, Pair, Run, hot_payee, hot_payer, uniform
from environments.local.api import Api

ROOT = Path(__file__).parents[2]
ACCOUNTS = 1000
CLIENTS = (1, 8, 32)
SECONDS = 5.0
SEED = 1
GRANT_CENTS = 1_000_000
LEAF_CENTS = 60
"""So little that even at night no account pays more than the R$ 1,000.00 that it may."""
PIX_CLIENTS = 8
PIX_KEY = "11222333000181"
"""A company at another bank whom the simulator knows. Look-ups of people's keys are limited."""
PIX_P50_MS = 500
OFFICIAL_P50_MS, OFFICIAL_P99_MS = 6_000, 10_000
"""What a payer waits, from the confirmation to the receipt (Manual de Tempos do Pix)."""


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far and resident memory of one process."""

    cpu_seconds: float
    resident_mib: float


@dataclass(frozen=True)
class Measured:
    """One run, in figures."""

    workload: str
    clients: int
    transfers: int
    per_second: float
    ack_p50_ms: float
    ack_p99_ms: float
    settled_p50_ms: float
    settled_p99_ms: float
    unsettled: int
    refused: dict[str, int]
    cpu_ms_per_transfer: dict[str, float]


@contextmanager
def environment() -> Iterator[dict[str, Any]]:
    """An environment of its own, with a grant that pays for the load."""
    with tempfile.TemporaryDirectory(prefix="gobank-bench-") as home:
        variables = {**os.environ, "GOBANK_HOME": home, "OPENING_GRANT_CENTS": str(GRANT_CENTS)}
        _gobank(["up", "--detach"], variables)
        try:
            description = json.loads((Path(home) / "environment.json").read_text())
            description["home"] = home
            description["token"] = _gobank(["login", "bench@example.com"], variables).strip()
            description["linked_token"] = _gobank(["login", "linked@example.com"], variables).strip()
            yield description
            audit = json.loads(_gobank(["audit", "--json"], variables, may_fail=True))
            description["audit"] = audit
        finally:
            _gobank(["down"], variables)


def _gobank(arguments: Sequence[str], variables: dict[str, str], *, may_fail: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "environments.cli", *arguments],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0 and not may_fail:
        raise SystemExit(f"gobank {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout


def usage(description: dict[str, Any]) -> dict[str, Usage]:
    """What each process of the environment has used."""
    found = {}
    for kind in ("services", "simulators", "emulators"):
        for name, each in description.get(kind, {}).items():
            process = psutil.Process(each["pid"])
            times = process.cpu_times()
            found[name] = Usage(times.user + times.system, process.memory_info().rss / 2**20)
    return found


def cpf(seed: int) -> str:
    """A valid CPF that belongs to nobody in particular."""
    chance = random.Random(seed)
    digits = [chance.randrange(10) for _ in range(9)]
    for _ in range(2):
        total = sum(digit * (2 + place) for place, digit in enumerate(reversed(digits)))
        digits.append(0 if total % 11 < 2 else 11 - total % 11)
    return "".join(map(str, digits))


def everywhere(description: dict[str, Any], console: Console) -> Consolidated:
    """The consolidated view of somebody with an account here and at five other banks."""
    console.print(f"{BANKS} linked banks, each answering in {BANK_SECONDS * 1000:.0f} ms")
    api, tax_id = Api(description["gateway_url"], description["linked_token"]), cpf(SEED + 1)
    opened = api.post("/accounts", {"name": "Linked", "tax_id": tax_id, "account_type": "CACC"})
    if opened.status != 201:
        raise SystemExit(f"no account for the consolidated view: {opened.text}")
    return consolidated.measure(description, api, tax_id)


async def prepare(clients: Clients, console: Console) -> list[str]:
    """A thousand accounts with money on each: the first pays 31, and each of those pays the next ones."""
    console.print(f"opening {ACCOUNTS} accounts")
    accounts = await clients.open_accounts(cpf(SEED), ACCOUNTS, connections=8)
    console.print("putting money on each")
    width = 31
    stems, leaves = accounts[1 : width + 1], accounts[width + 1 :]
    # The grant settles moments after the first account opens; until then paying is refused, so wait for it.
    await clients.wait_for_money(accounts[0])
    share = LEAF_CENTS * (2 + len(leaves) // width)
    await clients.pay([(accounts[0], stem, share) for stem in stems], connections=1)
    await clients.pay(
        [(stems[place % width], leaf, LEAF_CENTS) for place, leaf in enumerate(leaves)], connections=8
    )
    return accounts


def measured(
    name: str, clients: int, run: Run, before: dict[str, Usage], after: dict[str, Usage]
) -> Measured:
    """A run's figures."""
    count = max(1, len(run.latencies_ms))
    return Measured(
        workload=name,
        clients=clients,
        transfers=len(run.latencies_ms),
        per_second=len(run.latencies_ms) / run.seconds,
        ack_p50_ms=_percentile(run.latencies_ms, 50),
        ack_p99_ms=_percentile(run.latencies_ms, 99),
        settled_p50_ms=_percentile(run.settled_ms, 50),
        settled_p99_ms=_percentile(run.settled_ms, 99),
        unsettled=run.unsettled,
        refused=run.refused,
        cpu_ms_per_transfer={
            process: round((after[process].cpu_seconds - used.cpu_seconds) * 1000 / count, 2)
            for process, used in before.items()
            if process in after
        },
    )


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def report_view(console: Console, view: Consolidated) -> None:
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


def report(console: Console, runs: Sequence[Measured], ceiling: Ceiling, memory: dict[str, float]) -> None:
    """The figures as tables."""
    table = Table(title=f"Transfers through the gateway ({conditions()})")
    for column in ("workload", "clients", "acked/s", "share of ceiling", "ack p50", "ack p99"):
        table.add_column(column)
    for column in ("settled p50", "settled p99", "CPU ms/transfer"):
        table.add_column(column)
    for run in runs:
        table.add_row(
            run.workload,
            str(run.clients),
            f"{run.per_second:.1f}",
            f"{run.per_second / ceiling.transfers_per_second:.0%}",
            f"{run.ack_p50_ms:.1f} ms",
            f"{run.ack_p99_ms:.1f} ms",
            f"{run.settled_p50_ms:.1f} ms",
            f"{run.settled_p99_ms:.1f} ms",
            f"{sum(run.cpu_ms_per_transfer.values()):.1f}",
        )
    console.print(table)
    console.print(
        f"ceiling: {ceiling.transfers_per_second:.1f} transfers/s (hold and settle, bare, best of three, "
        f"{ceiling.threads} threads); {ceiling.hold_per_second:.1f} holds/s"
    )
    console.print("resident MiB: " + ", ".join(f"{name} {mib:.0f}" for name, mib in memory.items()))
    console.print(f"resident in all: {sum(memory.values()):.0f} MiB")


def conditions() -> str:
    """The machine that the figures belong to. The load generator shares its cores."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}"
    )


def main() -> None:
    """Measures and prints; exits with 1 when the audit at the end is not clean."""
    console = Console(stderr=True, width=140)
    with environment() as description:
        clients = Clients(description["gateway_url"], description["token"])
        idle = {name: used.resident_mib for name, used in usage(description).items()}
        view = everywhere(description, console)
        accounts = asyncio.run(prepare(clients, console))
        iam = description["cognito"]["endpoint"]
        bare = Bare(description["dynamodb_endpoint"], iam, description["table_prefix"])
        runs = []
        six_items = six_items_ms(bare)
        workloads: list[tuple[str, Pair]] = [
            ("uniform", uniform(accounts)),
            ("hot payee", hot_payee(accounts)),
            ("hot payer", hot_payer(accounts)),
        ]
        for name, pair in workloads:
            for count in CLIENTS:
                console.print(f"{name}, {count} clients, {SECONDS:.0f} s")
                before = usage(description)
                run = asyncio.run(clients.load(pair, count, SECONDS, SEED))
                runs.append(measured(name, count, run, before, usage(description)))
                if len(runs) == 1:
                    six_items += six_items_ms(bare)
        console.print(f"Pix to another bank, {PIX_CLIENTS} clients, {SECONDS:.0f} s")
        before = usage(description)
        paid = asyncio.run(clients.pix(accounts, PIX_KEY, PIX_CLIENTS, SECONDS, SEED))
        pix = measured("Pix out", PIX_CLIENTS, paid, before, usage(description))
        console.print("the ceiling: bare transactions")
        ceiling = measure(bare)
        memory = {name: used.resident_mib for name, used in usage(description).items()}
    ratio = runs[0].ack_p50_ms / median(six_items)
    report_view(console, view)
    report(console, runs, ceiling, memory)
    console.print(
        f"one bare 6-item transaction, before and after the first run: p50 {median(six_items):.1f} ms; "
        f"ack p50 at one client is {ratio:.1f} times that"
    )
    console.print(
        f"Pix out settled at {PIX_CLIENTS} clients, simulator answering at once: "
        f"p50 {pix.settled_p50_ms:.0f} ms (target: under {PIX_P50_MS} ms), p99 {pix.settled_p99_ms:.0f} ms, "
        f"{pix.per_second:.1f}/s; all of it is our own time. What a payer may wait officially: "
        f"P50 {OFFICIAL_P50_MS / 1000:.0f} s, P99 {OFFICIAL_P99_MS / 1000:.0f} s"
    )
    audit = description["audit"]
    console.print(f"audit: {'clean' if audit['ok'] else 'NOT clean'} {audit}")
    document = {
        "conditions": conditions(),
        "seconds": SECONDS,
        "accounts": ACCOUNTS,
        "runs": [vars(run) for run in runs],
        "consolidated_view": vars(view),
        "pix_out": {
            **vars(pix),
            "target_p50_ms": PIX_P50_MS,
            "official_p50_ms": OFFICIAL_P50_MS,
            "official_p99_ms": OFFICIAL_P99_MS,
        },
        "ceiling": vars(ceiling),
        "share_of_ceiling": {
            f"{run.workload}/{run.clients}": round(run.per_second / ceiling.transfers_per_second, 3)
            for run in runs
        },
        "bare_six_items_p50_ms": median(six_items),
        "ack_p50_over_bare_six_items": round(ratio, 2),
        "idle_resident_mib": idle,
        "resident_mib": memory,
        "audit": audit,
    }
    sys.stdout.write(json.dumps(document) + "\n")
    sys.exit(0 if audit["ok"] else 1)


if __name__ == "__main__":
    main()

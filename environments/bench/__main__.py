"""`make bench`: the pipeline under load, beside what the store alone can do, in one run.

Brings an environment of its own up, loads it, audits it and takes it down. Every number in a document
comes from here, with the conditions that it was measured under.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from environments.bench import consolidated, lookups, report
from environments.bench.ceiling import Bare, measure, six_items_ms
from environments.bench.consolidated import BANK_SECONDS, BANKS
from environments.bench.load import Clients, Pair, Run, hot_payee, hot_payer, uniform
from environments.bench.options import Options, read
from environments.bench.percentiles import percentile
from environments.bench.report import Measured
from environments.bench.targets import FLOOR, PIX_P50_MS, broken, judged
from environments.bench.usage import IDLE_SECONDS, Usage, idle, proportional, usage
from environments.local.api import Api

ROOT = Path(__file__).parents[2]
SEED = 1
TRANSFERS = frozenset({"uniform", "hot-payee", "hot-payer", "pix"})
"""The parts that need accounts with money on them."""
GRANT_CENTS = 1_000_000
LEAF_CENTS = 60
"""So little that even at night no account pays more than the R$ 1,000.00 that it may."""
PIX_CLIENTS = 8
PIX_KEY = "11222333000181"
"""A company at another bank whom the simulator knows. Look-ups of people's keys are limited."""
OFFICIAL_P50_MS, OFFICIAL_P99_MS = 6_000, 10_000
"""What a payer waits, from the confirmation to the receipt (Manual de Tempos do Pix)."""


@contextmanager
def environment(options: Options) -> Iterator[dict[str, Any]]:
    """An environment of its own, with a grant that pays for the load."""
    with tempfile.TemporaryDirectory(prefix="gobank-bench-") as home:
        variables = {**os.environ, "GOBANK_HOME": home, "OPENING_GRANT_CENTS": str(GRANT_CENTS)}
        _gobank(options.up(), variables)
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


def cpf(seed: int) -> str:
    """A valid CPF that belongs to nobody in particular."""
    chance = random.Random(seed)
    digits = [chance.randrange(10) for _ in range(9)]
    for _ in range(2):
        total = sum(digit * (2 + place) for place, digit in enumerate(reversed(digits)))
        digits.append(0 if total % 11 < 2 else 11 - total % 11)
    return "".join(map(str, digits))


def somebody(description: dict[str, Any]) -> tuple[Api, str]:
    """Somebody with an account, and a CPF; not the one who pays."""
    api, tax_id = Api(description["gateway_url"], description["linked_token"]), cpf(SEED + 1)
    opened = api.post("/accounts", {"name": "Linked", "tax_id": tax_id, "account_type": "CACC"})
    if opened.status != 201:
        raise SystemExit(f"no account for the views: {opened.text}")
    return api, tax_id


async def prepare(clients: Clients, count: int, console: Console) -> list[str]:
    """So many accounts with money on each: the first pays 31, and each of those pays the next ones."""
    console.print(f"opening {count} accounts")
    accounts = await clients.open_accounts(cpf(SEED), count, connections=8)
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
        settled_per_second=run.settled_per_second,
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


def _percentile(values: Sequence[float], percent: int) -> float | None:
    return percentile(values, percent) if values else None


def loads(
    description: dict[str, Any], clients: Clients, accounts: Sequence[str], options: Options, console: Console
) -> Iterator[Measured]:
    """Each workload that was asked for, with each number of clients."""
    workloads: list[tuple[str, Pair]] = [
        ("uniform", uniform(accounts)),
        ("hot payee", hot_payee(accounts)),
        ("hot payer", hot_payer(accounts)),
    ]
    for name, pair in workloads:
        if name.replace(" ", "-") not in options.only:
            continue
        for count in options.clients:
            console.print(f"{name}, {count} clients, {options.seconds:.0f} s")
            before = usage(description)
            run = asyncio.run(clients.load(pair, count, options.seconds, SEED))
            yield measured(name, count, run, before, usage(description))


def floors(
    description: dict[str, Any], clients: Clients, options: Options, console: Console
) -> Iterator[Measured]:
    """What HTTP alone costs, with each number of clients."""
    for count in options.clients:
        console.print(f"{FLOOR}, {count} clients, {options.seconds:.0f} s")
        before = usage(description)
        run = asyncio.run(clients.floor(count, options.seconds))
        yield measured(FLOOR, count, run, before, usage(description))


def unloaded(options: Options, console: Console, description: dict[str, Any]) -> dict[str, Any]:
    """What is measured one request at a time, or with none."""
    document: dict[str, Any] = {}
    if "idle" in options.only:
        console.print(f"at rest, {IDLE_SECONDS:.0f} s")
        resting = idle(description)
        document["idle"] = {**vars(resting), "cores": round(resting.cores, 3)}
        report.show_idle(console, resting)
    if not options.only & {"view", "lookups"}:
        return document
    api, tax_id = somebody(description)
    if "lookups" in options.only:
        console.print("look-ups of a key")
        found = lookups.measure(description, api, PIX_KEY)
        document["lookups"] = vars(found)
        report.show_lookups(console, found)
    if "view" in options.only:
        console.print(f"{BANKS} linked banks, each answering in {BANK_SECONDS * 1000:.0f} ms")
        view = consolidated.measure(description, api, tax_id)
        document["consolidated_view"] = vars(view)
        report.show_view(console, view)
    return document


def loaded(options: Options, console: Console, description: dict[str, Any]) -> dict[str, Any]:
    """What many clients are answered at once, beside what the store alone can do."""
    document: dict[str, Any] = {}
    clients = Clients(description["gateway_url"], description["token"])
    runs = list(floors(description, clients, options, console)) if "floor" in options.only else []
    endpoint, iam = description["dynamodb_endpoint"], description["cognito"]["endpoint"]
    bare = Bare(endpoint, iam, description["table_prefix"])
    six_items: list[float] = []
    if options.only & TRANSFERS:
        accounts = asyncio.run(prepare(clients, options.accounts, console))
        six_items += six_items_ms(bare)
        for number, each in enumerate(loads(description, clients, accounts, options, console)):
            runs.append(each)
            if number == 0:
                six_items += six_items_ms(bare)
        if "pix" in options.only:
            document["pix_out"] = pix(description, clients, accounts, options, console)
    ceiling = None
    if "ceiling" in options.only:
        console.print("the ceiling: bare transactions")
        ceiling = measure(bare)
        document["ceiling"] = vars(ceiling)
        document["share_of_ceiling"] = {
            f"{each.workload}/{each.clients}": round(
                each.settled_per_second / ceiling.transfers_per_second, 3
            )
            for each in runs
            if each.workload != FLOOR
        }
    report.show_runs(console, runs, ceiling)
    used = usage(description)
    resident = {name: each.resident_mib for name, each in used.items()}
    report.show_memory(console, "after the load", resident, proportional(used))
    alone = [each for each in runs if (each.workload, each.clients) == ("uniform", 1)]
    if alone and six_items and alone[0].ack_p50_ms is not None:
        document["bare_six_items_p50_ms"] = median(six_items)
        ratio = alone[0].ack_p50_ms / median(six_items)
        document["ack_p50_over_bare_six_items"] = round(ratio, 2)
        console.print(
            f"one bare 6-item transaction, before and after the first load: p50 {median(six_items):.1f} ms; "
            f"ack p50 at one client is {ratio:.1f} times that"
        )
    return document | {
        "runs": [vars(each) for each in runs],
        "resident_mib": resident,
        "pss_mib": proportional(used),
    }


def pix(
    description: dict[str, Any], clients: Clients, accounts: Sequence[str], options: Options, console: Console
) -> dict[str, Any]:
    """Payments to another bank."""
    console.print(f"Pix to another bank, {PIX_CLIENTS} clients, {options.seconds:.0f} s")
    before = usage(description)
    paid = asyncio.run(clients.pix(accounts, PIX_KEY, PIX_CLIENTS, options.seconds, SEED))
    found = measured("Pix out", PIX_CLIENTS, paid, before, usage(description))
    report.show_runs(console, [found], None)
    p50, p99 = found.settled_p50_ms, found.settled_p99_ms
    if p50 is not None and p99 is not None:
        console.print(
            "Pix out, the simulator answering at once, so that all is our own time, beside what a payer may "
            "wait officially: "
            f"p50 {p50:.0f} ms, {p50 / OFFICIAL_P50_MS:.0%} of {OFFICIAL_P50_MS / 1000:.0f} s; "
            f"p99 {p99:.0f} ms, {p99 / OFFICIAL_P99_MS:.0%} of {OFFICIAL_P99_MS / 1000:.0f} s"
        )
    return {
        **vars(found),
        "target_p50_ms": PIX_P50_MS,
        "official_p50_ms": OFFICIAL_P50_MS,
        "official_p99_ms": OFFICIAL_P99_MS,
    }


def main() -> None:
    """Measures and prints; exits with 1 when the audit is not clean, or the figures of a run say nothing."""
    options = read(sys.argv[1:])
    console = Console(stderr=True, width=140)
    with environment(options) as description:
        document = {"seconds_to_ready": description["seconds"], **unloaded(options, console, description)}
        if options.only & (TRANSFERS | {"floor", "ceiling"}):
            document |= loaded(options, console, description)
    runs = [Measured(**each) for each in document.get("runs", [])]
    targets = judged(document, runs)
    report.show_targets(console, targets)
    wrong = broken(runs)
    for each in wrong:
        console.print(f"BROKEN {each}", style="red")
    audit = description["audit"]
    console.print(f"audit: {'clean' if audit['ok'] else 'NOT clean'} {audit}")
    asked = {**vars(options), "only": sorted(options.only)}
    document = {"conditions": report.conditions(), "options": asked, **document, "audit": audit}
    document["targets"] = [vars(each) for each in targets]
    sys.stdout.write(json.dumps(document) + "\n")
    sys.exit(0 if audit["ok"] and not wrong else 1)


if __name__ == "__main__":
    main()

"""What was promised of the bank's speed, held against what one run measured.

A machine that is busy with something else misses what it would reach alone, so a missed target is told and
ends nothing; a run whose figures say nothing does (`broken`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from environments.bench.consolidated import TARGET_P50_MS as VIEW_P50_MS
from environments.bench.lookups import TARGET_P99_MS as LOOKUP_P99_MS
from environments.bench.report import Measured
from environments.bench.usage import IDLE_TARGET_MIB

READY_SECONDS = 8.0
ACK_OVER_BARE = 4.0
SETTLED_P50_MS = 150.0
PIX_P50_MS = 500.0
HOT_P99_MS = 500.0
SETTLED_OF_CEILING = 0.35
HOT_PAYEE_OF_UNIFORM = 0.5
MANY = 32
FLOOR = "HTTP alone"
"""The run that moves no money."""


@dataclass(frozen=True)
class Target:
    """One promise: what it is about, what it asks for, what was measured, and whether that is enough."""

    what: str
    wanted: str
    found: str
    reached: bool


def judged(document: Mapping[str, Any], runs: Sequence[Measured]) -> list[Target]:
    """Every target that this run measured something of."""
    return [*_alone(document), *_loaded(document, runs)]


def broken(runs: Sequence[Measured]) -> list[str]:
    """Why the figures of a run say nothing: it moved no money, or some of that never arrived."""
    told = []
    for each in runs:
        name = f"{each.workload}, {each.clients} clients"
        if each.transfers == 0:
            told.append(f"{name}: nothing was answered")
        if each.unsettled:
            told.append(f"{name}: {each.unsettled} transfers were not decided in time")
    return told


def _alone(document: Mapping[str, Any]) -> Iterator[Target]:
    if (seconds := document.get("seconds_to_ready")) is not None:
        yield _below("gobank up to ready", seconds, READY_SECONDS, "s")
    if (pss := document.get("idle", {}).get("pss_mib")) is not None:
        yield _below("memory at rest (PSS)", sum(pss.values()), IDLE_TARGET_MIB, "MiB")
    if (found := document.get("lookups")) is not None:
        yield _below("look-up of a key, p99", found["p99_ms"], LOOKUP_P99_MS, "ms")
    if (view := document.get("consolidated_view")) is not None:
        yield _below("all balances over five banks, p50", view["p50_ms"], VIEW_P50_MS, "ms")
    if (ratio := document.get("ack_p50_over_bare_six_items")) is not None:
        found_ratio = f"{ratio:.1f} times"
        yield Target(
            "ack p50 over one bare transaction", "at most 4 times", found_ratio, ratio <= ACK_OVER_BARE
        )
    pix = document.get("pix_out", {}).get("settled_p50_ms")
    if pix is not None:
        yield _below("Pix out settled at 8 clients, p50", pix, PIX_P50_MS, "ms")


def _loaded(document: Mapping[str, Any], runs: Sequence[Measured]) -> Iterator[Target]:
    by = {(each.workload, each.clients): each for each in runs}
    ceiling = document.get("ceiling")
    if (one := by.get(("uniform", 1))) and one.settled_p50_ms is not None:
        yield _below("ack to settled at one client, p50", one.settled_p50_ms, SETTLED_P50_MS, "ms")
    many = by.get(("uniform", MANY))
    if many and ceiling:
        share = many.settled_per_second / ceiling["transfers_per_second"]
        yield _share("settled/s at 32 clients, of the ceiling", share, SETTLED_OF_CEILING)
    if many and many.settled_per_second and (payee := by.get(("hot payee", MANY))):
        share = payee.settled_per_second / many.settled_per_second
        yield _share("settled/s of a hot payee, of uniform", share, HOT_PAYEE_OF_UNIFORM)
    for name in ("hot payee", "hot payer"):
        if (hot := by.get((name, MANY))) and hot.ack_p99_ms is not None:
            yield _below(f"ack of a {name} at 32 clients, p99", hot.ack_p99_ms, HOT_P99_MS, "ms")
    for clients in (8, MANY):
        if ceiling and (run := by.get(("uniform", clients))):
            share = run.per_second / ceiling["hold_per_second"]
            yield _share(f"acked/s at {clients} clients, of bare holds/s", share, 1.0)


def _below(what: str, found: float, limit: float, unit: str) -> Target:
    digits = 0 if found >= 10 else 1
    return Target(what, f"under {limit:.0f} {unit}", f"{found:.{digits}f} {unit}", found < limit)


def _share(what: str, found: float, least: float) -> Target:
    return Target(what, f"at least {least:.0%}", f"{found:.0%}", found >= least)

"""What a bench promises, holds and refuses to call a figure."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from environments.bench import report
from environments.bench.load import Run
from environments.bench.report import Measured
from environments.bench.targets import Target, broken, judged

RUN = Measured(
    workload="uniform",
    clients=32,
    transfers=500,
    per_second=120.0,
    settled_per_second=80.0,
    ack_p50_ms=100.0,
    ack_p99_ms=300.0,
    settled_p50_ms=90.0,
    settled_p99_ms=200.0,
    unsettled=0,
    refused={},
    cpu_ms_per_transfer={"gateway": 3.0},
)
CEILING = {"transfers_per_second": 200.0, "hold_per_second": 100.0, "threads": 8}


def about(targets: list[Target], what: str) -> Target:
    (found,) = [each for each in targets if what in each.what]
    return found


def test_only_what_was_measured_is_judged() -> None:
    assert judged({}, []) == []
    assert judged({}, [RUN]) == []


@pytest.mark.parametrize(
    ("document", "what", "reached"),
    [
        ({"seconds_to_ready": 7.9}, "ready", True),
        ({"seconds_to_ready": 8.0}, "ready", False),
        ({"idle": {"pss_mib": {"gateway": 400.0, "account": 499.0}}}, "memory", True),
        ({"idle": {"pss_mib": {"gateway": 400.0, "account": 500.0}}}, "memory", False),
        ({"idle": {"pss_mib": None}}, "memory", None),
        ({"lookups": {"p99_ms": 49.0}}, "look-up", True),
        ({"lookups": {"p99_ms": 51.0}}, "look-up", False),
        ({"consolidated_view": {"p50_ms": 199.0}}, "five banks", True),
        ({"consolidated_view": {"p50_ms": 201.0}}, "five banks", False),
        ({"ack_p50_over_bare_six_items": 4.0}, "bare transaction", True),
        ({"ack_p50_over_bare_six_items": 4.01}, "bare transaction", False),
        ({"pix_out": {"settled_p50_ms": 499.0}}, "Pix out", True),
        ({"pix_out": {"settled_p50_ms": 500.0}}, "Pix out", False),
        ({"pix_out": {"settled_p50_ms": None}}, "Pix out", None),
    ],
)
def test_a_target_is_reached_or_not(document: dict[str, object], what: str, reached: bool | None) -> None:
    found = judged(document, [])
    assert [each.reached for each in found if what in each.what] == ([] if reached is None else [reached])


def test_shares_are_of_what_the_same_run_measured() -> None:
    hot = replace(RUN, workload="hot payee", settled_per_second=39.0, ack_p99_ms=501.0)
    found = judged({"ceiling": CEILING}, [RUN, hot])
    assert about(found, "of the ceiling") == Target(
        "settled/s at 32 clients, of the ceiling", "at least 35%", "40%", reached=True
    )
    assert not about(found, "hot payee, of uniform").reached
    assert not about(found, "ack of a hot payee").reached
    assert about(found, "acked/s at 32").found == "120%"


def test_a_run_that_says_nothing_is_broken() -> None:
    assert broken([RUN]) == []
    assert broken([replace(RUN, transfers=0), replace(RUN, unsettled=3, clients=1)]) == [
        "uniform, 32 clients: nothing was answered",
        "uniform, 1 clients: 3 transfers were not decided in time",
    ]


def test_what_was_not_measured_is_no_nought() -> None:
    written = io.StringIO()
    nothing = replace(RUN, ack_p50_ms=None, ack_p99_ms=None, settled_p50_ms=None, settled_p99_ms=None)
    report.show_runs(Console(file=written, width=200), [replace(nothing, refused={"x": 7})], None)
    assert "0.0 ms" not in written.getvalue()
    assert " 7 " in written.getvalue()


def test_what_settles_after_the_clients_have_stopped_counts_against_the_rate() -> None:
    run = Run(seconds=1.0, began_at=1_000.0)
    assert run.settled_per_second == pytest.approx(0.0)
    for second in (1, 4):
        moment = datetime.fromtimestamp(1_000 + second, UTC)
        run.decided({"decided_at": moment.isoformat()}, 1_000.0)
    assert run.settled_ms == [1_000.0, 4_000.0]
    assert run.settled_per_second == pytest.approx(0.5)

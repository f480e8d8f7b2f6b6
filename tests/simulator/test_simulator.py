"""The money code on thousands of schedules, and proof that they would find a broken rule.

`SCHEDULES` says how many run here; `make simulate` runs more. What fails names its seed, and the command that
runs that schedule again, step by step the same.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apps.ledger.store import Ledger
from tests.simulator import schedule
from tests.simulator.mutants import MUTANTS, Mutant
from tests.simulator.rail_mutants import RAIL_MUTANTS

ROOT = Path(__file__).parents[2]
SCHEDULES = int(os.environ.get("SCHEDULES", "600"))
BLOCK = 50
"""Schedules of one test, so that none takes long."""
ENOUGH = 100
"""A broken rule shows in one of so many schedules, from where the mutant says on."""


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """Faults make the workers say much that nobody reads."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, SCHEDULES, BLOCK))
def test_no_schedule_breaks_a_promise(first: int) -> None:
    transfers = 0
    for seed in range(first, first + BLOCK):
        result = schedule.run(seed)
        transfers += result.transfers
        assert not result.violations, "\n".join([*result.violations, schedule.replay(seed)])
    assert transfers > BLOCK, "schedules in which nothing happens prove nothing"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_broken_rule_is_caught(mutant: Mutant) -> None:
    assert _caught(mutant).violations


def test_a_fault_that_does_not_fit_the_code_any_more_is_no_broken_rule() -> None:
    def stumbles(real: Callable[..., object]) -> Callable[..., object]:
        def decide(*args: object) -> object:
            return {"the action": real(*args)}["an action"]

        return decide

    mutant = Mutant("stumbles", Ledger, "_decide", stumbles, "transfers are held")
    with pytest.raises(AssertionError, match="KeyError: 'an action'"):
        _caught(mutant)


def test_a_fault_that_is_caught_at_something_else_breaks_another_rule() -> None:
    mutant = replace(next(each for each in MUTANTS if each.what == "ack before write"), offence="never said")
    with pytest.raises(AssertionError, match="does not stand"):
        _caught(mutant)


def _caught(mutant: Mutant) -> schedule.Result:
    """The first schedule that catches a mutant, at what it is to be caught at and nothing else."""
    for seed in range(mutant.first, mutant.first + ENOUGH):
        result = schedule.run(seed, mutant=mutant)
        assert not result.slips, f"the fault itself stumbles: {result.slips[0]}"
        if result.violations:
            assert mutant.caught(result.violations), f"caught at something else: {result.violations}"
            return result
    raise AssertionError(f"not caught in {ENOUGH} schedules")


@pytest.mark.parametrize("mutant", RAIL_MUTANTS, ids=lambda mutant: mutant.what)
def test_a_broken_rule_of_the_rail_is_caught_at_what_it_does(mutant: Mutant) -> None:
    seeds = range(mutant.first, mutant.first + ENOUGH)
    assert any(mutant.caught(schedule.run(seed, mutant=mutant).violations) for seed in seeds)


def test_a_broken_rule_is_mended_afterwards() -> None:
    mutant = next(each for each in MUTANTS if each.what == "ack before write")
    assert schedule.run(0, mutant=mutant).violations
    assert not schedule.run(0).violations


def test_one_seed_is_one_schedule() -> None:
    one, again, other = schedule.run(3), schedule.run(3), schedule.run(4)
    assert one == again
    assert one.trace != other.trace


def test_the_command_that_a_failure_names_replays_it_in_another_process() -> None:
    mutant = next(each for each in MUTANTS if each.what == "leg merge dropped")
    found = _caught(mutant)
    command = [sys.executable, "-m", "tests.simulator", "--seed", str(found.seed), "--mutant", mutant.what]
    # Where sets have another order: no schedule may hang on that.
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    replayed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert replayed.returncode == 1, replayed.stderr
    assert set(found.violations) <= set(replayed.stdout.splitlines())
    assert f"{found.steps} steps, trace {found.trace:08x}" in replayed.stdout

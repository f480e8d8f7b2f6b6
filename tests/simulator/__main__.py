"""Runs schedules: `python -m tests.simulator --schedules 1000`, or one that failed: `--seed 123`."""

import argparse
import logging
import sys
import time

from tests.simulator import schedule
from tests.simulator.mutants import MUTANTS, Mutant
from tests.simulator.rail_mutants import RAIL_MUTANTS

EVERY: dict[str, Mutant] = {each.what: each for each in (*MUTANTS, *RAIL_MUTANTS)}


def main() -> int:
    """Runs until something breaks; gives 1 then."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, help="the one schedule to run; else from 0 on")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--schedules", type=int, default=2_500)
    parser.add_argument("--mutant", choices=list(EVERY), help="a rule to break")
    asked = parser.parse_args()
    logging.disable()
    mutant = EVERY.get(asked.mutant)
    seeds = [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.schedules)
    transfers, began = 0, time.process_time()
    for number, seed in enumerate(seeds, 1):
        result = schedule.run(seed, mutant=mutant)
        transfers += result.transfers
        if number % 1_000 == 0 or number == len(seeds) or result.violations:
            seconds = time.process_time() - began
            print(f"{number} schedules, {transfers} transfers, {seconds:.1f} CPU seconds", flush=True)
        if result.violations:
            print(*result.violations, schedule.replay(seed, mutant), sep="\n")
        if asked.seed is not None:
            print(f"{result.steps} steps, trace {result.trace:08x}")
        if result.violations:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

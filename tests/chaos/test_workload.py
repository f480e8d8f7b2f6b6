"""The bank workload under random faults: whatever happens, what the bank said is what its books say."""

import os
from pathlib import Path

import pytest

from tests.chaos.nemesis import KINDS
from tests.chaos.rail import ISPB
from tests.chaos.stage import stage
from tests.chaos.trial import GRANT_CENTS, Trial
from tests.chaos.workload import told

SECONDS = 60.0
SEED = int(os.environ.get("GOBANK_CHAOS_SEED", "1"))


@pytest.mark.timeout(900)
def test_a_minute_of_faults_breaks_no_promise(tmp_path: Path) -> None:
    with stage(tmp_path, own_broker=True, OPENING_GRANT_CENTS=str(GRANT_CENTS)) as on:
        trial = Trial(on, SEED, seconds=SECONDS)
        found = trial.run()
        history = trial.workload.history
        counts = told(history)
        assert found == [], f"seed {SEED}"
        on.audit()
    # A trial in which nothing went wrong, or nothing was asked, would prove nothing.
    assert set(counts) == {"acked", "refused", "unknown"}
    assert len(history.snapshots) > SECONDS / 2
    assert {name for _, name in trial.nemesis.episodes} == set(KINDS)
    settled = {each.payer == ISPB for each in trial.orders if each.status == "SETTLED"}
    assert settled == {True, False}, "Pix went out and came in"

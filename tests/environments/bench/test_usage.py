"""Memory is counted once where the system tells how, and is not half told where it does not."""

import os
import sys

import pytest

from environments.bench.usage import Usage, idle, proportional, usage

HERE = {"services": {"gateway": {"pid": os.getpid()}}, "supervisor": {"pid": os.getpid(), "forkserver": None}}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the proportional set")
def test_a_process_of_linux_has_a_proportional_set_no_larger_than_its_resident_one() -> None:
    found = usage(HERE)
    assert set(found) == {"gateway", "supervisor"}
    # Some kernels round one up and the other down.
    assert all(0 < (each.pss_mib or 0) <= each.resident_mib * 1.05 for each in found.values())


def test_a_sum_that_lacks_a_process_is_none() -> None:
    whole, lacking = Usage(1.0, 20.0, 10.0), Usage(1.0, 20.0, None)
    assert proportional({"a": whole, "b": whole}) == {"a": 10.0, "b": 10.0}
    assert proportional({"a": whole, "b": lacking}) is None


def test_the_shares_of_a_core_are_of_the_time_that_passed() -> None:
    resting = idle(HERE, seconds=0.05)
    assert resting.seconds >= 0.05
    assert resting.cores == pytest.approx(sum(resting.core_share.values()))

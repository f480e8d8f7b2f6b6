"""A service that dies comes back, later each time, and however often it dies."""

from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from environments.local.processes import Program
from environments.local.running import LONGEST_BACKOFF_SECONDS, Running, backoff_seconds


class Dead(BaseProcess):
    """A process that has ended already."""

    def __init__(self, *_: Any) -> None:
        pass

    def is_alive(self) -> bool:
        return False


def running(**more: Any) -> Running:
    return Running(Program("relay", "module", {}, Path("log")), Dead(), 0.0, Dead, **more)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.2), (1, 0.4), (3, 1.6), (6, LONGEST_BACKOFF_SECONDS)]
)
def test_each_death_in_a_row_waits_twice_as_long(failures: int, seconds: float) -> None:
    assert backoff_seconds(failures) == pytest.approx(seconds)


def test_a_service_that_has_died_for_hours_is_still_restarted() -> None:
    assert backoff_seconds(5_000) == LONGEST_BACKOFF_SECONDS


def test_tests_may_have_what_they_kill_back_at_once() -> None:
    service = running(longest_backoff=0.05)
    now, restarts = 0.0, 0
    for _ in range(100):
        now += 0.1
        restarts += service.look_after(now)
    assert restarts == 50

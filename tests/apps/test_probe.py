"""The health check of an image says what `/livez` says."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from apps.kit.health import LIVE_SECONDS, Health
from apps.probe import alive, exit_code

pytestmark = pytest.mark.loopback


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _unready() -> None:
    raise ConnectionError


@pytest.fixture
def health(clock: Clock) -> Iterator[Health]:
    served = Health("127.0.0.1", 0, [_unready], clock)
    served.start()
    with closing(served):
        yield served


def test_a_program_that_lives_is_healthy_even_when_it_is_not_ready(health: Health) -> None:
    assert exit_code({"PORT": str(health.port)}) == 0


def test_a_loop_that_has_stopped_is_not(health: Health, clock: Clock) -> None:
    clock.now = LIVE_SECONDS + 1
    assert exit_code({"PORT": str(health.port)}) == 1


def test_a_job_has_no_port_and_is_healthy_while_it_runs() -> None:
    assert exit_code({}) == 0


def test_nobody_on_the_port_is_not() -> None:
    health = Health("127.0.0.1", 0, [])
    port = health.port
    health.start()
    health.close()
    assert not alive(port)

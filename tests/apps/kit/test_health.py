"""A worker's health: live while its loop goes round, ready while it can work."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest

from apps.kit.health import LIVE_SECONDS, Health
from apps.kit.problems import MEDIA_TYPE

pytestmark = pytest.mark.loopback


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Switch:
    """A check that fails while it is off."""

    on: bool = True
    asked: int = 0

    def __call__(self) -> None:
        self.asked += 1
        if not self.on:
            raise RuntimeError("the password is hunter2")


@dataclass
class Running:
    health: Health
    clock: Clock
    checks: list[Switch]

    def get(self, path: str) -> tuple[int, str | None, dict[str, Any]]:
        """Status, media type and document of an answer."""
        with closing(HTTPConnection("127.0.0.1", self.health.port, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.headers["Content-Length"] == str(len(body))
            return answer.status, answer.headers["Content-Type"], json.loads(body)


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    clock, checks = Clock(), [Switch(), Switch()]
    health = Health("127.0.0.1", 0, checks, clock)
    health.start()
    with closing(health):
        yield Running(health, clock, checks)


@pytest.fixture
def running(served: Running) -> Running:
    """A worker that has just begun, on the one server of this module: closing one takes half a second."""
    served.health.beat()
    for check in served.checks:
        check.on, check.asked = True, 0
    return served


LIVE = (200, "application/json", {"status": "live"})
READY = (200, "application/json", {"status": "ready"})


def problem(status: int, code: str, path: str, answer: tuple[int, str | None, dict[str, Any]]) -> None:
    said, media_type, document = answer
    assert (said, media_type) == (status, MEDIA_TYPE)
    assert (document["status"], document["code"], document["instance"]) == (status, code, path)


def test_a_worker_that_beats_is_live_and_one_that_can_work_is_ready(running: Running) -> None:
    assert running.get("/livez") == LIVE
    assert running.get("/readyz") == READY


@pytest.mark.parametrize("path", ["/", "/livez/", "/livez/more", "/metrics", "/../readyz"])
def test_there_is_nothing_else(running: Running, path: str) -> None:
    problem(404, "not_found", path, running.get(path))
    assert [check.asked for check in running.checks] == [0, 0]


def test_a_wedged_loop_is_no_longer_live_until_it_beats_again(running: Running) -> None:
    running.clock.now += LIVE_SECONDS
    assert running.get("/livez") == LIVE
    running.clock.now += 0.1
    problem(503, "unavailable", "/livez", running.get("/livez"))
    running.health.beat()
    assert running.get("/livez") == LIVE


@pytest.mark.parametrize("broken", [0, 1])
def test_a_worker_is_ready_only_while_every_check_passes(running: Running, broken: int) -> None:
    running.checks[broken].on = False
    answer = running.get("/readyz")
    problem(503, "unavailable", "/readyz", answer)
    assert "hunter2" not in json.dumps(answer)
    running.checks[broken].on = True
    assert running.get("/readyz") == READY


def test_what_the_worker_depends_on_never_makes_it_dead(running: Running) -> None:
    """A liveness that asks the database would restart every worker when that has a bad minute."""
    running.checks[0].on = False
    assert running.get("/livez") == LIVE
    assert running.checks[0].asked == 0


def test_a_check_that_hangs_does_not_keep_liveness_from_answering() -> None:
    begun, release = threading.Event(), threading.Event()

    def hangs() -> None:
        begun.set()
        release.wait(timeout=30)

    checks: list[Callable[[], None]] = [hangs]
    health = Health("127.0.0.1", 0, checks)
    health.start()
    with closing(health):
        one = Running(health, Clock(), [])
        answers: list[Any] = []
        probe = threading.Thread(target=lambda: answers.append(one.get("/readyz")))
        probe.start()
        assert begun.wait(timeout=10)
        assert one.get("/livez") == LIVE
        assert answers == []
        release.set()
        probe.join(timeout=10)
        assert answers == [READY]


def test_closing_gives_the_port_back() -> None:
    health = Health("127.0.0.1", 0, [])
    health.start()
    port = health.port
    health.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    again = Health("127.0.0.1", port, [])
    again.start()
    with closing(again):
        assert Running(again, Clock(), []).get("/livez") == LIVE


def test_a_prober_that_leaves_writes_nothing_on_standard_error(
    running: Running, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with closing(socket.create_connection(("127.0.0.1", running.health.port), timeout=10)) as prober:
        # Gone with a reset, as the kubelet is when its own time is over.
        prober.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        prober.sendall(b"GET /livez HTTP/1.0\r\n")
    assert running.get("/livez") == LIVE
    assert capfd.readouterr().err == ""

"""A port that an environment has chosen is its own until it ends."""

import socket
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from environments.local.ports import Ports


@pytest.fixture
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    ports.close()


@pytest.mark.skipif(sys.platform != "linux", reason="ports are held on Linux only")
def test_nobody_else_gets_a_port_that_is_held(ports: Ports) -> None:
    port = ports.take()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_a_service_listens_on_a_held_port_again_and_again(ports: Ports) -> None:
    port = ports.take()
    for _ in range(2):
        with ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler):
            socket.create_connection(("127.0.0.1", port), timeout=2).close()


def test_no_port_is_given_twice(ports: Ports) -> None:
    taken = [ports.take() for _ in range(50)]
    assert len(set(taken)) == 50


def test_a_wanted_port_that_is_somebody_elses_is_refused(ports: Ports) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            ports.take(other.getsockname()[1])


def test_ports_are_free_again_at_the_end() -> None:
    ports = Ports()
    port = ports.take()
    ports.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        assert other.getsockname()[1] == port

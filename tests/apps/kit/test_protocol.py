"""What a request may say before its body has an end, whatever parses it."""

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI

from apps.kit.protocol import HEADER_LIMIT_BYTES, LimitedProtocol

pytestmark = pytest.mark.loopback
SECONDS = 10.0


@pytest.fixture
def port() -> Iterator[int]:
    """A service with one endpoint."""
    app = FastAPI()

    @app.post("/")
    def take() -> dict[str, str]:
        return {"taken": "yes"}

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=LimitedProtocol, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield int(listener.getsockname()[1])
    server.should_exit = True
    thread.join(SECONDS)
    listener.close()


def ask(port: int, *parts: bytes) -> bytes:
    """What comes back until the service hangs up, or until it has answered as often as it was asked."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
        answer = b""
        while True:
            try:
                received = connection.recv(65_536)
            except ConnectionResetError:
                return answer
            answer += received
            if not received or answer.count(b'{"taken"') == sum(part.count(b"POST") for part in parts):
                return answer


def request(headers: bytes = b"", body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST / HTTP/1.1\r\nHost: here\r\n" + length + headers + b"\r\n" + body


@pytest.mark.parametrize(
    "endless",
    [b"X: " + b"x" * 4 * HEADER_LIMIT_BYTES, b"".join(b"X-%d: y\r\n" % n for n in range(40_000))],
    ids=["one header", "many headers"],
)
def test_headers_beyond_the_limit_are_refused_before_they_end(port: int, endless: bytes) -> None:
    answer = ask(port, b"POST / HTTP/1.1\r\nHost: here\r\n" + endless)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code": "headers_too_large"' in answer


@pytest.mark.parametrize(
    "parts",
    [
        [request(b"X: " + b"x" * (HEADER_LIMIT_BYTES + 1000) + b"\r\n")],
        [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", *[b"x" * 65_536] * 64],
        [b"GET /", *[b"x" * 65_536] * 64],
        [b"\r\n" * 32_768] * 64,
    ],
    ids=["whole at once", "an endless trailer", "an endless target", "nothing at all"],
)
def test_whatever_else_goes_beyond_the_limit_is_refused_too(port: int, parts: list[bytes]) -> None:
    assert b"HTTP/1.1 431 " in ask(port, *parts)


def test_what_is_no_http_is_still_400(port: int) -> None:
    assert ask(port, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_headers_within_the_limit_and_long_bodies_pass_again_and_again(port: int) -> None:
    wide = request(b"X: " + b"x" * (HEADER_LIMIT_BYTES // 2) + b"\r\n")
    heavy = request(body=b"b" * 2 * HEADER_LIMIT_BYTES)
    answer = ask(port, wide, heavy, wide, heavy)
    assert answer.count(b"HTTP/1.1 200 ") == 4

"""Calls to other servers on 127.0.0.1: one attempt, in time, not too much, by mutual TLS where wanted."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from apps.kit import outbound
from apps.kit.outbound import Call, NoAnswer, mutual, sender
from tests.apps.kit.certificates import Authority

pytestmark = pytest.mark.loopback
Respond = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(respond: Respond, context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server that answers as told; gives its URL and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            respond(self)

        do_POST = do_GET  # noqa: N815 (the base class's name)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the same)
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://localhost:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(status: int, body: bytes = b"{}", **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_answer_is_given_as_it_came(status: int) -> None:
    with serving(says(status, b"hello", X_Thing="a")) as (url, asked):
        answer = sender()(Call("POST", url + "/path?q=1", {"A": "b"}, b"body"), 5)
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (status, b"hello", "a")
    assert asked == ["/path?q=1"]


def test_a_redirect_is_not_followed() -> None:
    with serving(says(302, Location="/elsewhere")) as (url, asked):
        assert sender()(Call("GET", url + "/"), 5).status == 302
    assert asked == ["/"]


def test_nobody_there_means_that_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with pytest.raises(NoAnswer) as raised:
        sender()(Call("GET", f"http://127.0.0.1:{port}/"), 5)
    assert raised.value.sent is False


def test_a_silent_server_is_left_after_the_time_and_may_have_done_it() -> None:
    release = threading.Event()

    def hang(_: BaseHTTPRequestHandler) -> None:
        release.wait(20)

    with serving(hang) as (url, _):
        with pytest.raises(NoAnswer) as raised:
            sender()(Call("POST", url, body=b"x"), 0.2)
        release.set()
    assert raised.value.sent is True


def test_an_endless_answer_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "MAX_ANSWER_BYTES", 1000)
    with serving(says(200, b"x" * 200_000)) as (url, _), pytest.raises(NoAnswer):
        sender()(Call("GET", url), 5)


def test_a_call_without_time_left_is_not_made() -> None:
    with serving(says(200)) as (url, asked), pytest.raises(NoAnswer) as raised:
        sender()(Call("GET", url), 0)
    assert (raised.value.sent, asked) == (False, [])


@contextmanager
def behind_tls(folder: Path, authority: Authority) -> Iterator[str]:
    """A server that wants a certificate of this authority."""
    certificate, key = authority.issue("localhost")
    (folder / "server.pem").write_text(certificate + key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem)
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(says(200, b"inside"), context) as (url, _):
        yield url


def test_mutual_tls_lets_in_who_has_the_authoritys_certificate_and_nobody_else(tmp_path: Path) -> None:
    authority, stranger = Authority(), Authority()
    ours = mutual(*authority.issue("gobanking"), authority.pem)
    others = mutual(*stranger.issue("gobanking"), authority.pem)
    with behind_tls(tmp_path, authority) as url:
        assert sender(ours)(Call("GET", url), 5).body == b"inside"
        for context in (others, ssl.create_default_context(cadata=authority.pem)):
            with pytest.raises(NoAnswer):
                sender(context)(Call("GET", url), 5)


def test_a_server_of_another_authority_is_not_spoken_to(tmp_path: Path) -> None:
    authority, stranger = Authority(), Authority()
    with behind_tls(tmp_path, stranger) as url, pytest.raises(NoAnswer):
        sender(mutual(*authority.issue("gobanking"), authority.pem))(Call("GET", url), 5)


def test_an_answer_that_comes_drop_by_drop_is_left_after_the_time() -> None:
    release = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            if release.wait(0.05):
                return

    with serving(drip) as (url, _):
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            sender()(Call("GET", url), 0.3)
        took = time.monotonic() - began
        release.set()
    assert took < 10, "each drop is in time, the answer is not"


def test_less_than_was_announced_is_no_answer() -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")

    with serving(short) as (url, _), pytest.raises(NoAnswer):
        sender()(Call("GET", url), 5)

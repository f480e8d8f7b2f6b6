"""What goes through the gateway, what does not, and what a client learns when a service does not answer."""

import asyncio
import gc
import gzip
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from starlette.requests import Request

from apps.gateway import proxy
from apps.gateway.proxy import Proxy
from apps.gateway.routes import Found, find
from apps.kit.problems import Problem
from tests.apps.gateway.descriptions import of_services
from tests.apps.gateway.stage import (
    DEADLINE_SECONDS,
    Stage,
    broken,
    fine,
    silent,
    stage,
    unused_url,
)
from tests.apps.serving import ANA, signed_in

pytestmark = pytest.mark.loopback

TOKEN = signed_in(ANA)["Authorization"]
SECONDS = 0.2


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """Lets a connection that nobody closed be noticed in the test that left it."""
    yield
    gc.collect()


async def check_problem(answer: aiohttp.ClientResponse, status: int, code: str) -> None:
    assert answer.status == status, await answer.text()
    assert answer.headers["content-type"] == "application/problem+json"
    document = await answer.json(content_type=None)
    assert document["code"] == code
    assert "final" not in document


def test_a_request_reaches_its_service_and_the_answer_comes_back_as_it_is() -> None:
    async def answering(_: web.BaseRequest) -> web.StreamResponse:
        headers = CIMultiDict({"X-Outer": "kept", "Location": "/transfers/1", "Retry-After": "1"})
        headers.add("X-Twice", "a")
        headers.add("X-Twice", "b")
        return web.Response(body=b"bytes \x00\xff", status=201, headers=headers)

    async def walk() -> None:
        async with stage(answering) as made:
            answer = await made.client.get(f"{made.url}/accounts")
            assert answer.status == 201
            assert await answer.read() == b"bytes \x00\xff"
            assert [answer.headers[name] for name in ("X-Outer", "Location", "Retry-After")] == [
                "kept",
                "/transfers/1",
                "1",
            ]
            assert answer.headers.getall("X-Twice") == ["a", "b"]
            assert answer.headers["Cache-Control"] == "no-store"
            (seen,) = made.seen
            assert (seen.method, seen.path, seen.body) == ("GET", "/accounts", b"")

    asyncio.run(walk())


@pytest.mark.parametrize(
    "query", ["", "?", "?cursor=a%2Fb%20c&to=%C3%A9", "?a=1&a=2&b=+&c", "?a=//../..&b=?"], ids=repr
)
def test_a_query_goes_on_as_it_came(query: str) -> None:
    async def walk() -> None:
        async with stage() as made:
            status, _, _ = await made.raw(
                f"GET /accounts{query} HTTP/1.1\nHost: here\nAuthorization: {TOKEN}\n\n"
            )
            assert status == 200
            assert made.seen[0].path == "/accounts" + ("" if query == "?" else query)

    asyncio.run(walk())


HOSTILE = f"""\
GET /accounts HTTP/1.1
Host: bank.example
Authorization: {TOKEN}
Accept: application/json
Idempotency-Key: one
Idempotency-Key: two
Connection: keep-alive, X-Named
Connection: X-Named-Too
X-Named: a
X-Named-Too: a
Keep-Alive: timeout=5
Proxy-Authorization: Basic YTpi
Proxy-Connection: keep-alive
TE: trailers
Trailer: X-After
X-User: mallory
X-User-Id: mallory
x-amzn-oidc-identity: mallory
X-Auth-Request-User: mallory
X-Forwarded-User: mallory
X-Remote-User: mallory
X-Caller: mallory
X-Subject: mallory
Cookie: session=1
X-Request-Id: a-good.request_id

"""


def test_headers_of_the_connection_and_claims_of_an_identity_stop_here() -> None:
    async def walk() -> None:
        async with stage() as made:
            status, headers, _ = await made.raw(HOSTILE)
            assert status == 200
            (seen,) = made.seen
            names = {name.lower() for name, _ in seen.headers}
            assert names == {"host", "authorization", "accept", "idempotency-key", "x-request-id"}
            assert seen.values("Host")[0].startswith("127.0.0.1:")
            assert seen.values("Authorization") == [TOKEN]
            assert seen.values("Idempotency-Key") == ["one, two"]
            assert seen.values("X-Request-Id") == ["a-good.request_id"]
            assert dict(headers)["x-request-id"] == "a-good.request_id"

    asyncio.run(walk())


def test_headers_of_the_services_connection_stop_here() -> None:
    async def answering(_: web.BaseRequest) -> web.StreamResponse:
        headers = CIMultiDict({"X-Named": "a", "X-Named-Too": "a", "Server": "inner", "X-Outer": "kept"})
        headers.update({"Keep-Alive": "timeout=5", "Proxy-Authenticate": "Basic", "Trailer": "X-After"})
        headers.add("Connection", "keep-alive, X-Named")
        headers.add("Connection", "X-Named-Too")
        return web.Response(text="fine", headers=headers)

    async def walk() -> None:
        async with stage(answering) as made:
            _, headers, body = await made.raw(
                f"GET /accounts HTTP/1.1\nHost: here\nAuthorization: {TOKEN}\n\n"
            )
            assert body == b"fine"
            names = [name for name, _ in headers]
            assert "x-outer" in names
            hidden = {"connection", "keep-alive", "proxy-authenticate", "trailer", "server"}
            assert not {*hidden, "x-named", "x-named-too"} & set(names)
            assert names.count("date") == 1

    asyncio.run(walk())


def test_a_body_goes_on_as_it_came() -> None:
    body = gzip.compress(bytes(range(256)) * 40)
    headers = {"Content-Type": "application/odd; charset=x", "Content-Encoding": "gzip"}

    async def in_pieces() -> AsyncIterator[bytes]:
        yield body[:100]
        yield body[100:]

    async def walk() -> None:
        async with stage() as made:
            for data in (body, in_pieces()):
                answer = await made.client.post(f"{made.url}/transfers", data=data, headers=headers)
                assert await answer.json() == {"fine": True}
            for seen in made.seen:
                assert seen.body == body
                assert seen.values("Content-Type") == ["application/odd; charset=x"]
                assert seen.values("Content-Encoding") == ["gzip"]
                assert seen.values("Content-Length") == [str(len(body))]

    asyncio.run(walk())


def test_an_empty_post_stays_empty() -> None:
    async def walk() -> None:
        async with stage() as made:
            status, _, _ = await made.raw(
                f"POST /transfers HTTP/1.1\nHost: here\nAuthorization: {TOKEN}\nContent-Length: 0\n\n"
            )
            assert status == 200
            (seen,) = made.seen
            assert seen.body == b""
            assert seen.values("Content-Length") == ["0"]
            assert seen.values("Content-Type") == []

    asyncio.run(walk())


def test_an_encoded_answer_is_not_decoded_on_the_way() -> None:
    encoded = gzip.compress(b"text" * 100)

    async def answering(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=encoded, headers={"Content-Encoding": "gzip"})

    async def walk() -> None:
        async with stage(answering) as made:
            _, headers, body = await made.raw(
                f"GET /accounts HTTP/1.1\nHost: here\nAuthorization: {TOKEN}\n\n"
            )
            assert body == encoded
            assert dict(headers)["content-encoding"] == "gzip"

    asyncio.run(walk())


def test_a_redirect_is_the_clients_to_follow() -> None:
    async def answering(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://elsewhere.example/"})

    async def walk() -> None:
        async with stage(answering) as made:
            answer = await made.client.get(f"{made.url}/accounts", allow_redirects=False)
            assert (answer.status, await answer.read()) == (307, b"")
            assert answer.headers["Location"] == "http://elsewhere.example/"

    asyncio.run(walk())


@pytest.mark.parametrize(
    ("method", "path", "token", "answer"),
    [
        ("GET", "/accounts", "", (401, "unauthenticated", None)),
        ("GET", "/accounts", "Bearer x.y.z", (401, "unauthenticated", None)),
        ("DELETE", "/accounts", TOKEN, (405, "method_not_allowed", "GET, POST")),
        ("OPTIONS", "/balances", "", (405, "method_not_allowed", "GET")),
        ("GET", "/accounts/%2e%2e/livez", TOKEN, (404, "not_found", None)),
        ("GET", "/accounts/../livez", TOKEN, (404, "not_found", None)),
        ("GET", "//accounts", TOKEN, (404, "not_found", None)),
        ("GET", "/nothing", "", (404, "not_found", None)),
    ],
)
def test_what_is_not_allowed_never_reaches_a_service(
    method: str, path: str, token: str, answer: tuple[int, str, str | None]
) -> None:
    async def walk() -> None:
        async with stage() as made:
            status, headers, body = await made.raw(
                f"{method} {path} HTTP/1.1\nHost: here\nAuthorization: {token}\n\n"
            )
            assert (status, json.loads(body)["code"], dict(headers).get("allow")) == answer
            assert made.seen == []

    asyncio.run(walk())


def test_an_answer_that_is_all_there_needs_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "_Streamed", None)

    async def answering(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"short", status=201)

    async def walk() -> None:
        async with stage(answering) as made:
            answer = await made.client.get(f"{made.url}/accounts")
            assert (answer.status, await answer.read()) == (201, b"short")
            assert answer.headers["Content-Length"] == "5"

    asyncio.run(walk())


def test_an_answer_is_streamed_and_not_collected() -> None:
    on = asyncio.Event()

    async def answering(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await on.wait()
        await response.write(b" second")
        return response

    async def walk() -> None:
        async with stage(answering) as made:
            answer = await made.client.get(f"{made.url}/accounts")
            assert await answer.content.readany() == b"first"
            on.set()
            assert await answer.read() == b" second"

    asyncio.run(asyncio.wait_for(walk(), DEADLINE_SECONDS))


@pytest.mark.parametrize("started", [True, False], ids=["in the middle", "while the service is silent"])
def test_a_client_that_goes_away_closes_the_services_connection(started: bool) -> None:
    gone = asyncio.Event()

    async def answering(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if started:
            await response.write(b"first")
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return response

    async def walk() -> None:
        async with stage(answering) as made:
            answer = await made.client.get(f"{made.url}/accounts")
            if started:
                assert await answer.content.readany() == b"first"
            assert not gone.is_set()
            answer.close()
            await asyncio.wait_for(gone.wait(), DEADLINE_SECONDS / 2)

    asyncio.run(walk())


def test_a_connection_serves_one_request_after_the_other() -> None:
    peers = set()

    async def answering(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await fine(request)

    async def walk() -> None:
        async with stage(answering) as made:
            for _ in range(5):
                answer = await made.client.get(f"{made.url}/accounts")
                assert await answer.json() == {"fine": True}
            assert len(made.seen) == 5

    asyncio.run(walk())
    assert len(peers) == 1


@pytest.mark.parametrize("length", ["announced", "chunked"])
def test_an_answer_that_breaks_off_is_not_made_whole(length: str) -> None:
    async def answering(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        if length == "announced":
            response.content_length = 100
        await response.prepare(request)
        await response.write(b"first")
        return await broken(request)

    async def walk() -> None:
        async with stage(answering) as made:
            with pytest.raises(aiohttp.ClientError):
                await (await made.client.get(f"{made.url}/accounts")).read()

    asyncio.run(walk())


@pytest.mark.parametrize("how", [silent, broken], ids=["silence", "a broken connection"])
def test_a_post_without_an_answer_is_sent_once_and_its_outcome_is_unknown(how: object) -> None:
    async def walk() -> None:
        async with stage(silent if how is silent else broken, total_seconds=SECONDS) as made:
            answer = await made.client.post(f"{made.url}/transfers", data=b"{}")
            await check_problem(answer, 504, "outcome_unknown")
            assert answer.headers["Retry-After"] == "1"
            assert len(made.seen) == 1

    asyncio.run(walk())


@pytest.mark.parametrize("how", [silent, broken], ids=["silence", "a broken connection"])
def test_a_get_without_an_answer_may_be_asked_again(how: object) -> None:
    async def walk() -> None:
        async with stage(silent if how is silent else broken, total_seconds=SECONDS) as made:
            answer = await made.client.get(f"{made.url}/accounts")
            await check_problem(answer, 504, "upstream_timeout")
            assert answer.headers["Retry-After"] == "1"
            # The HTTP client itself sends a GET again, once, when its connection breaks.
            assert len(made.seen) == (1 if how is silent else 2)

    asyncio.run(walk())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_service_that_refuses_connections_is_a_bad_gateway(method: str) -> None:
    async def walk() -> None:
        async with stage() as made:
            proxy = Proxy({"account": unused_url()}, total_seconds=DEADLINE_SECONDS)
            try:
                with pytest.raises(Problem) as raised:
                    await proxy.forward(*asked(method))
            finally:
                await proxy.close()
            assert (raised.value.status, raised.value.code) == (502, "upstream_error")
            assert raised.value.headers == {"Retry-After": "1"}
            assert made.seen == []

    asyncio.run(walk())


def asked(method: str) -> tuple[Request, Found, bytes]:
    found = find(method, b"/accounts")
    assert isinstance(found, Found)
    return Request({"type": "http", "method": method, "query_string": b"", "headers": []}), found, b""


class Unconnected(Proxy):
    """Finds no connection the first few times."""

    def __init__(self, url: str, failures: int, error: aiohttp.ClientError) -> None:
        super().__init__({"account": url}, total_seconds=DEADLINE_SECONDS)
        self.failures = failures
        self.error = error
        self.tries = 0

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> aiohttp.ClientResponse:
        self.tries += 1
        if self.tries <= self.failures:
            raise self.error
        return await super()._send(method, url, headers, body)


def refused() -> aiohttp.ClientError:
    key = aiohttp.client_reqrep.ConnectionKey("127.0.0.1", 1, False, False, None, None, None)
    return aiohttp.ClientConnectorError(key, OSError(111, "refused"))


@pytest.mark.parametrize(
    ("method", "failures", "tries", "passes"),
    [("GET", 1, 2, True), ("GET", 2, 2, False), ("POST", 1, 1, False)],
    ids=["GET, second try", "GET, no third try", "POST, no second try"],
)
@pytest.mark.parametrize(
    "error", [refused(), aiohttp.ConnectionTimeoutError()], ids=["refused", "no answer to the handshake"]
)
def test_only_a_get_that_found_no_connection_is_tried_again_and_once(
    method: str, failures: int, tries: int, passes: bool, error: aiohttp.ClientError
) -> None:
    async def walk(made: Stage, proxy: Unconnected) -> None:
        if passes:
            answer = await proxy.forward(*asked(method))
            assert answer.status_code == 200
        else:
            with pytest.raises(Problem) as raised:
                await proxy.forward(*asked(method))
            # No connection, so nothing was sent and nothing is unknown.
            assert raised.value.code == "upstream_error"
        assert proxy.tries == tries
        assert len(made.seen) == passes

    async def behind_the_stage() -> None:
        async with stage() as made:
            proxy = Unconnected(made.behind, failures, error)
            try:
                await walk(made, proxy)
            finally:
                await proxy.close()

    asyncio.run(behind_the_stage())


def test_the_description_is_that_of_all_services_and_open_to_everybody() -> None:
    async def walk() -> None:
        async with stage() as made:
            document: dict[str, Any] = {"paths": {}, "components": {"schemas": {}}}
            for each in of_services().values():
                document["paths"] |= each["paths"]
                document["components"]["schemas"] |= each["components"]["schemas"]

            async def describing(_: web.BaseRequest) -> web.StreamResponse:
                return web.json_response(document)

            made.answer = broken
            async with aiohttp.ClientSession() as anybody:
                away = await anybody.get(f"{made.url}/openapi.json")
                await check_problem(away, 502, "upstream_error")
                made.answer = describing
                described = await anybody.get(f"{made.url}/openapi.json")
                assert "/transfers" in (await described.json())["paths"]
                asked_so_far = len(made.seen)
                page = await anybody.get(f"{made.url}/docs")
                assert page.content_type == "text/html"
                assert "/transfers" in await page.text()
            # Read once, for good.
            assert len(made.seen) == asked_so_far

    asyncio.run(walk())

"""Forwards a request to a service and streams the answer back, unless it is all there at once.

Only a GET that found no connection is tried again here; aiohttp itself repeats a GET, once, whose
connection broke before the answer. A POST goes out once: when it may have reached the service and got no
answer it ends as `504 outcome_unknown`, which decides nothing, and the client repeats it with the same key.
"""

import asyncio
from collections.abc import Iterable, Mapping

import aiohttp
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from yarl import URL

from apps.gateway.routes import Found
from apps.kit import logs
from apps.kit.problems import Problem

CONNECT_SECONDS = 1.0
TOTAL_SECONDS = 8.0
POOL = 200
KEEPALIVE_SECONDS = 30.0
"""Below the services' own 75 s, so that no request meets a connection that is just being closed."""
CHUNK_BYTES = 64 * 1024

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_IDENTITY = ("x-user", "x-amzn-oidc", "x-auth", "x-forwarded-user", "x-remote-user", "x-caller", "x-subject")
_NOT_FORWARDED = _HOP_BY_HOP | {"host", "content-length", "cookie", "x-request-id", "expect"}


class Proxy:
    """One pool of connections to all services. Make it inside a running event loop."""

    def __init__(self, urls: Mapping[str, str], *, total_seconds: float) -> None:
        self._urls = dict(urls)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL, keepalive_timeout=KEEPALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=total_seconds, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        """Closes the pool."""
        await self._session.close()

    async def forward(self, request: Request, found: Found, body: bytes) -> Response:
        """The service's answer to a request whose caller is verified. Raises `Problem`."""
        query = request.scope["query_string"].decode("latin-1")
        url = self._urls[found.route.service] + found.path + (f"?{query}" if query else "")
        headers = _forwarded(request.headers.items())
        headers["X-Request-Id"] = logs.request_id() or ""
        tries = 2 if request.method == "GET" else 1
        while True:
            tries -= 1
            try:
                answer = await self._send(request.method, url, headers, body)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                # No connection, so nothing was sent.
                if tries == 0:
                    raise Problem(
                        502, "upstream_error", "The service cannot be reached.", headers={"Retry-After": "1"}
                    ) from error
            except (TimeoutError, aiohttp.ClientError) as error:
                raise _without_answer(request.method) from error
            else:
                # Most answers are short and whole already: a stream's machinery would cost more than they do.
                return await _whole(answer) if answer.content.is_eof() else _Streamed(answer)

    async def document(self, service: str, path: str) -> Mapping[str, object]:
        """A JSON document of a service, such as its description."""
        async with self._session.get(self._urls[service] + path) as answer:
            answer.raise_for_status()
            document: Mapping[str, object] = await answer.json()
            return document

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> aiohttp.ClientResponse:
        # `encoded`: the path was written anew and the query came encoded; nothing may be changed again.
        return await self._session.request(
            method,
            URL(url, encoded=True),
            headers=headers,
            data=body if body or method == "POST" else None,
            allow_redirects=False,
        )


class _Streamed(StreamingResponse):
    """A service's answer on its way to the client. The connection goes back to the pool at the end."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        super().__init__(answer.content.iter_chunked(CHUNK_BYTES), answer.status)
        self._answer = answer
        self.raw_headers = _returned(answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.release()


async def _whole(answer: aiohttp.ClientResponse) -> Response:
    """A service's answer that is here to its end."""
    try:
        response = Response(await answer.read(), answer.status)
    finally:
        answer.release()
    response.raw_headers = _returned(answer)
    return response


def _returned(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    """The headers that the client sees: none that belong to the service's connection."""
    dropped = _HOP_BY_HOP | {"server", "date"} | _named_in(answer.headers.getall("Connection", []))
    return [
        (name.lower(), value) for name, value in answer.raw_headers if name.decode().lower() not in dropped
    ]


def _without_answer(method: str) -> Problem:
    retry = {"Retry-After": "1"}
    if method == "GET":
        return Problem(504, "upstream_timeout", "The service did not answer in time.", headers=retry)
    key = " with the same Idempotency-Key" if method == "POST" else ""
    return Problem(
        504,
        "outcome_unknown",
        f"The request may have been carried out or not. Repeat it{key}.",
        headers=retry,
    )


def _forwarded(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that a service sees: none that claim an identity, none that belong to the connection."""
    given = list(headers)
    named = _named_in(value for name, value in given if name == "connection")
    kept: dict[str, str] = {}
    for name, value in given:
        if name in _NOT_FORWARDED or name in named or name.startswith(_IDENTITY):
            continue
        # A header that came twice stays recognisable as such.
        kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept


def _named_in(connection: Iterable[str]) -> frozenset[str]:
    """The headers that `Connection` headers, of which there may be several, call the connection's own."""
    return frozenset(part.strip().lower() for value in connection for part in value.split(","))


async def all_documents(proxy: Proxy, services: Iterable[str]) -> list[Mapping[str, object]]:
    """The OpenAPI documents of these services."""
    return list(await asyncio.gather(*(proxy.document(service, "/openapi.json") for service in services)))

"""A gateway between a client and one service, all by HTTP on 127.0.0.1 and in one event loop."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import uvicorn
from aiohttp import web

from apps.gateway.api import Gateway, router
from apps.kit.service import create_app
from tests.apps.serving import ANA, signed_in, verifier

DEADLINE_SECONDS = 10.0
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """A request as the service met it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


@dataclass
class Stage:
    """`behind` is the address of the service, `answer` what it does, `seen` what reached it."""

    url: str
    behind: str
    client: aiohttp.ClientSession
    answer: Answer
    seen: list[Seen] = field(default_factory=list)

    async def raw(self, text: str) -> tuple[int, list[tuple[str, str]], bytes]:
        """Sends a request exactly as written; gives status, headers and body of the answer."""
        address = self.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(address[0], int(address[2]))
        try:
            writer.write(text.replace("\n", "\r\n").encode("latin-1"))
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            pairs = [line.partition(": ") for line in head[1:] if line]
            headers = [(name.lower(), value) for name, _, value in pairs]
            length = int(dict(headers).get("content-length", 0))
            return int(head[0].split()[1]), headers, await reader.readexactly(length)
        finally:
            writer.close()
            await writer.wait_closed()


async def fine(_: web.BaseRequest) -> web.StreamResponse:
    """An answer that is nothing special."""
    return web.json_response({"fine": True})


async def silent(_: web.BaseRequest) -> web.StreamResponse:
    """Never answers, until the other side is gone."""
    await asyncio.Event().wait()
    raise AssertionError


async def broken(request: web.BaseRequest) -> web.StreamResponse:
    """Breaks the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def stage(answer: Answer = fine, *, total_seconds: float = DEADLINE_SECONDS) -> AsyncIterator[Stage]:
    """The gateway, up; `answer` is what the services behind it do."""

    async def service(request: web.BaseRequest) -> web.StreamResponse:
        headers = [(name.decode(), value.decode("latin-1")) for name, value in request.raw_headers]
        made.seen.append(Seen(request.method, request.raw_path, headers, await request.read()))
        return await made.answer(request)

    runner = web.ServerRunner(
        web.Server(service, handler_cancellation=True, auto_decompress=False), shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    behind = f"http://127.0.0.1:{runner.addresses[0][1]}"
    gateway = Gateway({"account": behind, "transaction": behind}, total_seconds=total_seconds)
    try:
        async with _served(gateway) as url, aiohttp.ClientSession(headers=signed_in(ANA)) as client:
            made = Stage(url, behind, client, answer)
            yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _served(gateway: Gateway) -> AsyncIterator[str]:
    app = create_app(
        "GO Banking",
        "1",
        [router],
        state={"gateway": gateway},
        verifier=verifier(),
        openapi_url=None,
        close=[gateway.close],
    )
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Not by `serve`, which sleeps 0.1 s between two looks at whether it is to end.
        await server.startup([listening])
        await server.on_tick(0)  # the date of its answers
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            await server.shutdown([listening])


async def until(good: Callable[[], bool]) -> None:
    """Waits for something to become true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not good():
        assert time.monotonic() < deadline, "it did not become true"
        await asyncio.sleep(0.005)


def unused_url() -> str:
    """An address that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as once:
        return f"http://127.0.0.1:{once.getsockname()[1]}"

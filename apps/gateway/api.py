"""The gateway over HTTP: verifies the caller, finds the route, forwards. It alone is asynchronous."""

from collections.abc import Mapping
from typing import Any

import aiohttp
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from apps.gateway import docs, openapi
from apps.gateway.proxy import Proxy, all_documents
from apps.gateway.routes import ROUTES, NotAllowed, find
from apps.kit.problems import Problem
from apps.kit.service import caller

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]
SERVICES = tuple(dict.fromkeys(route.service for route in ROUTES))

router = APIRouter(include_in_schema=False)


class Gateway:
    """What the endpoints share: the connections to the services, and the API's description once read."""

    def __init__(self, urls: Mapping[str, str], *, total_seconds: float) -> None:
        self._urls = dict(urls)
        self._total_seconds = total_seconds
        self._proxy: Proxy | None = None
        self._description: dict[str, Any] | None = None

    @property
    def proxy(self) -> Proxy:
        """The connections, made in the event loop that uses them."""
        if self._proxy is None:
            self._proxy = Proxy(self._urls, total_seconds=self._total_seconds)
        return self._proxy

    async def close(self) -> None:
        """Closes the connections."""
        if self._proxy is not None:
            await self._proxy.close()

    async def description(self) -> dict[str, Any]:
        """The OpenAPI document of the public API. Raises `Problem` while a service is away."""
        if self._description is None:
            try:
                documents = await all_documents(self.proxy, SERVICES)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Problem(
                    502, "upstream_error", "A service does not describe itself.", headers={"Retry-After": "1"}
                ) from error
            self._description = openapi.merged(dict(zip(SERVICES, documents, strict=True)))
        return self._description


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


@router.get("/openapi.json")
async def describe(request: Request) -> Response:
    """The public API as one OpenAPI document."""
    return JSONResponse(await _gateway(request).description())


@router.get("/docs")
async def show(request: Request) -> Response:
    """The public API for people."""
    return HTMLResponse(docs.page(await _gateway(request).description()))


@router.api_route("/{path:path}", methods=METHODS)
async def forward(request: Request) -> Response:
    """Every other request: to the service that its route names, its caller verified where one must be."""
    found = find(request.method, request.scope["raw_path"].partition(b"?")[0])
    if found is None:
        request.scope["route_template"] = "unmatched"
        raise Problem(404, "not_found", "There is nothing here. See /docs.")
    if isinstance(found, NotAllowed):
        request.scope["route_template"] = found.template
        raise Problem(
            405,
            "method_not_allowed",
            f"Here you can {' and '.join(found.allowed)}.",
            headers={"Allow": ", ".join(found.allowed)},
        )
    request.scope["route_template"] = found.route.template
    if found.route.token:
        await caller(request)
    return await _gateway(request).proxy.forward(request, found, await request.body())

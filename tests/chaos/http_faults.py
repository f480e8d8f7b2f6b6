"""The points of calls over HTTP: from the gateway to the services (aiohttp), and from services to each other
and to Bacen (urllib3). Part of `faults`, and loaded by it.

A call is named by its method, whom it is for and its path without ids: `http GET bacen /api/v2/entries/{}`.
"""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError

if TYPE_CHECKING:
    from tests.chaos.faults import Injector

NO_CONTENT = 204


def install(injector: "Injector") -> None:
    """Puts the points into this process's HTTP clients."""
    names = {
        value: name.removeprefix("URL_").lower()
        for name, value in os.environ.items()
        if name.startswith("URL_")
    }
    _instrument_aiohttp(injector, names)
    _instrument_urllib3(injector, names)


def http_call(method: str, url: str, names: Mapping[str, str]) -> str:
    """The name of a call; `names` are the services by where they listen."""
    split = urlsplit(url)
    service = names.get(f"{split.scheme}://{split.netloc}", "other")
    kept = re.compile(r"[a-z_.-]*|v[0-9]")
    path = "/".join(part if kept.fullmatch(part) else "{}" for part in split.path.split("/"))
    return f"http {method} {service} {path}"


def _instrument_aiohttp(injector: "Injector", names: Mapping[str, str]) -> None:
    original = aiohttp.ClientSession._request

    async def requested(session: Any, method: str, url: Any, **options: Any) -> Any:
        call = http_call(method, str(url), names)
        injector.saw(call)
        await asyncio.sleep(injector.point(call, "before"))
        for _ in injector.due(call, "before", "fail"):
            raise aiohttp.ServerDisconnectedError
        answer = await original(session, method, url, **options)
        await asyncio.sleep(injector.point(call, "after"))
        for _ in injector.due(call, "after", "lose"):
            answer.close()
            raise aiohttp.ServerDisconnectedError
        return answer

    aiohttp.ClientSession._request = requested  # type: ignore[method-assign, assignment]


def _instrument_urllib3(injector: "Injector", names: Mapping[str, str]) -> None:
    """botocore does not come by here: it asks for a server's own pool."""
    original = urllib3.PoolManager.urlopen

    def opened(manager: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        call = http_call(method, url, names)
        time.sleep(injector.point(call, "before"))
        for _ in injector.due(call, "before", "fail"):
            raise ProtocolError("injected")
        answer = original(manager, method, url, *arguments, **options)
        if answer.status == NO_CONTENT:
            # A pull that brought nothing, as a poll of Kafka: on no transfer's way.
            return answer
        injector.saw(call)
        time.sleep(injector.point(call, "after"))
        for _ in injector.due(call, "after", "lose"):
            answer.close()
            raise ReadTimeoutError(manager.connection_from_url(url), url, "injected")
        return answer

    urllib3.PoolManager.urlopen = opened  # type: ignore[method-assign, assignment]

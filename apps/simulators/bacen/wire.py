"""Faults on the wire: what a participant meets before Bacen has looked at its request, or after.

Around the whole application, so that a lost answer has been given and a slow one has not been asked for yet.
"""

import asyncio
from collections.abc import Awaitable, Callable

from apps.kit.service import App, Message, Receive, Scope, Send
from apps.simulators.bacen.faults import Fault, Faults, Place
from apps.simulators.bacen.refusals import ICOM_ERRORS, MEDIA_TYPE, Refused, WireRefused

Sleep = Callable[[float], Awaitable[None]]
_PLACES: tuple[tuple[str, Place], ...] = (("/api/v2/", "dict"), ("/api-np/v2/", "dict"), ("/api/v1/", "spi"))


class FaultyWire:
    """Lets requests through, unless something is to go wrong with them."""

    def __init__(self, app: App, faults: Faults, sleep: Sleep = asyncio.sleep) -> None:
        self._app = app
        self._faults = faults
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        place = _place(scope)
        fault = self._faults.take(place) if place is not None else None
        if place is None or fault is None:
            await self._app(scope, receive, send)
        elif fault.what == "slow":
            await self._sleep(fault.seconds)
            await self._app(scope, receive, send)
        elif fault.what == "lost_answer":
            await self._app(scope, receive, _nobody_hears)
            await self._sleep(fault.seconds)
            # As the manual of the ICOM has it: a severe failure answers text, and what was sent may be kept.
            await _answer(send, 504, "text/plain", b"Gateway Timeout")
        elif fault.what == "down":
            await _answer(send, 503, MEDIA_TYPE, _away(place), max(1, round(fault.seconds)))
        else:
            await _answer(send, fault.status, fault.media_type, _garbled(fault))


def _place(scope: Scope) -> Place | None:
    if scope["type"] != "http":
        return None
    return next((place for start, place in _PLACES if scope["path"].startswith(start)), None)


def _away(place: Place) -> bytes:
    if place == "dict":
        return Refused("ServiceUnavailable", "Out of service at the moment.").document("0" * 32)
    return WireRefused(503, "unavailable", f"Serviço indisponível. See {ICOM_ERRORS}").document()


def _garbled(fault: Fault) -> bytes:
    return fault.body.encode()


async def _nobody_hears(_: Message) -> None:
    """Takes an answer that never arrives."""


async def _answer(
    send: Send, status: int, media_type: str, body: bytes, retry_after: int | None = None
) -> None:
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""What a request to an Open Finance API meets first: its interaction id, and what goes wrong on purpose."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.simulators.other_bank.answers import Refused, error_body
from apps.simulators.other_bank.banks import Banks
from apps.simulators.other_bank.faults import Fault

INTERACTION = "x-fapi-interaction-id"
Wait = Callable[[float], Awaitable[None]]


class Fapi:
    """Checks and echoes the interaction id below `/open-banking/`, and plays the faults of the bank."""

    def __init__(self, app: ASGIApp, banks: Banks, wait: Wait = asyncio.sleep) -> None:
        self._app = app
        self._banks = banks
        self._wait = wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        bank = (
            self._banks.by_slug.get(scope.get("path", "").split("/")[1]) if scope["type"] == "http" else None
        )
        if bank is None:
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        fault = bank.faults.next(scope["method"], path) or Fault()
        if fault.delay_seconds:
            await self._wait(fault.delay_seconds)
        if "/open-banking/" not in path:
            await self._answer(fault, None, scope, receive, send)
            return
        given = Headers(scope=scope).get(INTERACTION, "")
        if not _is_uuid(given):
            refused = Refused(400, "PARAMETRO_INVALIDO", f"{INTERACTION} must be a UUID.")
            await _refuse(refused, str(uuid.uuid4()), self._banks, send)
            return
        told: str | None = given
        if fault.interaction is not None:
            told = None if fault.interaction == "missing" else str(uuid.uuid4())
        await self._answer(fault, told, scope, receive, send)

    async def _answer(
        self, fault: Fault, interaction: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if fault.status is not None and not fault.lose_answer:
            refused = Refused(fault.status, "ERRO_NAO_MAPEADO", "Something went wrong here.")
            await _refuse(refused, interaction, self._banks, send)
            return

        async def echoing(message: Message) -> None:
            if message["type"] == "http.response.start" and interaction is not None:
                message["headers"] = [*message["headers"], (INTERACTION.encode(), interaction.encode())]
            await send(message)

        if not fault.lose_answer:
            await self._app(scope, receive, echoing)
            return
        # The request is carried out, and nobody learns what came of it.
        await self._app(scope, receive, _into_the_void)
        lost = Refused(504, "GATEWAY_TIMEOUT", "The answer got lost.")
        await _refuse(lost, interaction, self._banks, send)


async def _into_the_void(_: Message) -> None:
    """Takes an answer and keeps it."""


async def _refuse(refused: Refused, interaction: str | None, banks: Banks, send: Send) -> None:
    body = json.dumps(error_body(refused, banks.clock.now())).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    if interaction is not None:
        headers.append((INTERACTION.encode(), interaction.encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False

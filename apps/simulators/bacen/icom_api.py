"""The SPI over HTTP, as the ICOM has it: post to send, pull to receive, ask what became of an order.

What is as published and what is assumed stands in `transport`.
"""

import asyncio
import email.parser
import email.policy
import gzip
import re
import zlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from fastapi import APIRouter, Request, Response

from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.markup import BYTES_LIMIT, written
from apps.simulators.bacen.markup import tree as made
from apps.simulators.bacen.refusals import MEDIA_TYPE, WireRefused
from apps.simulators.bacen.spi_schema import DOCUMENTS, VERSIONS
from apps.simulators.bacen.transport import ALLOWED, AT_ONCE, Message, Stream

XML = "application/xml; charset=utf-8"
_BOUNDARY = "spi-messages"
_LOOK_SECONDS = 0.5
_ISPB = re.compile(r"[0-9A-Z]{8}")

router = APIRouter(include_in_schema=False)


@router.get("/api/v1/in/catalog")
async def in_catalog() -> Response:
    """The messages that may be sent."""
    return _catalog(list(DOCUMENTS))


@router.get("/api/v1/out/catalog")
async def out_catalog() -> Response:
    """The messages that may arrive."""
    return _catalog(list(VERSIONS))


@router.post("/api/v1/in/{ispb}/msgs")
async def send(ispb: str, request: Request) -> Response:
    """Keeps one message, or up to ten."""

    async def keep(bacen: Bacen) -> Response:
        bacen.transport.check_traffic(ispb)
        messages = _messages(request, await request.body())
        kept = [bacen.post(ispb, message) for message in messages]
        return Response(status_code=201, headers={"PI-ResourceId": ",".join(kept)})

    return await _answered(request, ispb, keep)


@router.get("/api/v1/out/{ispb}/stream/start")
async def start(ispb: str, request: Request) -> Response:
    """Opens a stream and waits for its first messages."""

    async def read(bacen: Bacen) -> Response:
        stream = bacen.transport.open(ispb)
        return await _pulled(bacen, stream, stream.token, request)

    return await _answered(request, ispb, read)


@router.get("/api/v1/out/{ispb}/stream/{token}")
async def pull(ispb: str, token: str, request: Request) -> Response:
    """Waits for the next messages of a stream; those before are confirmed."""

    async def read(bacen: Bacen) -> Response:
        stream, again = bacen.transport.follow(ispb, token)
        return _read(stream, stream.given, request) if again else await _pulled(bacen, stream, token, request)

    return await _answered(request, ispb, read)


@router.delete("/api/v1/out/{ispb}/stream/{token}")
async def close(ispb: str, token: str, request: Request) -> Response:
    """Ends a stream and confirms its last messages."""

    async def end(bacen: Bacen) -> Response:
        bacen.transport.close(ispb, token)
        return Response(status_code=200)

    return await _answered(request, ispb, end)


@router.get("/api/v1/in/{ispb}/operations/{order_id}")
async def operation(ispb: str, order_id: str, request: Request) -> Response:
    """What became of an order: the pacs.002 that its bank would get now."""

    async def tell(bacen: Bacen) -> Response:
        message = bacen.spi.status(ispb, order_id)
        if message is None:
            raise WireRefused(404, "operation-not-found", "Operação inexistente.")
        return Response(message, media_type=XML)

    return await _answered(request, ispb, tell)


@router.api_route("/api/v1/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def nothing(path: str) -> Response:
    """What the ICOM does not have."""
    known = re.fullmatch(
        r"(in|out)/catalog|in/[0-9A-Z]{8}/(msgs|operations/\w+)|out/[0-9A-Z]{8}/stream/\w+", path
    )
    refused = WireRefused(405, "method", "Método não suportado.") if known else None
    return _refusal(refused or WireRefused(404, "not-found", "Recurso inexistente."))


async def _answered(request: Request, ispb: str, work: Callable[[Bacen], Awaitable[Response]]) -> Response:
    """The answer to a participant, or the problem."""
    bacen: Bacen = request.app.state.bacen
    bacen.agenda.run_due()
    try:
        strangers = sorted(set(request.headers) - ALLOWED)
        if strangers:
            raise WireRefused(403, "forbidden", f"Cabeçalho não permitido: {', '.join(strangers)}")  # noqa: TRY301
        if not _ISPB.fullmatch(ispb) or ispb not in bacen.live:
            raise WireRefused(403, "forbidden", "Acesso não permitido.")  # noqa: TRY301
        return await work(bacen)
    except WireRefused as refused:
        return _refusal(refused)


def _refusal(refused: WireRefused) -> Response:
    return Response(refused.document(), refused.status, refused.headers, media_type=MEDIA_TYPE)


async def _pulled(bacen: Bacen, stream: Stream, token: str, request: Request) -> Response:
    """Messages as soon as there are any; 204 after some seconds."""
    most = AT_ONCE if "multipart/mixed" in request.headers.get("accept", "") else 1
    end = bacen.clock() + timedelta(seconds=bacen.long_poll_seconds)
    with bacen.transport.listening(stream.ispb) as bell:
        while stream.token == token:
            bell.clear()
            bacen.agenda.run_due()
            if bacen.transport.pull(stream, most):
                break
            now = bacen.clock()
            if now >= end or await request.is_disconnected():
                bacen.transport.turn(stream)
                break
            due = min(filter(None, [end, bacen.agenda.next_due()]))
            seconds = min(_LOOK_SECONDS, max(0.001, (due - now).total_seconds()))
            try:
                await asyncio.wait_for(bell.wait(), seconds)
            except TimeoutError:
                continue
    return _read(stream, stream.given, request)


def _read(stream: Stream, messages: Sequence[Message], request: Request) -> Response:
    headers = {"PI-Pull-Next": f"/api/v1/out/{stream.ispb}/stream/{stream.token}"}
    if not messages:
        return Response(status_code=204, headers=headers)
    if "multipart/mixed" in request.headers.get("accept", ""):
        body, media_type = _multipart(messages), f'multipart/mixed; boundary="{_BOUNDARY}"'
    else:
        body, media_type = messages[0].xml, XML
        headers["PI-ResourceId"] = messages[0].resource_id
    if "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=media_type)


def _multipart(messages: Sequence[Message]) -> bytes:
    parts = (
        f"--{_BOUNDARY}\r\nContent-Type: {XML}\r\nPI-ResourceId: {each.resource_id}\r\n\r\n".encode()
        + each.xml
        + b"\r\n"
        for each in messages
    )
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()


def _messages(request: Request, body: bytes) -> list[bytes]:
    """The messages of a post. Raises `WireRefused`."""
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        raise WireRefused(411, "length", "Envie Content-Length ou Transfer-Encoding.")
    body = _inflated(request.headers.get("content-encoding"), body)
    media_type = request.headers.get("content-type", "")
    kind, _, parameters = media_type.lower().partition(";")
    if kind.strip() == "application/xml":
        if "charset=utf-8" not in parameters.replace('"', "").replace(" ", ""):
            raise WireRefused(400, "charset", "Charset inválido.")
        return [body]
    if kind.strip() != "multipart/mixed":
        raise WireRefused(415, "content-type", "Envie application/xml; charset=utf-8.")
    head = f"Content-Type: {media_type}\r\n\r\n".encode("latin-1")
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    parts = [part.get_payload(decode=True) for part in parsed.iter_parts()] if parsed.is_multipart() else []
    messages = [part for part in parts if isinstance(part, bytes)]
    if not 1 <= len(messages) <= AT_ONCE:
        raise WireRefused(413 if messages else 400, "multipart", f"Envie de 1 a {AT_ONCE} mensagens.")
    return messages


def _inflated(encoding: str | None, body: bytes) -> bytes:
    if encoding is None:
        return body
    if encoding.lower() != "gzip":
        raise WireRefused(415, "content-encoding", "Somente gzip.")
    try:
        inflated = zlib.decompressobj(31).decompress(body, BYTES_LIMIT + 1)
    except zlib.error:
        raise WireRefused(400, "gzip", "Conteúdo gzip inválido.") from None
    if len(inflated) > BYTES_LIMIT:
        raise WireRefused(413, "length", "Mensagem grande demais.")
    return inflated


def _catalog(kinds: Sequence[str]) -> Response:
    listed = made(("Catalog", [("Message", f"{kind}.spi.{VERSIONS[kind]}") for kind in sorted(kinds)]))
    return Response(written(listed), media_type=XML)

"""The FastAPI factory of every service: the same health, headers, logs, limits and problems everywhere."""

import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException

from apps.kit import logs
from apps.kit.problems import CODES, MEDIA_TYPE, Problem, ProblemDocument, responses
from apps.kit.protocol import LimitedProtocol
from apps.kit.tokens import Caller, InvalidToken, NoKeys, Verifier

BODY_LIMIT_BYTES = 16 * 1024
SECURITY_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def caller(request: Request) -> Caller:
    """Who is calling, by the bearer token. Answers 401 when that is not proven."""
    verifier: Verifier = request.app.state.verifier
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise unauthenticated("Send an access token: Authorization: Bearer <token>.", "Bearer")
    token = token.strip()
    known = verifier.known(token)
    if known is not None:
        return known
    try:
        # On a thread: an unknown key id makes the verifier ask the pool, and nobody else waits for that.
        return await to_thread.run_sync(verifier.verify, token)
    except NoKeys as error:
        raise Problem(
            503, "unavailable", "No caller can be verified yet.", headers={"Retry-After": "1"}
        ) from error
    except InvalidToken as error:
        _log.info("a token was refused", extra={"error": type(error).__name__})
        raise unauthenticated(
            "The access token is not valid, or not any more.", 'Bearer error="invalid_token"'
        ) from error


def unauthenticated(detail: str, challenge: str) -> Problem:
    """The 401 that says how to sign in."""
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})


async def idempotency_key(request: Request) -> str:
    """The key that makes a POST safe to repeat."""
    # Asynchronous, as every dependency that waits for nothing: FastAPI gives each other one a thread's turn.
    keys = request.headers.getlist("idempotency-key")
    if len(keys) != 1 or not _IDEMPOTENCY_KEY.fullmatch(keys[0]):
        raise Problem(
            400,
            "idempotency_key_missing",
            "Send one Idempotency-Key header of 1 to 128 visible ASCII characters, new for each new request.",
        )
    return keys[0]


CallerDep = Annotated[Caller, Depends(caller)]
IdempotencyKeyDep = Annotated[str, Depends(idempotency_key)]


def create_app(
    title: str,
    version: str,
    routers: Sequence[APIRouter],
    *,
    ready: Sequence[Callable[[], None]] = (),
    state: Mapping[str, object] | None = None,
    verifier: Verifier | None = None,
    errors: Mapping[type[Exception], Problem] | None = None,
    body_limit: int = BODY_LIMIT_BYTES,
    openapi_url: str | None = "/openapi.json",
    close: Sequence[Callable[[], Awaitable[None]]] = (),
) -> FastAPI:
    """The application of one service.

    `ready` checks raise while the service cannot work; `state` is what endpoints find on `app.state`;
    `errors` maps exceptions of the layers below to the problem that answers them; `close` runs at the end.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if verifier is not None:
            verifier.start()
        try:
            yield
        finally:
            for each in close:
                await each()
            if verifier is not None:
                await to_thread.run_sync(verifier.close)

    app = FastAPI(
        title=title,
        version=version,
        lifespan=lifespan,
        # One line per request and the metrics of `kit.metrics` are what is kept; spans would cost CPU.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        docs_url=None,
        redoc_url=None,
        openapi_url=openapi_url,
        generate_unique_id_function=_operation_id,
    )
    for name, value in {**(state or {}), "verifier": verifier}.items():
        setattr(app.state, name, value)
    checks = [*ready, *([verifier.ready] if verifier is not None else [])]
    # Health first: a router may end with a path that takes everything.
    app.include_router(_health(checks))
    for router in routers:
        app.include_router(router)
    _answer_problems(app, errors or {})
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    app.add_middleware(BodyLimit, limit=body_limit)
    app.add_middleware(AccessLog)
    return app


def serve(app: FastAPI, host: str, port: int) -> None:
    """Serves until told to stop; then ends what is in flight."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
        http=LimitedProtocol,
    )


def problem_response(problem: Problem, path: str) -> Response:
    """A problem as a response."""
    return JSONResponse(
        problem.body(path, logs.request_id()), problem.status, problem.headers, media_type=MEDIA_TYPE
    )


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the problems that every operation can answer instead of FastAPI's own."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {})
        schemas["Problem"] = problem
        components["securitySchemes"] = {
            "cognito": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        }
        keyed = set(_keyed(app))
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _describe(method, operation, keyed=(path, method) in keyed)
        app.openapi_schema = document
    return app.openapi_schema


def _keyed(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Path and method of each operation that asks for an Idempotency-Key."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and any(
            each.call is idempotency_key for each in route.dependant.dependencies
        ):
            for method in route.methods or ():
                yield str(context.path), method.lower()


def _describe(method: str, operation: dict[str, Any], *, keyed: bool) -> None:
    answers = operation["responses"]
    if _is_fastapis(answers.get("422")):
        del answers["422"]
    # An operation that asks for no token says so itself.
    open_to_all = operation.setdefault("security", [{"cognito": []}]) == []
    codes = [*([] if open_to_all else ["unauthenticated"]), "invalid_request", "internal_error"]
    if method in {"post", "put"}:
        codes += ["malformed_json", "payload_too_large", "unsupported_media_type"]
    if keyed:
        operation.setdefault("parameters", []).append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "New for each new request; the same when a request is repeated",
                "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
            }
        )
    for status, said in responses(*codes).items():
        kept = answers.setdefault(str(status), said)
        if kept is not said:
            kept["description"] += f"; {said['description']}"


def _is_fastapis(answer: Mapping[str, Any] | None) -> bool:
    return answer is not None and MEDIA_TYPE not in answer.get("content", {})


def _operation_id(route: APIRoute) -> str:
    return route.name


def _health(checks: Sequence[Callable[[], None]]) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        # In the event loop: threads that wait for a slow store must not make a live service look dead.
        return {"status": "live"}

    @router.get("/readyz")
    def readyz() -> dict[str, str]:
        for check in checks:
            try:
                check()
            except Exception as error:
                _log.info("not ready", extra={"error": type(error).__name__})
                raise Problem(503, "unavailable", "Not ready.") from error
        return {"status": "ready"}

    return router


def _answer_problems(app: FastAPI, errors: Mapping[type[Exception], Problem]) -> None:
    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return problem_response(error, request.url.path)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}.get(error.status_code)
        if code is None:
            code = "malformed_json" if error.status_code == 400 else "internal_error"
        status, title = CODES[code]
        said = Problem(status, code, f"{title}.", headers=dict(error.headers or {}))
        return problem_response(said, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return problem_response(_invalid(request, error), request.url.path)

    for kind, said in errors.items():
        app.add_exception_handler(kind, _answering(said))


def _answering(said: Problem) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        _log.warning("answered for a layer below", extra={"error": type(error).__name__, "code": said.code})
        return problem_response(said, request.url.path)

    return answer


def _invalid(request: Request, error: RequestValidationError) -> Problem:
    """All that is wrong with a request. What was sent is never repeated: it can hold secrets."""
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return Problem(400, "malformed_json", "The body is not valid JSON.")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    sends = request.method in {"POST", "PUT"}
    if sends and media_type != "application/json" and not media_type.endswith("+json"):
        return Problem(415, "unsupported_media_type", "Send JSON, as Content-Type: application/json.")
    errors = [
        {"where": ".".join(str(part) for part in each["loc"]), "message": each["msg"]} for each in found
    ]
    return Problem(422, "invalid_request", "The request is not valid; `errors` says where.", errors=errors)


class BodyLimit:
    """Refuses a body above the limit, announced or not, before anybody keeps it."""

    def __init__(self, app: App, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through if its body is small enough."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self._limit:
            await self._refuse(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                await self._refuse(scope, receive, send)
                return
        given = False

        async def whole() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, whole, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = Problem(
            413,
            "payload_too_large",
            f"The body may have {self._limit} bytes.",
            headers={"Connection": "close"},
        )
        await problem_response(problem, scope["path"])(scope, receive, send)


class AccessLog:
    """Gives each request an id, the answer its security headers, and the log one line without the path:
    the route's template says which endpoint it was, and no personal data."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request with its id bound."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started = time.perf_counter()
        status = 500
        started_to_answer = False

        async def answer(message: Message) -> None:
            nonlocal status, started_to_answer
            if message["type"] == "http.response.start":
                status, started_to_answer = message["status"], True
                headers = [pair for pair in message.get("headers", []) if pair[0] != b"x-request-id"]
                present = {name for name, _ in headers}
                headers += [pair for pair in SECURITY_HEADERS if pair[0] not in present]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        with logs.bound(request_id=request_id):
            try:
                await self._app(scope, receive, answer)
            except Exception:
                _log.exception("a request failed")
                if started_to_answer:
                    raise
                said = Problem(500, "internal_error", "Something went wrong here. It has been logged.")
                await problem_response(said, scope["path"])(scope, receive, answer)
            finally:
                self._write(scope, status, started)

    @staticmethod
    def _write(scope: Scope, status: int, started: float) -> None:
        if scope["path"] in {"/livez", "/readyz"} and status == 200:
            return
        _log.info(
            "request",
            extra={
                "method": scope["method"],
                "route": route_template(scope),
                "status": status,
                "ms": round((time.perf_counter() - started) * 1000, 2),
            },
        )


def route_template(scope: Scope) -> str:
    """The template of the route that a request took; `unmatched` when there is none."""
    template = scope.get("route_template") or getattr(scope.get("route"), "path", None)
    return template if isinstance(template, str) else "unmatched"


def _request_id(scope: Scope) -> str:
    headers = dict(scope["headers"])
    given: str = headers.get(b"x-request-id", b"").decode("latin-1")
    if _REQUEST_ID.fullmatch(given):
        return given
    if trace := _TRACEPARENT.fullmatch(headers.get(b"traceparent", b"").decode("latin-1")):
        return str(trace.group(1))
    return uuid.uuid4().hex

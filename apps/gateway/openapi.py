"""One OpenAPI document from those of all services: only what is public, with the gateway's own answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.gateway.routes import ROUTES
from apps.kit.problems import responses

TITLE = "GO Banking"
DESCRIPTION = (
    "Accounts, balances and transfers. Errors are problem documents (RFC 9457) with a stable `code`. "
    "Repeat a POST with the same Idempotency-Key until the answer is a 201 or a problem with `final: true`. "
    "A 400, 413, 415, 422 or 431 without it says that the request itself must be corrected."
)
OWN_PROBLEMS = ("unauthenticated", "payload_too_large", "upstream_error")


class Collision(Exception):  # noqa: N818
    """Two services give one name to different schemas, or to different ways to sign in."""


def merged(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The public API, from the documents of the services by name. Raises `Collision`."""
    schemas: dict[str, Any] = {}
    schemes: dict[str, Any] = {}
    for service, document in documents.items():
        components = document.get("components", {})
        for kind, known in (("schemas", schemas), ("securitySchemes", schemes)):
            for name, described in components.get(kind, {}).items():
                if known.setdefault(name, described) != described:
                    raise Collision(f"{service} describes '{name}' differently from another service")
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        operation = documents[route.service]["paths"][route.template][route.method.lower()]
        paths.setdefault(route.template, {})[route.method.lower()] = _with_own_answers(
            route.method, operation, token=route.token
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": "1", "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": schemes},
    }


def _with_own_answers(method: str, operation: Mapping[str, Any], *, token: bool) -> dict[str, Any]:
    problems = [each for each in OWN_PROBLEMS if token or each != "unauthenticated"]
    own: Sequence[str] = (*problems, "upstream_timeout" if method == "GET" else "outcome_unknown")
    answers = {status: dict(answer) for status, answer in operation["responses"].items()}
    for code in own:
        for status, said in responses(code).items():
            kept = answers.setdefault(str(status), said)
            if f"`{code}`" not in kept["description"]:
                kept["description"] += f"; {said['description']}"
    return {**operation, "responses": dict(sorted(answers.items()))}

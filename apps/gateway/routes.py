"""What is public: an allow-list of methods and path templates, each with the service that answers it."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

Service = Literal["account", "transaction", "open_finance", "dict_key"]


@dataclass(frozen=True)
class Route:
    """One public operation. A parameter in braces stands for one path segment. `token` says whether a
    caller proves by one who they are: a browser that a bank sends back has none."""

    method: str
    template: str
    service: Service
    token: bool = True


ROUTES = (
    Route("POST", "/accounts", "account"),
    Route("GET", "/accounts", "account"),
    Route("GET", "/accounts/{account_id}", "account"),
    Route("DELETE", "/accounts/{account_id}", "account"),
    Route("GET", "/accounts/{account_id}/entries", "account"),
    Route("GET", "/accounts/{account_id}/balance", "account"),
    Route("GET", "/balances", "account"),
    Route("GET", "/limits", "account"),
    Route("PUT", "/limits", "account"),
    Route("POST", "/transfers", "transaction"),
    Route("GET", "/transfers", "transaction"),
    Route("GET", "/transfers/{transfer_id}", "transaction"),
    Route("POST", "/transfers/{transfer_id}/returns", "transaction"),
    Route("POST", "/qr-codes", "transaction"),
    Route("POST", "/qr-codes/decode", "transaction"),
    Route("GET", "/qr-codes/{qr_code_id}", "transaction"),
    Route("GET", "/banks", "open_finance"),
    Route("POST", "/links", "open_finance"),
    Route("GET", "/links", "open_finance"),
    # Before the template that it would fit.
    Route("GET", "/links/callback", "open_finance", token=False),
    Route("GET", "/links/{link_id}", "open_finance"),
    Route("DELETE", "/links/{link_id}", "open_finance"),
    Route("POST", "/payment-initiations", "open_finance"),
    Route("GET", "/payment-initiations", "open_finance"),
    Route("GET", "/payment-initiations/{initiation_id}", "open_finance"),
    Route("DELETE", "/payment-initiations/{initiation_id}", "open_finance"),
    Route("POST", "/keys/lookup", "dict_key"),
    Route("POST", "/keys", "dict_key"),
    Route("GET", "/keys", "dict_key"),
    Route("DELETE", "/keys/{key_id}", "dict_key"),
    Route("POST", "/keys/claims", "dict_key"),
    Route("GET", "/keys/claims", "dict_key"),
    Route("POST", "/keys/claims/{claim_id}/{action}", "dict_key"),
)

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]{1,128}")


@dataclass(frozen=True)
class Found:
    """A route and the path to ask its service for, written anew from checked segments."""

    route: Route
    path: str


@dataclass(frozen=True)
class NotAllowed:
    """The path exists, the method does not. `allowed` is what `Allow` says."""

    template: str
    allowed: tuple[str, ...]


def find(method: str, raw_path: bytes) -> Found | NotAllowed | None:
    """The route of a request, by its path as it came. Nothing that is not written plainly has one: no
    percent-encoding, no empty segment, no dots that climb."""
    text = raw_path.decode("latin-1")
    segments = text.split("/")[1:]
    if not text.startswith("/") or not all(_plain(segment) for segment in segments):
        return None
    matching = [route for route in ROUTES if _matches(route.template, segments)]
    for route in matching:
        if route.method == method:
            return Found(route, "/" + "/".join(quote(segment, safe="") for segment in segments))
    if not matching:
        return None
    return NotAllowed(matching[0].template, tuple(sorted({route.method for route in matching})))


def _plain(segment: str) -> bool:
    return _SEGMENT.fullmatch(segment) is not None and segment.strip(".") != ""


def _matches(template: str, segments: list[str]) -> bool:
    parts = template.split("/")[1:]
    return len(parts) == len(segments) and all(
        part.startswith("{") or part == segment for part, segment in zip(parts, segments, strict=True)
    )

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
    Route("GET", "/consent-requests/{consent_request_id}", "open_finance"),
    Route("POST", "/consent-requests/{consent_request_id}/decision", "open_finance"),
    Route("GET", "/consents", "open_finance"),
    Route("DELETE", "/consents/{consent_id}", "open_finance"),
    Route("POST", "/keys/lookup", "dict_key"),
    Route("POST", "/keys", "dict_key"),
    Route("GET", "/keys", "dict_key"),
    Route("DELETE", "/keys/{key_id}", "dict_key"),
    Route("POST", "/keys/claims", "dict_key"),
    Route("GET", "/keys/claims", "dict_key"),
    Route("POST", "/keys/claims/{claim_id}/{action}", "dict_key"),
)

_CONSENTS = "/open-banking/consents/v3/consents"
_ACCOUNTS = "/open-banking/accounts/v2/accounts"

STANDARD = tuple(
    Route(method, template, "open_finance", token=False)
    for method, template in (
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/oauth/jwks"),
        ("POST", "/oauth/register"),
        ("POST", "/oauth/par"),
        ("GET", "/oauth/authorize"),
        ("POST", "/oauth/token"),
        ("POST", _CONSENTS),
        ("GET", _CONSENTS + "/{urn}"),
        ("DELETE", _CONSENTS + "/{urn}"),
        ("GET", "/open-banking/resources/v3/resources"),
        ("GET", _ACCOUNTS),
        ("GET", _ACCOUNTS + "/{account_id}"),
        ("GET", _ACCOUNTS + "/{account_id}/balances"),
        ("GET", _ACCOUNTS + "/{account_id}/overdraft-limits"),
        ("GET", _ACCOUNTS + "/{account_id}/transactions"),
        ("GET", _ACCOUNTS + "/{account_id}/transactions-current"),
    )
)
"""What other institutions ask of us, as Open Finance Brasil describes it and not our own document. Who asks
is proven to the service, by its own rules: no token of the user pool has a say here."""

_LONG: dict[int, list[tuple[Route, tuple[str, ...]]]] = {}
"""The routes by how many segments their paths have, each with its template's."""
for _route in (*ROUTES, *STANDARD):
    _parts = tuple(_route.template.split("/")[1:])
    _LONG.setdefault(len(_parts), []).append((_route, _parts))

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_URN = re.compile(r"urn:[A-Za-z0-9-]{1,32}:[A-Za-z0-9-]{1,80}")


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
    matching = [route for route, parts in _LONG.get(len(segments), ()) if _matches(parts, segments)]
    for route in matching:
        if route.method == method:
            return Found(route, "/" + "/".join(quote(segment, safe=":") for segment in segments))
    if not matching:
        return None
    return NotAllowed(matching[0].template, tuple(sorted({route.method for route in matching})))


def _plain(segment: str) -> bool:
    written = _SEGMENT.fullmatch(segment) or _URN.fullmatch(segment)
    return written is not None and segment.strip(".") != ""


def _matches(parts: tuple[str, ...], segments: list[str]) -> bool:
    return all(_fits(part, segment) for part, segment in zip(parts, segments, strict=True))


def _fits(part: str, segment: str) -> bool:
    if part == "{urn}":
        return _URN.fullmatch(segment) is not None
    return part == segment or (part.startswith("{") and ":" not in segment)

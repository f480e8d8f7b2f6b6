"""The DICT over HTTP: XML in, XML out, deletes by POST (D2; 1.1, 1.3).

Everything is kept in memory and answered by one event loop, one request after the other: that is what makes
the simulator's state consistent without a lock, so no endpoint here may wait for anything.
"""

import gzip
from collections.abc import Callable
from uuid import UUID

from fastapi import APIRouter, Request, Response

from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.dict_desk import DictDesk, Said
from apps.simulators.bacen.dict_messages import answer
from apps.simulators.bacen.refusals import MEDIA_TYPE, Refused

KEEP_ALIVE_SECONDS = 75
"""As long as the server waits for the next request on a connection."""
_UNKNOWN = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]

router = APIRouter(include_in_schema=False)


@router.get("/api/v2/entries/{key:path}/statistics")
async def get_entry_statistics(key: str, request: Request) -> Response:
    """The counters of a key."""
    return await _answered(request, lambda desk, _: desk.entry_statistics(key, request.headers))


@router.get("/api/v2/entries/{key:path}")
async def get_entry(key: str, request: Request) -> Response:
    """Where a key leads."""
    with_statistics = request.query_params.get("IncludeStatistics") == "true"
    return await _answered(
        request, lambda desk, _: desk.get_entry(key, request.headers, with_statistics=with_statistics)
    )


@router.post("/api/v2/entries/")
async def create_entry(request: Request) -> Response:
    """Adds a key."""
    return await _answered(request, lambda desk, body: desk.create_entry(request.headers, body))


@router.post("/api/v2/entries/{key:path}/delete")
async def delete_entry(key: str, request: Request) -> Response:
    """Takes a key out: there is no HTTP DELETE."""
    return await _answered(request, lambda desk, body: desk.delete_entry(key, request.headers, body))


@router.put("/api/v2/entries/{key:path}")
async def update_entry(key: str, request: Request) -> Response:
    """Changes a key's account or names."""
    return await _answered(request, lambda desk, body: desk.update_entry(key, request.headers, body))


@router.get("/api/v2/persons/{tax_id}/statistics")
async def get_person_statistics(tax_id: str, request: Request) -> Response:
    """The counters of a person or company."""
    return await _answered(request, lambda desk, _: desk.person_statistics(tax_id, request.headers))


@router.post("/api-np/v2/keys/check")
async def check_keys(request: Request) -> Response:
    """Which of some keys exist; on the RSFN a host of its own."""
    return await _answered(request, lambda desk, body: desk.check_keys(request.headers, body))


@router.get("/api/v2/claims/")
async def list_claims(request: Request) -> Response:
    """The claims of a participant."""
    query = {name: request.query_params.getlist(name) for name in request.query_params}
    return await _answered(request, lambda desk, _: desk.list_claims(request.headers, query))


@router.post("/api/v2/claims/")
async def create_claim(request: Request) -> Response:
    """Opens a claim."""
    return await _answered(request, lambda desk, body: desk.create_claim(request.headers, body))


@router.get("/api/v2/claims/{claim_id}")
async def get_claim(claim_id: str, request: Request) -> Response:
    """One claim."""
    return await _answered(request, lambda desk, _: desk.get_claim(_uuid(claim_id), request.headers))


@router.post("/api/v2/claims/{claim_id}/{action}")
async def act_on_claim(claim_id: str, action: str, request: Request) -> Response:
    """What donor and claimer do with a claim."""

    def act(desk: DictDesk, body: bytes) -> Said:
        if action not in {"acknowledge", "confirm", "cancel", "complete"}:
            raise Refused("NotFound", "There is nothing here.")
        return desk.act_on_claim(action, _uuid(claim_id), request.headers, body)

    return await _answered(request, act)


@router.get("/api/v2/policies/")
async def list_policies(request: Request) -> Response:
    """The state of all buckets of a participant."""
    return await _answered(request, lambda desk, _: desk.policies(request.headers, None))


@router.get("/api/v2/policies/{name}")
async def get_policy(name: str, request: Request) -> Response:
    """The state of one bucket."""
    return await _answered(request, lambda desk, _: desk.policies(request.headers, name))


@router.api_route("/api/v2/{path:path}", methods=_UNKNOWN)
@router.api_route("/api-np/v2/{path:path}", methods=_UNKNOWN)
async def nothing(path: str, request: Request) -> Response:
    """What the DICT does not do, DELETE above all, or does and this simulator does not."""

    def refuse(_: DictDesk, __: bytes) -> Said:
        if path.startswith(("entries/", "claims/", "keys/check", "policies/")) and request.method != "GET":
            raise Refused("MethodNotAllowed", "This method is not for this resource.")
        raise Refused("NotFound", "There is nothing here.")

    return await _answered(request, refuse)


async def _answered(request: Request, work: Callable[[DictDesk, bytes], Said]) -> Response:
    """The answer to a request, or the problem."""
    body = await request.body()
    bacen: Bacen = request.app.state.bacen
    desk: DictDesk = request.app.state.dict_desk
    bacen.agenda.run_due()
    correlation_id = bacen.correlation_id()
    try:
        _check_wire(request, body)
        said = work(desk, body)
    except Refused as refused:
        document, status, headers = refused.document(correlation_id), refused.status, {}
        media_type = MEDIA_TYPE
    else:
        document = answer(said.name, correlation_id, bacen.agenda(), said.members)
        status, headers, media_type = said.status, dict(said.headers), "application/xml"
    headers["Keep-Alive"] = f"timeout={KEEP_ALIVE_SECONDS}"
    if "gzip" in request.headers.get("accept-encoding", ""):
        document = gzip.compress(document, compresslevel=1)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(document, status, headers, media_type=media_type)


def _check_wire(request: Request, body: bytes) -> None:
    if request.headers.get("content-encoding"):
        raise Refused("BadRequest", "Requests are not compressed.")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and media_type != "application/xml":
        raise Refused("BadRequest", "Bodies are application/xml.")


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise Refused("NotFound", "There is no such claim.") from None

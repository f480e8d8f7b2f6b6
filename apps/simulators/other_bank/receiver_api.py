"""A bank's customers link accounts that they have elsewhere: started and read by tests, demos and people."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from apps.kit.problems import Problem
from apps.simulators.other_bank.receiver import EVERYTHING, Failed, Reading, Receiver
from apps.simulators.other_bank.requests import BankDep, BanksDep, issuer

router = APIRouter()


class Wanted(BaseModel):
    """Whose accounts to read, and where: the issuer is the other bank's."""

    model_config = ConfigDict(extra="forbid")

    issuer: Annotated[str, Field(pattern=r"^https?://", max_length=200)]
    cpf: Annotated[str, Field(pattern=r"^[0-9]{11}$")]
    permissions: list[str] = Field(default_factory=lambda: list(EVERYTHING))


@router.post("/admin/{brand}/readings", status_code=201)
def start(body: Wanted, request: Request, bank: BankDep, banks: BanksDep) -> dict[str, str]:
    """Asks for a consent elsewhere; its customer goes to `authorisation_url`."""
    receiver = banks.receivers[bank.brand.slug]
    try:
        reading, url = receiver.start(
            body.issuer, body.cpf, f"{issuer(request, bank)}/callback", body.permissions
        )
    except Failed as failed:
        raise _failed(failed) from failed
    return {"link_id": reading.link_id, "consent_id": reading.consent_id, "authorisation_url": url}


@router.get("/{brand}/callback")
def come_back(request: Request, bank: BankDep, banks: BanksDep) -> JSONResponse:
    """Where the other bank sends the browser back to."""
    given = request.query_params
    if "error" in given:
        return JSONResponse({"status": "REFUSED", "error": given["error"]}, 400)
    try:
        reading = banks.receivers[bank.brand.slug].finish(
            given.get("state", ""),
            given.get("code", ""),
            given.get("iss", ""),
            f"{issuer(request, bank)}/callback",
        )
    except Failed as failed:
        raise _failed(failed) from failed
    return JSONResponse({"status": "LINKED", "link_id": reading.link_id})


@router.get("/admin/{brand}/readings/{link_id}")
def read(link_id: str, bank: BankDep, banks: BanksDep) -> dict[str, Any]:
    """What can be read by a consent, read now."""
    receiver = banks.receivers[bank.brand.slug]
    try:
        return receiver.read(_reading(receiver, link_id))
    except Failed as failed:
        raise _failed(failed) from failed


@router.delete("/admin/{brand}/readings/{link_id}", status_code=204)
def revoke(link_id: str, request: Request, bank: BankDep, banks: BanksDep) -> None:
    """Ends a consent elsewhere."""
    receiver = banks.receivers[bank.brand.slug]
    try:
        receiver.revoke(_reading(receiver, link_id), f"{issuer(request, bank)}/callback")
    except Failed as failed:
        raise _failed(failed) from failed


def _reading(receiver: Receiver, link_id: str) -> Reading:
    found = receiver.readings.get(link_id)
    if found is None:
        raise Problem(404, "not_found", "There is no such link.")
    return found


def _failed(failed: Failed) -> Problem:
    return Problem(409, "bank_refused", str(failed))

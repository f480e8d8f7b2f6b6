"""Whom you let read your accounts here: say yes or no, see what you gave, and end it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from apps.kit.problems import Problem, responses
from apps.kit.service import CallerDep
from apps.open_finance.holder.consents import Given, Status
from apps.open_finance.holder.holder import Holder, NotOffered, NotYours

router = APIRouter(tags=["open finance"])


async def _holder(request: Request) -> Holder:
    holder: Holder = request.app.state.holder
    return holder


HolderDep = Annotated[Holder, Depends(_holder)]


class OfferedAccount(BaseModel):
    """One of your accounts that you can choose."""

    account_id: UUID
    branch: str
    number: str


class ConsentRequest(BaseModel):
    """What another institution asks you for. It waits ten minutes."""

    consent_request_id: UUID
    institution: str
    permissions: list[str]
    expires_at: datetime | None = Field(description="When it would end by itself; without an end if missing")
    accounts: list[OfferedAccount]


class DecideConsent(BaseModel):
    """Yes for these accounts, or no."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "deny"]
    accounts: Annotated[list[UUID], Field(max_length=100)] = Field(default_factory=list)


class ConsentDecided(BaseModel):
    """Where your browser goes on."""

    redirect_url: str


class GivenConsent(BaseModel):
    """Who reads what of yours here."""

    consent_id: UUID
    institution: str
    status: Status
    permissions: list[str]
    accounts: list[UUID]
    created_at: datetime
    expires_at: datetime | None
    reason: str | None


class GivenConsentList(BaseModel):
    """All that you gave, oldest first, what has ended among it."""

    consents: list[GivenConsent]


@router.get(
    "/consent-requests/{consent_request_id}", responses=responses("consent_request_not_found", "unavailable")
)
def get_consent_request(consent_request_id: UUID, caller: CallerDep, holder: HolderDep) -> ConsentRequest:
    """What another institution asks you for, by the number on its page."""
    try:
        waiting = holder.waiting(caller.subject, str(consent_request_id))
    except NotYours:
        raise _not_found() from None
    return ConsentRequest(
        consent_request_id=consent_request_id,
        institution=waiting.client_name,
        permissions=list(waiting.consent.permissions),
        expires_at=waiting.consent.expires_at,
        accounts=[
            OfferedAccount(
                account_id=UUID(each.account_id),
                branch=each.branch,
                number=f"{each.number}-{each.check_digit}",
            )
            for each in waiting.offered
        ],
    )


@router.post(
    "/consent-requests/{consent_request_id}/decision",
    responses=responses("consent_request_not_found", "account_not_found", "outcome_unknown", "unavailable"),
)
def decide_consent_request(
    consent_request_id: UUID, body: DecideConsent, caller: CallerDep, holder: HolderDep
) -> ConsentDecided:
    """Let it read these accounts, or not. Decided once."""
    request_id, chosen = str(consent_request_id), [str(each) for each in body.accounts]
    try:
        if body.decision == "deny":
            return ConsentDecided(redirect_url=holder.refuse(caller.subject, request_id))
        return ConsentDecided(redirect_url=holder.approve(caller.subject, request_id, chosen))
    except NotYours:
        raise _not_found() from None
    except NotOffered:
        raise Problem(404, "account_not_found", "Choose among the accounts that are offered.") from None


@router.get("/consents", responses=responses("unavailable"))
def list_given_consents(caller: CallerDep, holder: HolderDep) -> GivenConsentList:
    """Who may read your accounts here, and who could."""
    return GivenConsentList(consents=[_given(each, holder) for each in holder.given_by(caller.subject)])


@router.delete(
    "/consents/{consent_id}",
    status_code=204,
    responses=responses("consent_not_found", "outcome_unknown", "unavailable"),
)
def revoke_given_consent(consent_id: UUID, caller: CallerDep, holder: HolderDep) -> Response:
    """End it: from now on nothing can be read by it. Harmless twice."""
    try:
        holder.revoke(caller.subject, str(consent_id))
    except NotYours:
        raise Problem(404, "consent_not_found", "You gave no such consent.") from None
    return Response(status_code=204)


def _given(consent: Given, holder: Holder) -> GivenConsent:
    return GivenConsent(
        consent_id=UUID(consent.consent_id),
        institution=holder.client_name(consent.client_id),
        status=consent.status,
        permissions=list(consent.permissions),
        accounts=[UUID(each) for each in consent.accounts],
        created_at=consent.created_at,
        expires_at=consent.expires_at,
        reason=consent.rejected_for,
    )


def _not_found() -> Problem:
    return Problem(404, "consent_request_not_found", "Nothing like this waits for you.")

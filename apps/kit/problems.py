"""Errors as RFC 9457 problem documents: one table of codes, one exception, one model for OpenAPI."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "https://gobanking.example/problems/"

CODES: Mapping[str, tuple[int, str]] = {
    "callback_refused": (400, "What the bank's page sent proves nothing"),
    "malformed_json": (400, "The body is not JSON"),
    "invalid_request": (422, "The request is not valid"),
    "idempotency_key_missing": (400, "The Idempotency-Key is missing"),
    "idempotency_key_reused": (422, "The Idempotency-Key belongs to another request"),
    "unauthenticated": (401, "Not signed in"),
    "not_the_payee": (403, "Only the payee can return a transfer"),
    "not_found": (404, "There is nothing here"),
    "account_not_found": (404, "There is no such account"),
    "transfer_not_found": (404, "There is no such transfer"),
    "before_opening": (404, "The account was not open yet"),
    "link_not_found": (404, "There is no such link"),
    "payment_initiation_not_found": (404, "There is no such payment initiation"),
    "qr_code_not_found": (404, "There is no such QR code"),
    "consent_not_found": (404, "There is no such consent"),
    "consent_request_not_found": (404, "There is no such request"),
    "key_not_found": (404, "There is no such key"),
    "claim_not_found": (404, "There is no such claim"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "insufficient_funds": (409, "Not enough available"),
    "limit_exceeded": (409, "More than what is left of the limit"),
    "account_frozen": (409, "The account is under review"),
    "account_blocked": (409, "The account is blocked"),
    "account_closed": (409, "The account is closed"),
    "account_not_empty": (409, "Something is left on the account"),
    "payee_closed": (409, "The payee's account is closed"),
    "payee_takes_no_pix": (409, "The payee's account takes no Pix"),
    "transfer_not_settled": (409, "The transfer is not settled"),
    "not_returnable": (409, "A transfer of this kind cannot be returned"),
    "return_too_late": (409, "The transfer is too old to be returned"),
    "return_exceeds_amount": (409, "Less is left to return"),
    "tax_id_bound": (409, "The tax id is bound otherwise"),
    "tax_id_unknown": (409, "Nobody knows whose consent this would be"),
    "bank_refused": (409, "The bank says no"),
    "link_not_active": (409, "The link does not stand"),
    "not_cancellable": (409, "It is too late to cancel"),
    "qr_code_expired": (409, "The QR code has expired"),
    "qr_code_paid": (409, "The QR code is paid already"),
    "key_exists": (409, "The key is registered already"),
    "key_limit": (409, "The account has as many keys as it may have"),
    "key_locked": (409, "The key waits for a claim"),
    "key_refused": (409, "The DICT does not take this"),
    "key_taken": (409, "The key belongs to another account"),
    "claim_not_possible": (409, "The claim cannot go this way"),
    "payload_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be JSON"),
    "same_account": (422, "An account cannot pay itself"),
    "payee_not_found": (422, "There is no such payee"),
    "bank_unknown": (422, "There is no such bank"),
    "permissions_incomplete": (422, "A group of permissions is not whole"),
    "qr_code_tampered": (422, "The QR code was changed or is incomplete"),
    "qr_code_foreign": (422, "The QR code cannot be paid here"),
    "qr_code_invalid": (422, "This is no QR code of Pix"),
    "qr_code_unknown": (422, "There is no such charge"),
    "qr_code_amount": (422, "The QR code asks for another amount"),
    "invalid_key": (422, "This is no Pix key"),
    "key_not_yours": (422, "The key is not the holder's"),
    "lookup_limited": (429, "Too many keys were looked up"),
    "headers_too_large": (431, "The headers are too large"),
    "internal_error": (500, "Something went wrong here"),
    "record_damaged": (500, "A record is damaged"),
    "upstream_error": (502, "A service behind this one failed"),
    "bank_answer_invalid": (502, "The bank's answer cannot be believed"),
    "bank_unavailable": (503, "The bank does not answer"),
    "dict_bad_answer": (502, "The DICT answered with nothing that can be used"),
    "dict_unavailable": (503, "The DICT does not answer at the moment"),
    "unavailable": (503, "Not available at the moment"),
    "dict_timeout": (504, "The DICT was too slow"),
    "outcome_unknown": (504, "Whether it was done is not known"),
    "upstream_timeout": (504, "A service behind this one is too slow"),
}
"""Every code that a client can meet: its HTTP status and its title. Codes never change their meaning."""

_STANDARD = frozenset({"type", "title", "status", "code", "detail", "instance", "request_id", "final"})
"""What a client acts on whatever the code is; no fact of a single problem may stand in its place."""


class Problem(Exception):  # noqa: N818
    """An error to answer. `final` says that repeating the request with the same key changes nothing."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        final: bool = False,
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, object] | None = None,
        **extensions: object,
    ) -> None:
        super().__init__(code)
        assert code in CODES, f"no problem has the code {code}"
        assert CODES[code][0] == status, f"{code} is not a {status}"
        self.status = status
        self.code = code
        self.detail = detail
        self.final = final
        self.headers = dict(headers or {})
        self.extensions = {**(facts or {}), **extensions}
        taken = sorted(_STANDARD & self.extensions.keys())
        assert not taken, f"{code} would replace {', '.join(taken)}"

    def body(self, instance: str | None, request_id: str | None) -> dict[str, object]:
        """The document that the client reads."""
        document: dict[str, object] = {
            "type": TYPE_BASE + self.code,
            "title": CODES[self.code][1],
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
            **self.extensions,
        }
        if self.final:
            document["final"] = True
        return {name: value for name, value in document.items() if value is not None}


class FieldError(BaseModel):
    """One thing that is wrong with a request. The value itself is never repeated."""

    where: str
    message: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem. `code` is stable; further members depend on it."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
    request_id: str | None = None
    final: bool | None = None
    errors: list[FieldError] | None = None


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an endpoint that can answer with these problems."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = CODES[code]
        said = found.setdefault(
            status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
        said["description"] += f"{'; ' if said['description'] else ''}`{code}`: {title}"
    return found

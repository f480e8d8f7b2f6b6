"""What the DICT and the ICOM answer when they say no: RFC 7807 in XML (D1 responses.yaml, D2; 1.8)."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.simulators.bacen.markup import Element, Node, tree, written

NAMESPACE = "urn:ietf:rfc:7807"
MEDIA_TYPE = "application/problem+xml"
DICT_ERRORS = "https://dict.pi.rsfn.net.br/api/v2/error/"
ICOM_ERRORS = "https://icom.pi.rsfn.net.br/api/v1/error/"

CODES: Mapping[str, tuple[int, str]] = {
    "BadRequest": (400, "Bad request"),
    "Forbidden": (403, "Forbidden"),
    "NotFound": (404, "Not found"),
    "MethodNotAllowed": (405, "Method not allowed"),  # assumed: the list of D2 has none
    "ResourceConflict": (409, "Resource conflict"),
    "RateLimited": (429, "Rate limited"),
    "InternalServerError": (500, "Internal server error"),
    "ServiceUnavailable": (503, "Service unavailable"),
    "RequestSignatureInvalid": (400, "Request signature invalid"),
    "RequestIdAlreadyUsed": (400, "Request id already used"),
    "InvalidReason": (400, "Invalid reason"),
    "ParticipantInvalid": (400, "Participant invalid"),
    "EntryInvalid": (400, "Entry invalid"),
    "EntryLimitExceeded": (400, "Entry limit exceeded"),
    "EntryAlreadyExists": (400, "Entry already exists"),
    "EntryCannotBeQueriedForBookTransfer": (400, "Entry cannot be queried for book transfer"),
    "EntryKeyOwnedByDifferentPerson": (400, "Entry key owned by different person"),
    "EntryKeyInCustodyOfDifferentParticipant": (400, "Entry key in custody of different participant"),
    "EntryLockedByClaim": (400, "Entry locked by claim"),
    "EntryTaxIdNumberByDifferentOwner": (400, "Entry tax id number by different owner"),
    "EntryBlocked": (400, "Entry blocked"),
    "EntryWithFraudRelatedRestriction": (400, "Entry with fraud related restriction"),
    "ClaimInvalid": (400, "Claim invalid"),
    "ClaimTypeInconsistent": (400, "Claim type inconsistent"),
    "ClaimKeyNotFound": (404, "Claim key not found"),
    "ClaimAlreadyExistsForKey": (400, "Claim already exists for key"),
    "ClaimResultingEntryAlreadyExists": (400, "Claim resulting entry already exists"),
    "ClaimOperationInvalid": (400, "Claim operation invalid"),
    "ClaimResolutionPeriodNotEnded": (400, "Claim resolution period not ended"),
    "ClaimCompletionPeriodNotEnded": (400, "Claim completion period not ended"),
}
"""Every error that this DICT answers: its HTTP status and its title."""


@dataclass(frozen=True)
class Violation:
    """What is wrong with one field, such as `entry.key`."""

    property: str
    reason: str
    value: str | None = None


class Refused(Exception):  # noqa: N818
    """The DICT says no."""

    def __init__(self, code: str, detail: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(code)
        assert code in CODES, f"the DICT has no error called {code}"
        self.code = code
        self.status = CODES[code][0]
        self.detail = detail
        self.violations = violations

    def document(self, correlation_id: str) -> bytes:
        """The problem as the participant reads it."""
        broken: list[Node | Element] = [
            ("violation", [("reason", each.reason), ("value", each.value), ("property", each.property)])
            for each in self.violations
        ]
        return written(
            _problem(
                [
                    ("type", DICT_ERRORS + self.code),
                    ("title", CODES[self.code][1]),
                    ("status", str(self.status)),
                    ("detail", self.detail),
                    ("correlationId", correlation_id),
                    ("violations", broken or None),
                ]
            )
        )


class WireRefused(Exception):  # noqa: N818
    """The ICOM says no to a request, before anybody looks at the message in it: nothing was kept (MI)."""

    def __init__(self, status: int, kind: str, title: str, **headers: str) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind
        self.title = title
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def document(self) -> bytes:
        """The problem as the participant reads it."""
        return written(
            _problem([("type", ICOM_ERRORS + self.kind), ("title", self.title), ("status", str(self.status))])
        )


def _problem(members: list[Node | Element]) -> Element:
    # The members take the namespace of the root when the document is read; written so, none needs a prefix.
    root = tree(("problem", members))
    root.set("xmlns", NAMESPACE)
    return root

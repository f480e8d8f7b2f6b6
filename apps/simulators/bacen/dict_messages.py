"""The DICT's bodies: what stands in a request, and how an answer is written (D2; element order of 1.5).

Whatever a request has beside the fields known here is ignored, as participants must ignore what is new in an
answer.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

from apps.simulators.bacen.claims import Claim, NewClaim
from apps.simulators.bacen.clock import moment, stamp
from apps.simulators.bacen.directory import Account, AccountType, Entry, Owner
from apps.simulators.bacen.entries import NewEntry
from apps.simulators.bacen.markup import Element, Node, XmlRefused, find, local, parse, text, tree, written
from apps.simulators.bacen.policies import Bucket
from apps.simulators.bacen.refusals import Refused, Violation
from apps.simulators.bacen.signature import sign

KEYS_IN_A_CHECK = 200


def read(body: bytes, name: str) -> Element:
    """The root of a request that must be called `name`. Raises `Refused`."""
    try:
        root = parse(body)
    except XmlRefused as error:
        raise Refused("BadRequest", f"The body is refused: {error}.") from error
    if local(root) != name:
        raise Refused("BadRequest", f"The body must be a {name}.")
    return root


def needed(element: Element | None, path: str) -> str:
    """The text at a path. Raises `Refused` when there is none."""
    found = text(element, path)
    if found is None:
        raise Refused("BadRequest", "A field is missing.", (Violation(_camel(path), "is missing"),))
    return found


def identifier(element: Element, path: str, *, version: int | None = None) -> uuid.UUID:
    """The UUID at a path. Raises `Refused`."""
    value = needed(element, path)
    try:
        found = uuid.UUID(value)
    except ValueError:
        found = None
    if found is None or str(found) != value.lower() or (version and found.version != version):
        raise Refused(
            "BadRequest", "A field is not valid.", (Violation(_camel(path), "no such UUID", value),)
        )
    return found


def new_entry(request: Element) -> NewEntry:
    """The entry of a `CreateEntryRequest`."""
    return NewEntry(
        text(request, "Entry/Key"),
        needed(request, "Entry/KeyType"),
        account(request, "Entry/Account"),
        owner(request, "Entry/Owner"),
        needed(request, "Reason"),
        identifier(request, "RequestId", version=4),
    )


def new_claim(request: Element) -> NewClaim:
    """The claim of a `CreateClaimRequest`."""
    return NewClaim(
        needed(request, "Claim/Type"),
        needed(request, "Claim/Key"),
        needed(request, "Claim/KeyType"),
        account(request, "Claim/ClaimerAccount"),
        owner(request, "Claim/Claimer"),
    )


def account(request: Element, path: str) -> Account:
    """The account at a path; its form is for the rules to judge."""
    opened = needed(request, f"{path}/OpeningDate")
    try:
        opened_at = moment(opened)
    except ValueError:
        broken = Violation(_camel(f"{path}/OpeningDate"), "no date-time in UTC", opened)
        raise Refused("BadRequest", "A field is not valid.", (broken,)) from None
    # `AccountType` is whatever stands there: the rules refuse what is none.
    kind: AccountType = needed(request, f"{path}/AccountType")  # type: ignore[assignment]
    return Account(
        needed(request, f"{path}/Participant").upper(),
        text(request, f"{path}/Branch"),
        needed(request, f"{path}/AccountNumber"),
        kind,
        opened_at,
    )


def owner(request: Element, path: str) -> Owner:
    """The person or company at a path. Raises `Refused` when type and document disagree."""
    kind, tax_id = needed(request, f"{path}/Type"), needed(request, f"{path}/TaxIdNumber").upper()
    if kind not in {"NATURAL_PERSON", "LEGAL_PERSON"} or (kind == "NATURAL_PERSON") is not (
        len(tax_id) == 11
    ):
        broken = Violation(_camel(f"{path}/Type"), "disagrees with the document", kind)
        raise Refused("EntryInvalid", "Some fields are not valid.", (broken,))
    return Owner(tax_id, needed(request, f"{path}/Name"), text(request, f"{path}/TradeName"))


def keys_to_check(request: Element) -> list[str]:
    """The keys of a `CheckKeysRequest`. Raises `Refused`."""
    listed = find(request, "Keys")
    keys = (
        [(each.text or "").strip() for each in listed if local(each) == "Key"] if listed is not None else []
    )
    if not 1 <= len(keys) <= KEYS_IN_A_CHECK:
        raise Refused("BadRequest", f"Ask for 1 to {KEYS_IN_A_CHECK} keys.")
    return keys


def answer(name: str, correlation_id: str, now: datetime, members: Sequence[Node | Element]) -> bytes:
    """A signed answer."""
    said: list[Node | Element] = [("ResponseTime", stamp(now)), ("CorrelationId", correlation_id), *members]
    root = tree((name, said))
    sign(root)
    return written(root)


def entry_node(entry: Entry, claimed_at: datetime | None = None) -> Node:
    """An `Entry`; `claimed_at` while a claim on it is open."""
    return (
        "Entry",
        [
            ("Key", entry.key),
            ("KeyType", entry.key_type),
            _account("Account", entry.account),
            _owner("Owner", entry.owner),
            ("CreationDate", stamp(entry.created_at)),
            ("KeyOwnershipDate", stamp(entry.owned_since)),
            ("OpenClaimCreationDate", stamp(claimed_at) if claimed_at else None),
        ],
    )


def claim_node(claim: Claim) -> Node:
    """A `Claim`."""
    return (
        "Claim",
        [
            ("Type", claim.kind),
            ("Key", claim.key),
            ("KeyType", claim.key_type),
            _account("ClaimerAccount", claim.claimer_account),
            _owner("Claimer", claim.claimer),
            ("DonorParticipant", claim.donor),
            ("Id", str(claim.id)),
            ("Status", claim.status),
            ("ResolutionPeriodEnd", stamp(claim.resolution_end)),
            ("CompletionPeriodEnd", stamp(claim.completion_end)),
            ("LastModified", stamp(claim.modified_at)),
            ("ConfirmReason", claim.confirm_reason),
            ("CancelReason", claim.cancel_reason),
            ("CancelledBy", claim.cancelled_by),
        ],
    )


def policy_node(name: str, bucket: Bucket, now: datetime) -> Node:
    """A `Policy` and the state of its bucket."""
    return (
        "Policy",
        [
            ("AvailableTokens", str(bucket.tokens(now))),
            ("Capacity", str(bucket.rate.capacity)),
            ("RefillTokens", str(bucket.rate.refill)),
            ("RefillPeriodSec", str(bucket.period_seconds)),
            ("Name", name),
        ],
    )


def _account(name: str, account: Account) -> Node:
    return (
        name,
        [
            ("Participant", account.participant),
            ("Branch", account.branch),
            ("AccountNumber", account.number),
            ("AccountType", account.type),
            ("OpeningDate", stamp(account.opened_at)),
        ],
    )


def _owner(name: str, owner: Owner) -> Node:
    return (
        name,
        [
            ("Type", "NATURAL_PERSON" if owner.is_person else "LEGAL_PERSON"),
            ("TaxIdNumber", owner.tax_id),
            ("Name", owner.name),
            ("TradeName", owner.trade_name),
        ],
    )


def _camel(path: str) -> str:
    """`Entry/Account/Branch` as violations name it: `entry.account.branch`."""
    return ".".join(part[:1].lower() + part[1:] for part in path.split("/"))

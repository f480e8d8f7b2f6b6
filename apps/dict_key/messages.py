"""The bodies of DICT API 2.12, written and read. Root elements have no namespace; problems have RFC 7807's.

Elements that nobody asks for are ignored, in any order. What is asked for and is missing, malformed or about
another key than was asked for is `BadXml`: an answer that cannot be used.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import quote

from apps.dict_key.entry import Account, AccountType, Claim, ClaimStatus, ClaimType, Entry, Owner
from apps.pix.keys import BadKey, Key, KeyType, classify
from apps.pix.xml_document import BadXml, Element, leaf, optional_leaf, tree

PROBLEM_NAMESPACE = "urn:ietf:rfc:7807"
CancelReason = Literal["USER_REQUESTED", "DEFAULT_OPERATION"]

_ISPB = re.compile(r"[0-9A-Za-z]{8}")
_BRANCH = re.compile(r"[0-9]{1,4}")
_NUMBER = re.compile(r"[0-9A-Za-z]{1,20}")
_DOCUMENT = re.compile(r"[0-9]{11}|[0-9A-Za-z]{12}[0-9]{2}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_CODE = re.compile(r"[A-Za-z]{1,80}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_NAME = 150


@dataclass(frozen=True)
class DictProblem:
    """What the DICT says when it refuses: the last part of its `type`, such as `EntryInvalid`."""

    code: str


def entry_path(key: Key) -> str:
    """Where a key is, URL-encoded: `+` and `@` too."""
    return f"/entries/{quote(key.value, safe='')}"


def create_entry(
    key_type: KeyType, key: Key | None, account: Account, owner: Owner, request_id: str
) -> Element:
    """A new key for an account. The DICT makes the key of type EVP itself."""
    entry = tree(
        "Entry",
        optional_leaf("Key", key.value if key is not None else None),
        leaf("KeyType", key_type),
        _account("Account", account),
        _owner("Owner", owner),
    )
    return _signed(
        "CreateEntryRequest", entry, leaf("Reason", "USER_REQUESTED"), leaf("RequestId", request_id)
    )


def delete_entry(key: Key, participant: str) -> Element:
    """The end of a key."""
    return _signed(
        "DeleteEntryRequest",
        leaf("Key", key.value),
        leaf("Participant", participant),
        leaf("Reason", "USER_REQUESTED"),
    )


def create_claim(claim_type: ClaimType, key: Key, account: Account, claimer: Owner) -> Element:
    """A claim for a key."""
    claim = tree(
        "Claim",
        leaf("Type", claim_type),
        leaf("Key", key.value),
        leaf("KeyType", key.type),
        _account("ClaimerAccount", account),
        _owner("Claimer", claimer),
    )
    return _signed("CreateClaimRequest", claim)


def claim_action(
    name: Literal["Acknowledge", "Confirm", "Cancel", "Complete"],
    claim_id: str,
    participant: str,
    *,
    reason: CancelReason | None = None,
    request_id: str | None = None,
) -> Element:
    """One step of a claim."""
    return _signed(
        f"{name}ClaimRequest",
        leaf("ClaimId", claim_id),
        leaf("Participant", participant),
        optional_leaf("Reason", reason),
        optional_leaf("RequestId", request_id),
    )


def read_entry(answer: Element, name: str, expected: Key | None) -> Entry:
    """The entry in an answer called `name`, about the key that was asked for. Raises `BadXml`."""
    if answer.name != name:
        raise BadXml(f"it is no {name}")
    entry = _part(answer, "Entry")
    key = _key(entry)
    if expected is not None and key != expected:
        raise BadXml("it is about another key")
    return Entry(key, _read_account(_part(entry, "Account")), _read_owner(_part(entry, "Owner")))


def read_claim(answer: Element, name: str) -> Claim:
    """The claim in an answer called `name`. Raises `BadXml`."""
    if answer.name != name:
        raise BadXml(f"it is no {name}")
    return _claim(_part(answer, "Claim"))


def read_claims(answer: Element) -> tuple[list[Claim], bool]:
    """A page of claims, in the order in which they changed, and whether there are more. Raises `BadXml`."""
    if answer.name != "ListClaimsResponse":
        raise BadXml("it is no ListClaimsResponse")
    claims = answer.find("Claims")
    found = [] if claims is None else [_claim(each) for each in claims.all("Claim")]
    return found, answer.optional("HasMoreElements") == "true"


def read_problem(answer: Element) -> DictProblem:
    """What the DICT refuses. Raises `BadXml`."""
    if answer.name != "problem" or answer.namespace != PROBLEM_NAMESPACE:
        raise BadXml("it is no problem of RFC 7807")
    code = answer.required("type").rpartition("/")[2]
    if not _CODE.fullmatch(code):
        raise BadXml("its type is none of the DICT's")
    return DictProblem(code)


def _signed(name: str, *children: Element | None) -> Element:
    """A request with the place for its signature, which comes first."""
    return tree(name, Element("Signature"), *children)


def _account(name: str, account: Account) -> Element:
    return tree(
        name,
        leaf("Participant", account.participant),
        optional_leaf("Branch", account.branch),
        leaf("AccountNumber", account.number),
        leaf("AccountType", account.account_type),
        leaf("OpeningDate", account.opened_at),
    )


def _owner(name: str, owner: Owner) -> Element:
    return tree(
        name,
        leaf("Type", owner.type),
        leaf("TaxIdNumber", owner.tax_id),
        leaf("Name", owner.name),
        optional_leaf("TradeName", owner.trade_name),
    )


def _read_account(account: Element) -> Account:
    branch = account.optional("Branch")
    if branch is not None and not _BRANCH.fullmatch(branch):
        raise BadXml("Branch is no branch")
    return Account(
        participant=_matching(account, "Participant", _ISPB),
        branch=branch,
        number=_matching(account, "AccountNumber", _NUMBER),
        account_type=_known(AccountType, account.required("AccountType")),
        opened_at=_matching(account, "OpeningDate", _TIME),
    )


def _read_owner(owner: Element) -> Owner:
    tax_id = _matching(owner, "TaxIdNumber", _DOCUMENT).upper()
    found = Owner(tax_id, owner.required("Name"), owner.optional("TradeName"))
    if owner.required("Type") != found.type:
        raise BadXml("the owner's type and document contradict each other")
    if len(found.name) > MAX_NAME or not found.name.isprintable():
        raise BadXml("Name is no name")
    return found


def _key(element: Element) -> Key:
    try:
        key = classify(element.required("Key"))
    except BadKey:
        raise BadXml("Key is no key") from None
    if element.required("KeyType") != key.type:
        raise BadXml("KeyType is another one")
    return key


def _claim(claim: Element) -> Claim:
    return Claim(
        claim_id=_matching(claim, "Id", _UUID),
        type=_known(ClaimType, claim.required("Type")),
        status=_known(ClaimStatus, claim.required("Status")),
        key=_key(claim),
        claimer_account=_read_account(_part(claim, "ClaimerAccount")),
        claimer=_read_owner(_part(claim, "Claimer")),
        donor=_matching(claim, "DonorParticipant", _ISPB),
        resolution_ends=_matching(claim, "ResolutionPeriodEnd", _TIME),
        completion_ends=_matching(claim, "CompletionPeriodEnd", _TIME),
        modified_at=_matching(claim, "LastModified", _TIME),
    )


def _part(element: Element, name: str) -> Element:
    found = element.find(name)
    if found is None:
        raise BadXml(f"there is no {name}")
    return found


def _matching(element: Element, name: str, form: re.Pattern[str]) -> str:
    text = element.required(name)
    if not form.fullmatch(text):
        raise BadXml(f"{name} is malformed")
    return text


def _known(values: object, text: str) -> Any:
    if text not in get_args(values):
        raise BadXml("a code is none of those that are known")
    return text

"""What the rules and the DICT say no to, with the code that a caller can act on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.dict_key.client import DictRefused


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818
    """A no. `code` is stable and public; `facts` are what a caller can act on."""

    code: str
    detail: str
    facts: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.code

    def written(self) -> str:
        """The refusal as text that `read` turns back."""
        return json.dumps([self.code, self.detail, dict(self.facts)])


def read(text: str) -> Refusal:
    """The refusal that was written."""
    code, detail, facts = json.loads(text)
    return Refusal(code, detail, facts)


_OF_THE_DICT: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "EntryInvalid": ("invalid_key", "The DICT takes no such key.", {}),
    "EntryLimitExceeded": ("key_limit", "The account has as many keys as it may have.", {}),
    "EntryAlreadyExists": ("key_exists", "This key is registered for this account already.", {}),
    "EntryKeyOwnedByDifferentPerson": (
        "key_taken",
        "The key belongs to another person. A phone can be claimed.",
        {"claim_type": "OWNERSHIP"},
    ),
    "EntryKeyInCustodyOfDifferentParticipant": (
        "key_taken",
        "The key is yours and at another bank. Claim it to bring it here.",
        {"claim_type": "PORTABILITY"},
    ),
    "EntryLockedByClaim": ("key_locked", "Somebody claims this key; until that is decided it stays.", {}),
    "ClaimInvalid": ("claim_not_possible", "The DICT takes no such claim.", {}),
    "ClaimTypeInconsistent": ("claim_not_possible", "The key asks for a claim of the other type.", {}),
    "ClaimKeyNotFound": ("key_not_found", "Nobody has this key: register it.", {}),
    "ClaimAlreadyExistsForKey": ("key_locked", "Somebody claims this key already.", {}),
    "ClaimResultingEntryAlreadyExists": (
        "key_exists",
        "This key is registered for this account already.",
        {},
    ),
    "ClaimOperationInvalid": ("claim_not_possible", "The claim is not where this can be done.", {}),
    "ClaimResolutionPeriodNotEnded": ("claim_not_possible", "The donor still has time to answer.", {}),
    "ClaimCompletionPeriodNotEnded": ("claim_not_possible", "The time for completing has not come.", {}),
}


def of_the_dict(refused: DictRefused) -> Refusal:
    """The DICT's no in our words, its own code beside it."""
    code, detail, facts = _OF_THE_DICT.get(
        refused.code, ("key_refused", "The DICT does not take this request.", {})
    )
    return Refusal(code, detail, {**facts, "dict_code": refused.code})

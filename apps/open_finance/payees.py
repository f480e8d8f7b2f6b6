"""Whom a Pix key leads to: asked of the DICT service, the only one that knows, as the user who pays."""

import json
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from apps.kit.outbound import Answer, Call, NoAnswer, Send
from apps.kit.problems import CODES, Problem
from apps.open_finance.payment import Creditor

ASK_SECONDS = 3.0
"""The DICT answers 99 of 100 look-ups within one second (facts, section 5)."""


TOLD = (
    "invalid_key",
    "account_not_found",
    "key_refused",
    "lookup_limited",
    "dict_bad_answer",
    "dict_unavailable",
    "dict_timeout",
)
"""What the DICT service answers that a client can act on. Anything else is a matter between us and it."""


class Payees(Protocol):
    """Who is behind a Pix key."""

    def find(self, key: str, end_to_end_id: str, authorization: str) -> Creditor:
        """The account that a key leads to, looked up under this id. Raises `Problem`."""
        ...


class _Payee(BaseModel):
    """The DICT service's answer, as far as another bank can be told to pay it (payments 4.0, `creditor`)."""

    model_config = ConfigDict(extra="ignore")

    key: Annotated[str, StringConstraints(min_length=1, max_length=77)]
    participant: Annotated[str, StringConstraints(pattern=r"^[0-9]{8}$")]
    branch: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}$")] | None
    number: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
    account_type: Annotated[str, StringConstraints(pattern=r"^(CACC|SVGS|TRAN)$")]
    tax_id: Annotated[str, StringConstraints(pattern=r"^([0-9]{11}|[0-9A-Z]{12}[0-9]{2})$")]
    name: Annotated[str, StringConstraints(min_length=1)]


class DictPayees:
    """Payees by the DICT service at `url`. An account of ours is found there without asking Bacen."""

    def __init__(self, send: Send, url: str) -> None:
        self._send = send
        self._url = f"{url}/internal/keys/lookup"

    def find(self, key: str, end_to_end_id: str, authorization: str) -> Creditor:
        """The account that a key leads to, looked up under this id. Raises `Problem`."""
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        body = json.dumps({"key": key, "end_to_end_id": end_to_end_id}).encode()
        try:
            answer = self._send(Call("POST", self._url, headers, body), ASK_SECONDS)
        except NoAnswer:
            raise _away() from None
        if answer.status != 200:
            raise _refusal(answer)
        try:
            found = _Payee.model_validate_json(answer.body)
        except ValidationError:
            # A salary account, or letters in a number: payments 4.0 has no way to name them.
            raise Problem(422, "payee_not_found", "The key's account cannot be paid in this way.") from None
        return Creditor(
            ispb=found.participant,
            branch=found.branch,
            number=found.number,
            account_type=found.account_type,
            tax_id=found.tax_id,
            name=found.name[:120],
            key=found.key,
        )


def _refusal(answer: Answer) -> Problem:
    """Why the DICT service says no, as its own client would be told."""
    try:
        document = json.loads(answer.body)
        code, detail = document["code"], document["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _away()
    if code == "key_not_found":
        return Problem(422, "payee_not_found", "The key leads to nobody.")
    if code not in TOLD or CODES[code][0] != answer.status:
        return _away()
    again = answer.headers.get("retry-after")
    return Problem(answer.status, code, str(detail), headers={"Retry-After": again} if again else None)


def _away() -> Problem:
    return Problem(
        503, "dict_unavailable", "Keys cannot be looked up at the moment.", headers={"Retry-After": "1"}
    )

"""Whose a Pix key is, as the DICT service tells it: asked with the caller's own token, on the path that is
for payments alone."""

import json
import logging
from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.kit.logs import request_id
from apps.kit.outbound import Answer, Call, NoAnswer, Send
from apps.ledger.account import Refusal
from apps.pix.spi import AccountType, Party
from apps.transaction.destination import Found, LookUpCode, LookUpFailed, PixKey

SECONDS = 3.4
"""A little more than that service gives the DICT."""
MAX_RETRY_AFTER_SECONDS = 300

_REFUSED: Mapping[str, str] = {
    "account_not_found": "You have no such account.",
    "key_not_found": "Nobody has this key.",
    "invalid_key": "The DICT takes no such key.",
    "key_refused": "The DICT does not answer for this key.",
}
"""What that service says no with, and what it comes to here: repeating changes nothing."""

_log = logging.getLogger(__name__)


class _Payee(BaseModel):
    """What it answers; see `apps.dict_key.api.PayeeView`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: Annotated[str, Field(min_length=1, max_length=77)]
    participant: Annotated[str, Field(pattern=r"^[0-9A-Z]{8}$")]
    branch: Annotated[str, Field(pattern=r"^[0-9]{1,4}$")] | None
    number: Annotated[str, Field(pattern=r"^[0-9A-Z]{1,20}$")]
    account_type: AccountType
    tax_id: Annotated[str, Field(pattern=r"^([0-9]{11}|[0-9A-Z]{12}[0-9]{2})$")]
    name: str
    account_id: str | None


class DictKey:
    """The DICT service at `url`."""

    def __init__(self, send: Send, url: str) -> None:
        self._send = send
        self._url = url

    def find(self, key: PixKey, end_to_end_id: str) -> Found:
        """Whom the key leads to. Raises `Refusal` or `LookUpFailed`."""
        headers = {"Authorization": key.authorization, "Content-Type": "application/json"}
        if (known := request_id()) is not None:
            headers["X-Request-Id"] = known
        body = json.dumps({"key": key.key, "end_to_end_id": end_to_end_id}).encode()
        try:
            answer = self._send(Call("POST", f"{self._url}/internal/keys/lookup", headers, body), SECONDS)
        except NoAnswer as error:
            raise LookUpFailed("dict_unavailable", 1) from error
        if answer.status != 200:
            raise _failed(answer)
        try:
            payee = _Payee.model_validate_json(answer.body)
        except ValidationError:
            # Not chained: its text quotes what was answered.
            raise LookUpFailed("dict_bad_answer", 1) from None
        party = Party(
            payee.participant, payee.tax_id, payee.number, payee.account_type, payee.branch, payee.name
        )
        return Found(payee.key, party, payee.account_id)


def _failed(answer: Answer) -> Refusal | LookUpFailed:
    try:
        problem = json.loads(answer.body)
        code = str(problem["code"])
    except (ValueError, TypeError, KeyError):
        problem, code = {}, ""
    if code in _REFUSED:
        facts = {name: problem[name] for name in ("verdict", "dict_code") if name in problem}
        return Refusal(code, _REFUSED[code], facts)
    if code not in get_args(LookUpCode):
        _log.warning("a key was not looked up", extra={"status": answer.status})
        return LookUpFailed("dict_unavailable", 1)
    said = answer.headers.get("retry-after", "")
    seconds = int(said) if said.isascii() and said.isdigit() and len(said) < 9 else 1
    known: LookUpCode = next(each for each in get_args(LookUpCode) if each == code)
    return LookUpFailed(known, min(seconds, MAX_RETRY_AFTER_SECONDS))

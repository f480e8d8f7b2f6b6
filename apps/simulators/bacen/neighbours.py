"""Banks that another simulator plays: it knows their accounts, so it is asked, and told what comes in."""

import json
import logging
from dataclasses import asdict, dataclass
from typing import Protocol

from apps.kit.outbound import Call, NoAnswer, Send

SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Credit:
    """Money for an account, by the order that brought it. `payer` is a name, `payer_tax_id` a document."""

    order_id: str
    ispb: str
    number: str
    amount_cents: int
    payer: str
    payer_tax_id: str | None


class Neighbours(Protocol):
    """Whoever plays those banks."""

    def judge(self, ispb: str, number: str, tax_id: str) -> str | None:
        """Why a bank refuses money for an account, as a code of a pacs.002; `silent` when it says nothing."""
        ...

    def credit(self, credit: Credit) -> None:
        """Tells a bank that money has come."""
        ...


class Nobody:
    """No bank beside this simulator has any account."""

    def judge(self, ispb: str, number: str, tax_id: str) -> str | None:  # noqa: ARG002
        """Every account is unknown."""
        return "AC03"

    def credit(self, credit: Credit) -> None:
        """Cannot be: nobody was ready to take money."""
        raise AssertionError(credit.order_id)


class OverHttp:
    """The other simulator, at `url`."""

    def __init__(self, send: Send, url: str) -> None:
        self._send = send
        self._url = f"{url}/admin/spi"

    def judge(self, ispb: str, number: str, tax_id: str) -> str | None:
        """Why a bank refuses money for an account; a bank that does not answer is `silent`."""
        asked = {"ispb": ispb, "number": number, "tax_id": tax_id}
        try:
            answer = self._post("judgements", asked)
            reason: str | None = json.loads(answer)["reason"]
        except (NoAnswer, ValueError, KeyError, TypeError):
            return "silent"
        return reason

    def credit(self, credit: Credit) -> None:
        """Tells a bank that money has come; it books each order once."""
        try:
            self._post("credits", asdict(credit))
        except NoAnswer as error:
            _log.error("a simulated bank was not told of its money", extra={"error": str(error)})

    def _post(self, what: str, content: object) -> bytes:
        headers = {"Content-Type": "application/json"}
        call = Call("POST", f"{self._url}/{what}", headers, json.dumps(content).encode())
        return self._send(call, SECONDS).body

"""How a payment leaves these banks: by an order to Bacen's simulator, whose word on it is the last."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from apps.kit.outbound import Call, NoAnswer, Send
from apps.simulators.other_bank.brands import Brand
from apps.simulators.other_bank.payments import Payment

SECONDS = 2.0


class Rail(Protocol):
    """What carries money to banks that are not here."""

    def settled(self, payment: Payment, brand: Brand) -> bool | None:
        """Whether a payment has arrived; none while nobody knows. Asked as often as one likes."""
        ...


class NoRail:
    """Without a Bacen all money arrives, nobody knows where."""

    def settled(self, payment: Payment, brand: Brand) -> bool | None:  # noqa: ARG002
        """It has."""
        return True


class Spi:
    """Bacen's simulator at `url`. An order is named by its end-to-end id: sent again it stays one."""

    def __init__(self, send: Send, url: str) -> None:
        self._send = send
        self._url = f"{url}/simulator/orders"

    def settled(self, payment: Payment, brand: Brand) -> bool | None:
        """What the SPI says of the order, which is given here the first time."""
        headers = {"Content-Type": "application/json"}
        body = json.dumps(order(payment, brand)).encode()
        try:
            answer = self._send(
                Call("PUT", f"{self._url}/{payment.order['endToEndId']}", headers, body), SECONDS
            )
            status = str(json.loads(answer.body)["status"]) if answer.status == 200 else ""
        except (NoAnswer, ValueError, KeyError, TypeError):
            return None
        return {"SETTLED": True, "REJECTED": False, "REFUSED": False}.get(status)


def order(payment: Payment, brand: Brand) -> Mapping[str, Any]:
    """A payment as Bacen's simulator takes it."""
    consent, payer = payment.consent.order, payment.payer
    payee = consent["payment"]["details"]["creditorAccount"]
    return {
        "payer": {
            "ispb": brand.ispb,
            "branch": payer.branch,
            "number": payer.number + payer.check_digit,
            "account_type": "SVGS" if payer.type == "CONTA_POUPANCA" else "CACC",
            "tax_id": payment.consent.cpf,
            "name": payment.payer_name,
        },
        "payee": {
            "ispb": payee["ispb"],
            "branch": payee.get("issuer"),
            "number": payee["number"],
            "account_type": payee["accountType"],
            "tax_id": consent["creditor"]["cpfCnpj"],
        },
        "amount_cents": payment.amount_cents,
        "instrument": payment.order["localInstrument"],
        "key": payment.order.get("proxy"),
        "initiator": payment.order["cnpjInitiator"],
        "note": payment.order.get("remittanceInformation"),
    }

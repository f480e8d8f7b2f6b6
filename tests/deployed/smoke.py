"""The smoke test of an environment that is up: two people sign up, one pays the other, the ledger adds up."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from environments.local.api import Answer, Api
from environments.local.demo import cpf
from environments.local.users import PASSWORD, sign_in
from tests.environment import until

GRANT_CENTS = 100_000
AMOUNT_CENTS = 12_345
PATIENCE_SECONDS = 30.0


class SmokeFailed(Exception):  # noqa: N818
    """The environment does not do what it is for. The message says at which step."""


@dataclass(frozen=True)
class Person:
    """Somebody signed in, with an account that has the welcome money."""

    api: Api
    account_id: str

    def available(self) -> int:
        return int(self.api.get(f"/accounts/{self.account_id}").body["available_cents"])


def run(gateway_url: str, cognito: Mapping[str, str], patience: float = PATIENCE_SECONDS) -> list[Person]:
    """Everything but the audit. Raises `SmokeFailed`."""
    payer, payee = (joined(gateway_url, cognito, name, patience) for name in ("Ana", "Bruno"))
    pay(payer, payee, patience)
    for person, expected in ((payer, GRANT_CENTS - AMOUNT_CENTS), (payee, GRANT_CENTS + AMOUNT_CENTS)):
        if person.available() != expected:
            raise SmokeFailed(f"the balance is {person.available()}, not {expected}")
    return [payer, payee]


def joined(gateway_url: str, cognito: Mapping[str, str], name: str, patience: float) -> Person:
    """Somebody new: signed up, signed in by SRP, with an account."""
    email = f"{name.lower()}.{uuid.uuid4().hex[:8]}@example.com"
    api = Api(gateway_url, sign_in(cognito, email, PASSWORD))
    body = {"name": f"{name} Souza", "tax_id": cpf(), "account_type": "CACC"}
    account = str(_expect(api.post("/accounts", body), 201, "open an account").body["account_id"])
    person = Person(api, account)
    _wait(person.available, lambda cents: cents == GRANT_CENTS, patience, "the welcome money does not settle")
    return person


def pay(payer: Person, payee: Person, patience: float) -> None:
    """A transfer, up to its settlement, as both see it."""
    path = _settled(payer, {"account": payee.account_id}, patience)
    if payee.api.get(path).body.get("status") != "SETTLED":
        raise SmokeFailed("the payee does not see the transfer")


def pay_by_key(payer: Person, key: str, patience: float) -> None:
    """A Pix to another bank's customer, up to its settlement."""
    _settled(payer, {"key": key}, patience)


def paid_from_elsewhere(payee: Person, bacen_url: str, from_ispb: str, patience: float) -> None:
    """A Pix of another bank's customer, until it is on the account."""
    before = payee.available()
    account = payee.api.get(f"/accounts/{payee.account_id}").body
    to = {
        "ispb": account["institution"]["ispb"],
        "branch": account["branch"],
        "number": account["number"].replace("-", ""),
        "account_type": account["account_type"],
        "tax_id": account["tax_id"],
    }
    body = {"from_ispb": from_ispb, "amount_cents": AMOUNT_CENTS, "account": to}
    answer = requests.post(f"{bacen_url}/simulator/payments", json=body, timeout=patience)
    if answer.status_code != 201:
        raise SmokeFailed(f"another bank cannot pay: {answer.status_code} {answer.text}")
    expected = before + AMOUNT_CENTS
    _wait(payee.available, lambda cents: cents == expected, patience, "a Pix of another bank does not arrive")


def _settled(payer: Person, to: Mapping[str, str], patience: float) -> str:
    """The path of a transfer that has settled."""
    body = {"from_account": payer.account_id, "to": dict(to), "amount_cents": AMOUNT_CENTS}
    answer = _expect(payer.api.post("/transfers", body), 201, "request a transfer")
    path = f"/transfers/{answer.body['transfer_id']}"
    seen = _wait(
        lambda: payer.api.get(path).body,
        lambda body: body.get("status") not in {"HELD", "SENT"},
        patience,
        "the transfer does not settle",
    )
    if seen.get("status") != "SETTLED":
        raise SmokeFailed(f"the transfer is not settled: {seen}")
    return path


def _expect(answer: Answer, status: int, what: str) -> Answer:
    if answer.status != status:
        raise SmokeFailed(f"{what}: expected {status}, got {answer.status} {answer.text}")
    return answer


def _wait(read: Callable[[], Any], good: Callable[[Any], bool], patience: float, otherwise: str) -> Any:
    try:
        return until(read, good, patience)
    except AssertionError as error:
        raise SmokeFailed(f"{otherwise}: {error}") from error

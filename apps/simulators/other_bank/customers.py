"""The people of a bank, their accounts and what moved on them. Money is whole centavos inside."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from apps.simulators.other_bank.brands import Brand

AccountType = Literal["CONTA_DEPOSITO_A_VISTA", "CONTA_POUPANCA", "CONTA_PAGAMENTO_PRE_PAGA"]
PASSWORD = "ipe-amarelo"  # noqa: S105 (of invented people)


@dataclass(frozen=True)
class Movement:
    """A booked credit or debit. `party` is the other side's CPF or CNPJ where it is known."""

    transaction_id: str
    credit: bool
    name: str
    kind: str
    amount_cents: int
    at: datetime
    party: str | None = None


@dataclass
class Account:
    """An account. `account_id` is what the APIs call it and says nothing of its number."""

    account_id: str
    type: AccountType
    branch: str
    number: str
    check_digit: str
    available_cents: int = 0
    blocked_cents: int = 0
    movements: list[Movement] = field(default_factory=list)

    def book(self, movement: Movement) -> None:
        """Puts a movement on the account."""
        self.available_cents += movement.amount_cents if movement.credit else -movement.amount_cents
        self.movements.append(movement)


@dataclass
class Customer:
    """A person with a login here."""

    cpf: str
    name: str
    password: str
    accounts: list[Account]


SEEDED = (
    ("52998224725", "Ana Souza"),
    ("11144477735", "Beto Lima"),
    ("12345678909", "Clara Nunes"),
    ("39053344705", "Davi Rocha"),
)
"""CPFs with good check digits that belong to nobody in particular."""


def seeded(brand: Brand, now: datetime) -> Iterator[Customer]:
    """The customers that a bank opens with: a current account each, and savings for the first two."""
    for place, (cpf, name) in enumerate(SEEDED):
        yield customer(brand, cpf, name, now, savings=place < 2)


def customer(brand: Brand, cpf: str, name: str, now: datetime, *, savings: bool = True) -> Customer:
    """A customer with accounts whose numbers, amounts and past follow from bank and CPF alone."""
    types: list[AccountType] = ["CONTA_DEPOSITO_A_VISTA", *(["CONTA_POUPANCA"] if savings else [])]  # type: ignore[list-item]
    return Customer(cpf, name, PASSWORD, [_account(brand, cpf, type_, now) for type_ in types])


def _account(brand: Brand, cpf: str, type_: AccountType, now: datetime) -> Account:
    digest = hashlib.sha256(f"{brand.slug}/{cpf}/{type_}".encode()).hexdigest()
    number = f"{int(digest[:12], 16) % 10**8:08d}"
    account = Account(digest[12:44], type_, "0001", number, str(int(digest[44:46], 16) % 10))
    past = (
        (True, "Salário", "TED", 350_000, 40),
        (False, "Aluguel", "BOLETO", 120_000, 35),
        (True, "Pix recebido", "PIX", 12_345, 20),
        (False, "Mercado", "PIX", 8_990, 5),
        (False, "Padaria", "PIX", 1_250, 2),
    )
    for place, (credit, name, kind, cents, days) in enumerate(past):
        at = (now - timedelta(days=days)).replace(microsecond=0)
        account.book(Movement(f"{digest[:20]}{place}", credit, name, kind, cents, at))
    return account

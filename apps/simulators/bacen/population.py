"""The country that a seed makes: banks, people and companies with valid documents, accounts and keys.

The same seed gives the same country. The banks are real ones by their ISPB (a list of 2026-08-22); everybody
else is made up, and no document of the specifications' examples is among them: most have wrong check digits.
"""

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from apps.simulators.bacen.directory import Account, AccountType, Directory, Entry, Owner, Restriction
from apps.simulators.bacen.documents import completed
from apps.simulators.bacen.keys import KeyType, type_of

BANKS: Mapping[str, str] = {
    "00000000": "Banco do Brasil",
    "90400888": "Santander",
    "00416968": "Inter",
    "00360305": "Caixa Econômica Federal",
    "30306294": "BTG Pactual",
    "92894922": "Original",
    "60746948": "Bradesco",
    "18236120": "Nu Pagamentos",
    "08561701": "PagSeguro",
    "10573521": "Mercado Pago",
    "31872495": "C6",
    "60701190": "Itaú Unibanco",
    "22896431": "PicPay",
    "58160789": "Safra",
    "01181521": "Sicredi",
    "02038232": "Sicoob",
}
"""Participants that answer by themselves, by ISPB. Texts, because leading zeros matter."""

NEIGHBOURS: Mapping[str, str] = {
    "99999101": "Banco Ipê",
    "99999102": "Jatobá Pagamentos",
    "99999103": "Caju Bank",
    "99999104": "Banco Aroeira",
    "99999105": "Cooperativa Cedro",
}
"""Participants that the simulator of other banks plays: their customers and accounts are there."""

Habit = Literal["accepts", "blocked", "closed", "refuses", "silent"]
"""What a payment to an account meets."""

PEOPLE, COMPANIES = 150, 50
_FIRST = [
    "Ana",
    "Beatriz",
    "Bruno",
    "Caio",
    "Camila",
    "Diego",
    "Elisa",
    "Fábio",
    "Helena",
    "Igor",
    "Joana",
    "Lara",
    "Luís",
    "Marina",
    "Otávio",
]
_LAST = [
    "Almeida",
    "Barbosa",
    "Cardoso",
    "Dias",
    "Esteves",
    "Ferreira",
    "Gomes",
    "Lima",
    "Moreira",
    "Nunes",
    "Pereira",
    "Ramos",
    "Souza",
]
_TRADES = ["Padaria", "Oficina", "Livraria", "Farmácia", "Mercearia", "Floricultura", "Papelaria", "Academia"]
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SPACE = uuid.UUID("5a0c8a66-64a1-4c39-9a39-0f2b6b0b2a11")
_BEGINNING = datetime(2015, 1, 1, 3, tzinfo=UTC)
"""The start of a day in Brasília, as dates whose time nobody knows are written."""


@dataclass(frozen=True)
class Known:
    """Somebody whom demos and tests may count on. See the package's docstring."""

    key: str
    ispb: str
    owner: Owner
    type: AccountType = "CACC"
    habit: Habit = "accepts"
    restriction: Restriction | None = None


WELL_KNOWN: tuple[Known, ...] = (
    Known("maria.silva@example.com", "18236120", Owner(completed("318274650"), "Maria da Silva"), "TRAN"),
    Known("+5511987650001", "60701190", Owner(completed("204816357"), "João Pereira Lima")),
    Known("52998224725", "00000000", Owner("52998224725", "Antônio Souza"), "SVGS"),
    Known(
        "11222333000181", "60746948", Owner("11222333000181", "Padaria Esquina Ltda", "Padaria da Esquina")
    ),
    Known("12ABC34501DE35", "00416968", Owner("12ABC34501DE35", "Oficina Nova Era Ltda", "Nova Era")),
    Known(
        "3f1c9d52-7b1e-4c5a-9d0e-6a2b8c4d0e1f",
        "90400888",
        Owner(completed("407158260001"), "Livraria Horizonte Ltda"),
    ),
    Known("blocked@example.com", "18236120", Owner(completed("615203984"), "Bruna Dias"), habit="blocked"),
    Known("closed@example.com", "60701190", Owner(completed("730415926"), "Caio Ramos"), habit="closed"),
    Known("refuses@example.com", "31872495", Owner(completed("846027315"), "Rita Gomes"), habit="refuses"),
    Known("silent@example.com", "22896431", Owner(completed("157930264"), "Saulo Nunes"), habit="silent"),
    Known("salary@example.com", "00360305", Owner(completed("268041357"), "Sílvia Moreira"), "SLRY"),
    Known(
        "court@example.com",
        "90400888",
        Owner(completed("379152460"), "Cícero Barbosa"),
        restriction="EntryBlocked",
    ),
    Known(
        "fraud@example.com",
        "10573521",
        Owner(completed("480263571"), "Flávia Cardoso"),
        restriction="EntryWithFraudRelatedRestriction",
    ),
)


@dataclass(frozen=True)
class Customer:
    """An account at one of the banks that answer by themselves, and what a payment to it meets."""

    account: Account
    owner: Owner
    habit: Habit = "accepts"


@dataclass
class Population:
    """Everybody: the entries of the DICT, and the accounts in the banks' books, by ISPB and number."""

    entries: list[Entry] = field(default_factory=list)
    customers: dict[tuple[str, str], Customer] = field(default_factory=dict)

    def directory(self) -> Directory:
        """A DICT with the keys of everybody."""
        return Directory(self.entries)

    def of_bank(self, ispb: str) -> list[Customer]:
        """The customers of a bank."""
        return [each for (bank, _), each in self.customers.items() if bank == ispb]


def populated(seed: int) -> Population:
    """The country of a seed."""
    maker = _Maker(random.Random(seed))  # noqa: S311 (the same seed must give the same country)
    for known in WELL_KNOWN:
        maker.settle(
            known.ispb, known.owner, known.type, [known.key], habit=known.habit, restriction=known.restriction
        )
    for _ in range(PEOPLE):
        maker.person()
    for number in range(COMPANIES):
        maker.company(letters=number % 2 == 0)
    return maker.made


class _Maker:
    """Makes one inhabitant after the other out of one stream of chance."""

    def __init__(self, chance: random.Random) -> None:
        self.made = Population()
        self._chance = chance
        self._taken = {known.owner.tax_id for known in WELL_KNOWN} | {known.key for known in WELL_KNOWN}

    def person(self) -> None:
        """A person with an account and up to three keys."""
        first, last = self._chance.choice(_FIRST), self._chance.choice(_LAST)
        tax_id = self._new(lambda: completed(f"{self._chance.randrange(10**9):09d}"))
        plain = f"{first}.{last}".lower().translate(str.maketrans("áéíóúâêôãõç", "aeiouaeoaoc"))
        offers = [
            tax_id,
            self._new(lambda: f"{plain}{self._chance.randrange(10_000)}@example.com"),
            self._new(lambda: f"+55{self._chance.randrange(11, 100)}9{self._chance.randrange(10**8):08d}"),
        ]
        keys = self._chance.sample(offers, self._chance.randrange(1, 4))
        self.settle(self._bank(), Owner(tax_id, f"{first} {last}"), self._type(), keys)

    def company(self, *, letters: bool) -> None:
        """A company with an account, its CNPJ or a random key; `letters` as of July 2026."""
        name = f"{self._chance.choice(_TRADES)} {self._chance.choice(_LAST)}"
        root = self._new(
            lambda: completed(
                "".join(self._chance.choice(_LETTERS if letters else _LETTERS[:10]) for _ in range(8))
                + "0001"
            )
        )
        key = (
            root
            if self._chance.random() < 0.7
            else str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        )
        self.settle(self._bank(), Owner(root, f"{name} Ltda", name), "CACC", [key])

    def settle(
        self,
        ispb: str,
        owner: Owner,
        kind: AccountType,
        keys: list[str],
        *,
        habit: Habit = "accepts",
        restriction: Restriction | None = None,
    ) -> None:
        """Gives somebody an account with keys at a bank."""
        opened = _BEGINNING + timedelta(days=self._chance.randrange(3_000))
        number = self._new(lambda: f"{self._chance.randrange(10**9):010d}")
        account = Account(ispb, f"{self._chance.randrange(1, 10_000):04d}", number, kind, opened)
        self.made.customers[ispb, number] = Customer(account, owner, habit)
        for key in keys:
            since = opened + timedelta(days=self._chance.randrange(1, 365))
            entry = Entry(
                key, _known_type(key), account, owner, since, since, uuid.uuid5(_SPACE, key), restriction
            )
            self.made.entries.append(entry)

    def _bank(self) -> str:
        return self._chance.choice(list(BANKS))

    def _type(self) -> AccountType:
        kinds: tuple[AccountType, ...] = ("CACC", "CACC", "TRAN", "SVGS")
        return self._chance.choice(kinds)

    def _new(self, made: Callable[[], str]) -> str:
        """Something that nobody has yet."""
        while (found := made()) in self._taken:
            pass
        self._taken.add(found)
        return found


def _known_type(key: str) -> KeyType:
    found = type_of(key)
    assert found is not None, f"{key} is no key"
    return found

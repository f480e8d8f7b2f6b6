"""One environment for all journeys, its calls to AWS recorded, and two people in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from environments.local.api import Api
from environments.local.demo import cpf
from tests.environment import Environment, environment, open_account

RECORDER = Path(__file__).parent / "recorder.py"


@dataclass(frozen=True)
class Person:
    """Somebody signed in, with an account."""

    api: Api
    account: dict[str, Any]

    @property
    def account_id(self) -> str:
        return str(self.account["account_id"])

    def available(self) -> int:
        return int(self.api.get(f"/accounts/{self.account_id}").body["available_cents"])


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    folder = tmp_path_factory.mktemp("bank")
    with environment(folder, GOBANK_INSTRUMENT=str(RECORDER), AUDIT_SECONDS="1") as up:
        yield up


@pytest.fixture(scope="session")
def ana(bank: Environment) -> Person:
    api = bank.user("ana@example.com")
    return Person(api, open_account(api, cpf(), "Ana Souza"))


@pytest.fixture(scope="session")
def bruno(bank: Environment) -> Person:
    api = bank.user("bruno@example.com")
    return Person(api, open_account(api, cpf(), "Bruno Lima"))

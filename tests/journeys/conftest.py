"""One environment for all journeys, its calls to AWS recorded, and two people in it."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from environments.local.api import Api
from environments.local.demo import cpf
from tests.environment import Environment, environment, open_account

HERE = Path(__file__).parent
RECORDER = HERE / "recorder.py"
_up = ExitStack()


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
def bank(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("bank")
    return _up.enter_context(environment(folder, GOBANK_INSTRUMENT=str(RECORDER), AUDIT_SECONDS="1"))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Ends the bank after the last journey, not with the session: one that idles takes a part of a processor
    from every test that is still to come."""
    if nextitem is None or HERE not in nextitem.path.parents:
        _up.close()


@pytest.fixture(scope="session")
def ana(bank: Environment) -> Person:
    api = bank.user("ana@example.com")
    return Person(api, open_account(api, cpf(), "Ana Souza"))


@pytest.fixture(scope="session")
def bruno(bank: Environment) -> Person:
    api = bank.user("bruno@example.com")
    return Person(api, open_account(api, cpf(), "Bruno Lima"))

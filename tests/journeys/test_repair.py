"""The last writes of one table are lost, `gobank audit --repair` brings them back, and the bank goes on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from environments.local.demo import cpf
from tests.environment import Environment, environment, open_account, until
from tests.journeys.conftest import Person
from tests.journeys.tables import image, take_back
from tests.journeys.test_transfer import pay, settled


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment of its own: its services are stopped and started."""
    with environment(tmp_path_factory.mktemp("restored")) as up:
        yield up


@pytest.fixture(scope="module")
def people(bank: Environment) -> tuple[Person, Person]:
    apis = [bank.user(f"{name}@example.com") for name in ("ana", "bruno")]
    ana, bruno = (Person(api, open_account(api, cpf())) for api in apis)
    return ana, bruno


def repair(bank: Environment, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = bank.gobank("audit", "--repair", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def published(bank: Environment) -> None:
    """Waits until Kafka has every event."""
    until(lambda: [key for key in image(bank, "events") if key[0].startswith("OUT#")], lambda rows: not rows)


def test_a_repair_is_refused_while_services_run(bank: Environment) -> None:
    done = bank.gobank("audit", "--repair")
    assert done.returncode == 1
    assert "gobank services stop" in done.stderr.replace("\n", " ")


def test_a_dry_run_without_a_repair_is_refused(bank: Environment) -> None:
    assert bank.gobank("audit", "--dry-run").returncode == 2


@pytest.mark.parametrize("table", ["accounts", "transactions", "events"])
def test_what_one_table_lost_is_brought_back_and_the_bank_goes_on(
    bank: Environment, people: tuple[Person, Person], table: str
) -> None:
    ana, bruno = people
    published(bank)
    before, had = image(bank, table), (ana.available(), bruno.available())
    transfer = settled(ana, pay(ana, bruno.account_id, 100))
    published(bank)
    try:
        assert bank.gobank("services", "stop").returncode == 0
        assert bank.description["services"] == {}
        whole = image(bank, table)
        take_back(bank, table, before)
        lost = image(bank, table)
        plan = repair(bank, "--dry-run", code=1)
        assert plan["mended"]
        assert image(bank, table) == lost, "a dry run writes nothing"
        done = repair(bank)
        assert (done["mended"], done["left"]) == (plan["mended"], [])
        assert {each["transfer_id"] for each in done["mended"]} <= {transfer["transfer_id"], None}
        if table == "accounts":
            assert image(bank, table) == whole
        assert repair(bank)["mended"] == []
        audit = bank.gobank("audit", "--json")
        assert audit.returncode == 0, audit.stdout
    finally:
        started = bank.gobank("services", "start")
    assert started.returncode == 0, started.stderr
    published(bank)
    assert (ana.available(), bruno.available()) == (had[0] - 100, had[1] + 100)
    found = ana.api.get(f"/transfers/{transfer['transfer_id']}").body
    assert (found["status"], found["amount_cents"]) == ("SETTLED", 100)
    assert settled(ana, pay(ana, bruno.account_id, 1))["status"] == "SETTLED"

"""Pix keys through the gateway: registered at Bacen's DICT, looked up by others, and ended."""

import uuid
from typing import Any
from urllib.parse import quote

import pytest
import requests

from environments.local.api import Answer
from environments.local.demo import cpf
from tests.environment import Environment, log_lines, open_account, until
from tests.journeys.conftest import Person

OTHER_BANK = "60701190"
SECONDS = 10


@pytest.fixture(scope="module")
def lia(bank: Environment) -> Person:
    api = bank.user("lia@example.com")
    return Person(api, open_account(api, cpf(), "Lia Prado"))


@pytest.fixture(scope="module")
def caio(bank: Environment) -> Person:
    api = bank.user("caio@example.com")
    return Person(api, open_account(api, cpf(), "Caio Nunes"))


def register(person: Person, key_type: str, key: str | None = None, again: str | None = None) -> Answer:
    body = {"key_type": key_type, "account_id": person.account_id, **({"key": key} if key else {})}
    return person.api.post("/keys", body, again)


def look_up(person: Person, key: str) -> Answer:
    return person.api.post("/keys/lookup", {"key": key})


def entry_at_bacen(bank: Environment, key: str) -> requests.Response:
    """What the DICT tells another bank."""
    url = bank.description["simulators"]["bacen"]["url"]
    headers = {
        "PI-RequestingParticipant": OTHER_BANK,
        "PI-PayerId": "52998224725",
        "PI-EndToEndId": f"E{OTHER_BANK}202611251200{uuid.uuid4().hex[:11]}",
    }
    return requests.get(f"{url}/api/v2/entries/{quote(key, safe='')}", headers=headers, timeout=SECONDS)


def test_a_registered_key_is_known_to_every_bank_and_shown_masked(
    bank: Environment, lia: Person, caio: Person
) -> None:
    tax_id = str(lia.account["tax_id"])
    answer = register(lia, "CPF", f"{tax_id[:3]}.{tax_id[3:6]}.{tax_id[6:9]}-{tax_id[9:]}")
    assert answer.status == 201, answer.text
    assert (answer.body["status"], answer.body["key"]) == ("ACTIVE", tax_id)
    there = entry_at_bacen(bank, tax_id)
    assert there.status_code == 200
    assert f"<AccountNumber>{lia.account['number'].replace('-', '')}</AccountNumber>" in there.text
    seen = look_up(caio, tax_id)
    assert seen.status == 200, seen.text
    assert seen.body["name"] == "Lia Prado"
    assert seen.body["document"] == f"***.{tax_id[3:6]}.{tax_id[6:9]}-**"
    assert seen.body["institution"]["name"] == "GO Banking"
    assert lia.account["number"] not in seen.text


def test_a_random_key_comes_from_the_dict_and_once_for_one_idempotency_key(lia: Person, caio: Person) -> None:
    again = str(uuid.uuid4())
    first = register(lia, "EVP", again=again)
    assert (first.status, first.body["key_type"]) == (201, "EVP"), first.text
    second = register(lia, "EVP", again=again)
    assert (second.body["key"], second.headers["Idempotent-Replayed"]) == (first.body["key"], "true")
    assert look_up(caio, first.body["key"].upper()).body["name"] == "Lia Prado"


def test_keys_are_listed_and_ended_by_their_owner_alone(bank: Environment, lia: Person, caio: Person) -> None:
    made = register(lia, "EMAIL", "Lia.Prado@Example.org").body
    assert made["key"] == "lia.prado@example.org"

    def listed(person: Person) -> Any:
        return [each["key_id"] for each in person.api.get("/keys").body["keys"]]

    until(lambda: listed(lia), lambda ids: made["key_id"] in ids)
    assert listed(caio) == []
    strangers = caio.api.delete(f"/keys/{made['key_id']}")
    assert (strangers.status, strangers.body["code"]) == (404, "key_not_found")
    assert lia.api.delete(f"/keys/{made['key_id']}").status == 204
    assert entry_at_bacen(bank, made["key"]).status_code == 404
    gone = look_up(caio, made["key"])
    assert (gone.status, gone.body["code"]) == (404, "key_not_found")


@pytest.mark.parametrize(
    ("key", "document"),
    [
        pytest.param("Maria.Silva@example.com", "***.", id="a person, by e-mail"),
        pytest.param("11.222.333/0001-81", "11.222.333/0001-81", id="a company, by CNPJ"),
        pytest.param("12abc34501de35", "12.ABC.345/01DE-35", id="a company of 2026"),
    ],
)
def test_keys_of_other_banks_are_found_in_any_spelling(caio: Person, key: str, document: str) -> None:
    found = look_up(caio, key)
    assert found.status == 200, found.text
    assert found.body["document"].startswith(document)
    assert found.body["name"]
    assert found.body["institution"]["ispb"]


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        pytest.param("nobody@example.com", 404, "key_not_found", id="nobody has it"),
        pytest.param("11987650001", 422, "invalid_key", id="eleven digits are a CPF"),
        pytest.param("court@example.com", 409, "key_refused", id="blocked by a court"),
        pytest.param("52998224724", 422, "invalid_key", id="check digits"),
    ],
)
def test_what_cannot_be_looked_up_is_said_with_its_code(
    caio: Person, key: str, status: int, code: str
) -> None:
    answer = look_up(caio, key)
    assert (answer.status, answer.body["code"]) == (status, code), answer.text


def test_somebody_elses_document_is_no_key_of_yours(lia: Person, caio: Person) -> None:
    answer = register(caio, "CPF", str(lia.account["tax_id"]))
    assert (answer.status, answer.body["code"], answer.body["final"]) == (422, "key_not_yours", True)


def test_a_dict_that_is_down_is_said_and_comes_back(bank: Environment, caio: Person) -> None:
    url = bank.description["simulators"]["bacen"]["url"]
    fault = {"place": "dict", "what": "down"}
    assert requests.post(f"{url}/simulator/faults", json=fault, timeout=SECONDS).status_code == 201
    down = look_up(caio, "+5511987650001")
    assert (down.status, down.body["code"]) == (503, "dict_unavailable")
    assert int(down.headers["Retry-After"]) >= 1
    assert look_up(caio, "+5511987650001").status == 200


def test_no_log_of_the_dict_service_holds_a_key_or_a_document(
    bank: Environment, lia: Person, caio: Person
) -> None:
    look_up(caio, "maria.silva@example.com")
    lines = str(log_lines(bank, "dict_key")) + str(log_lines(bank, "gateway"))
    secrets = ("maria.silva", "5511987650001", str(lia.account["tax_id"]), str(caio.account["tax_id"]))
    assert [each for each in secrets if each in lines] == []

"""Each service may do what the catalog says, needs all of it, and is refused everything else."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from apps.catalog import CATALOG
from environments.local import broker, tansu
from environments.local.api import Answer
from environments.local.broker import Broker
from environments.local.credentials import role_keys
from environments.local.demo import cpf
from environments.local.ministack import root_client
from environments.local.names import PREFIX, REGION, LocalNames
from environments.local.other_banks import agree
from tests.environment import ROOT, Environment, environment, log_lines, open_account, until
from tests.journeys import other_banks
from tests.journeys import test_pix_in as pix_in
from tests.journeys import test_pix_out as pix_out
from tests.journeys.conftest import RECORDER, Person
from tests.journeys.tables import image, take_back
from tests.journeys.test_transfer import pay, settled

KEY = {"pk": {"S": "nothing"}, "sk": {"S": "here"}}


@contextlib.contextmanager
def running(kafka: Broker) -> Iterator[subprocess.Popen[bytes]]:
    """The broker, up and with the catalog's topics."""
    process = subprocess.Popen(
        kafka.argv,
        env={**os.environ, **kafka.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: broker.is_ready(kafka), bool)
        broker.provision(kafka, CATALOG, LocalNames({}, {}))
        yield process
    finally:
        process.kill()
        process.wait()


def recorded(bank: Environment, service: str) -> set[str]:
    path = bank.folder / f"{service}.calls"
    lines = path.read_text().splitlines() if path.exists() else []
    return {line.removeprefix(PREFIX) for line in lines}


def declared(service: str) -> set[str]:
    found = set()
    for access in CATALOG.service(service).tables:
        found |= {f"{access.table} {action}" for action in access.actions}
        found |= {f"{access.table}/{index} Query" for index in access.indexes}
    return found


def table(bank: Environment, name: str) -> tuple[Any, str]:
    return root_client("dynamodb", bank.description["dynamodb_endpoint"]), PREFIX + name


def hold_without_a_worker(bank: Environment, ana: Person, bruno: Person) -> None:
    """One hold whose event is lost with its consumer, and one whose time is over: both end well."""
    worker = psutil.Process(bank.pid("settle_transfers"))
    worker.send_signal(signal.SIGSTOP)
    try:
        late, lost = pay(ana, bruno.account_id, 2), pay(ana, bruno.account_id, 3)
        client, transactions = table(bank, "transactions")
        client.update_item(
            TableName=transactions,
            Key={"pk": {"S": f"TX#{late.body['transfer_id']}"}, "sk": {"S": "TX"}},
            UpdateExpression="SET expires_at = :past",
            ExpressionAttributeValues={":past": {"S": "2000-01-01T00:00:00.000Z"}},
        )
        expired = settled(ana, late)
        assert (expired["status"], expired["reason"]) == ("REJECTED", "hold_expired")
        until(lambda: recorded(bank, "sweep_transfers"), lambda calls: "events PutItem" in calls)
    finally:
        worker.send_signal(signal.SIGCONT)
    assert settled(ana, lost)["status"] == "SETTLED"


def drift_and_unfreeze(bank: Environment, person: Person, payee: Person) -> None:
    """A balance changed by hand is found and frozen; mended, an operator lets it move again."""
    client, accounts = table(bank, "accounts")
    key = {"pk": {"S": f"ACC#{person.account_id}"}, "sk": {"S": "BAL"}}

    def change(cents: int) -> None:
        client.update_item(
            TableName=accounts,
            Key=key,
            UpdateExpression="SET available = available + :cents",
            ExpressionAttributeValues={":cents": {"N": str(cents)}},
        )

    def frozen() -> bool:
        return "frozen" in client.get_item(TableName=accounts, Key=key, ConsistentRead=True)["Item"]

    change(1)
    until(frozen, bool)
    refused = pay(person, payee.account_id, 1)
    assert (refused.status, refused.body["code"]) == (409, "account_frozen")
    assert refused.body["final"] is True
    assert operators(bank, "accounts", "unfreeze", person.account_id) == 1
    assert frozen()
    change(-1)
    assert operators(bank, "accounts", "unfreeze", person.account_id) == 0
    assert not frozen()


def operators(bank: Environment, *arguments: str) -> int:
    """Runs an operators' command with its own role, recorded."""
    return job_of(bank, "operators", *arguments)


def job_of(bank: Environment, service: str, *arguments: str) -> int:
    """Runs a job with its own role, recorded."""
    import json  # noqa: PLC0415

    job = json.loads((bank.folder / "jobs" / f"{service}.json").read_text())
    program = (
        f"import runpy, sys; sys.argv = [{service!r}, *{list(arguments)!r}]; "
        f"runpy.run_path({str(RECORDER)!r})['install']({service!r}); "
        f"runpy.run_module({job['module']!r}, run_name='__main__')"
    )
    with (bank.folder / "logs" / f"{service}.log").open("a") as log:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **job["variables"]},
            stdout=log,
            stderr=log,
            check=False,
        )
    return done.returncode


def restored_and_repaired(bank: Environment, ana: Person, bruno: Person) -> None:
    """Each table loses something that the others prove: a transfer's status and its end-to-end id, what it
    did to accounts, and then its history."""
    before = image(bank, "accounts")
    lost = settled(ana, pay(ana, bruno.account_id, 6))["transfer_id"]
    assert bank.gobank("services", "stop").returncode == 0
    accounts, transactions, kafka = (image(bank, each) for each in ("accounts", "transactions", "events"))
    parties = {f"ACC#{each.account_id}" for each in (ana, bruno)}
    held = dict(transactions[f"TX#{lost}", "TX"]) | {"status": {"S": "HELD"}}
    then = {key: item for key, item in transactions.items() if item.get("transfer", {}).get("S") != lost}
    take_back(bank, "transactions", then | {(f"TX#{lost}", "TX"): held})
    then = {key: item for key, item in accounts.items() if item.get("transfer_id", {}).get("S") != lost}
    balances = {key: item for key, item in before.items() if key[0] in parties and key[1] == "BAL"}
    take_back(bank, "accounts", then | balances)
    assert job_of(bank, "repair_ledger") == 0
    assert image(bank, "accounts") == accounts
    take_back(bank, "events", {key: item for key, item in kafka.items() if key[0] != f"HIS#{lost}"})
    assert job_of(bank, "repair_ledger") == 0
    assert operators(bank, "audit") == 0


def give_back_close_and_look_back(ana: Person, bruno: Person) -> None:
    """A return, an account that is opened and closed, and what was there."""
    paid = settled(ana, pay(ana, bruno.account_id, 5))
    back = bruno.api.post(f"/transfers/{paid['transfer_id']}/returns", {"amount_cents": 5, "reason": "no"})
    assert settled(bruno, back)["status"] == "SETTLED"
    body = {"name": "ana", "tax_id": ana.account["tax_id"], "account_type": "SVGS"}
    second = ana.api.post("/accounts", body).body["account_id"]
    assert ana.api.delete(f"/accounts/{second}").status == 204
    at = paid["created_at"]
    assert ana.api.get(f"/accounts/{ana.account_id}/balance?at={at}").status == 200


def another_bank_comes_and_goes(bank: Environment) -> None:
    """A link made, read, paid from and ended; and an account here that the bank reads in its turn."""
    api = bank.user("davi@example.com")
    davi = Person(api, open_account(api, other_banks.DAVI, "Davi Rocha"))
    link = other_banks.linked(davi)
    assert api.get("/balances").body["complete"]
    started = api.post("/payment-initiations", other_banks.paying(link, 5))
    assert agree(started.body["authorisation_url"], other_banks.DAVI).status_code == 200
    path = f"/payment-initiations/{started.body['payment_initiation_id']}"
    until(lambda: api.get(path).body["status"], lambda status: status == "SETTLED")
    assert api.delete(f"/links/{link['link_id']}").status == 204
    reading = other_banks.Reading.asked(bank, "ipe", davi)
    assert reading.agreed_by(davi).status_code == 200
    assert reading.seen().status_code == 200
    (consent,) = api.get("/consents").body["consents"]
    assert api.delete(f"/consents/{consent['consent_id']}").status == 204


def keys_come_and_go(bank: Environment, ana: Person, bruno: Person) -> None:
    """A key made, found and ended; look-ups at the DICT; a payment by such a key refunds its look-up."""
    made = ana.api.post("/keys", {"key_type": "EVP", "account_id": ana.account_id}).body
    assert bruno.api.post("/keys/lookup", {"key": made["key"]}).status == 200
    assert bruno.api.post("/keys/lookup", {"key": "11222333000181"}).status == 200
    assert bruno.api.post("/keys/lookup", {"key": "11222333000181"}).status == 200
    assert ana.api.get("/keys").status == 200
    assert ana.api.delete(f"/keys/{made['key_id']}").status == 204
    answer = pay_elsewhere(bruno, {"key": "maria.silva@example.com"})
    path = f"/transfers/{answer.body['transfer_id']}"
    until(lambda: bruno.api.get(path).body["status"], lambda status: status == "SETTLED")
    until(lambda: recorded(bank, "refund_lookups"), lambda calls: "keys PutItem" in calls)


def pix_comes_in(bank: Environment, person: Person) -> None:
    """A customer of another bank pays, and another bank gives back what it was paid."""
    order_id = pix_in.from_there(bank, 7, account=pix_in.data_of(person))
    assert pix_in.here(person, order_id)["status"] == "SETTLED"
    answer = pay_elsewhere(person, {"key": "maria.silva@example.com"})
    sent = pix_out.decided(person, answer)
    return_id = pix_in.come_back(bank, sent["end_to_end_id"], 6)["order_id"]
    assert pix_in.here(person, str(return_id))["status"] == "SETTLED"


def pay_elsewhere(payer: Person, to: dict[str, Any]) -> Answer:
    answer = payer.api.post("/transfers", {"from_account": payer.account_id, "to": to, "amount_cents": 6})
    assert answer.status == 201, answer.text
    return answer


def lose_the_brokers_memory(
    bank: Environment, kafka: Broker, process: subprocess.Popen[bytes], ana: Person, bruno: Person
) -> Iterator[None]:
    """Kafka forgets everything; what it had taken comes back to it from the history."""
    process.kill()
    process.wait()
    with running(kafka):
        assert settled(ana, pay(ana, bruno.account_id, 4))["status"] == "SETTLED"
        until(lambda: recorded(bank, "relay_outbox"), lambda calls: "events/history Query" in calls, 40)
        until(lambda: log_text(bank, "relay_outbox"), lambda text: "broker_memory_lost" in text)
        yield


def log_text(bank: Environment, service: str) -> str:
    return (bank.folder / "logs" / f"{service}.log").read_text()


def test_no_policy_has_an_action_that_nothing_needs(tmp_path: Path) -> None:
    kafka = tansu.prepare()
    with (
        running(kafka) as process,
        environment(
            tmp_path, "--kafka", kafka.bootstrap, GOBANK_INSTRUMENT=str(RECORDER), AUDIT_SECONDS="1"
        ) as bank,
    ):
        people = []
        for name in ("ana", "bruno"):
            api = bank.user(f"{name}@example.com")
            people.append(Person(api, open_account(api, cpf(), name)))
        ana, bruno = people
        first = settled(ana, pay(ana, bruno.account_id, 1))
        assert pay(ana, bruno.account_id, 10**9).status == 409
        for path in ("/accounts", "/balances", f"/accounts/{ana.account_id}/entries"):
            assert ana.api.get(path).status == 200
        assert ana.api.get(f"/transfers?account={ana.account_id}").body["transfers"][0] == first
        another_bank_comes_and_goes(bank)
        hold_without_a_worker(bank, ana, bruno)
        drift_and_unfreeze(bank, bruno, ana)
        give_back_close_and_look_back(ana, bruno)
        keys_come_and_go(bank, ana, bruno)
        pix_comes_in(bank, bruno)
        assert operators(bank, "trace", str(first["transfer_id"])) == 0
        assert operators(bank, "accounts", "block", ana.account_id) == 0
        assert operators(bank, "accounts", "unblock", ana.account_id) == 0
        for _ in lose_the_brokers_memory(bank, kafka, process, ana, bruno):
            assert operators(bank, "audit") == 0
            restored_and_repaired(bank, ana, bruno)
            for service in CATALOG.services:
                assert recorded(bank, service.name) == declared(service.name), service.name


REFUSED = [
    ("account", "delete_item", "accounts", {"Key": KEY}),
    ("account", "scan", "accounts", {}),
    ("account", "get_item", "events", {"Key": KEY}),
    ("transaction", "delete_item", "transactions", {"Key": KEY}),
    ("transaction", "query", "events", {"KeyConditionExpression": "pk = :p"}),
    ("relay_outbox", "get_item", "accounts", {"Key": KEY}),
    ("settle_transfers", "get_item", "accounts", {"Key": KEY}),
    ("send_pix", "get_item", "accounts", {"Key": KEY}),
    ("send_pix", "get_item", "transactions", {"Key": KEY}),
    ("send_pix", "put_item", "transactions", {"Item": KEY}),
    ("send_pix", "get_item", "keys", {"Key": KEY}),
    ("receive_pix", "get_item", "accounts", {"Key": KEY}),
    ("receive_pix", "scan", "transactions", {}),
    ("receive_pix", "delete_item", "transactions", {"Key": KEY}),
    ("receive_pix", "get_item", "keys", {"Key": KEY}),
    ("sweep_transfers", "delete_item", "events", {"Key": KEY}),
    ("audit_ledger", "put_item", "accounts", {"Item": KEY}),
    ("gateway", "get_item", "accounts", {"Key": KEY}),
    ("dict_key", "put_item", "accounts", {"Item": KEY}),
    ("dict_key", "get_item", "transactions", {"Key": KEY}),
    ("open_finance", "put_item", "accounts", {"Item": KEY}),
    ("open_finance", "scan", "consents", {}),
    ("open_finance", "get_item", "transactions", {"Key": KEY}),
    ("refund_lookups", "delete_item", "keys", {"Key": KEY}),
    ("refund_lookups", "get_item", "accounts", {"Key": KEY}),
    ("operators", "delete_item", "accounts", {"Key": KEY}),
    ("operators", "update_item", "transactions", {"Key": KEY}),
    ("operators", "put_item", "events", {"Item": KEY}),
    ("repair_ledger", "delete_item", "accounts", {"Key": KEY}),
    ("repair_ledger", "delete_item", "events", {"Key": KEY}),
    ("repair_ledger", "put_item", "keys", {"Item": KEY}),
]


def test_every_service_with_a_role_is_refused_something() -> None:
    roles = {service.name for service in CATALOG.services if service.kind != "simulator"}
    assert {service for service, *_ in REFUSED} == roles


@pytest.mark.parametrize(("service", "operation", "name", "request_"), REFUSED)
def test_what_is_outside_a_services_policy_is_refused(
    bank: Environment, service: str, operation: str, name: str, request_: dict[str, Any]
) -> None:
    endpoint = bank.description["dynamodb_endpoint"]
    keys = role_keys(root_client("sts", endpoint), service, 3600)
    client = boto3.client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
    )
    if "KeyConditionExpression" in request_:
        request_ = request_ | {"ExpressionAttributeValues": {":p": {"S": "x"}}}
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(TableName=PREFIX + name, **request_)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_no_log_line_holds_a_token_or_a_tax_id(bank: Environment, ana: Person, bruno: Person) -> None:
    settled(ana, pay(ana, bruno.account_id, 1))
    token = str(ana.api._session.headers["Authorization"]).removeprefix("Bearer ")
    for service in CATALOG.services:
        if service.port is None:
            continue
        lines = log_lines(bank, service.name)
        assert all("at" in each or "_aws" in each for each in lines)
        text = log_text(bank, service.name)
        assert token not in text
        assert str(ana.account["tax_id"]) not in text
        assert "Traceback" not in text

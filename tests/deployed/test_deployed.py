"""The variables, commands, ports and roles of the resource graph are the ones that work.

Every service of the catalog is started as its manifest says, with its role's own rights, against
emulators that were filled from the graph; then people use the bank. Each thing that the graph could get
wrong is then got wrong, and found.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from apps.catalog import CATALOG
from environments.graph import answers
from tests.deployed import mapping, smoke
from tests.deployed.cluster import Cluster, MskRefuses, NeverReady, Running, end, ready
from tests.deployed.conftest import Deployed
from tests.deployed.mapping import CannotBe
from tests.deployed.pods import (
    DEPLOYMENT,
    ROLE_POLICY,
    SERVICE,
    Json,
    Role,
    build_arguments,
    changed,
    job,
    pod_of,
    role,
)
from tests.deployed.smoke import Person, SmokeFailed
from tests.dockerfile import arguments_of
from tests.environment import until

WORKLOADS = {service.name.replace("_", "-"): service for service in CATALOG.services if service.kind != "job"}
TOUCHED = {
    *("COGNITO_JWKS_URL", "KAFKA_BOOTSTRAP", "KAFKA_SECURITY"),
    *("URL_ACCOUNT", "URL_TRANSACTION", "URL_OPEN_FINANCE", "URL_OTHER_BANK", "URL_DICT_KEY", "URL_BACEN"),
}
"""Every variable that is not the same here and on AWS. One more is a decision to be made here."""
ADDED = {"HOST", "DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL_SECRETS_MANAGER"}
POD_IDENTITY = {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"}
SHORT_SECONDS = 2.5
"""Long enough for what would have worked; what must not work is waited for so long."""


def name_of(workload: str) -> str:
    return f"workloads-{workload}"


# --- it works -----------------------------------------------------------------------------------

KEY_ELSEWHERE = "maria.silva@example.com"
"""A key that the simulated DICT knows, of a bank that takes what comes."""
ITAU = "60701190"


def test_people_use_the_bank_that_the_graph_describes(
    people: list[Person], bank: Deployed, record_property: Callable[[str, object], None]
) -> None:
    for how in bank.cluster.containers.how:
        record_property("loudly", f"tests/deployed ran the services of {how}.")
    assert [person.available() for person in people] == [
        smoke.GRANT_CENTS - smoke.AMOUNT_CENTS,
        smoke.GRANT_CENTS + smoke.AMOUNT_CENTS,
    ]


def test_money_goes_to_other_banks_and_comes_from_there(bank: Deployed) -> None:
    """With that dict_key, send_pix, receive_pix and the simulated Bacen are used, and not just ready."""
    person = smoke.joined(bank.cluster.gateway_url, bank.cognito, "Rosa", smoke.PATIENCE_SECONDS)
    smoke.pay_by_key(person, KEY_ELSEWHERE, smoke.PATIENCE_SECONDS)
    bacen = bank.cluster.running["bacen"]
    url = f"http://{bacen.address}:{bacen.pod.readiness.port}"
    smoke.paid_from_elsewhere(person, url, ITAU, smoke.PATIENCE_SECONDS)
    assert person.available() == smoke.GRANT_CENTS


def test_people_see_which_banks_they_can_link_and_all_that_they_have(bank: Deployed) -> None:
    """Open Finance's directory is another bank's answer, and the view is the account service's of both."""
    person = smoke.joined(bank.cluster.gateway_url, bank.cognito, "Rui", smoke.PATIENCE_SECONDS)
    assert person.api.get("/banks").body["banks"] != []
    view = person.api.get("/balances")
    assert (view.status, view.body["total_cents"]) == (200, smoke.GRANT_CENTS), view.text


def test_the_ledger_adds_up_by_the_operators_image_and_role(bank: Deployed, people: list[Person]) -> None:
    pod = job(bank.graph, "audit", "--json")
    assert (pod.user, pod.read_only, pod.privileged) == (10001, True, False)
    assert role(bank.graph, pod.namespace, pod.service_account) is not None
    code, said = bank.cluster.run_to_end(pod, "operators", bank.graph)
    report = json.loads(said)
    assert (code, report["ok"], report["sum_cents"], report["drift"]) == (0, True, 0, [])
    assert report["accounts"] >= len(people)


def test_the_graph_has_every_service_of_the_catalog_and_builds_it_so(bank: Deployed) -> None:
    assert set(bank.cluster.running) == set(WORKLOADS)
    for workload, running in bank.cluster.running.items():
        arguments = build_arguments(bank.graph, running.pod.image)
        assert arguments == arguments_of(WORKLOADS[workload])
        assert bank.cluster.containers.image(arguments).variables["MODULE"] == arguments["MODULE"]


# --- exactly as the manifest says ---------------------------------------------------------------


def environ(running: Running) -> dict[str, str]:
    return psutil.Process(running.process.pid).environ()


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_program_sees_the_variables_of_its_manifest(bank: Deployed, workload: str) -> None:
    running = bank.cluster.running[workload]
    image = bank.cluster.containers.image(build_arguments(bank.graph, running.pod.image))
    seen, manifest = environ(running), running.pod.variables
    differing = {name for name, value in manifest.items() if seen.get(name) != value}
    assert differing == {name for name in manifest if name in TOUCHED}
    more = seen.keys() - manifest.keys() - image.variables.keys()
    expected = set(ADDED)
    if role(bank.graph, running.pod.namespace, running.pod.service_account):
        expected |= POD_IDENTITY
    if "KAFKA_BOOTSTRAP" in manifest:
        expected |= {"KAFKA_SESSION_TIMEOUT_MS", "KAFKA_WAKES_FETCHES"}
    assert more == expected


def test_the_mapping_is_no_longer_than_it_must_be(bank: Deployed) -> None:
    names = {name for running in bank.cluster.running.values() for name in running.pod.variables}
    matched = {name for name in names if any(fnmatchcase(name, each) for each in mapping.MAPPED)}
    assert matched == TOUCHED
    assert not names & ADDED, "a variable that the manifest has is not added here"
    for pattern in mapping.MAPPED:
        assert any(fnmatchcase(name, pattern) for name in names), f"{pattern} maps nothing"


def status(running: Running, field: str) -> str:
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)[field].strip()


def mounts(running: Running) -> dict[str, list[str]]:
    """The options of each mount that the program sees."""
    lines = Path(f"/proc/{running.process.pid}/mountinfo").read_text().splitlines()
    return {line.split()[4]: line.split()[5].split(",") for line in lines}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_program_runs_as_its_manifest_says(bank: Deployed, workload: str) -> None:
    running = bank.cluster.running[workload]
    image = bank.cluster.containers.image(build_arguments(bank.graph, running.pod.image))
    assert psutil.Process(running.process.pid).cmdline()[-2:] == list(image.entry[1:]) == ["-m", "apps.run"]
    assert (running.pod.user, running.pod.group) == tuple(map(int, image.user.split(":")))
    assert (running.pod.read_only, running.pod.privileged) == (True, False)
    if not bank.cluster.containers.enters:
        return  # said loudly: this machine makes no container
    inside = ("10001", "10001") if psutil.Process().uids().real == 0 else None
    if inside is not None:
        assert status(running, "Uid").split() == [inside[0]] * 4
        assert status(running, "Gid").split() == [inside[1]] * 4
    assert int(status(running, "CapEff"), 16) == 0
    assert status(running, "NoNewPrivs") == "1"
    seen = mounts(running)
    assert "ro" in seen["/"]
    assert "rw" in seen["/tmp"]
    assert {path for path, options in seen.items() if "rw" in options} <= {"/tmp", *lent(seen)}


def lent(seen: dict[str, list[str]]) -> set[str]:
    """What a container runtime puts into every container."""
    return {path for path in seen if path.startswith(("/dev", "/proc", "/run/secrets", "/var/run/secrets"))}


def test_a_program_without_a_role_gets_no_keys(bank: Deployed) -> None:
    assert role(bank.graph, "dev", "gateway") is None
    assert not POD_IDENTITY & environ(bank.cluster.running["gateway"]).keys()


def test_no_other_pod_can_take_a_role(bank: Deployed, people: list[Person]) -> None:
    mine = role(bank.graph, "dev", "account")
    assert mine is not None
    assert bank.cloud.keys(mine)["AccessKeyId"]
    for tag, other in (("kubernetes-namespace", "prod"), ("kubernetes-service-account", "transaction")):
        with pytest.raises(ClientError, match="AccessDenied"):
            bank.cloud.keys(replace(mine, tags={**mine.tags, tag: other}))


# --- a graph that is wrong ----------------------------------------------------------------------


def without(name: str) -> Callable[[Json], None]:
    def change(inputs: Json) -> None:
        (container,) = inputs["spec"]["template"]["spec"]["containers"]
        container["env"] = [each for each in container["env"] if each["name"] != name]

    return change


def with_value(name: str, value: str) -> Callable[[Json], None]:
    def change(inputs: Json) -> None:
        (container,) = inputs["spec"]["template"]["spec"]["containers"]
        (variable,) = [each for each in container["env"] if each["name"] == name]
        variable["value"] = value

    return change


def with_container_port(port: int) -> Callable[[Json], None]:
    def change(inputs: Json) -> None:
        (container,) = inputs["spec"]["template"]["spec"]["containers"]
        container["ports"][0]["containerPort"] = port

    return change


def with_target_port(port: int) -> Callable[[Json], None]:
    def change(inputs: Json) -> None:
        inputs["spec"]["ports"][0]["targetPort"] = port

    return change


def begun(cluster: Cluster, workload: str, change: Callable[[Json], None], name: str) -> Running:
    """A pod of its own, of a graph in which the workload is otherwise."""
    graph = changed(cluster.graph, DEPLOYMENT, name_of(workload), change)
    pod = pod_of(graph.one(DEPLOYMENT, name_of(workload)).inputs)
    return cluster.begin(graph, pod, name)


MISSING = [
    ("gateway", "URL_ACCOUNT"),
    ("account", "COGNITO_ISSUER"),
    ("transaction", "TABLE_EVENTS"),
    ("relay-outbox", "OUTBOX_SHARDS"),
    ("settle-transfers", "TOPIC_TRANSFERS"),
    ("sweep-transfers", "AWS_REGION"),
    ("audit-ledger", "PORT"),
    ("dict-key", "DICT_CATEGORY"),
    ("open-finance", "PUBLIC_URL"),
    ("send-pix", "KAFKA_PRODUCES"),
    ("receive-pix", "TABLE_TRANSACTIONS"),
    ("refund-lookups", "TABLE_KEYS"),
    ("bacen", "ISPB"),
    ("other-bank", "ENVIRONMENT"),
]


def test_a_program_without_one_of_its_variables_does_not_start(bank: Deployed) -> None:
    """One of each service, all at once."""
    assert sorted(workload for workload, _ in MISSING) == sorted(WORKLOADS)
    begin = [
        (begun(bank.cluster, workload, without(name), f"{workload}-without"), name)
        for workload, name in MISSING
    ]
    try:
        for running, name in begin:
            with pytest.raises(NeverReady, match=rf"(?s)ended with 2: .*{name}: is not set"):
                ready(running)
    finally:
        end(running for running, _ in begin)


PORTS = [
    ("variable", "transaction", with_value("PORT", "8999")),
    ("container", "transaction", with_container_port(8999)),
]


@pytest.mark.parametrize(
    ("workload", "change"), [each[1:] for each in PORTS], ids=[each[0] for each in PORTS]
)
def test_a_program_on_another_port_than_its_containers_is_never_ready(
    bank: Deployed, workload: str, change: Callable[[Json], None]
) -> None:
    running = begun(bank.cluster, workload, change, "elsewhere")
    try:
        until(lambda: "8999" in running.log.read_text() or listens(running), bool)
        with pytest.raises(NeverReady, match="does not answer"):
            ready(running, 0.5)
    finally:
        end([running])


def listens(running: Running) -> bool:
    found = psutil.Process(running.process.pid).net_connections(kind="tcp")
    return any(each.status == psutil.CONN_LISTEN for each in found)


def test_a_service_that_leads_to_another_port_leads_nowhere(bank: Deployed, people: list[Person]) -> None:
    graph = changed(bank.graph, SERVICE, name_of("account"), with_target_port(8999))
    running = bank.cluster.begin(graph, bank.cluster.running["gateway"].pod, "astray")
    try:
        ready(running)
        url = f"http://{running.address}:{running.pod.readiness.port}"
        with pytest.raises(SmokeFailed, match="open an account: expected 201, got 50"):
            smoke.joined(url, bank.cognito, "Nina", SHORT_SECONDS)
    finally:
        end([running])


@pytest.mark.parametrize(
    ("workload", "name", "value", "error"),
    [
        ("gateway", "URL_ACCOUNT", "http://account.dev.svc.cluster.local:8999", LookupError),
        ("gateway", "URL_ACCOUNT", "http://account.prod.svc.cluster.local:8001", LookupError),
        ("relay-outbox", "KAFKA_SECURITY", "PLAINTEXT", CannotBe),
        ("relay-outbox", "KAFKA_BOOTSTRAP", "b-1.other.kafka.sa-east-1.amazonaws.com:9098", CannotBe),
        ("account", "COGNITO_JWKS_URL", "https://example.com/.well-known/jwks.json", CannotBe),
        ("relay-outbox", "TOPIC_TRANSFERS", "prod.transfers", MskRefuses),
        ("settle-transfers", "KAFKA_GROUP", "prod-settle-transfers", MskRefuses),
    ],
    ids=["port", "namespace", "plaintext", "brokers", "keys", "topic", "group"],
)
def test_the_mapping_mends_no_mistake(
    bank: Deployed, workload: str, name: str, value: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        begun(bank.cluster, workload, with_value(name, value), "mistaken")


def without_action(workload: str, sid: str, action: str) -> Callable[[Json], None]:
    def change(inputs: Json) -> None:
        document = json.loads(inputs["policy"])
        (statement,) = [each for each in document["Statement"] if each["Sid"] == sid]
        statement["Action"].remove(action)
        inputs["policy"] = json.dumps(document)

    return change


def role_less(bank: Deployed, workload: str, sid: str, action: str) -> tuple[Role, Role]:
    """The role of a service as it is, and with an action less."""
    graph = changed(bank.graph, ROLE_POLICY, f"roles-{workload}", without_action(workload, sid, action))
    whole, less = role(bank.graph, "dev", workload), role(graph, "dev", workload)
    assert whole is not None
    assert less is not None
    assert whole != less
    return whole, less


@contextmanager
def granted(bank: Deployed, whole: Role, less: Role) -> Iterator[None]:
    bank.cloud.grant(less)
    try:
        yield
    finally:
        bank.cloud.grant(whole)


@pytest.mark.parametrize(
    ("workload", "sid", "action"),
    [
        ("account", "TableAccounts", "dynamodb:PutItem"),
        ("transaction", "TableTransactions", "dynamodb:GetItem"),
        ("relay-outbox", "TableEvents", "dynamodb:Query"),
        ("settle-transfers", "TableTransactions", "dynamodb:UpdateItem"),
    ],
)
def test_the_smoke_test_fails_by_a_role_with_an_action_less(
    bank: Deployed, people: list[Person], workload: str, sid: str, action: str
) -> None:
    """And passes again with that action, so nothing else was missing."""
    payer, payee = people
    less = granted(bank, *role_less(bank, workload, sid, action))
    with less, pytest.raises(SmokeFailed):  # noqa: PT012 (either step of it)
        smoke.joined(bank.cluster.gateway_url, bank.cognito, "Olga", SHORT_SECONDS)
        smoke.pay(payer, payee, SHORT_SECONDS)
    bank.cluster.keep_up()
    smoke.pay(payer, payee, smoke.PATIENCE_SECONDS)


@pytest.mark.parametrize("workload", [name for name, service in WORKLOADS.items() if service.secrets])
def test_a_secret_is_read_by_the_role_that_the_catalog_gives_it_to(bank: Deployed, workload: str) -> None:
    """Secrets Manager's own action is enforced here. KMS is not: that `kms:Decrypt` is needed, for secrets
    and for tables, only AWS shows."""
    (secret,) = WORKLOADS[workload].secrets
    graph = changed(bank.graph, ROLE_POLICY, f"roles-{workload}", describing_secrets)
    whole, less = role(bank.graph, "dev", workload), role(graph, "dev", workload)
    assert whole is not None
    assert less is not None
    bank.cloud.grant(whole)
    bank.cloud.fill(f"dev-{secret}", "what an operator put in")
    assert read_secret(bank, whole, f"dev-{secret}") == "what an operator put in"
    with granted(bank, whole, less), pytest.raises(ClientError, match="AccessDenied"):
        read_secret(bank, less, f"dev-{secret}")
    with pytest.raises(ClientError, match="AccessDenied"):
        read_secret(bank, whole, next(f"dev-{other}" for other in sorted(CATALOG.secrets) if other != secret))


def describing_secrets(inputs: Json) -> None:
    """Not without an action: a statement of none is no policy, and the emulator takes it for all."""
    document = json.loads(inputs["policy"])
    (statement,) = [each for each in document["Statement"] if each["Sid"] == "Secrets"]
    assert statement["Action"] == ["secretsmanager:GetSecretValue"]
    statement["Action"] = ["secretsmanager:DescribeSecret"]
    inputs["policy"] = json.dumps(document)


def read_secret(bank: Deployed, mine: Role, name: str) -> str:
    keys = bank.cloud.keys(mine)
    client = boto3.client(
        "secretsmanager",
        region_name=answers.REGION,
        endpoint_url=bank.cloud.stack.url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
    )
    return str(client.get_secret_value(SecretId=name)["SecretString"])


@pytest.mark.parametrize(
    ("workload", "sid", "action"),
    [
        ("relay-outbox", "KafkaConnect", "kafka-cluster:Connect"),
        ("relay-outbox", "KafkaConnect", "kafka-cluster:WriteDataIdempotently"),
        ("relay-outbox", "KafkaProduce", "kafka-cluster:WriteData"),
        ("settle-transfers", "KafkaConsume", "kafka-cluster:ReadData"),
        ("settle-transfers", "KafkaGroup", "kafka-cluster:AlterGroup"),
        ("settle-transfers", "KafkaProduce", "kafka-cluster:WriteData"),
    ],
)
def test_msk_would_refuse_a_role_with_an_action_less(
    bank: Deployed, workload: str, sid: str, action: str
) -> None:
    """Examples, by the roles of the graph; every action of every service is in `test_kafka_rights`."""
    graph = changed(bank.graph, ROLE_POLICY, f"roles-{workload}", without_action(workload, sid, action))
    with pytest.raises(MskRefuses, match=action):
        bank.cluster.begin(graph, bank.cluster.running[workload].pod, "refused")

"""The catalog: what contradicts itself is refused by name, and each service is told and allowed exactly what
the catalog says, whatever the values of an environment's names are."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Literal

import pytest

from apps.account.main import AccountSettings
from apps.catalog import (
    CATALOG,
    Access,
    Catalog,
    CatalogError,
    Consumption,
    Index,
    Service,
    Table,
    Topic,
    checked,
    environment,
    policy,
)
from apps.consumers.audit_ledger import AuditSettings
from apps.consumers.receive_pix import ReceiveSettings
from apps.consumers.refund_lookups import RefundSettings
from apps.consumers.relay_outbox import RelaySettings
from apps.consumers.send_pix import SendSettings
from apps.consumers.settle_transfers import SettleSettings
from apps.consumers.sweep_transfers import SweepSettings
from apps.dict_key.main import DictKeySettings
from apps.gateway.main import GatewaySettings
from apps.kit.settings import JobSettings, read
from apps.open_finance.main import OpenFinanceSettings
from apps.operators.main import OperatorSettings
from apps.operators.repair_ledger import RepairSettings
from apps.simulators.bacen.main import BacenSettings
from apps.simulators.other_bank.main import OtherBankSettings
from apps.transaction.main import TransactionSettings


class FakeNames:
    """Names that show where they come from."""

    def table(self, name: str) -> str:
        return f"test-{name}"

    topic = group = secret = table

    def url(self, service: str) -> str:
        return f"http://{service}"

    def setting(self, name: str) -> str:
        return f"<{name}>"


class FakeArns:
    def table(self, name: str) -> str:
        return f"table/{name}"

    def index(self, table: str, index: str) -> str:
        return f"table/{table}/index/{index}"

    def table_key(self) -> str:
        return "key/tables"

    def secret_key(self) -> str:
        return "key/secrets"

    def via(self, aws_service: Literal["dynamodb", "secretsmanager"]) -> str:
        return f"{aws_service}.sa-east-1.amazonaws.com"

    def kafka_cluster(self) -> str:
        return "cluster"

    def topic(self, name: str) -> str:
        return f"topic/{name}"

    def group(self, name: str) -> str:
        return f"group/{name}"

    def secret(self, name: str) -> str:
        return f"secret/{name}"


def service(name: str, kind: Literal["api", "worker", "job"] = "worker", **more: Any) -> Service:
    defaults: dict[str, Any] = {"port": None, "replicas": 1, "cpu_millis": 100, "memory_mib": 128}
    return Service(name, kind, **{**defaults, **more})


SMALL = Catalog(
    tables=(Table("letters", indexes=(Index("sender", "sender", "sent_at"),)), Table("stamps")),
    topics=(
        Topic("post", partitions=3, retention_hours=48, dead_letter="post.lost"),
        Topic("post.lost", partitions=1, retention_hours=96),
        Topic("bell", partitions=1, retention_hours=1),
    ),
    secrets=frozenset({"seal", "signing-key"}),
    settings=frozenset({"tariff", "opening_hours"}),
    services=(
        service("counter", "api", port=1, produces=frozenset({"post", "bell"}), secrets=frozenset({"seal"})),
        service(
            "van",
            callers=frozenset({"counter"}),
            tables=(Access("letters", frozenset({"GetItem"}), frozenset({"sender"})),),
            consumes=Consumption("post", "vans"),
            secrets=frozenset({"signing-key", "seal"}),
            settings=frozenset({"tariff"}),
        ),
        service("boy", consumes=Consumption("bell", "boys")),
    ),
)


def with_service(**changes: Any) -> Catalog:
    """The small catalog with another `van`."""
    counter, van, boy = SMALL.services
    return replace(SMALL, services=(counter, replace(van, **changes), boy))


def access(table: str, *indexes: str) -> tuple[Access, ...]:
    return (Access(table, frozenset({"GetItem"}), frozenset(indexes)),)


# --- what contradicts itself --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        pytest.param(
            lambda: SMALL.table("leters"),
            "no table is called 'leters'; the catalog has: letters, stamps",
            id="table",
        ),
        pytest.param(
            lambda: SMALL.topic("posts"),
            "no topic is called 'posts'; the catalog has: bell, post, post.lost",
            id="topic",
        ),
        pytest.param(
            lambda: SMALL.service("vans"),
            "no service is called 'vans'; the catalog has: boy, counter, van",
            id="service",
        ),
        pytest.param(
            lambda: SMALL.called_by("vans"),
            "no service is called 'vans'; the catalog has: boy, counter, van",
            id="caller",
        ),
        pytest.param(
            lambda: environment(SMALL, "vans", FakeNames()),
            "no service is called 'vans'; the catalog has: boy, counter, van",
            id="environment",
        ),
        pytest.param(
            lambda: policy(SMALL, "vans", FakeArns()),
            "no service is called 'vans'; the catalog has: boy, counter, van",
            id="policy",
        ),
    ],
)
def test_asking_for_what_is_not_there_names_it_and_what_is(ask: Callable[[], object], message: str) -> None:
    with pytest.raises(CatalogError) as raised:
        ask()
    assert str(raised.value) == message


def test_what_is_there_is_found() -> None:
    assert SMALL.table("stamps") is SMALL.tables[1]
    assert SMALL.topic("post.lost") is SMALL.topics[1]
    assert SMALL.service("van") is SMALL.services[1]
    assert SMALL.called_by("counter") == [SMALL.services[1]]
    assert SMALL.called_by("van") == []


@pytest.mark.parametrize(
    ("catalog", "problem"),
    [
        pytest.param(
            replace(SMALL, topics=(Topic("post", 1, 1, dead_letter="lost"),), services=()),
            "topic 'post' sends dead letters to 'lost', which is no topic; there is: post",
            id="dead letter",
        ),
        pytest.param(
            with_service(tables=access("leters")),
            "service 'van' uses 'leters', which is no table; there is: letters, stamps",
            id="table",
        ),
        pytest.param(
            with_service(tables=access("letters", "sendr")),
            "service 'van' queries 'sendr', which is no index of table 'letters'; there is: sender",
            id="index",
        ),
        pytest.param(
            with_service(tables=access("stamps", "sender")),
            "service 'van' queries 'sender', which is no index of table 'stamps'; there is: none",
            id="index of another table",
        ),
        pytest.param(
            with_service(produces=frozenset({"posts"})),
            "service 'van' produces to 'posts', which is no topic; there is: bell, post, post.lost",
            id="produced topic",
        ),
        pytest.param(
            with_service(consumes=Consumption("posts", "vans")),
            "service 'van' consumes 'posts', which is no topic; there is: bell, post, post.lost",
            id="consumed topic",
        ),
        pytest.param(
            with_service(reads=frozenset({"posts"})),
            "service 'van' reads 'posts', which is no topic; there is: bell, post, post.lost",
            id="read topic",
        ),
        pytest.param(
            with_service(callers=frozenset({"counters"})),
            "service 'van' is called by 'counters', which is no service; there is: boy, counter, van",
            id="caller",
        ),
        pytest.param(
            with_service(secrets=frozenset({"sael"})),
            "service 'van' reads 'sael', which is no secret; there is: seal, signing-key",
            id="secret",
        ),
        pytest.param(
            with_service(settings=frozenset({"tarif"})),
            "service 'van' reads 'tarif', which is no setting; there is: opening_hours, tariff",
            id="setting",
        ),
        pytest.param(
            replace(SMALL, tables=(*SMALL.tables, Table("letters", indexes=SMALL.tables[0].indexes))),
            "table 'letters' is declared more than once",
            id="table twice",
        ),
        pytest.param(
            replace(SMALL, topics=(*SMALL.topics, SMALL.topics[2])),
            "topic 'bell' is declared more than once",
            id="topic twice",
        ),
        pytest.param(
            replace(SMALL, services=(*SMALL.services, SMALL.services[2])),
            "service 'boy' is declared more than once",
            id="service twice",
        ),
        pytest.param(
            with_service(port=1),
            "port 1 is given to more than one service",
            id="port twice",
        ),
        pytest.param(
            with_service(tables=(*access("letters"), *access("letters", "sender"))),
            "service 'van' lists table 'letters' more than once",
            id="access twice",
        ),
        pytest.param(
            replace(SMALL, topics=(*SMALL.topics, Topic("post-lost", 1, 1))),
            "topics 'post-lost' and 'post.lost' would share the variable POST_LOST",
            id="topics spelt alike",
        ),
        pytest.param(
            replace(SMALL, secrets=SMALL.secrets | {"signing_key"}),
            "secrets 'signing-key' and 'signing_key' would share the variable SIGNING_KEY",
            id="secrets spelt alike",
        ),
    ],
)
def test_a_contradiction_says_who_says_what_and_what_there_is(catalog: Catalog, problem: str) -> None:
    assert catalog.problems() == [problem]
    with pytest.raises(CatalogError, match=re.escape(f"- {problem}")):
        checked(catalog)


def test_all_contradictions_are_listed_at_once() -> None:
    wrong = with_service(tables=access("leters"), secrets=frozenset({"sael"}), port=1)
    with pytest.raises(CatalogError) as raised:
        checked(wrong)
    lines = str(raised.value).splitlines()
    assert lines[0] == "the catalog contradicts itself:"
    assert len(lines) == 4
    assert [word for word in ("leters", "sael", "port 1") if word not in str(raised.value)] == []


@pytest.mark.parametrize("catalog", [SMALL, CATALOG], ids=["small", "the bank's"])
def test_a_sound_catalog_is_given_back(catalog: Catalog) -> None:
    assert checked(catalog) is catalog


# --- what each service is told ------------------------------------------------------------------

COMMON = {"ENVIRONMENT": "<environment>", "AWS_REGION": "<aws_region>", "LOG_LEVEL": "<log_level>"}
API = {
    "COGNITO_ISSUER": "<cognito_issuer>",
    "COGNITO_JWKS_URL": "<cognito_jwks_url>",
    "COGNITO_CLIENT_IDS": "<cognito_client_ids>",
}
LEDGER_TABLES = {
    "TABLE_ACCOUNTS": "test-accounts",
    "TABLE_TRANSACTIONS": "test-transactions",
    "TABLE_EVENTS": "test-events",
}
KAFKA = {
    "KAFKA_BOOTSTRAP": "<kafka_bootstrap>",
    "KAFKA_SECURITY": "<kafka_security>",
    "AWS_DEFAULT_REGION": "<aws_region>",
}
SHARDS = {"OUTBOX_SHARDS": "<outbox_shards>"}

VARIABLES: dict[str, dict[str, str]] = {
    "gateway": {
        "PORT": "8000",
        **API,
        "URL_ACCOUNT": "http://account",
        "URL_TRANSACTION": "http://transaction",
        "URL_OPEN_FINANCE": "http://open_finance",
        "URL_DICT_KEY": "http://dict_key",
    },
    "account": {
        "PORT": "8001",
        **API,
        **LEDGER_TABLES,
        **SHARDS,
        "URL_OPEN_FINANCE": "http://open_finance",
        "ISPB": "<ispb>",
        "HOLD_MINUTES": "<hold_minutes>",
        "OPENING_GRANT_CENTS": "<opening_grant_cents>",
    },
    "transaction": {
        "PORT": "8002",
        **API,
        **LEDGER_TABLES,
        **SHARDS,
        "ISPB": "<ispb>",
        "HOLD_MINUTES": "<hold_minutes>",
        "URL_DICT_KEY": "http://dict_key",
    },
    "relay_outbox": {
        "PORT": "8010",
        "TABLE_EVENTS": "test-events",
        **SHARDS,
        **KAFKA,
        "KAFKA_PRODUCES": "transfers",
        "KAFKA_READS": "transfers",
        "TOPIC_TRANSFERS": "test-transfers",
        "RETENTION_HOURS_TRANSFERS": "168",
    },
    "settle_transfers": {
        "PORT": "8011",
        **LEDGER_TABLES,
        **SHARDS,
        **KAFKA,
        "KAFKA_CONSUMES": "transfers",
        "KAFKA_GROUP": "test-settle-transfers",
        "KAFKA_PRODUCES": "transfers.dead-letter",
        "KAFKA_DEAD_LETTER": "transfers.dead-letter",
        "TOPIC_TRANSFERS": "test-transfers",
        "TOPIC_TRANSFERS_DEAD_LETTER": "test-transfers.dead-letter",
    },
    "send_pix": {
        "PORT": "8014",
        **LEDGER_TABLES,
        **SHARDS,
        **KAFKA,
        "KAFKA_CONSUMES": "transfers",
        "KAFKA_GROUP": "test-send-pix",
        "KAFKA_PRODUCES": "transfers.dead-letter",
        "KAFKA_DEAD_LETTER": "transfers.dead-letter",
        "TOPIC_TRANSFERS": "test-transfers",
        "TOPIC_TRANSFERS_DEAD_LETTER": "test-transfers.dead-letter",
        "ISPB": "<ispb>",
        "SPI_URL": "<spi_url>",
        "SECRET_SPI_CERTIFICATE": "test-spi_certificate",
        "URL_BACEN": "http://bacen",
    },
    "receive_pix": {
        "PORT": "8015",
        **LEDGER_TABLES,
        **SHARDS,
        "ISPB": "<ispb>",
        "SPI_URL": "<spi_url>",
        "SECRET_SPI_CERTIFICATE": "test-spi_certificate",
        "URL_BACEN": "http://bacen",
    },
    "sweep_transfers": {"PORT": "8012", **LEDGER_TABLES, **SHARDS},
    "audit_ledger": {"PORT": "8013", **LEDGER_TABLES, **SHARDS, "AUDIT_SECONDS": "<audit_seconds>"},
    "bacen": {"PORT": "8020", "ISPB": "<ispb>", "URL_OTHER_BANK": "http://other_bank"},
    "operators": {
        **LEDGER_TABLES,
        **SHARDS,
        **KAFKA,
        "KAFKA_PRODUCES": "transfers",
        "KAFKA_READS": "transfers,transfers.dead-letter",
        "TOPIC_TRANSFERS": "test-transfers",
        "TOPIC_TRANSFERS_DEAD_LETTER": "test-transfers.dead-letter",
        "RETENTION_HOURS_TRANSFERS": "168",
    },
    "repair_ledger": {**LEDGER_TABLES, **SHARDS, "HOLD_MINUTES": "<hold_minutes>"},
    "open_finance": {
        "PORT": "8004",
        **API,
        "TABLE_CONSENTS": "test-consents",
        "TABLE_ACCOUNTS": "test-accounts",
        "URL_OTHER_BANK": "http://other_bank",
        "URL_DICT_KEY": "http://dict_key",
        "SECRET_OPEN_FINANCE_KEYS": "test-open_finance_keys",
        "PUBLIC_URL": "<public_url>",
    },
    "other_bank": {"PORT": "8021", "URL_BACEN": "http://bacen"},
    "dict_key": {
        "PORT": "8003",
        **API,
        "TABLE_KEYS": "test-keys",
        "TABLE_ACCOUNTS": "test-accounts",
        "ISPB": "<ispb>",
        "DICT_URL": "<dict_url>",
        "DICT_CATEGORY": "<dict_category>",
        "SECRET_DICT_CERTIFICATE": "test-dict_certificate",
        "URL_BACEN": "http://bacen",
    },
    "refund_lookups": {
        "PORT": "8016",
        "TABLE_KEYS": "test-keys",
        **KAFKA,
        "KAFKA_CONSUMES": "transfers",
        "KAFKA_GROUP": "test-refund-lookups",
        "KAFKA_PRODUCES": "transfers.dead-letter",
        "KAFKA_DEAD_LETTER": "transfers.dead-letter",
        "TOPIC_TRANSFERS": "test-transfers",
        "TOPIC_TRANSFERS_DEAD_LETTER": "test-transfers.dead-letter",
    },
}

SETTINGS: dict[str, type[JobSettings]] = {
    "bacen": BacenSettings,
    "gateway": GatewaySettings,
    "account": AccountSettings,
    "transaction": TransactionSettings,
    "relay_outbox": RelaySettings,
    "settle_transfers": SettleSettings,
    "send_pix": SendSettings,
    "receive_pix": ReceiveSettings,
    "sweep_transfers": SweepSettings,
    "audit_ledger": AuditSettings,
    "operators": OperatorSettings,
    "repair_ledger": RepairSettings,
    "open_finance": OpenFinanceSettings,
    "other_bank": OtherBankSettings,
    "dict_key": DictKeySettings,
    "refund_lookups": RefundSettings,
}
SERVICES = [each.name for each in CATALOG.services]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_told_exactly_what_the_catalog_says(name: str) -> None:
    expected = {"SERVICE": name, **COMMON, **VARIABLES[name]}
    assert environment(CATALOG, name, FakeNames()) == expected


class PlausibleNames(FakeNames):
    """Settings of the kinds that services ask for."""

    def setting(self, name: str) -> str:
        said = {
            "log_level": "INFO",
            "kafka_security": "AWS_MSK_IAM",
            "dict_url": "https://dict",
            "dict_category": "H",
            "spi_url": "https://icom",
        }
        numbers = {"opening_grant_cents", "hold_minutes", "outbox_shards", "audit_seconds"}
        return said.get(name, "7" if name in numbers else name)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_is_told_is_all_that_it_needs_and_nothing_that_it_ignores(name: str) -> None:
    told = environment(CATALOG, name, PlausibleNames())
    config = read(SETTINGS[name], told)
    assert config.service == name
    known = {field.upper() for field in SETTINGS[name].model_fields}
    # botocore reads its region itself, for MSK.
    by_pattern = ("TOPIC_", "URL_", "AWS_DEFAULT_REGION")
    assert {variable for variable in told if not variable.startswith(by_pattern)} <= known


def test_secrets_and_urls_go_only_to_who_the_catalog_names() -> None:
    told = {each.name: environment(SMALL, each.name, FakeNames()) for each in SMALL.services}
    assert told["counter"]["URL_VAN"] == "http://van"
    assert told["counter"]["SECRET_SEAL"] == "test-seal"
    assert told["van"]["SECRET_SIGNING_KEY"] == "test-signing-key"
    holders = {name for name, each in told.items() for key in each if key.startswith(("URL_", "SECRET_"))}
    assert holders == {"counter", "van"}
    assert [key for key in told["counter"] if key.startswith(("URL_", "SECRET_"))] == [
        "URL_VAN",
        "SECRET_SEAL",
    ]


def test_a_producer_learns_how_long_its_own_topics_keep_an_event_and_nobody_else_does() -> None:
    told = {
        each.name: {
            key: value
            for key, value in environment(SMALL, each.name, FakeNames()).items()
            if key.startswith("RETENTION_HOURS_")
        }
        for each in SMALL.services
    }
    assert told == {
        "counter": {"RETENTION_HOURS_POST": "48", "RETENTION_HOURS_BELL": "1"},
        "van": {},
        "boy": {},
    }


def test_a_topic_without_dead_letters_is_consumed_without_producing() -> None:
    told = environment(SMALL, "boy", FakeNames())
    assert told["KAFKA_PRODUCES"] == ""
    assert told["KAFKA_CONSUMES"] == "bell"
    assert "KAFKA_DEAD_LETTER" not in told


# --- what each service may do -------------------------------------------------------------------


def statement(sid: str, actions: list[str], *resources: str, via: str | None = None) -> dict[str, object]:
    said: dict[str, object] = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": list(resources),
    }
    if via is not None:
        said["Condition"] = {"StringEquals": {"kms:ViaService": f"{via}.sa-east-1.amazonaws.com"}}
    return said


def table(name: str, *actions: str) -> dict[str, object]:
    return statement(f"Table{name.title()}", [f"dynamodb:{each}" for each in actions], f"table/{name}")


def index(name: str, *indexes: str) -> dict[str, object]:
    resources = [f"table/{name}/index/{each}" for each in indexes]
    return statement(f"Index{name.title()}", ["dynamodb:Query"], *resources)


def connect(*more: str) -> dict[str, object]:
    return statement("KafkaConnect", ["kafka-cluster:Connect", *more], "cluster")


def produce(*topics: str) -> dict[str, object]:
    actions = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
    return statement("KafkaProduce", actions, *(f"topic/{each}" for each in topics))


def consume(topic: str, group: str) -> list[dict[str, object]]:
    return [
        statement(
            "KafkaConsume", ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"], f"topic/{topic}"
        ),
        statement(
            "KafkaGroup", ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"], f"group/{group}"
        ),
    ]


TABLE_KEY = statement("TableKey", ["kms:Decrypt", "kms:DescribeKey"], "key/tables", via="dynamodb")
WRITES_IDEMPOTENTLY = "kafka-cluster:WriteDataIdempotently"

STATEMENTS: dict[str, list[dict[str, object]]] = {
    "bacen": [],
    "gateway": [],
    "account": [
        table("accounts", "BatchGetItem", "DescribeTable", "GetItem", "PutItem", "Query", "UpdateItem"),
        index("accounts", "owner"),
        table("transactions", "PutItem"),
        table("events", "PutItem"),
        TABLE_KEY,
    ],
    "transaction": [
        table("accounts", "BatchGetItem", "GetItem", "PutItem", "UpdateItem"),
        table("transactions", "BatchGetItem", "DescribeTable", "GetItem", "PutItem", "UpdateItem"),
        index("transactions", "payee", "payer"),
        table("events", "PutItem"),
        TABLE_KEY,
    ],
    "relay_outbox": [
        table("events", "DeleteItem", "DescribeTable", "GetItem", "PutItem", "Query"),
        index("events", "history"),
        TABLE_KEY,
        connect(WRITES_IDEMPOTENTLY),
        produce("transfers"),
        statement("KafkaRead", ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"], "topic/transfers"),
    ],
    "settle_transfers": [
        table("accounts", "BatchGetItem", "PutItem", "UpdateItem"),
        table("transactions", "BatchGetItem", "DescribeTable", "UpdateItem"),
        table("events", "PutItem"),
        TABLE_KEY,
        connect(WRITES_IDEMPOTENTLY),
        produce("transfers.dead-letter"),
        *consume("transfers", "settle-transfers"),
    ],
    "send_pix": [
        table("accounts", "BatchGetItem", "PutItem", "UpdateItem"),
        table("transactions", "BatchGetItem", "DescribeTable", "UpdateItem"),
        table("events", "PutItem"),
        TABLE_KEY,
        connect(WRITES_IDEMPOTENTLY),
        produce("transfers.dead-letter"),
        *consume("transfers", "send-pix"),
        statement("Secrets", ["secretsmanager:GetSecretValue"], "secret/spi_certificate"),
        statement("SecretKey", ["kms:Decrypt"], "key/secrets", via="secretsmanager"),
    ],
    "receive_pix": [
        table("accounts", "BatchGetItem", "PutItem", "UpdateItem"),
        table("transactions", "BatchGetItem", "DescribeTable", "GetItem", "PutItem", "UpdateItem"),
        index("transactions", "open"),
        table("events", "PutItem"),
        TABLE_KEY,
        statement("Secrets", ["secretsmanager:GetSecretValue"], "secret/spi_certificate"),
        statement("SecretKey", ["kms:Decrypt"], "key/secrets", via="secretsmanager"),
    ],
    "sweep_transfers": [
        table("accounts", "BatchGetItem", "PutItem", "UpdateItem"),
        table("transactions", "BatchGetItem", "DescribeTable", "GetItem", "UpdateItem"),
        index("transactions", "open"),
        table("events", "GetItem", "PutItem"),
        TABLE_KEY,
    ],
    "audit_ledger": [
        table("accounts", "DescribeTable", "GetItem", "Query", "Scan", "UpdateItem"),
        table("transactions", "GetItem"),
        table("events", "Query"),
        TABLE_KEY,
    ],
    "operators": [
        table("accounts", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"),
        table("transactions", "GetItem"),
        table("events", "Query"),
        TABLE_KEY,
        connect(WRITES_IDEMPOTENTLY),
        produce("transfers"),
        statement(
            "KafkaRead",
            ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"],
            "topic/transfers",
            "topic/transfers.dead-letter",
        ),
    ],
    "repair_ledger": [
        table("accounts", "PutItem", "Scan", "UpdateItem"),
        table("transactions", "PutItem", "Scan", "UpdateItem"),
        table("events", "GetItem", "PutItem", "Scan"),
        TABLE_KEY,
    ],
    "open_finance": [
        table("consents", "DeleteItem", "DescribeTable", "GetItem", "PutItem", "Query", "UpdateItem"),
        index("consents", "owner"),
        table("accounts", "GetItem", "Query"),
        index("accounts", "owner"),
        TABLE_KEY,
        statement("Secrets", ["secretsmanager:GetSecretValue"], "secret/open_finance_keys"),
        statement("SecretKey", ["kms:Decrypt"], "key/secrets", via="secretsmanager"),
    ],
    "other_bank": [],
    "dict_key": [
        table("keys", "DeleteItem", "DescribeTable", "GetItem", "PutItem", "UpdateItem"),
        index("keys", "owner"),
        table("accounts", "GetItem"),
        TABLE_KEY,
        statement("Secrets", ["secretsmanager:GetSecretValue"], "secret/dict_certificate"),
        statement("SecretKey", ["kms:Decrypt"], "key/secrets", via="secretsmanager"),
    ],
    "refund_lookups": [
        table("keys", "DescribeTable", "GetItem", "PutItem", "UpdateItem"),
        TABLE_KEY,
        connect(WRITES_IDEMPOTENTLY),
        produce("transfers.dead-letter"),
        *consume("transfers", "refund-lookups"),
    ],
}


def statements(catalog: Catalog, name: str) -> list[Mapping[str, Any]]:
    document = policy(catalog, name, FakeArns())
    assert set(document) == {"Version", "Statement"}
    assert document["Version"] == "2012-10-17"
    said: Any = document["Statement"]
    return list(said)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_exactly_what_the_catalog_says(name: str) -> None:
    assert statements(CATALOG, name) == STATEMENTS[name]


@pytest.mark.parametrize(
    ("catalog", "name"),
    [
        pytest.param(catalog, each.name, id=each.name)
        for catalog in (SMALL, CATALOG)
        for each in catalog.services
    ],
)
def test_no_statement_is_wider_than_a_name_and_iam_takes_each(catalog: Catalog, name: str) -> None:
    said = statements(catalog, name)
    assert "*" not in repr(said)
    sids = [each["Sid"] for each in said]
    assert len(set(sids)) == len(sids), "IAM refuses a document with one Sid twice"
    assert [sid for sid in sids if not re.fullmatch("[A-Za-z0-9]+", sid)] == []
    assert [each["Sid"] for each in said if not each["Action"] or not each["Resource"]] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("counter", [connect(WRITES_IDEMPOTENTLY), produce("bell", "post")], id="producer"),
        pytest.param(
            "van",
            [connect(WRITES_IDEMPOTENTLY), produce("post.lost"), *consume("post", "vans")],
            id="consumer with dead letters",
        ),
        pytest.param("boy", [connect(), *consume("bell", "boys")], id="consumer without"),
    ],
)
def test_a_service_reads_and_writes_only_its_topics(name: str, expected: list[dict[str, object]]) -> None:
    assert [each for each in statements(SMALL, name) if each["Sid"].startswith("Kafka")] == expected


@pytest.mark.parametrize(
    ("name", "secrets"), [("counter", ["seal"]), ("van", ["seal", "signing-key"])], ids=["one", "two"]
)
def test_a_secret_is_read_and_decrypted_only_by_who_the_catalog_names(name: str, secrets: list[str]) -> None:
    said = [each for each in statements(SMALL, name) if each["Sid"].startswith("Secret")]
    assert said == [
        statement("Secrets", ["secretsmanager:GetSecretValue"], *(f"secret/{each}" for each in secrets)),
        statement("SecretKey", ["kms:Decrypt"], "key/secrets", via="secretsmanager"),
    ]
    assert "secret" not in repr(statements(SMALL, "boy")).lower()


# --- values that are no strings -----------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """A value that is known later. It lets nobody look at it, as Pulumi's outputs do not."""

    name: str

    def __str__(self) -> str:
        raise TypeError("an output is no text")

    __bool__ = __len__ = __iter__ = __str__


class LaterNames:
    def table(self, name: str) -> Output:
        return Output(name)

    topic = group = url = secret = setting = table


class LaterArns:
    def table(self, name: str) -> Output:
        return Output(f"table/{name}")

    def index(self, table: str, index: str) -> Output:
        return Output(f"table/{table}/index/{index}")

    def table_key(self) -> Output:
        return Output("key/tables")

    def secret_key(self) -> Output:
        return Output("key/secrets")

    def via(self, aws_service: Literal["dynamodb", "secretsmanager"]) -> Output:
        return Output(f"{aws_service}.sa-east-1.amazonaws.com")

    def kafka_cluster(self) -> Output:
        return Output("cluster")

    def topic(self, name: str) -> Output:
        return Output(f"topic/{name}")

    def group(self, name: str) -> Output:
        return Output(f"group/{name}")

    def secret(self, name: str) -> Output:
        return Output(f"secret/{name}")


def resolved(value: object) -> object:
    """The same with each output's text in its place."""
    if isinstance(value, Output):
        return value.name
    if isinstance(value, Mapping):
        return {key: resolved(each) for key, each in value.items()}
    return [resolved(each) for each in value] if isinstance(value, list) else value


BOTH = [
    pytest.param(catalog, each.name, id=each.name)
    for catalog in (SMALL, CATALOG)
    for each in catalog.services
]


@pytest.mark.parametrize(("catalog", "name"), BOTH)
def test_variables_may_be_known_later(catalog: Catalog, name: str) -> None:
    later = environment(catalog, name, LaterNames())
    now = environment(catalog, name, FakeNames())
    assert set(later) == set(now)
    literal = {key for key, value in later.items() if not isinstance(value, Output)}
    listed = {
        "SERVICE",
        "PORT",
        "KAFKA_PRODUCES",
        "KAFKA_CONSUMES",
        "KAFKA_READS",
        "KAFKA_DEAD_LETTER",
    }
    assert {key for key in literal if not key.startswith("RETENTION_HOURS_")} == listed & set(now)
    assert {key: now[key] for key in literal} == {key: later[key] for key in literal}


@pytest.mark.parametrize(("catalog", "name"), BOTH)
def test_policies_may_be_known_later(catalog: Catalog, name: str) -> None:
    assert resolved(policy(catalog, name, LaterArns())) == policy(catalog, name, FakeArns())


# --- what is still to be written ----------------------------------------------------------------


def exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("service", CATALOG.services, ids=lambda service: str(service.name))
def test_every_service_names_a_module_that_exists(service: Service) -> None:
    assert exists(service.module), f"service '{service.name}' names {service.module}, which does not exist"


def test_the_bank_contradicts_itself_nowhere() -> None:
    assert checked(CATALOG) is CATALOG


def test_leaving_services_out_leaves_out_what_only_they_use() -> None:
    left = SMALL.without(lambda service: service.name == "van")
    assert [each.name for each in left.services] == ["counter", "boy"]
    assert left.problems() == []
    used = {access.table for each in left.services for access in each.tables}
    assert {each.name for each in left.tables} == used
    assert left.secrets == {"seal"}


def test_nobody_but_the_dict_service_reaches_the_dict() -> None:
    assert [each.name for each in CATALOG.services if "dict" in each.egress] == ["dict_key"]

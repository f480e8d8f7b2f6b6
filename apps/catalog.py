"""Every service, table and topic of the bank, and what each service needs: said here once.

`platform/` turns this into AWS and Kubernetes resources, `environments/local` into processes on one
machine with the same tables, topics, settings and IAM policies. The module imports only the standard
library, holds only values and pure functions, and refuses (`CatalogError`) a name that nothing declares.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Generic, Literal, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Action = Literal[
    "BatchGetItem",
    "ConditionCheckItem",
    "DeleteItem",
    "DescribeTable",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "UpdateItem",
]
Egress = Literal["dict", "spi", "banks", "cognito", "dynamodb", "msk", "dns", "pod_identity"]


class CatalogError(ValueError):
    """The catalog names something that it does not declare. Lists every such name."""


@dataclass(frozen=True)
class Index:
    """A global secondary index: string keys, all attributes projected."""

    name: str
    partition: str
    sort: str


@dataclass(frozen=True)
class Table:
    """A DynamoDB table. Keys are strings; `ttl` names the attribute (epoch seconds) that ends an item."""

    name: str
    partition: str = "pk"
    sort: str = "sk"
    indexes: tuple[Index, ...] = ()
    ttl: str | None = None


@dataclass(frozen=True)
class Topic:
    """A Kafka topic. `dead_letter` is the topic that takes its malformed records."""

    name: str
    partitions: int
    retention_hours: int
    dead_letter: str | None = None


@dataclass(frozen=True)
class Consumption:
    """One topic read by one consumer group."""

    topic: str
    group: str


@dataclass(frozen=True)
class Access:
    """What a service does with one table: its exact item actions, and the indexes that it queries."""

    table: str
    actions: frozenset[Action]
    indexes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Service:
    """One deployable program.

    `cpu_millis` and `memory_mib` are the Kubernetes requests: what a pod needs at rest; it may use more, and
    an autoscaler adds pods when it does. `callers` are the services that may open a
    connection to it. `reads` are topics that it looks into without a group, so that nothing is taken from
    whoever consumes them. `settings` are the tunables that this service reads besides the ones that every
    service of its kind gets (see `environment`). A `job` has no port and is started on demand. A
    `simulator` stands in for the world outside: it verifies no customer's token, and is deployed only where
    an environment asks for it.
    """

    name: str
    kind: Literal["api", "worker", "job", "simulator"]
    port: int | None
    replicas: int
    cpu_millis: int
    memory_mib: int
    tables: tuple[Access, ...] = ()
    produces: frozenset[str] = frozenset()
    consumes: Consumption | None = None
    reads: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()
    egress: frozenset[Egress] = frozenset()
    secrets: frozenset[str] = frozenset()
    settings: frozenset[str] = frozenset()
    module: str = field(default="")


@dataclass(frozen=True)
class Catalog:
    """The whole; `checked` refuses one that contradicts itself."""

    tables: tuple[Table, ...]
    topics: tuple[Topic, ...]
    services: tuple[Service, ...]
    secrets: frozenset[str] = frozenset()
    settings: frozenset[str] = frozenset()

    def table(self, name: str) -> Table:
        """The table called `name`; `CatalogError` when nothing declares it."""
        return _named("table", name, self.tables)

    def topic(self, name: str) -> Topic:
        """The topic called `name`; `CatalogError` when nothing declares it."""
        return _named("topic", name, self.topics)

    def service(self, name: str) -> Service:
        """The service called `name`; `CatalogError` when nothing declares it."""
        return _named("service", name, self.services)

    def called_by(self, name: str) -> list[Service]:
        """The services that `name` may call."""
        self.service(name)
        return [service for service in self.services if name in service.callers]

    def without(self, leave_out: Callable[[Service], bool]) -> "Catalog":
        """The same bank without some of its services, nor the tables and secrets that only they use."""
        kept = [service for service in self.services if not leave_out(service)]
        names = frozenset(service.name for service in kept)
        tables = {access.table for service in kept for access in service.tables}
        return replace(
            self,
            services=tuple(replace(service, callers=service.callers & names) for service in kept),
            tables=tuple(table for table in self.tables if table.name in tables),
            secrets=self.secrets & {secret for service in kept for secret in service.secrets},
        )

    def problems(self) -> list[str]:
        """Every contradiction, each naming who says what; empty for a sound catalog."""
        return [*self._doubles(), *self._dangling()]

    def _doubles(self) -> Iterable[str]:
        for kind, things in (("table", self.tables), ("topic", self.topics), ("service", self.services)):
            names = [thing.name for thing in things]
            for name in _repeated(names):
                yield f"{kind} '{name}' is declared more than once"
            yield from _spelt_alike(kind, names)
        yield from _spelt_alike("secret", self.secrets)
        for port in _repeated(service.port for service in self.services if service.port is not None):
            yield f"port {port} is given to more than one service"
        for service in self.services:
            for table in _repeated(access.table for access in service.tables):
                yield f"service '{service.name}' lists table '{table}' more than once"

    def _dangling(self) -> Iterable[str]:
        topics = {topic.name for topic in self.topics}
        services = {service.name for service in self.services}
        for topic in self.topics:
            if topic.dead_letter is not None:
                yield from _unknown(
                    f"topic '{topic.name}' sends dead letters to", {topic.dead_letter}, "topic", topics
                )
        for service in self.services:
            yield from self._unknown_tables(service)
            consumed = {service.consumes.topic} if service.consumes else set()
            for verb, names, kind, known in (
                ("produces to", service.produces, "topic", topics),
                ("consumes", consumed, "topic", topics),
                ("reads", service.reads, "topic", topics),
                ("is called by", service.callers, "service", services),
                ("reads", service.secrets, "secret", self.secrets),
                ("reads", service.settings, "setting", self.settings),
            ):
                yield from _unknown(f"service '{service.name}' {verb}", names, kind, known)

    def _unknown_tables(self, service: Service) -> Iterable[str]:
        tables = {table.name: {index.name for index in table.indexes} for table in self.tables}
        used = {access.table for access in service.tables}
        yield from _unknown(f"service '{service.name}' uses", used, "table", tables.keys())
        for access in service.tables:
            if access.table in tables:
                kind = f"index of table '{access.table}'"
                queries = f"service '{service.name}' queries"
                yield from _unknown(queries, access.indexes, kind, tables[access.table])


V = TypeVar("V", int, str)


def _repeated(values: Iterable[V]) -> list[V]:
    each = list(values)
    return sorted({value for value in each if each.count(value) > 1})


def _spelt_alike(kind: str, names: Iterable[str]) -> Iterable[str]:
    """Names that `environment` could not keep apart: one variable would silently replace the other."""
    for first, second in combinations(sorted(set(names)), 2):
        if _variable(first) == _variable(second):
            yield f"{kind}s '{first}' and '{second}' would share the variable {_variable(first)}"


def _unknown(who: str, names: Set[str], kind: str, known: Set[str]) -> Iterable[str]:
    for name in sorted(names - known):
        has = ", ".join(sorted(known)) or "none"
        yield f"{who} '{name}', which is no {kind}; there is: {has}"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _named(kind: str, name: str, things: Iterable[N]) -> N:
    for thing in things:
        if thing.name == name:
            return thing
    known = ", ".join(sorted(thing.name for thing in things))
    raise CatalogError(f"no {kind} is called '{name}'; the catalog has: {known}")


def checked(catalog: Catalog) -> Catalog:
    """The same catalog, or a `CatalogError` that lists all its problems."""
    if problems := catalog.problems():
        raise CatalogError("the catalog contradicts itself:\n" + "\n".join(f"- {line}" for line in problems))
    return catalog


# --- what a service gets told, and what it may do -----------------------------------------------


class Names(Protocol[T_co]):
    """Where one environment keeps what the catalog names: strings on a laptop, outputs on AWS."""

    def table(self, name: str) -> T_co: ...

    def topic(self, name: str) -> T_co: ...

    def group(self, name: str) -> T_co: ...

    def url(self, service: str) -> T_co: ...

    def secret(self, name: str) -> T_co: ...

    def setting(self, name: str) -> T_co:
        """One of `COMMON_SETTINGS`, `API_SETTINGS`, `KAFKA_SETTINGS` or the service's own `settings`."""
        ...


class Arns(Protocol[T_co]):
    """The ARN of each thing that a policy can name, in one environment."""

    def table(self, name: str) -> T_co: ...

    def index(self, table: str, index: str) -> T_co: ...

    def table_key(self) -> T_co:
        """The KMS key that encrypts the tables."""
        ...

    def secret_key(self) -> T_co:
        """The KMS key that encrypts the secrets."""
        ...

    def via(self, aws_service: Literal["dynamodb", "secretsmanager"]) -> T_co:
        """The `kms:ViaService` value, such as `dynamodb.sa-east-1.amazonaws.com`."""
        ...

    def kafka_cluster(self) -> T_co: ...

    def topic(self, name: str) -> T_co: ...

    def group(self, name: str) -> T_co: ...

    def secret(self, name: str) -> T_co: ...


COMMON_SETTINGS = ("environment", "aws_region", "log_level")
"""Every service gets these."""
API_SETTINGS = ("cognito_issuer", "cognito_jwks_url", "cognito_client_ids")
"""Every service of kind `api` gets these: it verifies the caller's token itself."""
KAFKA_SETTINGS = ("kafka_bootstrap", "kafka_security")
"""Every service with a topic gets these."""


def environment(catalog: Catalog, name: str, names: Names[T]) -> dict[str, T | str]:
    """The environment variables of service `name`.

    Besides settings: `SERVICE`; `PORT` where it has one; `TABLE_<TABLE>` for each of its tables;
    `TOPIC_<TOPIC>` for each topic that it may touch, with `KAFKA_PRODUCES`, `KAFKA_CONSUMES`, `KAFKA_READS`
    and `KAFKA_DEAD_LETTER` listing them by catalog name and `KAFKA_GROUP`; `RETENTION_HOURS_<TOPIC>` for each
    topic that it produces (a dead letter is not its product) and `AWS_DEFAULT_REGION`; `URL_<SERVICE>` for
    exactly the services that list it among their callers; `SECRET_<SECRET>` for each secret.
    """
    service = catalog.service(name)
    variables: dict[str, T | str] = {"SERVICE": service.name}
    if service.port is not None:
        variables["PORT"] = str(service.port)
    for setting in COMMON_SETTINGS:
        variables[_variable(setting)] = names.setting(setting)
    if service.kind == "api":
        variables |= {_variable(setting): names.setting(setting) for setting in API_SETTINGS}
    for access in service.tables:
        variables[f"TABLE_{_variable(access.table)}"] = names.table(access.table)
    variables |= _kafka_variables(catalog, service, names)
    for callee in catalog.called_by(name):
        variables[f"URL_{_variable(callee.name)}"] = names.url(callee.name)
    for secret in sorted(service.secrets):
        variables[f"SECRET_{_variable(secret)}"] = names.secret(secret)
    for setting in sorted(service.settings):
        variables[_variable(setting)] = names.setting(setting)
    return variables


def _kafka_variables(catalog: Catalog, service: Service, names: Names[T]) -> dict[str, T | str]:
    produced = topics_produced(catalog, service)
    touched = produced | service.reads | ({service.consumes.topic} if service.consumes else frozenset())
    if not touched:
        return {}
    variables: dict[str, T | str] = {_variable(key): names.setting(key) for key in KAFKA_SETTINGS}
    # kafka-python signs for MSK with botocore, which looks for the region under this name alone.
    variables["AWS_DEFAULT_REGION"] = names.setting("aws_region")
    variables |= {f"TOPIC_{_variable(topic)}": names.topic(topic) for topic in sorted(touched)}
    for topic in sorted(service.produces):
        variables[f"RETENTION_HOURS_{_variable(topic)}"] = str(catalog.topic(topic).retention_hours)
    variables["KAFKA_PRODUCES"] = ",".join(sorted(produced))
    if service.reads:
        variables["KAFKA_READS"] = ",".join(sorted(service.reads))
    if service.consumes is not None:
        variables["KAFKA_CONSUMES"] = service.consumes.topic
        variables["KAFKA_GROUP"] = names.group(service.consumes.group)
        if dead_letter := catalog.topic(service.consumes.topic).dead_letter:
            variables["KAFKA_DEAD_LETTER"] = dead_letter
    return variables


def topics_produced(catalog: Catalog, service: Service) -> frozenset[str]:
    """The topics that `service` may write: its own, and the dead-letter topic of what it consumes."""
    dead_letter = catalog.topic(service.consumes.topic).dead_letter if service.consumes else None
    return service.produces | (frozenset({dead_letter}) if dead_letter else frozenset())


def _variable(name: str) -> str:
    return name.upper().replace("-", "_").replace(".", "_")


@dataclass(frozen=True)
class Statement(Generic[T]):
    """One IAM statement, allowing `actions` on `resources` (ARNs), under `condition` if there is one."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[T, ...]
    condition: Mapping[str, Mapping[str, T]] | None = None

    def document(self) -> dict[str, object]:
        """The statement as IAM writes it."""
        statement: dict[str, object] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        if self.condition is not None:
            statement["Condition"] = {test: dict(values) for test, values in self.condition.items()}
        return statement


def policy(catalog: Catalog, name: str, arns: Arns[T]) -> dict[str, object]:
    """The IAM policy document of service `name`: what the catalog says it does, and nothing else.

    A transaction is authorised item by item as PutItem, UpdateItem, DeleteItem or ConditionCheckItem
    (DynamoDB developer guide, "Using IAM with DynamoDB transactions"), so those are the actions listed.
    """
    service = catalog.service(name)
    statements = [
        *_table_statements(service, arns),
        *_kafka_statements(catalog, service, arns),
        *_secret_statements(service, arns),
    ]
    return {"Version": "2012-10-17", "Statement": [statement.document() for statement in statements]}


def _table_statements(service: Service, arns: Arns[T]) -> Iterable[Statement[T]]:
    for access in service.tables:
        sid = access.table.title().replace("_", "")
        actions = tuple(f"dynamodb:{action}" for action in sorted(access.actions))
        yield Statement(f"Table{sid}", actions, (arns.table(access.table),))
        if access.indexes:
            indexes = tuple(arns.index(access.table, index) for index in sorted(access.indexes))
            yield Statement(f"Index{sid}", ("dynamodb:Query",), indexes)
    if service.tables:
        # DynamoDB uses the table's key on behalf of whoever calls it.
        yield Statement(
            "TableKey",
            ("kms:Decrypt", "kms:DescribeKey"),
            (arns.table_key(),),
            {"StringEquals": {"kms:ViaService": arns.via("dynamodb")}},
        )


def _kafka_statements(catalog: Catalog, service: Service, arns: Arns[T]) -> Iterable[Statement[T]]:
    produced = sorted(topics_produced(catalog, service))
    if not produced and not service.reads and service.consumes is None:
        return
    cluster_actions = ["kafka-cluster:Connect"]
    if produced:
        cluster_actions.append("kafka-cluster:WriteDataIdempotently")
    yield Statement("KafkaConnect", tuple(cluster_actions), (arns.kafka_cluster(),))
    if produced:
        yield Statement(
            "KafkaProduce",
            ("kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"),
            tuple(arns.topic(topic) for topic in produced),
        )
    if service.reads:
        yield Statement(
            "KafkaRead",
            ("kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"),
            tuple(arns.topic(topic) for topic in sorted(service.reads)),
        )
    if service.consumes is not None:
        yield Statement(
            "KafkaConsume",
            ("kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"),
            (arns.topic(service.consumes.topic),),
        )
        yield Statement(
            "KafkaGroup",
            ("kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"),
            (arns.group(service.consumes.group),),
        )


def _secret_statements(service: Service, arns: Arns[T]) -> Iterable[Statement[T]]:
    if not service.secrets:
        return
    secrets = tuple(arns.secret(secret) for secret in sorted(service.secrets))
    yield Statement("Secrets", ("secretsmanager:GetSecretValue",), secrets)
    yield Statement(
        "SecretKey",
        ("kms:Decrypt",),
        (arns.secret_key(),),
        {"StringEquals": {"kms:ViaService": arns.via("secretsmanager")}},
    )


# --- the bank -----------------------------------------------------------------------------------


def _access(table: str, *actions: Action, indexes: Iterable[str] = ()) -> Access:
    return Access(table, frozenset(actions), frozenset(indexes))


_AWS: frozenset[Egress] = frozenset({"dns", "pod_identity", "dynamodb"})

CATALOG = checked(
    Catalog(
        tables=(
            Table("accounts", indexes=(Index("owner", "owner", "opened_at"),)),
            Table(
                "transactions",
                indexes=(
                    Index("payer", "payer", "created_at"),
                    Index("payee", "payee", "created_at"),
                    # Sparse: present only while a transfer is not decided.
                    Index("open", "open_shard", "due_at"),
                ),
                ttl="ttl",
            ),
            Table("events", indexes=(Index("history", "history_shard", "published_at"),), ttl="ttl"),
            Table("keys", indexes=(Index("owner", "owner", "created_at"),), ttl="ttl"),
            Table("consents", indexes=(Index("owner", "owner", "created_at"),), ttl="ttl"),
        ),
        secrets=frozenset({"dict_certificate", "spi_certificate", "open_finance_keys"}),
        topics=(
            Topic("transfers", partitions=6, retention_hours=7 * 24, dead_letter="transfers.dead-letter"),
            Topic("transfers.dead-letter", partitions=1, retention_hours=28 * 24),
        ),
        settings=frozenset(
            {
                *COMMON_SETTINGS,
                *API_SETTINGS,
                *KAFKA_SETTINGS,
                "ispb",
                "public_url",
                "opening_grant_cents",
                "hold_minutes",
                "outbox_shards",
                "audit_seconds",
                "dict_url",
                "dict_category",
                "spi_url",
            }
        ),
        services=(
            Service(
                "gateway",
                kind="api",
                port=8000,
                replicas=2,
                cpu_millis=100,
                memory_mib=192,
                egress=frozenset({"dns", "cognito"}),
                module="apps.gateway.main",
            ),
            Service(
                "account",
                kind="api",
                port=8001,
                replicas=2,
                cpu_millis=100,
                memory_mib=256,
                tables=(
                    _access(
                        "accounts",
                        "BatchGetItem",
                        "GetItem",
                        "PutItem",
                        "UpdateItem",
                        "Query",
                        "DescribeTable",
                        indexes=["owner"],
                    ),
                    _access("transactions", "PutItem"),
                    _access("events", "PutItem"),
                ),
                callers=frozenset({"gateway"}),
                egress=_AWS | {"cognito"},
                settings=frozenset({"ispb", "opening_grant_cents", "hold_minutes", "outbox_shards"}),
                module="apps.account.main",
            ),
            Service(
                "transaction",
                kind="api",
                port=8002,
                replicas=2,
                cpu_millis=150,
                memory_mib=256,
                tables=(
                    _access("accounts", "BatchGetItem", "GetItem", "PutItem", "UpdateItem"),
                    _access(
                        "transactions",
                        "BatchGetItem",
                        "GetItem",
                        "PutItem",
                        "UpdateItem",
                        "DescribeTable",
                        indexes=["payer", "payee"],
                    ),
                    _access("events", "PutItem"),
                ),
                callers=frozenset({"gateway"}),
                egress=_AWS | {"cognito"},
                settings=frozenset({"ispb", "hold_minutes", "outbox_shards"}),
                module="apps.transaction.main",
            ),
            Service(
                "relay_outbox",
                kind="worker",
                port=8010,
                replicas=2,
                cpu_millis=100,
                memory_mib=192,
                tables=(
                    _access(
                        "events",
                        "GetItem",
                        "PutItem",
                        "DeleteItem",
                        "Query",
                        "DescribeTable",
                        indexes=["history"],
                    ),
                ),
                produces=frozenset({"transfers"}),
                # To see whether a broker still has what it took.
                reads=frozenset({"transfers"}),
                egress=_AWS | {"msk"},
                settings=frozenset({"outbox_shards"}),
                module="apps.consumers.relay_outbox",
            ),
            Service(
                "settle_transfers",
                kind="worker",
                port=8011,
                replicas=2,
                cpu_millis=150,
                memory_mib=192,
                tables=(
                    _access("accounts", "BatchGetItem", "PutItem", "UpdateItem"),
                    _access("transactions", "BatchGetItem", "UpdateItem", "DescribeTable"),
                    _access("events", "PutItem"),
                ),
                consumes=Consumption("transfers", "settle-transfers"),
                egress=_AWS | {"msk"},
                settings=frozenset({"outbox_shards"}),
                module="apps.consumers.settle_transfers",
            ),
            Service(
                "sweep_transfers",
                kind="worker",
                port=8012,
                replicas=1,
                cpu_millis=50,
                memory_mib=192,
                tables=(
                    _access("accounts", "BatchGetItem", "PutItem", "UpdateItem"),
                    _access(
                        "transactions",
                        "BatchGetItem",
                        "GetItem",
                        "UpdateItem",
                        "DescribeTable",
                        indexes=["open"],
                    ),
                    _access("events", "GetItem", "PutItem"),
                ),
                egress=_AWS,
                settings=frozenset({"outbox_shards"}),
                module="apps.consumers.sweep_transfers",
            ),
            Service(
                "audit_ledger",
                kind="worker",
                port=8013,
                replicas=1,
                cpu_millis=50,
                memory_mib=256,
                tables=(
                    _access("accounts", "GetItem", "UpdateItem", "Query", "Scan", "DescribeTable"),
                    _access("transactions", "GetItem"),
                    _access("events", "Query"),
                ),
                egress=_AWS,
                settings=frozenset({"outbox_shards", "audit_seconds"}),
                module="apps.consumers.audit_ledger",
            ),
            Service(
                "operators",
                kind="job",
                port=None,
                replicas=0,
                cpu_millis=250,
                memory_mib=256,
                tables=(
                    _access("accounts", "GetItem", "PutItem", "UpdateItem", "Query", "Scan"),
                    _access("transactions", "GetItem"),
                    _access("events", "Query"),
                ),
                # A dead letter goes back to where it was.
                produces=frozenset({"transfers"}),
                reads=frozenset({"transfers", "transfers.dead-letter"}),
                egress=_AWS | {"msk"},
                settings=frozenset({"outbox_shards"}),
                module="apps.operators.main",
            ),
            Service(
                "repair_ledger",
                kind="job",
                port=None,
                replicas=0,
                cpu_millis=250,
                memory_mib=256,
                # Apart from `operators`: only after a restore may anybody write all that it writes.
                tables=(
                    _access("accounts", "PutItem", "Scan", "UpdateItem"),
                    _access("transactions", "PutItem", "Scan", "UpdateItem"),
                    _access("events", "GetItem", "PutItem", "Scan"),
                ),
                egress=_AWS,
                settings=frozenset({"hold_minutes", "outbox_shards"}),
                module="apps.operators.repair_ledger",
            ),
            Service(
                "dict_key",
                kind="api",
                port=8003,
                replicas=2,
                cpu_millis=100,
                memory_mib=192,
                tables=(
                    _access(
                        "keys",
                        "GetItem",
                        "PutItem",
                        "UpdateItem",
                        "DeleteItem",
                        "DescribeTable",
                        indexes=["owner"],
                    ),
                    # Who holds an account, who a caller is, and the pool's keys.
                    _access("accounts", "GetItem"),
                ),
                callers=frozenset({"gateway", "transaction", "open_finance"}),
                # Nothing of the internet but the DICT, so not Cognito either: see `kit.pool_keys`.
                egress=_AWS | {"dict"},
                secrets=frozenset({"dict_certificate"}),
                settings=frozenset({"ispb", "dict_url", "dict_category"}),
                module="apps.dict_key.main",
            ),
            Service(
                "open_finance",
                kind="api",
                port=8004,
                replicas=2,
                cpu_millis=100,
                memory_mib=256,
                tables=(
                    _access(
                        "consents",
                        "GetItem",
                        "PutItem",
                        "UpdateItem",
                        "DeleteItem",
                        "Query",
                        "DescribeTable",
                        indexes=["owner"],
                    ),
                    # Whose CPF a login is, and what its owner lets another bank read.
                    _access("accounts", "GetItem", "Query", indexes=["owner"]),
                ),
                callers=frozenset({"gateway", "account"}),
                egress=_AWS | {"cognito", "banks"},
                secrets=frozenset({"open_finance_keys"}),
                settings=frozenset({"public_url"}),
                module="apps.open_finance.main",
            ),
            Service(
                "send_pix",
                kind="worker",
                port=8014,
                replicas=2,
                cpu_millis=100,
                memory_mib=192,
                tables=(
                    _access("accounts", "BatchGetItem", "PutItem", "UpdateItem"),
                    _access("transactions", "BatchGetItem", "UpdateItem", "DescribeTable"),
                    _access("events", "PutItem"),
                ),
                consumes=Consumption("transfers", "send-pix"),
                egress=_AWS | {"msk", "spi"},
                secrets=frozenset({"spi_certificate"}),
                settings=frozenset({"ispb", "outbox_shards", "spi_url"}),
                module="apps.consumers.send_pix",
            ),
            Service(
                "receive_pix",
                kind="worker",
                port=8015,
                replicas=2,
                cpu_millis=100,
                memory_mib=192,
                tables=(
                    _access("accounts", "BatchGetItem", "PutItem", "UpdateItem"),
                    _access(
                        "transactions",
                        "BatchGetItem",
                        "GetItem",
                        "PutItem",
                        "UpdateItem",
                        "DescribeTable",
                        indexes=["open"],
                    ),
                    _access("events", "PutItem"),
                ),
                egress=_AWS | {"spi"},
                secrets=frozenset({"spi_certificate"}),
                settings=frozenset({"ispb", "outbox_shards", "spi_url"}),
                module="apps.consumers.receive_pix",
            ),
            Service(
                "refund_lookups",
                kind="worker",
                port=8016,
                replicas=1,
                cpu_millis=50,
                memory_mib=192,
                tables=(_access("keys", "GetItem", "PutItem", "UpdateItem", "DescribeTable"),),
                consumes=Consumption("transfers", "refund-lookups"),
                egress=_AWS | {"msk"},
                module="apps.consumers.refund_lookups",
            ),
            Service(
                "bacen",
                kind="simulator",
                port=8020,
                replicas=1,
                cpu_millis=100,
                memory_mib=256,
                # Other banks order and take payments there, as we do.
                callers=frozenset({"dict_key", "send_pix", "receive_pix", "other_bank"}),
                egress=frozenset({"dns"}),
                settings=frozenset({"ispb"}),
                module="apps.simulators.bacen.main",
            ),
            Service(
                "other_bank",
                kind="simulator",
                port=8021,
                replicas=1,
                cpu_millis=100,
                memory_mib=256,
                callers=frozenset({"open_finance", "bacen"}),
                egress=frozenset({"dns"}),
                module="apps.simulators.other_bank.main",
            ),
        ),
    )
)
"""The bank."""

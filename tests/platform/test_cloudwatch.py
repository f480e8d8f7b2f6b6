"""Silence is an alarm, every alarm reads what is really there, tells somebody, and says what to do."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from alarms import NAMESPACE, Alarm, Watched, WatchedBase, audit_window, urgent_rule
from alarms_of_aws import operations
from apps.catalog import CATALOG, Catalog
from cloudwatch import Observability, ObservabilityArgs, every_alarm, topic_policy
from dashboard import COLUMNS, Shown, body
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from environments.graph.nodes import Node
from settings import ObservabilitySettings
from tests.platform.types_check import complaints

APPS = Path(__file__).parents[2] / "apps"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
BUDGET = "aws:budgets/budget:Budget"
MAIL = "aws:sns/topicSubscription:TopicSubscription"
TOPIC = "aws:sns/topic:Topic"
POLICY = "aws:sns/topicPolicy:TopicPolicy"
GROUP = "aws:cloudwatch/logGroup:LogGroup"
BASE = WatchedBase(kafka_cluster_name="dev-bank", brokers=3, nat_gateway_ids=["nat-1", "nat-2"])


def watched(base: WatchedBase = BASE, catalog: Catalog = CATALOG) -> Watched:
    return Watched(
        prefix="dev",
        catalog=catalog,
        audit_seconds=300,
        load_balancer="app/dev/1",
        target_group="targetgroup/dev/2",
        tables={table.name: f"dev-{table.name}" for table in catalog.tables},
        base=base,
    )


def named(name: str, **changes: Any) -> Alarm:
    found = {alarm.name: alarm for alarm in every_alarm(watched(**changes))}
    return found[name]


# --- what the services emit -----------------------------------------------------------------


@dataclass(frozen=True)
class Emission:
    """One call of `metrics.emit` in the code."""

    file: str
    metric: str
    dimensions: frozenset[str]


def emissions() -> Iterator[Emission]:
    for path in sorted(APPS.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            if call.func.attr != "emit" or ast.unparse(call.func.value) != "metrics":
                continue
            name = call.args[0]
            assert isinstance(name, ast.Constant), f"{path}:{call.lineno}: a metric's name is no constant"
            more = frozenset(word.arg for word in call.keywords if word.arg and word.arg != "unit")
            yield Emission(path.relative_to(APPS.parent).as_posix(), str(name.value), more)


EMISSIONS = list(emissions())


def files_of(service: str) -> set[str]:
    """Where a service's metrics may come from: its own module, what that imports of the folder that it is in,
    and the worker's loop if it consumes."""
    found = CATALOG.service(service)
    files, todo = set[str](), [found.module]
    while todo:
        file = todo.pop().replace(".", "/") + ".py"
        if file not in files:
            files.add(file)
            todo += neighbours(APPS.parent / file)
    return {*files, "apps/kit/worker.py"} if found.consumes else files


def neighbours(file: Path) -> Iterator[str]:
    """The modules of its own folder that a module imports."""
    folder = file.parent.relative_to(APPS.parent).as_posix().replace("/", ".")
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{folder}."):
            yield node.module


def test_every_metric_that_an_alarm_reads_is_emitted_by_the_service_that_it_names() -> None:
    own = [
        reading
        for alarm in every_alarm(watched())
        for reading in alarm.readings.values()
        if reading.namespace == NAMESPACE
    ]
    assert len(own) >= 5
    for reading in own:
        service = str(reading.dimensions["service"])
        emitting = [
            each for each in EMISSIONS if each.metric == reading.metric and each.file in files_of(service)
        ]
        assert emitting, f"{service} never emits {reading.metric}"
        for each in emitting:
            # CloudWatch keeps each set of dimensions as a metric of its own: one more, and nothing is read.
            assert {"environment", "service", *each.dimensions} == set(reading.dimensions), each


def test_the_namespace_is_the_one_that_the_services_write_to() -> None:
    assigned = ast.parse((APPS / "kit/metrics.py").read_text()).body
    values = [
        node.value.value
        for node in assigned
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and ast.unparse(node.targets[0]) == "NAMESPACE"
    ]
    assert values == [NAMESPACE]


def test_every_own_metric_on_the_dashboard_is_emitted_by_the_service_that_it_names() -> None:
    shown = [metric for metric in plotted() if metric[0] == NAMESPACE]
    assert shown
    for metric in shown:
        service = metric[metric.index("service") + 1]
        emitting = {each.metric for each in EMISSIONS if each.file in files_of(service)}
        assert metric[1] in emitting, f"{service} never emits {metric[1]}"


# --- the alarms as data ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ledger-drift", "outbox-age", "relay-lag", "hold-age", "no-gateway"])
def test_silence_is_an_alarm(name: str) -> None:
    alarm = named(name)
    assert alarm.missing == "breaching"
    assert alarm.urgent


@pytest.mark.parametrize("name", ["ledger-drift", "outbox-age", "relay-lag", "hold-age"])
def test_an_alarm_on_silence_says_that_it_may_be_silence(name: str) -> None:
    assert "silent (no data counts as an alarm)" in named(name).advice


def test_the_relay_reports_more_often_than_its_alarm_looks() -> None:
    source = (APPS / "consumers/relay_outbox.py").read_text()
    found = re.search(r"^REPORT = timedelta\(seconds=(\d+)\)", source, re.MULTILINE)
    assert found is not None
    assert int(found[1]) * 2 <= named("outbox-age").seconds
    assert int(found[1]) * 2 <= named("relay-lag").seconds


def test_the_sweep_reports_more_often_than_its_alarms_look() -> None:
    source = (APPS / "ledger/transfer.py").read_text()
    found = re.search(r"^LONGEST_LOOK = timedelta\(minutes=(\d+)\)", source, re.MULTILINE)
    assert found is not None
    for name in ("hold-age", "sent-age"):
        assert int(found[1]) * 60 * 2 <= named(name, catalog=CATALOG).seconds


@pytest.mark.parametrize(
    "metric",
    [
        "arrivals_unmatched",
        "arrivals_contradicted",
        "messages_unread",
        "promises_stuck",
        "spi_messages_refused",
        "orders_not_written",
    ],
)
def test_a_message_of_the_rail_that_nobody_can_match_or_read_is_an_alarm(metric: str) -> None:
    alarm = named(metric.replace("_", "-"), catalog=CATALOG)
    assert (alarm.threshold, alarm.periods, alarm.readings["m"].metric) == (0, 1, metric)


@pytest.mark.parametrize(
    ("audit_seconds", "window"), [(1, 180), (60, 240), (300, 720), (301, 780), (14_340, 28_800)], ids=str
)
def test_an_auditor_has_twice_its_rest_to_report(audit_seconds: int, window: int) -> None:
    assert audit_window(audit_seconds) == window
    assert window % 60 == 0


def test_audits_too_rare_to_watch_are_refused_before_any_resource() -> None:
    with pytest.raises(ValueError, match="gobanking:auditSeconds is 14341: with more than 14340 seconds"):
        audit_window(14_341)
    with pytest.raises(ValueError, match="gobanking:auditSeconds"):
        made(audit_seconds=20_000)


def test_drift_of_one_account_is_enough_and_a_moving_sum_is_not() -> None:
    drift, total = named("ledger-drift"), named("ledger-sum")
    assert (drift.threshold, drift.periods, drift.readings["m"].stat) == (0, 1, "Maximum")
    assert (total.threshold, total.periods, total.expression) == (0, 3, "ABS(m)")


def test_the_share_of_errors_needs_some_requests() -> None:
    alarm = named("api-errors")
    assert alarm.expression == "IF(requests >= 20, 100 * FILL(errors, 0) / requests, 0)"
    assert {key: reading.metric for key, reading in alarm.readings.items()} == {
        "errors": "HTTPCode_Target_5XX_Count",
        "requests": "RequestCount",
    }


def test_each_table_is_watched_with_its_indexes_and_operations() -> None:
    for table in CATALOG.tables:
        throttles = named(f"table-throttles-{table.name}", catalog=CATALOG)
        places = {
            reading.dimensions.get("GlobalSecondaryIndexName") for reading in throttles.readings.values()
        }
        assert places == {None, *(index.name for index in table.indexes)}
        errors = named(f"table-errors-{table.name}", catalog=CATALOG)
        watched_operations = [reading.dimensions["Operation"] for reading in errors.readings.values()]
        assert watched_operations == operations(CATALOG, table)
        for alarm in (throttles, errors):
            assert {reading.dimensions["TableName"] for reading in alarm.readings.values()} == {
                f"dev-{table.name}"
            }


def test_transactions_are_watched_where_something_is_written() -> None:
    assert operations(CATALOG, CATALOG.table("events")) == [
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "Scan",
        "TransactWriteItems",
    ]
    reading = CATALOG.without(lambda service: service.name != "operators")
    assert operations(reading, reading.table("events")) == ["Query"]


def test_consumer_lag_is_watched_by_the_names_that_the_consumer_uses() -> None:
    assert named("lag-settle-transfers").readings["m"].dimensions == {
        "Cluster Name": "dev-bank",
        "Consumer Group": "dev-settle-transfers",
        "Topic": "dev.transfers",
    }
    consumers = {service.name.replace("_", "-") for service in CATALOG.services if service.consumes}
    for kind in ("lag", "dead-letters", "newer-events"):
        found = {alarm.name for alarm in every_alarm(watched(catalog=CATALOG)) if alarm.name.startswith(kind)}
        assert found == {f"{kind}-{consumer}" for consumer in consumers}


def test_brokers_balancer_and_nat_are_watched() -> None:
    brokers = {f"broker-{number}-{what}" for number in (1, 2, 3) for what in ("in-sync", "disk")}
    assert {alarm.name for alarm in every_alarm(watched())} >= {
        "brokers-offline-partitions",
        "load-balancer-errors",
        "nat-1-ports",
        "nat-2-ports",
        *brokers,
    }


@pytest.mark.parametrize("alarm", every_alarm(watched(catalog=CATALOG)), ids=lambda alarm: str(alarm.name))
def test_an_alarm_is_one_that_cloudwatch_takes(alarm: Alarm) -> None:
    assert len(alarm.readings) <= 10, "metric math in an alarm reads ten metrics at most"
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9_]*", key) for key in alarm.readings)
    used = set(re.findall(r"\b[a-z]\w*", alarm.expression))
    assert used == set(alarm.readings), "the expression and the readings differ"
    assert alarm.seconds % 60 == 0
    assert alarm.seconds * alarm.periods <= 86_400
    assert len(alarm.description) <= 1024


@pytest.mark.parametrize("alarm", every_alarm(watched(catalog=CATALOG)), ids=lambda alarm: str(alarm.name))
def test_an_alarm_says_how_much_it_hurries_and_what_to_do(alarm: Alarm) -> None:
    assert alarm.description.startswith(("URGENT: ", "Soon: "))
    problem, _, action = alarm.advice.partition(". ")
    assert len(problem) > 20, "what is wrong"
    assert len(action) > 20, "and what to do about it"


def test_alarms_have_names_of_their_own_that_fit() -> None:
    names = [alarm.name for alarm in every_alarm(watched(catalog=CATALOG))]
    assert len(set(names)) == len(names)
    assert all(len(f"{'x' * 25}-{name}") <= 255 for name in names)
    rule = urgent_rule([f"{'x' * 25}-{name}" for name in names])
    assert len(rule) <= 10_240
    assert len(names) <= 100, "a composite alarm joins a hundred at most"


def test_the_urgent_rule_is_raised_by_any() -> None:
    assert urgent_rule(["dev-a", "dev-b"]) == 'ALARM("dev-a") OR ALARM("dev-b")'


# --- topic and dashboard as data ------------------------------------------------------------


def test_only_this_accounts_alarms_and_budgets_may_publish() -> None:
    document = json.loads(topic_policy("arn:topic", "111122223333"))
    assert document["Version"] == "2012-10-17"
    for statement in document["Statement"]:
        assert statement["Action"] == "sns:Publish"
        assert statement["Resource"] == "arn:topic"
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    principals = [statement["Principal"]["Service"] for statement in document["Statement"]]
    assert principals == ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]


SHOWN = Shown(
    prefix="dev",
    region="sa-east-1",
    catalog=CATALOG,
    load_balancer="app/dev/1",
    target_group="targetgroup/dev/2",
    cluster_name="dev-bank",
    kafka_cluster_name="dev-msk",
    tables={table.name: f"dev-{table.name}" for table in CATALOG.tables},
    alarm_arns=("arn:aws:cloudwatch:sa-east-1:1:alarm:dev-ledger-drift",),
)


def widgets(shown: Shown = SHOWN) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(body(shown))["widgets"]
    return found


def plotted() -> list[list[Any]]:
    return [
        metric
        for widget in widgets()
        if widget["type"] == "metric"
        for metric in widget["properties"]["metrics"]
    ]


def test_widgets_lie_side_by_side_on_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in widgets():
        assert widget["x"] + widget["width"] <= COLUMNS
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken, widget
        taken |= cells


def test_the_dashboard_shows_every_table_and_consumer_and_no_dimension_without_a_value() -> None:
    text = body(SHOWN)
    for table in CATALOG.tables:
        assert f'"dev-{table.name}"' in text
    assert '"dev-settle-transfers"' in text
    for metric in plotted():
        plain = [part for part in metric if not isinstance(part, dict)]
        assert not plain or (len(plain) % 2 == 0 and all(plain)), metric


def test_a_search_names_the_dimensions_of_the_metric() -> None:
    searches = [metric[0]["expression"] for metric in plotted() if isinstance(metric[0], dict)]
    pods, disks = searches
    assert pods.startswith(
        'SEARCH(\'{ContainerInsights,"ClusterName","Namespace","PodName"} "ClusterName"="dev-bank"'
    )
    assert pods.endswith(
        ' "Namespace"="dev" "MetricName"="pod_number_of_container_restarts"\', \'Maximum\', 300)'
    )
    assert disks.startswith('SEARCH(\'{AWS/Kafka,"Cluster Name","Broker ID"} "Cluster Name"="dev-msk"')
    assert disks.endswith(' "MetricName"="KafkaDataLogsDiskUsed"\', \'Maximum\', 300)')


# --- the components -------------------------------------------------------------------------

SETTINGS = ObservabilitySettings(
    retention_days=30, container_insights=True, alarm_email="ops@example.com", monthly_budget_usd=4500
)


def made(
    settings: ObservabilitySettings = SETTINGS,
    audit_seconds: int = 300,
    preview: bool = False,
) -> Graph:
    def program() -> None:
        key = pulumi.Output.from_input("arn:aws:kms:sa-east-1:111122223333:key/alarms")
        Observability(
            "watch",
            ObservabilityArgs(
                settings=settings,
                prefix="dev",
                region="sa-east-1",
                catalog=CATALOG,
                account_id="111122223333",
                cluster_name=computed("cluster"),
                load_balancer_arn_suffix=computed("app/dev/1"),
                target_group_arn_suffix=computed("targetgroup/dev/2"),
                alarm_key_arn=key,
                table_names={table.name: f"dev-{table.name}" for table in CATALOG.tables},
                audit_seconds=audit_seconds,
                base=WatchedBase(computed("dev-msk"), 2, [computed("nat-0")]),
            ),
        )

    return evaluate(program, preview=preview)


def computed(value: str) -> pulumi.Output[str]:
    """A value that only an update knows, in a resource of a type that takes anything."""
    holder = Holder(f"holder-{value.replace('/', '-')}", value)
    return holder.value


class Holder(pulumi.CustomResource):
    value: pulumi.Output[str]

    def __init__(self, name: str, value: str) -> None:
        super().__init__("aws:ssm/parameter:Parameter", name, {"type": "String", "value": value, "arn": None})
        self.value = self.arn.apply(lambda _: value)

    arn: pulumi.Output[str]


def ours(graph: Graph) -> list[Node]:
    return [node for node in graph if not node.name.startswith("holder-")]


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_the_sdk_takes_every_input(preview: bool) -> None:
    graph = made(preview=preview)
    assert [(node.name, said) for node in ours(graph) for said in complaints(node)] == []
    assert [node.name for node in graph.outside_components() if not node.name.startswith("holder-")] == []
    for component in (node for node in graph if node.component):
        assert component.outputs is not None, "register_outputs was forgotten"


def test_every_alarm_tells_the_topic_and_says_what_to_do() -> None:
    graph = made()
    topic = graph.one(TOPIC)
    alarms = [*graph.of_type(ALARM), *graph.of_type(COMPOSITE)]
    assert alarms
    for node in alarms:
        assert node.outputs is not None
        assert node.inputs["alarmActions"] == node.inputs["okActions"]
        assert node.inputs["alarmActions"] == [(topic.outputs or {})["arn"]]
        assert node.inputs["alarmDescription"]
        assert node.inputs.get("actionsEnabled", True)


def test_an_alarm_returns_one_value_and_is_raised_by_all_its_periods() -> None:
    for node in made().of_type(ALARM):
        queries = node.inputs["metricQueries"]
        assert len([query for query in queries if query["returnData"]]) == 1
        assert node.inputs["datapointsToAlarm"] == node.inputs["evaluationPeriods"]
        assert all(("metric" in query) != ("expression" in query) for query in queries)


def test_silence_reaches_cloudwatch_as_breaching() -> None:
    graph = made()
    treated = {node.name: node.inputs["treatMissingData"] for node in graph.of_type(ALARM)}
    assert {name for name, missing in treated.items() if missing == "breaching"} == {
        "watch-ledger-drift",
        "watch-outbox-age",
        "watch-relay-lag",
        "watch-hold-age",
        "watch-no-gateway",
    }


def test_the_topic_is_encrypted_with_our_key() -> None:
    assert made().one(TOPIC).inputs["kmsMasterKeyId"] == "arn:aws:kms:sa-east-1:111122223333:key/alarms"


def test_the_composite_alarm_joins_exactly_the_urgent_ones_and_comes_after_them() -> None:
    graph = made()
    composite = graph.one(COMPOSITE)
    urgent = {
        node.inputs["name"]: node
        for node in graph.of_type(ALARM)
        if node.inputs["alarmDescription"].startswith("URGENT")
    }
    assert sorted(re.findall(r'ALARM\("([^"]+)"\)', composite.inputs["alarmRule"])) == sorted(urgent)
    assert all(graph.depends(composite, alarm) for alarm in urgent.values())


def test_a_mail_address_subscribes_and_no_address_does_not() -> None:
    mail = made().one(MAIL).inputs
    assert (mail["protocol"], mail["endpoint"]) == ("email", "ops@example.com")
    assert made(settings=replace(SETTINGS, alarm_email=None)).of_type(MAIL) == []


def test_the_budget_warns_twice_through_the_topic_once_it_may() -> None:
    graph = made()
    budget = graph.one(BUDGET)
    assert (budget.inputs["limitAmount"], budget.inputs["limitUnit"]) == ("4500", "USD")
    assert [notification["threshold"] for notification in budget.inputs["notifications"]] == [80, 100]
    for notification in budget.inputs["notifications"]:
        assert notification["subscriberSnsTopicArns"] == [(graph.one(TOPIC).outputs or {})["arn"]]
        assert notification["comparisonOperator"] == "GREATER_THAN"
    assert graph.depends(budget, graph.one(POLICY))


def test_the_dashboard_lists_the_alarms_of_the_environment() -> None:
    graph = made()
    found = json.loads(graph.one(DASHBOARD).inputs["dashboardBody"])["widgets"]
    listed = next(widget for widget in found if widget["type"] == "alarm")["properties"]["alarms"]
    assert sorted(listed) == sorted((node.outputs or {})["arn"] for node in graph.of_type(ALARM))


def test_a_preview_of_the_stack_plans_the_same_alarms_without_knowing_values() -> None:
    planned, done = made(preview=True), made()
    assert planned.fingerprint() == done.fingerprint()
    assert planned.one(DASHBOARD).inputs["dashboardBody"] is UNKNOWN

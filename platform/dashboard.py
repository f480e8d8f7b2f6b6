"""The one dashboard of an environment: its body is a pure function of what there is to see.

Rows from the money to the machines: alarms, ledger and events, API, tables, brokers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import names
from alarms import NAMESPACE
from apps.catalog import Catalog

COLUMNS = 24
HEIGHT = 6

Widget = dict[str, object]
Metric = list[object]


@dataclass(frozen=True)
class Shown:
    """What the dashboard names."""

    prefix: str
    region: str
    catalog: Catalog
    load_balancer: str
    target_group: str
    cluster_name: str
    kafka_cluster_name: str
    tables: Mapping[str, str]
    alarm_arns: Sequence[str]


def body(shown: Shown) -> str:
    """The dashboard as CloudWatch takes it."""
    rows = [_title(shown), _ledger(shown), _api(shown), _tables(shown), _workloads(shown), _brokers(shown)]
    widgets: list[Widget] = []
    top = 0
    for row in rows:
        width = COLUMNS // len(row)
        height = max(_height(widget) for widget in row)
        widgets += [
            {"x": place * width, "y": top, "width": width, "height": height, **widget}
            for place, widget in enumerate(row)
        ]
        top += height
    return json.dumps({"widgets": widgets})


def _height(widget: Widget) -> int:
    return 2 if widget["type"] == "text" else HEIGHT


def _title(shown: Shown) -> list[Widget]:
    text = (
        f"# GO Banking, {shown.prefix}\nCluster `{shown.cluster_name}`, {shown.region}. Alarms, then money."
    )
    heading: Widget = {"type": "text", "properties": {"markdown": text}}
    alarms: Widget = {"type": "alarm", "properties": {"title": "Alarms", "alarms": list(shown.alarm_arns)}}
    return [heading, alarms]


def _ledger(shown: Shown) -> list[Widget]:
    consumers = [service.name for service in shown.catalog.services if service.consumes]
    return [
        _graph(
            shown,
            "Ledger: drift and sum",
            [
                _own(shown, "audit_ledger", "drift", "Maximum"),
                _own(shown, "audit_ledger", "ledger_sum_cents", "Average"),
            ],
        ),
        _graph(
            shown,
            "Oldest event in the outbox, seconds",
            [
                _own(shown, service, "outbox_age_seconds", "Maximum")
                for service in ("relay_outbox", "audit_ledger")
            ],
        ),
        _graph(
            shown,
            "Dead letters, retries and newer events",
            [
                _own(shown, service, metric, "Sum")
                for service in consumers
                for metric in ("dead_letters", "event_retries", "newer_event_version")
            ],
        ),
    ]


def _api(shown: Shown) -> list[Widget]:
    target = {"LoadBalancer": shown.load_balancer, "TargetGroup": shown.target_group}
    counted = ("RequestCount", "HTTPCode_Target_4XX_Count", "HTTPCode_Target_5XX_Count")
    return [
        _graph(
            shown, "API: requests", [_metric("AWS/ApplicationELB", each, target, "Sum") for each in counted]
        ),
        _graph(
            shown,
            "API: latency, seconds",
            [_metric("AWS/ApplicationELB", "TargetResponseTime", target, each) for each in ("p50", "p99")],
        ),
        _graph(
            shown,
            "Gateways",
            [
                _metric("AWS/ApplicationELB", "HealthyHostCount", target, "Minimum"),
                _metric("AWS/ApplicationELB", "UnHealthyHostCount", target, "Maximum"),
            ],
        ),
    ]


def _tables(shown: Shown) -> list[Widget]:
    def of_each(metrics: Sequence[str], **more: str) -> list[Metric]:
        return [
            _metric("AWS/DynamoDB", metric, {"TableName": table, **more}, "Sum")
            for table in shown.tables.values()
            for metric in metrics
        ]

    latency = [
        _metric(
            "AWS/DynamoDB", "SuccessfulRequestLatency", {"TableName": table, "Operation": operation}, "p99"
        )
        for table in shown.tables.values()
        for operation in ("TransactWriteItems", "GetItem")
    ]
    return [
        _graph(
            shown, "Tables: units used", of_each(("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"))
        ),
        _graph(shown, "Tables: throttled", of_each(("ReadThrottleEvents", "WriteThrottleEvents"))),
        _graph(shown, "Tables: latency, milliseconds", latency),
    ]


def _workloads(shown: Shown) -> list[Widget]:
    """Empty without Container Insights, which is a setting."""
    of_pods = {"ClusterName": shown.cluster_name, "Namespace": names.namespace(shown.prefix)}
    used = [
        _graph(shown, title, [_metric("ContainerInsights", metric, of_pods, "Average")])
        for title, metric in (
            ("Pods: processor, % of the node", "pod_cpu_utilization"),
            ("Pods: memory, % of the node", "pod_memory_utilization"),
        )
    ]
    search = {**of_pods, "MetricName": "pod_number_of_container_restarts"}
    return [*used, _graph(shown, "Pods: restarts", [_search("ContainerInsights", "PodName", search)])]


def _brokers(shown: Shown) -> list[Widget]:
    cluster = {"Cluster Name": shown.kafka_cluster_name}
    lags = [
        _metric(
            "AWS/Kafka",
            "EstimatedMaxTimeLag",
            {
                **cluster,
                "Consumer Group": names.physical(shown.prefix, service.consumes.group),
                "Topic": names.topic(shown.prefix, service.consumes.topic),
            },
            "Maximum",
        )
        for service in shown.catalog.services
        if service.consumes is not None
    ]
    disks = _search("AWS/Kafka", "Broker ID", {**cluster, "MetricName": "KafkaDataLogsDiskUsed"})
    offline = _metric("AWS/Kafka", "OfflinePartitionsCount", cluster, "Maximum")
    return [
        _graph(shown, "Consumers: behind by, seconds", lags),
        _graph(shown, "Brokers: disk, %", [disks]),
        _graph(shown, "Brokers: partitions without a leader", [offline]),
    ]


def _own(shown: Shown, service: str, metric: str, stat: str) -> Metric:
    return _metric(NAMESPACE, metric, {"environment": shown.prefix, "service": service}, stat)


def _metric(namespace: str, metric: str, dimensions: Mapping[str, str], stat: str) -> Metric:
    named = [part for pair in dimensions.items() for part in pair]
    return [namespace, metric, *named, {"stat": stat}]


def _search(namespace: str, each: str, wanted: Mapping[str, str]) -> Metric:
    """One line for each value of a dimension that nobody knows beforehand."""
    dimensions = ",".join(f'"{name}"' for name in (*wanted, each) if name != "MetricName")
    terms = " ".join(f'"{name}"="{value}"' for name, value in wanted.items())
    return [{"expression": f"SEARCH('{{{namespace},{dimensions}}} {terms}', 'Maximum', 300)"}]


def _graph(shown: Shown, title: str, metrics: Sequence[Metric]) -> Widget:
    properties = {"title": title, "region": shown.region, "view": "timeSeries", "period": 60}
    return {"type": "metric", "properties": {**properties, "metrics": list(metrics)}}

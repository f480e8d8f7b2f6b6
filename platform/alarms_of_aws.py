"""Alarms on what AWS runs for the bank: tables, brokers, NAT gateways and the load balancer itself."""

from collections.abc import Iterator, Mapping

import pulumi

import names
from alarms import Alarm, Reading, Watched, WatchedBase
from alarms_of_the_bank import balancing
from apps.catalog import Catalog, Table

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"})


def of_aws(watched: Watched) -> Iterator[Alarm]:
    """Each table, and what the base has."""
    for table in watched.catalog.tables:
        yield from _table(watched, table)
    yield from _brokers(watched.base)
    yield from _lag(watched, watched.base)
    yield from _way_out(watched.base)
    yield _load_balancer(watched)


def _table(watched: Watched, table: Table) -> Iterator[Alarm]:
    called = {"TableName": watched.tables[table.name]}
    throttles = dict(_throttles(table, called))
    yield Alarm(
        f"table-throttles-{table.name}",
        urgent=False,
        advice=f"DynamoDB has throttled {table.name} or an index of it for five minutes. An on-demand table"
        " grows by itself; if it goes on, find the hot key with Contributor Insights.",
        expression=" + ".join(f"FILL({each}, 0)" for each in throttles),
        readings=throttles,
        threshold=10,
        seconds=60,
        periods=5,
    )
    errors = {
        operation[0].lower() + operation[1:]: _dynamo("SystemErrors", {**called, "Operation": operation})
        for operation in operations(watched.catalog, table)
    }
    yield Alarm(
        f"table-errors-{table.name}",
        urgent=False,
        advice=f"DynamoDB itself fails on {table.name}. The services repeat by themselves and nothing moves"
        " twice; see the AWS Health Dashboard.",
        expression=" + ".join(f"FILL({each}, 0)" for each in errors),
        readings=errors,
        threshold=5,
        seconds=60,
        periods=3,
    )


def operations(catalog: Catalog, table: Table) -> list[str]:
    """The operations that services call on a table, as CloudWatch names them."""
    actions = {
        action
        for service in catalog.services
        for access in service.tables
        if access.table == table.name
        for action in access.actions
    }
    # A condition check is only ever part of a transaction; a table is described when a service starts.
    called: set[str] = {each for each in actions if each not in {"ConditionCheckItem", "DescribeTable"}}
    return sorted(called | ({"TransactWriteItems"} if actions & WRITES else set()))


def _throttles(table: Table, called: Mapping[str, pulumi.Input[str]]) -> Iterator[tuple[str, Reading]]:
    places = [("table", called)]
    places += [(index.name, {**called, "GlobalSecondaryIndexName": index.name}) for index in table.indexes]
    for place, dimensions in places:
        for kind in ("Read", "Write"):
            yield f"{place}{kind}", _dynamo(f"{kind}ThrottleEvents", dimensions)


def _dynamo(metric: str, dimensions: Mapping[str, pulumi.Input[str]]) -> Reading:
    return Reading("AWS/DynamoDB", metric, "Sum", dimensions)


def _brokers(base: WatchedBase) -> Iterator[Alarm]:
    cluster = {"Cluster Name": base.kafka_cluster_name}
    yield Alarm(
        "brokers-offline-partitions",
        urgent=True,
        advice="a partition has no leader: its transfers do not settle. See the state of the MSK cluster; do"
        " not restart a second broker.",
        readings={"m": _kafka("OfflinePartitionsCount", cluster)},
        threshold=0,
        seconds=60,
        periods=3,
    )
    for number in range(1, base.brokers + 1):
        broker = {**cluster, "Broker ID": str(number)}
        yield Alarm(
            f"broker-{number}-in-sync",
            urgent=True,
            advice=f"broker {number} leads partitions with too few copies in sync, so Kafka refuses records"
            " and the outbox grows. Wait for a broker under maintenance; otherwise see MSK's events.",
            readings={"m": _kafka("UnderMinIsrPartitionCount", broker)},
            threshold=0,
            seconds=60,
            periods=5,
        )
        yield Alarm(
            f"broker-{number}-disk",
            urgent=False,
            advice=f"the disk of broker {number} is 85 % full; a full one stops. Raise"
            " gobanking:kafkaVolumeGib (a disk only grows).",
            readings={"m": _kafka("KafkaDataLogsDiskUsed", broker)},
            threshold=85,
            seconds=300,
            periods=3,
        )


def _lag(watched: Watched, base: WatchedBase) -> Iterator[Alarm]:
    for service in watched.catalog.services:
        if service.consumes is None:
            continue
        reads = {
            "Cluster Name": base.kafka_cluster_name,
            "Consumer Group": names.physical(watched.prefix, service.consumes.group),
            "Topic": names.topic(watched.prefix, service.consumes.topic),
        }
        yield Alarm(
            f"lag-{names.workload(service.name)}",
            urgent=True,
            advice=f"{service.name} is more than two minutes behind. See its pods; if they are busy rather"
            " than broken, let it have more replicas (up to one for each partition).",
            readings={"m": _kafka("EstimatedMaxTimeLag", reads)},
            threshold=120,
            seconds=60,
            periods=5,
        )


def _kafka(metric: str, dimensions: Mapping[str, pulumi.Input[str]]) -> Reading:
    return Reading("AWS/Kafka", metric, "Maximum", dimensions)


def _way_out(base: WatchedBase) -> Iterator[Alarm]:
    for number, gateway in enumerate(base.nat_gateway_ids, 1):
        yield Alarm(
            f"nat-{number}-ports",
            urgent=False,
            advice="the NAT gateway has no port left for a destination, so calls to the outside fail. See who"
            " opens so many connections in the flow logs.",
            readings={
                "m": Reading("AWS/NATGateway", "ErrorPortAllocation", "Sum", {"NatGatewayId": gateway})
            },
            threshold=0,
            seconds=60,
            periods=5,
        )


def _load_balancer(watched: Watched) -> Alarm:
    whole = {"LoadBalancer": watched.load_balancer}
    return Alarm(
        "load-balancer-errors",
        urgent=True,
        advice="the load balancer itself answered 5xx to more than 1 % for five minutes: it reaches no"
        " healthy gateway in time. See the target groups, the previews' too.",
        # A request for which there was no target is an error of the balancer's and not among its requests.
        expression="IF(FILL(passed, 0) + own >= 20, 100 * own / (FILL(passed, 0) + own), 0)",
        readings={
            "own": balancing("HTTPCode_ELB_5XX_Count", "Sum", whole),
            "passed": balancing("RequestCount", "Sum", whole),
        },
        threshold=1,
        seconds=60,
        periods=5,
    )

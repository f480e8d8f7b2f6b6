"""An estimate adds up, says where each price is from, and finds what to turn off first."""

import re
from collections.abc import Iterable
from typing import Any

import pulumi_aws
import pulumi_eks
import pytest

from environments import prices
from environments.cost import BUSY, QUIET, Estimate, UnknownRegion, estimate, report
from environments.levers import levers
from environments.pricing import FREE, PRICED
from environments.resources import Resource, exported, previewed
from tests.platform.types_check import _resource

SDKS = (pulumi_aws, pulumi_eks)
"""Imported, so that they have said which types they know."""
US, SP = "us-east-1", "sa-east-1"


def made(type_: str, number: int = 1, **inputs: Any) -> list[Resource]:
    return [
        Resource(type_, f"{place}", f"urn:pulumi:dev::gobanking::{type_}::{place}", inputs=inputs)
        for place in range(number)
    ]


def stack(
    *,
    nodes: tuple[int, str] = (2, "m7g.large"),
    brokers: tuple[int, str, int] = (2, "kafka.t3.small", 20),
    nat: int = 1,
    endpoints: int = 0,
    rules: int = 0,
    tier: str = "ESSENTIALS",
    insights: bool = False,
    flow_logs: str = "REJECT",
) -> list[Resource]:
    broker_group = {
        "instanceType": brokers[1],
        "storageInfo": {"ebsStorageInfo": {"volumeSize": brokers[2]}},
    }
    configuration = '{"containerLogs": {"enhanced_container_insights": true}}' if insights else "{}"
    whole: Iterable[list[Resource]] = (
        made("aws:eks/cluster:Cluster"),
        made(
            "aws:eks/nodeGroup:NodeGroup", instanceTypes=[nodes[1]], scalingConfig={"desiredSize": nodes[0]}
        ),
        made(
            "aws:eks/addon:Addon",
            addonName="amazon-cloudwatch-observability",
            configurationValues=configuration,
        ),
        made("aws:ec2/vpc:Vpc"),
        made("aws:ec2/natGateway:NatGateway", nat),
        made("aws:ec2/eip:Eip", nat),
        made("aws:ec2/vpcEndpoint:VpcEndpoint", vpcEndpointType="Gateway"),
        made(
            "aws:ec2/vpcEndpoint:VpcEndpoint",
            endpoints,
            vpcEndpointType="Interface",
            subnetIds=["a", "b", "c"],
        ),
        made("aws:ec2/flowLog:FlowLog", trafficType=flow_logs),
        made("aws:lb/loadBalancer:LoadBalancer", subnets=["a", "b", "c"]),
        made("aws:wafv2/webAcl:WebAcl", 1 if rules else 0, rules=[{}] * rules),
        made("aws:msk/cluster:Cluster", numberOfBrokerNodes=brokers[0], brokerNodeGroupInfo=broker_group),
        made("aws:dynamodb/table:Table", 5, pointInTimeRecovery={"enabled": nat > 1}),
        made("aws:cognito/userPool:UserPool", userPoolTier=tier),
        made("aws:cloudwatch/logGroup:LogGroup", 6),
        made("aws:kms/key:Key", 8),
        made("aws:secretsmanager/secret:Secret", 3),
        made("aws:ecr/repository:Repository", 8),
    )
    return [resource for group in whole for resource in group]


PROD = stack(
    nodes=(3, "m7g.xlarge"),
    brokers=(3, "kafka.m7g.large", 100),
    nat=3,
    endpoints=8,
    rules=6,
    insights=True,
    flow_logs="ALL",
)


def usd(found: Estimate, what: str) -> float:
    [line] = [line for line in found.lines if line.what == what]
    return line.usd


@pytest.mark.parametrize(
    ("resources", "usage", "region", "least", "most"),
    [
        (stack(), QUIET, US, 300, 400),
        (stack(), QUIET, SP, 450, 600),
        (PROD, BUSY, US, 1500, 2000),
        (PROD, BUSY, SP, 2500, 3700),
    ],
    ids=["dev in Virginia", "dev in São Paulo", "prod in Virginia", "prod in São Paulo"],
)
def test_the_totals_are_those_that_the_facts_give(
    resources: list[Resource], usage: Any, region: str, least: float, most: float
) -> None:
    found = estimate(resources, region, usage)
    assert least <= found.total <= most
    assert found.unpriced == ()
    assert found.total == pytest.approx(sum(line.count * line.usd_each for line in found.lines))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("Kubernetes control plane", 73),
        ("node m7g.xlarge", 357),
        ("NAT gateway", 99),
        ("interface endpoint, a zone", 8 * 3 * 7.3),
        ("broker kafka.m7g.large", 447),
        ("disk of a broker, GiB", 30),
        ("user (Essentials), past the free ones", 150),
        ("through NAT, GB", 9),
        ("rule of the firewall", 6),
    ],
)
def test_a_line_is_what_the_table_of_the_facts_says(what: str, expected: float) -> None:
    assert usd(estimate(PROD, US, BUSY), what) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("what", "factor"),
    [
        ("Kubernetes control plane", 1.0),
        ("node m7g.xlarge", 1.6),
        ("broker kafka.m7g.large", 1.6),
        ("NAT gateway", 2.0),
        ("logs, GB", 2.0),
        ("load balancer", 1.75),
    ],
)
def test_a_region_has_its_factor_for_each_family(what: str, factor: float) -> None:
    assert usd(estimate(PROD, SP, BUSY), what) == pytest.approx(factor * usd(estimate(PROD, US, BUSY), what))


def test_what_is_used_is_counted_once_however_many_share_it() -> None:
    one, five = made("aws:dynamodb/table:Table"), made("aws:dynamodb/table:Table", 5)
    assert estimate(one, US, BUSY).total == pytest.approx(estimate(five, US, BUSY).total)


def test_the_dearest_line_comes_first() -> None:
    lines = estimate(PROD, US, BUSY).lines
    assert [line.usd for line in lines] == sorted((line.usd for line in lines), reverse=True)
    assert lines[0].what == "broker kafka.m7g.large"


def test_each_line_says_where_its_price_is_from() -> None:
    sources = {line.what: line.source for line in estimate(PROD, US, BUSY).lines}
    assert sources["broker kafka.m7g.large"] == "agent-toolkit"
    assert {source for what, source in sources.items() if not what.startswith("broker")} == {"memory"}


@pytest.mark.parametrize(
    ("resources", "named"),
    [
        (made("aws:rds/instance:Instance"), "aws:rds/instance:Instance"),
        (
            made("aws:eks/nodeGroup:NodeGroup", instanceTypes=["p5.48xlarge"]),
            "aws:eks/nodeGroup:NodeGroup (p5.48xlarge)",
        ),
        (
            made("aws:msk/cluster:Cluster", brokerNodeGroupInfo={"instanceType": "kafka.m5.large"}),
            "aws:msk/cluster:Cluster (kafka.m5.large)",
        ),
    ],
    ids=["type", "node", "broker"],
)
def test_what_has_no_price_is_named_and_not_taken_for_nothing(resources: list[Resource], named: str) -> None:
    found = estimate(resources, US, QUIET)
    assert found.unpriced == (named,)
    assert named in report(found, [])


def test_a_region_without_prices_is_refused() -> None:
    with pytest.raises(
        UnknownRegion, match="no prices are known for eu-west-1; there are: us-east-1, sa-east-1"
    ):
        estimate([], "eu-west-1", QUIET)


def test_a_cluster_behind_its_component_is_counted_once() -> None:
    hidden, shown = made("eks:index:Cluster"), made("aws:eks/cluster:Cluster")
    assert estimate(hidden, US, QUIET).total == 73
    assert estimate([*hidden, *shown], US, QUIET).total == 73


def test_a_node_type_may_stand_in_the_launch_template() -> None:
    template = made(
        "aws:ec2/launchTemplate:LaunchTemplate",
        instanceType="m7g.medium",
        blockDeviceMappings=[{"ebs": {"volumeSize": 50}}],
    )
    group = made("aws:eks/nodeGroup:NodeGroup", scalingConfig={"desiredSize": 4})
    found = estimate([*template, *group], US, QUIET)
    assert usd(found, "node m7g.medium") == 120
    assert usd(found, "disk of a node, GiB") == pytest.approx(4 * 50 * 0.08)


def test_an_alarm_costs_by_the_metrics_that_it_reads() -> None:
    queries = [{"metric": {}}, {"metric": {}}, {"expression": "a + b"}]
    assert usd(
        estimate(made("aws:cloudwatch/metricAlarm:MetricAlarm", metricQueries=queries), US, QUIET),
        "metric of an alarm",
    ) == pytest.approx(0.2)


def test_a_value_that_a_preview_does_not_know_is_assumed() -> None:
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    group = made(
        "aws:eks/nodeGroup:NodeGroup", instanceTypes=["m7g.large"], scalingConfig={"desiredSize": unknown}
    )
    assert usd(estimate(group, US, QUIET), "node m7g.large") == 59.5


def test_a_preview_on_a_shared_base_costs_little() -> None:
    branch = [*made("aws:dynamodb/table:Table", 5), *made("aws:cloudwatch/metricAlarm:MetricAlarm", 3)]
    assert estimate(branch, SP, QUIET).total < 10


# --- levers -----------------------------------------------------------------------------------


def test_the_largest_lever_comes_first_and_saves_what_the_lines_say() -> None:
    found = levers(PROD, US, BUSY, disposable=False)
    assert [lever.saves for lever in found] == sorted((lever.saves for lever in found), reverse=True)
    saves = {lever.name: lever.saves for lever in found}
    assert saves["no interface endpoints"] == pytest.approx(8 * 3 * 7.3)
    assert saves["one NAT gateway"] == pytest.approx(2 * 33 + 2 * 3.65)
    assert saves["savings plan"] == pytest.approx(357 * 0.27)
    assert saves["no Container Insights"] == pytest.approx(3 * 30)
    assert saves["flow logs of what is refused only"] == pytest.approx(40 * 0.95 * 0.5)
    assert all(lever.how for lever in found)


def test_what_is_already_so_is_no_lever() -> None:
    names = {lever.name for lever in levers(stack(), US, QUIET, disposable=True)}
    assert names == {"away at night and on weekends", "spot nodes"}


def test_prod_is_not_told_to_go_away_nor_to_shrink() -> None:
    names = {lever.name for lever in levers(PROD, US, BUSY, disposable=False)}
    assert not names & {"away at night and on weekends", "spot nodes", "smaller brokers"}
    assert "smaller brokers" in {lever.name for lever in levers(PROD, US, BUSY, disposable=True)}


def test_going_away_saves_only_what_is_billed_by_the_hour() -> None:
    found = estimate(stack(), US, QUIET)
    [away] = [lever for lever in levers(stack(), US, QUIET, disposable=True) if lever.name.startswith("away")]
    assert away.saves == pytest.approx(sum(line.usd for line in found.lines if line.hourly) * (1 - 60 / 168))


def test_levers_leave_the_resources_as_they_were() -> None:
    before = repr(PROD)
    levers(PROD, US, BUSY, disposable=True)
    assert repr(PROD) == before


# --- what is said, and what the tables know ---------------------------------------------------


def test_the_report_says_total_levers_date_and_sources() -> None:
    said = report(estimate(PROD, US, BUSY), levers(PROD, US, BUSY, disposable=False))
    total = estimate(PROD, US, BUSY).total
    assert f"{total:,.2f}  USD a month in us-east-1" in said
    assert "3 broker kafka.m7g.large *" in said
    assert "gobanking:interfaceEndpoints: false" in said
    assert prices.DATE in said
    assert "from memory" in said


@pytest.mark.parametrize("type_", sorted({*PRICED, *FREE}))
def test_the_tables_name_types_that_exist(type_: str) -> None:
    assert _resource(type_)


def test_no_type_is_priced_and_free() -> None:
    assert set(PRICED) & FREE == set()
    assert all(re.fullmatch(r"(aws|eks):\S+:\w+", type_) for type_ in {*PRICED, *FREE})


# --- where resources come from ----------------------------------------------------------------

STATE = {
    "urn": "urn:pulumi:dev::gobanking::gobanking:platform:Network$aws:ec2/vpc:Vpc::network-vpc",
    "type": "aws:ec2/vpc:Vpc",
    "inputs": {"cidrBlock": "10.0.0.0/16"},
    "parent": "urn:pulumi:dev::gobanking::gobanking:platform:Network::network",
    "dependencies": ["urn:a"],
    "propertyDependencies": {"cidrBlock": ["urn:b"], "tags": None},
}
VPC = Resource(
    "aws:ec2/vpc:Vpc",
    "network-vpc",
    str(STATE["urn"]),
    "urn:pulumi:dev::gobanking::gobanking:platform:Network::network",
    {"cidrBlock": "10.0.0.0/16"},
    frozenset({"urn:a", "urn:b"}),
)


def test_an_exported_stack_is_read_without_what_is_about_to_go() -> None:
    old = {**STATE, "urn": f"{STATE['urn']}-old", "delete": True}
    assert exported({"version": 3, "deployment": {"resources": [STATE, old]}}) == [VPC]
    assert exported({"version": 3, "deployment": {}}) == []


def test_a_preview_is_read_as_what_would_stand() -> None:
    steps = [{"op": "create", "newState": STATE}, {"op": "delete", "oldState": {**STATE, "urn": "urn:x"}}]
    assert previewed({"steps": steps}) == [VPC]

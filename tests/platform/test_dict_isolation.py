"""The security group of the one service that talks to the DICT lets through what it must, and is first."""

from dataclasses import replace

import pytest

import dict_isolation
from apps.catalog import CATALOG, Catalog, Egress
from environments.graph.evaluation import Graph, evaluate
from tests.platform import cluster
from tests.platform.addresses import Addresses
from tests.platform.locks import LINK_LOCAL
from tests.platform.reachability import found

GROUP = "aws:ec2/securityGroup:SecurityGroup"
POLICY = "kubernetes:vpcresources.k8s.aws/v1beta1:SecurityGroupPolicy"
AWS = {*cluster.DYNAMODB, *cluster.ISOLATED}
PREVIEW = "whole bank in a preview"
HOLDERS = [name for name, setup in cluster.SETUPS.items() if setup.catalog is CATALOG and name != PREVIEW]
EACH = pytest.mark.parametrize("name", HOLDERS)


def with_egress(service: str, *classes: Egress) -> Catalog:
    return replace(
        CATALOG,
        services=tuple(
            replace(each, egress=frozenset({*each.egress, *classes})) if each.name == service else each
            for each in CATALOG.services
        ),
    )


def rules(graph: Graph) -> list[tuple[str, str, str, int]]:
    """Direction, protocol, other end and port of each rule of the group."""
    found = []
    for direction in ("Ingress", "Egress"):
        for node in graph.of_type(f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"):
            if "dict-key" not in node.name:
                continue
            inputs = node.inputs
            assert inputs["fromPort"] == inputs["toPort"]
            into = "cluster <-" if node.name.endswith("answers") else "dict-key"
            other = inputs.get("cidrIpv4") or ("list" if "prefixListId" in inputs else "group")
            found.append((f"{into} {direction}", inputs["ipProtocol"], other, inputs["fromPort"]))
    return sorted(found)


def test_the_group_has_exactly_the_rules_that_the_catalog_asks_for() -> None:
    assert rules(cluster.graph("whole bank and Bacen")) == [
        ("cluster <- Ingress", "tcp", "group", 53),
        ("cluster <- Ingress", "udp", "group", 53),
        ("dict-key Egress", "tcp", "10.20.10.0/24", 443),
        ("dict-key Egress", "tcp", "10.20.8.0/24", 443),
        ("dict-key Egress", "tcp", "10.20.9.0/24", 443),
        ("dict-key Egress", "tcp", "10.99.7.0/24", 443),
        ("dict-key Egress", "tcp", "192.0.2.0/25", 443),
        ("dict-key Egress", "tcp", "group", 53),
        ("dict-key Egress", "tcp", "list", 443),
        ("dict-key Egress", "udp", "group", 53),
        ("dict-key Ingress", "tcp", "group", 8003),
    ]


def test_where_the_simulator_runs_its_port_is_open_both_ways_and_no_address_of_the_dict() -> None:
    real = set(rules(cluster.graph("whole bank and Bacen")))
    simulated = set(rules(cluster.graph("whole bank and simulators")))
    assert simulated - real == {
        ("cluster <- Ingress", "tcp", "group", 8020),
        ("dict-key Egress", "tcp", "group", 8020),
    }
    assert {other for _, _, other, _ in real - simulated} == set(cluster.BACEN["dict"])


@EACH
def test_the_group_alone_keeps_the_service_to_the_dict_aws_and_its_port(name: str) -> None:
    """Whatever the policies say: here none is looked at."""
    setup, graph = cluster.SETUPS[name], cluster.graph(name)
    matrix = found(graph, cluster.world(setup, graph), {"groups"})
    out = {
        (protocol, port): addresses - LINK_LOCAL
        for (pod, protocol, port), addresses in matrix.out.items()
        if pod == "dict-key" and addresses - LINK_LOCAL
    }
    assert out == {("TCP", 443): Addresses.of(*AWS, *setup.egress.get("dict", ()))}
    assert {door for door in matrix.into if door[0] == "dict-key"} == set()
    into = {(protocol, port) for _, to, protocol, port in matrix.connections if to == "dict-key"}
    assert into == {("TCP", 8003)}
    leaving = {(protocol, port) for by, _, protocol, port in matrix.connections if by == "dict-key"}
    simulator = {("TCP", 8020)} if setup.simulators else set()
    assert leaving == {("TCP", 53), ("UDP", 53)} | simulator


@EACH
def test_only_the_pods_of_the_service_have_the_group(name: str) -> None:
    graph = cluster.graph(name)
    group = graph.one(GROUP, "workloads-dict-key-group")
    assert group.inputs["vpcId"] == graph.one("aws:lb/targetGroup:TargetGroup").inputs["vpcId"]
    policy = graph.one(POLICY)
    assert policy.inputs["metadata"]["namespace"] == cluster.PREFIX
    assert policy.inputs["spec"] == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "dict-key"}},
        "securityGroups": {"groupIds": [str((group.outputs or {})["arn"]).rpartition("/")[2]]},
    }


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@EACH
def test_the_group_stands_before_the_namespace_so_that_it_goes_after_the_pods(
    name: str, preview: bool
) -> None:
    graph = cluster.graph(name, preview)
    namespace = graph.one("kubernetes:core/v1:Namespace")
    component = graph.one("gobanking:platform:DictIsolation")
    made = graph.descendants(component)
    assert len(made) >= 10
    assert [node.name for node in made if not graph.depends(namespace, node)] == []


@EACH
def test_the_pods_come_after_the_policy_that_gives_them_their_group(name: str) -> None:
    graph = cluster.graph(name)
    pods = graph.one("kubernetes:apps/v1:Deployment", "workloads-dict-key")
    assert graph.depends(pods, graph.one(POLICY))


def test_a_preview_with_its_own_simulator_puts_no_rule_into_the_bases_group() -> None:
    """Sixty rules fit into a security group: twenty previews with three each would fill the base's."""
    graph = cluster.graph(PREVIEW)
    assert graph.one("kubernetes:apps/v1:Deployment", "workloads-dict-key")
    assert graph.of_type(POLICY) == []
    assert rules(graph) == []
    assert {node.name for node in graph.of_type(GROUP)} == {"cluster", "balancer"}


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_without_the_service_there_is_no_group(preview: bool) -> None:
    setup = cluster.Setup(catalog=CATALOG.without(lambda service: service.name == "dict_key"))
    graph = evaluate(lambda: cluster.program(setup), preview=preview)
    assert graph.of_type(POLICY) == []
    assert {node.name for node in graph.of_type(GROUP)} == {"cluster", "balancer"}


@pytest.mark.parametrize(
    ("catalog", "problems"),
    [
        (CATALOG, []),
        (
            with_egress("account", "dict"),
            ["egress 'dict' is given to 'account', 'dict_key': one service alone may talk to the DICT"],
        ),
        (
            with_egress("dict_key", "banks", "msk"),
            [
                "service 'dict_key' has egress 'dict', so it cannot also have 'banks'",
                "service 'dict_key' has egress 'dict', so it cannot also have 'msk'",
            ],
        ),
    ],
    ids=["whole", "two", "more"],
)
def test_isolation_that_is_none_is_refused(catalog: Catalog, problems: list[str]) -> None:
    assert dict_isolation.problems(catalog) == problems


def test_the_endpoints_rules_follow_the_secrets() -> None:
    without = replace(
        CATALOG,
        services=tuple(
            replace(each, secrets=frozenset()) if each.name == "dict_key" else each
            for each in CATALOG.services
        ),
    )
    graph = evaluate(lambda: cluster.program(cluster.Setup(catalog=without)))
    assert {other for _, _, other, _ in rules(graph)} & set(cluster.ISOLATED) == set()

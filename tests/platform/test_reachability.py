"""Who talks to whom, and at which addresses, is what the catalog says: no more and no less.

The mutants show that it would be seen: each opens or closes one thing in the graph of the whole bank.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from environments.graph.evaluation import Graph
from tests.platform import cluster
from tests.platform.reachability import BOTH, Lock, differences, found, promised

WHOLE = "whole bank and Bacen"
SIMULATED = "whole bank and simulators"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
GROUP_POLICY = "kubernetes:vpcresources.k8s.aws/v1beta1:SecurityGroupPolicy"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"

Change = Callable[[dict[str, Any]], Any]


def compared(name: str, graph: Graph, locks: frozenset[Lock] = BOTH) -> list[str]:
    setup = cluster.SETUPS[name]
    world = cluster.world(setup, graph)
    return differences(found(graph, world, locks), promised(setup.deployed, world))


@pytest.mark.parametrize("locks", [BOTH, frozenset({"policies"})], ids=["both locks", "policies alone"])
@pytest.mark.parametrize("name", cluster.SETUPS)
def test_who_talks_to_whom_is_what_the_catalog_says(name: str, locks: frozenset[Lock]) -> None:
    """Policies alone too: between pods of one node, security groups are not asked."""
    assert compared(name, cluster.graph(name), locks) == []


def test_the_matrix_says_what_a_reader_of_the_catalog_expects() -> None:
    graph = cluster.graph(SIMULATED)
    matrix = found(graph, cluster.world(cluster.SETUPS[SIMULATED], graph))
    assert {each for each in matrix.connections if each[2:] != ("TCP", 53) and each[2:] != ("UDP", 53)} == {
        ("gateway", "account", "TCP", 8001),
        ("gateway", "transaction", "TCP", 8002),
        ("gateway", "dict-key", "TCP", 8003),
        ("transaction", "dict-key", "TCP", 8003),
        ("open-finance", "dict-key", "TCP", 8003),
        ("gateway", "open-finance", "TCP", 8004),
        ("account", "open-finance", "TCP", 8004),
        ("dict-key", "bacen", "TCP", 8020),
        ("send-pix", "bacen", "TCP", 8020),
        ("receive-pix", "bacen", "TCP", 8020),
        ("open-finance", "other-bank", "TCP", 8021),
        ("other-bank", "bacen", "TCP", 8020),
        ("bacen", "other-bank", "TCP", 8021),
    }
    assert {door: str(addresses) for door, addresses in matrix.into.items()} == {
        ("gateway", "TCP", 8000): "10.20.0.0/23, 10.20.2.0/24"
    }
    assert str(matrix.out["operators", "TCP", 80]) == "169.254.170.23/32"
    assert str(matrix.out["relay-outbox", "TCP", 9098]) == "10.20.8.0/23, 10.20.10.0/24"
    assert str(matrix.out["relay-outbox", "TCP", 443]) == "52.94.2.0/24, 52.119.224.0/20"


def mutated(graph: Graph, type_: str, name: str, change: Change | None) -> Graph:
    """The graph with one resource changed, or without it."""
    node = graph.one(type_, name)
    others = {urn: other for urn, other in graph.nodes.items() if urn != node.urn}
    if change is None:
        return replace(graph, nodes=others)
    inputs = deepcopy(dict(node.inputs))
    change(inputs)
    return replace(graph, nodes={**others, node.urn: replace(node, inputs=inputs)})


def adding(direction: str, peers: Sequence[Mapping[str, Any]], *ports: int) -> Change:
    """One more rule in a policy."""
    end = "from" if direction == "ingress" else "to"
    rule: dict[str, Any] = {end: peers} if peers else {}
    if ports:
        rule["ports"] = [{"port": port, "protocol": "TCP"} for port in ports]
    return lambda inputs: inputs["spec"][direction].append(rule)


def first(inputs: dict[str, Any], direction: str, port: int) -> dict[str, Any]:
    """The first rule of a policy for a port."""
    found: dict[str, Any] = next(
        rule for rule in inputs["spec"][direction] if rule["ports"][0]["port"] == port
    )
    return found


def internet(inputs: dict[str, Any]) -> dict[str, Any]:
    """The block of a policy that has exceptions."""
    blocks = (peer.get("ipBlock", {}) for rule in inputs["spec"]["egress"] for peer in rule["to"])
    found: dict[str, Any] = next(block for block in blocks if "except" in block)
    return found


def label(inputs: dict[str, Any], name: str) -> None:
    inputs["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = name


HOST = [{"ipBlock": {"cidr": "8.8.8.8/32"}}]
SAME_SPACE: list[Mapping[str, Any]] = [{"podSelector": {}}]
ANY_SPACE: list[Mapping[str, Any]] = [{"namespaceSelector": {}, "podSelector": {}}]

MUTANTS: dict[str, tuple[str, str, Change | None, str]] = {
    "one address more": (
        NETWORK_POLICY,
        "account",
        adding("egress", HOST, 80),
        "open: account to 8.8.8.8/32, TCP 80",
    ),
    "a range with pods in it": (
        NETWORK_POLICY,
        "audit-ledger",
        adding("egress", [{"ipBlock": {"cidr": "10.20.40.0/24"}}], 53),
        "open: audit-ledger to kube-system/metrics-server, TCP 53",
    ),
    "a rule for anybody": (
        NETWORK_POLICY,
        "sweep-transfers",
        adding("egress", [], 6443),
        "open: sweep-transfers to 0.0.0.0/5, ",
    ),
    "a rule for any port": (
        NETWORK_POLICY,
        "operators",
        adding("egress", HOST),
        "open: operators to 8.8.8.8/32, UDP 65535",
    ),
    "a rule without its ports": (
        NETWORK_POLICY,
        "settle-transfers",
        lambda inputs: first(inputs, "egress", 9098).pop("ports"),
        "open: settle-transfers to 10.20.8.0/23, 10.20.10.0/24, TCP 22",
    ),
    "a range of ports": (
        NETWORK_POLICY,
        "relay-outbox",
        lambda inputs: first(inputs, "egress", 9098)["ports"][0].update(endPort=9099),
        "open: relay-outbox to 10.20.8.0/23, 10.20.10.0/24, TCP 9099",
    ),
    "Cognito at the DICT": (
        NETWORK_POLICY,
        "gateway",
        lambda inputs: internet(inputs)["except"].remove("192.0.2.0/25"),
        "open: gateway to 192.0.2.0/25, TCP 443",
    ),
    "Cognito at private addresses": (
        NETWORK_POLICY,
        "transaction",
        lambda inputs: internet(inputs).pop("except"),
        "open: transaction to 10.",
    ),
    "banks at half of the SPI": (
        NETWORK_POLICY,
        "open-finance",
        lambda inputs: internet(inputs).update(
            {
                "except": [
                    each.replace("203.0.113.0/24", "203.0.113.0/25") for each in internet(inputs)["except"]
                ]
            }
        ),
        "open: open-finance to 203.0.113.128/25, TCP 443",
    ),
    "one network of DynamoDB less": (
        NETWORK_POLICY,
        "sweep-transfers",
        lambda inputs: first(inputs, "egress", 443)["to"].pop(),
        "closed: sweep-transfers to 52.119.224.0/20, TCP 443",
    ),
    "no name service": (
        NETWORK_POLICY,
        "bacen",
        lambda inputs: first(inputs, "egress", 53)["to"][0].pop("namespaceSelector"),
        "closed: bacen to kube-system/kube-dns, UDP 53",
    ),
    "a callee more": (
        NETWORK_POLICY,
        "account",
        adding("egress", [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "dict-key"}}}], 8003),
        "let out: account to dict-key, TCP 8003",
    ),
    "a caller more": (
        NETWORK_POLICY,
        "transaction",
        lambda inputs: first(inputs, "ingress", 8002)["from"].append(
            {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "account"}}}
        ),
        "let in: account to transaction, TCP 8002",
    ),
    "every pod of the namespace": (
        NETWORK_POLICY,
        "dict-key",
        adding("ingress", SAME_SPACE, 8003),
        "let in: unplanned to dict-key, TCP 8003",
    ),
    "the namespace next door": (
        NETWORK_POLICY,
        "open-finance",
        adding("ingress", ANY_SPACE, 8004),
        "open: next-door/gateway to open-finance, TCP 8004",
    ),
    "addresses of pods": (
        NETWORK_POLICY,
        "dict-key",
        adding("ingress", [{"ipBlock": {"cidr": "10.20.0.0/16"}}], 8003),
        "open: next-door/account to dict-key, TCP 8003",
    ),
    "a caller that is none": (
        DEPLOYMENT,
        "relay-outbox",
        lambda inputs: label(inputs, "gateway"),
        "open: relay-outbox to dict-key, TCP 8003",
    ),
    "no default": (
        NETWORK_POLICY,
        "default-deny",
        None,
        "open: unplanned to ",
    ),
    "a default for one direction": (
        NETWORK_POLICY,
        "default-deny",
        lambda inputs: inputs["spec"]["policyTypes"].remove("Egress"),
        "open: unplanned to ",
    ),
    "no policy": (
        NETWORK_POLICY,
        "transaction",
        None,
        "closed: transaction to dict-key, TCP 8003",
    ),
    "the load balancer's rule closed": (
        INGRESS,
        "balancer-to-gateway",
        None,
        "closed: gateway from 10.20.0.0/23, 10.20.2.0/24, TCP 8000",
    ),
    "the cluster deaf to dict-key's questions": (
        INGRESS,
        "dict-key-dns-udp-answers",
        None,
        "closed: dict-key to kube-system/kube-dns, UDP 53",
    ),
    "a network of the DICT less": (
        EGRESS,
        "dict-key-to-dict-10.99.7.0-24",
        None,
        "closed: dict-key to 10.99.7.0/24, TCP 443",
    ),
    "nobody let in": (
        INGRESS,
        "dict-key-from-cluster",
        None,
        "closed: gateway to dict-key, TCP 8003",
    ),
    "the group on everybody": (
        GROUP_POLICY,
        "dict-key",
        lambda inputs: inputs["spec"].update(podSelector={}),
        "closed: gateway to account, TCP 8001",
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_one_thing_more_or_less_is_seen(mutant: str) -> None:
    type_, name, change, difference = MUTANTS[mutant]
    bank = SIMULATED if name == "bacen" else WHOLE
    node = name if name.startswith("balancer") else f"workloads-{name}"
    lines = compared(bank, mutated(cluster.graph(bank), type_, node, change))
    assert [line for line in lines if line.startswith(difference)] != []


@pytest.mark.parametrize(
    ("type_", "name", "change", "unread"),
    [
        (
            NETWORK_POLICY,
            "account",
            lambda inputs: inputs["spec"]["podSelector"].update(matchExpressions=[]),
            "a selector by ['matchExpressions', 'matchLabels']",
        ),
        (NETWORK_POLICY, "account", adding("egress", [{"fqdn": "x"}], 443), "a peer by ['fqdn']"),
        (
            NETWORK_POLICY,
            "account",
            lambda inputs: inputs["spec"]["egress"][0].update(action="Allow"),
            "a rule with ['action', 'ports', 'to']",
        ),
        (
            NETWORK_POLICY,
            "account",
            lambda inputs: inputs["spec"]["egress"][0]["ports"][0].update(name="http"),
            "ports [{",
        ),
        (
            EGRESS,
            "dict-key-to-dns-tcp",
            lambda inputs: inputs.update(cidrIpv6="::/0"),
            "a rule with ['cidrIpv6',",
        ),
        (
            "aws:ec2/securityGroup:SecurityGroup",
            "dict-key-group",
            lambda inputs: inputs.update(egress=[{"cidrBlocks": ["0.0.0.0/0"]}]),
            "rules within ['urn:pulumi:dev",
        ),
    ],
    ids=["selector", "peer", "rule", "port", "group rule", "inline rule"],
)
def test_what_is_not_understood_is_an_error(type_: str, name: str, change: Change, unread: str) -> None:
    with pytest.raises(NotImplementedError) as raised:
        compared(WHOLE, mutated(cluster.graph(WHOLE), type_, f"workloads-{name}", change))
    assert str(raised.value).startswith(unread)


def test_a_preview_is_not_taken_for_closed() -> None:
    graph = cluster.graph(WHOLE, preview=True)
    world = cluster.world(cluster.SETUPS[WHOLE], cluster.graph(WHOLE))
    with pytest.raises(ValueError, match="not known in a preview"):
        found(graph, world)


def test_a_service_is_found_by_the_very_label_that_policies_select_by() -> None:
    """The VPC CNI opens a Service's address only then, and only where its port is the container's."""
    graph = cluster.graph(SIMULATED)
    selected = [
        peer["podSelector"]["matchLabels"]
        for node in graph.of_type(NETWORK_POLICY)
        for rule in node.inputs["spec"].get("egress", [])
        for peer in rule["to"]
        if "podSelector" in peer and "namespaceSelector" not in peer
    ]
    services = {
        node.inputs["metadata"]["name"]: node.inputs["spec"]
        for node in graph.of_type("kubernetes:core/v1:Service")
    }
    assert len(selected) == 13
    assert [each for each in selected if services[each["app.kubernetes.io/name"]]["selector"] != each] == []
    catalog = cluster.SETUPS[SIMULATED].deployed
    ports = {name.replace("-", "_"): spec["ports"] for name, spec in services.items()}
    assert {name: (each[0]["port"], each[0]["targetPort"]) for name, each in ports.items()} == {
        name: (catalog.service(name).port,) * 2 for name in ports
    }

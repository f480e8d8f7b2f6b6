"""What NetworkPolicies and security groups let through, each read as the VPC CNI and AWS read them.

A pod may have any address of the private subnets, so a rule for a range that touches them is a rule for
every pod. What a rule may say and this module does not read is an error, so that nothing is overlooked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from environments.graph.evaluation import UNKNOWN, Graph
from environments.graph.nodes import Node
from tests.platform.addresses import EVERYWHERE, NOWHERE, Addresses

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
GROUP_POLICY = "kubernetes:vpcresources.k8s.aws/v1beta1:SecurityGroupPolicy"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
RULES = {
    direction: f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
    for direction in ("Egress", "Ingress")
}
NAMESPACE = "kubernetes.io/metadata.name"
LINK_LOCAL = Addresses.of("169.254.0.0/16")


@dataclass(frozen=True)
class World:
    """What stands around the pods of a namespace. `groups` are where other security groups' members are."""

    namespace: str
    vpc: Addresses
    public: Addresses
    private: Addresses
    isolated: Addresses
    interface_endpoints: bool
    dynamodb: Addresses
    dict: Addresses
    spi: Addresses
    gateway: str
    cluster_group: str
    groups: Mapping[str, Addresses]
    prefix_lists: Mapping[str, Addresses]


@dataclass(frozen=True)
class Pod:
    """All pods of one workload."""

    name: str
    namespace: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Rule:
    """Lets through one protocol (`None`: all) on some ports, to or from pods by name and addresses."""

    protocol: str | None
    first: int
    last: int
    pods: frozenset[str]
    addresses: Addresses

    def covers(self, protocol: str, port: int) -> bool:
        return self.protocol in (None, protocol) and self.first <= port <= self.last


@dataclass(frozen=True)
class Rules:
    """What one lock lets out of each pod, and into it."""

    out: Mapping[str, Sequence[Rule]]
    into: Mapping[str, Sequence[Rule]]


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if selector.keys() - {"matchLabels"}:
        raise NotImplementedError(f"a selector by {sorted(selector)}")
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def policy_rules(graph: Graph, world: World, pods: Sequence[Pod]) -> Rules:
    """A pod that no policy of a direction selects is open in it; otherwise what any of them allows is."""
    policies = [(node.inputs["metadata"]["namespace"], node.inputs["spec"]) for node in graph.of_type(POLICY)]
    labels = {
        node.inputs["metadata"]["name"]: node.inputs["metadata"].get("labels", {})
        for node in graph.of_type("kubernetes:core/v1:Namespace")
    }

    def rules(pod: Pod, kind: str, peers: str) -> list[Rule]:
        applied = [
            spec
            for namespace, spec in policies
            if namespace == pod.namespace
            and _selects(spec["podSelector"], pod.labels)
            and kind in spec["policyTypes"]
        ]
        if not applied:
            return [Rule(None, 0, 65535, frozenset(other.name for other in pods), EVERYWHERE)]
        given = [rule for spec in applied for rule in spec.get(kind.lower(), [])]
        return [
            Rule(protocol, first, last, *_peers(rule.get(peers, []), pod, pods, labels, world))
            for rule in given
            for protocol, first, last in _policy_ports(rule, peers)
        ]

    return Rules(
        {pod.name: rules(pod, "Egress", "to") for pod in pods},
        {pod.name: rules(pod, "Ingress", "from") for pod in pods},
    )


def _policy_ports(rule: Mapping[str, Any], peers: str) -> list[tuple[str | None, int, int]]:
    if rule.keys() - {"ports", peers}:
        raise NotImplementedError(f"a rule with {sorted(rule)}")
    ports = rule.get("ports", [])
    if any(each.keys() - {"port", "endPort", "protocol"} for each in ports):
        raise NotImplementedError(f"ports {ports}")
    return [
        (each.get("protocol", "TCP"), each.get("port", 0), each.get("endPort", each.get("port", 65535)))
        for each in ports
    ] or [(None, 0, 65535)]


def _peers(
    peers: Sequence[Mapping[str, Any]],
    of: Pod,
    pods: Sequence[Pod],
    namespaces: Mapping[str, Mapping[str, str]],
    world: World,
) -> tuple[frozenset[str], Addresses]:
    """The pods and addresses of a rule; a rule that names nobody is for everybody."""
    names: set[str] = set()
    addresses = NOWHERE if peers else EVERYWHERE
    for peer in peers:
        if peer.keys() - {"ipBlock", "podSelector", "namespaceSelector"}:
            raise NotImplementedError(f"a peer by {sorted(peer)}")
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            addresses |= Addresses.of(block["cidr"]) - Addresses.of(*block.get("except", []))
            continue
        for pod in pods:
            place = {NAMESPACE: pod.namespace, **namespaces.get(pod.namespace, {})}
            inside = (
                _selects(peer["namespaceSelector"], place)
                if "namespaceSelector" in peer
                else pod.namespace == of.namespace
            )
            if inside and _selects(peer.get("podSelector", {}), pod.labels):
                names.add(pod.name)
    return frozenset(names) | _at(addresses, pods, world), addresses


def _at(addresses: Addresses, pods: Iterable[Pod], world: World) -> frozenset[str]:
    """The pods that may have one of these addresses: all of them, or none."""
    return frozenset(pod.name for pod in pods) if addresses & world.private else frozenset()


def group_rules(graph: Graph, world: World, pods: Sequence[Pod]) -> Rules:
    """A pod has the groups of the SecurityGroupPolicies that select it, else the cluster's.

    The node's own services are link-local and never reach an interface, so no group holds them back. The
    cluster's group is as EKS makes it: open within itself, and outwards.
    """
    if inline := [node.urn for node in graph.of_type(GROUP) if _has_inline(node)]:
        raise NotImplementedError(f"rules within {inline}")
    members = {pod.name: _groups(graph, pod) or {world.cluster_group} for pod in pods}
    everybody = Rule(None, 0, 65535, frozenset(members), EVERYWHERE)
    cluster = frozenset(name for name, groups in members.items() if world.cluster_group in groups)
    node = Rule(None, 0, 65535, frozenset(), LINK_LOCAL)

    def rules(pod: Pod, kind: str, made_by_eks: Rule) -> list[Rule]:
        groups = members[pod.name]
        given = [
            _group_rule(each.inputs, members, pods, world)
            for each in graph.of_type(RULES[kind])
            if each.inputs["securityGroupId"] in groups
        ]
        return [*given, *([made_by_eks] if world.cluster_group in groups else [])]

    within = Rule(None, 0, 65535, cluster, NOWHERE)
    return Rules(
        {pod.name: [node, *rules(pod, "Egress", everybody)] for pod in pods},
        {pod.name: rules(pod, "Ingress", within) for pod in pods},
    )


def _has_inline(node: Node) -> bool:
    return bool(node.inputs.get("ingress") or node.inputs.get("egress"))


def _groups(graph: Graph, pod: Pod) -> set[str]:
    return {
        group
        for node in graph.of_type(GROUP_POLICY)
        if node.inputs["metadata"]["namespace"] == pod.namespace
        and _selects(node.inputs["spec"]["podSelector"], pod.labels)
        for group in node.inputs["spec"]["securityGroups"]["groupIds"]
    }


def _group_rule(
    inputs: Mapping[str, Any], members: Mapping[str, set[str]], pods: Sequence[Pod], world: World
) -> Rule:
    known = {"cidrIpv4", "prefixListId", "referencedSecurityGroupId"}
    described = {"description", "tags", "region", "securityGroupId", "ipProtocol", "fromPort", "toPort"}
    if inputs.keys() - known - described:
        raise NotImplementedError(f"a rule with {sorted(inputs)}")
    names: frozenset[str] = frozenset()
    addresses = NOWHERE
    if "cidrIpv4" in inputs:
        addresses |= Addresses.of(inputs["cidrIpv4"])
    if "prefixListId" in inputs:
        addresses |= world.prefix_lists[inputs["prefixListId"]]
    if group := inputs.get("referencedSecurityGroupId"):
        names = frozenset(name for name, groups in members.items() if group in groups)
        addresses |= world.groups.get(group, NOWHERE)
    protocol = inputs["ipProtocol"]
    if protocol == "-1":
        return Rule(None, 0, 65535, names | _at(addresses, pods, world), addresses)
    return Rule(
        protocol.upper(),
        inputs["fromPort"],
        inputs["toPort"],
        names | _at(addresses, pods, world),
        addresses,
    )


def unknown(graph: Graph) -> list[str]:
    """The policies and rules that say what only an `up` will know."""
    types = (POLICY, GROUP_POLICY, *RULES.values())
    return [node.urn for type_ in types for node in graph.of_type(type_) if _has_unknown(node.inputs)]


def _has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(_has_unknown, value))
    return value is UNKNOWN

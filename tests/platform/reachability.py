"""Who may open a connection to whom, and to which addresses: derived from a graph, and from the catalog.

`found` asks the locks of a graph for every pair of pods and every port that could matter, on addresses and
not on labels alone. `promised` says the same of the catalog. `differences` compares the two.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from apps.catalog import Catalog, Egress, Service
from environments.graph.evaluation import Graph
from tests.platform.addresses import EVERYWHERE, NOWHERE, Addresses
from tests.platform.locks import LINK_LOCAL, Pod, Rule, World, group_rules, policy_rules, unknown

Lock = Literal["policies", "groups"]
BOTH: frozenset[Lock] = frozenset({"policies", "groups"})

Connection = tuple[str, str, str, int]
"""From a pod, to a pod, protocol, port."""
Door = tuple[str, str, int]
"""A pod, a protocol and a port."""

PRIVATE = Addresses.of("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
KUBE_DNS = "kube-system/kube-dns"
CANARIES = {1, 22, 53, 80, 443, 9098, 65535}
"""Ports that are looked at beside those that a rule or a pod names: a rule for all ports opens them too."""


@dataclass(frozen=True)
class Matrix:
    """Connections between pods, of which ours are one end; addresses that are no pod's, door by door.

    A connection needs both ends. `let_out` is what our ends alone would let begin, `let_in` what they alone
    would take: with one of them too wide, the other is the only lock.
    """

    connections: frozenset[Connection]
    let_out: frozenset[Connection]
    let_in: frozenset[Connection]
    out: Mapping[Door, Addresses]
    into: Mapping[Door, Addresses]


def found(graph: Graph, world: World, locks: Collection[Lock] = BOTH) -> Matrix:
    """What the graph, evaluated in update mode, lets through where all of `locks` hold."""
    if missing := unknown(graph):
        raise ValueError(f"not known in a preview, evaluate the graph in update mode: {missing}")
    pods = _pods(graph, world.namespace)
    reading = {"policies": policy_rules, "groups": group_rules}
    rules = [reading[lock](graph, world, pods) for lock in sorted(locks)]
    doors = list(product(pods, ("TCP", "UDP"), _ports(graph)))
    out = {
        (pod.name, protocol, port): _open([each.out[pod.name] for each in rules], protocol, port)
        for pod, protocol, port in doors
    }
    into = {
        (pod.name, protocol, port): _open([each.into[pod.name] for each in rules], protocol, port)
        for pod, protocol, port in doors
    }
    let_out = {
        (source, target, protocol, port)
        for (source, protocol, port), (targets, _) in out.items()
        for target in targets
    }
    let_in = {
        (source, target, protocol, port)
        for (target, protocol, port), (sources, _) in into.items()
        for source in sources
    }
    return Matrix(
        connections=frozenset(each for each in let_out & let_in if _is_ours(each[0]) or _is_ours(each[1])),
        let_out=frozenset(each for each in let_out if _is_ours(each[0])),
        let_in=frozenset(each for each in let_in if _is_ours(each[1])),
        out=_addresses(out, world),
        into=_addresses(into, world),
    )


def promised(catalog: Catalog, world: World) -> Matrix:
    """What the catalog, without what is not deployed, says of its callers and classes of egress."""
    connections: set[Connection] = set()
    out: dict[Door, Addresses] = {}
    into: dict[Door, Addresses] = {}
    for service in catalog.services:
        name = _workload(service)
        for caller in service.callers:
            connections.add((_workload(catalog.service(caller)), name, "TCP", service.port or 0))
        if "dns" in service.egress:
            connections |= {(name, KUBE_DNS, protocol, 53) for protocol in ("TCP", "UDP")}
        if service.name == world.gateway:
            into[name, "TCP", service.port or 0] = world.public
        for egress in service.egress:
            port, addresses = _class(egress, world)
            out[name, "TCP", port] = out.get((name, "TCP", port), NOWHERE) | addresses
        if service.secrets and world.interface_endpoints:
            out[name, "TCP", 443] = out.get((name, "TCP", 443), NOWHERE) | world.isolated
    return Matrix(
        connections=frozenset(connections),
        let_out=frozenset(connections),
        let_in=frozenset(each for each in connections if _is_ours(each[1])),
        out={door: addresses for door, addresses in out.items() if addresses},
        into=into,
    )


def differences(actual: Matrix, wanted: Matrix) -> list[str]:
    """Every way that is open and should not be, or the other way round."""
    lines = [
        f"{word}: {source} to {target}, {protocol} {port}"
        for word, some, others in (
            ("open", actual.connections, wanted.connections),
            ("closed", wanted.connections, actual.connections),
            ("let out", actual.let_out, wanted.let_out),
            ("not let out", wanted.let_out, actual.let_out),
            ("let in", actual.let_in, wanted.let_in),
            ("not let in", wanted.let_in, actual.let_in),
        )
        for source, target, protocol, port in some - others
    ]
    for arrow, have, want in (("to", actual.out, wanted.out), ("from", actual.into, wanted.into)):
        for door in have.keys() | want.keys():
            extra = have.get(door, NOWHERE) - want.get(door, NOWHERE)
            missing = want.get(door, NOWHERE) - have.get(door, NOWHERE)
            pod, protocol, port = door
            lines += [f"open: {pod} {arrow} {extra}, {protocol} {port}"] if extra else []
            lines += [f"closed: {pod} {arrow} {missing}, {protocol} {port}"] if missing else []
    return sorted(lines)


def _is_ours(pod: str) -> bool:
    """Those of the environment itself have no `/` in their name."""
    return "/" not in pod


def _workload(service: Service) -> str:
    return service.name.replace("_", "-")


def _class(egress: Egress, world: World) -> tuple[int, Addresses]:
    internet = EVERYWHERE - world.vpc - world.dict - world.spi - PRIVATE - LINK_LOCAL
    return {
        "dict": (443, world.dict),
        "spi": (443, world.spi),
        "banks": (443, internet),
        "cognito": (443, internet),
        "dynamodb": (443, world.dynamodb),
        "msk": (9098, world.isolated),
        "dns": (53, NOWHERE),
        "pod_identity": (80, Addresses.of("169.254.170.23/32")),
    }[egress]


def _open(locks: Iterable[Sequence[Rule]], protocol: str, port: int) -> tuple[frozenset[str], Addresses]:
    """The pods and addresses that every lock lets through at a port."""
    pods: frozenset[str] | None = None
    addresses = EVERYWHERE
    for rules in locks:
        covering = [rule for rule in rules if rule.covers(protocol, port)]
        by_rules = frozenset().union(*(rule.pods for rule in covering))
        pods = by_rules if pods is None else pods & by_rules
        through = NOWHERE
        for rule in covering:
            through |= rule.addresses
        addresses &= through
    return pods or frozenset(), addresses


def _addresses(
    opened: Mapping[Door, tuple[frozenset[str], Addresses]], world: World
) -> dict[Door, Addresses]:
    return {
        door: beyond
        for door, (_, addresses) in opened.items()
        if _is_ours(door[0]) and (beyond := addresses - world.private)
    }


def _pods(graph: Graph, namespace: str) -> list[Pod]:
    """Ours, one that nobody planned, the same again next door, and the cluster's own."""
    ours = {}
    for type_ in ("kubernetes:core/v1:ServiceAccount", "kubernetes:apps/v1:Deployment"):
        for node in graph.of_type(type_):
            # A job has no Deployment: its pods carry the labels of its account.
            described = node.inputs["spec"]["template"] if "spec" in node.inputs else node.inputs
            name, labels = node.inputs["metadata"]["name"], described["metadata"]["labels"]
            if node.inputs["metadata"]["namespace"] == namespace:
                ours[name] = Pod(name, namespace, labels)
    return [
        *ours.values(),
        Pod("unplanned", namespace, {}),
        *(Pod(f"next-door/{pod.name}", "next-door", pod.labels) for pod in ours.values()),
        Pod(KUBE_DNS, "kube-system", {"k8s-app": "kube-dns"}),
        Pod("kube-system/metrics-server", "kube-system", {"k8s-app": "metrics-server"}),
    ]


def _ports(graph: Graph) -> list[int]:
    ports = set(CANARIES)
    for node in graph:
        for value in _named(node.inputs, {"port", "endPort", "fromPort", "toPort", "containerPort"}):
            ports |= {value - 1, value, value + 1}
    return sorted(port for port in ports if 0 < port < 65536)


def _named(value: Any, names: Collection[str]) -> Iterable[int]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name in names and isinstance(item, int):
                yield item
            yield from _named(item, names)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, names)

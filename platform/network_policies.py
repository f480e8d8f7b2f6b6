"""Who may talk to whom in an environment, and at which addresses outside: NetworkPolicies by the catalog.

Everything is closed by `default_deny`; `policy` opens for one service exactly its callers, its callees and
its classes of egress. Probes need nothing: a node always reaches its own pods.

Metrics leave on standard output, so there is no way to an agent here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

from apps.catalog import Catalog, Egress, Service
from names import workload
from pods import Manifest, selector

POD_IDENTITY = "169.254.170.23/32"
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
LINK_LOCAL = "169.254.0.0/16"
KAFKA_PORT = 9098


@dataclass(frozen=True)
class Addresses:
    """Where things are, as CIDRs: the VPC and its subnets, DynamoDB's endpoint, Bacen's DICT and SPI.

    `dict` and `spi` are empty where the simulator stands in. With `interface_endpoints`, AWS's other
    services answer in the isolated subnets.
    """

    vpc: str
    public: Sequence[str]
    isolated: Sequence[str]
    dynamodb: Sequence[str]
    interface_endpoints: bool
    dict: Sequence[str]
    spi: Sequence[str]


def default_deny() -> Manifest:
    """For every pod of the namespace, also for one that nobody has planned: nothing in, nothing out."""
    return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def policy(catalog: Catalog, service: Service, addresses: Addresses, gateway: str) -> Manifest:
    """What is open for one service of `catalog`, which is the catalog as it runs."""
    return {
        "podSelector": {"matchLabels": selector(workload(service.name))},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": list(_ingress(service, addresses, gateway)),
        "egress": list(_egress(catalog, service, addresses)),
    }


def elsewhere(addresses: Addresses) -> Manifest:
    """The internet: any address but private ones, the nodes' own services, and Bacen's."""
    closed = [addresses.vpc, *addresses.dict, *addresses.spi, *PRIVATE, LINK_LOCAL]
    collapsed = collapse_addresses(IPv4Network(cidr) for cidr in closed)
    return {"ipBlock": {"cidr": "0.0.0.0/0", "except": [str(network) for network in collapsed]}}


def _ingress(service: Service, addresses: Addresses, gateway: str) -> Iterable[Manifest]:
    if service.port is None:
        return
    if service.name == gateway:
        # The load balancer has no pods, only addresses in the public subnets.
        yield _rule("from", _ranges(addresses.public), {service.port: ("TCP",)})
    if service.callers:
        callers = [_pods(caller) for caller in sorted(service.callers)]
        yield _rule("from", callers, {service.port: ("TCP",)})


def _egress(catalog: Catalog, service: Service, addresses: Addresses) -> Iterable[Manifest]:
    for callee in catalog.called_by(service.name):
        if callee.port is not None:
            yield _rule("to", [_pods(callee.name)], {callee.port: ("TCP",)})
    for egress in sorted(service.egress):
        yield from _class(egress, addresses)
    if service.secrets and addresses.interface_endpoints:
        yield _rule("to", _ranges(addresses.isolated), {443: ("TCP",)})


def _class(egress: Egress, addresses: Addresses) -> Iterable[Manifest]:
    match egress:
        case "dns":
            yield _rule("to", [_DNS], {53: ("UDP", "TCP")})
        case "pod_identity":
            yield _rule("to", _ranges([POD_IDENTITY]), {80: ("TCP",)})
        case "dynamodb":
            yield _rule("to", _ranges(addresses.dynamodb), {443: ("TCP",)})
        case "msk":
            yield _rule("to", _ranges(addresses.isolated), {KAFKA_PORT: ("TCP",)})
        case "cognito" | "banks":
            yield _rule("to", [elsewhere(addresses)], {443: ("TCP",)})
        case "dict" | "spi":
            ranges = addresses.dict if egress == "dict" else addresses.spi
            if ranges:  # none where the simulator stands in: it is a callee
                yield _rule("to", _ranges(ranges), {443: ("TCP",)})


_DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}


def _pods(service: str) -> Manifest:
    return {"podSelector": {"matchLabels": selector(workload(service))}}


def _ranges(cidrs: Sequence[str]) -> list[Manifest]:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def _rule(direction: str, peers: list[Manifest], ports: Mapping[int, tuple[str, ...]]) -> Manifest:
    """One rule. Raises `ValueError` without peers: to Kubernetes, a rule for nobody is one for everybody."""
    if not peers:
        raise ValueError(f"a NetworkPolicy rule for port {', '.join(map(str, ports))} has no '{direction}'")
    opened = [
        {"port": port, "protocol": protocol} for port, protocols in ports.items() for protocol in protocols
    ]
    return {direction: peers, "ports": opened}

"""The one service that may talk to Bacen's DICT, shut in by a security group of its own.

Its NetworkPolicy says the same, from inside the cluster. This is the second lock: it stands in AWS, on the
interface of the pod itself, whoever may write policies. By the facts about the VPC CNI (`standard`
enforcing mode with external SNAT) it holds for all traffic but that between pods of one node and that to
the node's own services, which the NetworkPolicy covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from apps.catalog import Catalog, Egress, Service
from manifests import metadata
from names import workload
from pods import Manifest, selector

ZONES = 3
"""How many isolated subnets there are, said here because an output does not tell its length in time."""
CARRIED: frozenset[Egress] = frozenset({"dict", "dynamodb", "dns", "pod_identity"})
"""The classes of egress that the rules below know. The agent of Pod Identity is on the node: no rule."""


def holders(catalog: Catalog) -> list[Service]:
    """The services with the DICT's egress: one, where it is written and deployed."""
    return [service for service in catalog.services if "dict" in service.egress]


def problems(catalog: Catalog) -> list[str]:
    """Why the service cannot be isolated."""
    found = holders(catalog)
    if len(found) > 1:
        named = ", ".join(f"'{service.name}'" for service in found)
        return [f"egress 'dict' is given to {named}: one service alone may talk to the DICT"]
    return [
        f"service '{service.name}' has egress 'dict', so it cannot also have '{egress}'"
        for service in found
        for egress in sorted(service.egress - CARRIED)
    ]


def security_group_policy(namespace: str, service: Service, security_group_id: pulumi.Input[str]) -> Manifest:
    """Gives the service's pods the security group instead of the cluster's."""
    name = workload(service.name)
    return {
        "api_version": "vpcresources.k8s.aws/v1beta1",
        "kind": "SecurityGroupPolicy",
        "metadata": metadata(namespace, name, service.kind),
        "spec": {
            "podSelector": {"matchLabels": selector(name)},
            "securityGroups": {"groupIds": [security_group_id]},
        },
    }


@dataclass(frozen=True)
class DictIsolationArgs:
    """`callees` are the services in the cluster that it may call: the simulator, where that runs.

    `isolated_cidrs` is the list of the three isolated subnets' CIDRs, where interface endpoints are;
    `dict_cidrs` are the DICT's.
    """

    service: Service
    callees: Sequence[Service]
    vpc_id: pulumi.Input[str]
    cluster_security_group_id: pulumi.Input[str]
    isolated_cidrs: pulumi.Input[Sequence[str]]
    dynamodb_prefix_list_id: pulumi.Input[str]
    dict_cidrs: Sequence[str]


@dataclass(frozen=True)
class _Peer:
    """The other end of a rule: exactly one of the three."""

    cidr: pulumi.Input[str] | None = None
    group: pulumi.Input[str] | None = None
    prefix_list: pulumi.Input[str] | None = None


class DictIsolation(pulumi.ComponentResource):
    """Makes the security group, its rules, and those that the cluster's group needs to answer it. Free.

    The pods need nodes with trunk interfaces (no t-family), one branch interface each.
    """

    security_group_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: DictIsolationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("gobanking:platform:DictIsolation", name, {}, opts)
        self._name = name
        group = aws.ec2.SecurityGroup(
            f"{name}-group",
            description=f"Pods of {workload(args.service.name)}: out to the DICT and to AWS, nowhere else",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._group_id = group.id
        self._cluster_group_id = args.cluster_security_group_id
        self._from_the_cluster(args)
        self._to_the_cluster(args)
        self._to_addresses(args)
        self.security_group_id = group.id
        self.register_outputs({"security_group_id": self.security_group_id})

    def _from_the_cluster(self, args: DictIsolationArgs) -> None:
        """The callers and the kubelet's probes; the NetworkPolicy tells the callers apart."""
        if args.service.port is not None:
            self._ingress("from-cluster", self._group_id, self._cluster_group_id, args.service.port)

    def _to_the_cluster(self, args: DictIsolationArgs) -> None:
        """The cluster's group takes in only its own members and what is named, hence two rules each."""
        ports = {"dns-tcp": ("tcp", 53), "dns-udp": ("udp", 53)}
        for callee in args.callees:
            if callee.port is not None:
                ports[workload(callee.name)] = ("tcp", callee.port)
        cluster = _Peer(group=self._cluster_group_id)
        for role, (protocol, port) in ports.items():
            self._egress(f"to-{role}", cluster, port, protocol)
            self._ingress(f"{role}-answers", self._cluster_group_id, self._group_id, port, protocol)

    def _to_addresses(self, args: DictIsolationArgs) -> None:
        for cidr in args.dict_cidrs:
            self._egress(f"to-dict-{cidr.replace('/', '-')}", _Peer(cidr=cidr), 443)
        if "dynamodb" in args.service.egress:
            self._egress("to-dynamodb", _Peer(prefix_list=args.dynamodb_prefix_list_id), 443)
        if args.service.secrets:
            # Also where there are no endpoints: whether there are is an output, and nothing else that
            # stands in these subnets answers on this port.
            isolated = pulumi.Output.from_input(args.isolated_cidrs)
            for zone in range(ZONES):
                self._egress(f"to-endpoints-{zone}", _Peer(cidr=isolated[zone]), 443)

    def _egress(self, role: str, to: _Peer, port: int, protocol: str = "tcp") -> None:
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-{role}",
            security_group_id=self._group_id,
            cidr_ipv4=to.cidr,
            prefix_list_id=to.prefix_list,
            referenced_security_group_id=to.group,
            ip_protocol=protocol,
            from_port=port,
            to_port=port,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _ingress(
        self,
        role: str,
        into: pulumi.Input[str],
        from_group: pulumi.Input[str],
        port: int,
        protocol: str = "tcp",
    ) -> None:
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-{role}",
            security_group_id=into,
            referenced_security_group_id=from_group,
            ip_protocol=protocol,
            from_port=port,
            to_port=port,
            opts=pulumi.ResourceOptions(parent=self),
        )

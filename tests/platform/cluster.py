"""An environment's workloads on a base that stands where the real one would, and what is around them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from pulumi import Output, ResourceOptions

import sizing
from apps.catalog import CATALOG, Catalog, environment
from environments.graph.evaluation import Graph, evaluate
from names import AwsNames
from sizing import Growth
from tests.platform.addresses import Addresses
from tests.platform.locks import World
from workloads import Gateway, NetworkFacts, Workloads, WorkloadsArgs

PREFIX = "pr-settle-early-0a1b2c"
VPC = "10.20.0.0/16"
PUBLIC = ["10.20.0.0/24", "10.20.1.0/24", "10.20.2.0/24"]
ISOLATED = ["10.20.8.0/24", "10.20.9.0/24", "10.20.10.0/24"]
PRIVATE = ["10.20.32.0/19", "10.20.64.0/19", "10.20.96.0/19"]
DYNAMODB = ["52.94.2.0/24", "52.119.224.0/20"]
BACEN: Mapping[Literal["dict", "spi"], tuple[str, ...]] = {
    # Bacen's network has private addresses too.
    "dict": ("192.0.2.0/25", "10.99.7.0/24"),
    "spi": ("203.0.113.0/24",),
}
SETTINGS = sorted(CATALOG.settings)
GROWTH = Growth(max_replicas=4, one_partition=False)


@dataclass(frozen=True)
class Setup:
    """What differs from one environment to the next."""

    catalog: Catalog = CATALOG
    simulators: bool = False
    interface_endpoints: bool = True
    quota: bool = False
    growth: Growth = GROWTH

    @property
    def deployed(self) -> Catalog:
        return sizing.deployed(self.catalog, self.simulators)

    @property
    def egress(self) -> Mapping[Literal["dict", "spi"], tuple[str, ...]]:
        return {} if self.simulators else BACEN


SETUPS = {
    "whole bank and Bacen": Setup(),
    "whole bank and simulators": Setup(simulators=True),
    "whole bank in a preview": Setup(
        simulators=True, interface_endpoints=False, quota=True, growth=Growth(2, one_partition=True)
    ),
}


class Base(pulumi.ComponentResource):
    """The least of each thing that workloads are given."""

    def __init__(self) -> None:
        super().__init__("gobanking:platform:Base", "base")
        opts = ResourceOptions(parent=self)
        self.vpc = aws.ec2.Vpc("vpc", cidr_block=VPC, opts=opts)
        self.dynamodb = aws.ec2.VpcEndpoint(
            "dynamodb", vpc_id=self.vpc.id, service_name="com.amazonaws.sa-east-1.dynamodb", opts=opts
        )
        self.cluster_group = aws.ec2.SecurityGroup("cluster", vpc_id=self.vpc.id, opts=opts)
        balancer = aws.ec2.SecurityGroup("balancer", vpc_id=self.vpc.id, opts=opts)
        aws.vpc.SecurityGroupIngressRule(
            "balancer-to-gateway",
            security_group_id=self.cluster_group.id,
            referenced_security_group_id=balancer.id,
            ip_protocol="tcp",
            from_port=8000,
            to_port=8000,
            opts=opts,
        )
        self.controller = aws.eks.Addon("controller", cluster_name="bank", addon_name="x", opts=opts)
        self.association = aws.eks.PodIdentityAssociation(
            "association",
            cluster_name="bank",
            namespace=PREFIX,
            service_account="account",
            role_arn="arn:role",
            opts=opts,
        )
        self.table = aws.dynamodb.Table(
            "accounts", hash_key="pk", attributes=[{"name": "pk", "type": "S"}], opts=opts
        )
        self.target_group = aws.lb.TargetGroup("gateway", port=8000, vpc_id=self.vpc.id, opts=opts)
        self.rule = aws.lb.ListenerRule(
            "gateway",
            listener_arn="arn:listener",
            actions=[{"type": "forward", "target_group_arn": self.target_group.arn}],
            conditions=[{"path_pattern": {"values": ["/*"]}}],
            opts=opts,
        )
        self.register_outputs({})

    def later(self, value: Any) -> Output[Any]:
        """A value that a preview does not know."""
        return self.vpc.id.apply(lambda _: value)


def args(setup: Setup, base: Base) -> WorkloadsArgs:
    catalog = setup.deployed
    names = AwsNames(catalog, PREFIX, {setting: base.later(f"the {setting}") for setting in SETTINGS})
    everything = [service.name for service in catalog.services]
    return WorkloadsArgs(
        catalog=setup.catalog,
        prefix=PREFIX,
        environment={name: environment(catalog, name, names) for name in everything},
        images={name: base.later(f"registry/{name}@sha256:{'0' * 64}") for name in everything},
        network=NetworkFacts(
            vpc_id=base.vpc.id,
            vpc_cidr=base.vpc.cidr_block,
            public_cidrs=base.later(PUBLIC),
            isolated_cidrs=base.later(ISOLATED),
            interface_endpoints=base.later(setup.interface_endpoints),
            dynamodb_cidrs=base.later(DYNAMODB),
            dynamodb_prefix_list_id=base.dynamodb.prefix_list_id,
            cluster_security_group_id=base.cluster_group.id,
        ),
        egress=setup.egress,
        simulators=setup.simulators,
        gateway=Gateway("gateway", base.target_group.arn, base.rule),
        growth=setup.growth,
        quota=setup.quota,
        ready=[base.controller],
        associations=[base.association],
        stores=[base.table],
        filled={} if setup.simulators else {each: base.later(value=True) for each in catalog.secrets},
    )


def program(setup: Setup, **changes: Any) -> None:
    """Makes the workloads. `changes` are to their arguments."""
    base = Base()
    providers = [
        kubernetes.Provider("kubernetes", kubeconfig="apiVersion: v1"),
        aws.Provider("aws", region="sa-east-1"),
    ]
    Workloads("workloads", replace(args(setup, base), **changes), ResourceOptions(providers=providers))


@cache
def graph(name: str, preview: bool = False) -> Graph:
    """The graph of one of `SETUPS`."""
    return evaluate(lambda: program(SETUPS[name]), preview=preview)


def world(setup: Setup, graph: Graph) -> World:
    """What is around the pods of a graph that was evaluated in update mode."""
    return World(
        namespace=PREFIX,
        vpc=Addresses.of(VPC),
        public=Addresses.of(*PUBLIC),
        private=Addresses.of(*PRIVATE),
        isolated=Addresses.of(*ISOLATED),
        interface_endpoints=setup.interface_endpoints,
        dynamodb=Addresses.of(*DYNAMODB),
        dict=Addresses.of(*setup.egress.get("dict", ())),
        spi=Addresses.of(*setup.egress.get("spi", ())),
        gateway="gateway",
        cluster_group=_group(graph, "cluster"),
        groups={_group(graph, "balancer"): Addresses.of(*PUBLIC)},
        prefix_lists={
            str((node.outputs or {})["prefixListId"]): Addresses.of(*DYNAMODB)
            for node in graph.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
        },
    )


def _group(graph: Graph, name: str) -> str:
    node = graph.one("aws:ec2/securityGroup:SecurityGroup", name)
    return str((node.outputs or {})["arn"]).rpartition("/")[2]

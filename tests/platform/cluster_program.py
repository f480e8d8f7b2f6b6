"""A program with one whole cluster, as the environment makes it, in a VPC that is only named."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from eks import Cluster, ClusterArgs
from environments.graph import answers as cloud
from environments.graph.evaluation import Graph, Node, evaluate
from network import Subnets
from settings import ClusterSettings

ADMIN = "arn:aws:iam::111122223333:role/teams/platform"
SETTINGS = ClusterSettings(
    version="1.34",
    node_type="m7g.large",
    nodes=2,
    max_nodes=6,
    api_cidrs=("203.0.113.0/24",),
    admin_roles=(ADMIN,),
    previews=3,
)
WORKLOAD = "workload"
"""Stands for whatever waits for `ready`."""

CLUSTER = "eks:index:Cluster"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
ADDON = "aws:eks/addon:Addon"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
INLINE = "aws:iam/rolePolicy:RolePolicy"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
RELEASE = "kubernetes:helm.sh/v3:Release"
ROLE = "aws:iam/role:Role"


def subnets(kind: str) -> Subnets:
    ids = [Output.from_input(f"subnet-{kind}-{zone}") for zone in "abc"]
    return Subnets(ids=ids, cidrs=[f"10.0.{number}.0/24" for number in range(3)])


def make_cluster(settings: ClusterSettings, *, insights: bool, protect: bool) -> None:
    """A cluster beside its route, under a component with an explicit provider; exports what it hands out."""
    ours = aws.Provider("ours", region=cloud.REGION)
    base = pulumi.ComponentResource("test:index:Base", "base", {}, ResourceOptions(providers=[ours]))
    route = aws.ec2.Route("route", route_table_id="rtb-1", opts=ResourceOptions(parent=base))
    made = Cluster(
        "cluster",
        ClusterArgs(
            settings=settings,
            prefix="dev",
            region=cloud.REGION,
            account_id=cloud.ACCOUNT,
            vpc_id="vpc-1",
            public=subnets("public"),
            private=subnets("private"),
            routes=[route],
            key_arn=cloud.arn("kms", "key/cluster"),
            disk_key_arn=cloud.arn("kms", "key/disks"),
            log_key_arn=cloud.arn("kms", "key/logs"),
            retention_days=7,
            container_insights=insights,
            protect=protect,
        ),
        ResourceOptions(parent=base),
    )
    for name in ("name", "endpoint", "ca", "security_group_id", "log_groups"):
        pulumi.export(name, getattr(made, name))
    aws.ec2.Eip(WORKLOAD, opts=ResourceOptions(parent=base, depends_on=made.ready))


@cache
def cluster_graph(*, preview: bool, insights: bool = False, protect: bool = False) -> Graph:
    """The cluster of `SETTINGS`, evaluated once for all tests, which only look at it."""
    return evaluate(lambda: make_cluster(SETTINGS, insights=insights, protect=protect), preview=preview)


def cluster_with(**changes: object) -> Node:
    """The control plane when these settings are others."""
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    return evaluate(lambda: make_cluster(settings, insights=False, protect=False)).one(CLUSTER)


def rights(graph: Graph) -> Mapping[str, set[str]]:
    """The managed policies attached in a graph, by the role's name."""
    found: dict[str, set[str]] = {}
    for node in graph.of_type(ATTACHMENT):
        policies = found.setdefault(node.inputs["role"], set())
        policies.add(node.inputs["policyArn"].rpartition("/")[2])
    return found

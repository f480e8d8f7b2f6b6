"""What a branch may have: its own tables and pods on somebody else's cluster."""

from collections.abc import Iterator, Sequence

from policies.graph import UNKNOWN, Facts, Resource, Violation, of, violation

EXPENSIVE = (
    "aws:budgets/budget:Budget",
    "aws:cognito/userPool:UserPool",
    "aws:ec2/eip:Eip",
    "aws:ec2/instance:Instance",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:eks/addon:Addon",
    "aws:eks/cluster:Cluster",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:kms/key:Key",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:msk/cluster:Cluster",
    "aws:msk/serverlessCluster:ServerlessCluster",
    "aws:rds/cluster:Cluster",
    "aws:rds/instance:Instance",
    "aws:wafv2/webAcl:WebAcl",
    "eks:index:Cluster",
)
"""What costs money while nobody looks, or that a base has once for all."""
TABLE = "aws:dynamodb/table:Table"
TOPIC = "aws:msk/topic:Topic"


def nothing_expensive(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """A preview makes nothing that the base has, and nothing that bills by the hour."""
    if facts.kind != "preview":
        return
    for each in of(resources, *EXPENSIVE):
        yield violation(each, "belongs to the base, not to a preview")
    for table in of(resources, TABLE):
        if table.at("billingMode") not in ("PAY_PER_REQUEST", UNKNOWN):
            yield violation(table, "is billed by the hour in a preview")
        if table.at("pointInTimeRecovery", "enabled") is True:
            yield violation(table, "is backed up in a preview")
    for topic in of(resources, TOPIC):
        if topic.at("partitionCount") not in (1, UNKNOWN):
            yield violation(topic, "takes more than one of the brokers' partitions")

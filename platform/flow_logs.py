"""Who spoke to whom in a VPC, kept in CloudWatch Logs."""

from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

AGGREGATION_SECONDS = 60


@dataclass(frozen=True)
class FlowLogsArgs:
    """`traffic`: everything, or only what was refused."""

    region: str
    account_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    traffic: Literal["ALL", "REJECT"]
    key_arn: pulumi.Input[str]
    retention_days: int


class FlowLogs(pulumi.ComponentResource):
    """An encrypted log group, the role that writes to it, and the flow log of one VPC.

    Costs nothing at rest but what is kept; `ALL` in a busy VPC costs more than its NAT gateways.
    The role is VPC Flow Logs' for this account and region, and writes to this group only.
    """

    def __init__(self, name: str, args: FlowLogsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:FlowLogs", name, {}, opts)
        child = ResourceOptions(parent=self)
        group = aws.cloudwatch.LogGroup(
            name, kms_key_id=args.key_arn, retention_in_days=args.retention_days, opts=child
        )
        account = pulumi.Output.from_input(args.account_id)
        role = aws.iam.Role(
            name,
            description="VPC flow logs to CloudWatch Logs",
            assume_role_policy=pulumi.Output.json_dumps(
                account.apply(lambda known: trust_policy(known, args.region))
            ),
            opts=child,
        )
        permissions = aws.iam.RolePolicy(
            name,
            role=role.name,
            policy=pulumi.Output.json_dumps(group.arn.apply(write_policy)),
            opts=child,
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=args.vpc_id,
            traffic_type=args.traffic,
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=AGGREGATION_SECONDS,
            tags={"Name": name},
            opts=ResourceOptions(parent=self, depends_on=[permissions]),
        )
        self.register_outputs({})


def trust_policy(account_id: str, region: str) -> dict[str, object]:
    """VPC Flow Logs may take the role, for flow logs of this account and region."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account_id},
            "ArnLike": {"aws:SourceArn": f"arn:aws:ec2:{region}:{account_id}:vpc-flow-log/*"},
        },
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def write_policy(group_arn: str) -> dict[str, object]:
    """Streams of one log group. Not the group itself: a late record must not make it anew."""
    statement = {
        "Effect": "Allow",
        "Action": [
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        ],
        "Resource": [group_arn, f"{group_arn}:*"],
    }
    return {"Version": "2012-10-17", "Statement": [statement]}

"""Encryption keys, one for each kind of data, so that who may read one kind may not read the next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
SHORTEST_DELETION_DAYS, LONGEST_DELETION_DAYS = 7, 30

Statement = dict[str, object]


@dataclass(frozen=True)
class KeysArgs:
    """`deletion_days`: how long a deleted key can be had back, 7 to 30 days; what it encrypted waits too."""

    region: str
    account_id: pulumi.Input[str]
    deletion_days: int
    protect: bool


class Keys(pulumi.ComponentResource):
    """Eight symmetric keys, each with an alias that Pulumi names after it, so that stacks never collide.

    Makes `cluster` (Kubernetes secrets), `disks` (volumes of the nodes), `tables` (DynamoDB), `secrets`
    (Secrets Manager), `logs` (CloudWatch Logs), `kafka` (MSK), `images` (ECR) and `alarms` (the SNS topic
    of alarms and budget). Each rotates every year. The attributes are ARNs.

    Costs at rest 8 USD a month, and as much again after each of a key's first two rotations.

    Refuses a deletion period that AWS would. DynamoDB, Secrets Manager, MSK, ECR and EKS use a key with
    the permissions or grants of whoever calls them, so their keys' policies have no statement for them.
    """

    cluster: Output[str]
    disks: Output[str]
    tables: Output[str]
    secrets: Output[str]
    logs: Output[str]
    kafka: Output[str]
    images: Output[str]
    alarms: Output[str]

    def __init__(self, name: str, args: KeysArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Keys", name, {}, opts)
        if not SHORTEST_DELETION_DAYS <= args.deletion_days <= LONGEST_DELETION_DAYS:
            raise ValueError(
                f"a deleted key waits {SHORTEST_DELETION_DAYS} to {LONGEST_DELETION_DAYS} days, "
                f"not {args.deletion_days}"
            )
        self.cluster = self._key(name, "cluster", args)
        self.disks = self._key(name, "disks", args)
        self.tables = self._key(name, "tables", args)
        self.secrets = self._key(name, "secrets", args)
        self.logs = self._key(name, "logs", args)
        self.kafka = self._key(name, "kafka", args)
        self.images = self._key(name, "images", args)
        self.alarms = self._key(name, "alarms", args)
        self.register_outputs({})

    def _key(self, name: str, domain: str, args: KeysArgs) -> Output[str]:
        policy = Output.from_input(args.account_id).apply(
            lambda account_id: key_policy(domain, account_id, args.region)
        )
        key = aws.kms.Key(
            f"{name}-{domain}",
            description=f"GO Banking: {domain}",
            enable_key_rotation=True,
            deletion_window_in_days=args.deletion_days,
            policy=Output.json_dumps(policy),
            tags={"Name": f"{name}-{domain}"},
            opts=ResourceOptions(parent=self, protect=args.protect),
        )
        aws.kms.Alias(f"{name}-{domain}", target_key_id=key.key_id, opts=ResourceOptions(parent=self))
        return key.arn


def key_policy(domain: str, account_id: str, region: str) -> dict[str, object]:
    """The policy of a domain's key: the account's IAM decides, and the services that IAM cannot speak for."""
    services = SERVICES.get(domain)
    statements = [account_statement(account_id), *(services(account_id, region) if services else [])]
    return {"Version": "2012-10-17", "Statement": statements}


def account_statement(account_id: str) -> Statement:
    """IAM policies of the account decide who uses the key. Without it nobody could ever change it again."""
    return {
        "Sid": "Account",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }


def log_statements(account_id: str, region: str) -> list[Statement]:
    """CloudWatch Logs of the region, for log groups of the account."""
    groups = f"arn:aws:logs:{region}:{account_id}:log-group:*"
    return [
        {
            "Sid": "LogGroups",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{region}.amazonaws.com"},
            "Action": USE,
            "Resource": "*",
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        }
    ]


def disk_statements(account_id: str, region: str) -> list[Statement]:
    """Auto Scaling, which starts nodes, through EC2.

    Its service-linked role may not exist before the first node group, and KMS refuses a principal that
    does not exist: so anybody, if it is that role. Without these nodes never join (Client.InternalError).
    """
    role = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    condition: dict[str, dict[str, str]] = {
        "StringEquals": {"kms:CallerAccount": account_id, "kms:ViaService": f"ec2.{region}.amazonaws.com"},
        "ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{account_id}:{role}"},
    }
    attached = {**condition, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    anybody: Statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Resource": "*"}
    return [
        {"Sid": "NodeVolumes", **anybody, "Action": USE, "Condition": condition},
        {"Sid": "NodeVolumeGrants", **anybody, "Action": "kms:CreateGrant", "Condition": attached},
    ]


def alarm_statements(account_id: str, region: str) -> list[Statement]:
    """CloudWatch's alarms and the account's budgets, which publish to the encrypted topic.

    They lose the message without a word when they may not use its key.
    """
    return [
        _publisher("Alarms", "cloudwatch", account_id, f"arn:aws:cloudwatch:{region}:{account_id}:alarm:*"),
        _publisher("Budgets", "budgets", account_id, f"arn:aws:budgets::{account_id}:*"),
    ]


SERVICES: Mapping[str, Callable[[str, str], list[Statement]]] = {
    "alarms": alarm_statements,
    "disks": disk_statements,
    "logs": log_statements,
}


def _publisher(sid: str, service: str, account_id: str, source: str) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account_id},
            "ArnLike": {"aws:SourceArn": source},
        },
    }

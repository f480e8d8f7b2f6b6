"""Private ways to AWS's services: traffic that need not leave by NAT, for credentials of this account only.

A service that may speak to nothing but these endpoints must not be able to carry data out through them
with an intruder's credentials, so what takes data asks whose credentials they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

GUARDED = ("ecr.api", "ecr.dkr", "kms", "logs", "monitoring", "secretsmanager")
"""Interface endpoints that data could leave by: for principals of this account only."""

OPEN = ("ec2", "eks-auth", "elasticloadbalancing", "sts")
"""Interface endpoints without a policy: they manage, and STS also hears callers who are nobody yet."""


@dataclass(frozen=True)
class GatewayEndpointsArgs:
    """Whose route tables get the endpoints."""

    region: str
    account_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    route_table_ids: Sequence[pulumi.Input[str]]


class GatewayEndpoints(pulumi.ComponentResource):
    """DynamoDB and S3 as routes. Costs nothing.

    Refuses other accounts' credentials and data, except the buckets that container images are read from.
    """

    dynamodb_prefix_list_id: pulumi.Output[str]
    dynamodb_cidrs: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: GatewayEndpointsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:GatewayEndpoints", name, {}, opts)
        account = pulumi.Output.from_input(args.account_id)

        def endpoint(service: str, policy: pulumi.Output[dict[str, object]]) -> aws.ec2.VpcEndpoint:
            return aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Gateway",
                service_name=service_name(args.region, service),
                route_table_ids=args.route_table_ids,
                policy=pulumi.Output.json_dumps(policy),
                tags={"Name": f"{name}-{service}"},
                opts=ResourceOptions(parent=self),
            )

        endpoint("s3", account.apply(lambda known: storage_policy(known, args.region)))
        dynamodb = endpoint("dynamodb", account.apply(tables_policy))
        self.dynamodb_prefix_list_id = dynamodb.prefix_list_id
        self.dynamodb_cidrs = dynamodb.cidr_blocks
        self.register_outputs({"dynamodbPrefixListId": self.dynamodb_prefix_list_id})


@dataclass(frozen=True)
class InterfaceEndpointsArgs:
    """Where the endpoints stand, and who may call them."""

    region: str
    account_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    vpc_cidr: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]


class InterfaceEndpoints(pulumi.ComponentResource):
    """Ten services under their usual names, in each of the subnets, behind one security group.

    Costs about 220 USD a month in three zones (us-east-1), and a cent for each GB. The security group
    hears TLS from the VPC's range and says nothing itself. Refuses other accounts' credentials where
    data could leave.
    """

    def __init__(self, name: str, args: InterfaceEndpointsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:InterfaceEndpoints", name, {}, opts)
        child = ResourceOptions(parent=self)
        # AWS gives a new group a rule that lets everything out; the provider takes it away.
        group = aws.ec2.SecurityGroup(
            name,
            vpc_id=args.vpc_id,
            description="Interface endpoints: TLS from the VPC",
            tags={"Name": name},
            opts=child,
        )
        rule = aws.vpc.SecurityGroupIngressRule(
            f"{name}-tls",
            security_group_id=group.id,
            description="TLS from the VPC",
            cidr_ipv4=args.vpc_cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            opts=child,
        )
        own = pulumi.Output.json_dumps(pulumi.Output.from_input(args.account_id).apply(own_principals_policy))
        for service in (*GUARDED, *OPEN):
            aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Interface",
                service_name=service_name(args.region, service),
                subnet_ids=args.subnet_ids,
                security_group_ids=[group.id],
                private_dns_enabled=True,
                policy=own if service in GUARDED else None,
                tags={"Name": f"{name}-{service}"},
                # From its first second an endpoint answers for the service's name: it must be open by then.
                opts=ResourceOptions(parent=self, depends_on=[rule]),
            )
        self.register_outputs({})


def service_name(region: str, service: str) -> str:
    """What EC2 calls a service's endpoint."""
    return f"com.amazonaws.{region}.{service}"


def own_principals_policy(account_id: str) -> dict[str, object]:
    """Anything, with credentials of the account; what it is done to may be another's, as EKS's images are."""
    return _policy(_allowed("OwnPrincipals", {"aws:PrincipalAccount": account_id}))


def tables_policy(account_id: str) -> dict[str, object]:
    """The account's tables, with credentials of the account."""
    return _policy(_own_data(account_id))


def storage_policy(account_id: str, region: str) -> dict[str, object]:
    """The account's buckets, with its credentials; and image layers, which nobody's credentials ask for.

    ECR signs the URLs of layers itself, those of EKS's own images too; registry.k8s.io, from where the
    Cluster Autoscaler comes, sends callers on AWS to a bucket in their region.
    """
    layers: dict[str, object] = {
        "Sid": "ImageLayers",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": [
            f"arn:aws:s3:::prod-{region}-starport-layer-bucket/*",
            f"arn:aws:s3:::prod-registry-k8s-io-{region}/*",
        ],
    }
    return _policy(_own_data(account_id), layers)


def _own_data(account_id: str) -> dict[str, object]:
    return _allowed("OwnData", {"aws:PrincipalAccount": account_id, "aws:ResourceAccount": account_id})


def _allowed(sid: str, equal: dict[str, str]) -> dict[str, object]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": equal},
    }


def _policy(*statements: dict[str, object]) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": list(statements)}

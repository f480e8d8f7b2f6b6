"""What each service may do on AWS: a role with the catalog's policy, given to its pods and to nobody else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

import names
from apps.catalog import Catalog, CatalogError, Service, policy
from names import AwsArns

AUTONAME_LENGTH = len("-0123abc")
ROLE_NAME_LIMIT = 64


@dataclass(frozen=True)
class RolesArgs:
    """`secret_arns` by the catalog's names, all of them."""

    catalog: Catalog
    prefix: str
    region: str
    account_id: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    table_key_arn: pulumi.Input[str]
    secret_key_arn: pulumi.Input[str]
    kafka_arn: pulumi.Input[str]
    secret_arns: Mapping[str, pulumi.Input[str]]


class Roles(pulumi.ComponentResource):
    """A role, its policy and its Pod Identity association for each service that calls AWS, jobs too. Free.

    The gateway and the simulators call nothing there: their network does not even reach the Pod Identity
    agent. They get no role, since a role without a permission would only be one to forget; IAM takes no empty
    policy either. `associations` follow their policy: pods that wait for them start with what they need.

    Refuses (`CatalogError`) a secret without an ARN, (`ValueError`) a role's name that would be too long.
    """

    arns: dict[str, pulumi.Output[str]]
    associations: list[pulumi.Resource]

    def __init__(self, name: str, args: RolesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Roles", name, {}, opts)
        if missing := sorted(args.catalog.secrets - args.secret_arns.keys()):
            raise CatalogError(f"secrets without an ARN: {', '.join(missing)}")
        arns = pulumi.Output.all(
            account_id=args.account_id,
            table_key_arn=args.table_key_arn,
            secret_key_arn=args.secret_key_arn,
            kafka_arn=args.kafka_arn,
            secrets=dict(args.secret_arns),
        ).apply(lambda known: AwsArns(region=args.region, prefix=args.prefix, **known))

        self.arns = {}
        self.associations = []
        for service in with_role(args.catalog):
            role = self._role(name, service, args, arns)
            self.arns[service.name] = role.arn
        self.register_outputs({"arns": self.arns})

    def _role(
        self, name: str, service: Service, args: RolesArgs, arns: pulumi.Output[AwsArns]
    ) -> aws.iam.Role:
        workload = names.workload(service.name)
        child = role_name(name, service)
        namespace = names.namespace(args.prefix)
        role = aws.iam.Role(
            child,
            description=f"{workload} of {args.prefix}",
            assume_role_policy=pulumi.Output.all(args.account_id, args.cluster_name).apply(
                lambda known: json.dumps(trust(args.region, known[0], known[1], namespace, workload))
            ),
            opts=ResourceOptions(parent=self),
        )
        permissions = aws.iam.RolePolicy(
            child,
            role=role.name,
            policy=arns.apply(lambda known: json.dumps(policy(args.catalog, service.name, known))),
            opts=ResourceOptions(parent=self),
        )
        self.associations.append(
            aws.eks.PodIdentityAssociation(
                child,
                cluster_name=args.cluster_name,
                namespace=namespace,
                service_account=workload,
                role_arn=role.arn,
                disable_session_tags=False,  # the trust is in them
                opts=ResourceOptions(parent=self, depends_on=[permissions]),
            )
        )
        return role


def with_role(catalog: Catalog) -> list[Service]:
    """The services that get credentials: those that may reach what hands them out."""
    return [service for service in catalog.services if "pod_identity" in service.egress]


def role_name(name: str, service: Service) -> str:
    """What Pulumi makes the role's name of. `ValueError` when that would be too long for IAM."""
    made = f"{name}-{names.workload(service.name)}"
    if len(made) + AUTONAME_LENGTH > ROLE_NAME_LIMIT:
        raise ValueError(
            f"a role's name has at most {ROLE_NAME_LIMIT} characters; '{made}' is too long for it"
        )
    return made


def trust(region: str, account_id: str, cluster: str, namespace: str, workload: str) -> dict[str, object]:
    """Who may take the role: EKS, for pods of one service account in one namespace of one cluster.

    Told by the session tags that Pod Identity sets (EKS user guide, "Create IAM role with trust policy
    required by EKS Pod Identity"), not by `aws:SourceArn`: its value is not documented there, and a guess
    leaves the pods without credentials (awslabs/mountpoint-s3-csi-driver#781).
    """
    cluster_arn = f"arn:aws:eks:{region}:{account_id}:cluster/{cluster}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PodIdentity",
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {
                    "StringEquals": {
                        "aws:SourceAccount": account_id,
                        "aws:RequestTag/eks-cluster-arn": cluster_arn,
                        "aws:RequestTag/kubernetes-namespace": namespace,
                        "aws:RequestTag/kubernetes-service-account": workload,
                    }
                },
            }
        ],
    }

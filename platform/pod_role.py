"""Roles of what runs in the cluster besides the bank, whose services have theirs by iam.py."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

import trust


@dataclass(frozen=True)
class PodRoleArgs:
    """Rights by exactly one of `policy` (a document) and `managed_policy` (a name)."""

    account_id: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    namespace: str
    service_account: str
    policy: pulumi.Input[str] | None = None
    managed_policy: str | None = None


class PodRole(pulumi.ComponentResource):
    """A role that the pods of one service account may take, and its rights. Costs nothing."""

    arn: Output[str]
    rights: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: PodRoleArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:PodRole", name, {}, opts)
        if (args.policy is None) == (args.managed_policy is None):
            raise ValueError(f"{name}: rights come from a policy or from a managed one")
        child = ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            assume_role_policy=Output.all(
                args.account_id, args.cluster_arn, args.namespace, args.service_account
            ).apply(lambda plain: trust.by_pods(*plain)),
            opts=child,
        )
        self.rights = [_rights(f"{name}-rights", args, role, child)]
        self.arn = role.arn
        self.register_outputs({"arn": self.arn})


def associate(
    name: str, args: PodRoleArgs, role: PodRole, cluster_name: pulumi.Input[str], opts: ResourceOptions
) -> aws.eks.PodIdentityAssociation:
    """Gives the role to its service account.

    Pods read it when they start, so it must stand, with the rights, before what runs under the account does.
    """
    needs = ResourceOptions(depends_on=list(role.rights))
    return aws.eks.PodIdentityAssociation(
        name,
        cluster_name=cluster_name,
        namespace=args.namespace,
        service_account=args.service_account,
        role_arn=role.arn,
        opts=ResourceOptions.merge(opts, needs),
    )


def _rights(name: str, args: PodRoleArgs, role: aws.iam.Role, opts: ResourceOptions) -> pulumi.Resource:
    if args.managed_policy is not None:
        arn = trust.managed(args.managed_policy)
        return aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=arn, opts=opts)
    return aws.iam.RolePolicy(name, role=role.name, policy=args.policy, opts=opts)

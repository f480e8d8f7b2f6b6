"""The control plane of the cluster, with the network plugin and kube-proxy, which nodes need to join."""

from collections.abc import Iterable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
from pulumi import Output, ResourceOptions

import trust
from names import physical
from network import Subnets
from settings import ClusterSettings
from versions import versions

LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
POLICIES = ("AmazonEKSClusterPolicy", "AmazonEKSVPCResourceController")
"""The second gives pods security groups of their own; EKS does not attach it by itself."""

ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


@dataclass(frozen=True)
class ControlPlaneArgs:
    """`key_arn` encrypts the Secrets of Kubernetes, for good: it cannot be taken away later."""

    settings: ClusterSettings
    prefix: str
    region: str
    account_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    public: Subnets
    private: Subnets
    key_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    retention_days: int
    protect: bool


class ControlPlane(pulumi.ComponentResource):
    """An EKS cluster without nodes, its role and its log group. Costs 73 USD a month.

    With no `api_cidrs` its API is reached from the VPC only, and so must be whoever runs this program.
    """

    cluster: eks.Cluster
    name: Output[str]
    arn: Output[str]
    endpoint: Output[str]
    ca: Output[str]
    security_group_id: Output[str]

    def __init__(self, name: str, args: ControlPlaneArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:ControlPlane", name, {}, opts)
        child = ResourceOptions(parent=self)
        role = aws.iam.Role(f"{name}-role", assume_role_policy=trust.by_service("eks"), opts=child)
        rights = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy}", role=role.name, policy_arn=trust.managed(policy), opts=child
            )
            for policy in POLICIES
        ]
        physical_name = role.name.apply(lambda made: cluster_name(args.prefix, made))
        # EKS would make it, without encryption or end, if it found none.
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=Output.concat("/aws/eks/", physical_name, "/cluster"),
            retention_in_days=args.retention_days,
            kms_key_id=args.log_key_arn,
            opts=ResourceOptions(parent=self, protect=args.protect),
        )
        self.cluster = _cluster(
            f"{name}-eks",
            args,
            physical_name,
            role,
            ResourceOptions(parent=self, depends_on=[logs, *rights], protect=args.protect),
        )
        self.name = self.cluster.eks_cluster.name
        self.arn = Output.all(args.region, args.account_id, self.name).apply(
            lambda plain: cluster_arn(*plain)
        )
        self.endpoint = self.cluster.eks_cluster.endpoint
        self.ca = self.cluster.eks_cluster.certificate_authority.data
        self.security_group_id = self.cluster.cluster_security_group_id
        self.register_outputs({"name": self.name, "endpoint": self.endpoint})


def _cluster(
    resource_name: str,
    args: ControlPlaneArgs,
    name: pulumi.Input[str],
    role: aws.iam.Role,
    opts: ResourceOptions,
) -> eks.Cluster:
    settings, pinned = args.settings, versions(args.settings.version)
    return eks.Cluster(
        resource_name,
        name=name,
        version=settings.version,
        upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
        service_role=role,
        vpc_id=args.vpc_id,
        public_subnet_ids=list(args.public.ids),
        private_subnet_ids=list(args.private.ids),
        endpoint_private_access=True,
        endpoint_public_access=bool(settings.api_cidrs),
        public_access_cidrs=list(settings.api_cidrs) or None,
        authentication_mode=eks.AuthenticationMode.API,
        access_entries=access_entries(settings.admin_roles),
        encryption_config_key_arn=args.key_arn,
        enabled_cluster_log_types=list(LOGS),
        deletion_protection=args.protect,
        # The add-ons are ours, with versions, from the first minute. CoreDNS is not made here: it never
        # gets healthy without nodes, and the nodes wait for this component (pulumi-eks#1819).
        bootstrap_self_managed_addons=False,
        vpc_cni_options=cni_options(pinned.vpc_cni),
        kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(enabled=True, version=pinned.kube_proxy),
        skip_default_node_group=True,
        skip_default_security_groups=True,
        opts=opts,
    )


def cluster_name(prefix: str, role_name: str) -> str:
    """`dev-0a1b2c3`: the prefix, and the random end of the name that the cluster's role was given.

    Another name each time that the cluster is made anew: EKS still writes its last logs while it is being
    deleted, so that their group comes back after it was deleted, and a cluster of the same name could not
    make its own.
    """
    return physical(prefix, role_name.rpartition("-")[2])


def cluster_arn(region: str, account_id: str, name: str) -> str:
    """A cluster's ARN."""
    return f"arn:aws:eks:{region}:{account_id}:cluster/{name}"


def access_entries(admin_roles: Iterable[str]) -> dict[str, eks.AccessEntryArgs]:
    """Administrators besides the cluster's creator, who is one without an entry and must not be given here.

    By account and name, so that the order of the list means nothing.
    """
    everything = aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
    policy = eks.AccessPolicyAssociationArgs(policy_arn=ADMIN_POLICY, access_scope=everything)
    return {
        _entry(arn): eks.AccessEntryArgs(principal_arn=arn, access_policies={"admin": policy})
        for arn in admin_roles
    }


def _entry(role_arn: str) -> str:
    _, _, _, _, account, path = role_arn.split(":")
    return f"{account}-{path.removeprefix('role/').replace('/', '-')}"


def cni_options(version: str) -> eks.VpcCniOptionsArgs:
    """Pods with addresses of the VPC, NetworkPolicies, and security groups of their own where asked for.

    The last four belong together. `standard` lets such a pod reach the Pod Identity agent on its node, but
    sends what it says to the internet through the node's interface, past its security group, unless the NAT
    gateway translates addresses instead of the node (amazon-vpc-cni-k8s, README). Probes of such pods need
    early demultiplexing off.
    """
    return eks.VpcCniOptionsArgs(
        addon_version=version,
        log_level="INFO",
        enable_prefix_delegation=True,
        enable_network_policy=True,
        enable_pod_eni=True,
        disable_tcp_early_demux=True,
        cni_external_snat=True,
        configuration_values={"env": {"POD_SECURITY_GROUP_ENFORCING_MODE": "standard"}},
    )

"""The Kubernetes cluster, behind one component that hands out plain values.

    control plane with CNI and kube-proxy --> Pod Identity agent, the CNI's rights --> nodes --> add-ons
        --> controllers, and only then (`ready`) workloads

A destroy goes the other way: a controller or CNI that went first would leave network interfaces behind, which
hold on to subnets and security groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from addons import Addons, AddonsArgs
from control_plane import ControlPlane, ControlPlaneArgs
from controllers import Controllers, ControllersArgs
from kubernetes_access import provider
from network import Subnets
from node_group import Nodes, NodesArgs
from pod_role import PodRole, PodRoleArgs, associate
from settings import ClusterSettings
from versions import versions


@dataclass(frozen=True)
class ClusterArgs:
    """`routes` are the private subnets' ways out: without them a node never reaches the registries."""

    settings: ClusterSettings
    prefix: str
    region: str
    account_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    public: Subnets
    private: Subnets
    routes: Sequence[pulumi.Resource]
    key_arn: pulumi.Input[str]
    disk_key_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    retention_days: int
    container_insights: bool
    protect: bool


class Cluster(pulumi.ComponentResource):
    """An EKS cluster with nodes, add-ons and controllers, ready for workloads.

    Costs 73 USD a month for the control plane, and the nodes. Refuses a Kubernetes version for which
    `versions.py` pins nothing. `log_groups` are those that pods and nodes write to, by what is in them.
    """

    name: Output[str]
    endpoint: Output[str]
    ca: Output[str]
    security_group_id: Output[str]
    log_groups: Mapping[str, Output[str]]
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: ClusterArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Cluster", name, {}, opts)
        self._name, self._args = name, args
        self._child = ResourceOptions(parent=self)

        control_plane = self._control_plane()
        agent = self._pod_identity_agent(control_plane)
        nodes = Nodes(
            f"{name}-nodes",
            NodesArgs(
                settings=args.settings,
                cluster_name=control_plane.name,
                private=args.private,
                disk_key_arn=args.disk_key_arn,
                needs=[control_plane.cluster, agent, self._cni_rights(control_plane), *args.routes],
            ),
            self._child,
        )
        addons = self._addons(control_plane, nodes, agent)
        installed = [agent, *addons.installed]
        controllers = self._controllers(control_plane, [nodes.group, *installed])

        self.name = control_plane.name
        self.endpoint = control_plane.endpoint
        self.ca = control_plane.ca
        self.security_group_id = control_plane.security_group_id
        self.log_groups = addons.log_groups
        self.ready = [*installed, *controllers.releases]
        self.register_outputs({"name": self.name, "endpoint": self.endpoint})

    def _control_plane(self) -> ControlPlane:
        args = self._args
        return ControlPlane(
            f"{self._name}-control-plane",
            ControlPlaneArgs(
                settings=args.settings,
                prefix=args.prefix,
                region=args.region,
                account_id=args.account_id,
                vpc_id=args.vpc_id,
                public=args.public,
                private=args.private,
                key_arn=args.key_arn,
                log_key_arn=args.log_key_arn,
                retention_days=args.retention_days,
                protect=args.protect,
            ),
            self._child,
        )

    def _pod_identity_agent(self, control_plane: ControlPlane) -> aws.eks.Addon:
        """Before the nodes, unlike other add-ons: on a new node the CNI asks it for its rights."""
        return aws.eks.Addon(
            f"{self._name}-eks-pod-identity-agent",
            cluster_name=control_plane.name,
            addon_name="eks-pod-identity-agent",
            addon_version=versions(self._args.settings.version).eks_pod_identity_agent,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=ResourceOptions(parent=self, depends_on=[control_plane.cluster]),
        )

    def _cni_rights(self, control_plane: ControlPlane) -> pulumi.Resource:
        """For `aws-node` alone: on the nodes' role they would be for all that runs in the nodes' network.

        By an association, because the options of `eks.Cluster` know only roles for OpenID Connect.
        """
        args = PodRoleArgs(
            account_id=self._args.account_id,
            cluster_arn=control_plane.arn,
            namespace="kube-system",
            service_account="aws-node",
            managed_policy="AmazonEKS_CNI_Policy",
        )
        role = PodRole(f"{self._name}-cni", args, self._child)
        return associate(f"{self._name}-cni-identity", args, role, control_plane.name, self._child)

    def _addons(self, control_plane: ControlPlane, nodes: Nodes, agent: pulumi.Resource) -> Addons:
        args = self._args
        return Addons(
            f"{self._name}-addons",
            AddonsArgs(
                versions=versions(args.settings.version),
                cluster_name=control_plane.name,
                cluster_arn=control_plane.arn,
                account_id=args.account_id,
                nodes=nodes.group,
                agent=agent,
                container_insights=args.container_insights,
                log_key_arn=args.log_key_arn,
                retention_days=args.retention_days,
                protect=args.protect,
            ),
            self._child,
        )

    def _controllers(self, control_plane: ControlPlane, needs: Sequence[pulumi.Resource]) -> Controllers:
        args = self._args
        kubernetes = provider(
            f"{self._name}-kubernetes",
            cluster_name=control_plane.name,
            endpoint=control_plane.endpoint,
            ca=control_plane.ca,
            region=args.region,
            delete_unreachable=False,
            opts=self._child,
        )
        return Controllers(
            f"{self._name}-controllers",
            ControllersArgs(
                region=args.region,
                account_id=args.account_id,
                cluster_name=control_plane.name,
                cluster_arn=control_plane.arn,
                vpc_id=args.vpc_id,
                autoscaler_version=versions(args.settings.version).autoscaler,
                needs=needs,
            ),
            ResourceOptions(parent=self, providers=[kubernetes]),
        )

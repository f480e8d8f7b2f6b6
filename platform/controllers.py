"""What works on AWS for the cluster: registers pods with load balancers, adds and removes nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import Output, ResourceOptions

import autoscaler
import load_balancer_controller
from pod_role import PodRole, PodRoleArgs, associate
from versions import AUTOSCALER_CHART, LOAD_BALANCER_CONTROLLER_CHART

NAMESPACE = "kube-system"
TIMEOUT_SECONDS = 600

Values = Mapping[str, object]


@dataclass(frozen=True)
class ControllersArgs:
    """`needs` is what must stand before they start, and until they are gone: nodes, names, Pod Identity.

    The Kubernetes provider comes by `providers` of the options.
    """

    region: str
    account_id: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    autoscaler_version: str
    needs: Sequence[pulumi.Resource]


class Controllers(pulumi.ComponentResource):
    """The AWS Load Balancer Controller and the Cluster Autoscaler, each with a role of its own.

    Costs the room of three pods. Neither makes anything that would outlive the stack: the load balancer and
    its target groups are the program's, and the controller may only say which pods are behind them.
    """

    releases: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: ControllersArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Controllers", name, {}, opts)
        self._name, self._args = name, args
        self.releases = [
            self._release(
                load_balancer_controller.NAME,
                policy=Output.all(args.region, args.account_id, args.vpc_id).apply(
                    lambda plain: load_balancer_controller.policy(*plain)
                ),
                repository="https://aws.github.io/eks-charts",
                version=LOAD_BALANCER_CONTROLLER_CHART,
                values=load_balancer_controller.values(args.cluster_name, args.region, args.vpc_id),
            ),
            self._release(
                autoscaler.NAME,
                policy=Output.all(args.region, args.account_id, args.cluster_name).apply(
                    lambda plain: autoscaler.policy(*plain)
                ),
                repository="https://kubernetes.github.io/autoscaler",
                version=AUTOSCALER_CHART,
                values=autoscaler.values(args.cluster_name, args.region, args.autoscaler_version),
            ),
        ]
        self.register_outputs({})

    def _release(
        self, chart: str, *, policy: pulumi.Input[str], repository: str, version: str, values: Values
    ) -> kubernetes.helm.v3.Release:
        """A chart under the name by which operators know it, after the right of its service account."""
        args = self._args
        rights = PodRoleArgs(
            account_id=args.account_id,
            cluster_arn=args.cluster_arn,
            namespace=NAMESPACE,
            service_account=chart,
            policy=policy,
        )
        child = ResourceOptions(parent=self)
        role = PodRole(f"{self._name}-{chart}", rights, child)
        association = associate(f"{self._name}-{chart}-identity", rights, role, args.cluster_name, child)
        return kubernetes.helm.v3.Release(
            f"{self._name}-{chart}-release",
            kubernetes.helm.v3.ReleaseArgs(
                name=chart,
                namespace=NAMESPACE,
                chart=chart,
                version=version,
                repository_opts=kubernetes.helm.v3.RepositoryOptsArgs(repo=repository),
                values=values,
                timeout=TIMEOUT_SECONDS,
                # Without it an install that failed keeps its name, and no later one may have it.
                atomic=True,
            ),
            opts=ResourceOptions(parent=self, depends_on=[association, *args.needs]),
        )

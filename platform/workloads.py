"""What runs in the cluster for one environment: its namespace, and in it every service of the catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_kubernetes as kubernetes

import dict_isolation
import manifests
import names
import network_policies
import pods
import sizing
from apps.catalog import Catalog, Service
from dict_isolation import DictIsolation, DictIsolationArgs
from network_policies import Addresses
from pods import Manifest
from sizing import Growth


@dataclass(frozen=True)
class NetworkFacts:
    """Where an environment's pods live, and what is around them. The CIDRs are lists, zone by zone."""

    vpc_id: pulumi.Input[str]
    vpc_cidr: pulumi.Input[str]
    public_cidrs: pulumi.Input[Sequence[str]]
    isolated_cidrs: pulumi.Input[Sequence[str]]
    interface_endpoints: pulumi.Input[bool]
    dynamodb_cidrs: pulumi.Input[Sequence[str]]
    dynamodb_prefix_list_id: pulumi.Input[str]
    cluster_security_group_id: pulumi.Input[str]


@dataclass(frozen=True)
class Gateway:
    """The service that the load balancer sends customers to. `rule` is what makes the load balancer use
    the target group: until then no target is healthy, and no pod behind it ready."""

    service: str
    target_group_arn: pulumi.Input[str]
    rule: pulumi.Resource


@dataclass(frozen=True)
class WorkloadsArgs:
    """`environment` and `images` are by service, and hold every service, jobs too.

    `egress` are the address ranges of the DICT and the SPI; empty with `simulators`, which stand in for
    them. `quota` bounds the namespace, where it shares a cluster. `ready` must stand before anything comes
    into the cluster; `associations` (of Pod Identity, read when a pod starts) and `stores` (tables, topics,
    secrets) before any pod. `filled` says of each secret whether it has a value: who reads one that has none
    cannot be ready, and is not waited for. It is empty with `simulators`, with which nobody reads any.
    """

    catalog: Catalog
    prefix: str
    environment: Mapping[str, Mapping[str, pulumi.Input[str]]]
    images: Mapping[str, pulumi.Input[str]]
    network: NetworkFacts
    egress: Mapping[Literal["dict", "spi"], tuple[str, ...]]
    simulators: bool
    gateway: Gateway
    growth: Growth
    quota: bool
    ready: Sequence[pulumi.Resource]
    associations: Sequence[pulumi.Resource]
    stores: Sequence[pulumi.Resource]
    filled: Mapping[str, pulumi.Input[bool]]


def problems(args: WorkloadsArgs) -> list[str]:
    """Why these workloads cannot be: all reasons, each naming who asks for what."""
    catalog = sizing.deployed(args.catalog, args.simulators)
    by_name = {service.name: service for service in catalog.services}
    return [
        *dict_isolation.problems(catalog),
        *_egress_problems(args, catalog),
        *(
            f"service '{name}' has no {what}"
            for name in by_name
            for what, given in (("image", args.images), ("environment", args.environment))
            if name not in given
        ),
        *([] if args.gateway.service in by_name else [f"the gateway '{args.gateway.service}' is no service"]),
    ]


def _egress_problems(args: WorkloadsArgs, catalog: Catalog) -> list[str]:
    found = []
    for egress in ("dict", "spi"):
        named = args.egress.get(egress, ())
        users = [service.name for service in catalog.services if egress in service.egress]
        if args.simulators and named:
            found.append(f"egress '{egress}' names {', '.join(named)}, though the simulator stands in for it")
        if users and not named and not args.simulators:
            found.append(f"egress '{egress}' of {', '.join(users)} leads nowhere: no ranges and no simulator")
    return found


OUTBOX = "events"
"""The table whose rows become records of a topic."""


def announces(service: Service) -> bool:
    """Whether others learn by a topic what this service does: it writes the outbox, or carries it there."""
    writes = any(access.table == OUTBOX and "PutItem" in access.actions for access in service.tables)
    return writes or bool(service.produces)


def consumers_first(catalog: Catalog) -> list[Service]:
    """The catalog's services in the order in which they are rolled out: a consumer that knows an event of a
    newer version is ready before the first of them is written. (It pauses at one that it does not know.)"""
    return sorted(catalog.services, key=lambda service: service.consumes is None)


class Workloads(pulumi.ComponentResource):
    """Makes the namespace and, for each service, its account, policies, Service, Deployment, autoscaler
    and disruption budget; for a job only account and policies, since it is started on demand: `jobs` are the
    manifests to start them by. Consumers of topics are ready before whatever writes events is made or
    changed. At rest it costs what its pods' requests take of the nodes (`sizing.least`).

    Refuses, with a `ValueError` and before any resource, what `problems` lists. The providers of AWS and
    Kubernetes come through `opts`.
    """

    namespace: pulumi.Output[str]
    deployments: Mapping[str, pulumi.Resource]
    jobs: Mapping[str, Manifest]

    def __init__(self, name: str, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        if found := problems(args):
            raise ValueError("these workloads cannot be:\n" + "\n".join(f"- {line}" for line in found))
        super().__init__("gobanking:platform:Workloads", name, {}, opts)
        self._name = name
        self._args = args
        self._catalog = sizing.deployed(args.catalog, args.simulators)
        self._place = names.namespace(args.prefix)
        self._isolation = self._isolated()
        self._namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            **manifests.namespace(self._place),
            opts=pulumi.ResourceOptions(
                parent=self,
                # The security group before the namespace, so that it goes after the pods that have it.
                depends_on=[*args.ready, *([self._isolation] if self._isolation else [])],
            ),
        )
        if args.quota:
            self._bounds()
        closed = self._policy("default-deny", "namespace", network_policies.default_deny())
        self.deployments = {}
        self.jobs = {each.name: self._job(each) for each in self._catalog.services if each.kind == "job"}
        consumers: list[pulumi.Resource] = []
        for service in consumers_first(self._catalog):
            before = [closed, *self._identity(service)]
            if service.kind == "job":
                continue
            # Never among the consumers themselves, which write events too: each would wait for another.
            awaited = [] if service.consumes or not announces(service) else consumers
            self.deployments[service.name] = self._running(service, [*before, *awaited])
            if service.consumes:
                consumers.append(self.deployments[service.name])
        self.namespace = self._namespace.metadata.name
        self.register_outputs({"namespace": self.namespace})

    def _inside(self, *before: pulumi.Resource) -> pulumi.ResourceOptions:
        """For what is nothing but an object in the namespace: it goes with it, unasked."""
        return pulumi.ResourceOptions(
            parent=self, depends_on=[self._namespace, *before], deleted_with=self._namespace
        )

    def _owning(self, *before: pulumi.Resource) -> pulumi.ResourceOptions:
        """For what a controller turns into something of AWS: it must be deleted one by one."""
        return pulumi.ResourceOptions(parent=self, depends_on=[self._namespace, *before])

    def _isolated(self) -> DictIsolation | None:
        """None in a preview with its own simulator: there is nothing of Bacen's to be kept from, and each
        would put rules into the base's own security group, which holds sixty."""
        network = self._args.network
        if self._args.quota and self._args.simulators:
            return None
        for service in dict_isolation.holders(self._catalog):
            isolation = DictIsolationArgs(
                service=service,
                callees=self._catalog.called_by(service.name),
                vpc_id=network.vpc_id,
                cluster_security_group_id=network.cluster_security_group_id,
                isolated_cidrs=network.isolated_cidrs,
                dynamodb_prefix_list_id=network.dynamodb_prefix_list_id,
                dict_cidrs=self._args.egress.get("dict", ()),
            )
            made = f"{self._name}-{names.workload(service.name)}"
            return DictIsolation(made, isolation, pulumi.ResourceOptions(parent=self))
        return None

    def _bounds(self) -> None:
        most = sizing.most(self._catalog, self._args.growth)
        kubernetes.core.v1.ResourceQuota(
            f"{self._name}-quota", **manifests.quota(self._place, most), opts=self._inside()
        )
        kubernetes.core.v1.LimitRange(
            f"{self._name}-limits", **manifests.limit_range(self._place), opts=self._inside()
        )

    def _identity(self, service: Service) -> list[pulumi.Resource]:
        """Who a service is, and whom it may talk to."""
        workload = names.workload(service.name)
        account = kubernetes.core.v1.ServiceAccount(
            f"{self._name}-{workload}",
            **manifests.service_account(self._place, workload, service.kind),
            opts=self._inside(),
        )
        policy = self._policy(workload, service.kind, self._opened(service))
        return [account, policy, *self._own_security_group(service)]

    def _policy(self, workload: str, kind: str, spec: pulumi.Input[Manifest]) -> pulumi.Resource:
        manifest: Manifest = {"metadata": manifests.metadata(self._place, workload, kind), "spec": spec}
        return kubernetes.networking.v1.NetworkPolicy(
            f"{self._name}-{workload}", **manifest, opts=self._inside()
        )

    def _opened(self, service: Service) -> pulumi.Output[Manifest]:
        network, egress = self._args.network, self._args.egress
        gateway = self._args.gateway.service
        return pulumi.Output.all(
            vpc=network.vpc_cidr,
            public=network.public_cidrs,
            isolated=network.isolated_cidrs,
            dynamodb=network.dynamodb_cidrs,
            interface_endpoints=network.interface_endpoints,
            dict=egress.get("dict", ()),
            spi=egress.get("spi", ()),
        ).apply(lambda at: network_policies.policy(self._catalog, service, Addresses(**at), gateway))

    def _own_security_group(self, service: Service) -> list[pulumi.Resource]:
        if self._isolation is None or service not in dict_isolation.holders(self._catalog):
            return []
        policy = dict_isolation.security_group_policy(self._place, service, self._isolation.security_group_id)
        return [
            kubernetes.apiextensions.CustomResource(
                f"{self._name}-{names.workload(service.name)}", **policy, opts=self._owning()
            )
        ]

    def _running(self, service: Service, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        """A service's pods, after all that they need; their autoscaler and budget beside them."""
        args, workload = self._args, names.workload(service.name)
        made = f"{self._name}-{workload}"
        scale = sizing.scale(self._catalog, service, args.growth)
        template = pods.template(service, workload, args.images[service.name], args.environment[service.name])
        if args.growth.max_replicas > 1:  # a budget of one in a preview's single pods bounds nothing
            kubernetes.policy.v1.PodDisruptionBudget(
                made, **manifests.disruption_budget(self._place, workload, service.kind), opts=self._inside()
            )
        if not scale.fixed:
            kubernetes.autoscaling.v2.HorizontalPodAutoscaler(
                made, **manifests.autoscaler(self._place, workload, service, scale), opts=self._inside()
            )
        return kubernetes.apps.v1.Deployment(
            made,
            **manifests.deployment(
                self._place, workload, service.kind, scale, template, awaited=self._can_be_ready(service)
            ),
            opts=self._inside(*before, *self._address(service), *args.associations, *args.stores),
        )

    def _can_be_ready(self, service: Service) -> pulumi.Output[bool] | None:
        filled = [self._args.filled[secret] for secret in sorted(service.secrets & self._args.filled.keys())]
        return pulumi.Output.all(*filled).apply(all) if filled else None

    def _job(self, service: Service) -> Manifest:
        args, workload = self._args, names.workload(service.name)
        image, variables = args.images[service.name], args.environment[service.name]
        template = pods.job_template(service, workload, image, variables)
        return manifests.job(self._place, workload, service.kind, template)

    def _address(self, service: Service) -> list[pulumi.Resource]:
        """The Service of what others call, and the gateway's way in from the load balancer."""
        workload, gateway = names.workload(service.name), self._args.gateway
        if service.port is None or not (service.callers or service.name == gateway.service):
            return []
        made = f"{self._name}-{workload}"
        address = kubernetes.core.v1.Service(
            made,
            **manifests.service(self._place, workload, service.kind, service.port),
            opts=self._inside(),
        )
        if service.name != gateway.service:
            return [address]
        binding = kubernetes.apiextensions.CustomResource(
            made,
            **manifests.target_group_binding(
                self._place, workload, service.port, gateway.target_group_arn, self._args.network.vpc_id
            ),
            opts=self._owning(address),
        )
        # The gate of a pod is set when it is made, and opens when the load balancer finds it healthy.
        return [address, binding, gateway.rule]

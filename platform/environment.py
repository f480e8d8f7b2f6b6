"""The bank on AWS, put together: reads like the architecture diagram, and nothing else makes components.

users --> load balancer --> gateway --> account, transaction, dict_key, open_finance --> tables
                                          outbox --> relay --> topics --> consumers --> tables
all of it on a base: network, keys, cluster, brokers, user pool, registry, shared load balancer
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

import kubernetes_access
import sizing
from alarms import WatchedBase
from apps.catalog import Catalog, environment
from base import Base, CreatedBase, CreatedBaseArgs, ReferencedBase, gateway_port
from cloudwatch import Observability, ObservabilityArgs
from cognito import AppClient, AppClientArgs
from dynamo import Tables, TablesArgs
from edge import EnvironmentEdge, EnvironmentEdgeArgs
from iam import Roles, RolesArgs
from images import Images, ImagesArgs
from msk import Topics, TopicsArgs
from names import AwsNames
from secret_containers import Secrets, SecretsArgs
from settings import Created, Referenced, Settings
from sizing import Growth
from workloads import Gateway, NetworkFacts, Workloads, WorkloadsArgs

PREVIEW_REPLICATION = 2
"""Copies of a record in a preview's topics: the smallest base has two brokers."""
OPERATORS, REPAIR = "operators", "repair_ledger"
"""The jobs that people start; they are in every catalog."""


@dataclass(frozen=True)
class EnvironmentArgs:
    """`catalog` is the bank to lay out, simulators included; `root` the checkout that images are built from,
    as seen from where the program runs."""

    settings: Settings
    catalog: Catalog
    root: Path


class Environment(pulumi.ComponentResource):
    """A whole environment of the bank. `outputs` are what its stack exports.

    `api_url`, `user_pool_id`, `app_client_id`, `nat_addresses`, `kubeconfig` (secret), `operators_job` and
    `repair_job` (what `gobank` starts an operator's command, and a repair, by), and `base`, for previews to
    build on, where the base is made here.
    """

    outputs: Mapping[str, pulumi.Input[Any]]

    def __init__(self, name: str, args: EnvironmentArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Environment", name, {}, opts)
        settings = args.settings
        catalog = sizing.deployed(args.catalog, settings.simulators)
        cloud = aws.Provider(
            "aws",
            region=settings.region,
            default_tags=aws.ProviderDefaultTagsArgs(tags=dict(settings.tags)),
            opts=ResourceOptions(parent=self),
        )
        child = ResourceOptions(parent=self, providers=[cloud])

        base, watched = _base(settings, catalog, child)
        tables = Tables(
            "tables",
            TablesArgs(
                catalog=catalog,
                prefix=settings.prefix,
                key_arn=base.table_key_arn,
                point_in_time_recovery=not settings.disposable,
                protect=settings.protect,
            ),
            child,
        )
        topics = Topics("topics", _topics(settings, catalog, base), child)
        secrets = Secrets(
            "secrets",
            SecretsArgs(
                catalog=catalog,
                prefix=settings.prefix,
                key_arn=base.secret_key_arn,
                recovery_days=0 if settings.disposable else 30,
                protect=settings.protect,
            ),
            child,
        )
        client = AppClient("client", AppClientArgs(pool_id=base.user_pool_id, prefix=settings.prefix), child)
        images = Images(
            "images",
            ImagesArgs(
                settings=settings.images,
                catalog=catalog,
                repository_urls=base.repository_urls,
                root=args.root,
            ),
            child,
        )
        roles = Roles(
            "roles",
            RolesArgs(
                catalog=catalog,
                prefix=settings.prefix,
                region=settings.region,
                account_id=base.account_id,
                cluster_name=base.cluster_name,
                table_key_arn=base.table_key_arn,
                secret_key_arn=base.secret_key_arn,
                kafka_arn=base.kafka_arn,
                secret_arns=secrets.arns,
            ),
            child,
        )
        edge = EnvironmentEdge("edge", _edge(settings, catalog, base), child)
        cluster = kubernetes_access.provider(
            "kubernetes",
            cluster_name=base.cluster_name,
            endpoint=base.cluster_endpoint,
            ca=base.cluster_ca,
            region=settings.region,
            delete_unreachable=settings.disposable,
            opts=ResourceOptions(parent=self),
        )
        workloads = Workloads(
            "workloads",
            WorkloadsArgs(
                catalog=catalog,
                prefix=settings.prefix,
                environment=_variables(settings, catalog, base, client, edge),
                images=images.references,
                network=NetworkFacts(
                    vpc_id=base.vpc_id,
                    vpc_cidr=base.vpc_cidr,
                    public_cidrs=base.public_cidrs,
                    isolated_cidrs=base.isolated_cidrs,
                    interface_endpoints=base.interface_endpoints,
                    dynamodb_cidrs=base.dynamodb_cidrs,
                    dynamodb_prefix_list_id=base.dynamodb_prefix_list_id,
                    cluster_security_group_id=base.cluster_security_group_id,
                ),
                egress=settings.egress,
                simulators=settings.simulators,
                gateway=Gateway("gateway", target_group_arn=edge.target_group_arn, rule=edge.rule),
                growth=growth(settings),
                quota=settings.disposable,
                ready=base.ready,
                associations=roles.associations,
                stores=[*tables.tables, *topics.topics, secrets],
                filled={} if settings.simulators else secrets.filled(),
            ),
            ResourceOptions(parent=self, providers=[cloud, cluster]),
        )
        if watched is not None:  # what stands on another's base is tried out when it comes up, not watched
            Observability(
                "observability",
                ObservabilityArgs(
                    settings=settings.observability,
                    prefix=settings.prefix,
                    region=settings.region,
                    catalog=catalog,
                    account_id=base.account_id,
                    cluster_name=base.cluster_name,
                    load_balancer_arn_suffix=base.load_balancer_arn_suffix,
                    target_group_arn_suffix=edge.target_group_arn_suffix,
                    alarm_key_arn=base.alarm_key_arn,
                    table_names=tables.names,
                    audit_seconds=int(settings.tunables["audit_seconds"]),
                    base=watched,
                ),
                child,
            )

        self.outputs = {
            "api_url": edge.api_url,
            "user_pool_id": base.user_pool_id,
            "app_client_id": client.client_id,
            "kubeconfig": _kubeconfig(base, settings.region),
            "nat_addresses": base.nat_addresses,
            "operators_job": workloads.jobs[OPERATORS],
            "repair_job": workloads.jobs[REPAIR],
        }
        if watched is not None:
            self.outputs = {**self.outputs, "base": base.exported()}
        self.register_outputs(dict(self.outputs))


def _base(settings: Settings, catalog: Catalog, opts: ResourceOptions) -> tuple[Base, WatchedBase | None]:
    """The expensive half, and what of it is ours to watch: nothing when it is another stack's."""
    match settings.base:
        case Referenced(stack):
            return ReferencedBase("base", stack, opts).values, None
        case Created():
            made = CreatedBase("base", CreatedBaseArgs(settings, settings.base, catalog), opts)
            return made.values, made.watched


def growth(settings: Settings) -> Growth:
    """A preview shares its nodes with others: one pod of each service."""
    if settings.disposable:
        return Growth(max_replicas=1, one_partition=True)
    return Growth(max_replicas=settings.max_replicas, one_partition=False)


def _topics(settings: Settings, catalog: Catalog, base: Base) -> TopicsArgs:
    replication = PREVIEW_REPLICATION
    if isinstance(settings.base, Created):
        replication = settings.base.kafka.replication
    return TopicsArgs(
        catalog=catalog,
        prefix=settings.prefix,
        cluster_arn=base.kafka_arn,
        replication=replication,
        min_in_sync=replication - 1,
        one_partition=settings.disposable,
        protect=settings.protect,
    )


def _edge(settings: Settings, catalog: Catalog, base: Base) -> EnvironmentEdgeArgs:
    """A preview's host is its prefix before the base's suffix; the base's own environment has the domain."""
    host: pulumi.Input[str] | None
    match settings.base:
        case Referenced():
            host, zone, tls = Output.concat(settings.prefix, base.host_suffix), None, True
        case Created(edge=edge):
            host, zone, tls = edge.domain, edge.zone_id, edge.domain is not None
    return EnvironmentEdgeArgs(
        prefix=settings.prefix,
        port=gateway_port(catalog),
        vpc_id=base.vpc_id,
        listener_arn=base.listener_arn,
        load_balancer_dns_name=base.load_balancer_dns_name,
        load_balancer_zone_id=base.load_balancer_zone_id,
        host=host,
        alias_zone_id=zone,
        tls=tls,
        rule_priority=settings.rule_priority,
    )


def _variables(
    settings: Settings, catalog: Catalog, base: Base, client: AppClient, edge: EnvironmentEdge
) -> dict[str, dict[str, pulumi.Input[str]]]:
    """What each service is told, from the catalog's own function."""
    names = AwsNames(
        catalog,
        settings.prefix,
        {
            **settings.tunables,
            "environment": settings.prefix,
            "aws_region": settings.region,
            # Where a bank sends our users' browsers back to.
            "public_url": edge.api_url,
            "cognito_issuer": base.issuer,
            "cognito_jwks_url": Output.concat(base.issuer, "/.well-known/jwks.json"),
            "cognito_client_ids": client.client_id,
            "kafka_bootstrap": base.kafka_bootstrap,
            "kafka_security": "AWS_MSK_IAM",
        },
    )
    return {service.name: environment(catalog, service.name, names) for service in catalog.services}


def _kubeconfig(base: Base, region: str) -> Output[str]:
    """Secret, as any way into the cluster is, though it holds no credential."""
    parts = Output.all(base.cluster_name, base.cluster_endpoint, base.cluster_ca)
    plain = parts.apply(lambda known: kubernetes_access.kubeconfig(known[0], known[1], known[2], region))
    return Output.secret(plain)

"""The expensive half of an environment as the other half sees it: one typed contract, two ways to get it.

`CreatedBase` makes network, keys, cluster, brokers, user pool, repositories and shared load balancer;
`ReferencedBase` takes them from the stack that did. Neither tells which it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from alarms import WatchedBase
from apps.catalog import Catalog
from cognito import UserPool, UserPoolArgs
from ecr import Repositories, RepositoriesArgs
from eks import Cluster, ClusterArgs
from kms import Keys, KeysArgs
from msk import Brokers, BrokersArgs
from network import Network, NetworkArgs
from settings import Created, Settings
from shared_edge import SharedEdge, SharedEdgeArgs

CONTRACT_VERSION = "1"
"""Raised when a value of `Base` changes its meaning or goes away; a stack refuses a base of another one."""


@dataclass(frozen=True)
class Base:
    """What an environment builds on. Every value is an output; lists are in the order of the zones.

    `host_suffix` is what an environment's host name ends with (`.preview.bank.example.com`), empty without
    a domain, as `dns_zone_id` is. `ready` are the resources that must stand before anything runs in the
    cluster; none when the base is another stack's.
    """

    account_id: Output[str]
    vpc_id: Output[str]
    vpc_cidr: Output[str]
    public_subnet_ids: Output[Sequence[str]]
    private_subnet_ids: Output[Sequence[str]]
    isolated_subnet_ids: Output[Sequence[str]]
    public_cidrs: Output[Sequence[str]]
    private_cidrs: Output[Sequence[str]]
    isolated_cidrs: Output[Sequence[str]]
    nat_addresses: Output[Sequence[str]]
    interface_endpoints: Output[bool]
    dynamodb_prefix_list_id: Output[str]
    dynamodb_cidrs: Output[Sequence[str]]
    cluster_name: Output[str]
    cluster_endpoint: Output[str]
    cluster_ca: Output[str]
    cluster_security_group_id: Output[str]
    kafka_arn: Output[str]
    kafka_bootstrap: Output[str]
    kafka_security_group_id: Output[str]
    user_pool_id: Output[str]
    issuer: Output[str]
    table_key_arn: Output[str]
    secret_key_arn: Output[str]
    log_key_arn: Output[str]
    alarm_key_arn: Output[str]
    listener_arn: Output[str]
    load_balancer_arn_suffix: Output[str]
    load_balancer_dns_name: Output[str]
    load_balancer_zone_id: Output[str]
    load_balancer_security_group_id: Output[str]
    host_suffix: Output[str]
    dns_zone_id: Output[str]
    repository_urls: Output[Mapping[str, str]]
    ready: Sequence[pulumi.Resource] = field(default=())

    def exported(self) -> dict[str, pulumi.Input[Any]]:
        """The typed output `base` of a stack, which `ReferencedBase` reads."""
        values = {name: getattr(self, name) for name in VALUES}
        return {"contract_version": CONTRACT_VERSION, **values}


VALUES = tuple(each.name for each in fields(Base) if each.name != "ready")
"""What a base exports besides its contract's version."""


class WrongBase(Exception):  # noqa: N818
    """Another stack's base is not one that this program can build on."""


def checked(exported: Any, stack: str) -> Mapping[str, Any]:
    """The exported values of a base. Raises `WrongBase` when they are missing or of another contract."""
    if not isinstance(exported, Mapping):
        raise WrongBase(
            f"gobanking:baseStack '{stack}': that stack exports no `base`. "
            "Name a stack that was made with gobanking:base: create, and bring it up first."
        )
    version = exported.get("contract_version")
    if version != CONTRACT_VERSION:
        raise WrongBase(
            f"gobanking:baseStack '{stack}': its base has contract version {version}, this program needs "
            f"{CONTRACT_VERSION}. Update that stack with this version of the program, or use the program "
            "that it was made with."
        )
    if missing := sorted(set(VALUES) - set(exported)):
        raise WrongBase(f"gobanking:baseStack '{stack}': its base lacks {', '.join(missing)}. Update it.")
    return exported


class ReferencedBase(pulumi.ComponentResource):
    """Another stack's base, read by one reference. Makes nothing and costs nothing."""

    values: Base

    def __init__(self, name: str, stack: str, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:ReferencedBase", name, {}, opts)
        reference = pulumi.StackReference(stack, opts=ResourceOptions(parent=self))
        exported = reference.get_output("base").apply(lambda base: checked(base, stack))
        values: dict[str, Any] = {each: exported[each] for each in VALUES}
        self.values = Base(**values)
        self.register_outputs({})


@dataclass(frozen=True)
class CreatedBaseArgs:
    """`created` is `settings.base`; the repositories are those of `catalog`'s services."""

    settings: Settings
    created: Created
    catalog: Catalog


class CreatedBase(pulumi.ComponentResource):
    """Network, keys, cluster, brokers, user pool, repositories and shared load balancer.

    This is where the money goes: `gobank cost` shows it by resource.
    """

    values: Base
    watched: WatchedBase

    def __init__(self, name: str, args: CreatedBaseArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:CreatedBase", name, {}, opts)
        settings, created = args.settings, args.created
        child = ResourceOptions(parent=self)
        account_id = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        days = settings.observability.retention_days

        keys = Keys(
            "keys",
            KeysArgs(
                region=settings.region,
                account_id=account_id,
                deletion_days=30 if settings.protect else 7,
                protect=settings.protect,
            ),
            child,
        )
        network = Network(
            "network",
            NetworkArgs(
                settings=created.network,
                region=settings.region,
                log_key_arn=keys.logs,
                retention_days=days,
            ),
            # Its addresses are what Bacen allow-lists.
            ResourceOptions(parent=self, protect=settings.protect or None),
        )
        cluster = Cluster(
            "cluster",
            ClusterArgs(
                settings=created.cluster,
                prefix=settings.prefix,
                region=settings.region,
                account_id=account_id,
                vpc_id=network.vpc_id,
                public=network.public,
                private=network.private,
                routes=network.routes,
                key_arn=keys.cluster,
                disk_key_arn=keys.disks,
                log_key_arn=keys.logs,
                retention_days=days,
                container_insights=settings.observability.container_insights,
                protect=settings.protect,
            ),
            child,
        )
        brokers = Brokers(
            "brokers",
            BrokersArgs(
                settings=created.kafka,
                prefix=settings.prefix,
                vpc_id=network.vpc_id,
                isolated=network.isolated,
                client_security_group_id=cluster.security_group_id,
                key_arn=keys.kafka,
                log_key_arn=keys.logs,
                retention_days=days,
                protect=settings.protect,
            ),
            child,
        )
        users = UserPool(
            "users",
            UserPoolArgs(
                settings=created.identity,
                prefix=settings.prefix,
                region=settings.region,
                protect=settings.protect,
            ),
            child,
        )
        repositories = Repositories(
            "repositories",
            RepositoriesArgs(
                catalog=args.catalog,
                prefix=settings.prefix,
                key_arn=keys.images,
                disposable=settings.kind != "prod",
                protect=settings.protect,
            ),
            child,
        )
        edge = SharedEdge(
            "shared-edge",
            SharedEdgeArgs(
                settings=created.edge,
                prefix=settings.prefix,
                region=settings.region,
                account_id=account_id,
                vpc_id=network.vpc_id,
                vpc_cidr=network.cidr,
                public=network.public,
                gateway_port=gateway_port(args.catalog),
                cluster_security_group_id=cluster.security_group_id,
                log_key_arn=keys.logs,
                retention_days=days,
                protect=settings.protect,
            ),
            child,
        )
        self.values = Base(
            account_id=account_id,
            vpc_id=network.vpc_id,
            vpc_cidr=network.cidr,
            public_subnet_ids=Output.all(*network.public.ids),
            private_subnet_ids=Output.all(*network.private.ids),
            isolated_subnet_ids=Output.all(*network.isolated.ids),
            public_cidrs=Output.from_input(list(network.public.cidrs)),
            private_cidrs=Output.from_input(list(network.private.cidrs)),
            isolated_cidrs=Output.from_input(list(network.isolated.cidrs)),
            nat_addresses=Output.all(*network.nat_addresses),
            interface_endpoints=Output.from_input(network.interface_endpoints),
            dynamodb_prefix_list_id=network.dynamodb_prefix_list_id,
            dynamodb_cidrs=network.dynamodb_cidrs,
            cluster_name=cluster.name,
            cluster_endpoint=cluster.endpoint,
            cluster_ca=cluster.ca,
            cluster_security_group_id=cluster.security_group_id,
            kafka_arn=brokers.arn,
            kafka_bootstrap=brokers.bootstrap,
            kafka_security_group_id=brokers.security_group_id,
            user_pool_id=users.pool_id,
            issuer=users.issuer,
            table_key_arn=keys.tables,
            secret_key_arn=keys.secrets,
            log_key_arn=keys.logs,
            alarm_key_arn=keys.alarms,
            listener_arn=edge.listener_arn,
            load_balancer_arn_suffix=edge.arn_suffix,
            load_balancer_dns_name=edge.dns_name,
            load_balancer_zone_id=edge.zone_id,
            load_balancer_security_group_id=edge.security_group_id,
            host_suffix=edge.host_suffix,
            dns_zone_id=edge.dns_zone_id,
            repository_urls=Output.all(**repositories.urls),
            ready=cluster.ready,
        )
        self.watched = WatchedBase(
            kafka_cluster_name=brokers.cluster_name,
            brokers=created.kafka.brokers,
            nat_gateway_ids=network.nat_gateway_ids,
        )
        self.register_outputs({})


def gateway_port(catalog: Catalog) -> int:
    """The port that the load balancer sends to."""
    port = catalog.service("gateway").port
    assert port is not None, "the gateway serves"
    return port

"""The expensive half of an environment as the other half sees it: one typed contract, two ways to get it.

`CreatedBase` makes network, keys, cluster, brokers, user pool, repositories and shared load balancer;
`ReferencedBase` takes them from the stack that did. Neither tells which it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi

CONTRACT_VERSION = "1"
"""Raised when a value of `Base` changes its meaning or goes away; a stack refuses a base of another one."""


@dataclass(frozen=True)
class Base:
    """What an environment builds on. Every value is an output; lists are in the order of the zones.

    `host_suffix` is what an environment's host name ends with (`.preview.bank.example.com`), empty without
    a domain, as `dns_zone_id` is. `ready` are the resources that must stand before anything runs in the
    cluster; none when the base is another stack's.
    """

    account_id: pulumi.Output[str]
    vpc_id: pulumi.Output[str]
    vpc_cidr: pulumi.Output[str]
    public_subnet_ids: pulumi.Output[Sequence[str]]
    private_subnet_ids: pulumi.Output[Sequence[str]]
    isolated_subnet_ids: pulumi.Output[Sequence[str]]
    public_cidrs: pulumi.Output[Sequence[str]]
    private_cidrs: pulumi.Output[Sequence[str]]
    isolated_cidrs: pulumi.Output[Sequence[str]]
    nat_addresses: pulumi.Output[Sequence[str]]
    interface_endpoints: pulumi.Output[bool]
    dynamodb_prefix_list_id: pulumi.Output[str]
    dynamodb_cidrs: pulumi.Output[Sequence[str]]
    cluster_name: pulumi.Output[str]
    cluster_endpoint: pulumi.Output[str]
    cluster_ca: pulumi.Output[str]
    cluster_security_group_id: pulumi.Output[str]
    kafka_arn: pulumi.Output[str]
    kafka_bootstrap: pulumi.Output[str]
    kafka_security_group_id: pulumi.Output[str]
    user_pool_id: pulumi.Output[str]
    issuer: pulumi.Output[str]
    table_key_arn: pulumi.Output[str]
    secret_key_arn: pulumi.Output[str]
    log_key_arn: pulumi.Output[str]
    alarm_key_arn: pulumi.Output[str]
    listener_arn: pulumi.Output[str]
    load_balancer_arn_suffix: pulumi.Output[str]
    load_balancer_dns_name: pulumi.Output[str]
    load_balancer_zone_id: pulumi.Output[str]
    load_balancer_security_group_id: pulumi.Output[str]
    host_suffix: pulumi.Output[str]
    dns_zone_id: pulumi.Output[str]
    repository_urls: pulumi.Output[dict[str, str]]
    ready: Sequence[pulumi.Resource] = field(default=())

"""How one environment hangs on the shared load balancer: its targets, its rule and, in the base, its name.

`shared_edge` makes the load balancer. The pods join the targets by a TargetGroupBinding of `workloads`.
"""

import hashlib
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

LAST = 50_000
"""The highest priority number, asked last: the base's own environment has it."""
DEREGISTRATION_SECONDS = 30


@dataclass(frozen=True)
class EnvironmentEdgeArgs:
    """`host` is what the environment is called; without one it answers to every name. `alias_zone_id` is
    the zone to put that name in, given for the base's own environment alone: previews have the wildcard's.
    `rule_priority` is for previews, None for the one by the prefix."""

    prefix: str
    port: int
    vpc_id: pulumi.Input[str]
    listener_arn: pulumi.Input[str]
    load_balancer_dns_name: pulumi.Input[str]
    load_balancer_zone_id: pulumi.Input[str]
    host: pulumi.Input[str] | None
    alias_zone_id: pulumi.Input[str] | None
    tls: bool
    rule_priority: int | None = None


class EnvironmentEdge(pulumi.ComponentResource):
    """Makes a target group for pods, the listener rule that leads to it and an alias record if asked to.

    Costs nothing at rest. Two environments whose priorities meet cannot stand on one listener: AWS refuses
    the second, which `gobank preview` foresees: it gives the next free number. Refuses an alias that has no
    host.
    """

    target_group_arn: pulumi.Output[str]
    target_group_arn_suffix: pulumi.Output[str]
    api_url: pulumi.Output[str]
    rule: pulumi.Resource
    """Before it stands, nothing is routed here and no pod becomes ready."""

    def __init__(
        self, name: str, args: EnvironmentEdgeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        if args.alias_zone_id is not None and args.host is None:
            raise ValueError("an alias record needs a host: give both or leave the zone out")
        super().__init__("gobanking:platform:EnvironmentEdge", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        targets = _targets(f"{name}-targets", args, child)
        own = args.host is None or args.alias_zone_id is not None
        self.rule = aws.lb.ListenerRule(
            f"{name}-rule",
            listener_arn=args.listener_arn,
            priority=LAST if own else args.rule_priority or priority(args.prefix),
            conditions=[_condition(args.host)],
            actions=[aws.lb.ListenerRuleActionArgs(type="forward", target_group_arn=targets.arn)],
            opts=child,
        )
        if args.host is not None and args.alias_zone_id is not None:
            aws.route53.Record(
                f"{name}-alias",
                zone_id=args.alias_zone_id,
                name=args.host,
                type="A",
                aliases=[
                    aws.route53.RecordAliasArgs(
                        name=args.load_balancer_dns_name,
                        zone_id=args.load_balancer_zone_id,
                        evaluate_target_health=False,
                    )
                ],
                opts=child,
            )
        self.target_group_arn = targets.arn
        self.target_group_arn_suffix = targets.arn_suffix
        scheme = "https" if args.tls else "http"
        host = args.load_balancer_dns_name if args.host is None else args.host
        self.api_url = pulumi.Output.concat(scheme, "://", host)
        self.register_outputs(
            {
                "target_group_arn": self.target_group_arn,
                "target_group_arn_suffix": self.target_group_arn_suffix,
                "api_url": self.api_url,
            }
        )


def priority(prefix: str) -> int:
    """Where a preview's rule stands among the others: always the same for a prefix, 1 to 49,999."""
    return int.from_bytes(hashlib.sha256(prefix.encode()).digest()) % (LAST - 1) + 1


def _targets(name: str, args: EnvironmentEdgeArgs, opts: pulumi.ResourceOptions) -> aws.lb.TargetGroup:
    return aws.lb.TargetGroup(
        name,
        target_type="ip",
        vpc_id=args.vpc_id,
        port=args.port,
        protocol="HTTP",
        deregistration_delay=DEREGISTRATION_SECONDS,
        # Ready, not alive: the same question that Kubernetes asks before it lets traffic in, so that the two
        # never disagree on a pod. One that lives but cannot work gets no requests, and is not started again.
        health_check=aws.lb.TargetGroupHealthCheckArgs(
            path="/readyz",
            protocol="HTTP",
            matcher="200",
            interval=10,
            timeout=5,
            healthy_threshold=2,
            unhealthy_threshold=3,
        ),
        opts=opts,
    )


def _condition(host: pulumi.Input[str] | None) -> aws.lb.ListenerRuleConditionArgs:
    if host is None:
        return aws.lb.ListenerRuleConditionArgs(
            path_pattern=aws.lb.ListenerRuleConditionPathPatternArgs(values=["/*"])
        )
    return aws.lb.ListenerRuleConditionArgs(
        host_header=aws.lb.ListenerRuleConditionHostHeaderArgs(values=[host])
    )

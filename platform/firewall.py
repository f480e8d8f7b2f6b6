"""The web application firewall before a load balancer."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

MANAGED = (
    ("ip-reputation", "AWSManagedRulesAmazonIpReputationList"),
    ("known-bad-inputs", "AWSManagedRulesKnownBadInputsRuleSet"),
    ("common", "AWSManagedRulesCommonRuleSet"),
)
"""AWS's own rules, in the order in which they are asked. `common` refuses bodies above 8 KiB, which no
request of ours has."""
REQUESTS_IN_FIVE_MINUTES = 10_000
"""From one address. Generous, because the customers of a mobile network share few addresses."""
REDACTED_HEADERS = ("authorization", "cookie")


@dataclass(frozen=True)
class FirewallArgs:
    """`load_balancer_arn` is what it stands before."""

    prefix: str
    load_balancer_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    retention_days: int


class Firewall(pulumi.ComponentResource):
    """Makes a web ACL with AWS's managed rules and a rate limit per address, its association and its log.

    Costs about 9 USD a month at rest (ACL and four rules), and 0.60 USD for a million requests. What the log
    gets has neither tokens nor the query, which holds the codes of Open Finance callbacks. Whoever deploys it
    needs `logs:PutResourcePolicy`, by which AWS lets the firewall write.
    """

    def __init__(self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Firewall", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        acl = aws.wafv2.WebAcl(
            f"{name}-acl",
            scope="REGIONAL",
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            rules=rules(args.prefix),
            visibility_config=aws.wafv2.WebAclVisibilityConfigArgs(
                metric_name=f"{args.prefix}-firewall",
                cloudwatch_metrics_enabled=True,
                sampled_requests_enabled=False,
            ),
            opts=child,
        )
        aws.wafv2.WebAclAssociation(
            f"{name}-association", resource_arn=args.load_balancer_arn, web_acl_arn=acl.arn, opts=child
        )
        group = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=log_group(args.prefix),
            retention_in_days=args.retention_days,
            kms_key_id=args.log_key_arn,
            opts=child,
        )
        aws.wafv2.WebAclLoggingConfiguration(
            f"{name}-logging",
            resource_arn=acl.arn,
            log_destination_configs=[group.arn],
            redacted_fields=redacted_fields(),
            opts=child,
        )
        self.register_outputs({})


def log_group(prefix: str) -> str:
    """Its name; the firewall writes only to groups that begin so."""
    return f"aws-waf-logs-{prefix}"


def rules(prefix: str) -> list[aws.wafv2.WebAclRuleArgs]:
    """The rate limit first: it stops a flood before the rules that cost more to ask."""
    limit = aws.wafv2.WebAclRuleArgs(
        name="rate",
        priority=0,
        action=aws.wafv2.WebAclRuleActionArgs(block=aws.wafv2.WebAclRuleActionBlockArgs()),
        statement=aws.wafv2.WebAclRuleStatementArgs(
            rate_based_statement=aws.wafv2.WebAclRuleStatementRateBasedStatementArgs(
                limit=REQUESTS_IN_FIVE_MINUTES, evaluation_window_sec=300, aggregate_key_type="IP"
            )
        ),
        visibility_config=_seen(prefix, "rate"),
    )
    return [limit, *(_managed(prefix, place, *each) for place, each in enumerate(MANAGED, start=1))]


def _managed(prefix: str, priority: int, name: str, group: str) -> aws.wafv2.WebAclRuleArgs:
    return aws.wafv2.WebAclRuleArgs(
        name=name,
        priority=priority,
        override_action=aws.wafv2.WebAclRuleOverrideActionArgs(
            none=aws.wafv2.WebAclRuleOverrideActionNoneArgs()  # type: ignore[no-untyped-call]
        ),
        statement=aws.wafv2.WebAclRuleStatementArgs(
            managed_rule_group_statement=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                vendor_name="AWS", name=group
            )
        ),
        visibility_config=_seen(prefix, name),
    )


def _seen(prefix: str, rule: str) -> aws.wafv2.WebAclRuleVisibilityConfigArgs:
    # Counted, but no samples: those would hold whole requests, tokens included.
    return aws.wafv2.WebAclRuleVisibilityConfigArgs(
        metric_name=f"{prefix}-{rule}", cloudwatch_metrics_enabled=True, sampled_requests_enabled=False
    )


def redacted_fields() -> Sequence[aws.wafv2.WebAclLoggingConfigurationRedactedFieldArgs]:
    """What the log does not get."""
    headers = [
        aws.wafv2.WebAclLoggingConfigurationRedactedFieldArgs(
            single_header=aws.wafv2.WebAclLoggingConfigurationRedactedFieldSingleHeaderArgs(name=header)
        )
        for header in REDACTED_HEADERS
    ]
    query = aws.wafv2.WebAclLoggingConfigurationRedactedFieldArgs(
        query_string=aws.wafv2.WebAclLoggingConfigurationRedactedFieldQueryStringArgs()  # type: ignore[no-untyped-call]
    )
    return [*headers, query]

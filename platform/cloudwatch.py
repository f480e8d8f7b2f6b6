"""What is kept of an environment, who is told when it is not well, and what it may cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

import names
from alarms import Alarm, Watched, WatchedBase, urgent_rule
from alarms_of_aws import of_aws
from alarms_of_the_bank import of_the_bank
from apps.catalog import Catalog
from dashboard import Shown, body
from settings import ObservabilitySettings

BUDGET_PERCENT = (80, 100)
"""What the CloudWatch add-on writes, each a log group of the cluster."""


def every_alarm(watched: Watched) -> list[Alarm]:
    """All alarms of an environment. Raises `ValueError` when the audits are too rare to be watched."""
    return [*of_the_bank(watched), *of_aws(watched)]


def topic_policy(topic_arn: str, account_id: str) -> str:
    """Who may tell: this account's alarms and budgets, and nobody else."""
    statements = [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
        }
        for sid, service in (("Alarms", "cloudwatch"), ("Budget", "budgets"))
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@dataclass(frozen=True)
class ObservabilityArgs:
    """What there is to watch. `base` is the expensive half, which the same stack made.

    `table_names` are physical names by the catalog's. `audit_seconds` is the auditor's setting.
    """

    settings: ObservabilitySettings
    prefix: str
    region: str
    catalog: Catalog
    account_id: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    load_balancer_arn_suffix: pulumi.Input[str]
    target_group_arn_suffix: pulumi.Input[str]
    alarm_key_arn: pulumi.Input[str]
    table_names: Mapping[str, pulumi.Input[str]]
    audit_seconds: int
    base: WatchedBase

    @property
    def watched(self) -> Watched:
        """For the alarms."""
        return Watched(
            prefix=self.prefix,
            catalog=self.catalog,
            audit_seconds=self.audit_seconds,
            load_balancer=self.load_balancer_arn_suffix,
            target_group=self.target_group_arn_suffix,
            tables=self.table_names,
            base=self.base,
        )


class Observability(pulumi.ComponentResource):
    """An encrypted topic, a mail subscription when there is an address, alarms, a dashboard and a budget.

    At rest: 0.10 USD for each metric that an alarm reads (about 10 USD in all), 3 USD for the dashboard.
    The budget counts the whole account, because a filter by tag counts nothing until someone activates the
    tag in Billing.
    Refuses (`ValueError`, before any resource) audits that are too rare to be watched.
    """

    topic_arn: pulumi.Output[str]
    dashboard_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        alarms = every_alarm(args.watched)
        super().__init__("gobanking:platform:Observability", name, {}, opts)
        own = pulumi.ResourceOptions(parent=self)

        topic = aws.sns.Topic(f"{name}-topic", kms_master_key_id=args.alarm_key_arn, opts=own)
        policy = aws.sns.TopicPolicy(
            f"{name}-topic-policy",
            arn=topic.arn,
            policy=pulumi.Output.all(topic.arn, args.account_id).apply(lambda all_: topic_policy(*all_)),
            opts=own,
        )
        if args.settings.alarm_email is not None:
            aws.sns.TopicSubscription(
                f"{name}-mail",
                topic=topic.arn,
                protocol="email",
                endpoint=args.settings.alarm_email,
                opts=own,
            )
        made = {alarm.name: self._alarm(name, args.prefix, alarm, topic) for alarm in alarms}
        urgent = [made[alarm.name] for alarm in alarms if alarm.urgent]
        self._urgent(name, args.prefix, urgent, topic)
        self._budget(name, args, topic, policy)
        dashboard = aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=names.physical(args.prefix, "bank"),
            dashboard_body=_dashboard_body(args, list(made.values())),
            opts=own,
        )
        self.topic_arn = topic.arn
        self.dashboard_name = dashboard.dashboard_name
        self.register_outputs({"topic_arn": self.topic_arn, "dashboard_name": self.dashboard_name})

    def _alarm(
        self, name: str, prefix: str, alarm: Alarm, topic: aws.sns.Topic
    ) -> aws.cloudwatch.MetricAlarm:
        """Its name is given: mails and the operators' habits go by it."""
        readings = [
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id=key,
                metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                    namespace=reading.namespace,
                    metric_name=reading.metric,
                    dimensions=dict(reading.dimensions),
                    period=alarm.seconds,
                    stat=reading.stat,
                ),
                return_data=key == alarm.expression,
            )
            for key, reading in alarm.readings.items()
        ]
        if alarm.expression not in alarm.readings:
            joined = aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id="joined", expression=alarm.expression, label=alarm.name, return_data=True
            )
            readings.append(joined)
        return aws.cloudwatch.MetricAlarm(
            f"{name}-{alarm.name}",
            name=names.physical(prefix, alarm.name),
            alarm_description=alarm.description,
            metric_queries=readings,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.periods,
            treat_missing_data=alarm.missing,
            alarm_actions=[topic.arn],
            ok_actions=[topic.arn],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _urgent(
        self,
        name: str,
        prefix: str,
        urgent: Sequence[aws.cloudwatch.MetricAlarm],
        topic: aws.sns.Topic,
    ) -> None:
        """One state for a pager or a screen; its rule needs the alarms by name, so they stand first."""
        aws.cloudwatch.CompositeAlarm(
            f"{name}-urgent",
            alarm_name=names.physical(prefix, "urgent"),
            alarm_description="URGENT: money may be wrong or customers cannot pay. The alarms that this one"
            " joins say which, and what to do.",
            alarm_rule=pulumi.Output.all(*(alarm.name for alarm in urgent)).apply(urgent_rule),
            alarm_actions=[topic.arn],
            ok_actions=[topic.arn],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _budget(
        self, name: str, args: ObservabilityArgs, topic: aws.sns.Topic, policy: aws.sns.TopicPolicy
    ) -> None:
        """AWS Budgets looks whether it may publish when the budget is made, so the policy comes first."""
        aws.budgets.Budget(
            f"{name}-budget",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.settings.monthly_budget_usd),
            limit_unit="USD",
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    notification_type="ACTUAL",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    subscriber_sns_topic_arns=[topic.arn],
                )
                for percent in BUDGET_PERCENT
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )


def _dashboard_body(
    args: ObservabilityArgs, alarms: Sequence[aws.cloudwatch.MetricAlarm]
) -> pulumi.Output[str]:
    def resolved(values: dict[str, Any]) -> str:
        return body(Shown(prefix=args.prefix, region=args.region, catalog=args.catalog, **values))

    return pulumi.Output.all(
        load_balancer=args.load_balancer_arn_suffix,
        target_group=args.target_group_arn_suffix,
        cluster_name=args.cluster_name,
        kafka_cluster_name=args.base.kafka_cluster_name,
        tables=dict(args.table_names),
        alarm_arns=[alarm.arn for alarm in alarms],
    ).apply(resolved)

"""What a cluster needs besides the bank: names, figures to scale by, health of nodes, logs and metrics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from pod_role import PodRole, PodRoleArgs
from versions import Versions

OBSERVABILITY_NAMESPACE = "amazon-cloudwatch"
LOGS = ("application", "dataplane", "host")
INSIGHTS = "performance"

APPLICATION_LOGS = """\
[INPUT]
    Name                 tail
    Tag                  application.*
    Path                 /var/log/containers/*.log
    Exclude_Path         /var/log/containers/aws-node*, /var/log/containers/kube-proxy*, \
/var/log/containers/fluent-bit*, /var/log/containers/cloudwatch-agent*
    multiline.parser     docker, cri
    DB                   /var/fluent-bit/state/flb_container.db
    Mem_Buf_Limit        50MB
    Skip_Long_Lines      On
    Refresh_Interval     10
    Rotate_Wait          30
    storage.type         filesystem
    Read_from_Head       On

[FILTER]
    Name                 kubernetes
    Match                application.*
    Kube_URL             https://kubernetes.default.svc:443
    Kube_Tag_Prefix      application.var.log.containers.
    Merge_Log            On
    Merge_Log_Key        log_processed
    K8S-Logging.Parser   On
    K8S-Logging.Exclude  Off
    Labels               Off
    Annotations          Off
    Use_Kubelet          On
    Kubelet_Port         10250
    Buffer_Size          0

[FILTER]
    Name                 rewrite_tag
    Match                application.*
    Rule                 $log_processed['_aws']['CloudWatchMetrics'][0]['Namespace'] ^.+$ emf.$TAG false
    Emitter_Name         emf
    Emitter_Storage.type filesystem

[OUTPUT]
    Name                 cloudwatch_logs
    Match                emf.*
    region               ${AWS_REGION}
    log_group_name       /aws/containerinsights/${CLUSTER_NAME}/application
    log_stream_prefix    ${HOST_NAME}-
    log_key              log
    log_format           json/emf
    auto_create_group    false

[OUTPUT]
    Name                 cloudwatch_logs
    Match                application.*
    region               ${AWS_REGION}
    log_group_name       /aws/containerinsights/${CLUSTER_NAME}/application
    log_stream_prefix    ${HOST_NAME}-
    auto_create_group    false
    extra_user_agent     container-insights
"""
"""Fluent Bit for the output of pods: the add-on's own, and a way for metrics.

A line of a pod becomes `{"log": LINE, "log_processed": {...}, "kubernetes": {...}}`, in which CloudWatch
looks for no metrics. So lines in its embedded metric format (`apps.kit.metrics`) leave as they were printed.
"""


@dataclass(frozen=True)
class AddonsArgs:
    """`nodes` is what the add-ons run on: without nodes they never become healthy, and time out."""

    versions: Versions
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    account_id: pulumi.Input[str]
    nodes: pulumi.Resource
    agent: pulumi.Resource
    container_insights: bool
    log_key_arn: pulumi.Input[str]
    retention_days: int
    protect: bool


class Addons(pulumi.ComponentResource):
    """CoreDNS, metrics-server, the agents of node health and CloudWatch, and the log groups of the latter.

    Costs by what is logged, and by container with `container_insights`, the largest part of CloudWatch's
    bill. `log_groups` are the names by what is in them: `application`, `dataplane`, `host`, and with insights
    `performance`.
    """

    installed: Sequence[pulumi.Resource]
    log_groups: Mapping[str, Output[str]]

    def __init__(self, name: str, args: AddonsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Addons", name, {}, opts)
        self._name, self._args = name, args
        pinned = args.versions
        groups = [self._log_group(kind) for kind in log_kinds(args.container_insights)]
        self.log_groups = {
            kind: group.name for kind, group in zip(log_kinds(args.container_insights), groups, strict=True)
        }
        self.installed = [
            self._addon("coredns", pinned.coredns),
            self._addon("metrics-server", pinned.metrics_server),
            self._addon("eks-node-monitoring-agent", pinned.eks_node_monitoring_agent),
            self._observability(groups),
        ]
        self.register_outputs({"log_groups": self.log_groups})

    def _addon(
        self,
        addon: str,
        version: str,
        *,
        configuration: str | None = None,
        roles: Sequence[aws.eks.AddonPodIdentityAssociationArgs] = (),
        needs: Sequence[pulumi.Resource] = (),
    ) -> aws.eks.Addon:
        return aws.eks.Addon(
            f"{self._name}-{addon}",
            cluster_name=self._args.cluster_name,
            addon_name=addon,
            addon_version=version,
            configuration_values=configuration,
            pod_identity_associations=list(roles) or None,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=ResourceOptions(parent=self, depends_on=[self._args.nodes, *needs]),
        )

    def _observability(self, groups: Sequence[pulumi.Resource]) -> aws.eks.Addon:
        """Agent and Fluent Bit run under one service account, which the add-on makes and gives the role.

        The groups come first: one that Fluent Bit finds missing and makes is neither encrypted nor emptied.
        """
        args, account = self._args, "cloudwatch-agent"
        role = PodRole(
            f"{self._name}-cloudwatch",
            PodRoleArgs(
                account_id=args.account_id,
                cluster_arn=args.cluster_arn,
                namespace=OBSERVABILITY_NAMESPACE,
                service_account=account,
                managed_policy="CloudWatchAgentServerPolicy",
            ),
            ResourceOptions(parent=self),
        )
        return self._addon(
            "amazon-cloudwatch-observability",
            args.versions.amazon_cloudwatch_observability,
            configuration=observability(args.container_insights),
            roles=[aws.eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=account)],
            needs=[args.agent, *role.rights, *groups],
        )

    def _log_group(self, kind: str) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            f"{self._name}-{kind}-logs",
            name=Output.concat("/aws/containerinsights/", self._args.cluster_name, "/", kind),
            retention_in_days=self._args.retention_days,
            kms_key_id=self._args.log_key_arn,
            opts=ResourceOptions(parent=self, protect=self._args.protect),
        )


def log_kinds(container_insights: bool) -> tuple[str, ...]:
    """What the agents write, by the last part of its log group's name."""
    return (*LOGS, INSIGHTS) if container_insights else LOGS


def observability(container_insights: bool) -> str:
    """The configuration of the CloudWatch add-on.

    Named in full, because what is left out is on: Container Insights, and Application Signals, which would
    put an agent of its own into every Python process. `emf` opens the agent's port for metrics, 25888.
    """
    metrics: dict[str, object] = {"emf": {}}
    if container_insights:
        metrics["kubernetes"] = {"enhanced_container_insights": True}
    files = {"application-log.conf": APPLICATION_LOGS}
    return json.dumps(
        {
            "agent": {"config": {"logs": {"metrics_collected": metrics}}},
            "containerLogs": {"enabled": True, "fluentBit": {"config": {"extraFiles": files}}},
            "manager": {"applicationSignals": {"autoMonitor": {"monitorAllServices": False}}},
        }
    )

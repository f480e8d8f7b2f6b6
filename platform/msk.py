"""Kafka on MSK: the brokers, which environments share, and the topics of one environment.

Clients come by one way: TLS with IAM authentication, port 9098. The catalog's policies are therefore
also Kafka's, and there is no password, no ACL and no plain port.
"""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions
from pulumi_aws.appautoscaling import PolicyTargetTrackingScalingPolicyConfigurationArgs as Tracking
from pulumi_aws.appautoscaling import (
    PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs as Metric,
)

import names
from apps.catalog import Catalog, Topic
from network import Subnets
from settings import KafkaSettings

IAM_PORT = 9098
VOLUME_LIMIT_GIB = 16384
VOLUME_GROWTH = 10
"""The disk may grow to this many times its first size before somebody has to look."""
VOLUME_TARGET_PERCENT = 60


@dataclass(frozen=True)
class BrokersArgs:
    """`client_security_group_id` is the group whose members may connect: the cluster's nodes and pods."""

    settings: KafkaSettings
    prefix: str
    vpc_id: pulumi.Input[str]
    isolated: Subnets
    client_security_group_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    retention_days: int
    protect: bool


class Brokers(pulumi.ComponentResource):
    """Provisioned brokers in the isolated subnets, with their configuration, firewall, log and growing disks.

    Costs about 70 USD a month in dev (two kafka.t3.small), 480 in prod (three kafka.m7g.large); created in
    15 to 40 minutes. A kafka.t3.small takes 4 new IAM connections a second and 300 partitions: pods start one
    after another, and previews have one partition a topic. Only prod pays for metrics of each broker.

    Changes of version, type or configuration roll through the brokers. Going from two brokers to three
    changes the subnets, which is another cluster: its records are gone, and the relay sends them again.
    The volume's size is only the first one: disks grow and never shrink.

    Refuses (`ValueError`) what `problems` lists.
    """

    arn: pulumi.Output[str]
    bootstrap: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    cluster_name: pulumi.Output[str]

    def __init__(self, name: str, args: BrokersArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Brokers", name, {}, opts)
        if found := problems(args.settings):
            raise ValueError("the brokers cannot be made:\n" + "\n".join(f"- {problem}" for problem in found))
        group = aws.ec2.SecurityGroup(
            f"{name}-brokers",
            description="Kafka brokers",
            vpc_id=args.vpc_id,
            tags={"Name": names.physical(args.prefix, "kafka")},
            opts=ResourceOptions(parent=self),
        )
        clients = aws.vpc.SecurityGroupIngressRule(
            f"{name}-clients",
            description="Kafka with IAM from the cluster",
            security_group_id=group.id,
            referenced_security_group_id=args.client_security_group_id,
            ip_protocol="tcp",
            from_port=IAM_PORT,
            to_port=IAM_PORT,
            opts=ResourceOptions(parent=self),
        )
        cluster = self._cluster(name, args, group, clients)
        self._growth(name, args.settings, cluster)

        self.arn = cluster.arn
        self.bootstrap = cluster.bootstrap_brokers_sasl_iam
        self.security_group_id = group.id
        self.cluster_name = cluster.cluster_name
        self.register_outputs(
            {
                "arn": self.arn,
                "bootstrap": self.bootstrap,
                "security_group_id": self.security_group_id,
                "cluster_name": self.cluster_name,
            }
        )

    def _cluster(
        self, name: str, args: BrokersArgs, group: aws.ec2.SecurityGroup, clients: pulumi.Resource
    ) -> aws.msk.Cluster:
        settings = args.settings
        # Under /aws/vendedlogs/ the delivery needs no entry of its own in the account's log policy.
        log = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=f"/aws/vendedlogs/msk/{names.physical(args.prefix, 'kafka')}",
            retention_in_days=args.retention_days,
            kms_key_id=args.log_key_arn,
            opts=ResourceOptions(parent=self),
        )
        # Neither name nor Kafka versions are given: both are immutable, and a configuration in use cannot
        # be deleted to be replaced. So every change is a new revision of this one.
        configuration = aws.msk.Configuration(
            f"{name}-configuration",
            server_properties=server_properties(settings.replication, settings.min_in_sync),
            opts=ResourceOptions(parent=self),
        )
        return aws.msk.Cluster(
            f"{name}-cluster",
            kafka_version=settings.version,
            number_of_broker_nodes=settings.brokers,
            broker_node_group_info=aws.msk.ClusterBrokerNodeGroupInfoArgs(
                instance_type=settings.broker_type,
                client_subnets=args.isolated.ids[: zones(settings.brokers)],
                security_groups=[group.id],
                storage_info=aws.msk.ClusterBrokerNodeGroupInfoStorageInfoArgs(
                    ebs_storage_info=aws.msk.ClusterBrokerNodeGroupInfoStorageInfoEbsStorageInfoArgs(
                        volume_size=settings.volume_gib
                    )
                ),
            ),
            client_authentication=aws.msk.ClusterClientAuthenticationArgs(
                sasl=aws.msk.ClusterClientAuthenticationSaslArgs(iam=True), unauthenticated=False
            ),
            encryption_info=aws.msk.ClusterEncryptionInfoArgs(
                encryption_at_rest_kms_key_arn=args.key_arn,
                encryption_in_transit=aws.msk.ClusterEncryptionInfoEncryptionInTransitArgs(
                    client_broker="TLS", in_cluster=True
                ),
            ),
            configuration_info=aws.msk.ClusterConfigurationInfoArgs(
                arn=configuration.arn, revision=configuration.latest_revision
            ),
            enhanced_monitoring="PER_BROKER" if args.protect else "DEFAULT",
            logging_info=aws.msk.ClusterLoggingInfoArgs(
                broker_logs=aws.msk.ClusterLoggingInfoBrokerLogsArgs(
                    cloudwatch_logs=aws.msk.ClusterLoggingInfoBrokerLogsCloudwatchLogsArgs(
                        enabled=True, log_group=log.name
                    )
                )
            ),
            tags={"Name": names.physical(args.prefix, "kafka")},
            opts=ResourceOptions(
                parent=self,
                protect=args.protect,
                depends_on=[clients],
                # A disk that has grown would otherwise be asked to shrink, which MSK refuses.
                ignore_changes=["brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize"],
            ),
        )

    def _growth(self, name: str, settings: KafkaSettings, cluster: aws.msk.Cluster) -> None:
        target = aws.appautoscaling.Target(
            f"{name}-volume",
            service_namespace="kafka",
            scalable_dimension="kafka:broker-storage:VolumeSize",
            resource_id=cluster.arn,
            min_capacity=settings.volume_gib,
            max_capacity=min(VOLUME_GROWTH * settings.volume_gib, VOLUME_LIMIT_GIB),
            opts=ResourceOptions(parent=self),
        )
        aws.appautoscaling.Policy(
            f"{name}-volume",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration=Tracking(
                predefined_metric_specification=Metric(
                    predefined_metric_type="KafkaBrokerStorageUtilization"
                ),
                target_value=VOLUME_TARGET_PERCENT,
                disable_scale_in=True,
            ),
            opts=ResourceOptions(parent=self),
        )


@dataclass(frozen=True)
class TopicsArgs:
    """`replication` and `min_in_sync` are those of the brokers. `one_partition` is for previews."""

    catalog: Catalog
    prefix: str
    cluster_arn: pulumi.Input[str]
    replication: int
    min_in_sync: int
    one_partition: bool
    protect: bool


class Topics(pulumi.ComponentResource):
    """The catalog's topics under the environment's prefix. They cost nothing but the brokers' disk.

    Whoever runs this needs `kafka-cluster:CreateTopic`, `AlterTopic` and their like on the cluster, not a way
    to the brokers: MSK does it itself. More partitions or another retention change a topic in place, fewer
    partitions are impossible, another replication makes it anew, without its records.

    Refuses (`ValueError`) a `min_in_sync` that the loss of one broker would already break.
    """

    topics: list[pulumi.Resource]

    def __init__(self, name: str, args: TopicsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Topics", name, {}, opts)
        if not 1 <= args.min_in_sync < args.replication:
            raise ValueError(
                f"of {args.replication} copies {args.min_in_sync} must be in sync:"
                " every restart of a broker would stop the producers"
            )
        self.topics = [
            aws.msk.Topic(
                f"{name}-{topic.name}",
                name=names.topic(args.prefix, topic.name),
                cluster_arn=args.cluster_arn,
                partition_count=1 if args.one_partition else topic.partitions,
                replication_factor=args.replication,
                configs=topic_configs(topic, args.min_in_sync),
                opts=ResourceOptions(parent=self, protect=args.protect),
            )
            for topic in args.catalog.topics
        ]
        self.register_outputs({})


def problems(settings: KafkaSettings) -> list[str]:
    """What MSK would refuse after half an hour, or what could never be mended without another cluster."""
    found = []
    if not settings.version.endswith(".kraft"):
        kraft = f"{settings.version}.kraft"
        found.append(f"Kafka {settings.version} has ZooKeeper, with no way to KRaft later; take {kraft}")
    if not settings.broker_type.startswith("kafka."):
        found.append(f"{settings.broker_type} has no volume of its own; take a type that begins with kafka.")
    if settings.brokers != 2 and (settings.brokers < 3 or settings.brokers % 3):
        found.append(f"{settings.brokers} brokers do not spread evenly; take 2 or a multiple of 3")
    if not 1 <= settings.volume_gib <= VOLUME_LIMIT_GIB:
        found.append(f"a volume has 1 to {VOLUME_LIMIT_GIB} GiB, not {settings.volume_gib}")
    return found


def zones(brokers: int) -> int:
    """In how many zones that many brokers stand, as many in each."""
    return 2 if brokers == 2 else 3


def server_properties(replication: int, min_in_sync: int) -> str:
    """The brokers' property file: one `key=value` a line, in an order that only a change can change."""
    properties = {
        # Topics are resources; a misspelt name must fail, not appear.
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(replication),
        "min.insync.replicas": str(min_in_sync),
        # A copy that missed records must not become the truth.
        "unclean.leader.election.enable": "false",
    }
    return "".join(f"{key}={value}\n" for key, value in sorted(properties.items()))


def topic_configs(topic: Topic, min_in_sync: int) -> str:
    """A topic's settings as the JSON object of texts that MSK takes."""
    configs = {
        "cleanup.policy": "delete",
        "min.insync.replicas": str(min_in_sync),
        "retention.ms": str(topic.retention_hours * 60 * 60 * 1000),
    }
    return json.dumps(configs, sort_keys=True)

"""Brokers speak TLS with IAM and nothing else, and the topics on them are the catalog's."""

import json
from dataclasses import replace

import pulumi
import pytest

from apps.catalog import CATALOG, Topic
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from msk import Brokers, BrokersArgs, Topics, TopicsArgs, problems, server_properties, topic_configs, zones
from names import PREFIX_LIMIT
from network import Subnets
from settings import KafkaSettings
from tests.platform.types_check import complaints

KEY = "arn:aws:kms:sa-east-1:111122223333:key/kafka"
LOG_KEY = "arn:aws:kms:sa-east-1:111122223333:key/logs"
DEV = KafkaSettings(version="3.9.x.kraft", broker_type="kafka.t3.small", brokers=2, volume_gib=20)
PROD = KafkaSettings(version="3.9.x.kraft", broker_type="kafka.m7g.large", brokers=3, volume_gib=100)
SUBNETS = ("subnet-a", "subnet-b", "subnet-c")
CLUSTER = "aws:msk/cluster:Cluster"
TOPIC = "aws:msk/topic:Topic"


def brokers(settings: KafkaSettings = DEV, *, prefix: str = "dev", protect: bool = False) -> Brokers:
    return Brokers(
        "kafka",
        BrokersArgs(
            settings=settings,
            prefix=prefix,
            vpc_id=pulumi.Output.from_input("vpc-1"),
            isolated=Subnets([pulumi.Output.from_input(subnet) for subnet in SUBNETS], ["10.0.0.0/24"] * 3),
            client_security_group_id="sg-cluster",
            key_arn=KEY,
            log_key_arn=LOG_KEY,
            retention_days=30,
            protect=protect,
        ),
    )


def topics(*, one_partition: bool = False, protect: bool = False, min_in_sync: int = 1) -> Topics:
    args = TopicsArgs(CATALOG, "dev", brokers().arn, 2, min_in_sync, one_partition, protect)
    return Topics("topics", args)


def exported() -> None:
    made = brokers()
    pulumi.export("arn", made.arn)
    pulumi.export("bootstrap", made.bootstrap)
    pulumi.export("cluster_name", made.cluster_name)
    pulumi.export("security_group_id", made.security_group_id)


@pytest.fixture(scope="module")
def dev() -> Graph:
    return evaluate(lambda: topics())


@pytest.fixture(scope="module")
def prod() -> Graph:
    return evaluate(lambda: brokers(PROD, prefix="prod", protect=True))


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_every_resource_takes_what_its_sdk_says_and_has_a_component_above_it(preview: bool) -> None:
    graph = evaluate(lambda: topics(protect=True) and None, preview=preview)
    assert {node.name: found for node in graph if (found := complaints(node))} == {}
    assert graph.outside_components() == []
    assert graph.messages == ()
    assert len(graph.of_type(TOPIC)) == len(CATALOG.topics)


def test_the_brokers_hand_on_what_clients_need() -> None:
    outputs = evaluate(exported).outputs
    assert outputs["arn"].startswith("arn:aws:kafka:sa-east-1:111122223333:cluster/")
    assert outputs["cluster_name"] == outputs["arn"].split("/")[1]
    assert all(broker.endswith(":9098") for broker in outputs["bootstrap"].split(","))
    assert outputs["security_group_id"].startswith("sg-")
    assert evaluate(exported, preview=True).outputs["bootstrap"] is UNKNOWN


def test_nobody_connects_but_by_iam_over_tls(dev: Graph) -> None:
    inputs = dev.one(CLUSTER).inputs
    assert inputs["clientAuthentication"] == {"sasl": {"iam": True}, "unauthenticated": False}
    assert inputs["encryptionInfo"] == {
        "encryptionAtRestKmsKeyArn": KEY,
        "encryptionInTransit": {"clientBroker": "TLS", "inCluster": True},
    }
    assert "connectivityInfo" not in inputs["brokerNodeGroupInfo"]


def test_the_firewall_lets_in_the_cluster_on_one_port(dev: Graph) -> None:
    group = dev.one("aws:ec2/securityGroup:SecurityGroup")
    rules = [node for node in dev if "ecurityGroup" in node.type and node.urn != group.urn]
    assert [rule.inputs for rule in rules] == [
        {
            "description": "Kafka with IAM from the cluster",
            "securityGroupId": dev.one(CLUSTER).inputs["brokerNodeGroupInfo"]["securityGroups"][0],
            "referencedSecurityGroupId": "sg-cluster",
            "ipProtocol": "tcp",
            "fromPort": 9098,
            "toPort": 9098,
        }
    ]
    # Rules of its own would undo those that other parts add.
    assert not {"ingress", "egress"} & group.inputs.keys()
    assert dev.depends(dev.one(CLUSTER), rules[0])


@pytest.mark.parametrize(
    ("settings", "subnets"),
    [(DEV, SUBNETS[:2]), (PROD, SUBNETS), (replace(PROD, brokers=6), SUBNETS)],
    ids=["two", "three", "six"],
)
def test_brokers_spread_evenly_over_their_subnets(settings: KafkaSettings, subnets: tuple[str, ...]) -> None:
    inputs = evaluate(lambda: brokers(settings)).one(CLUSTER).inputs
    assert inputs["brokerNodeGroupInfo"]["clientSubnets"] == list(subnets)
    assert inputs["numberOfBrokerNodes"] % len(subnets) == 0
    assert zones(settings.brokers) >= settings.replication


def test_the_log_stands_first_with_retention_and_key(dev: Graph) -> None:
    log = dev.one("aws:cloudwatch/logGroup:LogGroup")
    assert log.inputs == {
        "name": "/aws/vendedlogs/msk/dev-kafka",
        "retentionInDays": 30,
        "kmsKeyId": LOG_KEY,
    }
    logging = dev.one(CLUSTER).inputs["loggingInfo"]["brokerLogs"]["cloudwatchLogs"]
    assert logging == {"enabled": True, "logGroup": log.inputs["name"]}
    assert dev.depends(dev.one(CLUSTER), log)


def test_a_change_of_configuration_is_a_revision_never_another_configuration(dev: Graph) -> None:
    configuration = dev.one("aws:msk/configuration:Configuration")
    assert configuration.inputs.keys() == {"serverProperties"}
    info = dev.one(CLUSTER).inputs["configurationInfo"]
    assert info["arn"].split(":")[5].startswith("configuration/")
    assert info["revision"] == 1
    preview = evaluate(exported, preview=True).one(CLUSTER)
    assert preview.inputs["configurationInfo"] == {"arn": UNKNOWN, "revision": UNKNOWN}


def test_the_property_file_has_one_key_and_value_a_line() -> None:
    assert server_properties(3, 2) == (
        "auto.create.topics.enable=false\n"
        "default.replication.factor=3\n"
        "min.insync.replicas=2\n"
        "unclean.leader.election.enable=false\n"
    )


def test_a_disk_grows_and_a_later_update_does_not_ask_it_to_shrink(dev: Graph) -> None:
    cluster = dev.one(CLUSTER)
    assert cluster.inputs["brokerNodeGroupInfo"]["storageInfo"]["ebsStorageInfo"] == {"volumeSize": 20}
    assert cluster.ignore_changes == ("brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize",)
    target = dev.one("aws:appautoscaling/target:Target")
    assert target.inputs == {
        "serviceNamespace": "kafka",
        "scalableDimension": "kafka:broker-storage:VolumeSize",
        "resourceId": cluster.outputs and cluster.outputs["arn"],
        "minCapacity": 20,
        "maxCapacity": 200,
    }
    policy = dev.one("aws:appautoscaling/policy:Policy")
    assert policy.inputs["targetTrackingScalingPolicyConfiguration"] == {
        "predefinedMetricSpecification": {"predefinedMetricType": "KafkaBrokerStorageUtilization"},
        "targetValue": 60,
        "disableScaleIn": True,
    }
    # Deleted before the cluster, or the alarm that it made would stay behind.
    assert dev.depends(policy, cluster)


def test_a_disk_never_grows_past_what_msk_allows() -> None:
    graph = evaluate(lambda: brokers(replace(PROD, volume_gib=2000)))
    assert graph.one("aws:appautoscaling/target:Target").inputs["maxCapacity"] == 16384


def test_prod_is_protected_and_pays_for_metrics_of_each_broker(dev: Graph, prod: Graph) -> None:
    assert [dev.one(CLUSTER).protect, prod.one(CLUSTER).protect] == [False, True]
    assert dev.one(CLUSTER).inputs["enhancedMonitoring"] == "DEFAULT"
    assert prod.one(CLUSTER).inputs["enhancedMonitoring"] == "PER_BROKER"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (replace(DEV, version="3.9.x"), "take 3.9.x.kraft"),
        (replace(DEV, broker_type="express.m7g.large"), "express.m7g.large has no volume"),
        (replace(DEV, brokers=0), "0 brokers"),
        (replace(DEV, brokers=1), "1 brokers"),
        (replace(DEV, brokers=4), "4 brokers"),
        (replace(DEV, volume_gib=0), "not 0"),
        (replace(DEV, volume_gib=16385), "not 16385"),
    ],
    ids=["zookeeper", "express", "none", "one", "four", "no-disk", "huge-disk"],
)
def test_what_msk_would_refuse_is_refused_before_anything_is_made(settings: KafkaSettings, says: str) -> None:
    assert [says in problem for problem in problems(settings)] == [True]
    with pytest.raises(ValueError, match=says):
        evaluate(lambda: brokers(settings))


@pytest.mark.parametrize("settings", [DEV, PROD, replace(PROD, brokers=30)], ids=["dev", "prod", "large"])
def test_sound_settings_have_no_problem(settings: KafkaSettings) -> None:
    assert problems(settings) == []


def test_each_topic_of_the_catalog_is_made_dead_letters_too(dev: Graph) -> None:
    arn = dev.one(CLUSTER).outputs
    assert arn is not None
    made = {node.inputs["name"]: node.inputs for node in dev.of_type(TOPIC)}
    assert made.keys() == {f"dev.{topic.name}" for topic in CATALOG.topics}
    for topic in CATALOG.topics:
        inputs = made[f"dev.{topic.name}"]
        assert inputs["partitionCount"] == topic.partitions
        assert inputs["replicationFactor"] == 2
        assert inputs["clusterArn"] == arn["arn"]
        assert json.loads(inputs["configs"])["retention.ms"] == str(topic.retention_hours * 3_600_000)


def test_topics_wait_for_the_brokers(dev: Graph) -> None:
    assert all(dev.depends(topic, dev.one(CLUSTER)) for topic in dev.of_type(TOPIC))


def test_a_preview_has_one_partition_a_topic() -> None:
    graph = evaluate(lambda: topics(one_partition=True))
    assert {node.inputs["partitionCount"] for node in graph.of_type(TOPIC)} == {1}


def test_topics_are_protected_where_asked(dev: Graph) -> None:
    protected = evaluate(lambda: topics(protect=True))
    assert {node.protect for node in protected.of_type(TOPIC)} == {True}
    assert {node.protect for node in dev.of_type(TOPIC)} == {False}


def test_a_topics_settings_are_a_json_object_of_texts() -> None:
    assert json.loads(topic_configs(Topic("transfers", 6, 168), 2)) == {
        "cleanup.policy": "delete",
        "min.insync.replicas": "2",
        "retention.ms": "604800000",
    }


@pytest.mark.parametrize("min_in_sync", [0, 2, 3])
def test_topics_that_one_lost_broker_would_stop_are_refused(min_in_sync: int) -> None:
    with pytest.raises(ValueError, match=f"of 2 copies {min_in_sync} must be in sync"):
        evaluate(lambda: topics(min_in_sync=min_in_sync))


def test_names_fit_with_the_longest_prefix() -> None:
    prefix = "p" * PREFIX_LIMIT

    def program() -> None:
        made = brokers(prefix=prefix)
        Topics("topics", TopicsArgs(CATALOG, prefix, made.arn, 2, 1, one_partition=True, protect=False))

    graph = evaluate(program)
    assert max(len(node.inputs["name"]) for node in graph.of_type(TOPIC)) <= 249
    assert len(graph.one("aws:cloudwatch/logGroup:LogGroup").inputs["name"]) <= 512
    assert len(graph.one(CLUSTER).name + "-0123abc") <= 64

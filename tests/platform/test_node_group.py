"""The nodes: where they run, what pods may learn from them, and how many there are."""

import base64
import json

import pytest

from environments.graph import answers as cloud
from node_group import MAX_PODS, node_tags, user_data
from tests.platform.cluster_program import NODE_GROUP, ROLE, SETTINGS, TEMPLATE, cluster_graph
from versions import VERSIONS

both = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])


@both
def test_nodes_are_in_the_private_subnets_alone(preview: bool) -> None:
    """Left out, the subnets would be all of the cluster's: a node in a public one never joins."""
    group = cluster_graph(preview=preview).one(NODE_GROUP)
    assert group.inputs["subnetIds"] == [f"subnet-private-{zone}" for zone in "abc"]


@both
def test_nodes_are_arm64_of_a_pinned_image_and_the_clusters_version(preview: bool) -> None:
    inputs = cluster_graph(preview=preview).one(NODE_GROUP).inputs
    assert inputs["amiType"] == "AL2023_ARM_64_STANDARD"
    assert inputs["version"] == SETTINGS.version
    assert inputs["releaseVersion"] == VERSIONS[SETTINGS.version].node_image
    assert inputs["instanceTypes"] == ["m7g.large"]


@both
def test_the_autoscaler_decides_how_many_nodes_there_are(preview: bool) -> None:
    """An `up` that set the number back would stop nodes under load."""
    group = cluster_graph(preview=preview).one(NODE_GROUP)
    assert group.inputs["scalingConfig"] == {"minSize": 2, "maxSize": 6, "desiredSize": 2}
    assert group.ignore_changes == ("scalingConfig.desiredSize",)


@both
def test_nodes_are_replaced_one_by_one_and_when_they_are_sick(preview: bool) -> None:
    inputs = cluster_graph(preview=preview).one(NODE_GROUP).inputs
    assert inputs["updateConfig"] == {"maxUnavailable": 1}
    assert inputs["nodeRepairConfig"] == {"enabled": True}


@both
def test_pods_cannot_ask_for_their_nodes_credentials(preview: bool) -> None:
    """A pod's answer takes a second hop; version 1 of the service would answer a forged request."""
    template = cluster_graph(preview=preview).one(TEMPLATE)
    assert template.inputs["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }


@both
def test_disks_are_encrypted_with_our_key(preview: bool) -> None:
    (disk,) = cluster_graph(preview=preview).one(TEMPLATE).inputs["blockDeviceMappings"]
    assert disk["ebs"]["encrypted"] == "true"
    assert disk["ebs"]["kmsKeyId"] == cloud.arn("kms", "key/disks")
    assert disk["ebs"]["volumeType"] == "gp3"
    assert disk["ebs"]["deleteOnTermination"] == "true"


def test_the_group_follows_its_template() -> None:
    """By number: with `$Latest` EKS does not see that there is a new version."""
    graph = cluster_graph(preview=False)
    given = graph.one(NODE_GROUP).inputs["launchTemplate"]
    assert given["id"].startswith("lt-")
    assert given["version"] == "1"
    assert graph.depends(graph.one(NODE_GROUP), graph.one(TEMPLATE))


def test_what_ec2_starts_has_the_tags_of_everything_else() -> None:
    """The provider's default tags stop at the template."""
    specifications = cluster_graph(preview=False).one(TEMPLATE).inputs["tagSpecifications"]
    assert [each["resourceType"] for each in specifications] == ["instance", "volume", "network-interface"]
    expected = {"project": "gobanking", "environment": "dev", "Name": "dev-0a1b2c3-node"}
    assert [each["tags"] for each in specifications] == [expected] * 3


def test_a_nodes_name_wins_over_a_default_one() -> None:
    assert node_tags({"Name": "bank", "team": "a"}, "dev-1") == {"Name": "dev-1-node", "team": "a"}


def test_nodes_take_as_many_pods_as_prefixes_have_room_for() -> None:
    sent = cluster_graph(preview=False).one(TEMPLATE).inputs["userData"]
    assert base64.b64decode(sent).decode() == user_data(MAX_PODS)
    lines = user_data(110).splitlines()
    assert lines[0] == "MIME-Version: 1.0"
    assert "Content-Type: application/node.eks.aws" in lines
    assert "      maxPods: 110" in lines
    assert lines[-1] == "--//--", "an open part is not read"


def test_the_role_may_be_taken_by_instances_alone() -> None:
    role = cluster_graph(preview=False).one(ROLE, "cluster-nodes-role")
    (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}

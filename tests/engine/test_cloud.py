"""What the emulated clouds answer, without an engine."""

from typing import Any

import pytest

from tests.engine.cloud import Cloud, RefusedError
from tests.engine.differences import changes
from tests.engine.sdk import shape
from tests.engine.wire import SECRET, SIGNATURE, UNKNOWN, plain

TABLE = "aws:dynamodb/table:Table"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"


def urn(resource_type: str, name: str = "it") -> str:
    return f"urn:pulumi:dev::gobanking::{resource_type}::{name}"


@pytest.mark.parametrize(
    ("resource_type", "old", "new", "dotted", "replaces"),
    [
        pytest.param(TABLE, {"hashKey": "a"}, {"hashKey": "b"}, "hashKey", True, id="a key of a table"),
        pytest.param(TABLE, {"ttl": {}}, {"ttl": {"enabled": True}}, "ttl.enabled", False, id="nested"),
        pytest.param(TABLE, {"tags": {"a:b": "1"}}, {"tags": {}}, 'tags["a:b"]', False, id="a tag that goes"),
        pytest.param(TABLE, {"name": "a"}, {"name": UNKNOWN}, "name", True, id="a name not known yet"),
        pytest.param(
            DEPLOYMENT,
            {"metadata": {"namespace": "a"}},
            {"metadata": {"namespace": "b"}},
            "metadata.namespace",
            True,
            id="a namespace",
        ),
        pytest.param(
            DEPLOYMENT,
            {"spec": {"selector": {"matchLabels": {"app": "a"}}}},
            {"spec": {"selector": {"matchLabels": {"app": "b"}}}},
            "spec.selector.matchLabels.app",
            True,
            id="below what forces a replacement",
        ),
    ],
)
def test_a_change_is_told_by_its_path(
    resource_type: str, old: dict[str, Any], new: dict[str, Any], dotted: str, replaces: bool
) -> None:
    (change,) = changes(resource_type, old, new)
    assert (change.dotted, change.replaces) == (dotted, replaces)


def test_a_value_that_becomes_a_secret_is_no_change() -> None:
    secret = {SIGNATURE: SECRET, "value": "hush"}
    assert changes(TABLE, {"name": "hush"}, {"name": secret}) == []
    assert plain({"value": [secret]}) == {"value": ["hush"]}


@pytest.mark.parametrize(
    ("resource_type", "given"),
    [pytest.param(TABLE, {}, id="AWS"), pytest.param(DEPLOYMENT, {"metadata": {}}, id="Kubernetes")],
)
def test_a_made_up_name_is_kept_until_the_object_is_replaced(
    resource_type: str, given: dict[str, Any]
) -> None:
    cloud, its = Cloud(), urn(resource_type)
    first = cloud.check(resource_type, its, given, {})
    cloud.create(resource_type, its, first, preview=False)
    assert cloud.check(resource_type, its, given, first) == first
    assert cloud.check(resource_type, its, given, {}) != first


def test_what_an_update_changes_is_unknown_in_its_preview() -> None:
    cloud = Cloud()
    made = cloud.create(TEMPLATE, urn(TEMPLATE), {"name": "nodes"}, preview=False)
    previewed = cloud.update(TEMPLATE, made.id, {"name": "nodes"}, preview=True).outputs
    updated = cloud.update(TEMPLATE, made.id, {"name": "nodes"}, preview=False).outputs
    assert (made.outputs["latestVersion"], previewed["latestVersion"], updated["latestVersion"]) == (
        1,
        UNKNOWN,
        2,
    )
    assert previewed["arn"] == updated["arn"] == made.outputs["arn"]


def test_nested_values_are_completed_and_those_given_stay() -> None:
    """As an EKS cluster adds its security group to the network that it was given."""
    cloud, cluster = Cloud(), "aws:eks/cluster:Cluster"
    inputs = {"name": "dev", "vpcConfig": {"subnetIds": ["subnet-1"]}}
    previewed = cloud.create(cluster, urn(cluster), inputs, preview=True).outputs["vpcConfig"]
    made = cloud.create(cluster, urn(cluster), inputs, preview=False).outputs["vpcConfig"]
    assert previewed == {"subnetIds": ["subnet-1"], "clusterSecurityGroupId": UNKNOWN, "vpcId": UNKNOWN}
    assert made["subnetIds"] == ["subnet-1"]
    assert made["clusterSecurityGroupId"].startswith("sg-")


@pytest.mark.parametrize("method", ["update", "delete"])
def test_what_does_not_exist_is_not_touched(method: str) -> None:
    cloud = Cloud()
    arguments: dict[str, Any] = {} if method == "delete" else {"inputs": {}, "preview": False}
    with pytest.raises(RefusedError, match="'lost' does not exist"):
        getattr(cloud, method)(TABLE, "lost", **arguments)


def test_a_type_that_no_table_knows_computes_what_the_sdk_says_it_has() -> None:
    """This also shows when a new SDK keeps its classes' outputs elsewhere."""
    queue = "aws:sqs/queue:Queue"
    known = shape(queue)
    assert known is not None
    assert {"arn", "name", "url"} <= known.computed.keys()
    made = Cloud().create(queue, urn(queue), {"name": "q"}, preview=False).outputs
    assert known.computed.keys() <= made.keys()
    assert made["name"] == "q"

"""Access logs are written by the load balancers of this account, read by nobody outside, and expire."""

import json
from typing import Any

import pulumi
import pytest

from access_logs import DELIVERY, AccessLogs, AccessLogsArgs, bucket_policy
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from tests.platform.types_check import complaints

BUCKET = "arn:aws:s3:::logs-0a1b2c3"


def graph(*, preview: bool = False, protect: bool = False) -> Graph:
    def program() -> None:
        pulumi.export("bucket", AccessLogs("logs", AccessLogsArgs("111122223333", 30, protect)).bucket)

    return evaluate(program, preview=preview)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_the_bucket_is_closed_encrypted_and_owned_by_us(preview: bool) -> None:
    made = graph(preview=preview)
    assert [said for node in made for said in complaints(node)] == []
    assert made.outside_components() == []
    closed = made.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert [closed[switch] for switch in switches] == [True] * 4
    ownership = made.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls").inputs
    assert ownership["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    (rule,) = made.one(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    ).inputs["rules"]
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}, "no other key is taken"
    guards = [node for node in made if node.custom and node.parent and node.type.startswith("aws:s3/bucket")]
    assert {node.inputs["bucket"] for node in guards if "bucket" in node.inputs} == {
        UNKNOWN if preview else made.outputs["bucket"]
    }


def test_logs_expire_as_all_logs_do() -> None:
    (rule,) = graph().one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert (rule["status"], rule["expiration"]) == ("Enabled", {"days": 30})


@pytest.mark.parametrize("protect", [False, True])
def test_a_bucket_goes_with_its_logs_unless_it_is_protected(protect: bool) -> None:
    bucket = graph(protect=protect).one("aws:s3/bucket:Bucket")
    assert bucket.inputs["forceDestroy"] is not protect
    assert bucket.protect is protect


def test_changes_that_s3_refuses_at_the_same_time_wait_for_each_other() -> None:
    made = graph()
    policy = made.one("aws:s3/bucketPolicy:BucketPolicy")
    closed = made.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert made.depends(policy, closed)
    assert made.depends(closed, made.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls"))


def test_the_bucket_has_the_policy_of_its_own_name() -> None:
    made = graph()
    policy = json.loads(made.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    bucket = made.one("aws:s3/bucket:Bucket").outputs or {}
    assert policy == bucket_policy(bucket["arn"], "111122223333")


def statement(sid: str) -> Any:
    policy: Any = bucket_policy(BUCKET, "111122223333")
    (found,) = [each for each in policy["Statement"] if each["Sid"] == sid]
    return found


def test_the_delivery_may_only_put_objects_under_this_accounts_number() -> None:
    delivery = statement("Delivery")
    assert delivery["Effect"] == "Allow"
    assert delivery["Principal"] == {"Service": DELIVERY}
    assert delivery["Action"] == "s3:PutObject"
    assert delivery["Resource"] == f"{BUCKET}/AWSLogs/111122223333/*"


def test_nobody_reaches_the_bucket_without_tls() -> None:
    deny = statement("OnlyTls")
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
    assert deny["Resource"] == [BUCKET, f"{BUCKET}/*"]
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_nothing_else_is_allowed() -> None:
    policy: Any = bucket_policy(BUCKET, "111122223333")
    assert [each["Sid"] for each in policy["Statement"] if each["Effect"] == "Allow"] == ["Delivery"]

"""A misspelt key, however deep in a dict, is reported with its path; what the SDKs take passes."""

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes
import pytest

from environments.graph.evaluation import Graph, evaluate
from tests.platform.types_check import complaints

Inputs = dict[str, Any]


def table(**changes: Any) -> Inputs:
    return {
        "billing_mode": "PAY_PER_REQUEST",
        "hash_key": "pk",
        "attributes": [{"name": "pk", "type": "S"}],
        "point_in_time_recovery": {"enabled": True},
        "global_secondary_indexes": [
            {
                "name": "by_owner",
                "projection_type": "ALL",
                "key_schemas": [{"attribute_name": "pk", "key_type": "HASH"}],
            }
        ],
        "tags": {"any.key/at-all": "x"},
        **changes,
    }


def security_group(**changes: Any) -> Inputs:
    rule = {"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["10.0.0.0/8"]}
    return {"vpc_id": "vpc-1", "ingress": [rule | changes]}


def listener(**changes: Any) -> Inputs:
    redirect = {"port": "443", "protocol": "HTTPS", "status_code": "HTTP_301"} | changes
    action = {"type": "redirect", "redirect": redirect}
    return {"load_balancer_arn": "arn:lb", "port": 80, "default_actions": [action]}


def node_group(**changes: Any) -> Inputs:
    return {
        "cluster_name": "bank",
        "node_role_arn": "arn:role",
        "subnet_ids": ["subnet-1"],
        "scaling_config": {"min_size": 1, "max_size": 2, "desired_size": 1} | changes,
        "taints": [{"key": "k", "effect": "NO_SCHEDULE"}],
    }


def cluster(**changes: Any) -> Inputs:
    return {
        "vpc_id": "vpc-1",
        "private_subnet_ids": ["subnet-1"],
        "skip_default_node_group": True,
        "authentication_mode": "API",
        "vpc_cni_options": {"enable_network_policy": True} | changes,
        "access_entries": {
            "deployer": {
                "principal_arn": "arn:role",
                "access_policies": {"admin": {"policy_arn": "arn:p", "access_scope": {"type": "cluster"}}},
            }
        },
    }


def deployment(**changes: Any) -> Inputs:
    container: Inputs = {
        "name": "ledger",
        "image": "ledger:1",
        "ports": [{"container_port": 8080}],
        "resources": {"requests": {"cpu": "100m"}},
        "security_context": {"read_only_root_filesystem": True, "capabilities": {"drop": ["ALL"]}},
        **changes,
    }
    labels = {"app.kubernetes.io/name": "ledger"}
    return {
        "metadata": {"name": "ledger", "labels": labels},
        "spec": {
            "selector": {"match_labels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


RESOURCES: dict[str, tuple[Callable[..., Any], Callable[..., Inputs]]] = {
    "table": (aws.dynamodb.Table, table),
    "security group": (aws.ec2.SecurityGroup, security_group),
    "listener": (aws.lb.Listener, listener),
    "node group": (aws.eks.NodeGroup, node_group),
    "cluster": (eks.Cluster, cluster),
    "deployment": (kubernetes.apps.v1.Deployment, deployment),
}
CONTAINER = "spec.template.spec.containers[0]"


def wrong(graph: Graph) -> list[str]:
    return [complaint for node in graph for complaint in complaints(node)]


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize("name", RESOURCES)
def test_what_the_sdk_takes_passes(name: str, preview: bool) -> None:
    make, inputs = RESOURCES[name]
    assert wrong(evaluate(lambda: make("it", **inputs()), preview=preview)) == []


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        (
            "table",
            {"point_in_time_recovery": {"enabledd": True}},
            "pointInTimeRecovery.enabledd: no such property; enabled?",
        ),
        (
            "table",
            {"attributes": [{"name": "pk", "type": "S"}, {"name": "sk", "kind": "S"}]},
            "attributes[1].kind: no such property",
        ),
        (
            "table",
            {"ttl": {"attribute_name": "due", "enable": True}},
            "ttl.enable: no such property; enabled?",
        ),
        (
            "security group",
            {"cidr_block": ["0.0.0.0/0"]},
            "ingress[0].cidr_block: no such property; cidrBlocks?",
        ),
        (
            "listener",
            {"statuscode": "x"},
            "defaultActions[0].redirect.statuscode: no such property; statusCode?",
        ),
        ("node group", {"desired": 3}, "scalingConfig.desired: no such property; desiredSize?"),
        (
            "cluster",
            {"enable_pod_enis": True},
            "vpcCniOptions.enable_pod_enis: no such property; enablePodEni?",
        ),
        (
            "deployment",
            {"imagePulPolicy": "Always"},
            f"{CONTAINER}.imagePulPolicy: no such property; imagePullPolicy?",
        ),
        (
            "deployment",
            {"security_context": {"capabilities": {"dropp": ["ALL"]}}},
            f"{CONTAINER}.securityContext.capabilities.dropp: no such property; drop?",
        ),
        (
            "deployment",
            {"env": [{"name": "A", "value_from": {"secret_key_reff": {"name": "s", "key": "k"}}}]},
            f"{CONTAINER}.env[0].valueFrom.secret_key_reff: no such property; secretKeyRef?",
        ),
    ],
)
def test_a_misspelt_key_is_reported_with_its_path(name: str, changes: Inputs, complaint: str) -> None:
    make, inputs = RESOURCES[name]
    assert complaint in wrong(evaluate(lambda: make("it", **inputs(**changes))))


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("listener", {"status_code": None}, "defaultActions[0].redirect.statusCode: required"),
        (
            "table",
            {"point_in_time_recovery": True},
            "pointInTimeRecovery: True is given, wanted: TablePointInTimeRecoveryArgs",
        ),
        (
            "security group",
            {"cidr_blocks": "10.0.0.0/8"},
            "ingress[0].cidrBlocks: '10.0.0.0/8' is given, wanted: Sequence",
        ),
    ],
    ids=["missing", "truth for an object", "text for a list"],
)
def test_a_value_of_the_wrong_shape_is_reported(name: str, changes: Inputs, complaint: str) -> None:
    make, inputs = RESOURCES[name]
    assert wrong(evaluate(lambda: make("it", **inputs(**changes)))) == [complaint]


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("table", {"attributes": {"name": "pk"}}),
        ("table", {"hash_key": ["pk"]}),
        ("deployment", {"image": {}}),
    ],
    ids=["object for a list", "list for a text", "object for a text"],
)
def test_a_shape_that_the_sdk_itself_refuses_fails_the_run(name: str, changes: Inputs, preview: bool) -> None:
    make, inputs = RESOURCES[name]
    with pytest.raises(AssertionError, match=r"Unexpected type"):
        evaluate(lambda: make("it", **inputs(**changes)), preview=preview)


def test_an_input_made_of_an_output_that_does_not_exist_is_missed() -> None:
    def program() -> None:
        group = aws.ec2.SecurityGroup("group", vpc_id="vpc-1")
        aws.lb.Listener("it", **{**listener(), "load_balancer_arn": group.owner_id})

    assert wrong(evaluate(program)) == ["loadBalancerArn: required"]
    assert wrong(evaluate(program, preview=True)) == []


def test_an_enumeration_knows_its_values() -> None:
    faults = wrong(evaluate(lambda: eks.Cluster("it", **{**cluster(), "authentication_mode": "IAM"})))
    assert faults == ["authenticationMode: 'IAM' is not one of ['CONFIG_MAP', 'API', 'API_AND_CONFIG_MAP']"]


def test_the_configuration_of_a_provider_is_checked_through_its_texts() -> None:
    def tagged(key: str) -> Graph:
        tags: Any = {key: {"a": "b"}}
        return evaluate(lambda: aws.Provider("aws", region="sa-east-1", default_tags=tags))

    assert wrong(tagged("tags")) == []
    assert wrong(tagged("tag")) == ["defaultTags.tag: no such property; tags?"]


def test_a_text_that_a_provider_takes_may_be_json() -> None:
    assert wrong(evaluate(lambda: kubernetes.Provider("it", kubeconfig='{"kind": "Config"}'))) == []


def test_a_custom_object_of_kubernetes_is_checked_as_far_as_it_is_known() -> None:
    def binding(**metadata: Any) -> Graph:
        return evaluate(
            lambda: kubernetes.apiextensions.CustomResource(
                "it",
                api_version="elbv2.k8s.aws/v1beta1",
                kind="TargetGroupBinding",
                metadata=metadata,
                spec={"anything": {"goes": 1}},
            )
        )

    assert wrong(binding(name="it", labels={"a": "b"})) == []
    assert wrong(binding(name="it", label={"a": "b"})) == ["metadata.label: no such property; labels?"]


def test_a_type_that_no_sdk_knows_is_reported() -> None:
    graph = evaluate(lambda: pulumi.CustomResource("aws:dynamodb/tabel:Tabel", "it", {"hashKey": "pk"}))
    assert wrong(graph) == ["no SDK knows the type aws:dynamodb/tabel:Tabel"]


def test_our_own_components_and_references_are_left_alone() -> None:
    def program() -> None:
        pulumi.ComponentResource("gobanking:platform:Box", "box", {"anything": 1})
        pulumi.StackReference("organization/gobanking/dev")

    assert wrong(evaluate(program, stack_outputs={"organization/gobanking/dev": {}})) == []

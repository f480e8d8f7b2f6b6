"""The two controllers: which charts, under which names, with which rights."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import autoscaler
import load_balancer_controller
from environments.graph import answers as cloud
from environments.graph.evaluation import UNKNOWN
from tests.platform.cluster_program import ASSOCIATION, INLINE, RELEASE, SETTINGS, cluster_graph
from versions import AUTOSCALER_CHART, LOAD_BALANCER_CONTROLLER_CHART, VERSIONS

both = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
ACCOUNT, REGION = cloud.ACCOUNT, cloud.REGION


def statements(document: str) -> dict[str, dict[str, Any]]:
    return {statement.pop("Sid"): statement for statement in json.loads(document)["Statement"]}


@both
@pytest.mark.parametrize(
    ("chart", "repository", "version"),
    [
        ("aws-load-balancer-controller", "https://aws.github.io/eks-charts", LOAD_BALANCER_CONTROLLER_CHART),
        ("cluster-autoscaler", "https://kubernetes.github.io/autoscaler", AUTOSCALER_CHART),
    ],
)
def test_a_release_is_of_a_pinned_chart_and_awaited(
    chart: str, repository: str, version: str, preview: bool
) -> None:
    inputs = cluster_graph(preview=preview).one(RELEASE, f"cluster-controllers-{chart}-release").inputs
    assert (inputs["chart"], inputs["name"], inputs["version"]) == (chart, chart, version)
    assert inputs["repositoryOpts"] == {"repo": repository}
    assert inputs["namespace"] == "kube-system"
    assert "skipAwait" not in inputs, "what follows needs its webhooks to answer"
    assert inputs["atomic"] is True


@both
def test_the_account_that_gets_the_role_is_the_one_that_the_chart_makes(preview: bool) -> None:
    graph = cluster_graph(preview=preview)
    balancer = graph.one(RELEASE, "cluster-controllers-aws-load-balancer-controller-release").inputs["values"]
    scaler = graph.one(RELEASE, "cluster-controllers-cluster-autoscaler-release").inputs["values"]
    made = {balancer["serviceAccount"]["name"], scaler["rbac"]["serviceAccount"]["name"]}
    given = {
        node.inputs["serviceAccount"]
        for node in graph.of_type(ASSOCIATION)
        if node.name.startswith("cluster-controllers-")
    }
    assert made == given
    assert balancer["serviceAccount"]["create"] is True
    assert scaler["rbac"]["serviceAccount"]["create"] is True


@both
def test_controllers_are_told_what_they_cannot_ask_the_node(preview: bool) -> None:
    """One hop is all that the metadata service answers over: unasked-for region or VPC end them at start."""
    graph = cluster_graph(preview=preview)
    name = UNKNOWN if preview else "dev-0a1b2c3"
    balancer = graph.one(RELEASE, "cluster-controllers-aws-load-balancer-controller-release").inputs["values"]
    assert (balancer["clusterName"], balancer["region"], balancer["vpcId"]) == (name, REGION, "vpc-1")
    scaler = graph.one(RELEASE, "cluster-controllers-cluster-autoscaler-release").inputs["values"]
    assert (scaler["autoDiscovery"], scaler["awsRegion"]) == ({"clusterName": name}, REGION)
    assert scaler["image"] == {"tag": VERSIONS[SETTINGS.version].autoscaler}


@pytest.mark.parametrize(
    ("chart", "policy"),
    [
        (
            "aws-load-balancer-controller",
            load_balancer_controller.policy(REGION, ACCOUNT, "vpc-1"),
        ),
        ("cluster-autoscaler", autoscaler.policy(REGION, ACCOUNT, "dev-0a1b2c3")),
    ],
)
def test_each_has_its_own_policy(chart: str, policy: str) -> None:
    node = cluster_graph(preview=False).one(INLINE, f"cluster-controllers-{chart}-rights")
    assert node.inputs["policy"] == policy


def test_the_load_balancer_controller_registers_pods_in_this_account_and_region() -> None:
    register = statements(load_balancer_controller.policy(REGION, ACCOUNT, "vpc-1"))["Register"]
    assert register == {
        "Effect": "Allow",
        "Action": ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"],
        "Resource": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/*/*",
    }


def test_it_opens_security_groups_of_its_vpc_only() -> None:
    """The policy that comes with it has `*` here, for every VPC of the account."""
    rules = statements(load_balancer_controller.policy(REGION, ACCOUNT, "vpc-1"))["OpenToTheLoadBalancer"]
    assert rules == {
        "Effect": "Allow",
        "Action": ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"],
        "Resource": f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/*",
        "Condition": {"ArnEquals": {"ec2:Vpc": f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1"}},
    }


def test_it_makes_and_deletes_nothing() -> None:
    """What it made would outlive the stack and hold its network; the load balancer is the program's."""
    found = statements(load_balancer_controller.policy(REGION, ACCOUNT, "vpc-1"))
    actions = [action for statement in found.values() for action in statement["Action"]]
    assert [action for action in actions if action.partition(":")[2].startswith(("Create", "Delete"))] == []
    values = load_balancer_controller.values("dev-1", REGION, "vpc-1")
    assert values["createIngressClassResource"] is False
    assert values["enableBackendSecurityGroup"] is False


def test_no_service_waits_for_its_webhook_but_pods_get_readiness_gates() -> None:
    values = load_balancer_controller.values("dev-1", REGION, "vpc-1")
    assert values["enableServiceMutatorWebhook"] is False
    assert values["enablePodReadinessGateInject"] is True
    assert values["replicaCount"] == 2
    assert values["podDisruptionBudget"] == {"maxUnavailable": 1}


def test_the_autoscaler_changes_the_groups_of_its_own_cluster_only() -> None:
    found = statements(autoscaler.policy(REGION, ACCOUNT, "dev-1"))
    scale = found["Scale"]
    assert scale["Action"] == [
        "autoscaling:SetDesiredCapacity",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
    ]
    assert scale["Resource"].startswith(f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:")
    assert scale["Condition"] == {
        "StringEquals": {
            "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true",
            "aws:ResourceTag/k8s.io/cluster-autoscaler/dev-1": "owned",
        }
    }
    nodes = f"arn:aws:eks:{REGION}:{ACCOUNT}:nodegroup/dev-1/*/*"
    assert found["LookAtNodeGroups"]["Resource"] == nodes


def test_the_autoscaler_may_empty_any_node() -> None:
    """Every node has system pods and pods with `emptyDir`; with the defaults none would ever go."""
    arguments = autoscaler.values("dev-1", REGION, "v1.34.5")["extraArgs"]
    assert arguments == {
        "expander": "least-waste",
        "skip-nodes-with-local-storage": False,
        "skip-nodes-with-system-pods": False,
    }


@pytest.mark.parametrize("values", [load_balancer_controller.values, autoscaler.values])
def test_controllers_ask_for_the_room_they_take(values: Callable[[str, str, str], dict[str, Any]]) -> None:
    resources = values("dev-1", REGION, "x")["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}

"""Kubernetes objects as data: what each says, and what it must never say."""

import pytest

import manifests
import pods
from apps.catalog import CATALOG
from sizing import Requests, Scale

SPACE = "dev"
LABELS = {
    "app.kubernetes.io/name": "account",
    "app.kubernetes.io/component": "api",
    "app.kubernetes.io/part-of": "go-banking",
    "app.kubernetes.io/managed-by": "pulumi",
}
META = {"name": "account", "namespace": SPACE, "labels": LABELS}


def test_a_namespace_takes_only_restricted_pods_by_the_rules_of_one_release() -> None:
    found = manifests.namespace(SPACE)["metadata"]
    assert found["name"] == SPACE
    security = {key: value for key, value in found["labels"].items() if key.startswith("pod-security")}
    assert security == {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "v1.34",
        "pod-security.kubernetes.io/audit": "restricted",
        "pod-security.kubernetes.io/audit-version": "v1.34",
        "pod-security.kubernetes.io/warn": "restricted",
        "pod-security.kubernetes.io/warn-version": "v1.34",
    }


def test_pods_behind_a_target_group_get_a_readiness_gate() -> None:
    labels = manifests.namespace(SPACE)["metadata"]["labels"]
    assert labels["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"


def test_an_account_has_no_token() -> None:
    assert manifests.service_account(SPACE, "account", "api") == {
        "metadata": META,
        "automount_service_account_token": False,
    }


def test_a_service_has_its_containers_port_and_does_not_wait_for_pods() -> None:
    found = manifests.service(SPACE, "account", "api", 8001)
    assert found["metadata"] == {**META, "annotations": {"pulumi.com/skipAwait": "true"}}
    assert found["spec"] == {
        "type": "ClusterIP",
        "selector": pods.selector("account"),
        "ports": [{"name": "http", "port": 8001, "targetPort": 8001, "protocol": "TCP"}],
    }


def test_a_roll_out_takes_nothing_away() -> None:
    spec = manifests.deployment(SPACE, "account", "api", Scale(2, 2), {"metadata": {}})["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    assert spec["selector"] == {"matchLabels": pods.selector("account")}


@pytest.mark.parametrize(
    ("scale", "replicas"), [(Scale(1, 1), 1), (Scale(2, 2), 2), (Scale(2, 4), None)], ids=str
)
def test_a_deployment_says_how_many_only_where_nothing_scales_it(scale: Scale, replicas: int | None) -> None:
    spec = manifests.deployment(SPACE, "account", "api", scale, {})["spec"]
    assert spec.get("replicas") == replicas


def test_an_autoscaler_follows_the_cpu_of_its_deployment() -> None:
    found = manifests.autoscaler(SPACE, "account", CATALOG.service("account"), Scale(2, 4))
    assert found["metadata"] == META
    spec = found["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "account"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
    assert [metric["resource"]["name"] for metric in spec["metrics"]] == ["cpu"]
    assert "behavior" not in spec


def test_members_of_a_group_leave_one_by_one() -> None:
    settle = CATALOG.service("settle_transfers")
    spec = manifests.autoscaler(SPACE, "settle-transfers", settle, Scale(2, 4))["spec"]
    assert spec["behavior"]["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]


def test_one_pod_at_a_time_may_be_moved() -> None:
    found = manifests.disruption_budget(SPACE, "account", "api")
    assert found["metadata"] == META
    assert found["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": pods.selector("account")},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def test_a_quota_is_what_the_services_need_and_nothing_that_costs_extra() -> None:
    found = manifests.quota(SPACE, Requests(cpu_millis=1500, memory_mib=512, pods=7, branch_interfaces=2))
    assert found["metadata"]["namespace"] == SPACE
    assert found["spec"] == {
        "hard": {
            "requests.cpu": "1500m",
            "requests.memory": "512Mi",
            "limits.memory": "1024Mi",
            "pods": "7",
            "services.loadbalancers": "0",
            "services.nodeports": "0",
            "persistentvolumeclaims": "0",
        }
    }


def test_what_a_quota_counts_has_a_default() -> None:
    (limit,) = manifests.limit_range(SPACE)["spec"]["limits"]
    assert limit["type"] == "Container"
    assert limit["defaultRequest"].keys() == {"cpu", "memory"}
    assert limit["default"].keys() == {"memory"}


def test_a_binding_registers_pods_by_address() -> None:
    found = manifests.target_group_binding(SPACE, "gateway", 8000, "arn:group", "vpc-1")
    assert (found["api_version"], found["kind"]) == ("elbv2.k8s.aws/v1beta1", "TargetGroupBinding")
    assert found["spec"] == {
        "serviceRef": {"name": "gateway", "port": 8000},
        "targetGroupARN": "arn:group",
        "targetType": "ip",
        "vpcID": "vpc-1",
    }

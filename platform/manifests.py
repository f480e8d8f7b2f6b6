"""The Kubernetes objects of one environment but for pods and policies: pure functions, no resource."""

from typing import Any

import pulumi

from apps.catalog import Service
from pods import PORT_NAME, Manifest, labels, selector
from sizing import MEMORY_LIMIT_FACTOR, Requests, Scale

POD_SECURITY_VERSION = "v1.34"
"""The rules of `restricted` are those of this release, also after the cluster has gone on to the next."""
CPU_TARGET_PERCENT = 70
JOB_LIMIT_SECONDS = 3600
"""How long a job may run: a whole audit of a large ledger, or somebody who watches events go by."""
JOB_KEPT_SECONDS = 600
"""How long one that has ended stays, where whoever started it could not delete it."""


def metadata(namespace: str, workload: str, kind: str, **annotations: pulumi.Input[str]) -> dict[str, Any]:
    """Name, place and labels of an object of a workload."""
    found: Manifest = {"name": workload, "namespace": namespace, "labels": labels(workload, kind)}
    return {**found, "annotations": annotations} if annotations else found


def namespace(name: str) -> Manifest:
    """The namespace: only restricted pods, and a readiness gate for those behind a target group."""
    modes = ("enforce", "audit", "warn")
    security = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes}
    versions = {f"pod-security.kubernetes.io/{mode}-version": POD_SECURITY_VERSION for mode in modes}
    gate = {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}
    return {
        "metadata": {"name": name, "labels": {**labels(name, "namespace"), **security, **versions, **gate}}
    }


def service_account(namespace: str, workload: str, kind: str) -> Manifest:
    """Who a pod is, for Pod Identity alone: it gets no token of the Kubernetes API."""
    return {"metadata": metadata(namespace, workload, kind), "automount_service_account_token": False}


def service(namespace: str, workload: str, kind: str, port: int) -> Manifest:
    """The address of a workload. It does not wait for pods: those come after it.

    The port is the container's: the VPC CNI opens a Service's address only where the two are the same.
    """
    return {
        "metadata": metadata(namespace, workload, kind, **{"pulumi.com/skipAwait": "true"}),
        "spec": {
            "type": "ClusterIP",
            "selector": selector(workload),
            "ports": [{"name": PORT_NAME, "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }


def deployment(
    namespace: str,
    workload: str,
    kind: str,
    scale: Scale,
    template: Manifest,
    *,
    awaited: pulumi.Output[bool] | None = None,
) -> Manifest:
    """The pods of a workload. Their number is the autoscaler's where there is one, and not said here.

    An update waits for them to be ready, unless `awaited` says no: they cannot be yet.
    """
    spec: Manifest = {
        "selector": {"matchLabels": selector(workload)},
        "template": template,
        "revisionHistoryLimit": 3,
        "minReadySeconds": 5,
        # A new pod first, so that a roll-out takes nothing away.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    }
    if scale.fixed:
        spec["replicas"] = scale.low
    waits: dict[str, pulumi.Input[str]] = {}
    if awaited is not None:
        waits["pulumi.com/skipAwait"] = awaited.apply(lambda ready: "false" if ready else "true")
    return {"metadata": metadata(namespace, workload, kind, **waits), "spec": spec}


def job(namespace: str, workload: str, kind: str, template: Manifest) -> Manifest:
    """A Job as it will be created, but for its name and its program's arguments, which each run has its own.

    What fails has found something, or may have done half of it: another try would hide the one and repeat
    the other.
    """
    found = metadata(namespace, workload, kind)
    del found["name"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": found,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": JOB_LIMIT_SECONDS,
            "ttlSecondsAfterFinished": JOB_KEPT_SECONDS,
            "template": template,
        },
    }


def autoscaler(namespace: str, workload: str, service: Service, scale: Scale) -> Manifest:
    """Grows a workload with its CPU."""
    spec: Manifest = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
        "minReplicas": scale.low,
        "maxReplicas": scale.high,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": CPU_TARGET_PERCENT},
                },
            }
        ],
    }
    if service.consumes is not None:
        # Each member that leaves stops its whole group for a moment, so they go one by one and late.
        spec["behavior"] = {
            "scaleDown": {
                "stabilizationWindowSeconds": 600,
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
            }
        }
    return {"metadata": metadata(namespace, workload, service.kind), "spec": spec}


def disruption_budget(namespace: str, workload: str, kind: str) -> Manifest:
    """One pod at a time may be moved. A pod that is not ready never holds up a node's end."""
    return {
        "metadata": metadata(namespace, workload, kind),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(workload)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def quota(namespace: str, requests: Requests) -> Manifest:
    """The most that the namespace may ask for: what its services need, and nothing that costs extra."""
    return {
        "metadata": metadata(namespace, "quota", "namespace"),
        "spec": {
            "hard": {
                "requests.cpu": f"{requests.cpu_millis}m",
                "requests.memory": f"{requests.memory_mib}Mi",
                "limits.memory": f"{requests.memory_mib * MEMORY_LIMIT_FACTOR}Mi",
                "pods": str(requests.pods),
                "services.loadbalancers": "0",
                "services.nodeports": "0",
                "persistentvolumeclaims": "0",
            }
        },
    }


def limit_range(namespace: str) -> Manifest:
    """What a container asks for that says nothing itself: a quota refuses it otherwise."""
    limit = {
        "type": "Container",
        "default": {"memory": "256Mi"},
        "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
    }
    return {"metadata": metadata(namespace, "limits", "namespace"), "spec": {"limits": [limit]}}


def target_group_binding(
    namespace: str,
    workload: str,
    port: int,
    target_group_arn: pulumi.Input[str],
    vpc_id: pulumi.Input[str],
) -> Manifest:
    """Registers a workload's pods with a target group. Security groups are not the controller's business."""
    return {
        "api_version": "elbv2.k8s.aws/v1beta1",
        "kind": "TargetGroupBinding",
        "metadata": metadata(namespace, workload, "api"),
        "spec": {
            "serviceRef": {"name": workload, "port": port},
            "targetGroupARN": target_group_arn,
            "targetType": "ip",
            "vpcID": vpc_id,
        },
    }

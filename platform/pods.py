"""The pod of a service: one container, restricted as far as Kubernetes can, told what the catalog says."""

from collections.abc import Mapping
from typing import Any

import pulumi

from apps.catalog import Service
from sizing import MEMORY_LIMIT_FACTOR

Manifest = dict[str, Any]
"""A Kubernetes object, or a part of one, as Kubernetes writes it. Values may be outputs."""

USER_ID = 10001
PORT_NAME = "http"
DRAIN_SECONDS = 15
"""How long a pod that must go still answers: until the load balancer and the callers have noticed."""
STOP_SECONDS = 25
"""Between being told to stop and being killed: what is in flight, then the clients' own goodbyes."""
SCRATCH_LIMIT = "64Mi"
NAME_LABEL = "app.kubernetes.io/name"


def selector(workload: str) -> dict[str, str]:
    """What finds a workload's pods, in Services and in NetworkPolicies.

    The same label in both, and no other: the VPC CNI opens a Service's address only to a policy whose pod
    selector is the Service's own (amazon-network-policy-controller-k8s#147, #194).
    """
    return {NAME_LABEL: workload}


def labels(workload: str, kind: str) -> dict[str, str]:
    """What every object of a workload carries."""
    return {
        **selector(workload),
        "app.kubernetes.io/component": kind,
        "app.kubernetes.io/part-of": "go-banking",
        "app.kubernetes.io/managed-by": "pulumi",
    }


def template(
    service: Service,
    workload: str,
    image: pulumi.Input[str],
    variables: Mapping[str, pulumi.Input[str]],
) -> Manifest:
    """The pod template. Raises `ValueError` for a service without a port: nothing could probe it."""
    if service.port is None:
        raise ValueError(f"service '{service.name}' has no port, so it runs as a job, not in a Deployment")
    container = {**_container(service, workload, image, variables), **_asked(service, service.port)}
    found = _pod(service, workload, container)
    found["spec"]["terminationGracePeriodSeconds"] = STOP_SECONDS + (
        DRAIN_SECONDS if _is_called(service) else 0
    )
    found["spec"]["topologySpreadConstraints"] = [
        _spread(workload, "topology.kubernetes.io/zone"),
        _spread(workload, "kubernetes.io/hostname"),
    ]
    return found


def job_template(
    service: Service,
    workload: str,
    image: pulumi.Input[str],
    variables: Mapping[str, pulumi.Input[str]],
) -> Manifest:
    """The pod template of a program that runs once: as restricted as the others, with nothing to probe."""
    found = _pod(service, workload, _container(service, workload, image, variables))
    found["spec"]["restartPolicy"] = "Never"
    return found


def _pod(service: Service, workload: str, container: Manifest) -> Manifest:
    return {
        "metadata": {"labels": labels(workload, service.kind)},
        "spec": {
            "serviceAccountName": workload,
            # Nobody here asks the Kubernetes API; Pod Identity projects a token of its own.
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": STOP_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER_ID,
                "runAsGroup": USER_ID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            # With the usual 5, each look-up of an AWS name first tries four that cannot exist.
            "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
            "containers": [container],
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": SCRATCH_LIMIT}}],
        },
    }


def _container(
    service: Service,
    workload: str,
    image: pulumi.Input[str],
    variables: Mapping[str, pulumi.Input[str]],
) -> Manifest:
    return {
        "name": workload,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": variables[name]} for name in sorted(variables)],
        "resources": {
            "requests": {"cpu": f"{service.cpu_millis}m", "memory": f"{service.memory_mib}Mi"},
            # No limit of CPU: the requests already share it out, and a limit would only slow a pod down
            # beside an idle core. Memory cannot be taken back, so it has one.
            "limits": {"memory": f"{service.memory_mib * MEMORY_LIMIT_FACTOR}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 (a volume of its own)
    }


def _asked(service: Service, port: int) -> Manifest:
    """What a container has that others, or at least the kubelet, connect to."""
    found: Manifest = {
        "ports": [{"name": PORT_NAME, "containerPort": port, "protocol": "TCP"}],
        # The others begin when this one has passed: a slow start is no reason to be killed.
        "startupProbe": _probe("/livez", period=2, failures=30),
        "livenessProbe": _probe("/livez", period=10, failures=3),
        "readinessProbe": _probe("/readyz", period=5, failures=2),
    }
    if _is_called(service):
        # The image has no shell to sleep in; Kubernetes itself can since 1.30.
        found["lifecycle"] = {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}}
    return found


def _is_called(service: Service) -> bool:
    """Whether others connect to it; a worker's port is for the probes."""
    return service.kind in {"api", "simulator"}


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _spread(workload: str, topology: str) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        # A pod in the wrong place is better than none.
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(workload)},
        # Each roll-out is spread for itself, not around the pods that are about to go.
        "matchLabelKeys": ["pod-template-hash"],
    }

"""What runs: pods that do nothing to their node, know their limits and are reached by nobody by chance."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from policies.graph import UNKNOWN, Facts, Resource, Violation, at, members, of, violation

TEMPLATED = (
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:apps/v1:DaemonSet",
    "kubernetes:batch/v1:Job",
)
BARE = "kubernetes:core/v1:Pod"
SERVING = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
NAMESPACE = "kubernetes:core/v1:Namespace"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
LEVEL = "pod-security.kubernetes.io/enforce"
BOUNDS = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


def restricted(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Pods meet Kubernetes' `restricted` standard, write nothing to their root, share nothing of the node."""
    for resource, spec in _pods(resources):
        for said in (*_shared(spec), *_loose_pod(spec)):
            yield violation(resource, said)
        for container in _containers(spec):
            for said in _loose(container):
                yield violation(resource, f"{at(container, 'name')}: {said}")


def _shared(spec: Any) -> Iterator[str]:
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if at(spec, shared) is True:
            yield f"{shared} shares the node's"
    for volume in members(spec, "volumes"):
        if at(volume, "hostPath") is not None:
            yield "mounts a path of the node"


def _loose_pod(spec: Any) -> Iterator[str]:
    if at(spec, "securityContext", "runAsNonRoot") not in (True, UNKNOWN):
        yield "may run as root"
    if at(spec, "securityContext", "seccompProfile", "type") not in ("RuntimeDefault", UNKNOWN):
        yield "has no seccomp profile"


def _loose(container: Any) -> Iterator[str]:
    for setting, value in (("allowPrivilegeEscalation", False), ("readOnlyRootFilesystem", True)):
        if at(container, "securityContext", setting) not in (value, UNKNOWN):
            yield f"{setting} is not {str(value).lower()}"
    if at(container, "securityContext", "privileged") is True:
        yield "is privileged"
    if "ALL" not in members(container, "securityContext", "capabilities", "drop"):
        yield "does not drop all capabilities"
    if members(container, "securityContext", "capabilities", "add"):
        yield "adds capabilities"


def no_token(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """No pod carries a token for the Kubernetes API: none asks it anything."""
    for resource, spec in _pods(resources):
        if at(spec, "automountServiceAccountToken") not in (False, UNKNOWN):
            yield violation(resource, "mounts a service account token")


def bounded(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every container asks for what it needs, cannot eat the node's memory, and says how it is."""
    for resource, spec in _pods(resources):
        for container in _containers(spec):
            wanted: list[tuple[str, ...]] = [("resources", *path) for path in BOUNDS]
            if resource.type == SERVING:
                wanted += [("livenessProbe",), ("readinessProbe",)]
            for path in wanted:
                if at(container, *path) is None:
                    yield violation(resource, f"{at(container, 'name')}: no {'.'.join(path)}")


def images_by_digest(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """What runs is what was tested: an image by its digest, since a tag can be moved."""
    for resource, spec in _pods(resources):
        for container in _containers(spec):
            image = at(container, "image")
            if image is not UNKNOWN and not DIGEST.fullmatch(str(image)):
                yield violation(resource, f"{at(container, 'name')}: {image} is no digest")


def namespaces(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every namespace enforces `restricted` pods, and lets nothing pass that no policy opens."""
    closing = [policy for policy in of(resources, NETWORK_POLICY) if _denies_all(policy)]
    closed = {policy.at("metadata", "namespace") for policy in closing}
    for namespace in of(resources, NAMESPACE):
        if at(namespace.at("metadata", "labels"), LEVEL) not in ("restricted", UNKNOWN):
            yield violation(namespace, f"{LEVEL} is not restricted")
        name = namespace.at("metadata", "name")
        # Pulumi makes a name up that a preview does not know.
        vague = name is None or name is UNKNOWN or UNKNOWN in closed
        if not (closed if vague else name in closed):
            yield violation(namespace, "has no NetworkPolicy that denies by default")


def _denies_all(policy: Resource) -> bool:
    spec = policy.at("spec")
    if spec is UNKNOWN:
        return True
    chosen = at(spec, "podSelector", "matchLabels") or at(spec, "podSelector", "matchExpressions")
    both = set(members(spec, "policyTypes")) == {"Ingress", "Egress"}
    return both and not (chosen or members(spec, "ingress") or members(spec, "egress"))


def simulators(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """Nothing in prod pretends to be Bacen or another bank."""
    for resource in of(resources, *TEMPLATED, SERVICE):
        name = at(resource.at("metadata", "labels"), "app.kubernetes.io/name")
        if facts.kind == "prod" and name in facts.simulators:
            yield violation(resource, "a simulator in prod")


def _pods(resources: Sequence[Resource]) -> Iterator[tuple[Resource, Any]]:
    """Each pod's spec, with who makes it; unknown ones are left to the update."""
    for resource in of(resources, *TEMPLATED, BARE):
        path = ("spec",) if resource.type == BARE else ("spec", "template", "spec")
        spec = resource.at(*path)
        if spec is not UNKNOWN:
            yield resource, spec


def _containers(spec: Any) -> list[Any]:
    return [*members(spec, "initContainers"), *members(spec, "containers")]

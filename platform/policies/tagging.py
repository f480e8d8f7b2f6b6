"""Whose it is: tags on what AWS bills, labels on what Kubernetes runs."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from policies.graph import UNKNOWN, Facts, Resource, Violation, at, of, violation

PROVIDER = "pulumi:providers:aws"
LABELS = ("app.kubernetes.io/part-of", "app.kubernetes.io/name", "app.kubernetes.io/managed-by")
LABELLED = (
    "kubernetes:apps/v1:Deployment",
    "kubernetes:batch/v1:Job",
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:Service",
    "kubernetes:core/v1:ServiceAccount",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy",
)


def tags(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """Every AWS resource goes through a provider whose default tags say whose it is.

    A provider's tags reach whatever can be tagged, and nobody can forget them on one resource.
    """
    providers = {each.urn: _default_tags(each) for each in of(resources, PROVIDER)}
    for resource in resources:
        if not resource.type.startswith("aws:"):
            continue
        has = providers.get(resource.provider or "", {})
        if has is UNKNOWN:
            continue
        if missing := sorted(facts.tags - set(has)):
            yield violation(resource, f"its provider gives it no tag {', '.join(missing)}")


def _default_tags(provider: Resource) -> Any:
    """A provider's configuration travels as texts."""
    value = provider.at("defaultTags")
    found = at(json.loads(value) if isinstance(value, str) else value, "tags")
    return {} if found is None else found


def labels(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every workload, and what stands around it, says what it is part of."""
    for resource in of(resources, *LABELLED):
        has = resource.at("metadata", "labels")
        if has is UNKNOWN:
            continue
        if missing := sorted(set(LABELS) - set(has or {})):
            yield violation(resource, f"has no label {', '.join(missing)}")

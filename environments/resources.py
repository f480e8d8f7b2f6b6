"""The resources of a stack as plain values, from what Pulumi's command line prints as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One resource. `inputs` have wire names (`instanceType`); `parent` and `dependencies` are URNs."""

    type: str
    name: str
    urn: str
    parent: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: frozenset[str] = frozenset()


def exported(deployment: Mapping[str, Any]) -> list[Resource]:
    """Of `pulumi stack export`: what stands."""
    return _of_states(deployment.get("deployment", {}).get("resources") or [])


def previewed(preview: Mapping[str, Any]) -> list[Resource]:
    """Of `pulumi preview --json`: what would stand. A value that is not known yet is missing or a mark."""
    steps = preview.get("steps") or []
    return _of_states(step["newState"] for step in steps if step.get("newState"))


def _of_states(states: Iterable[Mapping[str, Any]]) -> list[Resource]:
    by_urn: dict[str, Resource] = {}
    for state in states:
        if state.get("delete"):
            continue
        urn = state["urn"]
        further = (each for urns in (state.get("propertyDependencies") or {}).values() for each in urns or ())
        by_urn[urn] = Resource(
            type=state["type"],
            name=urn.split("::", 3)[3],
            urn=urn,
            parent=state.get("parent") or None,
            inputs=state.get("inputs") or {},
            dependencies=frozenset(state.get("dependencies") or ()) | frozenset(further),
        )
    return list(by_urn.values())

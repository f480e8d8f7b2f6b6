"""What rules look at: resources as plain values, and what is known of the environment.

No rule imports Pulumi, so the same functions run in pytest on a graph that never met an engine and in a
policy pack on the engine's own.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["dev", "prod", "preview"]


class Unknown:
    """What a preview cannot know yet. No rule is broken by it: the update looks again."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Resource:
    """One resource. `properties` have wire names (`kmsKeyId`); `provider` is the URN of its provider."""

    type: str
    name: str
    urn: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    provider: str | None = None

    def at(self, *path: str) -> Any:
        """The property at that path: `None` if there is none, `UNKNOWN` if it or what holds it is unknown."""
        return at(self.properties, *path)

    def each(self, *path: str) -> list[Any]:
        """The members of a list property; none when it is not there or unknown."""
        return members(self.properties, *path)


@dataclass(frozen=True)
class Facts:
    """What rules must know besides the resources. `ingress_cidrs` may reach the load balancer.

    `tags` are the keys that every AWS resource carries; `simulators` are workloads that prod never has.
    """

    kind: Kind
    domain: bool
    ingress_cidrs: frozenset[str]
    tags: frozenset[str]
    simulators: frozenset[str]


@dataclass(frozen=True)
class Violation:
    """What is wrong with one resource, and what would be right."""

    urn: str
    message: str


def at(value: Any, *path: str) -> Any:
    """What is at the path in nested mappings: `None` if nothing, `UNKNOWN` if it cannot be known."""
    for key in path:
        if value is UNKNOWN:
            return UNKNOWN
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def members(value: Any, *path: str) -> list[Any]:
    """The members of a list at the path; none when there is no list, or an unknown one."""
    found = at(value, *path)
    return list(found) if isinstance(found, Sequence) and not isinstance(found, str) else []


def of(resources: Sequence[Resource], *types: str) -> Iterator[Resource]:
    """The resources of these types."""
    return (resource for resource in resources if resource.type in types)


def without(resources: Sequence[Resource], bucket: str, companion: str) -> Iterator[Resource]:
    """The buckets that no companion names as its `bucket`."""
    companions = list(of(resources, companion))
    named = {each.at("bucket") for each in companions}
    for resource in of(resources, bucket):
        own = {resource.at("id"), resource.at("bucket"), resource.at("bucketName")} - {None}
        # Where ids are not known yet, there being any must do.
        vague = not own or UNKNOWN in own | named
        if not companions or not (vague or own & named):
            yield resource


def violation(resource: Resource, message: str) -> Violation:
    """A violation whose message begins with the resource's name."""
    return Violation(resource.urn, f"{resource.name}: {message}")


def document(text: Any) -> Any:
    """A JSON document: `UNKNOWN` stays so, an object is taken as it is."""
    return json.loads(text) if isinstance(text, str) else text

"""The rules as Pulumi's policies: one for each, over the whole stack.

Pulumi's policy SDK is an argument, since it lives in an environment of its own (its protobuf is older than
ours). Values that a preview does not know become `UNKNOWN`: the SDK would leave the whole rule out.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from apps.catalog import CATALOG
from policies.graph import UNKNOWN, Facts, Kind, Resource
from policies.registry import RULES, Rule

KINDS: dict[str, Kind] = {"dev": "dev", "prod": "prod", "preview": "preview"}
TAGS = ("project", "stack", "kind", "managed-by")
"""What every resource's tags begin with, after the project and a colon."""


class Provider(Protocol):
    """A provider as the engine shows it with a resource: not among the resources itself."""

    resource_type: str
    props: Mapping[str, Any]
    urn: str
    name: str


class Options(Protocol):
    """Of a resource's options, the one that rules ask for."""

    protect: bool


class Seen(Protocol):
    """A resource as the engine shows it."""

    resource_type: str
    props: Mapping[str, Any]
    urn: str
    name: str
    opts: Options
    provider: Provider | None


class Stack(Protocol):
    """All of them."""

    resources: Sequence[Seen]


class Sdk(Protocol):
    """Of `pulumi_policy`, what is used."""

    @property
    def StackValidationPolicy(self) -> Callable[..., Any]: ...  # noqa: N802

    @property
    def EnforcementLevel(self) -> Any: ...  # noqa: N802


def policies(sdk: Sdk, read: Callable[[str], str | None]) -> list[Any]:
    """A policy for each rule. `read` gives a key of the stack's configuration, when a stack is looked at."""
    return [_policy(sdk, rule, read) for rule in RULES]


def _policy(sdk: Sdk, rule: Rule, read: Callable[[str], str | None]) -> Any:
    def validate(stack: Stack, report: Callable[[str, str], None]) -> None:
        for each in rule.check(resources(stack), facts(read)):
            report(each.message, each.urn)

    levels = {"mandatory": sdk.EnforcementLevel.MANDATORY, "advisory": sdk.EnforcementLevel.ADVISORY}
    return sdk.StackValidationPolicy(
        name=rule.name,
        description=rule.description,
        validate=validate,
        enforcement_level=levels[rule.level],
    )


def facts(read: Callable[[str], str | None]) -> Facts:
    """From the stack's configuration, whose defaults (`Pulumi.yaml`) are those of a dev stack."""
    kind = read("kind") or "dev"
    if kind not in KINDS:
        raise ValueError(f"gobanking:kind is '{kind}': {', '.join(KINDS)}")
    return Facts(
        kind=KINDS[kind],
        domain=bool(read("domain")),
        ingress_cidrs=frozenset(json.loads(read("ingressCidrs") or '["0.0.0.0/0"]')),
        tags=frozenset(f"gobanking:{tag}" for tag in TAGS),
        simulators=frozenset(
            service.name.replace("_", "-") for service in CATALOG.services if service.kind == "simulator"
        ),
    )


def resources(stack: Stack) -> list[Resource]:
    """The stack's resources, and the providers that they go through."""
    found = [
        Resource(
            type=seen.resource_type,
            name=seen.name,
            urn=seen.urn,
            properties=plain(seen.props),
            protect=bool(seen.opts.protect),
            provider=seen.provider.urn if seen.provider else None,
        )
        for seen in stack.resources
    ]
    there = {each.urn for each in found}
    providers = {seen.provider.urn: seen.provider for seen in stack.resources if seen.provider}
    return found + [
        Resource(provider.resource_type, provider.name, urn, plain(provider.props))
        for urn, provider in providers.items()
        if urn not in there
    ]


def plain(value: Any) -> Any:
    """Plain values out of the SDK's proxies, which raise where a value is not known."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_item(value, place) for place in range(len(value))]
    return value


def _item(holder: Any, key: Any) -> Any:
    try:
        return plain(holder[key])
    except Exception as error:
        # By its name: the class is in the SDK that this module does not import.
        if type(error).__name__ == "UnknownValueError":
            return UNKNOWN
        raise

"""What a resource type takes and gives, read from the SDK's own class for it.

The classes say which outputs always have a value: those that the program did not give are computed by
the provider. So a type needs no entry in a table before a program may use it.
"""

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, get_args

# Imported for what they register: every type's class.
import pulumi_aws
import pulumi_docker_build
import pulumi_eks
import pulumi_kubernetes
from pulumi.runtime import rpc

PACKAGES: Mapping[str, str] = {
    "aws": pulumi_aws.__name__,
    "docker-build": pulumi_docker_build.__name__,
    "eks": pulumi_eks.__name__,
    "kubernetes": pulumi_kubernetes.__name__,
}


@dataclass(frozen=True)
class Shape:
    """A type's inputs and outputs; `computed` are the outputs that always have a value, with its kind."""

    inputs: frozenset[str]
    outputs: frozenset[str]
    computed: Mapping[str, Any]


def plugin_version(package: str) -> str:
    """The version that the SDK asks its plugin to have."""
    return version(PACKAGES[package])


@cache
def shape(resource_type: str) -> Shape | None:
    """None for a type that the SDK has no class for: a custom kind of Kubernetes, or a mistake."""
    cls = _class(resource_type)
    if cls is None:
        return None
    kinds = {}
    for attribute in vars(cls).values():
        getter = attribute.fget if isinstance(attribute, property) else None
        name = getattr(getter, "_pulumi_name", None)
        if getter is not None and name is not None:
            kinds[name] = get_args(inspect.get_annotations(getter)["return"])[0]
    inputs = frozenset(_camel(name) for name in inspect.signature(cls._internal_init).parameters)
    computed = {name: kind for name, kind in kinds.items() if not _optional(kind)}
    return Shape(inputs, frozenset(kinds), computed)


def _class(resource_type: str) -> Any:
    package, module, _ = resource_type.split(":")
    for registered in rpc._RESOURCE_MODULES.get(f"{package}:{module}", []):
        known: dict[str, Any] = vars(registered)["mod_info"]
        if resource_type in known["classes"]:
            return getattr(importlib.import_module(known["fqn"]), known["classes"][resource_type])
    return None


def _optional(kind: Any) -> bool:
    return type(None) in get_args(kind) or "Optional[" in str(kind)


def _camel(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])_(\w)", lambda match: match[1].upper(), name)

"""Types are not trusted: what a resource was given, against what its SDK says that it takes.

A misspelt keyword is a TypeError, but a misspelt key in a dict travels on without a word, and so
does an input that a program made of an output that is not there: it disappears. Every SDK carries
the schema in its generated `*Args` classes; a node's inputs are walked beside them. Shapes (object,
list, map, plain value), keys, required keys and enumerations are checked; numbers are not told from
texts, because the providers convert them. Some wrong shapes never get here: the SDK refuses them.
"""

import difflib
import enum
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pulumi import Archive, Asset, Resource, _types
from pulumi.runtime import rpc

from environments.graph.nodes import Node
from environments.graph.wire import UNKNOWN, join

PROVIDER = "pulumi:providers:"


def complaints(node: Node) -> list[str]:
    """What is wrong with a resource's inputs, each with its path; nothing for our own components."""
    if node.read or node.type in {"pulumi:pulumi:Stack", "pulumi:pulumi:StackReference"} or _ours(node):
        return []
    try:
        signature = arguments(node.type)
    except LookupError as unknown:
        if node.type.startswith("kubernetes:"):
            return list(_custom_object(node.inputs))
        return [str(unknown)]
    inputs = node.inputs
    if node.type.startswith(PROVIDER):
        hints = _hints(signature)
        # A text that a provider takes as text, a kubeconfig for instance, may well be JSON.
        texts = {name for name, hint in hints.items() if str in _members(hint)}
        inputs = {name: value if name in texts else _decoded(value) for name, value in inputs.items()}
    return list(_object(inputs, signature, ""))


def _ours(node: Node) -> bool:
    return not node.custom and not node.remote


@cache
def arguments(token: str) -> type:
    """The class of a resource's arguments, by its type token."""
    cls = _resource(token)
    module = importlib.import_module(cls.__module__)
    # `InitArgs` where the plain name belongs to something else, as in the whole of Kubernetes.
    for suffix in ("InitArgs", "Args"):
        found = getattr(module, cls.__name__ + suffix, None)
        if isinstance(found, type) and _types.is_input_type(found):
            return found
    raise LookupError(f"no arguments are known for {token}")


def _resource(token: str) -> type[Resource]:
    """The class that the SDKs have registered for a token, so that references can be made objects."""
    package, _, rest = token.partition(":")
    if token.startswith(PROVIDER):
        name = token.removeprefix(PROVIDER)
        packages: list[Any] = rpc._RESOURCE_PACKAGES.get(name, [])
        for found in packages:
            return _class(found.pkg_info["fqn"], found.pkg_info["class"])
    modules: list[Any] = rpc._RESOURCE_MODULES.get(f"{package}:{rest.rpartition(':')[0]}", [])
    for found in modules:
        if token in found.mod_info["classes"]:
            return _class(found.mod_info["fqn"], found.mod_info["classes"][token])
    raise LookupError(f"no SDK knows the type {token}")


def _class(module: str, name: str) -> type[Resource]:
    found: type[Resource] = getattr(importlib.import_module(module), name)
    return found


def _decoded(value: Any) -> Any:
    """A provider's configuration travels as texts: lists, objects and booleans are JSON in them."""
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _custom_object(inputs: Mapping[str, Any]) -> Iterator[str]:
    """A Kubernetes object of a custom definition: only what all objects have is known."""
    for name in ("apiVersion", "kind", "metadata"):
        if name not in inputs:
            yield f"{name}: required"
    metadata = arguments("kubernetes:core/v1:ConfigMap")
    yield from _value(inputs.get("metadata"), _hints(metadata)["metadata"], "metadata")


def _object(value: Mapping[str, Any], cls: type, path: str) -> Iterator[str]:
    hints = _hints(cls)
    for key, item in value.items():
        if key in hints:
            yield from _value(item, hints[key], join(path, key))
        else:
            near = difflib.get_close_matches(key, hints, 1)
            yield f"{join(path, key)}: no such property" + (f"; {near[0]}?" if near else "")
    given = {key for key, item in value.items() if item is not None}
    for name in sorted(_types._required_property_names(cls) - given):
        yield f"{join(path, name)}: required"


def _value(value: Any, hint: Any, path: str) -> Iterator[str]:
    members = list(_members(hint))
    if value is None or value is UNKNOWN or Any in members:
        return
    if isinstance(value, Mapping):
        readings = [list(found) for member in members if (found := _mapping(value, member, path)) is not None]
        wanted = "an object is given"
    elif isinstance(value, list):
        readings = [
            list(_items(value, member, path)) for member in members if get_origin(member) in (list, Sequence)
        ]
        wanted = "a list is given"
    else:
        readings = [said for member in members if (said := _plain(value, member, path)) is not None]
        wanted = f"{value!r} is given"
    if readings:
        yield from min(readings, key=len)  # of several types, the one that was most likely meant
    else:
        yield f"{path}: {wanted}, wanted: {' or '.join(sorted(map(_shown, members)))}"


def _members(hint: Any) -> Iterator[Any]:
    """The types that a value may have, without `None`, outputs, awaitables and typed dicts."""
    if get_origin(hint) in (Union, UnionType):
        for arg in get_args(hint):
            yield from _members(arg)
    elif hint is not type(None) and not _types._is_plumbing_arg(hint):
        yield hint


def _mapping(value: Mapping[str, Any], member: Any, path: str) -> Iterator[str] | None:
    if member is dict or member in (Asset, Archive):
        return iter(())
    if get_origin(member) in (dict, Mapping):
        kind = get_args(member)[1]
        return (fault for key, item in value.items() for fault in _value(item, kind, join(path, key)))
    if isinstance(member, type) and _types.is_input_type(member):
        return _object(value, member, path)
    return None


def _items(value: list[Any], member: Any, path: str) -> Iterator[str]:
    for place, item in enumerate(value):
        yield from _value(item, get_args(member)[0], join(path, place))


def _plain(value: Any, member: Any, path: str) -> list[str] | None:
    """A text, number or truth value; a resource is its id. `None`: another kind is wanted."""
    allowed: list[Any] | None = None
    if get_origin(member) is Literal:
        allowed = list(get_args(member))
    elif isinstance(member, type) and issubclass(member, enum.Enum):
        allowed = [item.value for item in member]
    elif not isinstance(member, type) or get_origin(member) or _types.is_input_type(member) or member is dict:
        return None
    if allowed is not None and value not in allowed:
        return [f"{path}: {value!r} is not one of {allowed}"]
    return []


def _shown(member: Any) -> str:
    origin = get_origin(member)
    return str(getattr(origin or member, "__name__", member))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return _types._raw_return_hints(cls)

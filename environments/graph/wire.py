"""Plain values, and how they travel: protobuf structs with their secrets, unknowns and references."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

SIGNATURE = rpc._special_sig_key
SECRET = rpc._special_secret_sig
RESOURCE = rpc._special_resource_sig


class Unknown:
    """What a preview cannot know yet. Equal to nothing but itself, so no test takes it for a value."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that the engine keeps encrypted: for outputs of stacks and of resources."""

    value: Any


@dataclass(frozen=True)
class Reference:
    """A resource that a remote component made itself, and hands out as an output."""

    type: str
    name: str
    id: str
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Placed:
    """A `Reference` that has its URN."""

    urn: str
    id: str


def join(path: str, key: str | int) -> str:
    """`spec` and `containers` → `spec.containers`; odd keys are quoted, places are numbers."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not re.fullmatch(r"[A-Za-z_$][\w$-]*", key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def plain(struct: struct_pb2.Struct) -> tuple[dict[str, Any], frozenset[str]]:
    """The values, with secrets unwrapped, and the paths of those that are secret."""
    secrets: set[str] = set()
    return _object(struct, "", secrets), frozenset(secrets)


def _object(struct: struct_pb2.Struct, path: str, secrets: set[str]) -> dict[str, Any]:
    return {key: _value(struct.fields[key], join(path, key), secrets) for key in sorted(struct.fields)}


def _value(value: struct_pb2.Value, path: str, secrets: set[str]) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            items = value.list_value.values
            return [_value(item, join(path, place), secrets) for place, item in enumerate(items)]
        case "struct_value":
            return _marked(value.struct_value, path, secrets)
        case _:
            return None


def _marked(struct: struct_pb2.Struct, path: str, secrets: set[str]) -> Any:
    """An object, or what its signature says that it stands for."""
    signature = struct.fields[SIGNATURE].string_value if SIGNATURE in struct.fields else ""
    if signature == SECRET:
        secrets.add(path)
        return _value(struct.fields["value"], path, secrets)
    if signature == RESOURCE:
        return struct.fields["urn"].string_value
    found = _object(struct, path, secrets)
    found.pop(SIGNATURE, None)  # an asset or an archive: its content says enough
    return found


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain values as they travel, `Secret`s and `Placed` references in their envelopes."""
    made = struct_pb2.Struct()
    made.update({key: _enveloped(value) for key, value in values.items() if value is not None})
    return made


def _enveloped(value: Any) -> Any:
    match value:
        case Secret():
            return {SIGNATURE: SECRET, "value": _enveloped(value.value)}
        case Placed():
            return {SIGNATURE: RESOURCE, "urn": value.urn, "id": value.id, "packageVersion": ""}
        case Unknown():
            return rpc.UNKNOWN
        case Mapping():
            return {key: _enveloped(item) for key, item in value.items()}
        case list() | tuple():
            return [_enveloped(item) for item in value]
        case _:
            return value


def opened(value: Any) -> Any:
    """The same without `Secret`s."""
    match value:
        case Secret():
            return opened(value.value)
        case Mapping():
            return {key: opened(item) for key, item in value.items()}
        case list() | tuple():
            return [opened(item) for item in value]
        case _:
            return value

"""Values as they travel between the engine and a provider: plain JSON, and four kinds of wrapper.

The signatures are Pulumi's wire format (sdk/go/common/resource/properties.go) and never change.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

Properties = dict[str, Any]


def received(struct: Struct) -> Properties:
    """A message's properties, wrappers and all; every number is a float."""
    properties: Properties = MessageToDict(struct)
    return properties


def sent(properties: Mapping[str, Any]) -> Struct:
    return ParseDict(dict(properties), Struct())


def plain(value: Any) -> Any:
    """The value without the wrappers of secrets and outputs; what is not known yet is `UNKNOWN`."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get(SIGNATURE) == SECRET:
        return plain(value["value"])
    if value.get(SIGNATURE) == OUTPUT:
        return plain(value.get("value", UNKNOWN))
    return {key: plain(each) for key, each in value.items()}


def is_object(value: Any) -> bool:
    """A plain object: not a wrapper, and not unknown."""
    return isinstance(value, dict) and SIGNATURE not in value


def object_at(properties: Properties, key: str) -> Properties:
    """The plain object at a key; empty where there is none, or none that is known."""
    value = properties.get(key)
    return value if is_object(value) and isinstance(value, dict) else {}


def reference(urn: str, resource_id: str) -> Properties:
    """A resource as a value, as components give theirs out; an id that is not known yet is unknown."""
    return {SIGNATURE: RESOURCE, "urn": urn, "id": resource_id or UNKNOWN, "packageVersion": ""}

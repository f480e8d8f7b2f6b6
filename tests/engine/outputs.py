"""What an object's outputs are: its inputs, and what its provider computes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_origin

from tests.engine.answers import COMPUTED, Facts
from tests.engine.sdk import shape
from tests.engine.wire import Properties, is_object

Value = Callable[[str, Any], Any]
"""Gets an output's name and its template, and gives its value."""


def outputs(facts: Facts, inputs: Properties, value: Value) -> Properties:
    """What a provider answers: what it was given, and what it computed."""
    known = shape(facts.type)
    computed: dict[str, Any] = dict(COMPUTED.get(facts.type, {}))
    if facts.type.startswith("kubernetes:"):
        if "metadata" in inputs:
            computed["metadata"] = {"uid": "{uuid}", "resourceVersion": "{version}"}
        if known and "status" in known.outputs:
            computed.setdefault("status", {})
    elif known:
        computed = {key: _sensible(key, kind) for key, kind in known.computed.items()} | computed
    given = {key: each for key, each in inputs.items() if not key.startswith("__")}
    return _completed(given, computed, value)


def _completed(given: Properties, computed: Mapping[str, Any], value: Value) -> Properties:
    """What is given, and where nothing is given what is computed, in nested objects too."""
    completed = dict(given)
    for key, template in computed.items():
        if isinstance(template, dict) and is_object(given.get(key)):
            completed[key] = _completed(given[key], template, value)
        elif key not in given:
            completed[key] = value(key, template)
    return completed


def _sensible(key: str, kind: Any) -> Any:
    """A template for an output that no table knows."""
    special = {
        "arn": "{arn}",
        "namePrefix": "",
        "ownerId": "{account}",
        "region": "{region}",
        "registryId": "{account}",
        "tagsAll": lambda facts: facts.inputs.get("tags", {}),
    }
    if key in special:
        return special[key]
    if kind is str:
        return f"{{arn}}/{key}" if key.endswith("Arn") else f"{key}-{{hex}}"
    empty: Mapping[Any, Any] = {bool: False, int: 0, float: 0.0, Sequence: []}
    return empty.get(kind, empty.get(get_origin(kind), {}))

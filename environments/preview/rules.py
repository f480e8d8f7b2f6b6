"""The rules of the policy pack over a preview that is only drawn: what breaks one is refused before it is.

The engine would run the same rules as a pack (`pulumi up --policy-pack`), for which it needs Python's own
analyzer beside it; here the CLI alone is enough.
"""

from collections.abc import Mapping
from typing import Any

from environments.graph.evaluation import UNKNOWN, Graph
from environments.preview import bank
from environments.preview.names import Refused
from environments.preview.settings import PROJECT

assert bank.PROGRAM, "puts the program's folder on the path"
from policies.graph import UNKNOWN as NOT_KNOWN  # noqa: E402
from policies.graph import Resource  # noqa: E402
from policies.pack import facts  # noqa: E402
from policies.registry import broken  # noqa: E402

__all__ = ["judge", "resources"]


def judge(graph: Graph, configuration: Mapping[str, str]) -> None:
    """Refuses, with every rule that is broken and by what, a graph that no stack may be."""

    def read(key: str) -> str | None:
        return configuration.get(f"{PROJECT}:{key}") or None

    found = [
        f"{rule.name}: {violation}"
        for rule, violation in broken(resources(graph), facts(read))
        if rule.level == "mandatory"
    ]
    if found:
        raise Refused("The preview breaks rules that hold for every stack:\n  " + "\n  ".join(found))


def resources(graph: Graph) -> list[Resource]:
    """Every resource of a graph. What the cloud adds is there, as it is for a policy pack."""
    return [
        Resource(
            type=node.type,
            name=node.name,
            urn=node.urn,
            properties=_known({**(node.outputs or {}), **node.inputs}),
            protect=node.protect,
            provider=node.provider,
        )
        for node in graph
        if node.type != "pulumi:pulumi:Stack"
    ]


def _known(value: Any) -> Any:
    if value is UNKNOWN:
        return NOT_KNOWN
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    return [_known(item) for item in value] if isinstance(value, list) else value

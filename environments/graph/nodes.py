"""One resource as plain values, made of what the program sent and what its parents hand down."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pulumi.runtime.proto import alias_pb2, resource_pb2

from environments.graph.recorder import STACK, Recorder, Registered, Request
from environments.graph.wire import Unknown, join, plain

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Node:
    """One resource. Inputs have wire names (`cidrBlock`), numbers and texts are plain.

    `secrets` are the paths of the inputs that are secret (`data.password`). `protect`,
    `retain_on_delete` and `deleted_with` are what holds, inherited from the parents if need be.
    `aliases` are all URNs under which the state may know it, through the parents' aliases too.
    `outputs` of a custom resource are its state, of a component what it registered: `None` if it
    never called `register_outputs`. `source` is the line that made it, `network.py:42`.
    """

    urn: str
    type: str
    name: str
    parent: str | None
    custom: bool
    remote: bool
    read: bool
    inputs: Mapping[str, Any]
    secrets: frozenset[str]
    outputs: Mapping[str, Any] | None
    secret_outputs: frozenset[str]
    dependencies: frozenset[str]
    property_dependencies: Mapping[str, frozenset[str]]
    provider: str | None
    providers: Mapping[str, str]
    protect: bool
    retain_on_delete: bool
    deleted_with: str | None
    aliases: frozenset[str]
    ignore_changes: tuple[str, ...]
    source: str

    @property
    def component(self) -> bool:
        return not self.custom and self.type != STACK

    @property
    def described(self) -> dict[str, Any]:
        """For snapshots: what a reviewer would want to see change, and nothing that moves by itself."""
        description = {
            "parent": self.parent,
            "inputs": redacted(self.inputs, self.secrets),
            "dependencies": sorted(self.dependencies),
            "provider": self.provider,
            "aliases": sorted(self.aliases),
            "protect": self.protect,
            "retainOnDelete": self.retain_on_delete,
            "deletedWith": self.deleted_with,
            "ignoreChanges": list(self.ignore_changes),
        }
        return {name: value for name, value in description.items() if value not in (None, False, [], {})}


def nodes_of(recorder: Recorder) -> dict[str, Node]:
    """Every registration as a node, by URN and in its order."""
    nodes: dict[str, Node] = {}
    for urn in recorder.registered:
        _add(nodes, urn, recorder)
    return dict(sorted(nodes.items()))


def redacted(value: Any, secrets: Collection[str], path: str = "") -> Any:
    """For JSON: secrets and unknowns by what they are."""
    if path in secrets:
        return "<secret>"
    match value:
        case Unknown():
            return "<unknown>"
        case Mapping():
            return {key: redacted(item, secrets, join(path, key)) for key, item in value.items()}
        case list() | tuple():
            return [redacted(item, secrets, join(path, place)) for place, item in enumerate(value)]
        case _:
            return value


def _add(nodes: dict[str, Node], urn: str, recorder: Recorder) -> Node:
    """Makes the node of a registration, its parent's first, from which it inherits."""
    if urn in nodes:
        return nodes[urn]
    taken = recorder.registered[urn]
    parent = _add(nodes, taken.request.parent, recorder) if taken.request.parent else None
    nodes[urn] = _node(urn, taken, parent, recorder)
    return nodes[urn]


def _node(urn: str, taken: Registered, parent: Node | None, recorder: Recorder) -> Node:
    request = taken.request
    if isinstance(request, resource_pb2.ReadResourceRequest):
        # A resource that is read has none of the options of one that is registered.
        read = True
        full = resource_pb2.RegisterResourceRequest(
            object=request.properties, custom=True, dependencies=request.dependencies
        )
    else:
        read = False
        full = request
    inputs, secrets = plain(full.object)
    state = taken.state if full.custom else taken.outputs
    outputs, secret_outputs = plain(state) if state is not None else (None, frozenset())
    return Node(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=request.parent or None,
        custom=full.custom,
        remote=full.remote,
        read=read,
        inputs=inputs,
        secrets=secrets,
        outputs=outputs,
        secret_outputs=secret_outputs,
        dependencies=frozenset(full.dependencies),
        property_dependencies={
            name: frozenset(found.urns) for name, found in full.propertyDependencies.items()
        },
        provider=_provider(request.provider),
        providers={name: _provider(found) or "" for name, found in full.providers.items()},
        protect=_inherited(full, "protect", above=bool(parent and parent.protect)),
        retain_on_delete=_inherited(full, "retainOnDelete", above=bool(parent and parent.retain_on_delete)),
        deleted_with=full.deletedWith or (parent.deleted_with if parent else None),
        aliases=_aliases(urn, request, full.aliases, parent, recorder),
        ignore_changes=tuple(full.ignoreChanges),
        source=_source(request),
    )


def _provider(reference: str) -> str | None:
    """`urn::id`, as the engine has it, without the id."""
    return reference.rpartition("::")[0] or None


def _inherited(request: resource_pb2.RegisterResourceRequest, option: str, above: bool) -> bool:
    """An option that was not given is the parent's (`inheritFromParent` in the engine)."""
    given: bool = getattr(request, option)
    return given if request.HasField(option) else above  # type: ignore[arg-type]


def _aliases(
    urn: str, request: Request, given: Iterable[alias_pb2.Alias], parent: Node | None, recorder: Recorder
) -> frozenset[str]:
    """All former URNs: the resource's own, and those that it had under its parent's former ones."""
    own = {_former(alias, request, recorder) for alias in given}
    inherited = {
        _under(former, parent, known, recorder)
        for known in [urn, *own]
        if parent is not None
        for former in parent.aliases
    }
    return frozenset(own | inherited) - {urn}


def _former(alias: alias_pb2.Alias, request: Request, recorder: Recorder) -> str:
    if alias.urn:
        return alias.urn
    spec = alias.spec
    above = "" if spec.noParent else spec.parentUrn or request.parent
    made = recorder.urn(above, spec.type or request.type, spec.name or request.name)
    head, stack, project = "urn:pulumi", spec.stack or recorder.stack, spec.project or recorder.project
    return f"{head}:{stack}::{project}::{made.split('::', 2)[2]}"


def _under(former: str, parent: Node, urn: str, recorder: Recorder) -> str:
    """A child whose name began with its parent's began with the former name too."""
    name = urn.split("::", 3)[3]
    if name.startswith(parent.name):
        name = former.split("::", 3)[3] + name.removeprefix(parent.name)
    return recorder.urn(former, urn.split("::")[2].rpartition("$")[2], name)


def _source(request: Request) -> str:
    """The line nearest to the resource that is nobody's library."""
    for frame in request.stackTrace.frames:
        path = Path(unquote(urlsplit(frame.pc.uri).path))
        if "site-packages" not in path.parts:
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
            return f"{shown}:{frame.pc.line}"
    return ""

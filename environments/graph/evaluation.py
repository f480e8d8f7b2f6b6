"""Every resource that a Pulumi program registers, as plain values, and questions about them.

`evaluate` runs a program without engine, plugins, credentials or network. In update mode computed
outputs have the values of `cloud`, and every `apply` runs; in preview mode they are `UNKNOWN`, and
an `apply` on one does not. A test asks for both: the values, and that the program survives without.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from environments.graph import answers as cloud
from environments.graph import host
from environments.graph.nodes import Node, nodes_of, redacted
from environments.graph.recorder import STACK, Computed, Console, Data, Invoke, Recorder
from environments.graph.wire import UNKNOWN, Secret

__all__ = ["UNKNOWN", "Graph", "Invoke", "Node", "Secret", "evaluate"]


@dataclass(frozen=True)
class Graph:
    """The resources by URN, the stack's outputs, the data sources read and the warnings logged."""

    nodes: Mapping[str, Node]
    outputs: Mapping[str, Any]
    secret_outputs: frozenset[str]
    invokes: tuple[Invoke, ...]
    messages: tuple[str, ...]
    _owners: Mapping[str, str] = field(repr=False)
    _closures: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def of_type(self, type_: str) -> list[Node]:
        return [node for node in self if node.type == type_]

    def one(self, type_: str, name: str | None = None) -> Node:
        """The only resource of that type (and name); an error that names what there is, otherwise."""
        found = [node for node in self.of_type(type_) if name in (None, node.name)]
        if len(found) != 1:
            there = sorted(node.name for node in self.of_type(type_)) or sorted({node.type for node in self})
            raise LookupError(f"{len(found)} resources are {type_} {name or ''}; there are: {there}")
        return found[0]

    @property
    def reads(self) -> list[Node]:
        """What the program reads and does not own, `StackReference`s among it."""
        return [node for node in self if node.read]

    def children(self, of: Node | str) -> list[Node]:
        return self._children.get(_urn(of), [])

    def descendants(self, of: Node | str) -> list[Node]:
        found = [node for child in self.children(of) for node in (child, *self.descendants(child))]
        return sorted(found, key=lambda node: node.urn)

    def ancestors(self, of: Node | str) -> list[Node]:
        """The parents, the nearest first, the stack last."""
        parent = self.nodes[_urn(of)].parent
        return [self.nodes[parent], *self.ancestors(parent)] if parent else []

    def depends(self, a: Node | str, b: Node | str) -> bool:
        """Does `a` need `b`: by an input, `depends_on`, its parent or its provider, however far away?"""
        return _urn(b) in self.needs(a)

    def needs(self, of: Node | str) -> frozenset[str]:
        """The URNs of everything that a resource depends on."""
        start = _urn(of)
        if start not in self._closures:
            found: set[str] = set()
            todo = set(self._edges(start))
            while todo:
                urn = todo.pop()
                found.add(urn)
                todo |= set(self._edges(urn)) - found
            self._closures[start] = frozenset(found)
        return self._closures[start]

    def outside_components(self) -> list[Node]:
        """Resources that hang off the stack itself; stack, providers and references may."""
        return [
            node
            for node in self
            if node.custom
            and not node.type.startswith("pulumi:")
            and not any(above.component for above in self.ancestors(node))
        ]

    def fingerprint(self) -> tuple[str, ...]:
        """All URNs in order. One that goes away without an alias is a resource deleted and made anew."""
        return tuple(sorted(self.nodes))

    def snapshot(self) -> str:
        """The whole graph as text, the same for the same program, secrets redacted."""
        resources = {urn: self.nodes[urn].described for urn in self.fingerprint()}
        outputs = redacted(self.outputs, self.secret_outputs)
        return json.dumps({"resources": resources, "outputs": outputs}, indent=1, sort_keys=True) + "\n"

    @cached_property
    def _children(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self:
            if node.parent:
                found.setdefault(node.parent, []).append(node)
        return found

    def _edges(self, urn: str) -> Iterator[str]:
        if urn in self._owners:  # inside a remote component
            yield self._owners[urn]
            return
        node = self.nodes[urn]
        yield from node.dependencies
        for urns in node.property_dependencies.values():
            yield from urns
        yield from (above for above in (node.parent, node.provider) if above)


def evaluate(
    program: host.Program,
    *,
    config: Mapping[str, Any] | None = None,
    secrets: Collection[str] = (),
    project: str = "gobanking",
    stack: str = "dev",
    preview: bool = False,
    stack_outputs: Mapping[str, Mapping[str, Any]] | None = None,
    computed: Computed = cloud.computed,
    data: Mapping[str, Data] = cloud.DATA,
) -> Graph:
    """Runs a program and returns what it registered; raises what the program raises.

    `config` keys without a namespace are the project's; values that are not text become JSON.
    `secrets` names the keys that are secret. `stack_outputs` are those of other stacks by full name
    (`organization/gobanking/dev`), a `Secret` where the stack has it so.
    """
    recorder = Recorder(project, stack, preview, computed, data, stack_outputs or {})
    console = Console()
    host.run(program, recorder, console, config or {}, secrets)
    nodes = nodes_of(recorder)
    top = next(node for node in nodes.values() if node.type == STACK)
    return Graph(
        nodes=nodes,
        outputs=top.outputs or {},
        secret_outputs=top.secret_outputs,
        invokes=tuple(sorted(recorder.invokes, key=lambda invoke: (invoke.token, repr(invoke.args)))),
        messages=tuple(console.messages),
        _owners={urn: hidden.owner for urn, hidden in recorder.hidden.items()},
    )


def _urn(of: Node | str) -> str:
    return of.urn if isinstance(of, Node) else of

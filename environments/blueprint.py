"""What a stack would be made of, from its settings alone: no cloud, no credentials, no Pulumi CLI."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from apps.catalog import CATALOG
from environments.graph.evaluation import Graph, evaluate
from environments.resources import Resource

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "platform"
ANY_DIGEST = "sha256:" + "0" * 64


class NoStack(LookupError):  # noqa: N818
    """There is no such stack, or its settings cannot be. The message says what there is, or what is wrong."""


@dataclass(frozen=True)
class Blueprint:
    """A stack's resources as they would be, and what was decided about it."""

    stack: str
    region: str
    kind: str
    graph: Graph

    @property
    def resources(self) -> list[Resource]:
        """The resources as plain values."""
        return [
            Resource(node.type, node.name, node.urn, node.parent, node.inputs, frozenset(node.dependencies))
            for node in self.graph
        ]


def draw_up(stack: str, changes: Mapping[str, str]) -> Blueprint:
    """The blueprint of a stack by its file, with some settings otherwise. Raises `NoStack`.

    Images need not be there: they have a place and a price of nothing, whatever they are.
    """
    settings = {**_defaults(), **_stated(stack), **_images(), **changes}
    try:
        graph = evaluate(PROGRAM, config=settings, stack=stack, preview=True)
    except Exception as error:
        if type(error).__name__ != "SettingsError":
            raise
        raise NoStack(str(error)) from error
    return Blueprint(stack, settings.get("aws:region", ""), settings["gobanking:kind"], graph)


def _defaults() -> dict[str, str]:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return {key: _text(about["default"]) for key, about in declared.items() if "default" in about}


def _stated(stack: str) -> dict[str, str]:
    path = ROOT / f"Pulumi.{stack}.yaml"
    if not path.exists():
        there = sorted(each.name.split(".")[1] for each in ROOT.glob("Pulumi.*.yaml"))
        raise NoStack(f"STACK '{stack}': there is no {path.name}. There are: {', '.join(there)}.")
    return {key: _text(value) for key, value in (yaml.safe_load(path.read_text())["config"] or {}).items()}


def _images() -> dict[str, str]:
    images = [f"{service.name}=registry.invalid/{service.name}@{ANY_DIGEST}" for service in CATALOG.services]
    return {"gobanking:imageSource": "given", "gobanking:images": json.dumps(images)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

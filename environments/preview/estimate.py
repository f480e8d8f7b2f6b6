"""What a preview is made of and costs a day: drawn before it exists, counted from its state afterwards.

Its pods run on the base's nodes, which are the base's cost.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from environments.cost import QUIET, UnknownRegion, estimate
from environments.graph.evaluation import evaluate
from environments.preview import bank, rules
from environments.preview.names import Refused
from environments.preview.record import Record
from environments.preview.settings import as_text, defaults
from environments.resources import Resource, exported

DAYS = 365 / 12
"""Of the month that an estimate is for."""


@dataclass(frozen=True)
class Estimate:
    """How many resources of each type, and USD a day; None in a region whose prices are not known."""

    types: Mapping[str, int]
    usd_a_day: float | None


def drawn(record: Record, configuration: Mapping[str, Any], base: Mapping[str, Any]) -> Estimate:
    """Of a preview that is not there: its graph, drawn without the engine, and held to the rules.

    Raises `Refused` where something is missing on this machine, or a rule is broken.
    """
    config = as_text({**defaults(bank.ROOT), **configuration})
    try:
        graph = evaluate(
            bank.run,
            config=config,
            stack=record.name,
            preview=True,
            stack_outputs={record.base: {"base": base}},
        )
    except Exception as error:
        if type(error).__name__ != "NotReady":
            raise
        raise Refused(str(error)) from None
    rules.judge(graph, config)
    resources = [Resource(node.type, node.name, node.urn, node.parent, node.inputs) for node in graph]
    made = [node for node in graph if node.custom and not node.read and not node.type.startswith("pulumi:")]
    return Estimate(
        dict(sorted(Counter(node.type for node in made).items())),
        _a_day(resources, str(configuration["aws:region"])),
    )


def usd_a_day(state: Mapping[str, Any], region: str) -> float | None:
    """Of what stands."""
    return _a_day(exported(state), region)


def _a_day(resources: Sequence[Resource], region: str) -> float | None:
    try:
        return round(estimate(resources, region, QUIET).total / DAYS, 2)
    except UnknownRegion:
        return None

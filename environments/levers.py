"""What would make a stack cheaper: each lever is the same stack changed in one place, and estimated anew."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from environments.cost import Estimate, Lever, estimate
from environments.pricing import ADDRESS, ENDPOINT, NAT, Usage
from environments.resources import Resource

WORKING_HOURS_SHARE = 12 * 5 / (24 * 7)
"""Twelve hours on five days."""
SPOT_DISCOUNT = 0.6
SAVINGS_PLAN_DISCOUNT = 0.27
"""From memory: of what nodes cost on demand, for Graviton, and for a year's promise without paying ahead."""


def levers(resources: Sequence[Resource], region: str, usage: Usage, *, disposable: bool) -> list[Lever]:
    """What would be cheaper, the most first. Each stands alone: two together save less than their sum.

    `disposable` environments may go away at night and lose a node at any time.
    """
    now = estimate(resources, region, usage)
    found = [
        *_by_change(resources, now, usage, disposable=disposable),
        *_by_price(now, disposable=disposable),
    ]
    return sorted((lever for lever in found if lever.saves > 0), key=lambda lever: (-lever.saves, lever.name))


Change = Callable[[Resource, int], Resource | None]
"""Of a resource, the how-many-th of its type, what is left of it."""


def _by_change(
    resources: Sequence[Resource], now: Estimate, usage: Usage, *, disposable: bool
) -> Iterator[Lever]:
    """The same stack with something else in it."""
    changes: list[tuple[str, str, Change]] = [
        ("no interface endpoints", "gobanking:interfaceEndpoints: false", _without_endpoints),
        ("one NAT gateway", "gobanking:natPerZone: false; its zone's failure closes the way out", _one_nat),
        ("no Container Insights", "gobanking:containerInsights: false", _no_insights),
        ("flow logs of what is refused only", "gobanking:flowLogs: REJECT", _rejected_flows),
        ("Cognito Essentials", "gobanking:identityTier: ESSENTIALS", _essentials),
    ]
    if disposable:
        changes.append(("smaller brokers", "gobanking:kafkaType: kafka.t3.small", _small_brokers))
    for name, how, change in changes:
        seen: dict[str, int] = {}
        kept = []
        for resource in resources:
            seen[resource.type] = seen.get(resource.type, 0) + 1
            if (changed := change(resource, seen[resource.type])) is not None:
                kept.append(changed)
        yield Lever(name, how, now.total - estimate(kept, now.region, usage).total)


def _by_price(now: Estimate, *, disposable: bool) -> Iterator[Lever]:
    """The same stack at another price."""
    nodes = sum(line.usd for line in now.lines if line.what.startswith("node "))
    if disposable:
        hourly = sum(line.usd for line in now.lines if line.hourly)
        away = hourly * (1 - WORKING_HOURS_SHARE)
        yield Lever("away at night and on weekends", "pulumi destroy in the evening, up in the morning", away)
        yield Lever("spot nodes", "capacity type SPOT of the node group", nodes * SPOT_DISCOUNT)
    else:
        yield Lever("savings plan", "a Compute Savings Plan of one year", nodes * SAVINGS_PLAN_DISCOUNT)


def _without_endpoints(resource: Resource, _place: int) -> Resource | None:
    interface = resource.type == ENDPOINT and resource.inputs.get("vpcEndpointType") == "Interface"
    return None if interface else resource


def _one_nat(resource: Resource, place: int) -> Resource | None:
    return None if resource.type in {NAT, ADDRESS} and place > 1 else resource


def _small_brokers(resource: Resource, _place: int) -> Resource | None:
    return _with(resource, "aws:msk/cluster:Cluster", "kafka.t3.small", "brokerNodeGroupInfo", "instanceType")


def _no_insights(resource: Resource, _place: int) -> Resource | None:
    return _with(resource, "aws:eks/addon:Addon", "", "configurationValues")


def _rejected_flows(resource: Resource, _place: int) -> Resource | None:
    return _with(resource, "aws:ec2/flowLog:FlowLog", "REJECT", "trafficType")


def _essentials(resource: Resource, _place: int) -> Resource | None:
    return _with(resource, "aws:cognito/userPool:UserPool", "ESSENTIALS", "userPoolTier")


def _with(resource: Resource, type_: str, value: str, *path: str) -> Resource:
    """The resource, or if it is of that type a copy with the value at the path."""
    if resource.type != type_:
        return resource
    return replace(resource, inputs=_put(resource.inputs, value, *path))


def _put(values: Any, value: str, first: str, *further: str) -> Mapping[str, Any]:
    held = values if isinstance(values, Mapping) else {}
    return {**held, first: _put(held.get(first), value, *further) if further else value}

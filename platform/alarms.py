"""What wakes an operator, and what it tells them to do: pure functions over plain values.

Every alarm has an advice. `urgent` ones mean that money may be wrong or that customers cannot pay; the
others can wait for the morning. Previews have none: nobody is woken by one, and its smoke test audits it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi

from apps.catalog import Catalog

NAMESPACE = "GoBanking"
"""Where the services' own metrics are (`apps/kit/metrics.py`, which this program may not import)."""
LONGEST_SECONDS = 86_400
"""CloudWatch looks back one day at most."""

Comparison = Literal["GreaterThanThreshold", "LessThanThreshold"]
Missing = Literal["breaching", "notBreaching"]


@dataclass(frozen=True)
class Reading:
    """One metric, as CloudWatch keeps it."""

    namespace: str
    metric: str
    stat: str
    dimensions: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True)
class Alarm:
    """`expression` joins `readings` by their ids; of one reading alone it may be the id.

    It is raised when the expression compares so with `threshold` in each of the last `periods` periods of
    `seconds`.
    """

    name: str
    urgent: bool
    advice: str
    readings: Mapping[str, Reading]
    threshold: float
    seconds: int
    periods: int
    missing: Missing = "notBreaching"
    expression: str = "m"
    comparison: Comparison = "GreaterThanThreshold"

    @property
    def description(self) -> str:
        """What its mail says."""
        return f"{'URGENT' if self.urgent else 'Soon'}: {self.advice}"


@dataclass(frozen=True)
class WatchedBase:
    """The expensive half, which this stack made. No NAT gateways when the VPC was given."""

    kafka_cluster_name: pulumi.Input[str]
    brokers: int
    nat_gateway_ids: Sequence[pulumi.Input[str]]


@dataclass(frozen=True)
class Watched:
    """What there is to watch. `tables` are physical names by the catalog's."""

    prefix: str
    catalog: Catalog
    audit_seconds: int
    load_balancer: pulumi.Input[str]
    target_group: pulumi.Input[str]
    tables: Mapping[str, pulumi.Input[str]]
    base: WatchedBase

    def runs(self, service: str) -> bool:
        """Whether this environment has the service."""
        return any(each.name == service for each in self.catalog.services)

    def emitted(self, service: str, metric: str, stat: str) -> Reading:
        """A metric that a service of this environment emits."""
        return Reading(NAMESPACE, metric, stat, {"environment": self.prefix, "service": service})


def audit_window(audit_seconds: int) -> int:
    """Seconds in which a healthy auditor reports at least once: its rest, an audit as long as that, and a
    little more; whole minutes, as CloudWatch counts. Raises `ValueError` when that is too long to watch."""
    window = -(-(2 * audit_seconds + 120) // 60) * 60
    if 3 * window > LONGEST_SECONDS:
        raise ValueError(
            f"gobanking:auditSeconds is {audit_seconds}: with more than {LONGEST_SECONDS // 6 - 60} seconds"
            " between two audits no alarm can tell that the auditor is silent"
        )
    return window


def urgent_rule(alarm_names: Sequence[str]) -> str:
    """The rule of the composite alarm: any of these."""
    return " OR ".join(f'ALARM("{name}")' for name in alarm_names)

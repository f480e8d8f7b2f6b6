"""What AWS asks, as far as it was known on a day: a table with the source of each price.

USD in us-east-1 by month, GB or million. Nobody fetched these: `memory` means what it says, and
`agent-toolkit` that AWS's own sizing script (aws/agent-toolkit, msk_sizing.py) has the price. An estimate
made of them is good to tell 300 from 3,000, not 300 from 330.
"""

from dataclasses import dataclass
from typing import Literal

DATE = "2026-11-24"

Source = Literal["memory", "agent-toolkit"]
Family = Literal["flat", "compute", "traffic", "other"]

REGIONS: dict[str, dict[Family, float]] = {
    "us-east-1": {"flat": 1.0, "compute": 1.0, "traffic": 1.0, "other": 1.0},
    # Roughly 1.5 to 2 times: NAT and logs about 2, machines about 1.6; control plane and keys are the same.
    "sa-east-1": {"flat": 1.0, "compute": 1.6, "traffic": 2.0, "other": 1.75},
}
"""How much more each family of prices is, from memory."""


@dataclass(frozen=True)
class Price:
    """USD for one `unit` in us-east-1. `hourly` ones stop when the thing is gone."""

    usd: float
    unit: str
    family: Family
    source: Source = "memory"
    hourly: bool = False


def _hourly(usd_a_month: float, family: Family, source: Source = "memory") -> Price:
    return Price(usd_a_month, "month", family, source, hourly=True)


CONTROL_PLANE = _hourly(73.0, "flat")
NODES: dict[str, Price] = {
    "m7g.medium": _hourly(30.0, "compute"),
    "m7g.large": _hourly(59.5, "compute"),
    "m7g.xlarge": _hourly(119.0, "compute"),
    "m7g.2xlarge": _hourly(238.0, "compute"),
    "m7g.4xlarge": _hourly(476.0, "compute"),
}
DISK_GIB = _hourly(0.08, "other")
NAT = _hourly(33.0, "traffic")
NAT_GB = Price(0.045, "GB", "traffic")
PUBLIC_ADDRESS = _hourly(3.65, "flat")
ENDPOINT_ZONE = _hourly(7.3, "other")
BALANCER = _hourly(16.4, "other")
BALANCER_UNIT = _hourly(5.84, "other")
FIREWALL = _hourly(5.0, "flat")
FIREWALL_RULE = _hourly(1.0, "flat")
BROKERS: dict[str, Price] = {
    "kafka.t3.small": _hourly(33.5, "compute", "agent-toolkit"),
    "kafka.m7g.large": _hourly(149.0, "compute", "agent-toolkit"),
    "kafka.m7g.xlarge": _hourly(298.0, "compute", "agent-toolkit"),
    "express.m7g.large": _hourly(297.7, "compute", "agent-toolkit"),
}
BROKER_GIB = _hourly(0.10, "compute")
MILLION_WRITES = Price(0.625, "million", "other")
MILLION_READS = Price(0.125, "million", "other")
TABLE_GB = Price(0.25, "GB", "other")
TABLE_BACKUP_GB = Price(0.20, "GB", "other")
ESSENTIALS_USER = Price(0.015, "user", "flat")
ESSENTIALS_FREE_USERS = 10_000
PLUS_USER = Price(0.02, "user", "flat")
LOG_GB = Price(0.50, "GB", "traffic")
ALARM_METRIC = Price(0.10, "month", "flat")
COMPOSITE_ALARM = Price(0.50, "month", "flat")
DASHBOARD = Price(3.0, "month", "flat")
INSIGHTS_NODE = _hourly(30.0, "other")
KEY = Price(1.0, "month", "flat")
SECRET = Price(0.40, "month", "flat")
ZONE = Price(0.50, "month", "flat")
IMAGE_GB = Price(0.10, "GB", "other")

"""What a stack costs in a month: an estimate from its resources, and what would make it cheaper.

What is billed by the hour follows from the resources; what is billed by use, from a `Usage` that somebody
assumed. A kind of resource that is neither priced nor known to be free is named, never taken for nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from environments import prices
from environments.prices import Price
from environments.pricing import FREE, PRICED, NoPriceError, Stack, Usage
from environments.resources import Resource


class UnknownRegion(ValueError):  # noqa: N818
    """There are no prices for it."""


QUIET = Usage(
    nat_gb=20,
    log_gb=5,
    flow_log_gb=5,
    million_writes=1,
    million_reads=2,
    stored_gb=1,
    balancer_units=0.4,
    users=100,
    image_gb=5,
)
"""Somebody tries things."""
BUSY = Usage(
    nat_gb=200,
    log_gb=60,
    flow_log_gb=40,
    million_writes=50,
    million_reads=100,
    stored_gb=50,
    balancer_units=3.2,
    users=20_000,
    image_gb=20,
)
"""A bank with twenty thousand customers."""


@dataclass(frozen=True)
class Line:
    """So many of something, at so much each in the region. `group` joins lines that one lever moves."""

    group: str
    what: str
    count: float
    unit: str
    usd_each: float
    source: prices.Source
    hourly: bool

    @property
    def usd(self) -> float:
        """For the month."""
        return self.count * self.usd_each


@dataclass(frozen=True)
class Estimate:
    """The lines, the dearest first; `unpriced` are types that nobody knows a price for."""

    region: str
    lines: tuple[Line, ...]
    unpriced: tuple[str, ...]

    @property
    def total(self) -> float:
        """USD a month."""
        return sum(line.usd for line in self.lines)


@dataclass(frozen=True)
class Lever:
    """One thing to change, how, and the USD a month that it saves."""

    name: str
    how: str
    saves: float


def estimate(resources: Sequence[Resource], region: str, usage: Usage) -> Estimate:
    """The cost of a month. Raises `UnknownRegion`."""
    factors = prices.REGIONS.get(region)
    if factors is None:
        raise UnknownRegion(f"no prices are known for {region}; there are: {', '.join(prices.REGIONS)}")
    counted, unpriced = _counted(Stack(resources, usage))
    lines = [
        Line(group, what, count, price.unit, price.usd * factors[price.family], price.source, price.hourly)
        for (group, what, price), count in counted.items()
        if count
    ]
    lines.sort(key=lambda line: (-line.usd, line.what))
    return Estimate(region, tuple(lines), tuple(sorted(unpriced)))


def _counted(stack: Stack) -> tuple[dict[tuple[str, str, Price], float], set[str]]:
    """How much of each thing there is, and the types that nobody knows a price for."""
    counted: dict[tuple[str, str, Price], float] = {}
    unpriced: set[str] = set()
    for resource in stack.resources:
        pricing = PRICED.get(resource.type)
        if pricing is None:
            if resource.type.startswith("aws:") and resource.type not in FREE:
                unpriced.add(resource.type)
            continue
        try:
            for group, what, count, price in pricing(resource, stack):
                counted[group, what, price] = counted.get((group, what, price), 0) + count
        except NoPriceError as unknown:
            unpriced.add(f"{resource.type} ({unknown})")
    return counted, unpriced


def report(found: Estimate, cheaper: Sequence[Lever]) -> str:
    """For a terminal: lines, total, levers, and how much to believe of it."""
    said = [f"{line.usd:>9,.2f}  {_amount(line.count)} {line.what}{_mark(line)}" for line in found.lines]
    said.append(f"{found.total:>9,.2f}  USD a month in {found.region}")
    if cheaper:
        said += ["", "What would be cheaper:"]
        said += [f"{-lever.saves:>9,.2f}  {lever.name} ({lever.how})" for lever in cheaper]
    if found.unpriced:
        said += ["", "Without a price: " + ", ".join(found.unpriced)]
    said += [
        "",
        f"Prices of {prices.DATE}, from memory; those with * from AWS's agent toolkit. Taxes not counted.",
    ]
    return "\n".join(said)


def _amount(count: float) -> str:
    return f"{count:,.0f}" if count == round(count) else f"{count:,.2f}"


def _mark(line: Line) -> str:
    return " *" if line.source == "agent-toolkit" else ""

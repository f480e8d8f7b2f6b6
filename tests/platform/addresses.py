"""Sets of IPv4 addresses, exact to the last one: two rules are compared by what they cover, not spell."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

LAST = 2**32 - 1
Span = tuple[int, int]


@dataclass(frozen=True)
class Addresses:
    """Spans from the lowest on, each with both ends, none touching the next: equal sets are equal."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, *cidrs: str) -> "Addresses":
        networks = [IPv4Network(cidr) for cidr in cidrs]
        return cls(_joined((int(net.network_address), int(net.broadcast_address)) for net in networks))

    def __or__(self, other: "Addresses") -> "Addresses":
        return Addresses(_joined([*self.spans, *other.spans]))

    def __and__(self, other: "Addresses") -> "Addresses":
        return EVERYWHERE - ((EVERYWHERE - self) | (EVERYWHERE - other))

    def __sub__(self, other: "Addresses") -> "Addresses":
        left: list[Span] = []
        for first, last in self.spans:
            start = first
            for cut_first, cut_last in other.spans:
                if cut_last < start or cut_first > last:
                    continue
                left.append((start, cut_first - 1))
                start = cut_last + 1
            left.append((start, last))
        return Addresses(tuple((first, last) for first, last in left if first <= last))

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __str__(self) -> str:
        """As CIDRs, the fewest."""
        return ", ".join(
            str(network)
            for first, last in self.spans
            for network in summarize_address_range(IPv4Address(first), IPv4Address(last))
        )


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


EVERYWHERE = Addresses(((0, LAST),))
NOWHERE = Addresses()

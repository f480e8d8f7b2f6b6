"""What of the catalog runs in an environment, how many pods of it, and what they ask of the nodes."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps.catalog import Catalog, Service

MEMORY_LIMIT_FACTOR = 2
"""A pod may burst to twice its request; what grows beyond leaks, and is started anew."""


@dataclass(frozen=True)
class Growth:
    """How far an environment may grow: pods of one service, and whether topics have but one partition."""

    max_replicas: int
    one_partition: bool


@dataclass(frozen=True)
class Scale:
    """The pods of one service: always `low`, up to `high` when there is much to do."""

    low: int
    high: int

    @property
    def fixed(self) -> bool:
        """Whether nothing scales it."""
        return self.low == self.high


@dataclass(frozen=True)
class Requests:
    """What pods ask of the nodes. Those with a security group of their own need a branch interface each."""

    cpu_millis: int = 0
    memory_mib: int = 0
    pods: int = 0
    branch_interfaces: int = 0

    def __add__(self, other: "Requests") -> "Requests":
        return Requests(
            self.cpu_millis + other.cpu_millis,
            self.memory_mib + other.memory_mib,
            self.pods + other.pods,
            self.branch_interfaces + other.branch_interfaces,
        )


def deployed(catalog: Catalog, simulators: bool) -> Catalog:
    """The catalog as it runs: simulators, and the calls to them, only where an environment wants them."""
    return catalog if simulators else catalog.without(lambda service: service.kind == "simulator")


def scale(catalog: Catalog, service: Service, growth: Growth) -> Scale:
    """How many pods a service has.

    Services of customers and members of a consumer group grow with their load, a group never beyond its
    topic's partitions: a member without one would idle. A single pod stays single, whatever it reads.
    """
    most = growth.max_replicas
    if service.consumes is not None:
        partitions = 1 if growth.one_partition else catalog.topic(service.consumes.topic).partitions
        most = min(most, partitions)
    low = min(service.replicas, most)
    grows = service.replicas > 1 and (service.kind == "api" or service.consumes is not None)
    return Scale(low, most if grows else low)


def least(catalog: Catalog, growth: Growth) -> Requests:
    """What the pods of all services ask for when there is little to do."""
    return _total((service, scale(catalog, service, growth).low) for service in _running(catalog))


def most(catalog: Catalog, growth: Growth) -> Requests:
    """The most that can be asked for: all services grown, all rolled out at once, every job running."""
    pods = ((service, scale(catalog, service, growth).high + 1) for service in _running(catalog))
    jobs = ((service, 1) for service in catalog.services if service.kind == "job")
    return _total(pods) + _total(jobs)


def _running(catalog: Catalog) -> list[Service]:
    return [service for service in catalog.services if service.kind != "job"]


def _total(pods: Iterable[tuple[Service, int]]) -> Requests:
    each = (
        Requests(
            service.cpu_millis * count,
            service.memory_mib * count,
            count,
            count if "dict" in service.egress else 0,
        )
        for service, count in pods
    )
    return sum(each, Requests())

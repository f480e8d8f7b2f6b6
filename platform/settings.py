"""What an environment may be: plain, frozen values, complete before any resource exists.

`configuration.read` makes them from the stack's configuration and refuses what cannot be; nothing here
has a default, so that `Pulumi.yaml` is the only place that has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["dev", "prod", "preview"]


@dataclass(frozen=True)
class GivenVpc:
    """A VPC that the caller has: three subnets of each kind, by id and CIDR, in the order of the zones.

    `nat_addresses` are the public addresses that its traffic leaves by, which Bacen allow-lists.
    """

    vpc_id: str
    cidr: str
    public: Mapping[str, str]
    private: Mapping[str, str]
    isolated: Mapping[str, str]
    nat_addresses: tuple[str, ...]


@dataclass(frozen=True)
class NetworkSettings:
    """Three zones. With `given`, no VPC is made; `cidr` is then that one's."""

    cidr: str
    zones: tuple[str, str, str]
    nat_per_zone: bool
    interface_endpoints: bool
    flow_logs: Literal["ALL", "REJECT"]
    given: GivenVpc | None


@dataclass(frozen=True)
class ClusterSettings:
    """The cluster and its nodes. `api_cidrs` reach its public endpoint; `admin_roles` (ARNs) rule it.

    `previews` is how many preview environments the nodes, when grown to `max_nodes`, must have room for.
    """

    version: str
    node_type: str
    nodes: int
    max_nodes: int
    api_cidrs: tuple[str, ...]
    admin_roles: tuple[str, ...]
    previews: int


@dataclass(frozen=True)
class KafkaSettings:
    """The brokers. Replication follows from their number: 3 from three brokers on, otherwise 2."""

    version: str
    broker_type: str
    brokers: int
    volume_gib: int

    @property
    def replication(self) -> int:
        """Copies of each record."""
        return 3 if self.brokers >= 3 else 2

    @property
    def min_in_sync(self) -> int:
        """Copies that must stand before a record is acknowledged."""
        return self.replication - 1


@dataclass(frozen=True)
class IdentitySettings:
    """The user pool. `tier` is Cognito's feature plan."""

    mfa: Literal["OFF", "OPTIONAL", "ON"]
    tier: Literal["ESSENTIALS", "PLUS"]


@dataclass(frozen=True)
class EdgeSettings:
    """The load balancer. Without a domain it speaks HTTP under its own name, which only dev may."""

    domain: str | None
    zone_id: str | None
    ingress_cidrs: tuple[str, ...]
    waf: bool


@dataclass(frozen=True)
class Created:
    """The expensive half is made by this stack."""

    network: NetworkSettings
    cluster: ClusterSettings
    kafka: KafkaSettings
    identity: IdentitySettings
    edge: EdgeSettings


@dataclass(frozen=True)
class Referenced:
    """The expensive half belongs to another stack, `organization/project/stack`."""

    stack: str


@dataclass(frozen=True)
class GivenImages:
    """Every service's image by digest, `registry/name@sha256:...`."""

    references: Mapping[str, str]


@dataclass(frozen=True)
class BuiltImages:
    """Images are built here with Docker Buildx and pushed to this environment's repositories under `tag`."""

    tag: str


@dataclass(frozen=True)
class ObservabilitySettings:
    """What is kept and who is told. `retention_days` is one of the periods that CloudWatch Logs knows."""

    retention_days: int
    container_insights: bool
    alarm_email: str | None
    monthly_budget_usd: int


@dataclass(frozen=True)
class Settings:
    """One environment.

    `prefix` begins every physical name: lower case letters, digits and `-`, at most 25 characters.
    `egress` are the address ranges of the classes `dict` and `spi`; empty where the simulator stands in.
    `rule_priority` is a preview's place on the shared listener; None for one by its prefix.
    `tunables` are the values of the catalog's settings that no other part of the environment decides.
    """

    project: str
    stack: str
    region: str
    kind: Kind
    prefix: str
    base: Created | Referenced
    images: GivenImages | BuiltImages
    simulators: bool
    egress: Mapping[Literal["dict", "spi"], tuple[str, ...]]
    rule_priority: int | None
    max_replicas: int
    tunables: Mapping[str, str]
    observability: ObservabilitySettings
    tags: Mapping[str, str]

    @property
    def protect(self) -> bool:
        """Whether what holds state may not be deleted, by Pulumi nor by AWS."""
        return self.kind == "prod"

    @property
    def disposable(self) -> bool:
        """Whether the environment is made to go away: nothing is backed up, nothing holds its end up."""
        return self.kind == "preview"

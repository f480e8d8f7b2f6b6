"""The network: three zones with public, private and isolated subnets, and fixed addresses to leave by.

Load balancer and NAT are public, nodes and pods private; brokers and interface endpoints are isolated:
nothing there has a way out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

import pulumi
import pulumi_aws as aws
from pulumi import InvokeOptions, Output, ResourceOptions

from endpoints import (
    GatewayEndpoints,
    GatewayEndpointsArgs,
    InterfaceEndpoints,
    InterfaceEndpointsArgs,
    service_name,
)
from flow_logs import FlowLogs, FlowLogsArgs
from settings import GivenVpc, NetworkSettings

ANYWHERE = "0.0.0.0/0"
PRIVATE_RANGES = tuple(IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))

LARGEST, SMALLEST = 16, 18
"""Prefix lengths of a VPC: AWS has none larger; in a smaller one a zone's pods run out of addresses."""


@dataclass(frozen=True)
class NetworkArgs:
    """`log_key_arn` is the key of this account that the flow logs are encrypted with."""

    settings: NetworkSettings
    region: str
    log_key_arn: pulumi.Input[str]
    retention_days: int


@dataclass(frozen=True)
class Subnets:
    """The subnets of one kind, in the order of the zones."""

    ids: list[Output[str]]
    cidrs: list[str]


@dataclass(frozen=True)
class Plan:
    """The ranges of the subnets, in the order of the zones."""

    public: tuple[str, str, str]
    private: tuple[str, str, str]
    isolated: tuple[str, str, str]


def plan(cidr: str) -> Plan:
    """How a VPC's range is split: of a /16, three private /19, three public and three isolated /24.

    The first eighth holds the small ones, the next three the private ones, where every pod takes an
    address; the upper half is free. Raises `ValueError` for what is not a private IPv4 range of
    /16 to /18.
    """
    whole = ip_network(cidr)  # refuses bits beyond the prefix
    if not isinstance(whole, IPv4Network) or not any(whole.subnet_of(known) for known in PRIVATE_RANGES):
        raise ValueError(f"a VPC's range is a private one (RFC 1918), not {cidr}")
    if not LARGEST <= whole.prefixlen <= SMALLEST:
        raise ValueError(f"a VPC's range is a /{LARGEST} to a /{SMALLEST}, not {cidr}")
    eighths = [str(part) for part in whole.subnets(prefixlen_diff=3)]
    small = [str(part) for _, part in zip(range(6), whole.subnets(prefixlen_diff=8), strict=False)]
    return Plan(
        public=(small[0], small[1], small[2]),
        private=(eighths[1], eighths[2], eighths[3]),
        isolated=(small[3], small[4], small[5]),
    )


class Network(pulumi.ComponentResource):
    """A VPC in three zones, or one that is given.

    Makes: the VPC, nine subnets, an internet gateway, one NAT gateway or one for each zone with its fixed
    address, route tables, endpoints for DynamoDB and S3, flow logs, an empty default security group; by
    setting, interface endpoints. Of a given VPC it makes the interface endpoints only.

    Costs at rest, a month in us-east-1: 37 USD for each NAT gateway with its address; the interface
    endpoints' 220 USD.

    Refuses, before anything is made, a range that `plan` refuses. Isolated subnets have no default
    route, and no subnet gives out public addresses.
    """

    vpc_id: Output[str]
    cidr: Output[str]
    public: Subnets
    """An id waits until its subnet reaches the internet: AWS makes no load balancer or NAT gateway before."""
    private: Subnets
    isolated: Subnets
    nat_addresses: list[Output[str]]
    nat_gateway_ids: list[Output[str]]
    """None of a given VPC: they are somebody else's to watch."""
    interface_endpoints: bool
    dynamodb_prefix_list_id: Output[str]
    dynamodb_cidrs: Output[Sequence[str]]
    routes: list[pulumi.Resource]
    """The private subnets' default routes, each in force: nodes wait for them. None of a given VPC."""

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Network", name, {}, opts)
        settings = args.settings
        account_id = Output.from_input(args.log_key_arn).apply(account_of)
        if settings.given is None:
            self._make(name, args, account_id)
        else:
            self._take(settings.given, args.region)
        self.interface_endpoints = settings.interface_endpoints
        if settings.interface_endpoints:
            InterfaceEndpoints(
                f"{name}-endpoints",
                InterfaceEndpointsArgs(
                    region=args.region,
                    account_id=account_id,
                    vpc_id=self.vpc_id,
                    vpc_cidr=self.cidr,
                    subnet_ids=self.isolated.ids,
                ),
                ResourceOptions(parent=self),
            )
        self.register_outputs({"vpcId": self.vpc_id, "natAddresses": self.nat_addresses})

    def _make(self, name: str, args: NetworkArgs, account_id: Output[str]) -> None:
        settings, split, child = args.settings, plan(args.settings.cidr), ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=settings.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=child,
        )
        self.vpc_id, self.cidr = vpc.id, vpc.cidr_block
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, opts=child)
        way_out = self._make_public(f"{name}-public", settings.zones, split.public)
        gateways = self._make_nat(f"{name}-nat", settings.zones[: 3 if settings.nat_per_zone else 1], way_out)
        tables = self._make_private(f"{name}-private", settings.zones, split.private, gateways)
        tables.append(self._make_isolated(f"{name}-isolated", settings.zones, split.isolated))
        direct = GatewayEndpoints(
            f"{name}-gateways",
            GatewayEndpointsArgs(
                region=args.region,
                account_id=account_id,
                vpc_id=vpc.id,
                route_table_ids=[table.id for table in tables],
            ),
            child,
        )
        self.dynamodb_prefix_list_id = direct.dynamodb_prefix_list_id
        self.dynamodb_cidrs = direct.dynamodb_cidrs
        FlowLogs(
            f"{name}-flow-logs",
            FlowLogsArgs(
                region=args.region,
                account_id=account_id,
                vpc_id=vpc.id,
                traffic=settings.flow_logs,
                key_arn=args.log_key_arn,
                retention_days=args.retention_days,
            ),
            child,
        )

    def _make_public(self, name: str, zones: Sequence[str], cidrs: Sequence[str]) -> aws.ec2.Route:
        child = ResourceOptions(parent=self)
        gateway = aws.ec2.InternetGateway(name, vpc_id=self.vpc_id, tags={"Name": name}, opts=child)
        table = self._table(name)
        # A route each, never a table's own list: the two undo each other.
        way_out = aws.ec2.Route(
            name, route_table_id=table.id, destination_cidr_block=ANYWHERE, gateway_id=gateway.id, opts=child
        )
        ids = []
        for zone, cidr in zip(zones, cidrs, strict=True):
            subnet = self._subnet(f"{name}-{zone}", zone, cidr, {"kubernetes.io/role/elb": "1"})
            joined = self._join(f"{name}-{zone}", subnet, table)
            ids.append(Output.all(subnet.id, joined.id, way_out.id).apply(lambda known: str(known[0])))
        self.public = Subnets(ids, list(cidrs))
        return way_out

    def _make_nat(self, name: str, zones: Sequence[str], way_out: aws.ec2.Route) -> list[aws.ec2.NatGateway]:
        """An internet gateway with a public address behind it cannot be taken off: the addresses go first."""
        gateways: list[aws.ec2.NatGateway] = []
        self.nat_addresses = []
        for zone, subnet_id in zip(zones, self.public.ids, strict=False):
            tags = {"Name": f"{name}-{zone}"}
            address = aws.ec2.Eip(
                f"{name}-{zone}",
                domain="vpc",
                tags=tags,
                opts=ResourceOptions(parent=self, depends_on=[way_out]),
            )
            gateways.append(
                aws.ec2.NatGateway(
                    f"{name}-{zone}",
                    subnet_id=subnet_id,
                    allocation_id=address.allocation_id,
                    tags=tags,
                    opts=ResourceOptions(parent=self),
                )
            )
            self.nat_addresses.append(address.public_ip)
        self.nat_gateway_ids = [gateway.id for gateway in gateways]
        return gateways

    def _make_private(
        self, name: str, zones: Sequence[str], cidrs: Sequence[str], gateways: Sequence[aws.ec2.NatGateway]
    ) -> list[aws.ec2.RouteTable]:
        """A table for each zone even with one NAT gateway: more of them then change routes only."""
        ids, tables = [], []
        self.routes = []
        for number, (zone, cidr) in enumerate(zip(zones, cidrs, strict=True)):
            subnet = self._subnet(f"{name}-{zone}", zone, cidr, {"kubernetes.io/role/internal-elb": "1"})
            table = self._table(f"{name}-{zone}")
            joined = self._join(f"{name}-{zone}", subnet, table)
            route = aws.ec2.Route(
                f"{name}-{zone}",
                route_table_id=table.id,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=gateways[number % len(gateways)].id,
                opts=ResourceOptions(parent=self, depends_on=[joined]),
            )
            ids.append(subnet.id)
            tables.append(table)
            self.routes.append(route)
        self.private = Subnets(ids, list(cidrs))
        return tables

    def _make_isolated(self, name: str, zones: Sequence[str], cidrs: Sequence[str]) -> aws.ec2.RouteTable:
        table = self._table(name)
        ids = []
        for zone, cidr in zip(zones, cidrs, strict=True):
            subnet = self._subnet(f"{name}-{zone}", zone, cidr, {})
            self._join(f"{name}-{zone}", subnet, table)
            ids.append(subnet.id)
        self.isolated = Subnets(ids, list(cidrs))
        return table

    def _subnet(self, name: str, zone: str, cidr: str, tags: Mapping[str, str]) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            name,
            vpc_id=self.vpc_id,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags={"Name": name, **tags},
            opts=ResourceOptions(parent=self),
        )

    def _table(self, name: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            name, vpc_id=self.vpc_id, tags={"Name": name}, opts=ResourceOptions(parent=self)
        )

    def _join(
        self, name: str, subnet: aws.ec2.Subnet, table: aws.ec2.RouteTable
    ) -> aws.ec2.RouteTableAssociation:
        return aws.ec2.RouteTableAssociation(
            name, subnet_id=subnet.id, route_table_id=table.id, opts=ResourceOptions(parent=self)
        )

    def _take(self, given: GivenVpc, region: str) -> None:
        self.vpc_id = Output.from_input(given.vpc_id)
        self.cidr = Output.from_input(given.cidr)
        self.public, self.private, self.isolated = map(
            _subnets, (given.public, given.private, given.isolated)
        )
        self.nat_addresses = [Output.from_input(address) for address in given.nat_addresses]
        self.nat_gateway_ids = []
        self.routes = []
        found = aws.ec2.get_prefix_list_output(
            name=service_name(region, "dynamodb"), opts=InvokeOptions(parent=self)
        )
        self.dynamodb_prefix_list_id = found.id
        self.dynamodb_cidrs = found.cidr_blocks


def account_of(arn: str) -> str:
    """The account in an ARN. Raises `ValueError` when it is none."""
    parts = arn.split(":")
    if len(parts) < 6 or not parts[4].isdigit():
        raise ValueError(f"no account in '{arn}'")
    return parts[4]


def _subnets(given: Mapping[str, str]) -> Subnets:
    return Subnets([Output.from_input(subnet) for subnet in given], list(given.values()))

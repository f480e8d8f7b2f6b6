"""The network: what reaches what, by which address, and in which order it stands and falls."""

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from itertools import combinations
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints import GUARDED, OPEN, own_principals_policy, storage_policy, tables_policy
from environments.graph.answers import ACCOUNT, REGION
from environments.graph.evaluation import UNKNOWN, Graph, Node, evaluate
from flow_logs import trust_policy, write_policy
from kms import Keys, KeysArgs
from network import Network, NetworkArgs, account_of, plan
from settings import GivenVpc, NetworkSettings
from tests.platform.types_check import complaints

ZONES = ("sa-east-1a", "sa-east-1b", "sa-east-1c")
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b2c3d"

ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
EIP = "aws:ec2/eip:Eip"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
INTERNET = "aws:ec2/internetGateway:InternetGateway"
NAT = "aws:ec2/natGateway:NatGateway"
ROUTE = "aws:ec2/route:Route"
SUBNET = "aws:ec2/subnet:Subnet"
TABLE = "aws:ec2/routeTable:RouteTable"
VPC = "aws:ec2/vpc:Vpc"
USER = "test:index:User"

SMALL = NetworkSettings(
    cidr="10.0.0.0/16",
    zones=ZONES,
    nat_per_zone=False,
    interface_endpoints=False,
    flow_logs="REJECT",
    given=None,
)
LARGE = replace(SMALL, nat_per_zone=True, interface_endpoints=True, flow_logs="ALL")
THEIRS = replace(
    SMALL,
    cidr="10.9.0.0/16",
    given=GivenVpc(
        vpc_id="vpc-theirs",
        cidr="10.9.0.0/16",
        public={"subnet-p1": "10.9.1.0/24", "subnet-p2": "10.9.2.0/24", "subnet-p3": "10.9.3.0/24"},
        private={"subnet-q1": "10.9.32.0/19", "subnet-q2": "10.9.64.0/19", "subnet-q3": "10.9.96.0/19"},
        isolated={"subnet-i1": "10.9.4.0/24", "subnet-i2": "10.9.5.0/24", "subnet-i3": "10.9.6.0/24"},
        nat_addresses=("203.0.113.7", "203.0.113.8"),
    ),
)
SETTINGS = pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SMALL, id="one NAT gateway"),
        pytest.param(LARGE, id="everything"),
        pytest.param(THEIRS, id="given VPC"),
        pytest.param(replace(THEIRS, interface_endpoints=True), id="given VPC with endpoints"),
    ],
)
PREVIEW = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])


class User(pulumi.CustomResource):
    """Somebody who stands in the subnets that it is given."""

    def __init__(self, name: str, subnet_ids: object, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(USER, name, {"subnetIds": subnet_ids}, opts)


def network(settings: NetworkSettings, *, preview: bool = False) -> Graph:
    def program() -> None:
        made = Network(
            "net", NetworkArgs(settings=settings, region=REGION, log_key_arn=KEY, retention_days=30)
        )
        for kind, subnets in (
            ("public", made.public),
            ("private", made.private),
            ("isolated", made.isolated),
        ):
            User(kind, subnets.ids)
            pulumi.export(kind, {"ids": subnets.ids, "cidrs": subnets.cidrs})
        User("node", made.private.ids, pulumi.ResourceOptions(depends_on=made.routes))
        pulumi.export("vpc_id", made.vpc_id)
        pulumi.export("cidr", made.cidr)
        pulumi.export("nat_addresses", made.nat_addresses)
        pulumi.export("interface_endpoints", made.interface_endpoints)
        pulumi.export("dynamodb_prefix_list_id", made.dynamodb_prefix_list_id)
        pulumi.export("dynamodb_cidrs", made.dynamodb_cidrs)

    return evaluate(program, preview=preview)


def resources(graph: Graph) -> list[Node]:
    return [node for node in graph if node.custom and node.type.startswith("aws:")]


def id_of(node: Node) -> str:
    """The id of a resource of EC2, which ends its ARN."""
    assert node.outputs is not None
    made: str = node.outputs["arn"].rpartition("/")[2]
    return made


def default_routes(graph: Graph, subnet: Node) -> list[Node]:
    """The routes of a subnet, by its id and its table's."""
    joined = [node for node in graph.of_type(ASSOCIATION) if node.inputs["subnetId"] == id_of(subnet)]
    assert len(joined) == 1
    table = joined[0].inputs["routeTableId"]
    return [route for route in graph.of_type(ROUTE) if route.inputs["routeTableId"] == table]


def subnets(graph: Graph, kind: str) -> list[Node]:
    return [graph.one(SUBNET, f"net-{kind}-{zone}") for zone in ZONES]


# The plan


def test_a_16_is_split_into_19s_and_24s() -> None:
    split = plan("10.0.0.0/16")
    assert split.public == ("10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24")
    assert split.isolated == ("10.0.3.0/24", "10.0.4.0/24", "10.0.5.0/24")
    assert split.private == ("10.0.32.0/19", "10.0.64.0/19", "10.0.96.0/19")


@st.composite
def ranges(draw: st.DrawFn) -> str:
    around = ip_network(draw(st.sampled_from(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])))
    prefix = draw(st.integers(min_value=16, max_value=18))
    number = draw(st.integers(min_value=0, max_value=2 ** (prefix - around.prefixlen) - 1))
    return f"{around.network_address + number * 2 ** (32 - prefix)}/{prefix}"


@given(ranges())
def test_a_plan_divides_its_range_without_overlaps(cidr: str) -> None:
    split, whole = plan(cidr), ip_network(cidr)
    kinds = {"public": 8, "private": 3, "isolated": 8}
    parts = []
    for kind, longer in kinds.items():
        found = [ip_network(part) for part in getattr(split, kind)]
        assert [part.prefixlen for part in found] == [whole.prefixlen + longer] * 3
        assert found == sorted(found)
        parts += found
    assert all(part.subnet_of(whole) for part in parts)  # type: ignore[arg-type]
    assert not any(one.overlaps(other) for one, other in combinations(parts, 2))
    assert split == plan(cidr)


@pytest.mark.parametrize(
    ("cidr", "why"),
    [
        pytest.param("10.0.0.0/19", "a /16 to a /18", id="too small"),
        pytest.param("10.0.0.0/15", "a /16 to a /18", id="larger than AWS has them"),
        pytest.param("10.0.0.1/16", "host bits", id="host bits"),
        pytest.param("203.0.0.0/16", "private one", id="public addresses"),
        pytest.param("172.0.0.0/16", "private one", id="beside the private range"),
        pytest.param("fd00::/16", "private one", id="IPv6"),
        pytest.param("ten", "does not appear to be", id="no range"),
    ],
)
def test_a_range_that_cannot_be_is_refused_before_anything_is_made(cidr: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        plan(cidr)
    with pytest.raises(ValueError, match=why):
        network(replace(SMALL, cidr=cidr))


# The VPC that is made


@SETTINGS
@PREVIEW
def test_every_resource_is_of_its_type_and_has_a_component(settings: NetworkSettings, preview: bool) -> None:
    graph = network(settings, preview=preview)
    assert {node.urn: complaints(node) for node in resources(graph) if complaints(node)} == {}
    assert [node for node in graph.outside_components() if node.type != USER] == []
    assert all(node.outputs is not None for node in graph if node.component)
    assert graph.messages == ()


@SETTINGS
def test_a_preview_makes_what_an_update_makes(settings: NetworkSettings) -> None:
    assert network(settings, preview=True).fingerprint() == network(settings).fingerprint()


@PREVIEW
def test_a_vpc_has_names_and_three_subnets_of_each_kind_in_the_order_of_the_zones(preview: bool) -> None:
    graph = network(SMALL, preview=preview)
    vpc = graph.one(VPC).inputs
    assert vpc["cidrBlock"] == "10.0.0.0/16"
    assert vpc["enableDnsSupport"] is True
    assert vpc["enableDnsHostnames"] is True
    assert len(graph.of_type(SUBNET)) == 9
    for kind, cidrs in vars(plan("10.0.0.0/16")).items():
        made = subnets(graph, kind)
        assert tuple(node.inputs["cidrBlock"] for node in made) == cidrs
        assert tuple(node.inputs["availabilityZone"] for node in made) == ZONES
        assert tuple(graph.outputs[kind]["cidrs"]) == cidrs


def test_no_subnet_gives_out_public_addresses() -> None:
    assert [node.inputs["mapPublicIpOnLaunch"] for node in network(LARGE).of_type(SUBNET)] == [False] * 9


@pytest.mark.parametrize(
    ("kind", "roles"),
    [
        pytest.param("public", {"kubernetes.io/role/elb": "1"}, id="public"),
        pytest.param("private", {"kubernetes.io/role/internal-elb": "1"}, id="private"),
        pytest.param("isolated", {}, id="isolated"),
    ],
)
def test_subnets_tell_kubernetes_where_load_balancers_go(kind: str, roles: Mapping[str, str]) -> None:
    for node in subnets(network(SMALL), kind):
        tags = node.inputs["tags"]
        assert {tag: value for tag, value in tags.items() if tag.startswith("kubernetes.io/")} == roles


def test_public_subnets_reach_the_internet_and_isolated_ones_nothing() -> None:
    graph = network(LARGE)
    gateway = graph.one(INTERNET)
    for subnet in subnets(graph, "public"):
        (route,) = default_routes(graph, subnet)
        assert route.inputs["destinationCidrBlock"] == "0.0.0.0/0"
        assert route.inputs["gatewayId"] == id_of(gateway)
    for subnet in subnets(graph, "isolated"):
        assert default_routes(graph, subnet) == []
    assert all("routes" not in table.inputs for table in graph.of_type(TABLE))


@pytest.mark.parametrize(
    ("settings", "leaves_by"),
    [
        pytest.param(SMALL, (ZONES[0], ZONES[0], ZONES[0]), id="one NAT gateway"),
        pytest.param(LARGE, ZONES, id="one for each zone"),
    ],
)
def test_private_subnets_leave_by_nat(settings: NetworkSettings, leaves_by: tuple[str, ...]) -> None:
    graph = network(settings)
    assert len(graph.of_type(NAT)) == len(set(leaves_by))
    for subnet, zone in zip(subnets(graph, "private"), leaves_by, strict=True):
        (route,) = default_routes(graph, subnet)
        nat, address = graph.one(NAT, f"net-nat-{zone}"), graph.one(EIP, f"net-nat-{zone}")
        place = graph.one(SUBNET, f"net-public-{zone}")
        assert address.outputs is not None
        assert route.inputs["destinationCidrBlock"] == "0.0.0.0/0"
        assert route.inputs["natGatewayId"] == id_of(nat)
        assert nat.inputs["subnetId"] == id_of(place)
        assert nat.inputs["allocationId"] == address.outputs["allocationId"]


def test_more_nat_gateways_change_nothing_but_routes() -> None:
    before, after = network(SMALL), network(replace(SMALL, nat_per_zone=True))
    assert set(before.fingerprint()) <= set(after.fingerprint())
    changed = {urn for urn in before.fingerprint() if before.nodes[urn].inputs != after.nodes[urn].inputs}
    assert {before.nodes[urn].type for urn in changed} == {ROUTE}


@pytest.mark.parametrize(("settings", "number"), [(SMALL, 1), (LARGE, 3)], ids=["one", "one for each zone"])
def test_the_nat_addresses_are_fixed_and_handed_out(settings: NetworkSettings, number: int) -> None:
    graph = network(settings)
    addresses = [node.outputs["publicIp"] for node in graph.of_type(EIP) if node.outputs]
    assert graph.outputs["nat_addresses"] == addresses
    assert len(set(addresses)) == number
    assert network(settings, preview=True).outputs["nat_addresses"] == [UNKNOWN] * number


# Order


@PREVIEW
@pytest.mark.parametrize("settings", [SMALL, LARGE], ids=["one", "one for each zone"])
def test_nat_gateways_and_their_addresses_go_before_the_internet_gateway(
    settings: NetworkSettings, preview: bool
) -> None:
    graph = network(settings, preview=preview)
    way_out = graph.one(ROUTE, "net-public")
    assert graph.depends(way_out, graph.one(INTERNET))
    for nat in graph.of_type(NAT):
        assert graph.depends(nat, graph.one(ASSOCIATION, nat.name.replace("nat", "public")))
        assert graph.depends(nat, graph.one(EIP, nat.name))
    for node in (*graph.of_type(NAT), *graph.of_type(EIP)):
        assert graph.depends(node, way_out)


@PREVIEW
def test_who_stands_in_a_public_subnet_waits_for_the_internet(preview: bool) -> None:
    graph = network(SMALL, preview=preview)
    assert graph.depends(graph.one(USER, "public"), graph.one(ROUTE, "net-public"))
    for zone in ZONES:
        assert graph.depends(graph.one(USER, "public"), graph.one(ASSOCIATION, f"net-public-{zone}"))


@PREVIEW
def test_who_waits_for_the_routes_has_a_way_out_of_every_private_subnet(preview: bool) -> None:
    graph = network(SMALL, preview=preview)
    node = graph.one(USER, "node")
    for zone in ZONES:
        assert graph.depends(node, graph.one(ROUTE, f"net-private-{zone}"))
        assert graph.depends(node, graph.one(ASSOCIATION, f"net-private-{zone}"))
    assert graph.depends(node, graph.one(NAT))


def test_who_stands_in_an_isolated_subnet_waits_for_no_gateway() -> None:
    graph = network(SMALL)
    user = graph.one(USER, "isolated")
    assert graph.depends(user, graph.one(VPC))
    assert not any(graph.depends(user, node) for node in (*graph.of_type(NAT), *graph.of_type(INTERNET)))


@PREVIEW
def test_a_log_key_of_the_same_update_makes_documents_unknown_in_a_preview_and_nothing_else(
    preview: bool,
) -> None:
    def program() -> None:
        keys = Keys("keys", KeysArgs(region=REGION, account_id=ACCOUNT, deletion_days=7, protect=False))
        Network("net", NetworkArgs(settings=LARGE, region=REGION, log_key_arn=keys.logs, retention_days=30))

    graph = evaluate(program, preview=preview)
    made = {node.urn for node in resources(graph) if "aws:kms/" not in node.type}
    assert made == {node.urn for node in resources(network(LARGE))}
    policies = [node.inputs["policy"] for node in graph.of_type(ENDPOINT) if "policy" in node.inputs]
    assert len(policies) == 2 + len(GUARDED)
    assert {policy is UNKNOWN for policy in policies} == {preview}
    key = graph.one("aws:kms/key:Key", "keys-logs")
    assert graph.depends(graph.one("aws:cloudwatch/logGroup:LogGroup"), key)


# Security groups and endpoints


def test_the_default_security_group_is_empty() -> None:
    group = network(SMALL).one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert set(group.inputs) == {"vpcId"}


def test_tables_and_buckets_are_routes_of_private_and_isolated_subnets() -> None:
    graph = network(SMALL)
    tables = {node.name: id_of(node) for node in graph.of_type(TABLE)}
    assert len(tables) == 5
    assert {node.name for node in graph.of_type(ENDPOINT)} == {"net-gateways-s3", "net-gateways-dynamodb"}
    for node in graph.of_type(ENDPOINT):
        service = node.name.removeprefix("net-gateways-")
        assert node.inputs["vpcEndpointType"] == "Gateway"
        assert node.inputs["serviceName"] == f"com.amazonaws.{REGION}.{service}"
        assert set(node.inputs["routeTableIds"]) == set(tables.values()) - {tables["net-public"]}
    assert policy_of(graph, "net-gateways-s3") == storage_policy(ACCOUNT, REGION)
    assert policy_of(graph, "net-gateways-dynamodb") == tables_policy(ACCOUNT)


def test_the_ranges_of_dynamodb_are_those_of_its_endpoint() -> None:
    graph = network(SMALL)
    endpoint = graph.one(ENDPOINT, "net-gateways-dynamodb")
    assert endpoint.outputs is not None
    assert graph.outputs["dynamodb_prefix_list_id"] == endpoint.outputs["prefixListId"]
    assert graph.outputs["dynamodb_cidrs"] == endpoint.outputs["cidrBlocks"]
    assert graph.invokes == ()


def policy_of(graph: Graph, name: str) -> object:
    return json.loads(graph.one(ENDPOINT, name).inputs["policy"])


def test_nothing_of_another_account_passes_the_gateway_endpoints_but_image_layers() -> None:
    own = {"StringEquals": {"aws:PrincipalAccount": ACCOUNT, "aws:ResourceAccount": ACCOUNT}}
    assert [statement["Condition"] for statement in statements(tables_policy(ACCOUNT))] == [own]
    data, layers = statements(storage_policy(ACCOUNT, "eu-west-1"))
    assert data["Condition"] == own
    # Whoever signed the address of a layer, it is not this account.
    assert "Condition" not in layers
    assert layers["Action"] == "s3:GetObject"
    assert layers["Resource"] == [
        "arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/*",
        "arn:aws:s3:::prod-registry-k8s-io-eu-west-1/*",
    ]


def test_the_interface_endpoints_hear_credentials_of_the_account_on_images_of_any() -> None:
    (only,) = statements(own_principals_policy(ACCOUNT))
    assert only["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}


def statements(policy: dict[str, object]) -> list[dict[str, Any]]:
    assert policy["Version"] == "2012-10-17"
    found = policy["Statement"]
    assert isinstance(found, list)
    return found


def interfaces(graph: Graph) -> list[Node]:
    return [node for node in graph.of_type(ENDPOINT) if node.inputs["vpcEndpointType"] == "Interface"]


def test_interface_endpoints_are_made_by_setting() -> None:
    assert interfaces(network(SMALL)) == []
    assert network(SMALL).of_type("aws:ec2/securityGroup:SecurityGroup") == []
    assert network(SMALL).outputs["interface_endpoints"] is False
    assert network(LARGE).outputs["interface_endpoints"] is True


@pytest.mark.parametrize(
    ("settings", "cidr"),
    [
        pytest.param(LARGE, "10.0.0.0/16", id="VPC made"),
        pytest.param(replace(THEIRS, interface_endpoints=True), "10.9.0.0/16", id="VPC given"),
    ],
)
def test_interface_endpoints_stand_in_the_isolated_subnets_and_hear_tls_from_the_vpc(
    settings: NetworkSettings, cidr: str
) -> None:
    graph = network(settings)
    group = graph.one("aws:ec2/securityGroup:SecurityGroup")
    rule = graph.one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert group.inputs["vpcId"] == graph.outputs["vpc_id"]
    assert not {"ingress", "egress"} & set(group.inputs)
    assert graph.of_type("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule") == []
    assert rule.inputs["securityGroupId"] == id_of(group)
    heard = ("cidrIpv4", "ipProtocol", "fromPort", "toPort")
    assert [rule.inputs[name] for name in heard] == [cidr, "tcp", 443, 443]

    made = {node.name.removeprefix("net-endpoints-"): node for node in interfaces(graph)}
    assert set(made) == {*GUARDED, *OPEN}
    assert len(made) == 10
    for service, node in made.items():
        assert node.inputs["serviceName"] == f"com.amazonaws.{REGION}.{service}"
        assert node.inputs["subnetIds"] == graph.outputs["isolated"]["ids"]
        assert node.inputs["securityGroupIds"] == [id_of(group)]
        assert node.inputs["privateDnsEnabled"] is True
        assert graph.depends(node, rule)


def test_services_that_take_data_take_it_from_the_account_only() -> None:
    graph = network(LARGE)
    guarded = {
        node.name.removeprefix("net-endpoints-") for node in interfaces(graph) if "policy" in node.inputs
    }
    assert guarded == {"ecr.api", "ecr.dkr", "kms", "logs", "monitoring", "secretsmanager"}
    for service in guarded:
        assert policy_of(graph, f"net-endpoints-{service}") == own_principals_policy(ACCOUNT)


# Flow logs


@pytest.mark.parametrize(("settings", "traffic"), [(SMALL, "REJECT"), (LARGE, "ALL")], ids=["REJECT", "ALL"])
def test_flow_logs_are_kept_encrypted_for_as_long_as_set(settings: NetworkSettings, traffic: str) -> None:
    graph = network(settings)
    log, group = graph.one(FLOW_LOG), graph.one("aws:cloudwatch/logGroup:LogGroup")
    role, permissions = graph.one("aws:iam/role:Role"), graph.one("aws:iam/rolePolicy:RolePolicy")
    assert group.outputs is not None
    assert role.outputs is not None
    assert group.inputs == {"kmsKeyId": KEY, "retentionInDays": 30}
    assert log.inputs["trafficType"] == traffic
    assert log.inputs["vpcId"] == graph.outputs["vpc_id"]
    assert log.inputs["logDestination"] == group.outputs["arn"]
    assert log.inputs["iamRoleArn"] == role.outputs["arn"]
    assert json.loads(role.inputs["assumeRolePolicy"]) == trust_policy(ACCOUNT, REGION)
    assert permissions.inputs["role"] == role.outputs["name"]
    assert json.loads(permissions.inputs["policy"]) == write_policy(group.outputs["arn"])
    assert graph.depends(log, permissions)


def test_only_flow_logs_of_the_account_take_the_role() -> None:
    (statement,) = statements(trust_policy(ACCOUNT, REGION))
    assert statement["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc-flow-log/*"},
    }


def test_the_role_writes_to_one_log_group_and_cannot_make_it() -> None:
    (statement,) = statements(write_policy("arn:group"))
    assert statement["Resource"] == ["arn:group", "arn:group:*"]
    assert "logs:PutLogEvents" in statement["Action"]
    assert "logs:CreateLogGroup" not in statement["Action"]


@pytest.mark.parametrize(
    "arn", ["", "key", "arn:aws:kms:sa-east-1::key/1"], ids=["empty", "name", "nobody's"]
)
def test_an_arn_without_an_account_is_refused(arn: str) -> None:
    assert account_of(KEY) == ACCOUNT
    with pytest.raises(ValueError, match="no account"):
        account_of(arn)


# The VPC that is given


def test_of_a_given_vpc_nothing_is_made() -> None:
    assert resources(network(THEIRS)) == []


def test_of_a_given_vpc_only_interface_endpoints_are_made_when_asked_for() -> None:
    graph = network(replace(THEIRS, interface_endpoints=True))
    assert {node.type for node in resources(graph)} == {
        ENDPOINT,
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    }
    assert len(interfaces(graph)) == len(graph.of_type(ENDPOINT)) == 10


@PREVIEW
def test_a_given_vpc_is_passed_through(preview: bool) -> None:
    graph = network(THEIRS, preview=preview)
    theirs = THEIRS.given
    assert theirs is not None
    assert graph.outputs["vpc_id"] == "vpc-theirs"
    assert graph.outputs["cidr"] == "10.9.0.0/16"
    assert graph.outputs["nat_addresses"] == ["203.0.113.7", "203.0.113.8"]
    assert graph.outputs["interface_endpoints"] is False
    for kind in ("public", "private", "isolated"):
        subnets_of: Mapping[str, str] = getattr(theirs, kind)
        assert graph.outputs[kind] == {"ids": list(subnets_of), "cidrs": list(subnets_of.values())}


@PREVIEW
def test_the_ranges_of_dynamodb_are_looked_up_for_a_given_vpc(preview: bool) -> None:
    graph = network(THEIRS, preview=preview)
    (asked,) = graph.invokes
    assert asked.token == "aws:ec2/getPrefixList:getPrefixList"
    assert asked.args == {"name": f"com.amazonaws.{REGION}.dynamodb"}
    assert graph.outputs["dynamodb_prefix_list_id"] == "pl-5ca54035"
    assert graph.outputs["dynamodb_cidrs"] == ["198.51.100.0/24"]

"""The shared load balancer: what is open, what is answered, under which names, and what waits for what."""

import json
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from apps.kit.problems import Problem
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from environments.graph.nodes import Node
from network import Subnets
from settings import EdgeSettings
from shared_edge import Domain, SharedEdge, SharedEdgeArgs, domain_of, not_found, ports
from tests.platform.types_check import complaints

LISTENER = "aws:lb/listener:Listener"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
BARE = EdgeSettings(domain=None, zone_id=None, ingress_cidrs=("0.0.0.0/0",), waf=False)
NAMED = EdgeSettings("bank.example.com", "Z1", ("198.51.100.0/24", "203.0.113.7/32"), waf=True)
SETTINGS = {"bare": BARE, "named": NAMED}
BOTH = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])


def graph(settings: EdgeSettings, *, preview: bool = False, protect: bool = False) -> Graph:
    def program() -> None:
        subnets = [aws.ec2.Subnet(f"public-{zone}", vpc_id="vpc-1") for zone in "abc"]
        made = SharedEdge(
            "shared-edge",
            SharedEdgeArgs(
                settings=settings,
                prefix="dev",
                region="sa-east-1",
                account_id=aws.get_caller_identity_output().account_id,
                vpc_id="vpc-1",
                vpc_cidr="10.0.0.0/16",
                public=Subnets([subnet.id for subnet in subnets], ["10.0.0.0/24"] * 3),
                gateway_port=8000,
                cluster_security_group_id="sg-cluster",
                log_key_arn="arn:aws:kms:sa-east-1:111122223333:key/logs",
                retention_days=30,
                protect=protect,
            ),
        )
        for name in (
            "listener_arn",
            "security_group_id",
            "arn_suffix",
            "dns_name",
            "zone_id",
            "host_suffix",
            "dns_zone_id",
        ):
            pulumi.export(name, getattr(made, name))

    return evaluate(program, preview=preview)


def opened(rule: Node) -> tuple[str, str, int, int]:
    inputs = rule.inputs
    return inputs["cidrIpv4"], inputs["ipProtocol"], inputs["fromPort"], inputs["toPort"]


@BOTH
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_inputs_are_what_aws_takes(settings: EdgeSettings, preview: bool) -> None:
    made = graph(settings, preview=preview)
    assert [said for node in made for said in complaints(node)] == []
    assert {node.type for node in made.outside_components()} == {"aws:ec2/subnet:Subnet"}
    assert made.messages == ()


@BOTH
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (BARE, {("0.0.0.0/0", "tcp", 80, 80)}),
        (
            NAMED,
            {(cidr, "tcp", port, port) for cidr in NAMED.ingress_cidrs for port in (443, 80)},
        ),
    ],
    ids=SETTINGS,
)
def test_only_its_doors_are_open_and_only_to_whom_settings_name(
    settings: EdgeSettings, expected: set[tuple[str, str, int, int]], preview: bool
) -> None:
    made = graph(settings, preview=preview)
    assert {opened(rule) for rule in doors(made)} == expected
    assert len(doors(made)) == len(expected)


@BOTH
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_it_reaches_nothing_but_the_gateways_port_in_the_vpc(settings: EdgeSettings, preview: bool) -> None:
    made = graph(settings, preview=preview)
    assert opened(made.one(EGRESS)) == ("10.0.0.0/16", "tcp", 8000, 8000)
    group = made.one("aws:ec2/securityGroup:SecurityGroup")
    assert not {"ingress", "egress"} & group.inputs.keys(), "inline rules would fight the standalone ones"


@BOTH
def test_the_cluster_lets_it_in_at_the_gateways_port(preview: bool) -> None:
    made = graph(NAMED, preview=preview)
    (rule,) = [each for each in made.of_type(INGRESS) if each.inputs["securityGroupId"] == "sg-cluster"]
    group = made.one("aws:ec2/securityGroup:SecurityGroup")
    assert "cidrIpv4" not in rule.inputs
    assert rule.property_dependencies["referencedSecurityGroupId"] == {group.urn}
    assert [rule.inputs[key] for key in ("ipProtocol", "fromPort", "toPort")] == ["tcp", 8000, 8000]


def doors(made: Graph) -> list[Node]:
    """The balancer's own ways in."""
    return [rule for rule in made.of_type(INGRESS) if rule.inputs["securityGroupId"] != "sg-cluster"]


def test_taking_a_range_out_leaves_the_rules_of_the_others_alone() -> None:
    fewer = replace(NAMED, ingress_cidrs=NAMED.ingress_cidrs[1:])
    before, after = ({rule.urn: rule.inputs for rule in doors(graph(each))} for each in (NAMED, fewer))
    assert after.items() <= before.items()
    assert len(after) == 2


@BOTH
def test_the_balancer_is_public_and_forwards_only_plain_http(preview: bool) -> None:
    balancer = graph(NAMED, preview=preview).one(BALANCER).inputs
    assert (balancer["loadBalancerType"], balancer["internal"]) == ("application", False)
    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["desyncMitigationMode"] == "strictest"
    assert len(balancer["subnets"]) == 3
    assert len(balancer["securityGroups"]) == 1
    assert balancer["accessLogs"]["enabled"] is True


def test_its_idle_connections_end_before_the_services_end_theirs() -> None:
    assert graph(NAMED).one(BALANCER).inputs["idleTimeout"] < 75


@pytest.mark.parametrize("protect", [False, True])
def test_neither_pulumi_nor_aws_deletes_what_is_protected(protect: bool) -> None:
    made = graph(NAMED, protect=protect)
    assert made.one(BALANCER).inputs["enableDeletionProtection"] is protect
    assert made.one(BALANCER).protect is protect
    assert made.one("aws:s3/bucket:Bucket").protect is protect


@BOTH
def test_with_a_domain_there_is_only_tls_and_the_way_to_it(preview: bool) -> None:
    made = graph(NAMED, preview=preview)
    assert {node.name for node in made.of_type(LISTENER)} == {"shared-edge-https", "shared-edge-redirect"}
    https, redirect = (
        made.one(LISTENER, "shared-edge-https").inputs,
        made.one(LISTENER, "shared-edge-redirect"),
    )
    assert (https["port"], https["protocol"]) == (443, "HTTPS")
    assert https["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res-")
    assert https["routingHttpResponseStrictTransportSecurityHeaderValue"] == "max-age=31536000"
    assert (redirect.inputs["port"], redirect.inputs["protocol"]) == (80, "HTTP")
    (action,) = redirect.inputs["defaultActions"]
    assert action == {
        "type": "redirect",
        "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"},
    }


@BOTH
def test_without_a_domain_there_is_only_plain_http(preview: bool) -> None:
    made = graph(BARE, preview=preview)
    listener = made.one(LISTENER)
    assert (listener.inputs["port"], listener.inputs["protocol"]) == (80, "HTTP")
    assert made.of_type("aws:acm/certificate:Certificate") == []
    assert made.of_type("aws:route53/record:Record") == []


@pytest.mark.parametrize(
    ("settings", "name"), [(BARE, "shared-edge-http"), (NAMED, "shared-edge-https")], ids=SETTINGS
)
def test_what_no_environment_claims_is_not_found(settings: EdgeSettings, name: str) -> None:
    (action,) = graph(settings).one(LISTENER, name).inputs["defaultActions"]
    assert action["type"] == "fixed-response"
    answer = action["fixedResponse"]
    assert (answer["statusCode"], answer["contentType"]) == ("404", "application/json")
    assert answer["messageBody"] == not_found()


def test_the_answer_is_the_problem_that_the_services_would_give() -> None:
    ours = json.loads(not_found())
    theirs = Problem(404, "not_found", ours["detail"]).body(None, None)
    assert ours == theirs
    assert len(not_found().encode()) <= 1024


@BOTH
def test_the_listener_waits_until_the_certificate_is_valid(preview: bool) -> None:
    made = graph(NAMED, preview=preview)
    listener = made.one(LISTENER, "shared-edge-https")
    validation = made.one("aws:acm/certificateValidation:CertificateValidation")
    assert validation.urn in listener.property_dependencies["certificateArn"]
    assert made.depends(listener, validation)
    assert not made.depends(made.one(LISTENER, "shared-edge-redirect"), validation)


@BOTH
def test_the_balancer_waits_for_the_bucket_that_it_may_write_to(preview: bool) -> None:
    made = graph(NAMED, preview=preview)
    balancer = made.one(BALANCER)
    for kind in ("bucketPolicy:BucketPolicy", "bucketPublicAccessBlock:BucketPublicAccessBlock"):
        assert made.depends(balancer, made.one(f"aws:s3/{kind}")), kind


@BOTH
def test_the_names_of_all_previews_lead_to_the_balancer(preview: bool) -> None:
    made = graph(NAMED, preview=preview)
    record = made.one("aws:route53/record:Record", "shared-edge-previews").inputs
    assert (record["name"], record["type"], record["zoneId"]) == ("*.preview.bank.example.com", "A", "Z1")
    (alias,) = record["aliases"]
    expected = UNKNOWN if preview else made.outputs["dns_name"]
    assert alias["name"] == expected


@BOTH
@pytest.mark.parametrize(
    ("settings", "suffix", "zone"),
    [(BARE, "", ""), (NAMED, ".preview.bank.example.com", "Z1")],
    ids=SETTINGS,
)
def test_what_it_hands_on_about_names_is_known_beforehand(
    settings: EdgeSettings, suffix: str, zone: str, preview: bool
) -> None:
    outputs = graph(settings, preview=preview).outputs
    assert (outputs["host_suffix"], outputs["dns_zone_id"]) == (suffix, zone)


def test_it_hands_on_its_listener_group_and_balancer() -> None:
    made = graph(NAMED)
    outputs: dict[str, Any] = dict(made.outputs)
    balancer = made.one(BALANCER).outputs
    assert balancer is not None
    assert outputs["listener_arn"] == (made.one(LISTENER, "shared-edge-https").outputs or {})["arn"]
    (group,) = made.one(BALANCER).inputs["securityGroups"]
    assert outputs["security_group_id"] == group
    assert outputs["arn_suffix"] == balancer["arnSuffix"]
    assert outputs["zone_id"] == balancer["zoneId"]


@pytest.mark.parametrize("waf", [False, True])
def test_a_firewall_stands_before_it_where_settings_say_so(waf: bool) -> None:
    made = graph(replace(NAMED, waf=waf))
    associations = made.of_type("aws:wafv2/webAclAssociation:WebAclAssociation")
    balancer = made.one(BALANCER).outputs
    assert balancer is not None
    assert [node.inputs["resourceArn"] for node in associations] == ([balancer["arn"]] if waf else [])


def test_the_name_that_pulumi_makes_up_is_within_the_limit_of_load_balancers() -> None:
    # Pulumi puts a dash and seven digits behind it; AWS takes 32 characters.
    assert len(graph(BARE).one(BALANCER).name) + 8 <= 32


@pytest.mark.parametrize(
    ("domain", "zone"), [("bank.example.com", None), (None, "Z1")], ids=["no zone", "no domain"]
)
def test_half_a_domain_is_refused(domain: str | None, zone: str | None) -> None:
    with pytest.raises(ValueError, match="go together"):
        graph(replace(BARE, domain=domain, zone_id=zone))


def test_a_domain_knows_the_names_of_its_previews() -> None:
    domain = domain_of(NAMED)
    assert domain == Domain("bank.example.com", "Z1")
    assert (domain.host_suffix, domain.wildcard) == (
        ".preview.bank.example.com",
        "*.preview.bank.example.com",
    )
    assert domain_of(BARE) is None
    assert (ports(domain), ports(None)) == ((443, 80), (80,))

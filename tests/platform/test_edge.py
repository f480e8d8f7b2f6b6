"""An environment on the shared load balancer: who gets where, under which name, in which order."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from edge import LAST, EnvironmentEdge, EnvironmentEdgeArgs, priority
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from names import PREFIX_LIMIT
from tests.platform.types_check import complaints

TARGETS = "aws:lb/targetGroup:TargetGroup"
RULE = "aws:lb/listenerRule:ListenerRule"
RECORD = "aws:route53/record:Record"
BALANCER = "dev-1.sa-east-1.elb.amazonaws.com"
KINDS: dict[str, dict[str, Any]] = {
    "own domain": {"host": "bank.example.com", "alias_zone_id": "Z1", "tls": True},
    "preview": {"host": "pr-a-1.preview.bank.example.com", "alias_zone_id": None, "tls": True},
    "no domain": {"host": None, "alias_zone_id": None, "tls": False},
}


def graph(kind: str, *, prefix: str = "dev", preview: bool = False) -> Graph:
    def program() -> None:
        given = dict(KINDS[kind])
        # As from a base: outputs, the balancer's unknown before it is made.
        balancer = aws.lb.LoadBalancer("balancer")
        listener = aws.lb.Listener("listener", load_balancer_arn=balancer.arn, default_actions=[])
        if given["host"] is not None:
            given["host"] = pulumi.Output.from_input(given["host"])
        made = EnvironmentEdge(
            "environment-edge",
            EnvironmentEdgeArgs(
                prefix=prefix,
                port=8000,
                vpc_id="vpc-1",
                listener_arn=listener.arn,
                load_balancer_dns_name=balancer.dns_name,
                load_balancer_zone_id=balancer.zone_id,
                **given,
            ),
        )
        pulumi.export("url", made.api_url)
        pulumi.export("targets", made.target_group_arn)
        pulumi.export("suffix", made.target_group_arn_suffix)
        assert isinstance(made.rule, aws.lb.ListenerRule)

    return evaluate(program, preview=preview)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_what_aws_takes(kind: str, preview: bool) -> None:
    made = graph(kind, preview=preview)
    assert [said for node in made for said in complaints(node)] == []
    assert {node.name for node in made.outside_components()} == {"balancer", "listener"}


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_pods_are_targets_by_their_address_while_they_are_ready(preview: bool) -> None:
    targets = graph("own domain", preview=preview).one(TARGETS).inputs
    assert (targets["targetType"], targets["port"], targets["protocol"]) == ("ip", 8000, "HTTP")
    assert targets["vpcId"] == "vpc-1"
    assert targets["deregistrationDelay"] == 30
    check = targets["healthCheck"]
    assert (check["path"], check["matcher"]) == ("/readyz", "200")
    assert check["timeout"] < check["interval"]
    assert "port" not in check, "the traffic's own"


@pytest.mark.parametrize(
    ("kind", "condition", "number"),
    [
        ("own domain", {"hostHeader": {"values": ["bank.example.com"]}}, LAST),
        ("preview", {"hostHeader": {"values": ["pr-a-1.preview.bank.example.com"]}}, priority("dev")),
        ("no domain", {"pathPattern": {"values": ["/*"]}}, LAST),
    ],
)
def test_requests_are_told_apart_by_their_host(kind: str, condition: dict[str, Any], number: int) -> None:
    made = graph(kind)
    rule = made.one(RULE).inputs
    assert rule["conditions"] == [condition]
    assert rule["priority"] == number
    assert rule["actions"] == [{"type": "forward", "targetGroupArn": made.outputs["targets"]}]


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_the_rule_comes_after_its_listener_and_targets(preview: bool) -> None:
    made = graph("preview", preview=preview)
    rule = made.one(RULE)
    assert made.depends(rule, made.one("aws:lb/listener:Listener"))
    assert made.depends(rule, made.one(TARGETS))


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_bases_own_domain_gets_a_record(kind: str) -> None:
    made = graph(kind)
    if kind != "own domain":
        assert made.of_type(RECORD) == []
        return
    record = made.one(RECORD).inputs
    balancer = made.one("aws:lb/loadBalancer:LoadBalancer").outputs
    assert balancer is not None
    assert (record["name"], record["type"], record["zoneId"]) == ("bank.example.com", "A", "Z1")
    assert record["aliases"] == [
        {"name": balancer["dnsName"], "zoneId": balancer["zoneId"], "evaluateTargetHealth": False}
    ]


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("own domain", "https://bank.example.com"),
        ("preview", "https://pr-a-1.preview.bank.example.com"),
        ("no domain", "http://balancer-0a1b2c3-1234567890.sa-east-1.elb.amazonaws.com"),
    ],
)
def test_the_url_is_the_host_or_the_load_balancers_own_name(kind: str, url: str) -> None:
    made = graph(kind)
    assert made.outputs["url"] == url
    assert made.outputs["suffix"] == made.outputs["targets"].rpartition(":")[2]
    assert graph(kind, preview=True).outputs["url"] == (UNKNOWN if kind == "no domain" else url)


def test_an_alias_without_a_host_is_refused() -> None:
    arguments = EnvironmentEdgeArgs("dev", 8000, "vpc-1", "arn", BALANCER, "Z2", None, "Z1", tls=True)
    with pytest.raises(ValueError, match="an alias record needs a host"):
        evaluate(lambda: EnvironmentEdge("edge", arguments))


def test_the_name_that_pulumi_makes_up_is_within_the_limit_of_target_groups() -> None:
    # Pulumi puts a dash and seven digits behind it; AWS takes 32 characters.
    assert len(graph("preview").one(TARGETS).name) + 8 <= 32
    assert "name" not in graph("preview").one(TARGETS).inputs


@pytest.mark.parametrize("prefix", ["dev", "pr-fix-limits-a1b2c3", "p" * PREFIX_LIMIT])
def test_a_prefix_always_has_the_same_priority_before_the_bases_own(prefix: str) -> None:
    assert priority(prefix) == priority(prefix)
    assert 1 <= priority(prefix) < LAST


def test_priorities_are_known_numbers() -> None:
    """A change of the function would move the rules of previews that stand, and could make two meet."""
    assert [priority(prefix) for prefix in ("dev", "pr-a-000001", "pr-a-000002")] == [46693, 15392, 8505]


def test_priorities_of_many_previews_spread_out() -> None:
    numbers = {priority(f"pr-branch-{number:06x}") for number in range(500)}
    assert len(numbers) > 490
    assert max(numbers) - min(numbers) > LAST * 0.9

"""The firewall asks AWS's rules, limits each address and writes down no secrets."""

import pytest

from environments.graph.evaluation import Graph, evaluate
from firewall import MANAGED, Firewall, FirewallArgs, log_group
from tests.platform.types_check import complaints

ACL = "aws:wafv2/webAcl:WebAcl"
LOGGING = "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration"
KEY = "arn:aws:kms:sa-east-1:111122223333:key/logs"


def graph(*, preview: bool = False) -> Graph:
    return evaluate(lambda: Firewall("waf", FirewallArgs("dev", "arn:aws:lb", KEY, 30)), preview=preview)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_inputs_are_what_aws_takes(preview: bool) -> None:
    made = graph(preview=preview)
    assert [said for node in made for said in complaints(node)] == []
    assert made.outside_components() == []


def test_the_rate_comes_first_then_the_rules_of_aws_which_block() -> None:
    first, *managed = graph().one(ACL).inputs["rules"]
    assert (first["priority"], first["action"]) == (0, {"block": {}})
    limit = first["statement"]["rateBasedStatement"]
    assert (limit["aggregateKeyType"], limit["evaluationWindowSec"]) == ("IP", 300)
    assert [rule["priority"] for rule in managed] == [1, 2, 3]
    groups = [rule["statement"]["managedRuleGroupStatement"] for rule in managed]
    assert groups == [{"vendorName": "AWS", "name": group} for _, group in MANAGED]
    for rule in managed:
        assert rule["overrideAction"] == {"none": {}}, "`count` would only watch"


def test_every_rule_is_counted_and_no_request_is_kept_as_a_sample() -> None:
    acl = graph().one(ACL).inputs
    seen = [acl["visibilityConfig"], *(rule["visibilityConfig"] for rule in acl["rules"])]
    assert all(each["cloudwatchMetricsEnabled"] for each in seen)
    assert not any(each["sampledRequestsEnabled"] for each in seen)
    names = [each["metricName"] for each in seen]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_its_log_is_encrypted_expires_and_has_no_tokens(preview: bool) -> None:
    made = graph(preview=preview)
    group = made.one("aws:cloudwatch/logGroup:LogGroup")
    assert group.inputs["name"] == log_group("dev")
    assert (group.inputs["retentionInDays"], group.inputs["kmsKeyId"]) == (30, KEY)
    logging = made.one(LOGGING)
    assert made.depends(logging, group)
    assert logging.inputs["redactedFields"] == [
        {"singleHeader": {"name": "authorization"}},
        {"singleHeader": {"name": "cookie"}},
        {"queryString": {}},
    ]


def test_the_log_has_the_name_that_the_firewall_insists_on() -> None:
    assert log_group("dev") == "aws-waf-logs-dev"

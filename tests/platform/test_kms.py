"""Keys: one for each kind of data, and no more principals than must be."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from environments.graph.answers import ACCOUNT, REGION, computed
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from environments.graph.recorder import Asked
from kms import Keys, KeysArgs, key_policy
from tests.platform.types_check import complaints

DOMAINS = ("cluster", "disks", "tables", "secrets", "logs", "kafka", "images", "alarms")
KEY = "aws:kms/key:Key"
ALIAS = "aws:kms/alias:Alias"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
SCALING = (
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
)
PREVIEW = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
DOMAIN = pytest.mark.parametrize("domain", DOMAINS)


class Account(pulumi.CustomResource):
    """Knows the account's number once it stands."""

    account_id: pulumi.Output[str]

    def __init__(self, name: str) -> None:
        super().__init__("test:index:Account", name, {"account_id": None})


def answered(asked: Asked) -> Mapping[str, Any]:
    if asked.type == "test:index:Account":
        return {"id": "account", "account_id": ACCOUNT}
    return computed(asked)


def keys(
    *, deletion_days: int = 30, protect: bool = False, preview: bool = False, late: bool = False
) -> Graph:
    """`late`: the account is known only when something else stands."""

    def program() -> None:
        account = Account("account").account_id if late else pulumi.Output.from_input(ACCOUNT)
        made = Keys(
            "keys",
            KeysArgs(region=REGION, account_id=account, deletion_days=deletion_days, protect=protect),
        )
        for domain in DOMAINS:
            pulumi.export(domain, getattr(made, domain))

    return evaluate(program, preview=preview, computed=answered)


def statements(domain: str, account_id: str = ACCOUNT, region: str = REGION) -> dict[str, dict[str, Any]]:
    policy = key_policy(domain, account_id, region)
    assert policy["Version"] == "2012-10-17"
    found = policy["Statement"]
    assert isinstance(found, list)
    by_name = {statement["Sid"]: statement for statement in found}
    assert len(by_name) == len(found)
    return by_name


@PREVIEW
def test_each_domain_has_a_key_and_an_alias_under_one_component(preview: bool) -> None:
    graph = keys(preview=preview)
    component = graph.one("gobanking:platform:Keys")
    assert {node.name for node in graph.of_type(KEY)} == {f"keys-{domain}" for domain in DOMAINS}
    assert {node.name for node in graph.of_type(ALIAS)} == {f"keys-{domain}" for domain in DOMAINS}
    assert len(graph.children(component)) == 2 * len(DOMAINS)
    assert graph.outside_components() == []
    assert component.outputs is not None
    assert {node.urn: complaints(node) for node in graph if complaints(node)} == {}


@DOMAIN
def test_an_attribute_is_the_arn_of_its_domains_key(domain: str) -> None:
    graph = keys()
    key = graph.one(KEY, f"keys-{domain}")
    alias = graph.one(ALIAS, f"keys-{domain}")
    assert key.outputs is not None
    assert graph.outputs[domain] == key.outputs["arn"]
    assert alias.inputs == {"targetKeyId": key.outputs["keyId"]}  # the name is Pulumi's, never taken twice
    assert json.loads(key.inputs["policy"]) == key_policy(domain, ACCOUNT, REGION)
    assert keys(preview=True).outputs[domain] is UNKNOWN


def test_keys_are_eight_different_ones() -> None:
    assert len({keys().outputs[domain] for domain in DOMAINS}) == 8


@DOMAIN
def test_a_key_rotates_and_can_be_had_back(domain: str) -> None:
    key = keys(deletion_days=7).one(KEY, f"keys-{domain}").inputs
    assert key["enableKeyRotation"] is True
    assert key["deletionWindowInDays"] == 7
    assert "bypassPolicyLockoutSafetyCheck" not in key


@pytest.mark.parametrize("protect", [True, False])
def test_keys_are_protected_by_setting(protect: bool) -> None:
    assert {node.protect for node in keys(protect=protect).of_type(KEY)} == {protect}


@pytest.mark.parametrize("days", [6, 31, 0])
def test_a_deletion_period_that_aws_does_not_have_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match=f"7 to 30 days, not {days}"):
        keys(deletion_days=days)


def test_an_account_that_is_not_known_yet_makes_the_policy_unknown_and_nothing_else() -> None:
    graph = keys(late=True, preview=True)
    assert {node.inputs["policy"] for node in graph.of_type(KEY)} == {UNKNOWN}
    policy = keys(late=True).one(KEY, "keys-logs").inputs["policy"]
    assert json.loads(policy) == key_policy("logs", ACCOUNT, REGION)


@DOMAIN
def test_the_accounts_iam_rules_over_every_key(domain: str) -> None:
    statement = statements(domain)["Account"]
    assert statement == {
        "Sid": "Account",
        "Effect": "Allow",
        "Principal": {"AWS": ROOT},
        "Action": "kms:*",
        "Resource": "*",
    }


@pytest.mark.parametrize(
    ("domain", "more"),
    [
        pytest.param("cluster", set(), id="cluster"),
        pytest.param("disks", {"NodeVolumes", "NodeVolumeGrants"}, id="disks"),
        pytest.param("tables", set(), id="tables"),
        pytest.param("secrets", set(), id="secrets"),
        pytest.param("logs", {"LogGroups"}, id="logs"),
        pytest.param("kafka", set(), id="kafka"),
        pytest.param("images", set(), id="images"),
        pytest.param("alarms", {"Alarms", "Budgets"}, id="alarms"),
    ],
)
def test_only_services_that_iam_cannot_speak_for_have_statements(domain: str, more: set[str]) -> None:
    assert set(statements(domain)) == {"Account", *more}


@DOMAIN
def test_nobody_but_the_account_uses_a_key_without_a_condition_that_names_it(domain: str) -> None:
    for name, statement in statements(domain).items():
        assert statement["Effect"] == "Allow"
        assert statement["Principal"] != "*"
        if name != "Account":
            assert ACCOUNT in json.dumps(statement["Condition"])
            assert "kms:*" not in statement["Action"]
        if statement["Principal"] == {"AWS": "*"}:
            assert statement["Condition"]["StringEquals"]["kms:CallerAccount"] == ACCOUNT
            assert statement["Condition"]["ArnLike"]["aws:PrincipalArn"] == SCALING


def test_logs_are_encrypted_for_log_groups_of_this_account_and_region() -> None:
    statement = statements("logs")["LogGroups"]
    assert statement["Principal"] == {"Service": f"logs.{REGION}.amazonaws.com"}
    assert statement["Condition"] == {
        "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:*"}
    }
    assert {"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*"} <= set(statement["Action"])
    assert "kms:CreateGrant" not in statement["Action"]


def test_auto_scaling_uses_the_disks_key_through_ec2_before_its_role_exists() -> None:
    both = statements("disks")
    for statement in (both["NodeVolumes"], both["NodeVolumeGrants"]):
        assert statement["Principal"] == {"AWS": "*"}
        assert statement["Condition"]["StringEquals"] == {
            "kms:CallerAccount": ACCOUNT,
            "kms:ViaService": f"ec2.{REGION}.amazonaws.com",
        }
    assert "Bool" not in both["NodeVolumes"]["Condition"]
    assert {"kms:Decrypt", "kms:GenerateDataKey*", "kms:DescribeKey"} <= set(both["NodeVolumes"]["Action"])


def test_auto_scaling_grants_the_disks_key_to_aws_only() -> None:
    grants = statements("disks")["NodeVolumeGrants"]
    assert grants["Action"] == "kms:CreateGrant"
    assert grants["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert "kms:CreateGrant" not in statements("disks")["NodeVolumes"]["Action"]


@pytest.mark.parametrize(
    ("sid", "service", "source"),
    [
        pytest.param("Alarms", "cloudwatch", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*", id="alarms"),
        pytest.param("Budgets", "budgets", f"arn:aws:budgets::{ACCOUNT}:*", id="budgets"),
    ],
)
def test_alarms_and_budgets_of_the_account_publish_to_an_encrypted_topic(
    sid: str, service: str, source: str
) -> None:
    statement = statements("alarms")[sid]
    assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": source},
    }

"""What a killed run left open is found again by what it is called."""

from typing import Any

import pytest

from environments.preview.recovery import physical_id, recovered

TABLE = "aws:dynamodb/table:Table"
ROLE = "aws:iam/role:Role"
TARGETS = "aws:lb/targetGroup:TargetGroup"
RULE = "aws:lb/listenerRule:ListenerRule"
SECRET = "aws:secretsmanager/secret:Secret"
OF = "arn:aws:secretsmanager:sa-east-1:111122223333:secret"
CLIENT = "aws:cognito/userPoolClient:UserPoolClient"
ELB = "arn:aws:elasticloadbalancing:sa-east-1:111122223333"


def resource(kind: str, called: str, /, **inputs: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:pr-x-0a1b2c::gobanking::{kind}::{called}"
    return {"urn": urn, "type": kind, "custom": True, "inputs": inputs, "parent": "up", "provider": "aws::1"}


def state(*pending: dict[str, Any], resources: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "resources": list(resources),
        "pending_operations": [{"type": "creating", "resource": each} for each in pending],
    }


def test_a_state_in_which_nothing_is_open_stays_as_it_is() -> None:
    assert recovered(state(resources=(resource(TABLE, "t"),))) is None
    assert recovered({}) is None


def test_a_table_that_may_exist_is_asked_for_by_its_name() -> None:
    before = state(resource(TABLE, "accounts", name="pr-x-accounts"))
    after = recovered(before)
    assert after is not None
    (taken,) = after.deployment["resources"]
    assert (taken["id"], taken["outputs"], taken["parent"]) == ("pr-x-accounts", {}, "up")
    assert after.deployment["pending_operations"] == []
    assert after.doubtful == (taken["urn"],)
    assert after.lost == ()
    assert before["resources"] == [], "the exported state is not touched"


def test_what_was_being_changed_or_deleted_is_looked_at_where_it_stands() -> None:
    known = {**resource(TABLE, "accounts", name="t"), "id": "t"}
    after = recovered(state(known, resources=(known,)))
    assert after is not None
    assert after.deployment["resources"] == [known]
    assert after.doubtful == (known["urn"],)


def test_what_nobody_can_find_is_told_of_and_components_are_not() -> None:
    component = {**resource("gobanking:platform:Tables", "tables"), "custom": False}
    after = recovered(state(resource(CLIENT, "client-client", name="app"), component))
    assert after is not None
    assert after.lost == (f"{CLIENT} client-client",)
    assert after.deployment["resources"] == []


@pytest.mark.parametrize(
    ("kind", "inputs", "arns", "found"),
    [
        pytest.param(ROLE, {"name": "roles-account-0a1b2c3"}, [], "roles-account-0a1b2c3", id="role"),
        pytest.param(ROLE, {}, [], None, id="role without a name"),
        pytest.param(
            TARGETS,
            {"name": "edge-targets-0a1"},
            [f"{ELB}:targetgroup/edge-targets-0a1/99", f"{ELB}:targetgroup/edge-targets-0a12/98"],
            f"{ELB}:targetgroup/edge-targets-0a1/99",
            id="target group",
        ),
        pytest.param(
            TARGETS, {"name": "edge"}, [f"{ELB}:targetgroup/other/1"], None, id="no such target group"
        ),
        pytest.param(
            RULE, {}, [f"{ELB}:listener-rule/app/a/b/c/d"], f"{ELB}:listener-rule/app/a/b/c/d", id="rule"
        ),
        pytest.param(
            RULE, {}, [f"{ELB}:listener-rule/app/1", f"{ELB}:listener-rule/app/2"], None, id="two rules"
        ),
        pytest.param(
            SECRET, {"name": "pr-x-spi"}, [f"{OF}:pr-x-spi-AbCdEf"], f"{OF}:pr-x-spi-AbCdEf", id="secret"
        ),
        pytest.param(SECRET, {"name": "pr-x-spi"}, [f"{OF}:pr-x-dict-AbCdEf"], None, id="no such secret"),
        pytest.param(
            "aws:msk/topic:Topic",
            {"name": "pr-x.transfers", "clusterArn": "c"},
            [],
            "c,pr-x.transfers",
            id="topic",
        ),
        pytest.param(
            "aws:iam/rolePolicy:RolePolicy",
            {"name": "may-1", "role": "who-1"},
            [],
            "who-1:may-1",
            id="policy",
        ),
        pytest.param(
            "kubernetes:apps/v1:Deployment",
            {"metadata": {"namespace": "pr-x", "name": "account"}},
            [],
            "pr-x/account",
            id="in a namespace",
        ),
        pytest.param(
            "kubernetes:core/v1:Namespace", {"metadata": {"name": "pr-x"}}, [], "pr-x", id="a namespace"
        ),
        pytest.param("kubernetes:core/v1:Pod", {"metadata": {}}, [], None, id="no name"),
    ],
)
def test_an_id_is_told_by_inputs_or_by_the_tagged_arns(
    kind: str, inputs: dict[str, Any], arns: list[str], found: str | None
) -> None:
    assert physical_id(resource(kind, "x", **inputs), arns) == found


def test_an_arn_that_is_in_the_state_is_not_given_twice() -> None:
    arn = f"{ELB}:listener-rule/app/a/b/c/d"
    known = {**resource(RULE, "edge-rule"), "id": arn}
    after = recovered(state(resource(RULE, "another-rule"), resources=(known,)), [arn])
    assert after is not None
    assert after.lost == (f"{RULE} another-rule",)

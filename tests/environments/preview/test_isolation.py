"""Two previews on one base: neither may read the other's tables, topics or secrets, and neither costs much.

Told by the IAM documents of both graphs, each judged as IAM would judge it against what the other owns.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

import names
from apps.catalog import CATALOG
from environments.graph.evaluation import Graph, evaluate
from environments.preview.names import stack_name
from environments.preview.rules import resources
from environments.preview.settings import as_text, preview_configuration
from policies.previews import EXPENSIVE
from policies.registry import broken
from tests.environments.preview.test_settings import BASE, WANTED
from tests.platform.examples import BASE_STACK, DEFAULTS, Example, base_outputs, images, program
from tests.platform.policing import facts

BRANCHES = ("feature/pix", "feature/pix-2", "pr")
"""The first name is the beginning of the second."""
POLICY = "aws:iam/rolePolicy:RolePolicy"
ROLE = "aws:iam/role:Role"
OWNED = {
    "aws:cognito/userPoolClient:UserPoolClient",
    "aws:dynamodb/table:Table",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    "aws:iam/role:Role",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:lb/listenerRule:ListenerRule",
    "aws:lb/targetGroup:TargetGroup",
    "aws:msk/topic:Topic",
    "aws:secretsmanager/secret:Secret",
}
"""What a preview has on AWS (design section 8); all else of it is in its namespace."""


@cache
def preview(branch: str) -> Graph:
    """The graph of a branch's preview of the whole bank, by the configuration that `gobank preview` makes."""
    wanted = replace(WANTED, branch=branch, images=tuple(images(CATALOG)))
    configuration = as_text(preview_configuration(BASE, wanted))
    name = stack_name(branch)
    example = Example(name, None, {key: _value(text) for key, text in configuration.items()})
    return evaluate(
        lambda: program(example, CATALOG),
        config=DEFAULTS | configuration,
        stack=name,
        stack_outputs={BASE_STACK: base_outputs()},
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def owned(found: Graph) -> set[str]:
    """ARNs of what holds data: tables with their indexes, topics, consumer groups, secrets."""
    base = base_outputs()["base"]
    arns = set()
    for table in found.of_type("aws:dynamodb/table:Table"):
        arn = f"arn:aws:dynamodb:sa-east-1:{base['account_id']}:table/{table.inputs['name']}"
        arns |= {arn, f"{arn}/index/any", f"{arn}/stream/any"}
    for topic in found.of_type("aws:msk/topic:Topic"):
        arns.add(f"{base['kafka_arn'].replace(':cluster/', ':topic/')}/{topic.inputs['name']}")
    for secret in found.of_type("aws:secretsmanager/secret:Secret"):
        assert secret.outputs is not None
        arns.add(secret.outputs["arn"])
    prefix = next(iter(found.of_type("kubernetes:core/v1:Namespace"))).inputs["metadata"]["name"]
    for service in CATALOG.services:
        if service.consumes is not None:
            group = base["kafka_arn"].replace(":cluster/", ":group/")
            arns.add(f"{group}/{prefix}-{service.consumes.group}")
    return arns


def allowed(found: Graph) -> Iterator[tuple[str, str]]:
    """The role, and each pattern of a resource that it is allowed something on."""
    for node in found.of_type(POLICY):
        for statement in json.loads(node.inputs["policy"])["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "NotResource" not in statement
            listed = statement["Resource"]
            for pattern in [listed] if isinstance(listed, str) else listed:
                yield node.name, pattern


def matches(pattern: str, arn: str) -> bool:
    """As IAM matches: `*` is any text, `?` any one character."""
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern)
    return re.fullmatch("".join(parts), arn) is not None


PAIRS = [(mine, other) for mine in BRANCHES for other in BRANCHES if mine != other]


@pytest.mark.parametrize(("mine", "other"), PAIRS)
def test_no_role_of_a_preview_matches_anything_that_another_owns(mine: str, other: str) -> None:
    theirs = owned(preview(other))
    assert len(theirs) > 15
    reached = [
        (role, arn) for role, pattern in allowed(preview(mine)) for arn in theirs if matches(pattern, arn)
    ]
    assert reached == []


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_preview_reaches_what_it_owns(branch: str) -> None:
    """Otherwise the test above would be green for documents that allow nothing."""
    patterns = [pattern for _, pattern in allowed(preview(branch))]
    unreached = [
        arn
        for arn in owned(preview(branch))
        if not arn.endswith("/any") and not any(matches(pattern, arn) for pattern in patterns)
    ]
    assert unreached == []


def test_none_reaches_what_the_base_owns() -> None:
    account = base_outputs()["base"]["account_id"]
    bases = [f"arn:aws:dynamodb:sa-east-1:{account}:table/dev-{table.name}" for table in CATALOG.tables]
    reached = [
        arn
        for branch in BRANCHES
        for _, pattern in allowed(preview(branch))
        for arn in bases
        if matches(pattern, arn)
    ]
    assert reached == []


@pytest.mark.parametrize(("mine", "other"), PAIRS)
def test_only_pods_of_its_own_namespace_take_a_role(mine: str, other: str) -> None:
    for node in preview(mine).of_type(ROLE):
        for statement in json.loads(node.inputs["assumeRolePolicy"])["Statement"]:
            tags = statement["Condition"]["StringEquals"]
            assert tags["aws:RequestTag/kubernetes-namespace"] == stack_name(mine) != stack_name(other)


def test_previews_share_no_physical_name_host_or_rule() -> None:
    seen: dict[tuple[str, str], str] = {}
    for branch in BRANCHES:
        for node in preview(branch):
            name = node.inputs.get("name")
            made = node.custom and not node.read and not node.type.startswith("pulumi:")
            if not made or not isinstance(name, str):
                continue
            assert seen.setdefault((node.type, name), branch) == branch, node.urn
    hosts = [
        node.inputs["conditions"][0]["hostHeader"]["values"][0]
        for branch in BRANCHES
        for node in preview(branch).of_type("aws:lb/listenerRule:ListenerRule")
    ]
    assert len(set(hosts)) == len(BRANCHES)


def test_a_preview_owns_what_the_design_names_and_borrows_the_rest() -> None:
    found = preview(BRANCHES[0])
    made = {
        node.type for node in found if node.custom and not node.read and not node.type.startswith("pulumi:")
    }
    assert {each for each in made if not each.startswith("kubernetes:")} == OWNED
    inside = {
        node.inputs["metadata"].get("namespace", node.inputs["metadata"]["name"])
        for node in found
        if node.type.startswith("kubernetes:")
    }
    assert inside == {stack_name(BRANCHES[0])}


@pytest.mark.parametrize("branch", BRANCHES)
def test_nothing_expensive_is_in_a_previews_graph_and_no_policy_is_broken(branch: str) -> None:
    found = preview(branch)
    simulators = frozenset(names.workload(each.name) for each in CATALOG.services if each.kind == "simulator")
    about = facts("preview", domain=True, simulators=simulators)
    assert [node.urn for node in found if node.type in EXPENSIVE] == []
    assert [f"{rule.name}: {said}" for rule, said in broken(resources(found), about)] == []
    quota = found.one("kubernetes:core/v1:ResourceQuota").inputs["spec"]["hard"]
    assert {"pods", "requests.cpu", "requests.memory"} <= quota.keys()
    assert found.one("aws:lb/listenerRule:ListenerRule").inputs["priority"] == WANTED.priority

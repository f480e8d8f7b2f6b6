"""Every rule is red on what it forbids and green on a bank that is as it must be."""

import ast
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi_aws
import pulumi_docker_build
import pulumi_eks
import pulumi_kubernetes
import pytest

from environments.preview.rules import resources
from policies.graph import UNKNOWN, Facts, Resource, at, without
from policies.registry import RULES, Rule, broken
from tests.platform.bad_banks import ANYBODY, BAD, NAMES, Bad, expiring
from tests.platform.policing import (
    Edit,
    change,
    edited,
    facts,
    more,
    option,
    policy,
    small_bank,
)
from tests.platform.types_check import _resource, arguments, complaints

POLICIES = Path(__file__).parents[2] / "platform" / "policies"
MODULES = sorted(path for path in POLICIES.glob("*.py"))
BY_NAME = {rule.name: rule for rule in RULES}
SDKS = (pulumi_aws, pulumi_docker_build, pulumi_eks, pulumi_kubernetes)
"""Imported, so that they have said which types they know."""


@pytest.fixture(scope="module")
def bank() -> list[Resource]:
    graph = small_bank()
    assert [(node.name, said) for node in graph for said in complaints(node)] == [], "a misspelt input"
    return resources(graph)


# --- the registry -----------------------------------------------------------------------------


def test_rules_have_names_descriptions_and_levels_of_their_own() -> None:
    assert len(RULES) >= 15
    assert len(BY_NAME) == len(RULES)
    assert len({rule.function for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
        assert rule.description.endswith((".", ")"))
        assert rule.level in {"mandatory", "advisory"}


def test_no_rule_is_left_out_of_the_registry() -> None:
    listed = {f"{rule.function.__module__}.{rule.function.__name__}" for rule in RULES}
    written = {
        f"policies.{path.stem}.{node.name}"
        for path in MODULES
        if path.name != "registry.py"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and node.args.args[-1:]
        and node.args.args[-1].arg in {"facts", "_facts"}
    }
    assert written == listed


def test_every_type_that_a_rule_names_is_one_that_an_sdk_knows() -> None:
    named = {
        (path.name, node.value)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"(aws|eks|kubernetes|docker-build|pulumi):\S+$|\S+:\S+:\S+$", node.value)
    }
    assert len(named) > 60
    for file, token in sorted(named):
        assert _resource(token), f"{file} names {token}"


def test_every_property_that_a_table_of_a_rule_names_is_one_of_its_type() -> None:
    from policies import encryption, identity, naming, protection  # noqa: PLC0415

    named: list[tuple[str, str]] = [(type_, path[0]) for type_, path in encryption.KEYS.items()]
    for table in (protection.GUARDS, protection.LEFT_BEHIND, naming.NAMES):
        named += [(type_, entry[0]) for type_, entry in table.items()]
    named += list(identity.RESOURCE_POLICIES.items())
    for type_, name in named:
        snake = re.sub(r"([A-Z])", r"_\1", name).lower()
        assert hasattr(arguments(type_), snake), f"{type_} has no {name}"


def test_no_module_of_the_pack_hides_one_of_the_standard_library() -> None:
    # Pulumi runs the folder with itself first on the path.
    stems = {path.stem for path in MODULES} - {"__main__"}
    assert stems & sys.stdlib_module_names == set()


# --- green ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.name))
def test_a_bank_as_it_must_be_breaks_no_rule(bank: list[Resource], rule: Rule) -> None:
    assert rule.check(bank, facts("prod")) == []


@pytest.mark.parametrize("kind", ["dev", "prod"])
def test_a_bank_of_which_a_preview_knows_little_breaks_no_rule(kind: str) -> None:
    unknown = resources(small_bank(preview=True))
    assert any(value is UNKNOWN for each in unknown for value in each.properties.values())
    assert broken(unknown, facts(kind)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.name))
def test_what_nobody_knows_breaks_no_rule(rule: Rule, bank: list[Resource]) -> None:
    blank = [replace(each, properties=dict.fromkeys(each.properties, UNKNOWN)) for each in bank]
    assert rule.check(blank, facts("prod")) == []


# --- red --------------------------------------------------------------------------------------


def known(bad: Bad) -> Facts:
    cidrs = bad.config.get("ingressCidrs")
    return facts(bad.kind, **({"ingress_cidrs": frozenset(json.loads(cidrs))} if cidrs else {}))


@pytest.mark.parametrize("bad", BAD, ids=NAMES)
def test_a_rule_is_red_on_what_it_forbids(bank: list[Resource], bad: Bad) -> None:
    found = BY_NAME[bad.rule].check(bad.edit(bank), known(bad))
    assert [each for each in found if bad.says in each.message], [each.message for each in found]
    urns = {each.urn for each in bad.edit(bank)}
    assert all(each.urn in urns for each in found)


def test_every_rule_is_seen_red() -> None:
    assert {bad.rule for bad in BAD} == set(BY_NAME)


GREEN: list[tuple[str, str, Edit, Mapping[str, Any]]] = [
    ("tls", "dev", change("http", "defaultActions.0.type", "forward"), {"domain": False}),
    ("closed-cluster-endpoint-in-prod", "dev", change("cluster", "publicAccessCidrs", ["0.0.0.0/0"]), {}),
    ("closed-cluster-endpoint-in-prod", "prod", change("cluster", "endpointPublicAccess", False), {}),
    ("backups-in-prod", "dev", change("table", "pointInTimeRecovery.enabled", False), {}),
    ("protected-in-prod", "dev", option("table", protect=False), {}),
    ("guarded-in-prod", "preview", change("table", "deletionProtectionEnabled", False), {}),
    (
        "no-simulators-in-prod",
        "dev",
        change("gateway", "metadata.labels", {"app.kubernetes.io/name": "bacen"}),
        {},
    ),
    ("nothing-expensive-in-a-preview", "dev", more("aws:ec2/natGateway:NatGateway"), {}),
    ("tags-on-everything", "prod", change("aws", "defaultTags", UNKNOWN), {}),
    (
        "nobody-is-everybody",
        "prod",
        change("alarms-policy", "policy", policy({**ANYBODY, "Condition": {"a": {}}})),
        {},
    ),
    (
        "nobody-is-everybody",
        "prod",
        change("alarms-policy", "policy", policy({**ANYBODY, "Effect": "Deny"})),
        {},
    ),
    ("releases-stay", "prod", change("expiry", "policy", expiring(tagStatus="untagged")), {}),
]


@pytest.mark.parametrize(
    ("name", "kind", "edit", "changes"), GREEN, ids=[f"{place}-{each[0]}" for place, each in enumerate(GREEN)]
)
def test_what_another_environment_may_is_no_violation(
    bank: list[Resource], name: str, kind: str, edit: Edit, changes: Mapping[str, Any]
) -> None:
    assert BY_NAME[name].check(edit(bank), facts(kind, **changes)) == []


def test_a_dev_stack_without_a_domain_may_answer_http_and_prod_never(bank: list[Resource]) -> None:
    plain_http = edited(bank, "http", "defaultActions.0.type", "forward")
    assert BY_NAME["tls"].check(plain_http, facts("dev", domain=False)) == []
    assert BY_NAME["tls"].check(plain_http, facts("prod", domain=False))


# --- the values under them --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("a", "b"), 1),
        (("a", "c"), None),
        (("x",), None),
        (("u",), UNKNOWN),
        (("u", "v"), UNKNOWN),
        (("a", "b", "c"), None),
    ],
    ids=["there", "missing", "no such", "unknown", "below unknown", "below a number"],
)
def test_a_path_gives_what_is_there_or_says_that_nobody_knows(path: tuple[str, ...], value: Any) -> None:
    assert at({"a": {"b": 1}, "u": UNKNOWN}, *path) == value


def test_a_bucket_without_a_companion_is_found_among_others() -> None:
    kind, other = "aws:s3/bucket:Bucket", "x:y:Z"
    whole = [
        Resource(kind, "a", "urn:a", {"id": "a-1"}),
        Resource(kind, "b", "urn:b", {"id": "b-1"}),
        Resource(other, "of-a", "urn:o", {"bucket": "a-1"}),
    ]
    assert [each.name for each in without(whole, kind, other)] == ["b"]

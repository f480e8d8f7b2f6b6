"""The pack gives Pulumi exactly the rules' findings, also where a preview does not know a value."""

import ast
import importlib.util
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from environments.preview.rules import resources
from policies import pack
from policies.graph import UNKNOWN, Facts, Resource
from policies.registry import RULES
from tests.platform.bad_banks import BAD, NAMES, Bad
from tests.platform.policing import edited, facts, small_bank

MODULES = sorted((Path(__file__).parents[2] / "platform" / "policies").glob("*.py"))
BY_NAME = {rule.name: rule for rule in RULES}


@pytest.fixture(scope="module")
def bank() -> list[Resource]:
    return resources(small_bank())


class UnknownValueError(Exception):
    """As the SDK's."""


class Proxy(Mapping[str, Any]):
    """The SDK's properties: a mapping that raises where a value is not known."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        if value is UNKNOWN:
            raise UnknownValueError(key)
        return Proxy(value) if isinstance(value, Mapping) else value

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass
class SeenProvider:
    resource_type: str
    props: Mapping[str, Any]
    urn: str
    name: str


@dataclass
class SeenOptions:
    protect: bool = False


@dataclass
class Seen:
    resource_type: str
    props: Mapping[str, Any]
    urn: str
    name: str
    opts: SeenOptions
    provider: SeenProvider | None


@dataclass
class Stack:
    resources: Sequence[Seen]


@dataclass
class Policy:
    name: str
    description: str
    validate: Callable[[Stack, Callable[[str, str], None]], None]
    enforcement_level: str

    def run(self, stack: Stack) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        self.validate(stack, lambda message, urn: found.append((message, urn)))
        return found


class Level:
    MANDATORY = "mandatory"
    ADVISORY = "advisory"


class Sdk:
    """Of `pulumi_policy` what the pack uses, with the names and the order of its arguments."""

    StackValidationPolicy = Policy
    EnforcementLevel = Level


PROVIDER = "urn:pulumi:dev::gobanking::pulumi:providers:aws::aws"


def seen(whole: Sequence[Resource]) -> Stack:
    """As the engine shows them: providers only beside the resources that go through them."""
    providers = {
        each.urn: SeenProvider(each.type, Proxy(each.properties), each.urn, each.name)
        for each in whole
        if each.type.startswith("pulumi:providers:")
    }
    return Stack(
        [
            Seen(
                each.type,
                Proxy(each.properties),
                each.urn,
                each.name,
                SeenOptions(each.protect),
                providers.get(each.provider or ""),
            )
            for each in whole
            if each.urn not in providers
        ]
    )


def config(**values: str) -> Callable[[str], str | None]:
    return lambda key: {"kind": "prod", "domain": "bank.example.com", **values}.get(key)


def test_the_pack_has_a_policy_for_each_rule_at_its_level() -> None:
    made = pack.policies(Sdk(), config())
    assert [(each.name, each.enforcement_level, each.description) for each in made] == [
        (rule.name, rule.level, rule.description) for rule in RULES
    ]


def test_the_pack_is_green_on_the_bank_as_the_engine_shows_it(bank: list[Resource]) -> None:
    stack = seen(bank)
    assert [(each.name, each.run(stack)) for each in pack.policies(Sdk(), config()) if each.run(stack)] == []


@pytest.mark.parametrize("bad", BAD, ids=NAMES)
def test_the_pack_reports_what_the_rule_finds(bank: list[Resource], bad: Bad) -> None:
    whole = bad.edit(bank)
    read = config(kind=bad.kind, **bad.config)
    [made] = [each for each in pack.policies(Sdk(), read) if each.name == bad.rule]
    expected = BY_NAME[bad.rule].check(whole, pack.facts(read))
    assert expected
    assert sorted(made.run(seen(whole))) == sorted((each.message, each.urn) for each in expected)


def test_a_value_that_is_not_known_leaves_the_rest_of_a_rule_in_force(bank: list[Resource]) -> None:
    whole = edited(edited(bank, "logs", "retentionInDays", None), "table", "name", None)
    whole = [replace(each, properties={**each.properties, "arn": UNKNOWN}) for each in whole]
    [made] = [each for each in pack.policies(Sdk(), config()) if each.name == "logs-end"]
    assert [message for message, _ in made.run(seen(whole))] == ["logs: keeps its logs for ever"]


def test_an_error_of_the_sdk_is_not_taken_for_an_unknown_value() -> None:
    class Broken(Proxy):
        def __getitem__(self, key: str) -> Any:
            raise KeyError(key)

    with pytest.raises(KeyError):
        pack.plain(Broken({"a": 1}))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"kind": "dev"}, {"kind": "dev", "domain": True}),
        ({"domain": ""}, {"domain": False}),
        ({"ingressCidrs": '["203.0.113.0/24"]'}, {"ingress_cidrs": frozenset({"203.0.113.0/24"})}),
    ],
    ids=["kind", "no domain", "ingress"],
)
def test_the_pack_knows_the_environment_from_its_configuration(
    values: dict[str, str], wanted: dict[str, Any]
) -> None:
    assert pack.facts(config(**values)) == replace(facts("prod"), **wanted)


def test_without_configuration_the_pack_takes_the_defaults_of_pulumi_yaml() -> None:
    found: Facts = pack.facts(lambda _: None)
    assert (found.kind, found.domain, found.ingress_cidrs) == ("dev", False, frozenset({"0.0.0.0/0"}))
    assert found.simulators == {"bacen", "other-bank"}
    with pytest.raises(ValueError, match="gobanking:kind is 'test'"):
        pack.facts(config(kind="test"))


def test_the_pack_itself_is_imported_by_nobody_and_is_the_only_one_to_import_the_sdk() -> None:
    importing = {
        path.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and any(name.name.startswith("pulumi") for name in node.names)
    }
    assert importing == {"__main__.py"}
    assert importlib.util.find_spec("policies.__main__") is not None


OWN_PYTHON = MODULES[0].parent / ".venv" / "bin" / "python"


def test_pulumis_own_sdk_takes_the_pack_and_shows_it_a_good_and_a_bad_resource() -> None:
    """The SDK above is ours; this one is what `pulumi up --policy-pack` runs, in the pack's environment."""
    if not OWN_PYTHON.exists():
        pytest.skip("THE PACK DOES NOT MEET PULUMI'S POLICY SDK: `make policy` sets its environment up")
    script = Path(__file__).parent / "real_pack.py"
    done = subprocess.run([OWN_PYTHON, "-P", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["policies"] == [[rule.name, rule.level] for rule in RULES]
    assert said["good"] == {}
    assert said["bad"] == {"logs-end": ["logs: keeps its logs for ever"]}

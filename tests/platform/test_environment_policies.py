"""Our own environments break none of the rules that every deployment is held to."""

import pytest

import names
from apps.catalog import CATALOG
from environments.preview.rules import resources
from policies.registry import RULES, broken
from tests.platform.examples import ALL, EXAMPLES, graph
from tests.platform.policing import facts

SIMULATORS = frozenset(names.workload(each.name) for each in CATALOG.services if each.kind == "simulator")
KINDS = {"prod": "prod", "preview": "preview"}


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize("name", ALL)
def test_no_rule_is_broken(name: str, preview: bool) -> None:
    config = EXAMPLES[name].config()
    about = facts(
        KINDS.get(name, "dev"),
        domain=bool(config["gobanking:domain"]) or name == "preview",
        simulators=SIMULATORS,
    )
    found = broken(resources(graph(name, preview=preview)), about)
    assert [f"{rule.name}: {violation}" for rule, violation in found] == []


def test_there_are_rules_enough() -> None:
    assert len(RULES) >= 15
    assert len({rule.name for rule in RULES}) == len(RULES)

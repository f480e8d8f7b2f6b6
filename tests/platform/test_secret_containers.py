"""Secrets have a place on AWS, and no value in Pulumi."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from apps.catalog import CATALOG
from apps.open_finance.keys import OurKeys
from environments.graph.answers import DATA
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from names import PREFIX_LIMIT
from secret_containers import Secrets, SecretsArgs
from tests.platform.types_check import complaints

ROOT = Path(__file__).parents[2]
KEY = "arn:aws:kms:sa-east-1:111122223333:key/secrets"
SECRET = "aws:secretsmanager/secret:Secret"


def secrets(*, prefix: str = "dev", recovery_days: int = 30, protect: bool = False) -> None:
    made = Secrets("secrets", SecretsArgs(CATALOG, prefix, KEY, recovery_days, protect))
    pulumi.export("arns", made.arns)


@pytest.fixture(scope="module")
def dev() -> Graph:
    return evaluate(secrets)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_every_resource_takes_what_its_sdk_says_and_has_a_component_above_it(preview: bool) -> None:
    graph = evaluate(secrets, preview=preview)
    assert {node.name: found for node in graph if (found := complaints(node))} == {}
    assert graph.outside_components() == []
    assert graph.messages == ()
    assert len(graph.of_type(SECRET)) == len(CATALOG.secrets)


def test_each_secret_of_the_catalog_has_a_container_and_no_value(dev: Graph) -> None:
    assert {node.type for node in dev if node.custom} == {SECRET}
    assert sorted(node.inputs["name"] for node in dev.of_type(SECRET)) == [
        f"dev-{secret}" for secret in sorted(CATALOG.secrets)
    ]
    assert {frozenset(node.inputs) for node in dev.of_type(SECRET)} == {
        frozenset({"name", "kmsKeyId", "recoveryWindowInDays"})
    }


def test_each_is_encrypted_under_the_banks_key(dev: Graph) -> None:
    assert {node.inputs["kmsKeyId"] for node in dev.of_type(SECRET)} == {KEY}


def test_the_component_hands_on_each_arn_by_the_catalogs_name(dev: Graph) -> None:
    assert dev.outputs["arns"].keys() == CATALOG.secrets
    for secret, arn in dev.outputs["arns"].items():
        assert f":secret:dev-{secret}-" in arn
    assert set(evaluate(secrets, preview=True).outputs["arns"].values()) == {UNKNOWN}


VERSIONS = "aws:secretsmanager/getSecretVersions:getSecretVersions"


def test_the_component_says_which_have_a_value_and_asks_for_none() -> None:
    """The data source lists versions; what is in them it does not tell."""

    def listed(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        full = "spi" in arguments["secretId"]
        return {**DATA[VERSIONS](arguments), **({} if full else {"versions": []})}

    def program() -> None:
        made = Secrets("secrets", SecretsArgs(CATALOG, "dev", KEY, 30, protect=False))
        pulumi.export("filled", made.filled())

    graph = evaluate(program, data={**DATA, VERSIONS: listed})
    assert graph.outputs["filled"] == {each: each == "spi_certificate" for each in CATALOG.secrets}
    assert {each.token for each in graph.invokes} == {VERSIONS}
    assert set(evaluate(program, preview=True).outputs["filled"].values()) == {UNKNOWN}


@pytest.mark.parametrize("protect", [True, False])
def test_secrets_are_protected_where_asked(protect: bool) -> None:
    graph = evaluate(lambda: secrets(protect=protect))
    assert {node.protect for node in graph.of_type(SECRET)} == {protect}


@pytest.mark.parametrize("days", [0, 7, 30])
def test_a_preview_frees_the_name_at_once_and_prod_keeps_it(days: int) -> None:
    graph = evaluate(lambda: secrets(recovery_days=days))
    assert {node.inputs["recoveryWindowInDays"] for node in graph.of_type(SECRET)} == {days}


@pytest.mark.parametrize("days", [-1, 1, 6, 31])
def test_a_recovery_that_aws_does_not_know_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match=f"not {days}"):
        evaluate(lambda: secrets(recovery_days=days))


def test_a_bank_without_secrets_has_no_container() -> None:
    catalog = CATALOG.without(lambda service: bool(service.secrets))
    graph = evaluate(lambda: Secrets("secrets", SecretsArgs(catalog, "dev", KEY, 7, protect=False)))
    assert graph.of_type(SECRET) == []


def test_names_fit_with_the_longest_prefix() -> None:
    graph = evaluate(lambda: secrets(prefix="p" * PREFIX_LIMIT))
    assert max(len(node.inputs["name"]) for node in graph.of_type(SECRET)) <= 512


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
def test_the_readme_says_what_each_holds_and_who_reads_it(readme: str) -> None:
    rows = [line.split(" | ") for line in (ROOT / readme).read_text().splitlines() if line.startswith("| `")]
    told = {row[0].strip("| `"): row for row in rows if row[0].strip("| `") in CATALOG.secrets}
    assert told.keys() == CATALOG.secrets
    for secret, (_, readers, holds) in told.items():
        assert set(re.findall("`([a-z_]+)`", readers)) == {
            each.name for each in CATALOG.services if secret in each.secrets
        }
        if secret == "open_finance_keys":
            assert set(re.findall("`([a-z_]+)`", holds)) == set(OurKeys.model_fields)

"""A preview's configuration: its base's where they must agree, and nothing that costs money."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog import CATALOG
from configuration import project_defaults, read
from configuration_values import SettingsError
from environments.preview import bank
from environments.preview.names import Refused, stack_name
from environments.preview.settings import (
    Wanted,
    as_text,
    base_configuration,
    defaults,
    given_images,
    preview_configuration,
    resource_tags,
    taggable,
)
from settings import GivenImages, Referenced, Settings
from tests.platform.examples import DEFAULTS, EXAMPLES, REVISION, ROOT, images

WANTED = Wanted(
    branch="feature/pix",
    base="organization/gobanking/dev",
    ttl="24h",
    pr="7",
    owner="ana@example.com",
    priority=4711,
    images=images(CATALOG),
)
BASE = {**defaults(ROOT), **EXAMPLES["dev with a domain"].stated()}


def settings(configuration: dict[str, Any], stack: str) -> Settings:
    """As the program reads them."""
    return read(
        DEFAULTS | as_text(configuration),
        project="gobanking",
        stack=stack,
        revision=REVISION,
        catalog=CATALOG,
        defaults=DEFAULTS,
    )


def test_a_preview_is_what_its_base_is_where_they_must_agree() -> None:
    base = {**BASE, "aws:region": "us-east-1", "gobanking:outboxShards": 8, "gobanking:logLevel": "DEBUG"}
    found = settings(preview_configuration(base, WANTED), "pr-feature-pix-0a1b2c")
    assert found.kind == "preview"
    assert found.base == Referenced("organization/gobanking/dev")
    assert found.region == "us-east-1"
    assert (found.tunables["outbox_shards"], found.tunables["log_level"]) == ("8", "DEBUG")
    assert found.rule_priority == 4711
    assert found.observability.retention_days == 1
    assert found.disposable
    assert not found.protect


def test_a_branch_never_reaches_bacen() -> None:
    base = {**BASE, "gobanking:simulators": False, "gobanking:dictCidrs": ["200.218.0.0/28"]}
    found = settings(preview_configuration(base, WANTED), "pr-feature-pix-0a1b2c")
    assert found.simulators
    assert found.egress == {"dict": (), "spi": ()}


@given(
    branch=st.text(min_size=1).filter(
        lambda text: bool(text.strip()) and text[0] != "-" and text.lower() not in {"dev", "staging", "prod"}
    ),
    owner=st.text(),
    pr=st.text(),
)
def test_any_branch_owner_and_number_make_settings_that_the_program_takes(
    branch: str, owner: str, pr: str
) -> None:
    wanted = replace(WANTED, branch=branch, owner=owner, pr=pr)
    found = settings(preview_configuration(BASE, wanted), stack_name(branch))
    assert isinstance(found.images, GivenImages)
    assert found.tags["gobanking:branch"] == taggable(branch)


def test_what_is_made_is_tagged_with_whose_it_is_and_for_how_long() -> None:
    assert resource_tags(WANTED) == {
        "gobanking:branch": "feature/pix",
        "gobanking:owner": "ana@example.com",
        "gobanking:pr": "7",
        "gobanking:ttl": "24h",
    }
    assert "gobanking:pr" not in resource_tags(replace(WANTED, pr=""))
    assert taggable("ação 🎉 {x}") == "a--o - -x-"
    assert len(taggable("x" * 300)) == 256


def test_the_bases_own_tags_stay() -> None:
    for tags in ({"team": "payments"}, '{"team": "payments"}'):
        found = preview_configuration({**BASE, "gobanking:tags": tags}, WANTED)
        assert found["gobanking:tags"]["team"] == "payments"


def test_without_images_they_are_built() -> None:
    found = preview_configuration(BASE, replace(WANTED, images=()))
    assert found["gobanking:imageSource"] == "build"
    assert "gobanking:images" not in found


BELONGS_TO_THE_BASE = {
    "natPerZone": True,
    "interfaceEndpoints": True,
    "nodes": 3,
    "nodeType": "m7g.4xlarge",
    "kafkaBrokers": 6,
    "kafkaType": "kafka.m7g.large",
    "waf": True,
    "domain": "bank.com.br",
    "identityTier": "PLUS",
    "flowLogs": "ALL",
}


@pytest.mark.parametrize("key", BELONGS_TO_THE_BASE)
def test_settings_refuse_what_costs_money_in_a_preview(key: str) -> None:
    configuration = preview_configuration(BASE, WANTED)
    assert f"gobanking:{key}" not in configuration, "it is not the base's either"
    dear = {**configuration, f"gobanking:{key}": BELONGS_TO_THE_BASE[key]}
    with pytest.raises(SettingsError, match="belongs to the base"):
        settings(dear, "pr-feature-pix-0a1b2c")
    with pytest.raises(Refused, match=f"gobanking:{key}"):
        bank.judge(dear, "pr-feature-pix-0a1b2c")


def test_the_bases_file_is_read_over_the_projects_defaults(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    (tmp_path / "Pulumi.qa.yaml").write_text(yaml.safe_dump({"config": {"gobanking:previews": 9}}))
    found = base_configuration(tmp_path, "organization/gobanking/qa")
    assert found["gobanking:previews"] == 9
    assert (
        as_text({key: found[key] for key in DEFAULTS if key != "gobanking:previews"})
        == {
            key: value
            for key, value in project_defaults((ROOT / "Pulumi.yaml").read_text()).items()
            if key != "gobanking:previews"
        }
        or json.loads(as_text(found)["gobanking:tags"]) == {}
    )
    with pytest.raises(Refused, match=r"there is no Pulumi\.uat\.yaml"):
        base_configuration(tmp_path, "organization/gobanking/uat")


def test_images_are_lines_or_a_list() -> None:
    lines = "# built by CI\naccount=r/a@sha256:1\n\n gateway=r/g@sha256:2 \n"
    assert given_images(lines) == ("account=r/a@sha256:1", "gateway=r/g@sha256:2")
    assert given_images(json.dumps(["a=b"])) == ("a=b",)
    with pytest.raises(Refused, match="--images"):
        given_images("[broken")

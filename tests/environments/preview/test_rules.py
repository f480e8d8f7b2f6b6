"""A preview that breaks a rule is refused while it is only drawn."""

import pulumi
import pulumi_aws as aws
import pytest

from environments.graph.evaluation import evaluate
from environments.preview import bank, estimate, rules
from environments.preview.names import Refused
from environments.preview.settings import PROJECT, as_text, defaults, preview_configuration
from tests.environments.preview.records import record
from tests.environments.preview.test_settings import BASE, WANTED
from tests.platform.examples import base_outputs

CONFIGURATION = preview_configuration(BASE, WANTED)
CONFIG = as_text({**defaults(bank.ROOT), **CONFIGURATION})


def costly() -> None:
    """What a branch might add to the program."""
    aws.ec2.NatGateway("nat", allocation_id="eipalloc-1", subnet_id="subnet-1")
    aws.dynamodb.Table("mine", billing_mode="PROVISIONED", read_capacity=5, write_capacity=5)
    pulumi.export("api_url", "https://x")


def test_what_bills_by_the_hour_is_refused_by_the_rule_and_the_resource() -> None:
    graph = evaluate(costly, config=CONFIG, stack=record().name, preview=True)
    with pytest.raises(Refused) as refused:
        rules.judge(graph, CONFIG)
    said = str(refused.value)
    assert "nat" in said
    assert "belongs to the base, not to a preview" in said
    assert "is billed by the hour in a preview" in said


def test_a_dev_stack_may_have_what_a_preview_may_not() -> None:
    graph = evaluate(costly, config=CONFIG, stack="dev", preview=True)
    with pytest.raises(Refused) as refused:
        rules.judge(graph, {**CONFIG, f"{PROJECT}:kind": "dev"})
    assert "belongs to the base" not in str(refused.value), "other rules hold for dev too"


def test_a_program_that_breaks_a_rule_is_refused_before_anything_is_asked_of_a_cloud(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = bank.run

    def more() -> None:
        ours()
        costly()

    base = base_outputs()["base"]
    assert estimate.drawn(record(), CONFIGURATION, base).types
    monkeypatch.setattr(bank, "run", more)
    with pytest.raises(Refused, match="belongs to the base, not to a preview"):
        estimate.drawn(record(), CONFIGURATION, base)

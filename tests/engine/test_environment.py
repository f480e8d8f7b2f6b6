"""The program itself on the real engine: a dev stack's whole life, a preview on top of it, and prod's start.

The settings come by Pulumi's own way, from the committed project and stack files, whose types and defaults
the engine checks and fills in.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.automation.events import EngineEvent

import names
from apps.catalog import CATALOG
from program import run
from tests.engine.cloud import Call, Cloud
from tests.engine.conftest import MakeWorkspace
from tests.engine.stacks import ROOT, Steps, Workspace
from tests.platform.examples import EXAMPLES, GIVEN, Example


@dataclass(frozen=True)
class Phase:
    """What was seen of one operation."""

    steps: Steps
    calls: tuple[Call, ...]
    outputs: Mapping[str, Any]
    secret_outputs: frozenset[str]
    warnings: tuple[str, ...]

    def of(self, method: str) -> list[str]:
        """The resources that a provider was asked to create or delete, in that order, by type and name."""
        return [f"{call.type} {call.name}" for call in self.calls if call.method == method]


@dataclass(frozen=True)
class Runner:
    """Runs the program in one workspace on one cloud."""

    workspace: Workspace
    cloud: Cloud

    def does(self, operation: str, example: Example, **more: Any) -> Phase:
        """`preview`, `up` or `destroy` of an example, with some settings otherwise."""
        example = replace(example, more={**example.more, **GIVEN, **more})
        stack = self.workspace.stack(
            lambda: run(ROOT, CATALOG), name=example.stack, work_dir=self._files(example)
        )
        steps, warnings, before = Steps(), list[str](), len(self.cloud.calls)

        def listen(event: EngineEvent) -> None:
            steps(event)
            if event.diagnostic_event and event.diagnostic_event.severity in {"warning", "error"}:
                warnings.append(event.diagnostic_event.message)

        outputs = getattr(getattr(stack, operation)(on_event=listen), "outputs", {})
        return Phase(
            steps,
            tuple(self.cloud.calls[before:]),
            {name: output.value for name, output in outputs.items()},
            frozenset(name for name, output in outputs.items() if output.secret),
            tuple(warnings),
        )

    def _files(self, example: Example) -> Path:
        """The project as it is committed, and the stack's file with what the example sets besides."""
        folder = self.workspace.folder / "project"
        # The engine looks for what `main` names, though it is this process that runs the program.
        (folder / "platform").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "Pulumi.yaml", folder)
        path = folder / f"Pulumi.{example.stack}.yaml"
        kept = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**kept, "config": example.stated(CATALOG)}))
        return folder


@pytest.fixture(scope="module")
def dev(make_workspace: MakeWorkspace) -> dict[str, Phase]:
    cloud = Cloud()
    runner = Runner(make_workspace(cloud), cloud)
    stack, preview = EXAMPLES["dev with a domain"], EXAMPLES["preview"]
    return {
        "previewed": runner.does("preview", stack),
        "created": runner.does("up", stack),
        "again": runner.does("up", stack),
        "changed": runner.does("up", stack, maxReplicas=5),
        "preview stack": runner.does("up", preview),
        "preview stack again": runner.does("up", preview),
        "preview stack destroyed": runner.does("destroy", preview),
        "destroyed": runner.does("destroy", stack, maxReplicas=5),
        "left": Phase(Steps(), (), dict.fromkeys(map(str, cloud.things)), frozenset(), ()),
    }


@pytest.fixture(scope="module")
def prod(make_workspace: MakeWorkspace) -> dict[str, Phase]:
    cloud = Cloud()
    runner = Runner(make_workspace(cloud), cloud)
    stack = EXAMPLES["prod"]
    return {
        "previewed": runner.does("preview", stack),
        "created": runner.does("up", stack),
        "again": runner.does("up", stack),
    }


@pytest.mark.parametrize("phase", ["previewed", "created", "again", "changed", "preview stack", "destroyed"])
def test_the_engine_warns_of_nothing_in_dev(dev: dict[str, Phase], phase: str) -> None:
    assert dev[phase].warnings == ()


def test_a_preview_promises_what_the_update_creates(dev: dict[str, Phase]) -> None:
    assert dev["previewed"].steps.ops.keys() == dev["created"].steps.ops.keys() == {"create"}
    # The cluster's component makes its children only where it is really made.
    assert dev["previewed"].steps.ops["create"] == dev["created"].steps.ops["create"]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_second_update_finds_everything_the_same(environment: str, request: pytest.FixtureRequest) -> None:
    phases: dict[str, Phase] = request.getfixturevalue(environment)
    assert phases["again"].steps.ops == {"same": phases["created"].steps.ops["create"]}
    assert phases["again"].outputs == phases["created"].outputs


def test_prod_starts_without_a_warning(prod: dict[str, Phase]) -> None:
    assert [warning for phase in prod.values() for warning in phase.warnings] == []
    assert prod["created"].outputs["api_url"] == "https://api.bank.com.br"
    assert len(prod["created"].outputs["nat_addresses"]) == 3


def test_prods_first_up_waits_for_nobody_whose_secret_is_still_empty(prod: dict[str, Phase]) -> None:
    metadata = [
        call.inputs["metadata"]
        for call in prod["created"].calls
        if (call.method, call.type) == ("Create", "kubernetes:apps/v1:Deployment") and not call.preview
    ]
    left = {each["name"] for each in metadata if each.get("annotations") == {"pulumi.com/skipAwait": "true"}}
    assert left == {names.workload(each.name) for each in CATALOG.services if each.secrets}
    assert len(metadata) > len(left)


def test_a_stack_has_the_outputs_that_are_documented(dev: dict[str, Phase]) -> None:
    outputs = dev["created"].outputs
    assert set(outputs) == {
        *("api_url", "user_pool_id", "app_client_id", "kubeconfig", "nat_addresses", "base"),
        *("operators_job", "repair_job"),
    }
    assert dev["created"].secret_outputs == {"kubeconfig"}
    assert outputs["api_url"] == "https://dev.bank.com.br"
    assert json.loads(outputs["kubeconfig"])["users"][0]["user"]["exec"]["command"] == "aws"
    assert [name for name, value in outputs["base"].items() if value in (None, "")] == []


def test_a_change_of_one_setting_touches_what_it_is_about(dev: dict[str, Phase]) -> None:
    changed = dev["changed"].steps.named("update", "replace", "create", "delete")
    assert {step.type for step in changed.values()} == {"kubernetes:autoscaling/v2:HorizontalPodAutoscaler"}
    assert {step.op for step in changed.values()} == {"update"}
    assert {path for step in changed.values() for path in step.changed} == {"spec.maxReplicas"}


def test_a_preview_stack_stands_on_the_base_and_owns_little(dev: dict[str, Phase]) -> None:
    made, base = dev["preview stack"], dev["created"].outputs["base"]
    assert made.outputs["api_url"] == "https://pr-pix-0a1b2c.preview.dev.bank.com.br"
    assert made.outputs["user_pool_id"] == base["user_pool_id"]
    assert dev["preview stack again"].steps.ops.keys() == {"same", "read"} - (
        {"read"} - dev["preview stack again"].steps.ops.keys()
    )
    types = {call.type for call in made.calls if call.method == "Create"}
    assert types & {"aws:msk/cluster:Cluster", "aws:lb/loadBalancer:LoadBalancer", "aws:kms/key:Key"} == set()
    targets = [call.inputs for call in made.calls if call.type == "aws:lb/targetGroup:TargetGroup"]
    assert {each["vpcId"] for each in targets if "vpcId" in each} == {base["vpc_id"]}


def test_a_preview_makes_less_than_a_third_of_a_full_stack_and_nothing_that_costs_by_the_hour(
    dev: dict[str, Phase],
) -> None:
    full, little = dev["created"].of("Create"), dev["preview stack"].of("Create")
    costly = {"aws:ec2/natGateway:NatGateway", "aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup"}
    costly |= {"aws:msk/cluster:Cluster", "aws:lb/loadBalancer:LoadBalancer", "eks:index:Cluster"}
    found = [each for each in little if each.split()[0] in costly]
    share = len(little) / len(full)
    sys.stdout.write(f"{len(little)} of {len(full)} resources ({share:.1%}), {len(found)} by the hour\n")
    assert costly - {"eks:index:Cluster"} <= {each.split()[0] for each in full}
    assert share < 1 / 3
    assert found == []


def test_what_a_preview_made_goes_with_it(dev: dict[str, Phase]) -> None:
    made = sorted(dev["preview stack"].of("Create"))
    gone = set(dev["preview stack destroyed"].of("Delete"))
    # What lives in the namespace goes with it, so its own deletion is not asked for.
    inside = {each for each in made if each.startswith("kubernetes:")}
    assert set(made) - inside <= gone <= set(made)
    assert "kubernetes:core/v1:Namespace workloads-namespace" in gone


def last(deleted: list[str], *kinds: str) -> int:
    """When the last resource of these types went."""
    places = [place for place, each in enumerate(deleted) if each.split()[0] in kinds]
    assert places, kinds
    return places[-1]


def first(deleted: list[str], *kinds: str) -> int:
    """When the first resource of these types went."""
    return next(place for place, each in enumerate(deleted) if each.split()[0] in kinds)


ORDER = {
    "the namespace before the controllers": (
        "kubernetes:core/v1:Namespace",
        "kubernetes:helm.sh/v3:Release",
    ),
    "a binding before its controller": (
        "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding",
        "kubernetes:helm.sh/v3:Release",
    ),
    "controllers before nodes": ("kubernetes:helm.sh/v3:Release", "aws:eks/nodeGroup:NodeGroup"),
    "workloads before nodes": ("kubernetes:core/v1:Namespace", "aws:eks/nodeGroup:NodeGroup"),
    "nodes before their way out": ("aws:eks/nodeGroup:NodeGroup", "aws:ec2/natGateway:NatGateway"),
    "nodes before subnets": ("aws:eks/nodeGroup:NodeGroup", "aws:ec2/subnet:Subnet"),
    "the cluster before subnets": ("aws:eks/cluster:Cluster", "aws:ec2/subnet:Subnet"),
    "the load balancer before subnets": ("aws:lb/loadBalancer:LoadBalancer", "aws:ec2/subnet:Subnet"),
    "the load balancer before the internet gateway": (
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:ec2/internetGateway:InternetGateway",
    ),
    "listeners before targets": ("aws:lb/listenerRule:ListenerRule", "aws:lb/targetGroup:TargetGroup"),
    "NAT before the internet gateway": (
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/internetGateway:InternetGateway",
    ),
    "brokers before subnets": ("aws:msk/cluster:Cluster", "aws:ec2/subnet:Subnet"),
    "topics before brokers": ("aws:msk/topic:Topic", "aws:msk/cluster:Cluster"),
    "subnets before the VPC": ("aws:ec2/subnet:Subnet", "aws:ec2/vpc:Vpc"),
    "security groups before the VPC": ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/vpc:Vpc"),
    "what is encrypted before its key": ("aws:dynamodb/table:Table", "aws:kms/key:Key"),
}


@pytest.mark.parametrize(("sooner", "later"), ORDER.values(), ids=ORDER)
def test_a_destroy_goes_in_an_order_that_aws_accepts(dev: dict[str, Phase], sooner: str, later: str) -> None:
    deleted = dev["destroyed"].of("Delete")
    assert last(deleted, sooner) < first(deleted, later)


def test_a_destroy_leaves_nothing(dev: dict[str, Phase]) -> None:
    gone = {*dev["destroyed"].of("Delete")}
    assert {each for each in dev["created"].of("Create") if not each.startswith("kubernetes:")} <= gone
    assert outside_the_cluster(dev["left"].outputs) == []


def outside_the_cluster(things: Iterable[str]) -> list[str]:
    return [thing for thing in things if "kubernetes:" not in thing]


def test_what_is_in_the_cluster_is_what_the_catalog_says(dev: dict[str, Phase]) -> None:
    created = {
        call.inputs["metadata"]["name"]
        for call in dev["created"].calls
        if call.method == "Create" and call.type == "kubernetes:apps/v1:Deployment"
    }
    assert created == {names.workload(each.name) for each in CATALOG.services if each.kind != "job"}

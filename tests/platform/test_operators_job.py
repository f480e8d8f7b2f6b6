"""What a stack exports for its operators is a whole Job: everything that it names is in the same stack."""

import json
from dataclasses import replace
from typing import Any

import pytest

import names
from apps.catalog import CATALOG, environment
from environments.aws.job import job_name, run_of
from environments.graph.evaluation import Graph
from tests.platform.examples import DIGEST, base_outputs, graph
from tests.platform.types_check import complaints

JOB = "kubernetes:batch/v1:Job"
ACCOUNT = "kubernetes:core/v1:ServiceAccount"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
EACH = pytest.mark.parametrize("name", ["dev", "prod", "preview"])
PLACES = {"dev": "dev", "prod": "prod", "preview": "pr-pix-0a1b2c"}


def exported(name: str) -> dict[str, Any]:
    found: dict[str, Any] = graph(name).outputs["operators_job"]
    return found


def asked(name: str) -> dict[str, Any]:
    """The Job as it is created."""
    return run_of(exported(name), "operators-0123456789", ["trace", "--json", "--", "x"])


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def like(name: str) -> dict[str, Any]:
    """A worker's container of the same stack, with the same neighbours on AWS."""
    return container(dict(graph(name).one(DEPLOYMENT, "workloads-relay-outbox").inputs))


@EACH
def test_kubernetes_knows_every_key_of_it(name: str) -> None:
    node = replace(next(iter(graph(name).of_type(DEPLOYMENT))), type=JOB, inputs=asked(name))
    assert complaints(node) == []
    misspelt = {**asked(name), "spec": {**asked(name)["spec"], "backOffLimit": 0}}
    assert complaints(replace(node, inputs=misspelt)) == [
        "spec.backOffLimit: no such property; backoffLimit?"
    ]


@EACH
def test_it_is_tried_once_ends_by_itself_and_goes_by_itself(name: str) -> None:
    spec = asked(name)["spec"]
    assert (spec["backoffLimit"], spec["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (3600, 600)


@EACH
def test_its_program_is_told_what_the_catalog_says(name: str) -> None:
    told = {each["name"]: each["value"] for each in container(asked(name))["env"]}
    workers = {each["name"]: each["value"] for each in like(name)["env"]}
    settings = {
        setting: workers[setting.upper()]
        for setting in (
            *("environment", "aws_region", "log_level", "outbox_shards"),
            *("kafka_bootstrap", "kafka_security"),
        )
    }
    assert told == environment(CATALOG, "operators", names.AwsNames(CATALOG, PLACES[name], settings))


@EACH
def test_it_is_in_the_stacks_namespace_by_an_account_that_has_the_operators_role(name: str) -> None:
    found, job = graph(name), asked(name)
    place, account = job["metadata"]["namespace"], job["spec"]["template"]["spec"]["serviceAccountName"]
    assert place == PLACES[name]
    accounts = [each.inputs["metadata"] for each in found.of_type(ACCOUNT)]
    assert [each["namespace"] for each in accounts if each["name"] == account] == [place]
    (role,) = [
        each.inputs["roleArn"]
        for each in found.of_type(ASSOCIATION)
        if (each.inputs["namespace"], each.inputs["serviceAccount"]) == (place, account)
    ]
    assert "roles-operators" in role
    assert (
        allowed(found)
        == {
            "dev-accounts": {"GetItem", "PutItem", "UpdateItem", "Query", "Scan"},
            "dev-transactions": {"GetItem"},
            "dev-events": {"Query"},
        }
        or PLACES[name] != "dev"
    )


@EACH
def test_a_repair_has_the_same_job_with_a_role_and_an_image_of_its_own(name: str) -> None:
    job: dict[str, Any] = graph(name).outputs["repair_job"]
    mine, its = exported(name)["spec"]["template"]["spec"], job["spec"]["template"]["spec"]
    assert mine.keys() == its.keys()
    assert its["serviceAccountName"] == "repair-ledger"
    assert container(job)["image"] != container(exported(name))["image"]
    roles = {
        each.inputs["serviceAccount"]: each.inputs["roleArn"] for each in graph(name).of_type(ASSOCIATION)
    }
    assert "roles-repair-ledger" in roles["repair-ledger"]


def allowed(found: Graph) -> dict[str, set[str]]:
    document = json.loads(found.one("aws:iam/rolePolicy:RolePolicy", "roles-operators").inputs["policy"])
    return {
        each["Resource"][0].rpartition("/")[2]: {
            action.removeprefix("dynamodb:") for action in each["Action"] if action.startswith("dynamodb:")
        }
        for each in document["Statement"]
        if ":table/" in each["Resource"][0]
    }


@EACH
def test_its_pod_has_the_way_out_that_the_catalog_opens_and_none_in(name: str) -> None:
    labels = asked(name)["spec"]["template"]["metadata"]["labels"].items()
    specs = [each.inputs["spec"] for each in graph(name).of_type(POLICY)]
    mine = [
        each for each in specs if each["podSelector"] and each["podSelector"]["matchLabels"].items() <= labels
    ]
    (policy,) = mine
    assert policy["ingress"] == []
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {53, 80, 443, 9098}, "names, Pod Identity, DynamoDB, Kafka"


@EACH
def test_its_pod_is_as_restricted_and_as_small_as_the_others(name: str) -> None:
    job, worker = asked(name), graph(name).one(DEPLOYMENT, "workloads-relay-outbox").inputs
    mine, its = job["spec"]["template"]["spec"], worker["spec"]["template"]["spec"]
    for key in (
        "securityContext",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "volumes",
        "dnsConfig",
    ):
        assert mine[key] == its[key]
    assert container(job)["securityContext"] == like(name)["securityContext"]
    assert container(job)["resources"]["limits"] == {"memory": "512Mi"}
    assert not {"ports", "startupProbe", "livenessProbe", "readinessProbe", "command"} & container(job).keys()


def test_its_image_is_the_one_that_the_stack_built_or_was_given_by_digest() -> None:
    built = graph("dev").one("docker-build:index:Image", "images-operators")
    assert container(asked("dev"))["image"] == (built.outputs or {})["ref"]
    assert built.inputs["buildArgs"]["MODULE"] == "apps.operators.main"
    assert "@sha256:" in container(asked("dev"))["image"]
    assert container(asked("preview"))["image"] == f"ghcr.io/bank/operators@{DIGEST}"


def test_what_it_says_is_kept_encrypted_and_for_so_long() -> None:
    cluster = json.loads(graph("dev").outputs["kubeconfig"])["current-context"]
    groups = [each.inputs for each in graph("dev").of_type("aws:cloudwatch/logGroup:LogGroup")]
    (kept,) = [each for each in groups if each.get("name") == f"/aws/containerinsights/{cluster}/application"]
    assert kept["kmsKeyId"]
    assert kept["retentionInDays"] > 0


def test_it_is_no_secret_and_no_part_of_what_previews_build_on() -> None:
    assert graph("dev").secret_outputs == {"kubeconfig"}
    assert "operators_job" not in base_outputs()["base"]


def test_the_longest_name_is_within_the_limits() -> None:
    pod = f"{job_name('x' * 60)}-abcde"
    assert len(pod) <= 63
    assert job_name("operators") != job_name("operators")

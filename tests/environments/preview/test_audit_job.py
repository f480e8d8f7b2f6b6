"""The auditor as a Kubernetes Job: as restricted as every pod, and what its report means."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from apps.catalog import CATALOG
from environments.preview import audit_job, bank
from environments.preview.settings import preview_configuration
from environments.preview.smoke import Broken, Clock, NotRun
from tests.environments.preview.test_settings import BASE, WANTED
from tests.platform.examples import DIGEST, base_outputs, graph

NAMESPACE = "pr-feature-pix-0a1b2c"
CONFIGURATION = preview_configuration(BASE, WANTED)
JOB = audit_job.manifest(
    CATALOG,
    NAMESPACE,
    "audit-1",
    audit_job.image(CONFIGURATION, {}),
    bank.operators_variables(CONFIGURATION, base_outputs()["base"], NAMESPACE),
)
REPORT = {"ok": True, "accounts": 4, "sum_cents": 0, "drift": []}


def test_the_job_is_the_operators_and_audits_once() -> None:
    spec = JOB["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (JOB["apiVersion"], JOB["kind"], JOB["metadata"]["namespace"]) == ("batch/v1", "Job", NAMESPACE)
    assert JOB["spec"]["backoffLimit"] == 0
    assert spec["restartPolicy"] == "Never"
    assert container["args"] == ["audit", "--json"]
    assert container["image"] == f"ghcr.io/bank/operators@{DIGEST}"
    assert not {"ports", "startupProbe", "livenessProbe", "readinessProbe"} & container.keys()
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["TABLE_ACCOUNTS"] == f"{NAMESPACE}-accounts"
    assert variables["OUTBOX_SHARDS"] == "4"
    assert variables["AWS_REGION"] == "sa-east-1"


def test_the_job_takes_the_role_and_the_policy_that_the_environment_made_for_it() -> None:
    labels = JOB["spec"]["template"]["metadata"]["labels"]
    found = graph("preview")
    policies = [
        node.inputs["spec"]["podSelector"]["matchLabels"]
        for node in found.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        if node.inputs["metadata"]["name"] == "operators"
    ]
    assert [each.items() <= labels.items() for each in policies] == [True]
    accounts = {
        node.inputs["metadata"]["name"] for node in found.of_type("kubernetes:core/v1:ServiceAccount")
    }
    assert JOB["spec"]["template"]["spec"]["serviceAccountName"] in accounts


def test_the_pod_is_as_restricted_as_every_other() -> None:
    spec = JOB["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"requests", "limits"} == container["resources"].keys()


def test_an_image_that_was_built_is_found_in_the_state() -> None:
    built = {
        "type": "docker-build:index:Image",
        "urn": "urn:pulumi:pr::gobanking::docker-build:index:Image::images-operators",
        "outputs": {"ref": "repo:tag@sha256:1"},
    }
    state = {"deployment": {"resources": [{"type": "x", "urn": "y-operators"}, built]}}
    assert audit_job.image({}, state) == "repo:tag@sha256:1"
    with pytest.raises(LookupError):
        audit_job.image({}, {"deployment": {"resources": []}})


class Kubectl:
    """Answers as a cluster whose job ends after some looks."""

    def __init__(self, log: str, status: dict[str, int] | None = None, looks: int = 2, code: int = 0) -> None:
        self.log, self.status, self.looks, self.code = log, status or {"succeeded": 1}, looks, code
        self.asked: list[str] = []
        self.created: Any = None
        self.modes: set[int] = set()

    def __call__(self, command: Sequence[str], text: str) -> "subprocess.CompletedProcess[str]":
        assert command[0] == "kubectl"
        path = Path(command[2])
        self.modes.add(path.stat().st_mode & 0o777)
        assert path.read_text() == "kubeconfig"
        assert list(command[3:5]) == ["--namespace", NAMESPACE]
        verb = command[5]
        self.asked.append(verb)
        said = ""
        if verb == "create":
            self.created = json.loads(text)
        if verb == "get":
            self.looks -= 1
            said = json.dumps({"status": self.status if self.looks <= 0 else {}})
        if verb == "logs":
            said = self.log
        return subprocess.CompletedProcess(command, self.code, said, "forbidden")


def clock() -> Clock:
    seconds = [0.0]

    def sleep(more: float) -> None:
        seconds[0] += more

    return Clock(lambda: seconds[0], sleep)


def test_a_clean_report_is_told_and_the_job_is_gone() -> None:
    kubectl = Kubectl("a warning\n" + json.dumps(REPORT))
    assert audit_job.audit(JOB, "kubeconfig", clock(), kubectl) == "4 accounts, sum 0, no drift"
    assert kubectl.asked == ["create", "get", "get", "logs", "delete"]
    assert kubectl.created == JOB
    assert kubectl.modes == {0o600}


@pytest.mark.parametrize(
    ("kubectl", "says"),
    [
        pytest.param(
            Kubectl(json.dumps({**REPORT, "ok": False, "drift": ["a1"]}), {"failed": 1}), "a1", id="drift"
        ),
        pytest.param(Kubectl("Traceback", {"failed": 1}), "said no report: Traceback", id="no report"),
        pytest.param(Kubectl("", {"failed": 1}), "said no report", id="nothing said"),
        pytest.param(Kubectl("", looks=10**6), "did not end within", id="never ends"),
    ],
)
def test_a_ledger_that_is_not_shown_to_be_sound_is_broken(kubectl: Kubectl, says: str) -> None:
    with pytest.raises(Broken, match=says):
        audit_job.audit(JOB, "kubeconfig", clock(), kubectl)
    assert kubectl.asked[-1] == "delete"


def test_without_kubectl_or_without_rights_it_is_not_run() -> None:
    def missing(_command: Sequence[str], _text: str) -> "subprocess.CompletedProcess[str]":
        raise FileNotFoundError(2, "No such file or directory", "kubectl")

    with pytest.raises(NotRun, match="kubectl"):
        audit_job.audit(JOB, "kubeconfig", clock(), missing)
    with pytest.raises(NotRun, match="kubectl create: forbidden"):
        audit_job.audit(JOB, "kubeconfig", clock(), Kubectl("", code=1))


def test_no_two_audits_have_one_name() -> None:
    assert audit_job.job_name() != audit_job.job_name()
    assert len(audit_job.job_name()) <= 63

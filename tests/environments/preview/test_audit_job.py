"""The audit of a smoke test: the operators' Job of the stack, and what its report means."""

import json
from typing import Any

import pytest

from environments.preview import audit_job
from environments.preview.smoke import Broken, NotRun
from tests.environments.aws.cluster import RUNNING, FakeCluster, clock, ended, waits
from tests.environments.aws.test_job import JOB

REPORT: dict[str, Any] = {"ok": True, "accounts": 4, "sum_cents": 0, "drift": []}


def test_a_clean_report_is_told_and_the_job_is_gone() -> None:
    cluster = FakeCluster([RUNNING, ended(0)], ["a warning\n", json.dumps(REPORT) + "\n"])
    assert audit_job.audit(JOB, cluster, clock()) == "4 accounts, sum 0, no drift"
    assert cluster.asked[-1] == "delete"
    spec = cluster.created["spec"]
    assert spec["template"]["spec"]["containers"][0]["args"] == ["audit", "--json"]
    assert spec["activeDeadlineSeconds"] == audit_job.PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        pytest.param(
            FakeCluster([ended(1)], [json.dumps({**REPORT, "ok": False, "drift": ["a1"]})]), "a1", id="drift"
        ),
        pytest.param(FakeCluster([ended(1)], ["Traceback"]), "said no report: Traceback", id="no report"),
        pytest.param(FakeCluster([ended(1)]), "said no report", id="nothing said"),
        pytest.param(FakeCluster([RUNNING]), "does not end", id="never ends"),
        pytest.param(FakeCluster([waits("ImagePullBackOff")]), "cannot start", id="never begins"),
    ],
)
def test_a_ledger_that_is_not_shown_to_be_sound_is_broken(cluster: FakeCluster, says: str) -> None:
    with pytest.raises(Broken, match=says):
        audit_job.audit(JOB, cluster, clock())
    assert cluster.asked[-1] == "delete"


def test_without_kubectl_or_without_rights_it_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotRun, match="kubectl create: no"):
        audit_job.audit(JOB, FakeCluster([], fails={"create": 1}), clock())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotRun, match="kubectl, and the AWS CLI for its token, are needed"):
        audit_job.audited({"operators_job": JOB, "kubeconfig": "{}"})

"""One run in a cluster: its output as it comes, its exit code, its end, and nothing of it left."""

import copy
import json
from typing import Any

import pytest

from environments.aws.job import NotDone, run, run_of
from environments.aws.kubectl import ClusterFailed
from tests.environments.aws.cluster import NO_POD, PENDING, RUNNING, FakeCluster, clock, ended, waits

JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"namespace": "dev", "labels": {"app.kubernetes.io/name": "operators"}},
    "spec": {
        "backoffLimit": 0,
        "activeDeadlineSeconds": 3600,
        "template": {"spec": {"containers": [{"name": "operators", "env": []}]}},
    },
}
MADE = run_of(JOB, "operators-0123456789", ["audit"])


def ran(cluster: FakeCluster) -> tuple[int, str, list[str]]:
    said: list[str] = []
    warned: list[str] = []
    code = run(MADE, cluster, said.append, warned.append, clock())
    return code, "".join(said), warned


def test_a_run_is_the_stacks_job_with_a_name_and_arguments() -> None:
    before = copy.deepcopy(JOB)
    made = run_of(JOB, "operators-1", ["accounts", "block", "--", "x"])
    assert before == JOB, "the stack's own is left as it was"
    assert made["metadata"] == {**JOB["metadata"], "name": "operators-1"}
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "operators", "env": [], "args": ["accounts", "block", "--", "x"]}
    del container["args"], made["metadata"]["name"]
    assert made == JOB


def test_kubernetes_puts_no_variable_into_what_a_person_typed() -> None:
    """`$(NAME)` in an argument is a variable's value to Kubernetes, and `$$` a dollar."""
    made = run_of(JOB, "operators-1", ["trace", "--", "$(TABLE_ACCOUNTS)", "a;b `c` 'd'", "$"])
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["trace", "--", "$$(TABLE_ACCOUNTS)", "a;b `c` 'd'", "$$"]


@pytest.mark.parametrize(("seconds", "limit"), [(None, 3600), (300, 300), (7200, 3600)])
def test_a_deadline_may_be_nearer_and_never_later(seconds: int | None, limit: int) -> None:
    assert run_of(JOB, "x", [], seconds)["spec"]["activeDeadlineSeconds"] == limit


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_the_programs_exit_code_is_passed_on(code: int) -> None:
    cluster = FakeCluster(
        [NO_POD, PENDING, waits("ContainerCreating"), RUNNING, RUNNING, ended(code)], ["a\n"]
    )
    assert ran(cluster) == (code, "a\n", [])
    assert cluster.created == MADE
    assert (cluster.asked[0], cluster.asked[-1]) == ("create", "delete")


def test_a_program_that_has_ended_before_anybody_looks_is_heard_all_the_same() -> None:
    assert ran(FakeCluster([ended(0)], ["a\n", "b\n"])) == (0, "a\nb\n", [])


def test_a_stream_that_breaks_off_loses_no_line_and_repeats_none() -> None:
    log = [f"{n}\u2028 is no end of a line\n" for n in range(6)]
    cluster = FakeCluster([RUNNING, RUNNING, RUNNING, ended(0)], log, [log[:2], [], log[:5]])
    assert ran(cluster) == (0, "".join(log), [])


def test_an_answer_may_fail_to_come_twice() -> None:
    assert (
        ran(FakeCluster([RUNNING, ended(0)], ["a\n"], fails={"get pods": 2, "get pod": 2, "logs": 2}))[0] == 0
    )


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        pytest.param(
            FakeCluster([PENDING, waits("ErrImagePull"), waits("ImagePullBackOff")]),
            "cannot start: ImagePullBackOff. Is its image still in the registry",
            id="image",
        ),
        pytest.param(
            FakeCluster(
                [NO_POD],
                events=[
                    {
                        "type": "Warning",
                        "reason": "FailedCreate",
                        "message": 'serviceaccount "operators" not found',
                    }
                ],
            ),
            'no pod can be made for it.*serviceaccount "operators" not found',
            id="account",
        ),
        pytest.param(
            FakeCluster(
                [PENDING],
                events=[
                    {"type": "Normal", "reason": "x", "message": "nothing"},
                    {
                        "type": "Warning",
                        "reason": "FailedScheduling",
                        "message": "0/2 nodes: Insufficient cpu",
                    },
                ],
            ),
            "did not start in 300 s.*maxNodes.*Insufficient cpu",
            id="no room",
        ),
        pytest.param(
            FakeCluster([RUNNING, NO_POD], conditions=[{"type": "Failed", "reason": "DeadlineExceeded"}]),
            "ended after 3600 s, the longest",
            id="deadline",
        ),
        pytest.param(
            FakeCluster(
                [RUNNING, ended(0)], conditions=[{"type": "FailureTarget", "reason": "DeadlineExceeded"}]
            ),
            "ended after 3600 s",
            id="deadline, and it ended well",
        ),
        pytest.param(FakeCluster([RUNNING]), "does not end, though its deadline is over", id="for ever"),
        pytest.param(
            FakeCluster(
                [RUNNING, {"phase": "Failed", "reason": "Evicted", "message": "node had low memory"}]
            ),
            "taken away before it had ended: node had low memory",
            id="evicted",
        ),
        pytest.param(
            FakeCluster([RUNNING, ended(137, "OOMKilled")]), "killed: OOMKilled, code 137", id="memory"
        ),
    ],
)
def test_what_did_not_run_to_its_end_is_told_with_what_to_look_at(cluster: FakeCluster, says: str) -> None:
    with pytest.raises(NotDone, match=says):
        ran(cluster)
    assert cluster.asked[-1] == "delete"


def test_an_interrupted_run_is_deleted() -> None:
    cluster = FakeCluster([RUNNING], ["a\n"], interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        ran(cluster)
    assert cluster.asked[-1] == "delete"


def test_what_may_have_been_made_though_the_answer_failed_is_deleted() -> None:
    cluster = FakeCluster([NO_POD], fails={"create": 1})
    with pytest.raises(ClusterFailed, match="kubectl create: no"):
        ran(cluster)
    assert cluster.asked == ["create", "delete"]


def test_output_that_cannot_be_read_is_no_empty_output() -> None:
    with pytest.raises(ClusterFailed, match="kubectl logs: no"):
        ran(FakeCluster([ended(0)], fails={"logs": 9}))


def test_a_job_that_cannot_be_deleted_is_named_and_its_result_stands() -> None:
    code, said, (warned,) = ran(FakeCluster([ended(1)], [json.dumps({"ok": False})], fails={"delete": 1}))
    assert (code, said) == (1, '{"ok": false}')
    assert "`kubectl --namespace dev delete job operators-0123456789`" in warned

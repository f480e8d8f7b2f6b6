"""kubectl as a command: who may read its kubeconfig, what it is asked, and what its complaints mean."""

import re
from pathlib import Path

import pytest

from environments.aws.kubectl import ClusterFailed, Kubectl, NoTools, connected, meaning


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that is all of PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command(tmp_path, "aws", "exit 0")
    return tmp_path


def command(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_it_runs_in_one_namespace_by_a_kubeconfig_that_nobody_else_reads(tools: Path) -> None:
    command(tools, "kubectl", 'echo "$@"; stat -c %a "$2"; cat "$2"; cat')
    with connected("a: kubeconfig\n", "dev") as cluster:
        said = cluster.ask("create", "-f", "-", text="a job").splitlines()
        path = cluster.kubeconfig
    assert said[0] == f"--kubeconfig {path} --namespace dev --request-timeout=20s create -f -"
    assert said[1:] == ["600", "a: kubeconfig", "a job"]
    assert not path.exists()


def test_lines_come_as_they_are_said_and_leaving_ends_the_command(tools: Path) -> None:
    command(tools, "kubectl", "echo one; echo twó; exec sleep 600")
    with connected("", "dev") as cluster:
        lines = cluster.lines("logs", "--follow", "pod")
        assert [next(lines), next(lines)] == ["one\n", "twó\n"]
        lines.close()


@pytest.mark.parametrize("gone", ["kubectl", "aws"])
def test_without_a_command_it_is_said_which_and_where_to_get_it(
    gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {"kubectl", "aws"} - {gone}:
        command(tmp_path, name, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(NoTools, match=rf"{gone}: there is none on PATH.*kubernetes\.io.*aws\.amazon"),
        connected("", "x"),
    ):
        pass


def test_one_that_goes_away_meanwhile_is_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoTools, match="No such file"):
        Kubectl(Path("x"), "dev").ask("get")


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("Unable to connect to the server: dial tcp 10.0.0.1:443: i/o timeout", "gobanking:clusterApiCidrs"),
        # As kubectl 1.32 says it, with validation and without.
        (
            "error validating data: failed to download openapi: Get: dial tcp: connection refused",
            "clusterApiCidrs",
        ),
        (
            "Unable to connect to the server: getting credentials: exec: executable aws failed",
            "aws sts get-caller",
        ),
        ("error: You must be logged in to the server (Unauthorized)", "gobanking:adminRoles"),
        ('Error from server (Forbidden): jobs.batch is forbidden: User "x" cannot', "gobanking:adminRoles"),
        ("Error from server (NotFound): namespaces", r"^Error from server \(NotFound\)"),
        ("", "failed without a word"),
    ],
)
def test_a_complaint_says_what_to_look_at(tools: Path, said: str, means: str) -> None:
    command(tools, "kubectl", f"echo '{said}' >&2; exit 1")
    with pytest.raises(ClusterFailed, match="kubectl create: "), connected("", "dev") as cluster:
        cluster.ask("create")
    assert re.search(means, meaning(said))
    assert said in meaning("usage: aws\n" * 100 + said)

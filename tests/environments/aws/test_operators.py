"""`gobank ... --stack S` as it is typed, with a pulumi, a kubectl and an aws that a test brings."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from environments.aws import operators
from environments.cli import app
from environments.preview.pulumi_cli import PulumiFailed
from tests.environment import until
from tests.environments.aws.test_job import JOB

ROOT = Path(__file__).parents[3]
KUBECONFIG = json.dumps({"current-context": "dev-eks"})
OUTPUTS: dict[str, Any] = {"operators_job": JOB, "kubeconfig": KUBECONFIG}
GOBANK = """
import sys
from pathlib import Path
from environments.aws import operators
from environments.cli import app
operators.ROOT = Path(sys.argv.pop(1))  # a checkout's own pulumi would come before the one on PATH
app(prog_name="gobank")
"""
KUBECTL = '''#!{python}
"""A cluster of one Job, in the folder beside this file."""
import json, sys, time
from pathlib import Path
here = Path(__file__).parent
arguments = [each for each in sys.argv[5:] if not each.startswith("--request-timeout")]
with (here / "asked").open("a") as asked:
    print(*arguments[:2], file=asked)
program = json.loads((here / "program.json").read_text())
match arguments[0]:
    case "create":
        if program.get("away"):
            sys.exit("Unable to connect to the server: dial tcp: i/o timeout")
        (here / "job.json").write_text(sys.stdin.read())
    case "get":
        over = not program["for_ever"]
        terminated = {{"terminated": {{"exitCode": program["code"], "reason": "Error"}}}}
        state = terminated if over else {{"running": {{}}}}
        status = {{"phase": "Failed" if over else "Running", "containerStatuses": [{{"state": state}}]}}
        pod = {{"metadata": {{"name": "pod"}}, "status": status}}
        print(json.dumps({{"items": [pod]}} if arguments[1] == "pods" else pod))
    case "logs":
        print(program["says"], flush=True)
        while program["for_ever"] and "--follow" in arguments:
            time.sleep(1)
'''
PULUMI = """#!/bin/sh
echo "$@" > {folder}/pulumi-asked
echo "$AWS_PROFILE" > {folder}/profile
cat {folder}/outputs.json || { echo "error: no stack named 'nope' found" >&2; exit 1; }
"""


@dataclass(frozen=True)
class Site:
    """A machine with the three commands."""

    folder: Path

    def program(self, **about: Any) -> None:
        """What the Job's program does."""
        told = {"code": 0, "says": "done", "for_ever": False, **about}
        (self.folder / "program.json").write_text(json.dumps(told))

    def outputs(self, outputs: dict[str, Any]) -> None:
        (self.folder / "outputs.json").write_text(json.dumps(outputs))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", GOBANK, str(self.folder), *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "GOBANK_HOME": str(self.folder / "home"),
                "AWS_PROFILE": "mine",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def gobank(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        return process.returncode, out, " ".join(err.split())

    @property
    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def args(self) -> list[str]:
        """The arguments of the Job that was made."""
        made = json.loads((self.folder / "job.json").read_text())
        found: list[str] = made["spec"]["template"]["spec"]["containers"][0]["args"]
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    texts = {
        "kubectl": KUBECTL.format(python=sys.executable),
        "pulumi": PULUMI.replace("{folder}", str(tmp_path)),
        "aws": "#!/bin/sh\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    found = Site(tmp_path)
    found.program()
    found.outputs(OUTPUTS)
    return found


def test_the_jobs_output_is_the_commands_and_its_code_too(site: Site) -> None:
    site.program(code=1, says='{"ok": false}')
    code, out, err = site.gobank("audit", "--json", "--stack", "dev")
    assert (code, out) == (1, '{"ok": false}\n')
    assert site.args == ["audit", "--json"]
    assert site.asked[0] == "create -f"
    assert site.asked[-1] == "delete job"
    assert "Job operators-" in err
    asked = (site.folder / "pulumi-asked").read_text().split()
    assert asked == ["--non-interactive", "stack", "output", "--json", "--show-secrets", "--stack", "dev"]
    assert (site.folder / "profile").read_text() == "mine\n", "the caller's own keys"


def test_a_trace_says_that_it_has_no_log_lines_and_where_they_are(site: Site) -> None:
    code, out, err = site.gobank("trace", "--stack", "dev", "--", "$(TABLE); 'x'")
    assert (code, out) == (0, "done\n")
    assert site.args == ["trace", "--", "$$(TABLE); 'x'"]
    assert "Log lines are not part of a trace on AWS" in err
    assert "--log-group-name /aws/containerinsights/dev-eks/application" in err


def test_a_repair_is_a_job_of_its_own_role(site: Site) -> None:
    site.outputs({**OUTPUTS, "repair_job": {**JOB, "metadata": {**JOB["metadata"], "namespace": "repaired"}}})
    code, out, err = site.gobank("audit", "--repair", "--dry-run", "--json", "--stack", "dev")
    assert (code, out) == (0, "done\n")
    assert site.args == ["--dry-run", "--json"]
    assert "Job repair_ledger-" not in err, "a name of Kubernetes has no underscore"
    assert "Job repair-ledger-" in err
    assert "in repaired" in err


def test_ctrl_c_deletes_the_job(site: Site) -> None:
    site.program(for_ever=True, says="an event")
    process = site.start("events", "tail", "-f", "--stack", "dev")
    assert process.stdout is not None
    assert process.stdout.readline() == "an event\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped." in err
    assert site.args == ["events", "tail", "-n", "20", "-f"]
    assert site.asked[-1] == "delete job"


def test_a_reader_that_has_seen_enough_ends_it(site: Site) -> None:
    site.program(for_ever=True, says="an event\n" * 20_000)
    process = site.start("events", "tail", "-f", "--stack", "dev")
    assert process.stdout is not None
    assert process.stdout.readline() == "an event\n"
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    until(lambda: site.asked[-1], lambda last: last == "delete job")


def test_a_stack_that_is_not_there_is_named(site: Site) -> None:
    (site.folder / "outputs.json").unlink()
    code, _, err = site.gobank("audit", "--stack", "nope")
    assert code == 2
    assert "--stack 'nope': there is no such stack. `pulumi stack ls` lists them." in err
    assert site.asked == []


@pytest.mark.parametrize("name", ["operators_job", "kubeconfig"])
def test_a_stack_of_before_is_to_be_brought_up_to_date(site: Site, name: str) -> None:
    site.outputs({key: value for key, value in OUTPUTS.items() if key != name})
    code, _, err = site.gobank("audit", "--stack", "dev")
    assert code == 2
    assert "Bring it up to date: pulumi up" in err


def test_a_cluster_that_is_away_is_said_with_what_to_look_at(site: Site) -> None:
    site.program(away=True)
    code, _, err = site.gobank("accounts", "block", "--stack", "dev", "a1")
    assert code == 3
    assert "dev: kubectl create: the cluster does not answer" in err


def test_a_pod_without_a_role_is_told_from_tables_that_are_away(site: Site) -> None:
    site.program(code=3, says="The tables do not answer (NoCredentialsError). Run it again.")
    site.outputs({**OUTPUTS, "operators_job": with_account(JOB)})
    code, out, err = site.gobank("audit", "--stack", "dev")
    assert code == 3
    assert "NoCredentialsError" in out
    assert "Is there a Pod Identity association for dev/operators?" in err


def with_account(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(job))
    found["spec"]["template"]["spec"]["serviceAccountName"] = "operators"
    return found


def test_raw_bytes_are_not_put_into_the_clusters_logs(site: Site) -> None:
    code, _, err = site.gobank("dead-letters", "show", "--raw", "--stack", "dev", "0:1")
    assert (code, site.asked) == (2, [])
    assert "--raw: not with --stack" in err


@pytest.mark.parametrize(
    ("typed", "args"),
    [
        (("accounts", "block", "a1"), ["accounts", "block", "--", "a1"]),
        (("accounts", "unblock", "a1"), ["accounts", "unblock", "--", "a1"]),
        (("accounts", "unfreeze", "a1", "--json"), ["accounts", "unfreeze", "--json", "--", "a1"]),
        (("dead-letters", "list"), ["dead-letters", "list"]),
        (("dead-letters", "show", "0:1"), ["dead-letters", "show", "--", "0:1"]),
        (("dead-letters", "replay", "0:1", "0:2"), ["dead-letters", "replay", "--", "0:1", "0:2"]),
        (("events", "tail", "-n", "3"), ["events", "tail", "-n", "3"]),
    ],
    ids=lambda each: "-".join(each[:2]),
)
def test_every_command_takes_a_stack(
    monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], args: list[str]
) -> None:
    asked: list[tuple[str, list[str], str]] = []

    def operated(stack: str, arguments: Sequence[str], service: str) -> int:
        asked.append((stack, list(arguments), service))
        return 7

    monkeypatch.setattr(operators, "operated", operated)
    assert CliRunner().invoke(app, [*typed, "--stack", "dev"]).exit_code == 7
    assert asked == [("dev", args, "operators")]


@pytest.mark.parametrize("document", ["README.md", "README.pt-BR.md"])
def test_what_the_readmes_show_is_taken(monkeypatch: pytest.MonkeyPatch, document: str) -> None:
    shown = [
        shlex.split(line)[2:]
        for line in (ROOT / document).read_text().splitlines()
        if line.startswith("$ ./gobank") and "--stack" in line
    ]
    asked: list[str] = []

    def operated(stack: str, _arguments: Sequence[str], _service: str) -> int:
        asked.append(stack)
        return 0

    monkeypatch.setattr(operators, "operated", operated)
    assert [CliRunner().invoke(app, typed).exit_code for typed in shown] == [0, 0]
    assert asked == ["dev", "pr-feature-pix-por-9f0e9b"]


def test_without_a_stack_it_is_this_machines_bank(site: Site) -> None:
    code, _, err = site.gobank("audit")
    assert (code, site.asked) == (2, [])
    assert "The bank is not up." in err


def test_an_empty_name_is_no_name_for_this_machine(site: Site) -> None:
    """`--stack "$S"` with a variable that is not set must not operate on another bank than was meant."""
    code, _, err = site.gobank("audit", "--stack", "")
    assert (code, site.asked) == (2, [])
    assert "--stack ''" in err


@pytest.mark.parametrize(
    ("said", "error", "says"),
    [
        ("error: incorrect passphrase", "Refused", "PULUMI_CONFIG_PASSPHRASE"),
        ("error: could not reach s3", "PulumiFailed", "PULUMI_BACKEND_URL"),
    ],
)
def test_a_state_that_cannot_be_read_says_what_is_needed(said: str, error: str, says: str) -> None:
    found = operators.explained("dev", PulumiFailed(said))
    assert type(found).__name__ == error
    assert says in str(found)

"""The workflows call what there is, may do what they must and no more, and trust nobody's fork."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from apps.catalog import CATALOG
from environments.cli import app

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()

MAY: Mapping[str, dict[str, str]] = {
    "ci run": {},
    "preview up": {"contents": "read", "id-token": "write"},
    "preview comment": {"pull-requests": "write"},
    "preview down": {"contents": "read", "id-token": "write"},
    "sweep sweep": {"contents": "read", "id-token": "write"},
    "release images": {"contents": "read", "id-token": "write"},
    "release plan": {"contents": "read", "id-token": "write"},
    "release deploy": {"contents": "read", "id-token": "write"},
}
"""What each job's token may do. Nobody's may write to the repository."""

BY_VERSION = {"pulumi/actions"}
"""Actions whose commit nobody here has looked up; beside them stands how to pin them."""


@dataclass(frozen=True)
class Job:
    """One job of one workflow."""

    workflow: str
    name: str
    content: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.workflow} {self.name}"

    @property
    def scripts(self) -> list[str]:
        return [step["run"] for step in self.content["steps"] if "run" in step]


def read(path: Path) -> dict[str, Any]:
    """A workflow; `on`, which YAML takes for a truth, under its name."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in content.items()}


WORKFLOWS = {path.stem: read(path) for path in FILES}
JOBS = [Job(name, job, content) for name, each in WORKFLOWS.items() for job, content in each["jobs"].items()]


def calls(word: str) -> Iterator[tuple[Job, list[str]]]:
    """Every call of a command in the workflows, also those that people are told to type: its arguments."""
    for job in JOBS:
        for script in job.scripts:
            for found in re.finditer(rf"(?:^|[\s`]){re.escape(word)} ([^\n|>`\\;]+)", script):
                yield job, shlex.split(found[1])


def options_of(arguments: list[str]) -> set[str]:
    return {each.partition("=")[0] for each in arguments if each.startswith("-")}


def gobank(*path: str) -> Any:
    """The command of that name, or `LookupError`."""
    command: Any = typer.main.get_command(app)
    for name in path:
        found = getattr(command, "commands", {}).get(name)
        if found is None:
            raise LookupError(f"gobank has no command {' '.join(path)}")
        command = found
    return command


def known_options(command: str, sub: str | None) -> set[str]:
    path = [command] if sub is None else [command, sub]
    return {option for each in gobank(*path).params for option in each.opts}


def test_there_are_the_four_workflows() -> None:
    assert set(WORKFLOWS) == {"ci", "preview", "sweep", "release"}
    assert {str(job) for job in JOBS} == set(MAY)


def test_every_call_of_gobank_is_one_that_it_understands() -> None:
    found = list(calls("./gobank"))
    assert {(arguments[0], arguments[1]) for _, arguments in found} == {
        ("preview", each) for each in ("up", "down", "ls", "sweep")
    }
    for job, arguments in found:
        command, *rest = arguments
        sub = rest[0] if rest and not rest[0].startswith("-") else None
        unknown = options_of(arguments) - known_options(command, sub)
        assert not unknown, f"{job}: gobank {' '.join(arguments)}"


def test_every_target_of_make_is_in_the_makefile() -> None:
    targets = {
        name for line in re.findall(r"^([\w./ -]+):(?!=)", MAKEFILE, re.MULTILINE) for name in line.split()
    }
    found = list(calls("make"))
    assert found
    for job, arguments in found:
        for each in arguments:
            name, is_variable, _ = each.partition("=")
            if is_variable:
                assert f'"$${name}"' in MAKEFILE, f"{job}: nothing reads {name} as the shell's own variable"
            else:
                assert name in targets, f"{job}: make {each}"


def test_ci_runs_what_everybody_runs() -> None:
    (run,) = [job for job in JOBS if job.workflow == "ci"]
    assert ".ci/run" in run.scripts[-1]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_call_of_pulumi_has_options_that_it_has() -> None:
    own = ROOT / ".tools" / "bin" / "pulumi"
    binary = str(own) if own.exists() else shutil.which("pulumi")
    if binary is None:
        pytest.skip("needs the Pulumi CLI: make .tools/bin/pulumi")
    found = {(arguments[0], option) for _, arguments in calls("pulumi") for option in options_of(arguments)}
    assert {command for command, _ in found} == {"preview", "refresh", "up"}
    helps = {
        command: subprocess.run(
            [binary, command, "--help"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for command, _ in found
    }
    assert [each for each in found if not re.search(rf"{each[1]}\b", helps[each[0]])] == []


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_may_do_what_it_must_and_no_more(job: Job) -> None:
    whole = WORKFLOWS[job.workflow]["permissions"]
    assert whole in ({}, {"contents": "read"})
    assert job.content.get("permissions", {}) == MAY[str(job)]
    assert job.content["timeout-minutes"] <= 120


@pytest.mark.parametrize("name", WORKFLOWS)
def test_two_runs_do_not_change_one_thing_at_a_time(name: str) -> None:
    concurrency = WORKFLOWS[name]["concurrency"]
    assert concurrency["group"]
    if name == "preview":
        assert "github.head_ref" in concurrency["group"], "one stack is one branch"
    if name != "ci":
        assert concurrency["cancel-in-progress"] is False, "an update that is killed leaves a lock"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_command_that_fails_in_a_pipe_fails_its_job(name: str) -> None:
    """GitHub's own shell has no pipefail; `bash`, named, has."""
    assert WORKFLOWS[name]["defaults"] == {"run": {"shell": "bash"}}
    assert all("shell" not in step for job in JOBS for step in job.content["steps"])


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_no_script_is_put_together_from_what_strangers_write(job: Job) -> None:
    for script in job.scripts:
        assert "${{" not in script, "give it by `env`, so that the shell takes it for a value"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_workflow_has_a_lasting_secret(path: Path) -> None:
    assert "secrets." not in path.read_text()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_forks_code_never_meets_a_right_of_ours(name: str) -> None:
    triggers = WORKFLOWS[name]["on"]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)
    if "pull_request" not in triggers:
        return
    for job in (each for each in JOBS if each.workflow == name):
        ours = "github.event.pull_request.head.repo.full_name == github.repository"
        runs_code = any(step.get("uses", "").startswith("actions/checkout@") for step in job.content["steps"])
        if "id-token" in MAY[str(job)]:
            assert ours in job.content["if"]
        if "pull-requests" in MAY[str(job)]:
            assert not runs_code, "a token that writes and a branch's code do not meet"
            assert all("gobank" not in script and "make" not in script for script in job.scripts)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_checkout_leaves_no_token_behind(job: Job) -> None:
    for step in job.content["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is (job.workflow == "sweep")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_action_is_a_commit_or_says_how_to_make_it_one(path: Path) -> None:
    found = re.findall(r"uses: (\S+?)@(\S+)(.*)", path.read_text())
    assert found
    for action, version, comment in found:
        if action in BY_VERSION:
            assert f"git ls-remote https://github.com/{action}" in "".join(each.read_text() for each in FILES)
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", version), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_the_pulumi_of_the_workflows_is_the_one_of_the_tests() -> None:
    pinned = re.search(r"pulumi/pkg/v3 v(\S+)", (ROOT / "tools" / "pulumi" / "go.mod").read_text())
    assert pinned is not None
    steps = [step for job in JOBS for step in job.content["steps"]]
    versions = [step["with"]["pulumi-version"] for step in steps if "pulumi/actions" in step.get("uses", "")]
    assert set(versions) == {pinned[1]}


def test_prod_changes_after_a_plan_and_somebodys_yes() -> None:
    plan, deploy = (WORKFLOWS["release"]["jobs"][name] for name in ("plan", "deploy"))
    assert (deploy["needs"], deploy["environment"]) == ("plan", "prod")
    assert (plan["needs"], plan["environment"]) == ("images", "release")
    changing = [str(job) for job, arguments in calls("pulumi") if arguments[0] == "up"]
    assert changing == ["release deploy"]


def test_actionlint_finds_nothing() -> None:
    own = ROOT / ".tools" / "bin" / "actionlint"
    binary = str(own) if own.exists() else shutil.which("actionlint")
    if binary is None:
        pytest.skip("needs actionlint: make .tools/bin/actionlint")
    # Without the linters of shell and Python that it would find on PATH: they are not pinned.
    done = subprocess.run(
        [binary, "-no-color", "-shellcheck=", "-pyflakes=", *map(str, FILES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def program(folder: Path, name: str, script: str) -> dict[str, str]:
    """A program of that name, before all others on PATH."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


DOCKER = """
import json, os, sys
from pathlib import Path
options = dict(zip(sys.argv, sys.argv[1:]))
service = options["--tag"].split("/prod-")[1].split(":")[0]
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
digest = "sha256:" + service.encode().hex().ljust(64, "0")[:64]
Path(options["--metadata-file"]).write_text(json.dumps({"containerimage.digest": digest}))
print("sha256:what docker says")
"""


def test_publish_lists_every_service_by_the_digest_of_its_push(tmp_path: Path) -> None:
    environ = program(tmp_path, "docker", DOCKER) | {"CALLS": str(tmp_path / "calls")}
    done = subprocess.run(
        [sys.executable, ".ci/publish.py", "host.example/prod-", "main-1"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert set(lines) == {service.name for service in CATALOG.services}
    for name, reference in lines.items():
        assert re.fullmatch(rf"host\.example/prod-{name}@sha256:[0-9a-f]{{64}}", reference)
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    for service, arguments in zip(CATALOG.services, calls, strict=True):
        assert {"--push", "linux/arm64", f"--build-arg=MODULE={service.module}"} <= set(arguments)


PULUMI = """
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
"""


def test_pin_gives_a_stack_the_images_of_a_list(tmp_path: Path) -> None:
    images = ["gateway=host.example/prod-gateway@sha256:1", "account=host.example/prod-account@sha256:2"]
    (tmp_path / "images.txt").write_text("\n".join(images) + "\n")
    subprocess.run(
        ["make", "pin", "STACK=prod", f"IMAGES={tmp_path / 'images.txt'}"],
        cwd=ROOT,
        env=program(tmp_path, "pulumi", PULUMI) | {"CALLS": str(tmp_path / "calls")},
        check=True,
        timeout=60,
    )
    set_ = ["config", "set", "--stack", "prod"]
    assert [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()] == [
        [*set_, "gobanking:imageSource", "given"],
        [*set_, "--path", "gobanking:images[0]", images[0]],
        [*set_, "--path", "gobanking:images[1]", images[1]],
    ]

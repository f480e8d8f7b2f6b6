"""Previews on the real engine: a whole life, and everything that can happen on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.catalog import CATALOG
from environments.aws import operators
from environments.preview import tag_files
from environments.preview.locks import Machine
from environments.preview.names import Refused, stack_name
from environments.preview.operations import Standing
from environments.preview.record import Record
from environments.preview.settings import PROJECT
from environments.preview.stacks import Failed
from tests import transcripts
from tests.engine.conftest import MakeWorkspace
from tests.engine.preview_site import (
    BASE,
    NOON,
    PATIENCE_SECONDS,
    Done,
    Region,
    Site,
    kinds,
    little_program,
    tagging,
)
from tests.platform.examples import base_outputs

BRANCH = "feature/pix-por-aproximação"
NAME = stack_name(BRANCH)
RESIDENT = "resident"
YARDSTICK_STEPS, YARDSTICK_SECONDS = 2_000_000, 0.1
"""A loop, and the processor time that it takes on the machine that the targets are for."""
ABOUT_THE_VPC = {
    "aws:lb/targetGroup:TargetGroup edge-targets",
    "aws:lb/listenerRule:ListenerRule edge-rule",
    "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding workloads-gateway",
}
EXPENSIVE = {
    "aws:ec2/natGateway:NatGateway",
    "aws:eks/cluster:Cluster",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:msk/cluster:Cluster",
    "eks:index:Cluster",
}


@pytest.fixture(scope="module")
def site(make_workspace: MakeWorkspace) -> Iterator[Site]:
    """A base called dev, with room for three previews."""
    cloud = Region()
    workspace = make_workspace(cloud)
    variables = {**workspace.environment, "PULUMI_HOME": str(workspace.folder / "home")}
    with tagging(cloud) as aws:
        site = Site(workspace.folder, cloud, {**variables, **aws})
        site.bring_base_up()
        yield site


@pytest.fixture(scope="module")
def resident(site: Site) -> Iterator[Record]:
    """A little preview that is there all the time, for tests that leave it as it is."""
    little = replace(site, program=little_program, steps=[])
    record = little.previews.up(little.planned(RESIDENT)).record
    yield record
    little.previews.down(record.name, RESIDENT)


@pytest.fixture
def little(site: Site) -> Iterator[Site]:
    """The site with the little program; all but the resident is gone again afterwards."""
    little = replace(site, program=little_program, steps=[])
    yield little
    for name in others(little.previews.listed().stacks):
        little.previews.down(name, None)
    assert others(little.previews.listed().stacks) == set()


def told(what: str, done: Done, target: int, record: Callable[[str, object], None]) -> None:
    """Says how long it took, and loudly if that is more than was promised. No test hangs on it: the same
    program takes three times as long on a machine that is slow, or busy with others."""
    assert done.code == 0, done.out
    line = (
        f"{what}: {done.wall:.1f} s, {done.cpu:.1f} s of processors, target {target} s "
        f"(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, each {slowness():.1f} times as slow)"
    )
    sys.stdout.write(f"{line}\n")
    if done.wall >= target:
        record("loudly", f"NOT IN TIME: {line}")


def slowness() -> float:
    """How many times as long as on the machine of the targets a loop takes here."""

    def seconds() -> float:
        began, total = time.process_time(), 0
        for step in range(YARDSTICK_STEPS):
            total += step
        return time.process_time() - began

    return min(seconds() for _ in range(3)) / YARDSTICK_SECONDS


def others(stacks: Collection[str]) -> set[str]:
    """Those that are neither the base nor the resident."""
    return set(stacks) - {"dev", stack_name(RESIDENT)}


# --- a whole life ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Life:
    """What was seen of one preview from its plan to its end, and how the commands went."""

    done: Mapping[str, Done]
    began: datetime
    things_when_planned: list[str]
    things: list[str]
    outputs: Mapping[str, Any]
    operators: tuple[Mapping[str, Any], str]
    record: Record
    tags: Mapping[str, str]
    tags_in_files: Mapping[str, Mapping[str, str]]
    steps_of_second_up: list[str]
    prolonged: Record
    dry: Mapping[str, Done]
    untouched_by_dry_runs: bool
    vpc_after_base_changed: list[str]
    things_at_the_end: list[str]
    stacks_at_the_end: frozenset[str]
    folder_at_the_end: bool


@pytest.fixture(scope="module")
def life(site: Site) -> Life:
    began = datetime.now(UTC).replace(microsecond=0)
    here = ("--branch", BRANCH)
    given = ("--images", str(site.image_file()), "--remote", str(site.folder / "none"))
    up = ("up", *here, "--pr", "7", "--owner", "ana@example.com", *given)
    done = {"dry": site.ran(*up, "--dry-run")}
    planned = site.cloud.of(NAME)
    done["up"] = site.ran(*up, "--no-smoke")
    things = site.cloud.of(NAME)
    done["ls"] = site.ran("ls")
    record = site.previews.listed().record(NAME)
    assert record is not None, done
    outputs = site.stacks.cli.outputs(site.stacks.folder("all"), NAME)
    job = operators.outputs(NAME, site.stacks.cli, site.stacks.folder("all"))
    tags = site.stacks.cli.tags(site.stacks.folder("all"), NAME)
    read = tag_files.reader(site.backend)
    assert read is not None
    tags_in_files = tag_files.tags(read, PROJECT, [NAME, "pr-none-000000"])
    # As in CI: the next run is on another machine, with nothing of the last one's files.
    for each in (site.folder / "previews" / NAME).iterdir():
        each.unlink()
    site.now, site.steps[:] = record.created + timedelta(hours=3), []
    site.bring_base_up(vpc_id="vpc-0000another")
    before = site.cloud.of(NAME), site.previews.listed()
    dry = {
        "up": site.ran(*up, "--dry-run"),
        "down": site.ran("down", *here, "--dry-run"),
        "sweep": site.ran("sweep", "--remote", str(site.folder / "none"), "--dry-run"),
    }
    untouched = before == (site.cloud.of(NAME), site.previews.listed())
    site.previews.up(site.planned(BRANCH, pr="7"))
    steps = list(site.steps)
    prolonged = site.previews.listed().record(NAME)
    assert prolonged is not None
    (target,) = [
        thing for (kind, _), thing in site.cloud.things.items() if kind == "aws:lb/targetGroup:TargetGroup"
    ]
    done["down"] = site.ran("down", *here)
    site.bring_base_up()
    site.now = NOON
    return Life(
        done,
        began,
        planned,
        things,
        outputs,
        job,
        record,
        tags,
        tags_in_files,
        steps,
        prolonged,
        dry,
        untouched,
        [target.inputs["vpcId"]],
        site.cloud.of(NAME),
        site.previews.listed().stacks,
        (site.folder / "previews" / NAME).exists(),
    )


def test_the_readme_shows_what_the_commands_answer(life: Life) -> None:
    assert {name: done.code for name, done in life.done.items()} == dict.fromkeys(life.done, 0), life.done
    branch = f"--branch {BRANCH}"
    typed = {
        "dry": f"./gobank preview up {branch} --pr 7 --images images.txt --dry-run",
        "up": f"./gobank preview up {branch} --pr 7 --images images.txt --no-smoke",
        "ls": "./gobank preview ls",
        "down": f"./gobank preview down {branch}",
    }
    transcripts.check("preview", [(command, life.done[name].out) for name, command in typed.items()])


@pytest.mark.parametrize(("command", "target"), [("up", 20), ("down", 10)])
def test_a_preview_comes_and_goes_and_it_is_told_how_fast(
    life: Life, command: str, target: int, record_property: Callable[[str, object], None]
) -> None:
    told(command, life.done[command], target, record_property)


def test_a_dry_run_makes_nothing(life: Life) -> None:
    assert life.things_when_planned == []


def test_a_dry_run_says_on_standard_output_what_would_change(life: Life) -> None:
    said = {name: done.out for name, done in life.dry.items()}
    assert {name: done.code for name, done in life.dry.items()} == dict.fromkeys(life.dry, 0), said
    for each in ABOUT_THE_VPC:
        assert any(each in line for line in said["up"].splitlines()), said["up"]
    assert f"{NAME} is there: {len(ABOUT_THE_VPC)} resources would change." in said["up"]
    assert f"{NAME} would be taken down." in said["down"]
    assert "Nothing is due." in said["sweep"]


def test_a_dry_run_touches_nothing_of_what_stands(life: Life) -> None:
    assert life.untouched_by_dry_runs


def test_a_branch_gets_a_bank_of_its_own_on_the_base(life: Life) -> None:
    assert life.outputs["api_url"] == f"https://{NAME}.preview.dev.bank.com.br"
    assert life.outputs["user_pool_id"] == base_outputs()["user_pool_id"]
    job, kubeconfig = life.operators
    assert (job["kind"], job["metadata"]["namespace"]) == ("Job", NAME)
    assert json.loads(kubeconfig)["kind"] == "Config", "a secret, in plain for whoever may read it"
    assert life.record.usd_a_day is not None
    assert 0 < life.record.usd_a_day < 1
    assert any(each.startswith("aws:dynamodb/table:Table") and NAME in each for each in life.things)


def test_a_preview_has_nothing_that_costs_by_the_hour(life: Life) -> None:
    sys.stdout.write(f"{len(life.things)} resources, {len(kinds(life.things) & EXPENSIVE)} expensive\n")
    assert kinds(life.things) & EXPENSIVE == set()


def test_what_is_known_of_a_preview_is_in_its_tags(life: Life, site: Site) -> None:
    record = life.record
    assert (record.branch, record.pr, record.owner, record.ttl) == (BRANCH, "7", "ana@example.com", "24h")
    assert timedelta() <= record.created - life.began < timedelta(minutes=5)
    assert record.expires == record.created + timedelta(days=1)
    assert (record.state, record.base) == ("up", BASE)
    assert life.tags == record.tags()


def test_tags_that_the_backend_keeps_in_files_are_found_without_the_cli(life: Life) -> None:
    """A new version of the CLI that keeps them elsewhere makes `ls` slow, and this test fail."""
    assert life.tags_in_files == {NAME: life.tags}


def test_an_up_after_its_base_was_updated_changes_what_that_is_about_and_prolongs(life: Life) -> None:
    """That one without any change makes none is in `test_environment`."""
    assert life.vpc_after_base_changed == ["vpc-0000another"]
    assert {step.split(maxsplit=1)[1] for step in life.steps_of_second_up} == ABOUT_THE_VPC
    assert life.prolonged.created == life.record.created
    assert life.prolonged.expires == life.record.created + timedelta(hours=3, days=1)


def test_after_down_nothing_is_left(life: Life) -> None:
    assert life.things_at_the_end == []
    assert others(life.stacks_at_the_end) == set()
    assert not life.folder_at_the_end


# --- killed on the way -----------------------------------------------------------------------------


def killed(process: "subprocess.Popen[str]", cloud: Region) -> None:
    """Ends it and Pulumi's CLI with it at the call that is held up, as a machine that goes away does."""
    reached = cloud.reached.wait(PATIENCE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert reached, out + err
    cloud.release()


def test_killed_in_the_middle_it_goes_on_where_it_was(make_workspace: MakeWorkspace) -> None:
    """A table is made and nobody hears of it; then one is deleted and nobody hears of that either."""
    cloud = Region()
    workspace = make_workspace(cloud)
    variables = {**workspace.environment, "PULUMI_HOME": str(workspace.folder / "home")}
    site = Site(workspace.folder, cloud, variables, steps=[])
    site.bring_base_up()
    cloud.hold("create", "tables-accounts")
    common = ("--branch", BRANCH, "--remote", str(workspace.folder / "none"))
    killed(site.gobank("up", *common, "--no-smoke", "--images", str(site.image_file())), cloud)
    (half,) = site.previews.listed().records
    assert half.state == "creating"
    until = time.monotonic() + PATIENCE_SECONDS
    while not any(NAME in each and "Table" in each for each in cloud.of(NAME)):
        assert time.monotonic() < until, "the held call never ended"
        time.sleep(0.01)

    standing = site.previews.up(site.planned(BRANCH))
    assert standing.record.state == "up"
    assert [step for step in site.steps if "released the lock" in step] != []
    assert [
        step for step in site.steps if step.startswith("create aws:dynamodb") and "accounts" in step
    ] == []
    assert sum("Table" in each for each in cloud.of(NAME)) == len(CATALOG.tables)

    cloud.hold("delete", "tables-accounts")
    killed(site.gobank("down", "--branch", BRANCH), cloud)
    (half,) = site.previews.listed().records
    assert half.state == "removing"
    site.previews.down(NAME, BRANCH)
    # What was made while the other call was held up, and has no name that anybody could know, was told of.
    told = {step.split()[-1] for step in site.steps if step.startswith("may exist on AWS")}
    left = {thing.urn.rpartition("::")[2] for thing in cloud.things.values() if f":{NAME}::" in thing.urn}
    assert left <= told
    assert not any("Table" in each or "listener" in each or "Role" in each for each in cloud.of(NAME))
    assert site.previews.listed().stacks == {"dev"}


def test_a_folder_that_a_killed_run_left_broken_is_mended(little: Site, resident: Record) -> None:
    folder = Path(little.backend.removeprefix("file://")) / ".pulumi" / "stacks" / PROJECT
    (folder / f"{resident.name}.json.attrs").write_text("")
    assert little.previews.listed().record(resident.name) == resident
    (folder / "dev.json.attrs").write_text('{"user.cache')
    assert little.planned(RESIDENT).before == resident


# --- locks -----------------------------------------------------------------------------------------


def lock(site: Site, name: str, **of: Any) -> Path:
    """A lock as Pulumi's own backend writes it."""
    folder = Path(site.variables["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi" / "locks"
    path = folder / "organization" / PROJECT / name / "11111111-2222-3333-4444-555555555555.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"timestamp": "2026-11-25T11:00:00Z", **of}))
    return path


def test_anothers_lock_is_named_and_left_and_our_own_stale_one_goes(little: Site, resident: Record) -> None:
    name = resident.name
    path = lock(little, name, username="bruno", hostname="his-laptop", pid=4711)
    with pytest.raises(Failed) as failed:
        little.previews.up(little.planned(RESIDENT))
    assert "bruno@his-laptop, process 4711, since 2026-11-25 11:00:00" in str(failed.value)
    assert f"pulumi cancel --stack {name}" in str(failed.value)
    assert path.exists()
    ours = replace(little, machine=Machine("bruno", "his-laptop", lambda _pid: None), steps=[])
    assert ours.previews.up(ours.planned(RESIDENT)).record.state == "up"
    assert not path.exists()
    assert any("released the lock of a killed run (bruno@his-laptop" in step for step in ours.steps)


# --- many, and their names -------------------------------------------------------------------------


def test_ten_previews_at_once_do_not_mix_whatever_their_branches_are_called(
    make_workspace: MakeWorkspace,
) -> None:
    cloud = Region()
    workspace = make_workspace(cloud)
    variables = {**workspace.environment, "PULUMI_HOME": str(workspace.folder / "home")}
    crowd = Site(workspace.folder, cloud, variables, room=10, program=little_program)
    crowd.bring_base_up()
    branches = [f"topic/{number}" for number in range(8)] + ["wip/🎉-ação/" * 30, "🎉"]

    def up(branch: str) -> Standing:
        own = replace(crowd, steps=[])
        return own.previews.up(own.planned(branch))

    with ThreadPoolExecutor(10) as pool:
        standing = list(pool.map(up, branches))
    listed = crowd.previews.listed()
    assert others(listed.stacks) == {stack_name(branch) for branch in branches}
    assert len({each.priority for each in listed.records}) == 10
    assert {each.record.url for each in standing} == {each.url for each in listed.records}
    for branch in branches:
        assert len(crowd.cloud.of(stack_name(branch))) == 2
    with pytest.raises(Refused, match="has room for 10 previews"):
        crowd.planned("topic/one-too-many")

    def down(branch: str) -> None:
        own = replace(crowd, steps=[])
        own.previews.down(stack_name(branch), branch)

    gone = branches[-3:]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(down, gone))
    there = {branch: len(crowd.cloud.of(stack_name(branch))) for branch in branches}
    assert there == {branch: 0 if branch in gone else 2 for branch in branches}
    assert others(crowd.previews.listed().stacks) == {stack_name(branch) for branch in branches[:-3]}


def test_a_priority_that_somebody_took_meanwhile_is_given_up_for_the_next(
    little: Site, resident: Record
) -> None:
    plan = little.planned("second")
    number = resident.priority
    same = replace(
        plan,
        record=replace(plan.record, priority=number),
        configuration={**plan.configuration, "gobanking:rulePriority": number},
    )
    second = little.previews.up(same)
    assert second.record.priority == number + 1
    assert f"priority {number} is in use; taking {number + 1}" in little.steps
    assert {each.priority for each in little.previews.listed().records} == {number, number + 1}


@pytest.mark.parametrize(
    ("asked", "published"),
    [
        pytest.param({"branches": [], "pr": ""}, False, id="the remote has no such branch"),
        pytest.param({"branches": ["new"], "pr": ""}, True, id="the remote has it"),
        pytest.param({"branches": None, "pr": "7"}, True, id="a pull request, in a job that may not ask"),
        pytest.param({"branches": None, "pr": ""}, False, id="nobody can tell"),
    ],
)
def test_it_is_known_whether_a_branch_was_published(
    little: Site, asked: Mapping[str, Any], published: bool
) -> None:
    assert little.planned("new", **asked).record.published == published


# --- what cannot be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "says"),
    [
        pytest.param("qa", "there is no such stack. Bring it up first", id="a base that is not there"),
        pytest.param("pr-x-0a1b2c", "a preview has no base of its own", id="a preview as base"),
        pytest.param("a/b", "organization/project/stack", id="half a name"),
    ],
)
def test_a_base_that_is_none_is_refused(little: Site, base: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        little.planned("feature", base=base)
    assert "--base" in str(refused.value)


def test_a_base_that_became_another_is_refused_and_down_still_works(little: Site) -> None:
    standing = little.previews.up(little.planned("feature"))
    try:
        for change, says in (
            ({"contract_version": "2"}, "contract version 2, this program needs 1"),
            ({"host_suffix": ""}, "gobanking:domain of 'organization/gobanking/dev'"),
        ):
            little.bring_base_up(**change)
            with pytest.raises(Refused, match=says):
                little.planned("feature")
        little.previews.down(standing.record.name, "feature")
        assert little.cloud.of(standing.record.name) == []
    finally:
        little.bring_base_up()


@pytest.mark.parametrize(
    "backend", ["file:///nowhere/at/all", "http://127.0.0.1:9"], ids=["no folder", "nobody listens"]
)
def test_a_backend_that_does_not_answer_is_named(little: Site, backend: str) -> None:
    away = replace(little, backend=backend)
    with pytest.raises(Refused, match="does not answer") as refused:
        away.planned("feature")
    assert backend in str(refused.value)
    assert "PULUMI_BACKEND_URL" in str(refused.value)


def test_a_failed_up_says_how_to_go_on(little: Site) -> None:
    little.cloud.refuse("table", "LimitExceededException: too many tables")
    with pytest.raises(Failed, match="LimitExceededException: too many tables") as failed:
        little.previews.up(little.planned("wip"))
    assert "gobank preview up --branch 'wip'" in str(failed.value)
    assert f"gobank preview down --stack {stack_name('wip')}" in str(failed.value)
    assert little.previews.up(little.planned("wip")).record.state == "up"


# --- sweep and ls ----------------------------------------------------------------------------------


def test_a_sweep_takes_what_is_due_and_one_failure_stops_no_other(little: Site, resident: Record) -> None:
    short = little.previews.up(little.planned("short", ttl="1h")).record
    gone = little.previews.up(little.planned("gone", branches=["gone"])).record
    held = lock(
        little,
        short.name,
        username="bruno",
        hostname="his-laptop",
        pid=4711,
        timestamp="2026-11-25T13:00:00Z",
    )
    later = replace(little, now=NOON + timedelta(hours=2), steps=[])
    would, _, _ = later.previews.swept(["kept"], dry_run=True)
    assert {each.name for each in would} == {short.name, gone.name}
    assert len(later.previews.listed().records) == 3
    _, unknown, failures = later.previews.swept(["kept"], dry_run=False)
    assert unknown == []
    assert [short.name in each for each in failures] == [True]
    assert {each.name for each in later.previews.listed().records} == {short.name, resident.name}
    assert little.cloud.of(gone.name) == []
    assert held.exists()
    # A machine of CI that was killed never comes back: its lock is given up when no update takes so long.
    long_after = replace(little, now=NOON + timedelta(hours=4), steps=[])
    _, _, failures = long_after.previews.swept(["kept"], dry_run=False)
    assert failures == []
    assert not held.exists()
    assert [each.name for each in later.previews.listed().records] == [resident.name]


def test_fifty_previews_are_listed(
    little: Site, resident: Record, record_property: Callable[[str, object], None]
) -> None:
    folder = Path(little.backend.removeprefix("file://")) / ".pulumi" / "stacks" / PROJECT
    copies = [f"pr-many-{number:06x}" for number in range(49)]
    for copy in copies:
        for suffix in ("json", "pulumi-tags"):
            text = (folder / f"{resident.name}.{suffix}").read_text()
            (folder / f"{copy}.{suffix}").write_text(text.replace(resident.name, copy))
    done = little.ran("ls", "--json")
    for copy in copies:
        for path in folder.glob(f"{copy}.*"):
            path.unlink()
    assert done.code == 0, done.out
    told("ls of 50", done, 2, record_property)
    rows = json.loads(done.out)
    assert {row["name"] for row in rows} == {resident.name, *copies}
    first = rows[0]
    assert first["url"].startswith("https://pr-")
    assert first["expires"] == "2026-11-26T12:00:00Z"
    assert first["usd_a_day"] is not None

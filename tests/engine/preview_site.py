"""Where previews are tried with the real engine: a base that costs nothing, a cloud that can be held up."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pulumi_aws as aws

from apps.catalog import CATALOG
from environments.preview import bank
from environments.preview.engine import Engine
from environments.preview.locks import Machine
from environments.preview.operations import Asked, Planned, Previews
from environments.preview.pulumi_cli import PulumiCli, find
from environments.preview.settings import PROJECT
from environments.preview.stacks import Stacks
from tests.engine.cloud import Cloud, RefusedError, Thing
from tests.engine.stacks import ROOT
from tests.engine.wire import Properties, plain
from tests.platform.examples import base_outputs, images

NAMESPACE = "kubernetes:core/v1:Namespace"
RULE = "aws:lb/listenerRule:ListenerRule"
PATIENCE_SECONDS = 60.0
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
BASE = f"organization/{PROJECT}/dev"


@dataclass(frozen=True)
class Done:
    """A command that ended: what it wrote, in the order that it did, and the seconds that it took, on the
    clock and of processors (its own and of what it started)."""

    code: int
    out: str
    wall: float
    cpu: float


class Region(Cloud):
    """A cloud where a namespace takes with it what is inside, a listener has a priority once, deleting what
    is gone is no fault (as for the real provider), and where one call can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self._released = threading.Event(), threading.Event()
        self._held: tuple[str, str] | None = None
        self._refused: tuple[str, str] | None = None

    def hold(self, method: str, name: str) -> None:
        """The next such call of the resource of that name in the program waits for `release`."""
        self.reached.clear()
        self._released.clear()
        self._held = (method, name)

    def refuse(self, name: str, said: str) -> None:
        """The next creation of the resource of that name in the program fails."""
        self._refused = (name, said)

    def release(self) -> None:
        """Lets it go on: what it asks for happens, though nobody may be there to hear of it."""
        self._released.set()

    def create(self, resource_type: str, urn: str, inputs: Properties, *, preview: bool) -> Thing:
        if not preview:
            self._fail(urn.rpartition("::")[2])
            self._wait("create", urn.rpartition("::")[2])
            if resource_type == RULE:
                self._refuse_second(plain(inputs)["priority"])
        return super().create(resource_type, urn, inputs, preview=preview)

    def delete(self, resource_type: str, resource_id: str) -> None:
        thing = self.things.get((resource_type, resource_id))
        if thing is None:
            return
        self._wait("delete", thing.urn.rpartition("::")[2])
        super().delete(resource_type, resource_id)
        if resource_type == NAMESPACE:
            inside = f"{resource_id}/"
            self.things = {key: each for key, each in self.things.items() if not key[1].startswith(inside)}

    def of(self, stack: str) -> list[str]:
        """What exists of a stack."""
        return sorted(
            f"{kind} {thing.id}" for (kind, _), thing in self.things.items() if f":{stack}::" in thing.urn
        )

    def _refuse_second(self, priority: float) -> None:
        if any(
            kind == RULE and plain(thing.inputs)["priority"] == priority
            for (kind, _), thing in self.things.items()
        ):
            said = f"PriorityInUse: Priority '{int(priority)}' is currently in use"
            raise RefusedError(grpc.StatusCode.UNKNOWN, said)

    def _fail(self, name: str) -> None:
        if self._refused is not None and self._refused[0] == name:
            said, self._refused = self._refused[1], None
            raise RefusedError(grpc.StatusCode.UNKNOWN, said)

    def _wait(self, method: str, name: str) -> None:
        if self._held == (method, name):
            self._held = None
            self.reached.set()
            assert self._released.wait(PATIENCE_SECONDS), "nobody released the call"


def little_program() -> None:
    """Enough of a preview to see stacks, tags, priorities and locks by: a rule and a table."""
    config = pulumi.Config()
    name = pulumi.get_stack()
    aws.lb.ListenerRule(
        "edge-rule",
        listener_arn="arn:aws:elasticloadbalancing:sa-east-1:1:listener/app/a/b/c",
        priority=config.require_int("rulePriority"),
        conditions=[],
        actions=[],
    )
    aws.dynamodb.Table("table", name=f"{name}-accounts", billing_mode="PAY_PER_REQUEST")
    pulumi.export("api_url", f"https://{name}.preview.dev.bank.com.br")


@dataclass
class Site:
    """A backend in a folder, a base called dev in it, and the operations on both."""

    folder: Path
    cloud: Region
    variables: Mapping[str, str]
    room: int = 3
    program: Callable[[], Any] = bank.run
    backend: str = ""
    now: datetime = NOON
    machine: Machine = field(default_factory=Machine.here)
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.backend = self.backend or str(self.variables["PULUMI_BACKEND_URL"])
        self.root = self.folder / "checkout"
        if (self.root / "Pulumi.yaml").exists() and self.room == self._room():
            return
        self.root.mkdir(exist_ok=True)
        shutil.copy(ROOT / "Pulumi.yaml", self.root)
        (self.root / "platform").mkdir(exist_ok=True)
        stated = {
            "aws:region": "sa-east-1",
            "gobanking:imageSource": "build",
            "gobanking:previews": self.room,
        }
        (self.root / "Pulumi.dev.yaml").write_text(json.dumps({"config": stated}))

    def _room(self) -> int:
        text = (self.root / "Pulumi.dev.yaml").read_text()
        return int(json.loads(text)["config"]["gobanking:previews"])

    @property
    def stacks(self) -> Stacks:
        variables = {**self.variables, "PULUMI_BACKEND_URL": self.backend}
        command = find(ROOT)
        return Stacks(
            root=self.root,
            home=self.folder / "previews",
            backend=self.backend,
            secrets_provider="",
            cli=PulumiCli(command, variables),
            engine=lambda: Engine(command, variables, self.program),
            machine=self.machine,
        )

    @property
    def previews(self) -> Previews:
        return Previews(self.root, self.stacks, lambda: self.now, self.steps.append, self.left)

    def left(self, stack: str, region: str) -> list[str]:
        """What the tagging API tells: ARNs of what is on AWS."""
        assert region == "sa-east-1"
        return [each.split()[1] for each in self.cloud.of(stack) if each.split()[1].startswith("arn:")]

    def bring_base_up(self, **changes: Any) -> None:
        """The base: a state with the outputs of a dev environment's graph, and nothing behind them."""
        outputs = dict(base_outputs())
        outputs["base"] = {**outputs["base"], **changes}
        stack = {
            "urn": f"urn:pulumi:dev::{PROJECT}::pulumi:pulumi:Stack::{PROJECT}-dev",
            "custom": False,
            "type": "pulumi:pulumi:Stack",
            "outputs": outputs,
        }
        folder, cli = self.stacks.folder("dev"), self.stacks.cli
        path = folder / "state.json"
        path.write_text(json.dumps({"version": 3, "deployment": {"manifest": {}, "resources": [stack]}}))
        if not (folder / "Pulumi.dev.yaml").exists():
            cli.run(folder, "stack", "init", "dev")
        cli.run(folder, "stack", "import", "--stack", "dev", "--file", str(path))

    def asked(self, branch: str, **more: Any) -> Asked:
        given = {"ttl": "24h", "base": "dev", "pr": "", "owner": "ana@example.com", "branches": None}
        return Asked(branch=branch, images=images(CATALOG), **{**given, **more})

    def planned(self, branch: str, **more: Any) -> Planned:
        return self.previews.planned(self.asked(branch, **more))

    def gobank(self, *arguments: str, stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        """The command itself, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "environments.cli", "preview", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                **self.variables,
                "PULUMI_BACKEND_URL": self.backend,
                "GOBANK_HOME": str(self.folder),
                "COLUMNS": "100",
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def ran(self, *arguments: str) -> Done:
        """The command itself, to its end."""
        began, before = time.perf_counter(), os.times()
        process = self.gobank(*arguments, stderr=subprocess.STDOUT)
        out, _ = process.communicate(timeout=4 * PATIENCE_SECONDS)
        after = os.times()
        user, system = (
            after.children_user - before.children_user,
            after.children_system - before.children_system,
        )
        return Done(process.returncode, out, time.perf_counter() - began, user + system)

    def image_file(self) -> Path:
        path = self.folder / "images.txt"
        path.write_text("\n".join(images(CATALOG)))
        return path


@contextmanager
def tagging(cloud: Region) -> Iterator[dict[str, str]]:
    """The tagging API of AWS over that cloud; gives the variables that lead the command to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (stack,) = asked["TagFilters"][0]["Values"]
            arns = [each.split()[1] for each in cloud.of(stack) if each.split()[1].startswith("arn:")]
            said = json.dumps({"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_about: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield {
                "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": f"http://127.0.0.1:{server.server_port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
            }
        finally:
            server.shutdown()
            thread.join()


def kinds(things: Sequence[str]) -> set[str]:
    """The types among what exists."""
    return {each.split()[0] for each in things}

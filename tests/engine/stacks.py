"""Stacks of the real engine: inline programs, state in a folder, providers from `PULUMI_DEBUG_PROVIDERS`."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.events import EngineEvent
from semver import VersionInfo

ROOT = Path(__file__).parents[2]
OLDEST = VersionInfo.parse("3.259.0")
MISSING = f"no pulumi {OLDEST} or newer here: `make .tools/bin/pulumi` builds it"

PENDING_SECONDS = 5.0

Program = Callable[[], Any]


def pulumi_command() -> automation.PulumiCommand | None:
    """The CLI that this checkout built, else one on PATH that is new enough."""
    if (ROOT / ".tools" / "bin" / "pulumi").exists():
        return automation.PulumiCommand(str(ROOT / ".tools"), OLDEST)
    if shutil.which("pulumi") is None:
        return None
    try:
        return automation.PulumiCommand(version=OLDEST)
    except automation.InvalidVersionError:
        return None


@dataclass(frozen=True)
class Step:
    """What the engine did, or would do, with one resource. `changed` are the inputs that differ."""

    op: str
    type: str
    name: str
    changed: tuple[str, ...] = ()


@dataclass
class Steps:
    """The steps of one operation, in the engine's order."""

    all: list[Step] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        """Takes the engine's events: `stack.up(on_event=steps)`."""
        if event.resource_pre_event is None:
            return
        step = event.resource_pre_event.metadata
        changed = tuple(sorted(step.detailed_diff or {}))
        self.all.append(Step(str(step.op.value), step.type, step.urn.rpartition("::")[2], changed))

    def named(self, *ops: str) -> dict[str, Step]:
        return {step.name: step for step in self.all if step.op in ops}

    @property
    def ops(self) -> dict[str, set[str]]:
        """The names under each operation, but for the stack itself and providers that nobody wrote."""
        ops: dict[str, set[str]] = {}
        for step in self.all:
            if step.type != "pulumi:pulumi:Stack" and not step.name.startswith("default"):
                ops.setdefault(step.op, set()).add(step.name)
        return ops


@dataclass(frozen=True)
class Workspace:
    """A folder with a home, a backend and a project of its own. No plug-in is looked for on the network."""

    command: automation.PulumiCommand
    folder: Path
    variables: Mapping[str, str]
    _runs: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        return {
            "PULUMI_BACKEND_URL": state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **self.variables,
        }

    def stack(
        self,
        program: Program,
        *,
        name: str = "dev",
        project: str = "gobanking",
        config: Mapping[str, str] | None = None,
        work_dir: Path | None = None,
    ) -> automation.Stack:
        """A stack of this program, the one of that name if it exists.

        `work_dir` may hold a Pulumi.yaml; the stack's settings file is written beside it.
        """
        folder = work_dir or self.folder / project
        folder.mkdir(exist_ok=True)

        def noted() -> Any:
            task = asyncio.current_task()
            assert task is not None
            self._runs.append(task)
            return program()

        stack = automation.create_or_select_stack(
            stack_name=name,
            project_name=project,
            program=noted,
            opts=automation.LocalWorkspaceOptions(
                work_dir=str(folder),
                pulumi_home=str(self.folder / "home"),
                pulumi_command=self.command,
                env_vars=self.environment,
            ),
        )
        if config:
            stack.set_all_config({key: automation.ConfigValue(value) for key, value in config.items()})
        return stack

    def close(self) -> None:
        """Ends what programs that failed left pending.

        The Automation API means to, but first logs to the engine, which is gone by then (SDK 3.272).
        """
        for run in self._runs:
            loop = run.get_loop()
            if loop.is_closed() or loop.is_running():
                continue
            pending = asyncio.all_tasks(loop)
            for task in pending:
                task.cancel()
            if pending:
                loop.run_until_complete(asyncio.wait(pending, timeout=PENDING_SECONDS))
            loop.close()

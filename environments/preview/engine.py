"""Pulumi's engine through the Automation API, with the program inline: no language plugin is needed."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.events import EngineEvent
from semver import VersionInfo

from environments.preview.names import Refused
from environments.preview.pulumi_cli import OLDEST, PulumiFailed
from environments.preview.recovery import recovered
from environments.preview.settings import PROJECT

Say = Callable[[str], None]
PENDING_SECONDS = 5.0
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Engine:
    """`command` is the CLI's path; `program` what a stack is made of."""

    command: str
    variables: Mapping[str, str]
    program: Callable[[], Any]
    secrets_provider: str = ""
    _opened: dict[str, automation.Stack] = field(default_factory=dict)

    def up(self, folder: Path, name: str, say: Say) -> dict[str, Any]:
        """Creates or updates the stack; gives its outputs. Raises `PulumiFailed` with what went wrong."""
        return self._done(folder, name, "up", say)

    def preview(self, folder: Path, name: str, say: Say) -> None:
        """Says what an update would do."""
        self._done(folder, name, "preview", say)

    def destroy(self, folder: Path, name: str, say: Say) -> None:
        """Deletes all that the stack holds, from its state alone: its base may be gone."""
        self._done(folder, name, "destroy", say)

    def create(self, folder: Path, name: str) -> None:
        """Makes the stack, unless it is there."""
        try:
            self._stack(folder, name)
        except automation.CommandError as error:
            raise PulumiFailed(_said(error)) from error

    def resources(self, folder: Path, name: str) -> dict[str, Any]:
        """The stack's state, as `pulumi stack export` writes it."""
        return {"deployment": self._stack(folder, name).export_stack().deployment}

    def recover(
        self, folder: Path, name: str, say: Say, arns: Callable[[], Sequence[str]]
    ) -> tuple[str, ...]:
        """Settles what a killed run left open; gives what may exist and cannot be found. `arns` asks AWS for
        what it has of the stack."""
        try:
            stack = self._stack(folder, name)
            exported = stack.export_stack()
            deployment = exported.deployment or {}
            if recovered(deployment) is None:
                return ()
            mended = recovered(deployment, arns())
            assert mended is not None, "what is pending does not go away by itself"
            say(f"a killed run left {len(mended.doubtful) + len(mended.lost)} operations open; asking AWS")
            stack.import_stack(automation.Deployment(exported.version, mended.deployment))
            if mended.doubtful:
                stack.refresh(target=list(mended.doubtful))
        except automation.CommandError as error:
            raise PulumiFailed(_said(error)) from error
        return mended.lost

    def _done(self, folder: Path, name: str, operation: str, say: Say) -> dict[str, Any]:
        errors: list[str] = []

        def listen(event: EngineEvent) -> None:
            if event.diagnostic_event and event.diagnostic_event.severity == "error":
                errors.append(event.diagnostic_event.message.strip())
            elif event.resource_pre_event and event.resource_pre_event.metadata.op not in {"same", "read"}:
                step = event.resource_pre_event.metadata
                say(f"{step.op.value} {step.type} {step.urn.rpartition('::')[2]}")

        raised: list[BaseException] = []
        runs: list[asyncio.Task[Any]] = []

        def program() -> Any:
            if (run := asyncio.current_task()) is not None:
                runs.append(run)
            try:
                return self.program()
            except BaseException as error:
                raised.append(error)
                raise

        try:
            done = getattr(self._stack(folder, name, program), operation)(on_event=listen)
        except automation.CommandError as error:
            said = [str(each) for each in raised] or list(dict.fromkeys(errors)) or [_said(error)]
            raise PulumiFailed("\n".join(said)) from error
        finally:
            for run in runs:
                _ended(run)
        return {key: output.value for key, output in getattr(done, "outputs", {}).items()}

    def _stack(self, folder: Path, name: str, program: Callable[[], Any] | None = None) -> automation.Stack:
        """The stack, made unless it is there; once looked for, it stays open."""
        if name not in self._opened:
            self._opened[name] = automation.create_or_select_stack(
                stack_name=name,
                project_name=PROJECT,
                program=self.program,
                opts=automation.LocalWorkspaceOptions(
                    work_dir=str(folder),
                    pulumi_command=self._checked(),
                    env_vars={"PULUMI_SKIP_UPDATE_CHECK": "true", **self.variables},
                    secrets_provider=self.secrets_provider or None,
                ),
            )
        stack = self._opened[name]
        stack.workspace.program = program or self.program
        return stack

    def _checked(self) -> automation.PulumiCommand:
        try:
            return _Command(self.command)
        except automation.InvalidVersionError:
            raise Refused(
                f"{self.command} is older than {OLDEST}: previews need that one or a newer one."
            ) from None
        except (OSError, subprocess.CalledProcessError) as error:
            raise Refused(f"{self.command} does not run: {error}") from None


class _Command(automation.PulumiCommand):
    """The CLI at a path; the SDK's own takes the folder above it, which must be called bin."""

    def __init__(self, command: str) -> None:
        path = Path(command).absolute()
        super().__init__(
            str(path.parents[1]) if path.parent.name == "bin" else None, VersionInfo.parse(OLDEST)
        )
        self.command = os.fspath(path)


def _ended(run: "asyncio.Task[Any]") -> None:
    """Ends what a failed program left pending, which would be complained of when this process ends.

    The Automation API means to, but first logs to the engine, which is gone by then (SDK 3.272).
    """
    loop = run.get_loop()
    until = time.monotonic() + PENDING_SECONDS
    # The CLI may be gone while the program still hears, in its own thread, that nobody listens.
    while not loop.is_closed() and not run.done() and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    if loop.is_closed() or loop.is_running():
        return
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    with suppress(RuntimeError):  # it is being ended over there
        if pending:
            loop.run_until_complete(asyncio.wait(pending, timeout=PENDING_SECONDS))
        loop.close()


def _said(error: automation.CommandError) -> str:
    """What the command wrote to stderr, of an error that is three things in one text."""
    return str(error).partition("\n stderr: ")[2].strip() or str(error)

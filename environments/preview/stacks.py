"""The stacks of previews on one backend: found, recorded, brought up and taken away.

Each stack has a folder of its own in `.gobank/previews`, with the repository's Pulumi.yaml and a stack file
that is generated for each run. So nothing of it is committed, the stack that is selected in the checkout
stays selected, and two previews never write the same file. Losing the folder loses nothing.
"""

import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from environments.preview import folder_backend, locks, tag_files
from environments.preview.locks import Machine
from environments.preview.names import Refused, is_preview
from environments.preview.pulumi_cli import PulumiCli, PulumiFailed
from environments.preview.record import Record, recorded
from environments.preview.settings import PROJECT

if TYPE_CHECKING:
    from environments.preview.engine import Engine

NO_STACK = "no stack named"
"""What the CLI says of a stack that is not there."""


class Failed(Exception):  # noqa: N818
    """Something was begun and did not end well. The message says how it stands and what to do."""


@dataclass(frozen=True)
class Listed:
    """Everything that the backend has: the previews, the stacks that only look like one, and all names.

    `resources` and `updated` (as the backend writes it) are by stack.
    """

    records: tuple[Record, ...]
    untold: Mapping[str, int]
    stacks: frozenset[str]
    updated: Mapping[str, str]

    def record(self, name: str) -> Record | None:
        """The record of one preview."""
        return next((each for each in self.records if each.name == name), None)


@dataclass(frozen=True)
class Stacks:
    """`home` is where the folders are; `backend` is "" for the one that the CLI is logged in to."""

    root: Path
    home: Path
    backend: str
    secrets_provider: str
    cli: PulumiCli
    engine: "Callable[[], Engine]"
    machine: Machine = field(default_factory=Machine.here)

    def listed(self) -> Listed:
        """What there is. Raises `Refused` when the backend does not answer."""
        folder = self.folder("all")
        try:
            found = self._found(folder)
        except PulumiFailed as failed:
            raise Refused(self._unreachable(failed)) from None
        tags = self._tags(folder, [name for name in found if is_preview(name)])
        records = {name: recorded(name, each) for name, each in tags.items()}
        return Listed(
            records=tuple(record for record in records.values() if record is not None),
            untold={
                name: int(found[name].get("resourceCount") or 0)
                for name, record in records.items()
                if record is None
            },
            stacks=frozenset(name for name in found if name in tags or not is_preview(name)),
            updated={name: str(each.get("lastUpdate", "")) for name, each in found.items()},
        )

    def reference(self, base: str) -> str:
        """The full name of a base, organization/project/stack."""
        if base.count("/") == 2:
            return base
        if "/" in base or not base:
            raise Refused(f"--base '{base}': must be a stack's name, or organization/project/stack.")
        if is_preview(base):
            raise Refused(f"--base '{base}': a preview has no base of its own. Name the stack that made one.")
        keeps_files = self.backend.split(":", 1)[0] in {"file", "s3", "gs", "azblob"}
        if self.backend and keeps_files:
            return f"organization/{PROJECT}/{base}"
        listed = self.cli.run(self.folder("all"), "stack", "ls", "--json", "--fully-qualify-stack-names")
        names = [each["name"] for each in yaml.safe_load(listed)]
        return next(
            (name for name in names if name.endswith(f"/{PROJECT}/{base}")), f"organization/{PROJECT}/{base}"
        )

    def outputs(self, stack: str) -> Mapping[str, Any]:
        """What a stack exports. Raises `Refused` when there is no such stack."""
        try:
            return self.cli.outputs(self.folder("all"), stack)
        except PulumiFailed as failed:
            if NO_STACK in str(failed):
                raise Refused(
                    f"--base '{stack}': there is no such stack. Bring it up first, or name another one."
                ) from None
            raise Refused(self._unreachable(failed)) from None

    def note(self, record: Record, before: Record | None = None) -> None:
        """Writes what is known of a preview into its stack's tags; only what has changed."""
        known = before.tags() if before is not None else {}
        for name, value in record.tags().items():
            if known.get(name) != value:
                self.cli.tag(self.folder(record.name), record.name, name, value)

    def prepared(self, name: str, configuration: Mapping[str, Any]) -> Path:
        """The folder of a stack with its generated file."""
        folder = self.folder(name)
        path = folder / f"Pulumi.{name}.yaml"
        kept = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
        if self.secrets_provider:
            kept["secretsprovider"] = self.secrets_provider
        path.write_text(yaml.safe_dump({**kept, "config": dict(configuration)}, allow_unicode=True))
        return folder

    def folder(self, name: str) -> Path:
        """A stack's folder, with the project in it."""
        folder = self.home / name
        folder.mkdir(parents=True, exist_ok=True)
        text = _project(self.root)
        path = folder / "Pulumi.yaml"
        if not path.exists() or path.read_text() != text:
            # At once: another preview may be reading it.
            new = folder / f".Pulumi.{uuid.uuid4().hex}"
            new.write_text(text)
            new.replace(path)
        return folder

    def unlocked(
        self,
        name: str,
        work: Callable[[], Any],
        say: Callable[[str], None],
        abandoned: datetime | None = None,
    ) -> Any:
        """Does the work; once more when all that is in its way is a lock of ours that nobody holds, or
        anybody's from before `abandoned`."""
        try:
            return work()
        except PulumiFailed as failed:
            if not locks.locked(str(failed)):
                raise
            found = locks.holders(str(failed))
            given_up = abandoned is not None and locks.abandoned(found, abandoned)
            if not given_up and not locks.stale(found, self.machine):
                raise Failed(locks.named(name, found)) from None
            say(f"released the lock of a killed run ({found[0]})")
            self.cli.cancel(self.folder(name), name)
        try:
            return work()
        except PulumiFailed as failed:
            if locks.locked(str(failed)):
                raise Failed(locks.named(name, locks.holders(str(failed)))) from None
            raise

    def forget(self, name: str) -> None:
        """Removes a stack that holds nothing, and its folder."""
        self.cli.remove(self.folder(name), name)
        shutil.rmtree(self.home / name, ignore_errors=True)

    def _found(self, folder: Path) -> dict[str, dict[str, Any]]:
        try:
            return self.cli.stacks(folder)
        except PulumiFailed:
            if not folder_backend.mended(self.backend):
                raise
        return self.cli.stacks(folder)

    def _tags(self, folder: Path, names: list[str]) -> dict[str, Mapping[str, str]]:
        """By name; without those that somebody has removed since they were listed."""
        read = tag_files.reader(self.backend)
        found = dict(tag_files.tags(read, PROJECT, names)) if read is not None else {}
        for name in names:
            if name not in found:
                try:
                    found[name] = self.cli.tags(folder, name)
                except PulumiFailed as failed:
                    if NO_STACK not in str(failed):
                        raise
        return found

    def _unreachable(self, failed: PulumiFailed) -> str:
        where = self.backend or "the backend that Pulumi is logged in to"
        said = str(failed).removeprefix("error: ")
        return (
            f"{where} does not answer: {said}\nCheck `pulumi login` or PULUMI_BACKEND_URL, and your "
            "credentials for it. Nothing was done."
        )


@cache
def _project(root: Path) -> str:
    """The repository's Pulumi.yaml, for a folder elsewhere."""
    project = yaml.safe_load((root / "Pulumi.yaml").read_text())
    # The program's folder is the engine's working directory: what is relative there stays so.
    project["main"] = str(root / project["main"])
    return str(yaml.safe_dump(project, sort_keys=False, allow_unicode=True))

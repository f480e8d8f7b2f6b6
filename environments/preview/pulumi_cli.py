"""The `pulumi` command for what needs no program: listing, tags, outputs, locks, removal.

The Automation API would do as well; it takes two seconds to import, and `ls` has two seconds in all.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments.preview.names import Refused

OLDEST = "3.259.0"
MISSING = (
    f"Stacks need the Pulumi CLI, {OLDEST} or newer, and there is no `pulumi` on PATH. Install it "
    "(https://www.pulumi.com/docs/install), or build it with `make .tools/bin/pulumi`."
)


class PulumiFailed(Exception):  # noqa: N818
    """A command of Pulumi's did not succeed. The message is what it said."""


def find(root: Path) -> str:
    """The command: this checkout's own, else the one on PATH. Raises `Refused` when there is none."""
    own = root / ".tools" / "bin" / "pulumi"
    found = str(own) if own.exists() else shutil.which("pulumi")
    if found is None:
        raise Refused(MISSING)
    return found


@dataclass(frozen=True)
class PulumiCli:
    """Runs the command in a project's folder. `variables` come on top of the caller's own."""

    command: str
    variables: Mapping[str, str]

    def stacks(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Every stack of the project by its own name, with its number of resources and last update."""
        listed = json.loads(self.run(folder, "stack", "ls", "--json"))
        return {each["name"].rpartition("/")[2]: each for each in listed}

    def tags(self, folder: Path, stack: str) -> dict[str, str]:
        """The tags of a stack."""
        return dict(json.loads(self.run(folder, "stack", "tag", "ls", "--json", "--stack", stack)))

    def tag(self, folder: Path, stack: str, name: str, value: str) -> None:
        """Sets one tag."""
        self.run(folder, "stack", "tag", "set", "--stack", stack, "--", name, value)

    def outputs(self, folder: Path, stack: str) -> dict[str, Any]:
        """What a stack exports; secrets are blanked out."""
        return dict(json.loads(self.run(folder, "stack", "output", "--json", "--stack", stack)))

    def revealed(self, folder: Path, stack: str) -> dict[str, Any]:
        """What a stack exports, secrets in plain."""
        found = self.run(folder, "stack", "output", "--json", "--show-secrets", "--stack", stack)
        return dict(json.loads(found))

    def cancel(self, folder: Path, stack: str) -> None:
        """Takes the lock of a stack away."""
        self.run(folder, "cancel", "--yes", "--stack", stack)

    def remove(self, folder: Path, stack: str) -> None:
        """Forgets a stack that holds nothing."""
        self.run(folder, "stack", "rm", "--yes", "--preserve-config", "--stack", stack)

    def whoami(self, folder: Path) -> str:
        """Who is logged in to the backend."""
        return self.run(folder, "whoami").strip()

    def run(self, folder: Path, *arguments: str) -> str:
        """Runs it. Raises `PulumiFailed`."""
        done = subprocess.run(
            [self.command, "--non-interactive", *arguments],
            cwd=folder,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true", **self.variables},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            raise PulumiFailed((done.stderr or done.stdout).strip())
        return done.stdout

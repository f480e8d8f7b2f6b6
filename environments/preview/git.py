"""What Git knows of branches: the one that is checked out, and those that the remote has."""

import subprocess
from pathlib import Path

from environments.preview.names import Refused

HEADS = "refs/heads/"
PATIENCE_SECONDS = 60


def current_branch(root: Path) -> str:
    """The branch that is checked out. Raises `Refused` where none is."""
    said = _git(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    if not said:
        raise Refused("--branch: no branch is checked out here. Name one.")
    return said.strip()


def owner(root: Path) -> str:
    """Who works here, as Git's settings say; "" when they do not."""
    return (_git(root, "config", "user.email") or "").strip()


def remote_branches(root: Path, remote: str) -> frozenset[str] | None:
    """The branches that a remote has; None when it cannot be asked."""
    said = _git(root, "ls-remote", "--heads", remote)
    if said is None:
        return None
    names = (line.partition("\t")[2] for line in said.splitlines())
    return frozenset(name.removeprefix(HEADS) for name in names if name.startswith(HEADS))


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=PATIENCE_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

"""Which commit is checked out: images that are built here are tagged with it."""

import subprocess
from pathlib import Path


def revision(root: Path) -> str:
    """The commit's first twelve digits, `-dirty` behind them when files differ from it; "" outside Git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return described.stdout.strip() if described.returncode == 0 else ""

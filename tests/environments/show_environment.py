"""Writes down the names of the variables that a service is given."""

import os
from pathlib import Path


def install(service: str) -> None:
    """Writes the names, one a line, next to the service's log."""
    log = Path("/proc/self/fd/1").readlink()
    (log.parent / f"{service}.variables").write_text("\n".join(sorted(os.environ)))

"""Which previews are to go, and why: rules over their records, nothing else."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from environments.preview.names import Refused, stack_name
from environments.preview.record import Record
from environments.preview.settings import PROJECT

PATIENCE = timedelta(hours=2)
"""No `up` and no `down` of a preview takes as long."""


@dataclass(frozen=True)
class Due:
    """A preview that is to go."""

    name: str
    reason: str


@dataclass(frozen=True)
class Seen:
    """What a sweep looks at. `untold` are stacks with a preview's name whose tags say nothing, and how many
    resources each has. `branches` are all at the remote, None when that is not known; `stacks` all stacks."""

    records: Sequence[Record]
    untold: Mapping[str, int]
    branches: Collection[str] | None
    stacks: Collection[str]
    now: datetime


def due(seen: Seen) -> list[Due]:
    """What is to go."""
    alive = None
    if seen.branches:  # a remote without any branch is one that was not read
        alive = {name for each in seen.branches if (name := _name(each)) is not None}
    found = [
        Due(record.name, reason)
        for record in seen.records
        if (reason := _reason(record, alive, seen.stacks, seen.now)) is not None
    ]
    empty = [Due(name, "it was never begun") for name, resources in seen.untold.items() if not resources]
    return sorted([*found, *empty], key=lambda each: each.name)


def unknown(seen: Seen) -> list[str]:
    """Stacks that look like previews, hold something and say nothing: for people to judge."""
    return sorted(name for name, resources in seen.untold.items() if resources)


def _reason(
    record: Record, alive: Collection[str] | None, stacks: Collection[str], now: datetime
) -> str | None:
    if record.expires <= now:
        return f"its time is over since {record.expires:%Y-%m-%d %H:%M} UTC"
    if alive is not None and record.published and record.name not in alive:
        return f"its branch {record.branch} is gone"
    _, project, stack = record.base.split("/")
    if project == PROJECT and stack not in stacks:  # of another project's stacks nothing is known here
        return f"its base {record.base} is gone"
    if record.state != "up" and now - record.since > PATIENCE:
        return f"it is stuck: {record.state} since {record.since:%Y-%m-%d %H:%M} UTC"
    return None


def _name(branch: str) -> str | None:
    try:
        return stack_name(branch)
    except Refused:
        return None

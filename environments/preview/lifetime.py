"""How long a preview lives: `90m`, `24h`, `3d`; and times as they are written in tags."""

import re
from datetime import UTC, datetime, timedelta

from environments.preview.names import Refused

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
SHORTEST = timedelta(minutes=15)
LONGEST = timedelta(days=14)


def lifetime(text: str) -> timedelta:
    """The time that `text` says. Raises `Refused`."""
    found = re.fullmatch(r"([0-9]{1,5})([mhd])", text, re.ASCII)
    if found is None:
        raise Refused(f"--ttl '{text}': must be a number with m, h or d behind it, such as 24h.")
    asked = int(found[1]) * UNITS[found[2]]
    if not SHORTEST <= asked <= LONGEST:
        raise Refused(
            f"--ttl '{text}': a preview lives 15m at least and 14d at most; `up` again prolongs it."
        )
    return asked


def written(moment: datetime) -> str:
    """A time in a tag: UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str) -> datetime:
    """The time that a tag says. `ValueError` where it says none."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def shown(span: timedelta) -> str:
    """A span for people, its two largest units: `1d 4h`, `23h 5m`, `-2h 0m` when it is over."""
    minutes = abs(int(span.total_seconds())) // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    text = f"{days}d {hours}h" if days else f"{hours}h {rest}m" if hours else f"{rest}m"
    return f"-{text}" if span < timedelta(0) else text

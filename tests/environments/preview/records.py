"""A preview's record for tests, varied by keyword."""

from datetime import UTC, datetime, timedelta
from typing import Any

from environments.preview.names import digest, stack_name
from environments.preview.record import Record

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def record(branch: str = "feature/pix", **more: Any) -> Record:
    """One that is up since noon and has a day to live."""
    name = stack_name(branch)
    values: dict[str, Any] = {
        "name": name,
        "branch": branch,
        "digest": digest(branch),
        "pr": "7",
        "owner": "ana@example.com",
        "base": "organization/gobanking/dev",
        "ttl": "24h",
        "created": NOON,
        "expires": NOON + timedelta(days=1),
        "priority": 4711,
        "url": f"https://{name}.preview.bank.com.br",
        "published": True,
        "state": "up",
        "since": NOON,
        "usd_a_day": 0.17,
    }
    return Record(**{**values, **more})

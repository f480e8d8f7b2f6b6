"""Look-ups of a company's key through the gateway, asked of the DICT's simulator and from the cache.

The simulator answers at once, so all of the time is our own. A look-up that finds a key costs its user one
token of a hundred, and the bank one of fifty thousand; one from the cache costs nothing.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from environments.bench.percentiles import percentile
from environments.local.api import Api
from environments.local.ministack import root_client

LOOKUPS = 50
"""With the first one well below a person's hundred tokens."""
TARGET_P99_MS = 50.0


@dataclass(frozen=True)
class LookUps:
    """Milliseconds of look-ups that asked the DICT, and of look-ups that the cache answered."""

    lookups: int
    p50_ms: float
    p99_ms: float
    cached_p50_ms: float
    cached_p99_ms: float
    target_p99_ms: float = TARGET_P99_MS


class LookUpFailed(Exception):  # noqa: N818
    """A look-up found nothing, so its time says nothing."""


def measure(description: Mapping[str, Any], api: Api, key: str) -> LookUps:
    """Looks the key up again and again as somebody with an account."""
    asked = list(_times(description, api, key, forget=True))
    cached = list(_times(description, api, key, forget=False))
    return LookUps(
        LOOKUPS,
        percentile(asked, 50),
        percentile(asked, 99),
        percentile(cached, 50),
        percentile(cached, 99),
    )


def _times(description: Mapping[str, Any], api: Api, key: str, *, forget: bool) -> Iterator[float]:
    client = root_client("dynamodb", description["dynamodb_endpoint"])
    place = {"pk": {"S": f"cache#{hashlib.sha256(key.encode()).hexdigest()}"}, "sk": {"S": "CACHE"}}
    for number in range(LOOKUPS + 1):
        if forget:
            client.delete_item(TableName=description["table_prefix"] + "keys", Key=place)
        started = time.perf_counter()
        found = api.post("/keys/lookup", {"key": key})
        took = (time.perf_counter() - started) * 1000
        if found.status != 200:
            raise LookUpFailed(found.text)
        if number:  # the first one opens the connections
            yield took

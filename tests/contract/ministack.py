"""One MiniStack for all contract tests, fresh tables for each, and a client that can lose replies."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from apps.catalog import CATALOG
from apps.ledger.store import Tables
from environments.local.ministack import MiniStack, root_client
from environments.local.provision import table_request

START_SECONDS = 20.0


@contextmanager
def running() -> Iterator[MiniStack]:
    """A MiniStack of its own."""
    stack = MiniStack()
    process = subprocess.Popen(
        stack.argv, env={**os.environ, **stack.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not stack.answers():
            assert process.poll() is None, "MiniStack ended while starting"
            assert time.monotonic() < deadline, "MiniStack does not answer"
        yield stack
    finally:
        process.terminate()
        process.wait(10)


def create_tables(endpoint: str, prefix: str) -> Tables:
    """The catalog's tables under a prefix of their own."""
    client = root_client("dynamodb", endpoint)
    for table in CATALOG.tables:
        client.create_table(**table_request(table, prefix + table.name))
    return Tables(prefix + "accounts", prefix + "transactions", prefix + "events")


Fault = Callable[[str, Callable[[], Mapping[str, Any]]], Mapping[str, Any]]
"""Gets an operation's name and the real call, and does with it what it likes."""


@dataclass
class Faulty:
    """A DynamoDB client whose next calls go through the faults in `faults`, one each."""

    client: Any
    operation: str = "transact_write_items"
    faults: list[Fault] = field(default_factory=list)
    seen: list[Mapping[str, Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., Mapping[str, Any]]:
        call: Callable[..., Mapping[str, Any]] = getattr(self.client, name)
        if name != self.operation:
            return call

        def faulty(**request: Any) -> Mapping[str, Any]:
            self.seen.append(request)
            if self.faults:
                return self.faults.pop(0)(name, lambda: call(**request))
            return call(**request)

        return faulty


def lose_reply(_: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Does it, and the answer never arrives."""
    call()
    raise ReadTimeoutError(endpoint_url="http://127.0.0.1")


def lose_request(_: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Does nothing, and looks just the same from outside."""
    raise ReadTimeoutError(endpoint_url="http://127.0.0.1")


def refuse(code: str, status: int = 400) -> Fault:
    """DynamoDB answers with this error and does nothing."""

    def fault(name: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        raise ClientError(
            {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
            name,
        )

    return fault


def conflict(name: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Another transaction has one of the items."""
    raise ClientError(
        {
            "Error": {"Code": "TransactionCanceledException", "Message": "conflict"},
            "ResponseMetadata": {"HTTPStatusCode": 400},  # type: ignore[typeddict-item]
            "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
        },
        name,
    )

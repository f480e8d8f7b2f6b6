"""The places where the ledger keeps its promises: the fake, and one MiniStack with fresh tables per test."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from apps.catalog import CATALOG
from apps.ledger.store import Tables
from environments.local.ministack import MiniStack, root_client
from environments.local.provision import table_request
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables

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


@dataclass(frozen=True)
class Store:
    """A DynamoDB client, and what the catalog's tables are called there."""

    client: Any
    tables: Tables


def emulated_store(stack: MiniStack, prefix: str) -> Store:
    """The catalog's tables in MiniStack, under a prefix of their own."""
    client = root_client("dynamodb", stack.url)
    for table in CATALOG.tables:
        client.create_table(**table_request(table, prefix + table.name))
    return Store(client, _tables(prefix))


def fake_store(clock: Callable[[], float]) -> Store:
    """The catalog's tables in memory."""
    return Store(FakeDynamo(catalog_tables("fake-"), clock), _tables("fake-"))


def _tables(prefix: str) -> Tables:
    return Tables(prefix + "accounts", prefix + "transactions", prefix + "events")

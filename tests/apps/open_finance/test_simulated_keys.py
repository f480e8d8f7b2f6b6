"""Our keys where other banks are simulated: the same for every process, whoever came first."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from apps.open_finance import keys, simulated_keys
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.apps.kit.faulty_dynamo import Fault, Faulty, lose_reply, lose_request

TABLE = "test-consents"
PROCESSES = 4


def table() -> FakeDynamo:
    return FakeDynamo(catalog_tables("test-"), time.time)


def test_what_one_process_made_the_next_one_opens() -> None:
    client = table()
    sealed = keys.read(simulated_keys.document(client, TABLE)).sealer().seal("a consent", "here")
    assert keys.read(simulated_keys.document(client, TABLE)).sealer().open(sealed, "here") == "a consent"


def test_no_two_banks_have_the_same() -> None:
    assert simulated_keys.document(table(), TABLE) != simulated_keys.document(table(), TABLE)


def test_processes_that_start_at_once_agree() -> None:
    together = threading.Barrier(PROCESSES)

    def wait(_: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Nobody writes before everybody has seen that nothing is there."""
        together.wait(10)
        return call()

    client = Faulty(table(), "put_item", [wait] * PROCESSES)
    with ThreadPoolExecutor(PROCESSES) as processes:
        documents = set(processes.map(lambda _: simulated_keys.document(client, TABLE), range(PROCESSES)))
    assert (len(documents), len(client.seen)) == (1, PROCESSES)


@pytest.mark.parametrize("fault", [lose_reply, lose_request])
def test_a_write_without_a_reply_is_looked_for(fault: Fault) -> None:
    client = table()
    assert simulated_keys.document(Faulty(client, "put_item", [fault]), TABLE) == simulated_keys.document(
        client, TABLE
    )

"""What the store alone can do: the bare writes of a transfer, sent back to back by one boto3 process.

No read, no rule, no HTTP and no Kafka: the two transactions that no transfer can do without. Whatever the
pipeline reaches is read as a share of this.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from environments.local.credentials import LIFE_SECONDS, role_keys
from environments.local.ministack import root_client
from environments.local.names import REGION

THREADS = (1, 8, 32)
SECONDS = 3.0
REPEATS = 3
Action = dict[str, Any]


@dataclass(frozen=True)
class Ceiling:
    """Transfers (hold and settle) per second at the best thread count, and holds alone."""

    transfers_per_second: float
    threads: int
    hold_per_second: float


class Bare:
    """The transactions of one transfer, with items of the size that the ledger writes.

    Each is sent with the keys of the service that sends it in earnest, so that IAM decides here too: for the
    emulator's root it would not.
    """

    def __init__(self, endpoint: str, iam: str, table_prefix: str) -> None:
        self._holder = _client(endpoint, iam, "transaction")
        self._settler = _client(endpoint, iam, "settle_transfers")
        self._prefix = table_prefix
        self._run = uuid.uuid4().hex

    def hold(self, number: int) -> None:
        """Transfer, end-to-end id, payer's balance, its entry and the outbox row."""
        self._holder.transact_write_items(
            TransactItems=[
                self._put("transactions", f"TX#{self._run}{number}", "TX", 700),
                self._put("transactions", f"E2E#{self._run}{number}", "E2E", 40),
                self._set("accounts", f"ACC#{self._run}p{number}"),
                self._put("accounts", f"ENT#{self._run}p{number}", "1", 300),
                self._put("events", f"BENCH#{self._run}", f"{number}h", 900),
            ]
        )

    def settle(self, number: int) -> None:
        """Transfer, both balances, both entries and the outbox row: six items."""
        self._settler.transact_write_items(
            TransactItems=[
                self._set("transactions", f"TX#{self._run}{number}", "TX"),
                self._set("accounts", f"ACC#{self._run}p{number}"),
                self._put("accounts", f"ENT#{self._run}p{number}", "2", 300),
                self._set("accounts", f"ACC#{self._run}q{number}"),
                self._put("accounts", f"ENT#{self._run}q{number}", "1", 300),
                self._put("events", f"BENCH#{self._run}", f"{number}s", 900),
            ]
        )

    def _put(self, table: str, partition: str, sort: str, size: int) -> Action:
        item = {"pk": {"S": partition}, "sk": {"S": sort}, "body": {"S": "x" * size}}
        return {
            "Put": {
                "TableName": self._prefix + table,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }

    def _set(self, table: str, partition: str, sort: str = "BENCH") -> Action:
        return {
            "Update": {
                "TableName": self._prefix + table,
                "Key": {"pk": {"S": partition}, "sk": {"S": sort}},
                "UpdateExpression": "SET seq = :seq, available = :seq, on_hold = :seq, last_hash = :hash",
                "ConditionExpression": "attribute_not_exists(frozen)",
                "ExpressionAttributeValues": {":seq": {"N": "1"}, ":hash": {"S": "0" * 64}},
            }
        }


def _client(endpoint: str, iam: str, service: str) -> Any:
    keys = role_keys(root_client("sts", iam), service, LIFE_SECONDS)
    return boto3.session.Session().client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
        config=Config(max_pool_connections=max(THREADS), retries={"total_max_attempts": 1}),
    )


def measure(bare: Bare) -> Ceiling:
    """The best of three at the best of 1, 8 and 32 threads."""
    numbers = _Counter()

    def transfer() -> None:
        number = numbers.following()
        bare.hold(number)
        bare.settle(number)

    rates = {threads: max(_rate(transfer, threads) for _ in range(REPEATS)) for threads in THREADS}
    threads = max(rates, key=lambda each: rates[each])
    holds = max(
        _rate(lambda: bare.hold(numbers.following()), each) for each in THREADS for _ in range(REPEATS)
    )
    return Ceiling(rates[threads], threads, holds)


def six_items_ms(bare: Bare, times: int = 200) -> list[float]:
    """How long each of so many bare settles takes, one after the other. Take it next to what it is held
    against: a shared machine is not equally fast a minute later."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        bare.settle(-next(_SETTLES))
        taken.append((time.perf_counter() - started) * 1000)
    return taken


_SETTLES = itertools.count(1)


class _Counter:
    """Numbers that no two threads share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def following(self) -> int:
        with self._lock:
            self._last += 1
            return self._last


def _rate(work: Callable[[], None], threads: int) -> float:
    """How often a second `work` is done by so many threads."""
    end = time.perf_counter() + SECONDS

    def loop() -> int:
        done = 0
        while time.perf_counter() < end:
            work()
            done += 1
        return done

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(each.result() for each in [pool.submit(loop) for _ in range(threads)])
    return done / (time.perf_counter() - started)

"""Kill -9 before and after every call that a transfer needs, in every process: nothing is lost or doubled.

One transfer is recorded first, from the opening of an account to the last event, so the list of calls is the
bank's own: a call that is new there becomes two kill points here without anybody's doing. Each round kills
every process at one of its points, and has people open accounts and pay until all have died: what one death
holds up may pass another point together with what came later, by a call of another name.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import pytest

from tests.chaos.faults import dynamodb_call
from tests.chaos.stage import Customer, Stage, in_background, stage
from tests.environment import until

LEASE_SECONDS = 11.0
"""Longer than the relay's lease. A relay that was killed still holds it for a while; the next one is told
that this time has passed."""
DAY = 86_400
POLL_SECONDS = 1.5
"""A process that polls may come to its point only after a transfer has passed it, but within this time."""
ROUND_SECONDS = 120.0


@dataclass(frozen=True)
class KillPoint:
    """A place to die: before or after a call."""

    service: str
    call: str
    at: str


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("kill")) as up:
        yield up


@pytest.fixture(scope="module")
def payee(on: Stage) -> Customer:
    customer = on.customer("payee")
    customer.open()
    return customer


def transfer(on: Stage, payee: Customer) -> None:
    """Somebody new opens an account and pays; the money arrives, and all events leave."""
    payer = on.customer("payer")
    payer.open()
    before = payee.available()
    answer = payer.pay(payee, 100)
    assert answer.status == 201, answer.text
    assert payer.decided(str(answer.body["transfer_id"]))["status"] == "SETTLED"
    assert payee.available() == before + 100


def recorded(on: Stage, payee: Customer) -> Mapping[str, list[str]]:
    """The calls of one transfer, by service."""
    # However slow the machine is, no transfer is so old that the sweep takes part.
    early = on.faults.add("sweep_transfers", "clock", seconds=-DAY)
    on.faults.record(on=True)
    # The relay renews its lease now, and not only when the recording is over.
    jump = on.faults.add("relay_outbox", "clock", seconds=LEASE_SECONDS)
    transfer(on, payee)
    on.drained()
    on.faults.record(on=False)
    on.faults.remove(early, jump)
    # Nor does the auditor, which comes when its time has come; it is killed in the workload.
    return {service: calls for service, calls in on.faults.seen().items() if service != "audit_ledger"}


def rounds(calls: Mapping[str, list[str]]) -> list[list[KillPoint]]:
    """All kill points, at most one of a process in each round."""
    points = [
        [KillPoint(service, call, at) for call in each for at in ("before", "after")]
        for service, each in calls.items()
    ]
    return [[point for point in together if point] for together in zip_longest(*points)]


class Mortal:
    """Arms the kill points of one round, and lets the lease of a relay that died run out."""

    def __init__(self, on: Stage, points: list[KillPoint]) -> None:
        self._faults = on.faults
        self._pass_time()
        self._armed = {
            self._faults.add(each.service, "kill", call=each.call, at=each.at, times=1): each
            for each in points
        }

    def left(self) -> set[KillPoint]:
        """The points where no process has died yet."""
        died = {line["fired"] for line in self._faults.fired()}
        return {each for number, each in self._armed.items() if number not in died}

    def watch(self, stop: threading.Event) -> None:
        """Until stopped."""
        while not stop.wait(0.02):
            if all(each.service != "relay_outbox" for each in self.left()):
                self._pass_time()
                return

    def _pass_time(self) -> None:
        """For the relay: it renews its lease now, or takes one that has ended."""
        self._faults.add("relay_outbox", "clock", seconds=LEASE_SECONDS)

    def disarm(self) -> None:
        self._faults.remove(*self._armed)


def test_a_call_has_one_name_in_every_month_and_for_every_number_of_rows() -> None:
    def put(table: str, pk: str, sk: str) -> dict[str, Any]:
        return {"Put": {"TableName": f"local-{table}", "Item": {"pk": {"S": pk}, "sk": {"S": sk}}}}

    entry, month = put("accounts", "ENT#7f0a#202611", "1"), put("accounts", "ACC#7f0a", "MONTH#202611")
    rows = [put("events", f"OUT#{shard}", f"2026-11-25#{shard}") for shard in range(3)]
    calls = [[entry, rows[0]], [entry, month, rows[0]], [entry, *rows]]
    names = {dynamodb_call("TransactWriteItems", {"TransactItems": actions}) for actions in calls}
    assert names == {"dynamodb TransactWriteItems PutItem accounts ENT#{}#{}/{}, PutItem events OUT#{}/{}#{}"}


@pytest.mark.timeout(900)
def test_death_at_any_call_loses_and_doubles_nothing(on: Stage, payee: Customer) -> None:
    calls = recorded(on, payee)
    assert {"gateway", "account", "transaction", "relay_outbox", "settle_transfers"} <= calls.keys()
    for together in rounds(calls):
        mortal = Mortal(on, together)
        with in_background(mortal.watch):
            deadline = time.monotonic() + ROUND_SECONDS
            while left := mortal.left():
                assert time.monotonic() < deadline, f"nobody came to {left}"
                transfer(on, payee)
                with suppress(AssertionError):
                    until(mortal.left, lambda points: not points, POLL_SECONDS)
        mortal.disarm()
        on.check()
    on.audit()

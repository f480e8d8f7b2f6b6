"""Kill -9 before and after every call that a transfer needs, in every process: nothing is lost or doubled.

One transfer is recorded first, from the opening of an account to the last event, so the list of calls is the
bank's own: a call that is new there becomes two kill points here without anybody's doing. Each round kills
every process at one of its points, on the way of one and the same transfer.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import pytest

from tests.chaos.stage import Customer, Stage, in_background, stage
from tests.environment import until

LEASE_SECONDS = 11.0
"""Longer than the relay's lease. A relay that was killed still holds it for a while; the next one is told
that this time has passed."""
CALM_SECONDS = 4.0
"""A recording in which a transfer took longer than this may hold calls of the sweep's, which has no part in
an ordinary transfer."""

PATIENCE_SECONDS = 10.0


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
    """The calls of one calm transfer, by service."""
    while True:
        on.faults.record(on=True)
        started = time.monotonic()
        # The relay renews its lease now, and not only when the recording is over.
        jump = on.faults.add("relay_outbox", "clock", seconds=LEASE_SECONDS)
        transfer(on, payee)
        on.drained()
        on.faults.record(on=False)
        on.faults.remove(jump)
        if time.monotonic() - started < CALM_SECONDS:
            return on.faults.seen()


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

    def died(self) -> set[KillPoint]:
        """The points where a process has died."""
        return {self._armed[line["fired"]] for line in self._faults.fired() if line["fired"] in self._armed}

    def watch(self, stop: threading.Event) -> None:
        """Until stopped."""
        while not stop.wait(0.02):
            if any(each.service == "relay_outbox" for each in self.died()):
                self._pass_time()
                return

    def _pass_time(self) -> None:
        """For the relay: it renews its lease now, or takes one that has ended."""
        self._faults.add("relay_outbox", "clock", seconds=LEASE_SECONDS)

    def disarm(self) -> None:
        self._faults.remove(*self._armed)


@pytest.mark.timeout(600)
def test_death_at_any_call_loses_and_doubles_nothing(on: Stage, payee: Customer) -> None:
    calls = recorded(on, payee)
    assert {"gateway", "account", "transaction", "relay_outbox", "settle_transfers"} <= calls.keys()
    died = set[KillPoint]()
    every = {point for together in rounds(calls) for point in together}
    for together in rounds(calls):
        mortal = Mortal(on, together)
        with in_background(mortal.watch):
            transfer(on, payee)
            # A process that polls may come to its point only after the transfer has passed it.
            until(mortal.died, lambda found, all_of=set(together): found == all_of, PATIENCE_SECONDS)  # type: ignore[misc]
        mortal.disarm()
        died |= mortal.died()
        on.check()
    assert died == every
    assert len(died) == 2 * sum(map(len, calls.values()))
    on.audit()

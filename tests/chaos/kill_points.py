"""Places to die: before and after each call that was recorded, and processes that come to them."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.chaos.stage import Stage

LEASE_SECONDS = 11.0
"""Longer than the relay's lease. A relay that was killed still holds it for a while; the next one is told
that this time has passed."""
DAY = 86_400
LOOK_SECONDS = 0.05
BY_THE_CLOCK: Mapping[str, tuple[str, ...]] = {
    "audit_ledger": ("",),
    "dict_key": (
        "dynamodb GetItem keys poll/",
        "dynamodb Query keys/owner",
        "http GET bacen /api/v2/claims/",
    ),
}
"""What processes do when its time has come: on nobody's way, though a slow recording may have it. The auditor
is killed in the workload."""


@dataclass(frozen=True)
class KillPoint:
    """A place to die: before or after a call."""

    service: str
    call: str
    at: str


def points_of(service: str, calls: list[str]) -> list[KillPoint]:
    """Both points of each call."""
    return [KillPoint(service, call, at) for call in calls for at in ("before", "after")]


def recorded(on: Stage, name: str, journey: Callable[[], object]) -> Mapping[str, list[str]]:
    """The calls of one journey to its last event, by service."""
    # However slow the machine is, no transfer is so old that the sweep takes part.
    early = on.faults.add("sweep_transfers", "clock", seconds=-DAY)
    on.faults.record(name)
    # The relay renews its lease now, and not only when the recording is over.
    jump = on.faults.add("relay_outbox", "clock", seconds=LEASE_SECONDS)
    journey()
    on.drained()
    on.faults.record(None)
    on.faults.remove(early, jump)
    found = {
        service: [call for call in calls if not call.startswith(BY_THE_CLOCK.get(service, ()))]
        for service, calls in on.faults.seen(name).items()
    }
    return {service: calls for service, calls in found.items() if calls}


def pass_time(on: Stage) -> None:
    """For the relay: it renews its lease now, or takes one that has ended."""
    on.faults.add("relay_outbox", "clock", seconds=LEASE_SECONDS)


class Gauntlet:
    """Every process has all its points armed at once, and dies at the first that it comes to: each of its
    lives goes one point further, for as long as there is traffic that leads there."""

    def __init__(self, on: Stage, calls: Mapping[str, list[str]]) -> None:
        self._on = on
        pass_time(on)
        self._armed = {
            on.faults.add(each.service, "kill", call=each.call, at=each.at, times=1): each
            for service, every in calls.items()
            for each in points_of(service, every)
        }

    def left(self) -> set[KillPoint]:
        """The points where no process has died yet."""
        died = self._died()
        return {point for number, point in self._armed.items() if number not in died}

    def watch(self, stop: threading.Event) -> None:
        """Until stopped: what would be late only because somebody died comes soon."""
        seen: set[int] = set()
        passed = time.monotonic()
        while not stop.wait(LOOK_SECONDS):
            died = self._died()
            services = {self._armed[number].service for number in died - seen}
            seen = died
            if "relay_outbox" in services or time.monotonic() - passed > LEASE_SECONDS / 2:
                pass_time(self._on)
                passed = time.monotonic()
            if "receive_pix" in services:
                self._on.bacen.hand_out_again()

    def disarm(self) -> None:
        """Nobody dies any more."""
        self._on.faults.remove(*self._armed)

    def _died(self) -> set[int]:
        return {line["fired"] for line in self._on.faults.fired()} & self._armed.keys()

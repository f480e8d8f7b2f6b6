"""Kill -9 before and after every call that a transfer needs, in every process: nothing is lost or doubled.

One transfer is recorded first, from the opening of an account to the last event, so the list of calls is the
bank's own: a call that is new there becomes two kill points here without anybody's doing. Each round kills
every process at one of its points, and has people open accounts and pay until all have died: what one death
holds up may pass another point together with what came later, by a call of another name.

A Pix to another bank and one from there are recorded too, and what they call besides is killed at. Their
money takes its time where a process died, so nobody waits for it: people pay and are paid all the while,
until every process has died at all its points.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import zip_longest
from typing import Any

import pytest

from tests.chaos.faults import dynamodb_call
from tests.chaos.http_faults import http_call
from tests.chaos.kill_points import Gauntlet, KillPoint, pass_time, points_of, recorded
from tests.chaos.stage import DRAIN_SECONDS, Customer, Stage, in_background, stage, stopped
from tests.chaos.workload import PERSON
from tests.environment import until

POLL_SECONDS = 1.5
"""A process that polls may come to its point only after a transfer has passed it, but within this time."""
ROUND_SECONDS = 120.0
PIX_SECONDS = 600.0
PAYERS, BACKLOG = 2, 5
PAUSE_SECONDS = 0.2


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


@pytest.fixture(scope="module")
def of_a_transfer(on: Stage, payee: Customer) -> Mapping[str, list[str]]:
    """The calls of a transfer between accounts here, by service."""
    return recorded(on, "transfer", lambda: transfer(on, payee))


def rounds(calls: Mapping[str, list[str]]) -> list[list[KillPoint]]:
    """All kill points, at most one of a process in each round."""
    points = [points_of(service, each) for service, each in calls.items()]
    return [[point for point in together if point] for together in zip_longest(*points)]


class Mortal:
    """Arms the kill points of one round, and lets the lease of a relay that died run out."""

    def __init__(self, on: Stage, points: list[KillPoint]) -> None:
        self._on = on
        self._faults = on.faults
        pass_time(on)
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
                pass_time(self._on)
                return

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


def test_a_call_over_http_has_one_name_for_all_ids_in_its_path() -> None:
    names = {"http://127.0.0.1:8020": "bacen"}
    url = "http://127.0.0.1:8020/api/v1/in/99999010/operations/"
    assert http_call("GET", url + "E1", names) == http_call("GET", url + "E2?a=b", names)
    assert http_call("GET", url + "E1", names) == "http GET bacen /api/v1/in/{}/operations/{}"
    assert http_call("POST", "https://elsewhere.example/msgs", names) == "http POST other /msgs"


@pytest.mark.timeout(900)
def test_death_at_any_call_loses_and_doubles_nothing(
    on: Stage, payee: Customer, of_a_transfer: Mapping[str, list[str]]
) -> None:
    assert {"gateway", "account", "transaction", "relay_outbox", "settle_transfers"} <= of_a_transfer.keys()
    for together in rounds(of_a_transfer):
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


class Traffic:
    """Pix to another bank by key and from one, without end; nobody waits for what becomes of them."""

    def __init__(self, on: Stage, payers: list[Customer], payee: Customer) -> None:
        self._on = on
        self._payers = payers
        self._payee = payee
        self.paid: list[str] = []
        self.came: list[str] = []

    def out(self, payer: Customer) -> Callable[[threading.Event], None]:
        """What one payer does until stopped."""

        def run(stop: threading.Event) -> None:
            while not stop.wait(PAUSE_SECONDS):
                self.paid.append(pix_out(payer))

        return run

    def come(self, stop: threading.Event) -> None:
        """What other banks do until stopped. Orders that nobody answers in time would only be in the way."""
        while not stop.wait(PAUSE_SECONDS):
            if len(self._on.bacen.undecided()) < BACKLOG:
                self.came.append(self._on.bacen.pay(self._payee.account, 1))

    @contextmanager
    def flowing(self) -> Iterator[None]:
        with ExitStack() as stack:
            for work in [self.come, *map(self.out, self._payers)]:
                stack.enter_context(in_background(work))
            yield


def pix_out(payer: Customer) -> str:
    """A centavo goes to somebody at another bank; gives the transfer's id."""
    answer = payer.pay_key(PERSON, 1, PIX_SECONDS)
    assert answer.status == 201, answer.text
    return str(answer.body["transfer_id"])


def whole_pix_out(on: Stage, payer: Customer) -> None:
    """Until it is settled, and its look-up's tokens are back."""
    mark = f"refund#{payer.decided(pix_out(payer))['end_to_end_id']}"
    until(
        lambda: {item["pk"]["S"] for item in on.tables.items("keys")},
        lambda there: mark in there,
        DRAIN_SECONDS,
    )


def pix_in(on: Stage, payee: Customer) -> None:
    """A centavo comes from another bank."""
    order_id = on.bacen.pay(payee.account, 1)

    def status() -> str:
        return on.bacen.order(order_id).status

    assert until(status, lambda found: found != "WAITING", DRAIN_SECONDS) == "SETTLED"


def others(known: Mapping[str, list[str]], *recordings: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
    """The calls of these recordings that are no kill points of a transfer already."""
    found: dict[str, list[str]] = {}
    for recording in recordings:
        for service, calls in recording.items():
            for call in calls:
                if call not in [*known.get(service, []), *found.get(service, [])]:
                    found.setdefault(service, []).append(call)
    return found


@pytest.mark.timeout(1200)
def test_death_at_any_call_of_a_pix_loses_and_doubles_nothing(
    on: Stage, payee: Customer, of_a_transfer: Mapping[str, list[str]]
) -> None:
    payers = [on.customer(f"payer-{number}") for number in range(PAYERS)]
    for each in payers:
        each.open()
    out = recorded(on, "pix out", lambda: whole_pix_out(on, payers[0]))
    come = recorded(on, "pix in", lambda: pix_in(on, payee))
    calls = others(of_a_transfer, out, come)
    assert {"transaction", "dict_key", "send_pix", "refund_lookups", "receive_pix"} <= calls.keys()
    traffic = Traffic(on, payers, payee)
    with stopped(on, "send_pix"), stopped(on, "refund_lookups"):
        # Something to begin with: who is late on the way need not wait for those who come first.
        traffic.paid += [pix_out(payers[0]) for _ in range(BACKLOG)]
        until(on.tables.waiting, lambda rows: not rows, DRAIN_SECONDS)
        gauntlet = Gauntlet(on, calls)
    with traffic.flowing(), in_background(gauntlet.watch):
        until(gauntlet.left, lambda points: not points, PIX_SECONDS)
    gauntlet.disarm()
    on.check()
    on.audit()
    settled = {each.order_id for each in on.bacen.orders() if each.status == "SETTLED"}
    ids = {each.transfer_id: each.end_to_end_id for each in on.tables.books().payments.values()}
    assert {ids[each] for each in traffic.paid} & settled
    assert set(traffic.came) & settled

"""One fault at a time: while it lasts the bank may be slow, or say that it does not know; then all is well.

Every test ends with the drain and the checker: nothing is left behind.
"""

import json
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.checker import counted, on_topic, violations
from tests.chaos.control import INSTRUMENT, Kind
from tests.chaos.stage import (
    DEAD_LETTERS,
    DRAIN_SECONDS,
    SERVICES,
    TOPIC,
    Customer,
    Stage,
    decided,
    records,
    stage,
    stopped,
)
from tests.chaos.workload import PERSON
from tests.environment import ROOT, until

DAY = 86_400
LEASE_SECONDS = 11


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("faults"), own_broker=True) as up:
        yield up


@pytest.fixture(scope="module")
def people(whole: Stage) -> tuple[Customer, Customer]:
    customers = whole.customer("ana"), whole.customer("bruno")
    for each in customers:
        each.open()
    return customers


@pytest.fixture
def on(whole: Stage) -> Iterator[Stage]:
    """The stage, in order before and after."""
    yield whole
    whole.faults.clear()
    whole.bacen.mend()
    for name in SERVICES:
        whole.send_signal(name, signal.SIGCONT)
    whole.check()


@pytest.fixture
def ana(people: tuple[Customer, Customer]) -> Customer:
    return people[0]


@pytest.fixture
def bruno(people: tuple[Customer, Customer]) -> Customer:
    return people[1]


def moved_once(ana: Customer, bruno: Customer, key: str | None = None) -> str:
    """Ana pays Bruno a real and 23 centavos, and exactly that moves."""
    before = ana.available(), bruno.available()
    answer = ana.pay(bruno, 123, key)
    assert answer.status == 201, answer.text
    transfer_id = str(answer.body["transfer_id"])
    assert ana.decided(transfer_id)["status"] == "SETTLED"
    assert (ana.available(), bruno.available()) == (before[0] - 123, before[1] + 123)
    return transfer_id


def pix_went_once(on: Stage, ana: Customer) -> str:
    """Ana pays somebody at another bank by key, and exactly that moves, here and at Bacen."""
    before = ana.available()
    answer = ana.pay_key(PERSON, 123)
    assert answer.status == 201, answer.text
    transfer = ana.decided(str(answer.body["transfer_id"]))
    assert transfer["status"] == "SETTLED"
    assert ana.available() == before - 123
    order = on.bacen.order(transfer["end_to_end_id"])
    assert (order.status, order.amount_cents) == ("SETTLED", 123)
    return str(transfer["transfer_id"])


def pix_came_once(on: Stage, ana: Customer) -> None:
    """Somebody at another bank pays Ana."""
    before = ana.available()
    order_id = on.bacen.pay(ana.account, 45)
    until(ana.available, lambda cents: cents == before + 45, DRAIN_SECONDS)
    assert on.bacen.order(order_id).status == "SETTLED"


STORE = {
    "conflict": ("before", "TransactionConflict"),
    "throttled": ("before", "ThrottlingError"),
    "throttled whole": ("before", "ThrottlingException"),
    "capacity": ("before", "ProvisionedThroughputExceededException"),
    "500, not done": ("before", "InternalServerError"),
    "500, done": ("after", "InternalServerError"),
    "mismatch, not done": ("before", "IdempotentParameterMismatchException"),
    "mismatch, done or cancelled": ("after", "IdempotentParameterMismatchException"),
    "in progress": ("after", "TransactionInProgressException"),
}


@pytest.mark.parametrize(("at", "code"), STORE.values(), ids=STORE.keys())
def test_an_error_of_the_store_moves_money_once(
    on: Stage, ana: Customer, bruno: Customer, at: str, code: str
) -> None:
    for service in ("transaction", "settle_transfers", "relay_outbox"):
        on.faults.add(service, "fail", call="dynamodb TransactWriteItems", at=at, code=code, times=2)
    moved_once(ana, bruno)
    assert {line["service"] for line in on.faults.fired()} >= {"transaction", "settle_transfers"}


def test_a_token_whose_transaction_was_cancelled_decides_nothing(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    """The first send is cancelled by a conflict that nobody hears of; its repetition meets a mismatch."""
    code = "IdempotentParameterMismatchException"
    call = "dynamodb TransactWriteItems"
    on.faults.add("transaction", "fail", call=call, at="after", code=code, times=1)
    on.faults.add("transaction", "fail", call=call, at="before", code="TransactionConflict", times=1)
    on.faults.add("transaction", "fail", call=call, at="before", code=code, times=1)
    moved_once(ana, bruno)


def test_a_commit_whose_reply_is_lost_is_not_done_again(on: Stage, ana: Customer, bruno: Customer) -> None:
    lost = on.faults.add("*", "lose", call="dynamodb TransactWriteItems", at="after", times=6)
    moved_once(ana, bruno)
    assert len({line["service"] for line in on.faults.fired(lost)}) > 1


def test_a_lost_answer_between_services_leaves_the_key_to_be_repeated(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    on.faults.add("gateway", "lose", call="http POST transaction", at="after", times=1)
    key = str(uuid.uuid4())
    first = ana.api.post("/transfers", ana.payment(bruno, 123), key)
    assert (first.status, first.body["code"]) == (504, "outcome_unknown")
    assert not decided(first)
    again = ana.pay(bruno, 123, key)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")


def test_a_lost_delivery_report_sends_the_event_again_and_settles_once(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    on.faults.add("relay_outbox", "lose", call="kafka send", at="after", times=2)
    transfer_id = moved_once(ana, bruno)
    on.drained()
    assert max(copies(on, transfer_id).values()) > 1


def copies(on: Stage, transfer_id: str) -> Counter[bytes]:
    """How often each event of a transfer is on the topic."""
    headers = [dict(record.headers) for record in records(on.bootstrap, TOPIC)]
    return Counter(each["ce_id"] for each in headers if each.get("ce_subject") == transfer_id.encode())


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["at once", "late"])
def test_records_that_come_twice_in_any_order_settle_once(
    on: Stage, ana: Customer, bruno: Customer, seconds: float
) -> None:
    on.faults.add("settle_transfers", "delay", call="kafka poll", at="after", seconds=seconds)
    for kind in ("duplicate", "reorder"):
        on.faults.add("settle_transfers", kind, call="kafka poll", at="after")
    on.faults.add("relay_outbox", "duplicate", call="kafka send")
    for _ in range(3):
        moved_once(ana, bruno)


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["at once", "late"])
def test_a_pix_whose_records_come_twice_in_any_order_is_sent_once(
    on: Stage, ana: Customer, seconds: float
) -> None:
    add, polls = on.faults.add, []
    for service in ("send_pix", "refund_lookups"):
        add(service, "delay", call="kafka poll", at="after", seconds=seconds)
        polls += [add(service, kind, call="kafka poll", at="after") for kind in ("duplicate", "reorder")]
    add("relay_outbox", "duplicate", call="kafka send")
    for _ in range(2):
        pix_went_once(on, ana)
    pix_came_once(on, ana)
    assert {line["fired"] for line in on.faults.fired()} >= set(polls)


RAIL_CALLS = (
    ("transaction", "http POST dict_key"),
    ("dict_key", "http GET bacen"),
    ("send_pix", "http POST bacen"),
    ("send_pix", "http GET bacen"),
    ("receive_pix", "http POST bacen"),
)


@pytest.mark.parametrize(("do", "at"), [("lose", "after"), ("fail", "before"), ("delay", "after")])
def test_a_call_on_the_way_of_a_pix_that_fails_moves_it_once(
    on: Stage, ana: Customer, do: Kind, at: str
) -> None:
    rules = [
        on.faults.add(service, do, call=call, at=at, times=1, seconds=1.0) for service, call in RAIL_CALLS
    ]
    pix_went_once(on, ana)
    pix_came_once(on, ana)
    assert {line["fired"] for line in on.faults.fired()} >= set(rules)


@pytest.mark.parametrize("what", ["down", "slow", "lost_answer"])
def test_an_spi_that_is_down_slow_or_not_heard_moves_a_pix_once(on: Stage, ana: Customer, what: str) -> None:
    """Nobody is told anything wrong meanwhile, and all of it settles once the SPI is well again."""
    before = ana.available()
    ill = on.bacen.add("spi", what, seconds=1)
    answer = ana.pay_key(PERSON, 123)
    assert answer.status == 201, answer.text
    transfer_id = str(answer.body["transfer_id"])
    came = on.bacen.pay(ana.account, 45)
    sent = until(lambda: ana.see(f"/transfers/{transfer_id}")["status"], lambda seen: seen != "HELD", 40)
    assert sent in {"SENT", "SETTLED"}
    on.bacen.mend(ill)
    assert ana.decided(transfer_id)["status"] == "SETTLED"
    until(ana.available, lambda cents: cents == before - 123 + 45, DRAIN_SECONDS)
    assert on.bacen.order(came).status == "SETTLED"


def test_a_store_that_stops_for_longer_than_clients_wait_decides_once(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    """Calls that nobody waits for any more are carried out when it goes on, beside their repetitions."""
    before = ana.available(), bruno.available()
    key = str(uuid.uuid4())
    with stopped(on, "ministack"):
        answer = ana.api.post("/transfers", ana.payment(bruno, 123), key)
        assert answer.status in {503, 504}
        assert not decided(answer)
    assert ana.pay(bruno, 123, key).status == 201
    on.drained()
    assert (ana.available(), bruno.available()) == (before[0] - 123, before[1] + 123)


def test_a_slow_store_is_waited_for(on: Stage, ana: Customer, bruno: Customer) -> None:
    on.faults.add("*", "delay", call="dynamodb", seconds=0.4)
    moved_once(ana, bruno)


def test_while_the_broker_is_down_money_is_held_and_moves_when_it_is_back(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    assert on.broker is not None
    on.broker.signal(signal.SIGSTOP)
    try:
        answers = [ana.pay(bruno, 1) for _ in range(3)]
        assert {each.status for each in answers} == {201}
        assert {ana.see(f"/transfers/{each.body['transfer_id']}")["status"] for each in answers} == {"HELD"}
    finally:
        on.broker.signal(signal.SIGCONT)
    assert {ana.decided(str(each.body["transfer_id"]))["status"] for each in answers} == {"SETTLED"}


def test_a_broker_that_lost_its_memory_gets_every_event_again(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    assert on.broker is not None
    for _ in range(3):
        moved_once(ana, bruno)
    on.drained()
    on.broker.kill()
    waiting = ana.pay(bruno, 1)
    assert waiting.status == 201
    on.start_broker()
    assert ana.decided(str(waiting.body["transfer_id"]))["status"] == "SETTLED"
    told = {row.event_id for row in on.tables.books().history}
    until(on.event_ids, lambda there: told <= there, 40)
    on.drained()
    assert on_topic(on.tables.books(), on.event_ids()) == []


@contextmanager
def second_relay(on: Stage) -> Iterator[None]:
    """One more relay, for which the lease of the first has run out."""
    variables = on.role("relay_outbox") | {
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(on.bank.folder / "tokens" / "relay_outbox")
    }
    program = (
        f"import runpy; runpy.run_path({str(INSTRUMENT)!r})['install']('second_relay'); "
        "runpy.run_module('apps.consumers.relay_outbox', run_name='__main__')"
    )
    on.faults.add("second_relay", "clock", seconds=LEASE_SECONDS)
    with (on.bank.folder / "logs" / "second_relay.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, env=variables, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_relay_that_slept_through_the_end_of_its_lease_changes_nothing(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    """It stops between the broker's report and writing it down, and wakes when another has its lease."""
    asleep = on.faults.add("relay_outbox", "stop", call="kafka send", at="after", times=1)
    answer = ana.pay(bruno, 123)
    transfer_id = str(answer.body["transfer_id"])
    until(lambda: on.faults.fired(asleep), bool)
    with second_relay(on):
        assert ana.decided(transfer_id)["status"] == "SETTLED"
        on.drained()
        on.send_signal("relay_outbox", signal.SIGCONT)
        moved_once(ana, bruno)
        assert max(copies(on, transfer_id).values()) > 1
    # The second one is gone, and so is its lease: by the clock of whoever takes it next.
    on.faults.add("relay_outbox", "clock", seconds=3 * LEASE_SECONDS)
    moved_once(ana, bruno)


@pytest.mark.parametrize("service", ["transaction", "settle_transfers", "relay_outbox", "sweep_transfers"])
@pytest.mark.parametrize("seconds", [DAY, -DAY, 40 * DAY], ids=["a day on", "a day back", "forty days on"])
def test_a_clock_that_jumps_moves_no_money_twice(
    on: Stage, ana: Customer, bruno: Customer, service: str, seconds: int
) -> None:
    total = ana.available() + bruno.available()
    jump = on.faults.add(service, "clock", seconds=seconds)
    during = ana.decided(str(ana.pay(bruno, 5).body["transfer_id"]))
    on.faults.remove(jump)
    after = ana.decided(str(ana.pay(bruno, 5).body["transfer_id"]))
    assert after["status"] == "SETTLED"
    # A hold may end before its time where a clock says so, and then its money is back.
    assert (during["status"], during["reason"]) in {("SETTLED", None), ("REJECTED", "hold_expired")}
    assert ana.available() + bruno.available() == total


def test_a_hold_that_ended_is_not_settled_by_its_late_event(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    before = ana.available(), bruno.available()
    with stopped(on, "settle_transfers"):
        answer = ana.pay(bruno, 123)
        on.faults.add("sweep_transfers", "clock", seconds=DAY)
        transfer = ana.decided(str(answer.body["transfer_id"]))
    assert (transfer["status"], transfer["reason"]) == ("REJECTED", "hold_expired")
    on.drained()
    assert (ana.available(), bruno.available()) == before


def test_poison_goes_to_the_dead_letters_as_it_was_and_holds_nobody_up(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    there = len(records(on.bootstrap, DEAD_LETTERS))
    for number in range(4):
        on.poison(number)
    moved_once(ana, bruno)
    dead = until(lambda: records(on.bootstrap, DEAD_LETTERS)[there:], lambda found: len(found) >= 4)
    topic = {(each.partition, each.offset): each for each in records(on.bootstrap, TOPIC)}
    for letter in dead:
        headers = dict(letter.headers)
        was = topic[int(headers["dl_partition"]), int(headers["dl_offset"])]
        assert (letter.value, letter.key) == (was.value, was.key)
        assert letter.headers[: len(was.headers)] == was.headers
        assert headers["dl_reason"]


def test_an_event_of_a_newer_version_waits_for_its_handler(on: Stage, ana: Customer, bruno: Customer) -> None:
    there = len(records(on.bootstrap, DEAD_LETTERS))
    newer = on.faults.add("settle_transfers", "newer", call="kafka poll", at="after")
    before = len(on.faults.fired(newer))
    answer = ana.pay(bruno, 123)
    transfer_id = str(answer.body["transfer_id"])
    until(lambda: len(on.faults.fired(newer)), lambda times: times > before + 2)
    assert ana.see(f"/transfers/{transfer_id}")["status"] == "HELD"
    on.faults.remove(newer)
    assert ana.decided(transfer_id)["status"] == "SETTLED"
    assert len(records(on.bootstrap, DEAD_LETTERS)) == there


def test_a_pix_whose_event_is_of_a_newer_version_is_not_sent_before_its_handler_is_there(
    on: Stage, ana: Customer
) -> None:
    newer = on.faults.add("send_pix", "newer", call="kafka poll", at="after")
    answer = ana.pay_key(PERSON, 123)
    transfer_id = str(answer.body["transfer_id"])
    until(lambda: len(on.faults.fired(newer)), lambda times: times > 2)
    assert ana.see(f"/transfers/{transfer_id}")["status"] == "HELD"
    on.faults.remove(newer)
    assert ana.decided(transfer_id)["status"] == "SETTLED"


def test_a_balance_changed_by_hand_is_found_by_both_auditors(
    on: Stage, ana: Customer, bruno: Customer
) -> None:
    moved_once(ana, bruno)
    on.drained()
    place = f"ACC#{ana.account_id}", "BAL"
    was = on.tables.books().accounts[ana.account_id].available
    on.tables.change("accounts", *place, available={"N": str(was + 1)})
    try:
        found = counted(violations(on.tables.books()))
        report = json.loads(on.bank.gobank("audit", "--json").stdout)
    finally:
        on.tables.change("accounts", *place, available={"N": str(was)})
    assert found == {"sum_is_not_zero": 1, "balance_is_not_its_entries": 1}
    assert not report["ok"]
    assert {each["account_id"] for each in report["drift"]} == {ana.account_id}
    on.audit()

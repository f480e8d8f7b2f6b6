"""Money to another bank: what leaves, when, how often, and what brings it to its end."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.consumers.pix_answers import AT_ONCE, MOST, PATIENCE_SECONDS, Answers, Stopped
from apps.consumers.pix_orders import Orders
from apps.consumers.send_pix import Sending
from apps.consumers.sweep_transfers import Sweep
from apps.kit import events
from apps.kit.dynamo import Deadline
from apps.kit.events import Event
from apps.kit.worker import Poison, TryAgain
from apps.ledger import items
from apps.ledger.entries import Drift
from apps.ledger.outbox import Published
from apps.ledger.transfer import ACCEPTED, EVENT_VERSION, HELD, REJECTED, SENT, SETTLED, Transfer
from apps.pix import spi_reading
from apps.pix.outgoing import MARGIN, SENDABLE_FOR
from apps.pix.spi import UNSIGNED, PaymentOrder
from apps.transaction.destination import BankAccount
from tests.apps.consumers import fake_spi
from tests.apps.consumers.fake_spi import FakeSpi
from tests.apps.kit.faulty_dynamo import cancel, lose_reply, lose_request, refuse
from tests.apps.ledger.bank import GRANT_CENTS, Bank, fake_bank

CENTS = 300
MARIA = BankAccount("18236120", "0001", "987654321", "TRAN", "31827465026", "Maria da Silva")
OVER = SENDABLE_FOR + MARGIN


class Workers:
    """The worker's parts, on a ledger, an SPI and clocks that tests own."""

    def __init__(self) -> None:
        self.bank: Bank = fake_bank()
        self.spi = FakeSpi()
        self.started = self.bank.time()
        self.ana = self.bank.open("ana", "52998224725")
        self.bank.settle_all()
        self._open: list[Answers] = []
        self.restart()

    def restart(self) -> None:
        """A new process: what the old one had in mind is gone."""
        ledger = self.bank.ledger
        self.orders = Orders(self.spi, UNSIGNED, self.bank.time)
        self.answers = Answers(ledger, self.orders, monotonic=self._monotonic)
        self._open.append(self.answers)
        self.sending = Sending(ledger, self.orders, self.answers)

    def _monotonic(self) -> float:
        return (self.bank.time() - self.started).total_seconds()

    def close(self) -> None:
        for each in self._open:
            each._pool.shutdown()

    def pass_time(self, seconds: float) -> None:
        self.bank.time.moment += timedelta(seconds=seconds)

    def held(self, cents: int = CENTS) -> Event:
        """The event of a payment of Ana to another bank."""
        made = self.bank.pay("ana", self.ana, MARIA, cents).transfer
        return self.event(made.transfer_id)

    def event(self, transfer_id: str, kind: str = HELD) -> Event:
        rows = self.bank.outbox.still_waiting(transfer_id, 1)
        records = [events.record_from_json(row.record) for row in rows]
        (found,) = [
            event for each in records if (event := events.decode(each.headers, each.value)).type == kind
        ]
        return found

    def send(self, *wanted: Event) -> list[Exception | None]:
        return self.sending.send(wanted)

    def sent(self, cents: int = CENTS) -> Transfer:
        """A payment whose order has left."""
        event = self.held(cents)
        assert self.send(event) == [None]
        return self.standing(event)

    def standing(self, what: Event | Transfer) -> Transfer:
        transfer_id = what.transfer_id if isinstance(what, Transfer) else str(what.data["transfer_id"])
        return self.bank.standing_of(transfer_id)

    def until_decided(self, what: Event | Transfer, limit: int = 60) -> Transfer:
        """Round after round, each when the next question is due."""
        for _ in range(limit):
            self.pass_time(self.answers.round() + 0.001)
            if (found := self.standing(what)).decided_at is not None:
                return found
        raise AssertionError(f"still {self.standing(what).status}")

    def available(self, what: Event | Transfer) -> int:
        return self.bank.available(self.standing(what).payer)

    def left(self, what: Event | Transfer) -> list[bytes]:
        """The bytes that reached the SPI, as often as they did."""
        return self.spi.orders.get(str(self.standing(what).end_to_end_id), [])


@pytest.fixture
def works() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()
    assert made.bank.auditor.audit().ok


def accepted(transfer: Transfer) -> datetime:
    assert transfer.accepted_at is not None
    return datetime.fromisoformat(transfer.accepted_at)


# --- SENT, and the order that leaves ----------------------------------------------------------------


def test_sent_is_durable_before_the_order_leaves(works: Workers) -> None:
    event = works.held()
    seen: list[Transfer] = []

    def look(call: fake_spi.Call) -> bytes | None:
        seen.append(works.standing(event))
        return call()

    works.spi.sends = [look]
    assert works.send(event) == [None]
    (stood,) = seen
    assert stood.status == "SENT"
    (order,) = works.left(event)
    assert order == (stood.sent_order or "").encode()


def test_the_order_says_what_was_asked_for(works: Workers) -> None:
    sent = works.sent()
    (order,) = works.left(sent)
    said = spi_reading.read(order)
    assert isinstance(said, PaymentOrder)
    assert (said.end_to_end_id, said.amount_cents) == (sent.end_to_end_id, CENTS)
    assert (said.creditor.ispb, said.creditor.account, said.instrument) == ("18236120", "987654321", "MANU")
    assert (said.debtor.name, said.debtor.ispb) == ("ana", "99999010")
    assert (said.header.message_id, said.accepted_at) == (sent.message_id, accepted(sent))


def test_a_payment_that_settles_debits_the_payer_and_credits_settlement_once(works: Workers) -> None:
    sent = works.sent()
    assert (works.available(sent), sent.status) == (GRANT_CENTS - CENTS, "SENT")
    settled = works.until_decided(sent)
    assert settled.status == "SETTLED"
    assert works.available(sent) == GRANT_CENTS - CENTS
    assert works.bank.available(sent.payee) == CENTS
    assert len(works.left(sent)) == 1


def test_who_makes_it_sent_sends_without_asking(works: Workers) -> None:
    works.sent()
    assert works.spi.asked == []


def test_of_two_deliveries_of_one_event_one_sends(works: Workers) -> None:
    event = works.held()
    assert works.send(event, event) == [None, None]
    assert works.send(event) == [None]
    assert len(works.left(event)) == 1
    assert works.until_decided(event).status == "SETTLED"
    assert len(works.left(event)) == 1


def test_of_two_workers_the_one_whose_write_lost_asks_and_sends_nothing(works: Workers) -> None:
    event = works.held()
    assert works.send(event) == [None]
    works.restart()
    assert works.send(event) == [None]
    assert works.until_decided(event).status == "SETTLED"
    assert len(works.left(event)) == 1
    assert works.spi.asked


def test_events_of_one_poll_share_a_transaction_and_each_has_its_answer(works: Workers) -> None:
    first, second = works.held(), works.held()
    unknown = replace(first, data={**first.data, "transfer_id": "nothing"})
    malformed = replace(first, data={**first.data, "transfer_id": 7})
    works.bank.client.seen.clear()
    answers = works.send(malformed, first, unknown, second)
    assert [type(each) for each in answers] == [Poison, type(None), Poison, type(None)]
    assert len(works.bank.client.seen) == 1
    works.answers.round()
    assert len(works.bank.client.seen) == 2
    assert {works.standing(each).status for each in (first, second)} == {"SETTLED"}


@pytest.mark.parametrize("rail", [None, "ted", 7])
def test_what_is_for_no_other_bank_is_left_alone(works: Workers, rail: object) -> None:
    event = works.held()
    assert works.send(replace(event, data={**event.data, "rail": rail})) == [None]
    assert works.standing(event).status == "HELD"
    assert works.spi.orders == {}


def test_every_type_of_event_has_its_handler(works: Workers) -> None:
    handled = works.sending.handlers() | works.sending.together()
    assert {kind: version for kind, (version, _) in handled.items()} == dict.fromkeys(
        (HELD, SENT), EVENT_VERSION
    )
    assert works.sending.skips() == dict.fromkeys((ACCEPTED, SETTLED, REJECTED), EVENT_VERSION)


def test_a_decided_payments_events_ask_nobody(works: Workers) -> None:
    sent = works.sent()
    works.until_decided(sent)
    asked = len(works.spi.asked)
    _, handle = works.sending.handlers()[SENT]
    handle(works.event(sent.transfer_id, SENT))
    works.answers.round()
    assert len(works.spi.asked) == asked


def test_a_payment_whose_hold_is_over_never_leaves(works: Workers) -> None:
    event = works.held()
    works.pass_time(31 * 60)
    works.bank.ledger.expire(str(event.data["transfer_id"]), Deadline.after(2))
    assert works.send(event) == [None]
    assert works.standing(event).reason == "hold_expired"
    assert works.spi.orders == {}


def test_nothing_leaves_from_a_frozen_account_and_all_goes_on_afterwards(works: Workers) -> None:
    event = works.held()
    payer = works.standing(event).payer
    works.bank.auditor.freeze(Drift(payer, "wrong_sum", "a test"))
    assert works.send(event) == [None]
    assert works.spi.orders == {}
    assert works.bank.auditor.unfreeze(payer) == ()
    assert works.send(event) == [None]
    assert works.until_decided(event).status == "SETTLED"


def test_an_order_that_cannot_be_written_never_leaves_and_the_money_comes_back(
    works: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    event = works.held()
    transfer_id = str(event.data["transfer_id"])
    works.bank.raw.update_item(
        TableName=works.bank.tables.transactions,
        Key=items.transfer_key(transfer_id),
        UpdateExpression="SET payment = :text",
        ExpressionAttributeValues={":text": {"S": "{}"}},
    )
    assert works.send(event) == [None]
    assert "orders_not_written" in capsys.readouterr().out
    works.pass_time(31 * 60)
    Sweep(works.bank.ledger, works.bank.outbox).look(transfer_id)
    assert works.bank.ledger.find(transfer_id).status == "REJECTED"  # type: ignore[union-attr]
    assert works.available(event) == GRANT_CENTS


# --- an unknown outcome is resolved by asking -------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "times"), [(fake_spi.lose_reply, 1), (fake_spi.lose_request, 2)], ids=["reply", "request"]
)
def test_a_lost_send_is_asked_for_and_repeated_with_the_same_bytes(
    works: Workers, fault: fake_spi.Fault, times: int
) -> None:
    works.spi.sends = [fault]
    sent = works.sent()
    assert works.until_decided(sent).status == "SETTLED"
    left = works.left(sent)
    assert len(left) == 1
    assert left[0] == (sent.sent_order or "").encode()
    again = works.standing(sent)
    assert (again.message_id, again.accepted_at, again.end_to_end_id) == (
        sent.message_id,
        sent.accepted_at,
        sent.end_to_end_id,
    )


def test_an_order_that_the_spi_does_not_know_yet_is_not_repeated_at_once(works: Workers) -> None:
    sent = works.sent()
    works.spi.told[str(sent.end_to_end_id)] = None
    works.answers.round()
    works.pass_time(0.5)
    works.answers.round()
    assert len(works.left(sent)) == 1
    works.pass_time(1.0)
    works.answers.round()
    assert len(works.left(sent)) == 2
    assert len(set(works.left(sent))) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(fake_spi.lose_request, id="lost"),
        pytest.param(lambda _: b"<html>", id="no XML"),
        pytest.param(lambda _: b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", id="entities"),
        pytest.param(
            lambda _: fake_spi.report("E9999901020261125090099999999999", "ACSC"), id="another payment"
        ),
        pytest.param(
            lambda _: fake_spi.report("E9999901020261125090099999999999", "RJCT", "AC03"), id="another's no"
        ),
    ],
)
def test_what_is_no_answer_decides_nothing(works: Workers, answer: fake_spi.Fault) -> None:
    sent = works.sent()
    works.spi.asks = [answer] * 3
    for _ in range(3):
        works.pass_time(works.answers.round() + 0.001)
        assert works.standing(sent).status == "SENT"
    assert works.until_decided(sent).status == "SETTLED"


def test_an_order_of_ours_as_an_answer_decides_nothing(works: Workers) -> None:
    sent = works.sent()
    works.spi.asks = [lambda _: (sent.sent_order or "").encode()]
    works.answers.round()
    assert works.standing(sent).status == "SENT"


@pytest.mark.parametrize("code", ["DUPL", "ED05", "AM09"])
def test_what_is_said_of_a_copy_never_releases_a_hold(works: Workers, code: str) -> None:
    """The first order is on its way still: released, the money would move twice."""
    works.spi.says = ("RJCT", code)
    sent = works.sent()
    for _ in range(40):
        works.pass_time(works.answers.round() + 2)
    assert works.standing(sent).status == "SENT"
    works.spi.says = ("ACSC", None)
    works.restart()
    works.sending.ask(works.event(sent.transfer_id, SENT))
    assert works.until_decided(sent).status == "SETTLED"
    assert works.bank.available(sent.payee) == CENTS


def test_a_timeout_after_a_resend_never_releases_a_hold_that_may_still_settle(works: Workers) -> None:
    works.spi.sends = [fake_spi.lose_reply]
    sent = works.sent()
    works.spi.says = ("RJCT", "AB03")
    while works.bank.time() < accepted(sent) + OVER - timedelta(seconds=1):
        works.pass_time(min(works.answers.round() + 0.001, 1.0))
        assert works.standing(sent).status == "SENT"
    works.spi.says = ("ACSC", None)
    assert works.until_decided(sent).status == "SETTLED"


def test_a_timeout_gives_the_money_back_once_nothing_can_settle_any_more(works: Workers) -> None:
    works.spi.says = ("RJCT", "AB03")
    decided = works.until_decided(works.sent())
    assert (decided.status, decided.reason) == ("REJECTED", "pix_timeout")
    assert decided.decided_at is not None
    assert datetime.fromisoformat(decided.decided_at) >= accepted(decided) + OVER
    assert works.available(decided) == GRANT_CENTS


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AC03", "payee_account_unknown"),
        ("AC06", "payee_account_blocked"),
        ("AC07", "payee_account_closed"),
        ("BE01", "payee_document_wrong"),
        ("DS04", "payee_bank_refused"),
        ("RC10", "payee_bank_unknown"),
        ("FF08", "order_refused"),
        ("XY99", "rejected_by_pix"),
    ],
)
def test_a_rejection_gives_the_money_back_at_once_and_says_why(
    works: Workers, code: str, reason: str
) -> None:
    works.spi.says = ("RJCT", code)
    sent = works.sent()
    works.answers.round()
    decided = works.standing(sent)
    assert (decided.status, decided.reason) == ("REJECTED", reason)
    assert works.available(sent) == GRANT_CENTS
    assert works.bank.available(sent.payee) == 0


def test_accepted_by_the_other_bank_is_not_settled(works: Workers) -> None:
    works.spi.says = ("ACSP", None)
    sent = works.sent()
    for _ in range(5):
        works.pass_time(works.answers.round() + 0.001)
        assert works.standing(sent).status == "SENT"
    works.spi.says = ("ACSC", None)
    assert works.until_decided(sent).status == "SETTLED"


def test_not_found_is_rejected_only_after_forty_seconds_and_a_margin(works: Workers) -> None:
    works.spi.sends = [fake_spi.lose_request] * 1000
    sent = works.sent()
    while works.bank.time() < accepted(sent) + OVER:
        assert works.standing(sent).status == "SENT"
        works.pass_time(min(works.answers.round() + 0.001, 1.0))
    decided = works.until_decided(sent)
    assert (decided.status, decided.reason) == ("REJECTED", "pix_not_reached")
    assert works.available(sent) == GRANT_CENTS


def test_nobody_sends_again_after_forty_seconds(works: Workers) -> None:
    works.spi.sends = [fake_spi.lose_request]
    sent = works.sent()
    works.spi.told[str(sent.end_to_end_id)] = None
    works.pass_time(SENDABLE_FOR.total_seconds())
    works.answers.round()
    assert works.left(sent) == []
    assert works.until_decided(sent).status == "REJECTED"
    assert works.left(sent) == []


def test_nobody_sends_first_after_forty_seconds(works: Workers) -> None:
    """A process that was stopped between its write and its send wakes up late."""
    event = works.held()

    def sleep(name: str, call: Any) -> Any:
        answer = call()
        works.pass_time(SENDABLE_FOR.total_seconds())
        return answer

    works.bank.client.faults = [sleep]
    assert works.send(event) == [None]
    assert works.standing(event).status == "SENT"
    assert works.left(event) == []
    decided = works.until_decided(event)
    assert (decided.status, decided.reason) == ("REJECTED", "pix_not_reached")


def test_acceptance_and_bytes_are_never_refreshed(works: Workers) -> None:
    works.spi.sends = [fake_spi.lose_request] * 5
    sent = works.sent()
    for _ in range(20):
        works.restart()
        works.send(works.event(sent.transfer_id))
        works.pass_time(works.answers.round() + 1)
        stands = works.standing(sent)
        assert (stands.sent_order, stands.message_id, stands.accepted_at) == (
            sent.sent_order,
            sent.message_id,
            sent.accepted_at,
        )
    assert set(works.left(sent)) == {(sent.sent_order or "").encode()}


def test_sent_never_expires_however_long_nobody_answers(works: Workers) -> None:
    sent = works.sent()
    works.spi.asks = [fake_spi.lose_request] * 100
    for _ in range(10):
        works.pass_time(3600)
        works.answers.round()
        Sweep(works.bank.ledger, works.bank.outbox).look(sent.transfer_id)
    assert works.standing(sent).status == "SENT"
    works.spi.asks = []
    works.restart()
    works.sending.ask(works.event(sent.transfer_id, SENT))
    assert works.until_decided(sent).status == "SETTLED"


# --- a crash at any point goes on -------------------------------------------------------------------


@pytest.mark.parametrize("reached", [True, False], ids=["the order has left", "it has not"])
def test_a_crash_after_sent_goes_on_by_asking(works: Workers, reached: bool) -> None:
    event = works.held()

    def die(call: fake_spi.Call) -> bytes | None:
        if reached:
            call()
        raise KeyboardInterrupt

    works.spi.sends = [die]
    with pytest.raises(KeyboardInterrupt):
        works.send(event)
    works.restart()
    assert works.send(event) == [None]
    assert works.until_decided(event).status == "SETTLED"
    assert len(works.left(event)) == 1
    assert works.bank.available(works.standing(event).payee) == CENTS


def test_a_crash_after_the_offset_was_committed_goes_on_by_the_sweep(works: Workers) -> None:
    sent = works.sent()
    works.restart()
    for row in works.bank.outbox.still_waiting(sent.transfer_id, 1):
        now = works.bank.time()
        lease = works.bank.outbox.take_lease(works.bank.outbox.lease(0), 0, "relay", until=now, now=now)
        assert lease is not None
        assert works.bank.outbox.published([Published(row, 0, 1)], lease, lease, now)
    works.pass_time(6)
    Sweep(works.bank.ledger, works.bank.outbox).look(sent.transfer_id)
    works.sending.ask(works.event(sent.transfer_id, SENT))
    assert works.until_decided(sent).status == "SETTLED"
    assert len(works.left(sent)) == 1


@pytest.mark.parametrize("code", [None, "AC03"], ids=["settled", "rejected"])
@pytest.mark.parametrize("fault", [lose_reply, lose_request, cancel("TransactionConflict")])
def test_an_answer_is_written_once_whatever_becomes_of_the_write(
    works: Workers, fault: Any, code: str | None
) -> None:
    if code is not None:
        works.spi.says = ("RJCT", code)
    sent = works.sent()
    works.bank.client.faults = [fault]
    decided = works.until_decided(sent)
    works.restart()
    works.answers.await_all([sent], left=False)
    works.answers.round()
    assert decided.status == ("SETTLED" if code is None else "REJECTED")
    assert works.available(sent) == GRANT_CENTS - (CENTS if code is None else 0)


@pytest.mark.parametrize(("fault", "stands"), [(lose_reply, True), (lose_request, False)])
def test_who_does_not_know_whether_it_is_sent_lets_nothing_leave(
    works: Workers, fault: Any, *, stands: bool
) -> None:
    event = works.held()
    works.bank.client.faults = [fault, cancel("ValidationError")]
    (answer,) = works.send(event)
    assert isinstance(answer, TryAgain)
    assert works.spi.orders == {}
    assert works.standing(event).status == ("SENT" if stands else "HELD")
    assert works.send(event) == [None]
    assert works.until_decided(event).status == "SETTLED"
    assert len(works.left(event)) == 1


def test_a_store_that_does_not_answer_means_again_later(works: Workers) -> None:
    event = works.held()
    works.bank.client.operation = "batch_get_item"
    works.bank.client.faults = [refuse("InternalServerError", 500)] * 3
    assert [type(each) for each in works.send(event)] == [TryAgain]
    assert works.send(event) == [None]
    assert works.until_decided(event).status == "SETTLED"


def test_a_frozen_account_keeps_the_answer_waiting_and_the_sweep_brings_it_back(works: Workers) -> None:
    sent = works.sent()
    works.bank.auditor.freeze(Drift(sent.payer, "wrong_sum", "a test"))
    works.answers.round()
    assert works.standing(sent).status == "SENT"
    assert not works.answers.awaits(sent.transfer_id)
    assert works.bank.auditor.unfreeze(sent.payer) == ()
    works.sending.ask(works.event(sent.transfer_id, SENT))
    assert works.until_decided(sent).status == "SETTLED"


# --- the events of what is SENT ---------------------------------------------------------------------


def test_a_payment_that_is_awaited_already_is_not_read_again(works: Workers) -> None:
    sent = works.sent()
    works.bank.client.operation = "batch_get_item"
    works.bank.client.faults = [refuse("InternalServerError", 500)] * 9
    works.sending.ask(works.event(sent.transfer_id, SENT))
    assert len(works.bank.client.faults) == 9
    works.restart()
    with pytest.raises(TryAgain):
        works.sending.ask(works.event(sent.transfer_id, SENT))
    works.bank.client.faults.clear()


@pytest.mark.parametrize("value", [None, "", 7, "nothing"], ids=["missing", "empty", "number", "nobody's"])
def test_an_event_of_no_transfer_is_poison(works: Workers, value: object) -> None:
    sent = works.sent()
    works.restart()
    event = works.event(sent.transfer_id, SENT)
    with pytest.raises(Poison):
        works.sending.ask(replace(event, data={**event.data, "transfer_id": value}))


def test_a_damaged_transfer_is_told_and_lets_the_others_go_on(
    works: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = works.sent()
    works.restart()
    place = {"TableName": works.bank.tables.transactions, "Key": items.transfer_key(sent.transfer_id)}
    whole = works.bank.raw.get_item(**place)["Item"]
    damaged = {name: value for name, value in whole.items() if name != "amount_cents"}
    works.bank.raw.put_item(TableName=works.bank.tables.transactions, Item=damaged)
    works.sending.ask(works.event(sent.transfer_id, SENT))
    assert works.send(works.event(sent.transfer_id)) == [None]
    assert capsys.readouterr().out.count('"damaged_records": 1') == 2
    works.bank.raw.put_item(TableName=works.bank.tables.transactions, Item=whole)


# --- the list of those who wait ---------------------------------------------------------------------


def test_questions_come_soon_and_then_later_and_later(works: Workers) -> None:
    works.spi.says = ("ACSP", None)
    works.sent()
    waits = []
    for _ in range(12):
        waits.append(works.answers.round())
        works.pass_time(waits[-1] + 0.001)
    assert waits[:4] == pytest.approx([0.02, 0.04, 0.08, 0.16])
    assert waits[-1] == pytest.approx(5.0)


def test_who_waits_too_long_is_left_to_the_sweep(works: Workers) -> None:
    works.spi.says = ("ACSP", None)
    sent = works.sent()
    for _ in range(40):
        works.pass_time(works.answers.round() + 0.001)
    assert works.bank.time() > accepted(sent) + timedelta(seconds=PATIENCE_SECONDS)
    assert not works.answers.awaits(sent.transfer_id)
    assert works.standing(sent).status == "SENT"


def test_the_list_is_not_endless_and_what_it_leaves_out_is_not_lost(
    works: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = works.sent()
    others = [replace(sent, transfer_id=str(uuid.uuid4())) for _ in range(MOST + 5)]
    works.answers.await_all(others, left=False)
    assert "answers_not_awaited" in capsys.readouterr().out
    assert len(works.answers._waiting) == MOST
    assert not works.answers.awaits(others[-1].transfer_id)


def test_a_round_is_no_larger_than_its_reads(works: Workers) -> None:
    works.spi.says = ("ACSP", None)
    sent = works.sent()
    others = [replace(sent, transfer_id=str(uuid.uuid4())) for _ in range(AT_ONCE + 5)]
    works.answers.await_all(others, left=False)
    works.answers.round()
    assert len(works.spi.asked) == AT_ONCE


def test_the_thread_asks_by_itself_survives_a_bad_round_and_ends(works: Workers) -> None:
    works.restart()
    decided = threading.Event()
    calls = 0

    def fail_once(call: fake_spi.Call) -> bytes | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        decided.set()
        return call()

    works.spi.asks = [fail_once] * 5
    works.answers = Answers(works.bank.ledger, works.orders)
    works.sending = Sending(works.bank.ledger, works.orders, works.answers)
    with pytest.raises(Stopped):
        works.answers.ready()
    works.answers.start()
    works.answers.ready()
    sent = works.sent()
    assert decided.wait(10)
    works.answers.close()
    assert works.standing(sent).status == "SETTLED"


def test_no_log_line_says_who_pays_whom(works: Workers, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        works.spi.sends = [fake_spi.lose_request]
        works.spi.asks = [fake_spi.lose_request, lambda _: b"<x>31827465026</x>"]
        works.until_decided(works.sent())
    lines = [str(vars(each)) for each in caplog.records if each.name.startswith("apps")]
    assert len(lines) >= 5
    for secret in ("31827465026", "987654321", "Maria", "Envelope"):
        assert [line for line in lines if secret in line] == []

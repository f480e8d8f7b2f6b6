"""Pix from other banks: promised before we say yes, credited once, or refused with the code that says why."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from apps.account.account import AccountType
from apps.consumers import pix_arrivals
from apps.consumers.icom import SpiDown
from apps.kit.outbound import Answer, Call, NoAnswer
from apps.ledger import account, items
from apps.pix import outgoing, spi_reading, spi_writing
from apps.pix.spi import SPI_ISPB, Header, PaymentOrder, StatusReport, new_message_id
from apps.simulators.bacen.faults import Fault as BacenFault
from apps.simulators.bacen.transport import Message
from tests.apps.consumers.rail_stage import CPF, ITAU, Fault, Stage, stage
from tests.apps.kit.faulty_dynamo import lose_reply, lose_request
from tests.apps.ledger.bank import GRANT_CENTS, soon
from tests.apps.pix.test_xml_document import BOMB
from tests.apps.simulators.bacen.scene import OWN

CENTS = 5_000


@pytest.fixture
def at() -> Iterator[Stage]:
    with stage() as made:
        yield made


def ended(at: Stage, order_id: str) -> tuple[str | None, str]:
    """How an order stands here and at Bacen."""
    here = at.here(order_id)
    return here.status if here else None, at.there(order_id).status


# --- what can be credited -----------------------------------------------------------------------


def test_a_payment_of_another_bank_is_promised_answered_and_credited(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana, CENTS)
    at.turn(1)
    assert at.answers() == [("ACSP", None)]
    assert ended(at, order_id) == ("ACCEPTED", "SETTLED")
    assert at.balance(ana) == (GRANT_CENTS, CENTS), "nothing is credited before the SPI has settled"
    at.turn(1)
    assert ended(at, order_id) == ("SETTLED", "SETTLED")
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)
    assert at.bank.auditor.audit().ok


def test_the_promise_stands_before_the_yes_leaves(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    stood: list[str | None] = []

    def look(call: Call, really: Callable[[Call], Answer]) -> Answer:
        if call.method == "POST":
            here = at.here(order_id)
            stood.append(here.status if here else None)
        return really(call)

    at.faults.extend([look] * 10)
    at.turn(1)
    assert stood == ["ACCEPTED"]


def test_who_paid_stands_beside_the_transfer(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.turn()
    here = at.here(order_id)
    assert here is not None
    assert here.payment is not None
    payment = outgoing.read(here.payment)
    assert payment.debtor.ispb == ITAU
    assert payment.debtor.name
    assert (payment.creditor.tax_id, payment.creditor.name) == (CPF, "Ana")
    assert (here.description, here.end_to_end_id, here.kind) == ("Aluguel", order_id, "transfer")
    assert here.returnable_cents == CENTS


@pytest.mark.parametrize(
    "changes",
    [{"branch": "1"}, {"number": "{short}"}, {"number": "00{long}"}],
    ids=["a branch without zeros", "a number without zeros", "a number with more"],
)
def test_zeros_in_front_tell_no_account_from_another(at: Stage, changes: dict[str, str]) -> None:
    ana = at.open()
    number = at.account(ana).number
    changes = {name: value.format(short=number.lstrip("0"), long=number) for name, value in changes.items()}
    order_id = at.pay(ana, CENTS, **changes)
    at.turn()
    assert ended(at, order_id) == ("SETTLED", "SETTLED")


def test_many_at_once_for_one_account_are_each_credited(at: Stage) -> None:
    ana = at.open()
    orders = [at.pay(ana, cents) for cents in range(1, 24)]
    at.turn(12)
    assert {ended(at, each) for each in orders} == {("SETTLED", "SETTLED")}
    assert at.balance(ana) == (GRANT_CENTS + sum(range(1, 24)), 0)
    assert at.bank.auditor.audit().ok


# --- what cannot ---------------------------------------------------------------------------------


def _closed(at: Stage, account_id: str) -> None:
    at.bank.ledger.change_status(account_id, account.close, soon())


def _blocked(at: Stage, account_id: str) -> None:
    at.bank.ledger.change_status(account_id, account.block, soon())


def _frozen(at: Stage, account_id: str) -> None:
    at.bank.raw.update_item(
        TableName="accounts",
        Key=items.balance_key(account_id),
        UpdateExpression="SET frozen = :w",
        ExpressionAttributeValues={":w": {"S": "x"}},
    )


def _damaged(at: Stage, account_id: str) -> None:
    at.bank.raw.update_item(
        TableName="accounts", Key=items.balance_key(account_id), UpdateExpression="REMOVE seq"
    )


REFUSED: list[tuple[str, str, dict[str, str], Callable[[Stage, str], None] | None]] = [
    ("a number that nobody has", "AC03", {"number": "000000017"}, None),
    ("another branch", "AC03", {"branch": "0002"}, None),
    ("a number with letters", "AC03", {"number": "12345X"}, None),
    ("a number that is too long", "AC03", {"number": "12345678901234567890"}, None),
    ("a closed account", "AC07", {}, _closed),
    ("a blocked account", "AC06", {}, _blocked),
    ("an account under review", "AB09", {}, _frozen),
    ("an account that cannot be read", "AB09", {}, _damaged),
    ("another type of account", "AC14", {"type": "SVGS"}, None),
    ("a type that we have not", "AC14", {"type": "OTHR"}, None),
    ("another person", "BE01", {"tax_id": "11144477735"}, None),
    ("a company", "BE01", {"tax_id": "12ABC34501DE35"}, None),
]


@pytest.mark.parametrize(
    ("code", "changes", "before"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_what_cannot_be_credited_is_refused_with_the_code_that_says_why(
    at: Stage, code: str, changes: dict[str, str], before: Callable[[Stage, str], None] | None
) -> None:
    ana = at.open()
    if before is _closed:
        ana = at.open()  # a second account has no grant, and can be closed
    total = at.balance(ana) if before is not _damaged else None
    if before is not None:
        before(at, ana)
    order_id = at.pay(ana, CENTS, **changes)
    at.turn()
    assert at.answers() == [("RJCT", code)]
    assert ended(at, order_id) == (None, "REJECTED")
    assert at.there(order_id).reason == code
    if total is not None:
        assert at.balance(ana) == total
        assert at.bank.auditor.audit().ok


def forwarded(at: Stage, **changes: object) -> bytes:
    """An order as the SPI hands it on, with something else in it than the SPI would let through."""
    ana = at.open()
    order_id = at.pay(ana)
    (message,) = [each.xml for each in at.bacen.transport._queues[OWN]]
    at.bacen.transport._queues[OWN].clear()
    order = spi_reading.read(message)
    assert isinstance(order, PaymentOrder)
    assert order.end_to_end_id == order_id
    header = Header(SPI_ISPB, OWN, new_message_id(SPI_ISPB), order.header.created_at)
    return spi_writing.payment_order(replace(order, header=header, **changes))  # type: ignore[arg-type]


def put(at: Stage, *messages: bytes) -> None:
    """Messages that arrive as the SPI's."""
    for number, xml in enumerate(messages):
        at.bacen.transport.put(OWN, Message(f"r{number}", "pacs", xml))


def test_an_order_with_an_id_of_ours_is_refused(at: Stage) -> None:
    put(at, forwarded(at, end_to_end_id=f"E{OWN}202611250900abcdefghijk"))
    at.turn(1)
    assert at.answers() == [("RJCT", "FF08")]


def test_more_than_one_transfer_may_move_is_refused(at: Stage) -> None:
    put(at, forwarded(at, amount_cents=10**12 + 1))
    at.turn(1)
    assert at.answers() == [("RJCT", "AM02")]


@pytest.mark.parametrize(("party", "ispb", "code"), [("creditor", ITAU, "RC10"), ("debtor", OWN, "AG12")])
def test_an_order_for_another_bank_or_from_ourselves_is_refused(
    at: Stage, party: str, ispb: str, code: str
) -> None:
    order = spi_reading.read(forwarded(at))
    assert isinstance(order, PaymentOrder)
    changed = replace(order, **{party: replace(getattr(order, party), ispb=ispb)})
    put(at, spi_writing.payment_order(changed))
    at.turn(2)
    assert at.answers() == [("RJCT", code)]


def test_an_order_whose_time_is_over_is_not_answered_with_yes(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.bank.time.moment = at.there(order_id).deadline
    at.turn()
    assert at.answers() == []
    assert ended(at, order_id) == ("REJECTED", "REJECTED")
    assert at.there(order_id).reason == "AB03"
    assert at.balance(ana) == (GRANT_CENTS, 0)
    assert at.bank.auditor.audit().ok


def test_the_same_id_for_something_else_is_not_answered_and_moves_nothing(
    at: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    message = forwarded(at)
    order = spi_reading.read(message)
    assert isinstance(order, PaymentOrder)
    put(at, message)
    at.turn(1)
    put(at, spi_writing.payment_order(replace(order, amount_cents=order.amount_cents * 100)))
    at.turn(1)
    here = at.here(order.end_to_end_id)
    assert here is not None
    assert here.amount_cents == order.amount_cents
    assert at.answers() == [("ACSP", None)]
    assert "another order came under the same id" in caplog.text


# --- hostile answers ------------------------------------------------------------------------------


HOSTILE: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("a bomb", lambda _: BOMB.encode() if isinstance(BOMB, str) else BOMB),
    ("nothing", lambda _: b""),
    ("no XML", lambda _: b"52998224725"),
    ("a document type", lambda xml: xml.replace(b"?>", b"?><!DOCTYPE x>", 1)),
    ("an entity", lambda xml: xml.replace(b"?>", b"?><!DOCTYPE x [<!ENTITY a 'b'>]>", 1)),
    ("another sender", lambda xml: xml.replace(b"<Id>00038166</Id>", b"<Id>60701190</Id>", 1)),
    ("for another bank", lambda xml: xml.replace(f"<Id>{OWN}</Id>".encode(), b"<Id>18236120</Id>", 1)),
    ("a negative amount", lambda xml: xml.replace(b">50.00<", b">-50.00<")),
    ("an amount in dollars", lambda xml: xml.replace(b'Ccy="BRL"', b'Ccy="USD"')),
    ("three decimals", lambda xml: xml.replace(b">50.00<", b">50.000<")),
    ("a tax id that is none", lambda xml: xml.replace(b"52998224725", b"52998224720")),
    ("half of it", lambda xml: xml[: len(xml) // 2]),
    ("another kind", lambda xml: xml.replace(b"pacs.008.spi", b"pacs.009.spi")),
    ("a payment of two", lambda xml: xml.replace(b"<CdtTrfTxInf>", b"<CdtTrfTxInf/><CdtTrfTxInf>")),
    ("an id that is none", lambda xml: xml.replace(b"<EndToEndId>E", b"<EndToEndId>X")),
]


@pytest.mark.parametrize("change", [each for _, each in HOSTILE], ids=[name for name, _ in HOSTILE])
def test_a_message_that_is_none_moves_no_money_stops_nobody_and_is_logged_without_its_content(
    at: Stage,
    change: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, logger="apps")
    good = forwarded(at)
    bad = change(good)
    assert bad != good
    put(at, bad, good)
    at.turn(3)
    assert at.answers() == [("ACSP", None)], "the good one only"
    assert at.bacen.transport.waiting(OWN) == 0
    assert "a message of the SPI is refused" in caplog.text
    ours = [vars(each) for each in caplog.records if each.name.startswith("apps.")]
    written = json.dumps(ours, default=str)
    written += capsys.readouterr().out
    order = spi_reading.read(good)
    assert isinstance(order, PaymentOrder)
    secrets = (CPF, order.creditor.account, order.debtor.tax_id, order.debtor.account, str(order.debtor.name))
    assert not [each for each in secrets if each in written]


@pytest.mark.parametrize("status", ["ACCC", "ACSC", "RJCT"])
def test_a_word_about_what_was_never_promised_moves_nothing(
    at: Stage, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    ana = at.open()
    header = Header(SPI_ISPB, OWN, new_message_id(SPI_ISPB), at.bank.time())
    report = StatusReport(
        header,
        f"E{ITAU}202611250900abcdefghijk",
        status,  # type: ignore[arg-type]
        reason="AB03" if status == "RJCT" else None,
    )
    put(at, spi_writing.status_report(report))
    at.turn()
    assert at.balance(ana) == (GRANT_CENTS, 0)
    assert ("never promised" in caplog.text) == (status != "RJCT")


def test_what_the_spi_says_of_our_own_payments_is_left_to_their_sender(at: Stage) -> None:
    at.open()
    header = Header(SPI_ISPB, OWN, new_message_id(SPI_ISPB), at.bank.time())
    put(
        at,
        spi_writing.status_report(StatusReport(header, f"E{OWN}202611250900abcdefghijk", "RJCT", "AC03")),
    )
    at.turn()
    assert [call.method for call in at.calls if "operations" in call.url] == []


# --- faults ---------------------------------------------------------------------------------------


def lost_answer(call: Call, really: Callable[[Call], Answer]) -> Answer:
    """It is done, and the answer never arrives."""
    really(call)
    raise NoAnswer("lost")


def lost_call(_: Call, __: Callable[[Call], Answer]) -> Answer:
    """Nothing is done, and it looks just the same from here."""
    raise NoAnswer("lost")


def calmly(call: Call, really: Callable[[Call], Answer]) -> Answer:
    return really(call)


@pytest.mark.parametrize("fault", [lost_answer, lost_call], ids=["answer", "call"])
@pytest.mark.parametrize("number", range(6))
def test_whichever_call_is_lost_the_money_arrives_once(at: Stage, fault: Fault, number: int) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.faults.extend([calmly] * number + [fault])
    for _ in range(8):
        at.turn(2)
        at.pass_time(4)
    assert at.faults == []
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)
    assert ended(at, order_id) == ("SETTLED", "SETTLED")
    assert at.bank.auditor.audit().ok


FAULTS: list[tuple[str, BacenFault]] = [
    ("the order twice", BacenFault("delivery", "duplicate", participant=OWN, message="pacs.008")),
    ("the yes twice", BacenFault("delivery", "duplicate", participant=OWN, message="pacs.002")),
    ("the yes lost", BacenFault("delivery", "lost", participant=OWN, message="pacs.002")),
    ("the yes late", BacenFault("delivery", "slow", participant=OWN, message="pacs.002", seconds=30)),
    ("orders in another order", BacenFault("delivery", "reordered", participant=OWN)),
    ("a wire that is down", BacenFault("spi", "down", times=3)),
    ("a wire that loses", BacenFault("spi", "lost_answer", times=3)),
    ("a wire that garbles", BacenFault("spi", "garbled", times=3, body="<x>52998224725</x>")),
]


@pytest.mark.parametrize("fault", [each for _, each in FAULTS], ids=[name for name, _ in FAULTS])
def test_whatever_the_spi_does_the_money_arrives_once(at: Stage, fault: BacenFault) -> None:
    ana = at.open()
    at.reception.turn()
    at.bacen.faults.add(fault)
    orders = [at.pay(ana, 100), at.pay(ana, 20)]
    for _ in range(10):
        at.turn(1)
        at.pass_time(3)
    at.pass_time(60)
    at.turn(4)
    settled = sum(at.there(each).amount_cents for each in orders if at.there(each).status == "SETTLED")
    assert settled > 0
    assert at.balance(ana) == (GRANT_CENTS + settled, 0)
    for each in orders:
        here, there = ended(at, each)
        assert here in {there, None}
    assert at.bank.auditor.audit().ok


def test_an_order_that_was_lost_on_the_way_is_nothing_to_us(at: Stage) -> None:
    ana = at.open()
    at.bacen.faults.add(BacenFault("delivery", "lost", participant=OWN, message="pacs.008"))
    order_id = at.pay(ana)
    at.turn()
    at.pass_time(41)
    at.turn()
    assert ended(at, order_id) == (None, "REJECTED")
    assert at.balance(ana) == (GRANT_CENTS, 0)


@pytest.mark.parametrize("calls", range(1, 8))
def test_a_process_that_dies_at_any_call_credits_once_when_it_comes_back(at: Stage, calls: int) -> None:
    class Killed(BaseException):
        """The process is gone."""

    def die(_: Call, __: Callable[[Call], Answer]) -> Answer:
        raise Killed

    ana = at.open()
    order_id = at.pay(ana)
    at.faults.extend([calmly] * (calls - 1) + [die])
    for _ in range(12):
        try:
            at.turn(1)
        except Killed:
            at.restart()
        at.pass_time(3)
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)
    assert ended(at, order_id) == ("SETTLED", "SETTLED")
    assert at.bank.auditor.audit().ok


@pytest.mark.parametrize("fault", [lose_reply, lose_request], ids=["reply", "request"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_transaction_whose_reply_is_lost_promises_and_credits_once(
    at: Stage, fault: Callable[..., object], number: int
) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.bank.client.faults.extend([fault] * number)  # type: ignore[list-item]
    at.turn()
    assert ended(at, order_id) == ("SETTLED", "SETTLED")
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)


def test_a_ledger_that_does_not_answer_says_so_in_time_and_the_money_stays_where_it_is(
    at: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pix_arrivals, "ATTEMPT_SECONDS", 0.05)
    at.reception._arrivals._patience_seconds = 0.1
    ana = at.open()
    order_id = at.pay(ana)
    at.bank.client.faults.extend([lose_request] * 10_000)
    at.turn(1)
    assert at.answers() == [("RJCT", "AB09")]
    at.bank.client.faults.clear()
    at.turn()
    assert ended(at, order_id) == (None, "REJECTED")
    assert at.balance(ana) == (GRANT_CENTS, 0)
    assert at.bank.auditor.audit().ok


def test_a_rejection_is_asked_for_once_more_before_it_is_believed(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.turn(1)
    assert at.there(order_id).status == "SETTLED"
    at.bacen.transport._queues[OWN].clear()
    header = Header(SPI_ISPB, OWN, new_message_id(SPI_ISPB), at.bank.time())
    put(at, spi_writing.status_report(StatusReport(header, order_id, "RJCT", "AB03")))
    at.turn(1)
    assert ended(at, order_id) == ("SETTLED", "SETTLED"), "a copy was rejected, and not the payment"
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)


def test_a_yes_that_was_lost_is_said_again_in_time(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.faults.extend([calmly, lost_call])
    at.turn(1)
    assert ended(at, order_id) == ("ACCEPTED", "WAITING")
    at.pass_time(6)
    at.turn(2)
    assert ended(at, order_id) == ("SETTLED", "SETTLED")


def test_what_the_spi_does_not_know_ends_only_after_its_time_and_a_margin(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.turn(1)
    at.bacen.transport._queues[OWN].clear()
    del at.bacen.spi.orders[order_id]
    for seconds in (6, 11, 21):
        at.pass_time(seconds)
        at.turn(1)
        here = at.here(order_id)
        assert here is not None
        assert here.status == "ACCEPTED"
    at.pass_time(45)
    at.turn(1)
    here = at.here(order_id)
    assert here is not None
    assert (here.status, here.reason) == ("REJECTED", "pix_not_reached")
    assert at.balance(ana) == (GRANT_CENTS, 0)


def test_an_spi_that_is_away_ends_no_promise(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.turn(1)
    at.bacen.transport._queues[OWN].clear()
    at.bacen.faults.add(BacenFault("spi", "down", times=None))
    for _ in range(20):
        at.pass_time(600)
        at.turn(1)
    here = at.here(order_id)
    assert here is not None
    assert here.status == "ACCEPTED"
    at.bacen.faults.clear()
    at.pass_time(600)
    at.turn(2)
    assert ended(at, order_id) == ("SETTLED", "SETTLED")
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)


def test_an_account_that_is_frozen_meanwhile_is_credited_when_it_moves_again(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.turn(1)
    _frozen(at, ana)
    at.turn(2)
    here = at.here(order_id)
    assert here is not None
    assert here.status == "ACCEPTED"
    at.bank.raw.update_item(
        TableName="accounts", Key=items.balance_key(ana), UpdateExpression="REMOVE frozen"
    )
    at.pass_time(6)
    at.turn(1)
    assert ended(at, order_id) == ("SETTLED", "SETTLED")
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)


def test_an_account_that_is_blocked_meanwhile_is_credited_all_the_same(at: Stage) -> None:
    ana = at.open()
    order_id = at.pay(ana)
    at.turn(1)
    _blocked(at, ana)
    at.turn(1)
    assert ended(at, order_id) == ("SETTLED", "SETTLED")


@pytest.mark.parametrize(
    ("down", "rest"),
    [
        (SpiDown("gone"), 0.0),
        (SpiDown("unreachable"), 1.0),
        (SpiDown("unavailable", 7), 7.0),
        (SpiDown("unavailable", 3600), 10.0),
    ],
    ids=["gone", "unreachable", "asks to wait", "asks for too much"],
)
def test_a_pull_that_fails_is_tried_again_after_a_rest(at: Stage, down: SpiDown, rest: float) -> None:
    class Away:
        def receive(self) -> list[bytes]:
            raise down

    at.reception._transport = Away()  # type: ignore[assignment]
    assert at.reception.turn() == rest


@pytest.mark.parametrize("kind", ["CACC", "SVGS", "TRAN"])
def test_every_kind_of_account_that_we_have_is_credited(at: Stage, kind: AccountType) -> None:
    ana = at.open(kind=kind)
    order_id = at.pay(ana)
    at.turn()
    assert ended(at, order_id) == ("SETTLED", "SETTLED")


def test_a_message_of_ours_that_the_spi_could_not_read_is_said_and_nothing_else(
    at: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    at.line.send(b"<nothing/>")
    at.turn(1)
    assert "the SPI could not read a message" in caplog.text

"""The SPI: who hears what of an order, when, and where the money is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from apps.simulators.bacen.faults import Fault
from apps.simulators.bacen.markup import parse, text
from apps.simulators.bacen.spi_messages import SPI, Payment
from tests.apps.simulators.bacen.scene import (
    BAKERY,
    JOAO,
    MARIA,
    NOON,
    OWN,
    PAYER,
    SHOP,
    Scene,
    outcomes,
    said,
    scene,
)

BANK_OF_MARIA, BANK_OF_JOAO = "18236120", "60701190"
SETTLED = [("pacs.002", "ACSC", None)]


def rejected(code: str) -> list[tuple[str, str, str]]:
    return [("pacs.002", "RJCT", code)]


def money(at: Scene) -> int:
    return sum(conta.cents for conta in at.bacen.spi.contas.values())


def conta(at: Scene, ispb: str) -> int:
    return at.bacen.spi.contas[ispb].cents - at.bacen.conta_cents


@pytest.fixture
def at() -> Scene:
    return scene()


def incoming(at: Scene, amount_cents: int = 7_700, **more: Any) -> str:
    """A Pix of a customer of João's bank to an account of this one."""
    account = at.payment().debtor_account
    return at.bacen.banks.pay(BANK_OF_JOAO, PAYER.tax_id, account, amount_cents, **more)


# --- paying -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [MARIA, JOAO, BAKERY, SHOP])
def test_a_payment_settles_and_the_money_moves_between_the_banks(at: Scene, key: str) -> None:
    before = money(at)
    payment = at.payment(key)
    assert outcomes(at.pay(payment)) == SETTLED
    assert conta(at, OWN) == -10_050
    assert conta(at, at.entry(key).account.participant) == 10_050
    assert money(at) == before
    assert at.status_of(payment.end_to_end_id) == ("ACSC", None)
    assert at.status_of(payment.end_to_end_id, at.entry(key).account.participant) == ("ACCC", None)


def test_only_what_is_settled_says_when_and_for_which_day(at: Scene) -> None:
    payment = at.payment()
    (settled,) = at.pay(payment)
    operation = "Document/FIToFIPmtStsRpt/TxInfAndSts"
    root = parse(settled.xml)
    assert text(root, f"{operation}/FctvIntrBkSttlmDt/DtTm") == "2026-11-25T15:00:00.000Z"
    assert text(root, f"{operation}/OrgnlTxRef/IntrBkSttlmDt") == "2026-11-25"
    (refused,) = at.pay(at.payment("blocked@example.com"))
    assert text(parse(refused.xml), f"{operation}/FctvIntrBkSttlmDt/DtTm") is None


def test_late_in_the_evening_the_day_is_still_brasilias(at: Scene) -> None:
    at.pass_time(11 * 3600)  # 23:00 there, two in the morning UTC
    (settled,) = at.pay(at.payment())
    day = text(parse(settled.xml), "Document/FIToFIPmtStsRpt/TxInfAndSts/OrgnlTxRef/IntrBkSttlmDt")
    assert day == "2026-11-25"


@pytest.mark.parametrize(
    ("key", "code"),
    [("blocked@example.com", "AC06"), ("closed@example.com", "AC07"), ("refuses@example.com", "DS04")],
)
def test_the_bank_that_is_paid_says_why_not(at: Scene, key: str, code: str) -> None:
    payment = at.payment(key)
    assert outcomes(at.pay(payment)) == rejected(code)
    assert conta(at, OWN) == 0
    assert at.status_of(payment.end_to_end_id) == ("RJCT", code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda payment: replace(payment.creditor_account, number="0000000001"), "AC03"),
        (lambda payment: replace(payment.creditor_account, branch="9999"), "AC03"),
        (lambda payment: replace(payment.creditor_account, type="SVGS"), "AC14"),
        (lambda payment: replace(payment.creditor_account, type="SLRY"), "AC14"),
    ],
    ids=["number", "branch", "type", "salary"],
)
def test_an_account_that_is_not_the_customers_is_refused(at: Scene, change: Any, code: str) -> None:
    payment = at.payment()
    assert outcomes(at.pay(replace(payment, creditor_account=change(payment)))) == rejected(code)


def test_a_document_that_is_not_the_holders_is_refused(at: Scene) -> None:
    assert outcomes(at.pay(at.payment(creditor_tax_id="52998224725"))) == rejected("BE01")


@pytest.mark.parametrize("branch", ["1", "0001"])
def test_leading_zeros_of_a_branch_do_not_matter(at: Scene, branch: str) -> None:
    payment = at.payment()
    short = (payment.creditor_account.branch or "").lstrip("0")
    account = replace(payment.creditor_account, branch=short if branch == "1" else short.zfill(4))
    assert outcomes(at.pay(replace(payment, creditor_account=account))) == SETTLED


# --- the SPI's own rules ------------------------------------------------------------------------


def other_bank(payment: Payment, ispb: str) -> Payment:
    return replace(payment, creditor_account=replace(payment.creditor_account, participant=ispb))


def from_bank(payment: Payment, ispb: str) -> Payment:
    return replace(payment, debtor_account=replace(payment.debtor_account, participant=ispb))


def identified(payment: Payment, end_to_end_id: str) -> Payment:
    return replace(payment, end_to_end_id=end_to_end_id)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda p: from_bank(p, "12345678"), "RC09", id="payer's bank unknown"),
        pytest.param(lambda p: from_bank(p, BANK_OF_JOAO), "AGNT", id="for another payer's bank"),
        pytest.param(lambda p: other_bank(p, "12345678"), "RC10", id="receiver's bank unknown"),
        pytest.param(lambda p: other_bank(p, OWN), "AG12", id="book transfer"),
        pytest.param(lambda p: replace(p, amount_cents=0), "AM01", id="zero"),
        pytest.param(
            lambda p: identified(p, f"E{BANK_OF_JOAO}202611251500abcdefghijk"), "FF08", id="other's id"
        ),
        pytest.param(lambda p: identified(p, "E99999010202611250259abcdefghijk"), "FF08", id="id too old"),
        pytest.param(lambda p: identified(p, "E99999010202611260301abcdefghijk"), "FF08", id="id too new"),
        pytest.param(lambda p: identified(p, "E99999010202602301500abcdefghijk"), "FF08", id="id of no day"),
        pytest.param(lambda p: replace(p, key=None), "CH16", id="key missing"),
        pytest.param(lambda p: replace(p, instrument="MANU"), "CH16", id="key with account data"),
        pytest.param(lambda p: replace(p, tx_id="A" * 26), "CH16", id="TxId with a key"),
        pytest.param(lambda p: replace(p, instrument="QRDN"), "CH16", id="dynamic QR without TxId"),
        pytest.param(
            lambda p: replace(p, instrument="QRDN", tx_id="A" * 25), "CH16", id="dynamic, short TxId"
        ),
        pytest.param(lambda p: replace(p, instrument="QRES", tx_id="A" * 26), "CH16", id="static, long TxId"),
        pytest.param(lambda p: replace(p, accepted_at=NOON - timedelta(seconds=40)), "AB03", id="too late"),
    ],
)
def test_the_spi_refuses_what_breaks_its_rules_and_asks_nobody(at: Scene, change: Any, code: str) -> None:
    assert outcomes(at.pay(change(at.payment()))) == rejected(code)
    assert conta(at, OWN) == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: identified(p, "E99999010202611250300abcdefghijk"), id="twelve hours ago"),
        pytest.param(lambda p: identified(p, "E99999010202611260300ABCDEFGHIJ9"), id="in twelve hours"),
        pytest.param(lambda p: replace(p, instrument="MANU", key=None), id="account data"),
        pytest.param(lambda p: replace(p, instrument="QRDN", tx_id="A" * 26), id="dynamic QR"),
        pytest.param(lambda p: replace(p, instrument="QRES"), id="static QR without TxId"),
        pytest.param(lambda p: replace(p, instrument="INIC", tx_id="a1"), id="initiated"),
        pytest.param(
            lambda p: replace(p, accepted_at=NOON - timedelta(milliseconds=39_999)), id="just in time"
        ),
        pytest.param(lambda p: replace(p, note="Aluguel de março & água"), id="a note"),
    ],
)
def test_what_is_within_the_rules_settles(at: Scene, change: Any) -> None:
    assert outcomes(at.pay(change(at.payment()))) == SETTLED


def test_a_participant_without_money_cannot_pay() -> None:
    at = scene(conta_cents=10_000)
    assert outcomes(at.pay(at.payment(amount_cents=10_001))) == rejected("AM04")
    assert outcomes(at.pay(at.payment(amount_cents=10_000))) == SETTLED


def test_an_order_whose_number_of_operations_lies_is_refused_as_a_whole(at: Scene) -> None:
    xml = at.order(at.payment()).replace(b"<NbOfTxs>1<", b"<NbOfTxs>2<")
    at.bacen.post(OWN, xml)
    assert outcomes(at.received()) == rejected("AM18")


# --- forty seconds ------------------------------------------------------------------------------


@pytest.mark.parametrize(("accepted_before", "left"), [(0, 40), (15, 25)])
def test_forty_seconds_after_acceptance_an_unanswered_order_is_rejected(
    at: Scene, accepted_before: int, left: int
) -> None:
    payment = at.payment("silent@example.com", accepted_at=NOON - timedelta(seconds=accepted_before))
    assert outcomes(at.pay(payment)) == []
    at.pass_time(left - 0.001)
    assert outcomes(at.received()) == []
    assert at.status_of(payment.end_to_end_id) == ("ACSP", None), "not settled, not rejected"
    at.pass_time(0.001)
    assert outcomes(at.received()) == rejected("AB03")
    assert at.status_of(payment.end_to_end_id) == ("RJCT", "AB03")


def test_both_banks_hear_of_the_timeout_and_a_late_answer_changes_nothing(at: Scene) -> None:
    order_id = incoming(at)
    (order,) = at.received()
    assert order.kind == "pacs.008"
    at.pass_time(40)
    assert outcomes(at.received()) == rejected("AB03")
    at.bacen.post(OWN, at.answer(order_id, "ACSP"))
    assert outcomes(at.received()) == []
    assert at.status_of(order_id) == ("RJCT", "AB03")
    assert conta(at, OWN) == 0


@pytest.mark.parametrize(
    ("level", "seconds"),
    [("PAGPRI", 40), ("PAGFRD", 40), ("PAGAGD", 45 * 60)],
    ids=["now", "checked", "scheduled"],
)
def test_the_time_depends_on_the_service(at: Scene, level: str, seconds: int) -> None:
    payment = at.payment("silent@example.com", accepted_at=NOON - timedelta(seconds=30))
    at.bacen.post(OWN, at.order(payment).replace(b"PAGPRI", level.encode()))
    left = seconds if level == "PAGFRD" else seconds - 30
    at.pass_time(left - 1)
    assert outcomes(at.received()) == []
    at.pass_time(1)
    assert outcomes(at.received()) == rejected("AB03")


# --- being paid ---------------------------------------------------------------------------------


def test_an_incoming_payment_is_asked_for_then_credited_on_accc(at: Scene) -> None:
    order_id = incoming(at, note="Obrigado")
    (order,) = at.received()
    root = parse(order.xml)
    operation = "Document/FIToFICstmrCdtTrf/CdtTrfTxInf"
    assert text(root, "AppHdr/Fr/FIId/FinInstnId/Othr/Id") == SPI
    assert text(root, "AppHdr/To/FIId/FinInstnId/Othr/Id") == OWN
    assert (text(root, "AppHdr/BizMsgIdr") or "").startswith("M00038166")
    assert text(root, f"{operation}/PmtId/EndToEndId") == order_id
    assert text(root, f"{operation}/IntrBkSttlmAmt") == "77.00"
    assert text(root, f"{operation}/RmtInf/Ustrd") == "Obrigado"
    assert conta(at, OWN) == 0, "nothing moves before the answer"
    at.bacen.post(OWN, at.answer(order_id, "ACSP"))
    assert outcomes(at.received()) == [("pacs.002", "ACCC", None)]
    assert (conta(at, OWN), conta(at, BANK_OF_JOAO)) == (7_700, -7_700)


def test_an_incoming_payment_may_be_refused(at: Scene) -> None:
    order_id = incoming(at)
    at.received()
    at.bacen.post(OWN, at.answer(order_id, "RJCT", "AC07"))
    assert outcomes(at.received()) == [], "who said no is not told so"
    assert at.status_of(order_id, BANK_OF_JOAO) == ("RJCT", "AC07")
    assert conta(at, OWN) == 0


def test_an_answer_counts_once(at: Scene) -> None:
    order_id = incoming(at)
    at.received()
    for status in ("ACSP", "ACSP", "RJCT"):
        at.bacen.post(OWN, at.answer(order_id, status, "AC03" if status == "RJCT" else None))
    assert outcomes(at.received()) == [("pacs.002", "ACCC", None)]
    assert conta(at, OWN) == 7_700


@pytest.mark.parametrize("status", ["ACSC", "ACCC"])
def test_only_the_spi_says_that_something_is_settled(at: Scene, status: str) -> None:
    order_id = incoming(at)
    at.received()
    at.bacen.post(OWN, at.answer(order_id, status))
    assert outcomes(at.received()) == [("admi.002", None, "TxSts invalido")]
    assert at.status_of(order_id) == ("ACSP", None)


def test_nobody_answers_for_another_bank_or_for_no_order(at: Scene) -> None:
    payment = at.payment("silent@example.com")
    at.pay(payment)
    for order_id in (payment.end_to_end_id, at.end_to_end_id()):
        at.bacen.post(OWN, at.answer(order_id, "ACSP"))
        assert outcomes(at.received()) == [("admi.002", None, "Transacao inexistente")]
    assert at.status_of(payment.end_to_end_id) == ("ACSP", None)


# --- copies -------------------------------------------------------------------------------------


def test_the_same_bytes_again_are_the_same_message(at: Scene) -> None:
    xml = at.order(at.payment())
    for _ in range(3):
        at.bacen.post(OWN, xml)
    assert outcomes(at.received()) == SETTLED
    assert conta(at, OWN) == -10_050


def test_a_message_id_with_other_bytes_is_refused(at: Scene) -> None:
    first, second = at.order(at.payment()), at.order(at.payment())
    message_id = text(parse(first), "AppHdr/BizMsgIdr") or ""
    other = text(parse(second), "AppHdr/BizMsgIdr") or ""
    at.bacen.post(OWN, first)
    at.bacen.post(OWN, second.replace(other.encode(), message_id.encode()))
    assert outcomes(at.received()) == [*SETTLED, ("admi.002", None, "MsgId repetido")]
    assert conta(at, OWN) == -10_050


@pytest.mark.parametrize(
    ("change", "code"), [({}, "DUPL"), ({"amount_cents": 1}, "ED05")], ids=["same", "other"]
)
@pytest.mark.parametrize("key", [MARIA, "blocked@example.com", "silent@example.com"])
def test_an_identifier_is_used_once_whatever_became_of_it(
    at: Scene, key: str, change: dict[str, int], code: str
) -> None:
    payment = at.payment(key)
    at.pay(payment)
    before = at.status_of(payment.end_to_end_id)
    assert outcomes(at.pay(replace(payment, **change))) == rejected(code)  # type: ignore[arg-type]
    assert at.status_of(payment.end_to_end_id) == before, "the first order is what counts"


def test_an_identifier_that_the_spi_itself_refused_is_used_up_too(at: Scene) -> None:
    payment = at.payment(amount_cents=0)
    assert outcomes(at.pay(payment)) == rejected("AM01")
    assert outcomes(at.pay(replace(payment, amount_cents=5))) == rejected("ED05")


def test_message_ids_are_remembered_for_a_day_and_then_the_identifier_is_too_old(at: Scene) -> None:
    xml = at.order(at.payment())
    at.bacen.post(OWN, xml)
    at.received()
    at.pass_time(24 * 3600)
    at.bacen.post(OWN, xml)
    assert outcomes(at.received()) == []
    at.pass_time(1)
    at.bacen.post(OWN, xml)
    assert outcomes(at.received()) == rejected("DUPL")
    assert conta(at, OWN) == -10_050


# --- asking -------------------------------------------------------------------------------------


def test_who_has_nothing_to_do_with_an_order_does_not_find_it(at: Scene) -> None:
    payment = at.payment()
    at.pay(payment)
    assert at.bacen.spi.status(BANK_OF_JOAO, payment.end_to_end_id) is None
    assert at.bacen.spi.status(OWN, at.end_to_end_id()) is None


# --- returns ------------------------------------------------------------------------------------


def received_payment(at: Scene, amount_cents: int = 7_700) -> str:
    order_id = incoming(at, amount_cents)
    at.received()
    at.bacen.post(OWN, at.answer(order_id, "ACSP"))
    at.received()
    return order_id


def test_what_was_received_can_be_given_back_in_parts_but_never_more(at: Scene) -> None:
    order_id = received_payment(at)
    for amount, expected in (
        (5_000, SETTLED),
        (2_701, rejected("AM09")),
        (2_700, SETTLED),
        (1, rejected("AM09")),
    ):
        _, xml = at.give_back(order_id, amount, BANK_OF_JOAO)
        at.bacen.post(OWN, xml)
        assert outcomes(at.received()) == expected, amount
    assert conta(at, OWN) == 0
    assert at.bacen.spi.orders[order_id].returned_cents == 7_700


def test_parallel_returns_cannot_exceed_the_payment(at: Scene) -> None:
    order_id = received_payment(at)
    at.bacen.faults.add(Fault("payee", "silent"))
    first, xml = at.give_back(order_id, 7_700, BANK_OF_JOAO)
    at.bacen.post(OWN, xml)
    _, second = at.give_back(order_id, 1, BANK_OF_JOAO)
    at.bacen.post(OWN, second)
    assert outcomes(at.received()) == rejected("AM09"), "the first is still waiting, and holds its amount"
    at.pass_time(40)
    assert outcomes(at.received()) == rejected("AB03")
    assert at.bacen.spi.orders[order_id].returned_cents == 0, "a rejected return gives its amount back"
    _, third = at.give_back(order_id, 7_700, BANK_OF_JOAO)
    at.bacen.post(OWN, third)
    assert outcomes(at.received()) == SETTLED
    assert at.status_of(first) == ("RJCT", "AB03")


@pytest.mark.parametrize(
    ("days", "expected"), [(90, SETTLED), (90.001, rejected("DT05"))], ids=["90", "more"]
)
def test_returns_end_after_ninety_days(at: Scene, days: float, expected: Any) -> None:
    order_id = received_payment(at)
    at.pass_time(days * 24 * 3600)
    _, xml = at.give_back(order_id, 1, BANK_OF_JOAO)
    at.bacen.post(OWN, xml)
    assert outcomes(at.received()) == expected


def test_only_the_bank_that_was_paid_gives_back(at: Scene) -> None:
    payment = at.payment()
    at.pay(payment)
    _, xml = at.give_back(payment.end_to_end_id, 1, BANK_OF_MARIA)
    at.bacen.post(OWN, xml)
    assert outcomes(at.received()) == rejected("AGNT")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 0}, "AM01"),
        ({"payer": BANK_OF_MARIA}, "CH16"),
        ({"return_id": f"D{BANK_OF_JOAO}202611251500abcdefghijk"}, "FF08"),
        ({"return_id": "D99999010202611240100abcdefghijk"}, "FF08"),
    ],
    ids=["zero", "other banks", "other's id", "old id"],
)
def test_a_return_has_its_own_identifier_and_the_payments_banks(
    at: Scene, changes: dict[str, Any], code: str
) -> None:
    order_id = received_payment(at)
    more = dict(changes)
    amount, payer = more.pop("amount", 5), more.pop("payer", BANK_OF_JOAO)
    _, xml = at.give_back(order_id, amount, payer, **more)
    at.bacen.post(OWN, xml)
    assert outcomes(at.received()) == rejected(code)


def test_what_is_not_settled_cannot_be_given_back(at: Scene) -> None:
    order_id = incoming(at)
    at.received()
    for original in (order_id, at.end_to_end_id(BANK_OF_JOAO)):
        _, xml = at.give_back(original, 1, BANK_OF_JOAO)
        at.bacen.post(OWN, xml)
        assert outcomes(at.received()) == rejected("CH16")


def test_a_return_to_this_bank_is_asked_for_like_a_payment(at: Scene) -> None:
    payment = at.payment(amount_cents=900)
    at.pay(payment)
    order = at.bacen.spi.orders[payment.end_to_end_id]
    return_id = at.bacen.banks.give_back(order, 400, "BE08")
    (message,) = at.received()
    root = parse(message.xml)
    assert message.kind == "pacs.004"
    assert text(root, "Document/PmtRtr/TxInf/RtrId") == return_id
    assert text(root, "Document/PmtRtr/TxInf/OrgnlEndToEndId") == payment.end_to_end_id
    assert text(root, "Document/PmtRtr/TxInf/RtrRsnInf/Rsn/Cd") == "BE08"
    assert return_id.startswith(f"D{BANK_OF_MARIA}")
    at.bacen.post(OWN, at.answer(return_id, "ACSP", original=payment.end_to_end_id))
    (settled,) = at.received()
    assert said(settled.xml) == ("ACCC", None)
    assert (
        text(parse(settled.xml), "Document/FIToFIPmtStsRpt/TxInfAndSts/OrgnlEndToEndId")
        == payment.end_to_end_id
    )
    assert conta(at, OWN) == -500

"""A payment to another bank: its order, written once, and what each answer of the SPI means for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apps.pix import outgoing, spi_reading
from apps.pix.outgoing import (
    MARGIN,
    NOT_SENT,
    SENDABLE_FOR,
    BadPayment,
    Outgoing,
    Rejected,
    Settled,
    Undecided,
    Verdict,
)
from apps.pix.rejections import in_words, reason_of
from apps.pix.spi import SPI_ISPB, Header, Party, PaymentOrder, Status, StatusReport
from apps.pix.spi_writing import Unwritable

ACCEPTED = datetime(2026, 11, 25, 12, 0, 0, 123_000, tzinfo=UTC)
ANA = Party("99999010", "52998224725", "000012345", "CACC", "0001", "Ana Souza")
MARIA = Party("18236120", "31827465026", "987654321", "TRAN", "0001", "Maria da Silva")
COMPANY = Party("60746948", "12ABC34501DE35", "1", "CACC", None, "Oficina Nova Era Ltda")
BY_KEY = Outgoing("DICT", ANA, MARIA, "maria.silva@example.com")
BY_DATA = Outgoing("MANU", ANA, COMPANY)
E2E = "E9999901020261125120000000000001"
NEVER_DECIDED_BY = ["DUPL", "ED05", "AM09"]
AT_ONCE, LATE, OVER = timedelta(0), SENDABLE_FOR, SENDABLE_FOR + MARGIN
MOMENT = timedelta(milliseconds=1)


def made(payment: Outgoing, description: str | None = "Almoço & café <3") -> outgoing.Bytes:
    return outgoing.ordered(
        payment, end_to_end_id=E2E, amount_cents=12_345, description=description, accepted_at=ACCEPTED
    )


@pytest.mark.parametrize("payment", [BY_KEY, BY_DATA], ids=["by key", "by data"])
@pytest.mark.parametrize("description", [None, "Almoço & café <3"])
def test_the_order_says_what_was_written_down(payment: Outgoing, description: str | None) -> None:
    order = made(outgoing.read(outgoing.written(payment)), description)
    said = spi_reading.read(order.order.encode())
    assert isinstance(said, PaymentOrder)
    assert said.header == Header("99999010", SPI_ISPB, order.message_id, ACCEPTED)
    assert (said.end_to_end_id, said.amount_cents, said.accepted_at) == (E2E, 12_345, ACCEPTED)
    assert (said.instrument, said.debtor, said.key) == (payment.instrument, ANA, payment.key)
    assert said.creditor == replace(payment.creditor, name=None)
    assert (said.description, said.purpose) == (description, "IPAY")


def test_each_order_has_a_message_id_of_its_own() -> None:
    assert made(BY_KEY).message_id != made(BY_KEY).message_id


@pytest.mark.parametrize(
    "payment", [replace(BY_KEY, key=None), replace(BY_DATA, key="a@b.c")], ids=["no key", "a key"]
)
def test_an_order_that_the_spi_would_refuse_for_its_form_is_not_written(payment: Outgoing) -> None:
    with pytest.raises(Unwritable):
        made(payment)


@pytest.mark.parametrize("text", ["", "{}", "[]", "7", '{"instrument": "DICT"}', '{"debtor": 1}'])
def test_a_text_that_is_no_payment_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(BadPayment) as bad:
        outgoing.read(text)
    assert bad.value.__suppress_context__


@pytest.mark.parametrize("payment", [BY_KEY, BY_DATA], ids=["by key", "by data"])
def test_nobody_is_named_where_a_payment_is_printed(payment: Outgoing) -> None:
    shown = repr(payment) + repr(made(payment))
    for secret in ("52998224725", "31827465026", "987654321", "maria.silva", "Ana", "<"):
        assert secret not in shown.replace("<class", "")


@pytest.mark.parametrize(
    ("after", "leaves"),
    [(AT_ONCE, True), (LATE - MOMENT, True), (LATE, False), (timedelta(days=1), False)],
    ids=str,
)
def test_an_order_leaves_within_forty_seconds_or_never(after: timedelta, leaves: bool) -> None:
    assert outgoing.may_leave(ACCEPTED, ACCEPTED + after) is leaves


def judged(status: Status | None, reason: str | None, after: timedelta, *, asked: bool = True) -> Verdict:
    header = Header(SPI_ISPB, "99999010", "M0003816600000000000000000000001", ACCEPTED)
    report = StatusReport(header, E2E, status, reason) if status is not None else None
    return outgoing.judged(report, ACCEPTED, ACCEPTED + after, asked=asked)


ALWAYS = [AT_ONCE, LATE - MOMENT, LATE, OVER - MOMENT, OVER, timedelta(days=3)]


@pytest.mark.parametrize("after", ALWAYS, ids=str)
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "by itself"])
@pytest.mark.parametrize("status", ["ACSC", "ACCC"])
def test_settled_is_settled_whenever_it_is_heard(status: Status, after: timedelta, asked: bool) -> None:
    assert judged(status, None, after, asked=asked) == Settled()


@pytest.mark.parametrize("after", ALWAYS, ids=str)
def test_accepted_by_the_other_bank_is_not_settled_and_never_given_up(after: timedelta) -> None:
    assert judged("ACSP", None, after) == Undecided()


@pytest.mark.parametrize("after", ALWAYS, ids=str)
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "by itself"])
@pytest.mark.parametrize("reason", NEVER_DECIDED_BY)
def test_what_was_said_of_a_copy_never_releases_a_hold(reason: str, after: timedelta, asked: bool) -> None:
    assert judged("RJCT", reason, after, asked=asked) == Undecided()


@pytest.mark.parametrize(
    ("after", "asked", "verdict"),
    [
        (AT_ONCE, True, Undecided()),
        (LATE, True, Undecided()),
        (OVER - MOMENT, True, Undecided()),
        (OVER, True, Rejected("AB03")),
        (OVER, False, Undecided()),
        (timedelta(days=3), False, Undecided()),
    ],
    ids=str,
)
def test_a_timeout_is_believed_only_when_asked_once_no_copy_can_settle_any_more(
    after: timedelta,
    asked: bool,
    verdict: Verdict,
) -> None:
    assert judged("RJCT", "AB03", after, asked=asked) == verdict


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "by itself"])
@pytest.mark.parametrize("reason", ["AC03", "AC06", "AC07", "BE01", "DS04", "FRAD", "RC10", "XY99"])
def test_any_other_rejection_is_final(reason: str, asked: bool) -> None:
    assert judged("RJCT", reason, AT_ONCE, asked=asked) == Rejected(reason)


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (AT_ONCE, Undecided(resend=True)),
        (LATE - MOMENT, Undecided(resend=True)),
        (LATE, Undecided(resend=False)),
        (OVER - MOMENT, Undecided(resend=False)),
        (OVER, Rejected(NOT_SENT)),
        (timedelta(days=3), Rejected(NOT_SENT)),
    ],
    ids=str,
)
def test_not_found_is_a_rejection_only_after_forty_seconds_and_a_margin(
    after: timedelta, verdict: Verdict
) -> None:
    assert judged(None, None, after) == verdict


_CODES = """
    AB03 AB09 AB11 AC03 AC06 AC07 AC14 AG03 AG12 AG13 AGNT AM01 AM02 AM04 AM09 AM12 AM18 AM23 BE01 BE05 BE15
    BE17 CH11 CH16 CN01 DS02 DS04 DS0G DS27 DT02 DT05 DU03 DUPL ED05 FF07 FF08 FRAD INDT MD01 RC09 RC10 RR04
    RR06 SL02 UPAY
"""


@pytest.mark.parametrize("code", [*_CODES.split(), NOT_SENT, "XY99"])
def test_every_code_has_a_reason_and_words_without_the_rails_own(code: str) -> None:
    reason = reason_of(code)
    assert reason.code == reason.code.lower()
    assert in_words(reason.code) == reason.words
    assert reason.words.endswith(".")
    assert code not in reason.words


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AC03", "payee_account_unknown"),
        ("AC06", "payee_account_blocked"),
        ("AC07", "payee_account_closed"),
        ("AC14", "payee_account_type"),
        ("BE01", "payee_document_wrong"),
        ("DS04", "payee_bank_refused"),
        ("AB03", "pix_timeout"),
        (NOT_SENT, "pix_not_reached"),
        ("AM04", "bank_settlement_failed"),
        ("FF08", "order_refused"),
        ("XY99", "rejected_by_pix"),
    ],
)
def test_what_a_payer_can_act_on_has_a_code_of_its_own(code: str, reason: str) -> None:
    assert reason_of(code).code == reason


@pytest.mark.parametrize("reason", ["hold_expired", "payee_unavailable", "payee_blocked", "payee_closed"])
def test_our_own_reasons_have_words_too(reason: str) -> None:
    assert in_words(reason) not in {None, reason_of("XY99").words}


def test_no_reason_has_no_words() -> None:
    assert in_words(None) is None

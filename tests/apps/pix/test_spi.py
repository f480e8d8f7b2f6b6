"""Messages of the SPI: what we write is what the XSD asks for, what we read is complete or refused."""

import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.pix import end_to_end_id, spi, spi_reading, spi_writing
from apps.pix.spi import Header, MessageRefused, Party, PaymentOrder, PaymentReturn, StatusReport
from apps.pix.spi_writing import Unwritable
from apps.pix.xml_document import BadXml, Element, parse, render

NOW = datetime(2026, 11, 25, 12, 34, 56, 789_000, tzinfo=UTC)
HEADER = Header("99999010", spi.SPI_ISPB, "M9999901012345678901234567890123", NOW)
E2E = "E9999901020261125123412345678900"
D2E = "D9999901020261125123412345678900"
ANA = Party("99999010", "52998224725", "123456", "CACC", "0001", "Ana Souza")
BETO = Party("18236120", "11222333000181", "600000X", "SVGS")
ORDER = PaymentOrder(HEADER, E2E, 100_000, NOW, "MANU", ANA, BETO, description="Almoço & café")
BY_KEY = replace(ORDER, instrument="DICT", key="+5511987654321", txid="abc123")
RETURN = PaymentReturn(HEADER, D2E, E2E, 50, "MD06", "18236120", "99999010", "Troco")
ACCEPTED = StatusReport(HEADER, E2E, "ACSP")
REJECTED = StatusReport(HEADER, E2E, "RJCT", "AB03", "fora do prazo")
SETTLED = StatusReport(HEADER, D2E, "ACCC", settled_at=NOW, end_to_end_id=E2E)


def paths(element: Element, above: str = "") -> list[str]:
    """The leaves in order, each by its path and text."""
    here = f"{above}/{element.name}"
    if not element.children:
        return [f"{here}={element.text}"]
    return [path for child in element.children for path in paths(child, here)]


def test_an_order_has_every_element_of_the_xsd_in_its_order() -> None:
    envelope = parse(spi_writing.payment_order(BY_KEY))
    assert envelope.namespace == "https://www.bcb.gov.br/pi/pacs.008/1.16"
    top = "/Envelope/AppHdr"
    group = "/Envelope/Document/FIToFICstmrCdtTrf/GrpHdr"
    payment = "/Envelope/Document/FIToFICstmrCdtTrf/CdtTrfTxInf"
    assert paths(envelope) == [
        f"{top}/Fr/FIId/FinInstnId/Othr/Id=99999010",
        f"{top}/To/FIId/FinInstnId/Othr/Id=00038166",
        f"{top}/BizMsgIdr=M9999901012345678901234567890123",
        f"{top}/MsgDefIdr=pacs.008.spi.1.16",
        f"{top}/CreDt=2026-11-25T12:34:56.789Z",
        f"{top}/Sgntr=",
        f"{group}/MsgId=M9999901012345678901234567890123",
        f"{group}/CreDtTm=2026-11-25T12:34:56.789Z",
        f"{group}/NbOfTxs=1",
        f"{group}/SttlmInf/SttlmMtd=CLRG",
        f"{group}/PmtTpInf/InstrPrty=HIGH",
        f"{group}/PmtTpInf/SvcLvl/Prtry=PAGPRI",
        f"{payment}/PmtId/EndToEndId={E2E}",
        f"{payment}/PmtId/TxId=abc123",
        f"{payment}/IntrBkSttlmAmt=1000.00",
        f"{payment}/AccptncDtTm=2026-11-25T12:34:56.789Z",
        f"{payment}/ChrgBr=SLEV",
        f"{payment}/MndtRltdInf/Tp/LclInstrm/Prtry=DICT",
        f"{payment}/Dbtr/Nm=Ana Souza",
        f"{payment}/Dbtr/Id/PrvtId/Othr/Id=52998224725",
        f"{payment}/DbtrAcct/Id/Othr/Id=123456",
        f"{payment}/DbtrAcct/Id/Othr/Issr=0001",
        f"{payment}/DbtrAcct/Tp/Cd=CACC",
        f"{payment}/DbtrAgt/FinInstnId/ClrSysMmbId/MmbId=99999010",
        f"{payment}/CdtrAgt/FinInstnId/ClrSysMmbId/MmbId=18236120",
        f"{payment}/Cdtr/Id/PrvtId/Othr/Id=11222333000181",
        f"{payment}/CdtrAcct/Id/Othr/Id=600000X",
        f"{payment}/CdtrAcct/Tp/Cd=SVGS",
        f"{payment}/CdtrAcct/Prxy/Id=+5511987654321",
        f"{payment}/Purp/Cd=IPAY",
        f"{payment}/RmtInf/Ustrd=Almoço & café",
    ]
    amount = envelope.find("Document/FIToFICstmrCdtTrf/CdtTrfTxInf/IntrBkSttlmAmt")
    assert amount is not None
    assert amount.attributes == {"Ccy": "BRL"}


@pytest.mark.parametrize("order", [ORDER, BY_KEY], ids=["by account", "by key"])
def test_an_order_is_read_as_it_was_written(order: PaymentOrder) -> None:
    assert spi_reading.read(spi_writing.payment_order(order)) == order


def test_a_return_is_read_as_it_was_written() -> None:
    body = spi_writing.payment_return(RETURN)
    assert spi_reading.read(body) == RETURN
    assert b"<RtrId>D9999901020261125123412345678900</RtrId>" in body


@pytest.mark.parametrize("report", [ACCEPTED, REJECTED, SETTLED], ids=["ACSP", "RJCT", "ACCC"])
def test_an_answer_is_read_as_it_was_written(report: StatusReport) -> None:
    assert spi_reading.read(spi_writing.status_report(report)) == report


def test_the_same_order_is_the_same_bytes() -> None:
    assert spi_writing.payment_order(ORDER) == spi_writing.payment_order(ORDER)


REFUSED = """<Envelope xmlns="https://www.bcb.gov.br/pi/admi.002/1.3"><AppHdr>
<Fr><FIId><FinInstnId><Othr><Id>00038166</Id></Othr></FinInstnId></FIId></Fr>
<To><FIId><FinInstnId><Othr><Id>99999010</Id></Othr></FinInstnId></FIId></To>
<BizMsgIdr>M0003816612345678901234567890123</BizMsgIdr><MsgDefIdr>admi.002.spi.1.3</MsgDefIdr>
<CreDt>2026-11-25T12:34:56.789Z</CreDt><Sgntr/></AppHdr><Document><admi.002.001.01>
<RltdRef><Ref>M9999901012345678901234567890123</Ref></RltdRef><Rsn><RjctgPtyRsn>ERRO</RjctgPtyRsn>
<RsnDesc>XML</RsnDesc></Rsn></admi.002.001.01></Document></Envelope>"""


def test_a_refused_message_names_the_one_that_was_refused() -> None:
    found = spi_reading.read(REFUSED.encode())
    assert isinstance(found, MessageRefused)
    assert (found.related, found.reason, found.detail) == (HEADER.message_id, "ERRO", "XML")


def test_new_elements_and_a_newer_catalogue_change_nothing() -> None:
    text = spi_writing.payment_order(ORDER).decode()
    newer = text.replace("1.16", "1.99").replace("<PmtId>", "<New><PmtId>x</PmtId></New><PmtId new='1'>")
    assert spi_reading.read(newer.encode()) == ORDER


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1000.00", "1000.0"),
        ("1000.00", "1000,00"),
        ("1000.00", "-1000.00"),
        ("1000.00", "1e3"),
        ('Ccy="BRL"', 'Ccy="USD"'),
        (E2E, E2E.lower()),
        (E2E, D2E),
        ("<CreDt>2026-11-25T12:34:56.789Z", "<CreDt>2026-11-25T09:34:56.789-03:00"),
        ("<CreDt>2026-11-25T12:34:56.789Z", "<CreDt>2026-13-25T12:34:56.789Z"),
        ("<BizMsgIdr>M", "<BizMsgIdr>X"),
        ("<MsgId>M9999901012345678901234567890123", "<MsgId>M9999901012345678901234567890124"),
        ("52998224725", "52998224726"),
        ("52998224725", "529.982.247-25"),
        (">MANU<", ">MAGIC<"),
        (">SVGS<", ">GOLD<"),
        ("600000X", "600-000"),
        ("18236120", "1823612"),
        ("pacs.008.spi", "pacs.009.spi"),
        ("Envelope", "Letter"),
        ("<ChrgBr>", "<!DOCTYPE x><ChrgBr>"),
    ],
)
def test_what_is_malformed_is_refused_without_being_quoted(old: str, new: str) -> None:
    text = spi_writing.payment_order(ORDER).decode()
    assert old in text
    with pytest.raises(BadXml) as bad:
        spi_reading.read(text.replace(old, new).encode())
    assert not {"52998224725", "529.982.247-25", "Ana Souza", "600000X"} & set(str(bad.value).split())


@pytest.mark.parametrize("name", ["EndToEndId", "Nm", "AccptncDtTm", "Purp", "CdtrAgt", "DbtrAcct", "Sgntr"])
def test_what_is_missing_is_refused_and_a_signature_is_the_signers_matter(name: str) -> None:
    def without(element: Element) -> Element:
        kept = tuple(without(child) for child in element.children if child.name != name)
        return replace(element, children=kept)

    body = render(without(parse(spi_writing.payment_order(ORDER))))
    if name == "Sgntr":
        assert spi_reading.read(body) == ORDER
    else:
        with pytest.raises(BadXml):
            spi_reading.read(body)


def test_two_payments_in_one_message_are_refused() -> None:
    text = spi_writing.payment_order(ORDER).decode()
    payment = text[text.index("<CdtTrfTxInf>") : text.index("</CdtTrfTxInf>") + len("</CdtTrfTxInf>")]
    with pytest.raises(BadXml, match="not exactly one"):
        spi_reading.read(text.replace(payment, payment * 2).encode())


def test_a_rejection_without_a_reason_is_refused() -> None:
    text = spi_writing.status_report(REJECTED).decode()
    with pytest.raises(BadXml, match="says why"):
        spi_reading.read(text.replace("AB03", "").encode())


def test_a_report_about_a_return_is_not_about_the_payment() -> None:
    found = spi_reading.read(spi_writing.status_report(SETTLED))
    assert isinstance(found, StatusReport)
    assert (found.original_id, found.end_to_end_id) == (D2E, E2E)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"<OrgnlInstrId>{E2E}", f"<OrgnlInstrId>{E2E[:-1]}z"),
        (f"<OrgnlEndToEndId>{E2E}", f"<OrgnlEndToEndId>{D2E}"),
        (f"<OrgnlInstrId>{E2E}</OrgnlInstrId>", ""),
    ],
    ids=["two payments", "a return as payment", "nothing"],
)
def test_a_report_that_is_about_nothing_clear_is_refused(old: str, new: str) -> None:
    text = spi_writing.status_report(ACCEPTED).decode()
    assert old in text
    with pytest.raises(BadXml):
        spi_reading.read(text.replace(old, new).encode())


def test_a_reason_that_bacen_adds_is_taken() -> None:
    text = spi_writing.status_report(REJECTED).decode().replace("AB03", "ZZ99")
    found = spi_reading.read(text.encode())
    assert isinstance(found, StatusReport)
    assert found.reason == "ZZ99"


@pytest.mark.parametrize(
    "order",
    [
        replace(ORDER, key="+5511987654321"),
        replace(ORDER, instrument="DICT"),
        replace(ORDER, amount_cents=0),
        replace(ORDER, debtor=replace(ANA, name=None)),
    ],
    ids=["a key by hand", "no key", "nothing", "nameless"],
)
def test_an_order_that_the_spi_would_refuse_is_not_written(order: PaymentOrder) -> None:
    with pytest.raises(Unwritable):
        spi_writing.payment_order(order)


@pytest.mark.parametrize(
    "report",
    [
        replace(ACCEPTED, reason="AB03"),
        replace(REJECTED, reason=None),
        replace(ACCEPTED, original_id=D2E),
        replace(ACCEPTED, end_to_end_id=E2E),
    ],
    ids=["a reason for nothing", "no reason", "a return of nothing", "a payment of a payment"],
)
def test_an_answer_that_contradicts_itself_is_not_written(report: StatusReport) -> None:
    with pytest.raises(Unwritable):
        spi_writing.status_report(report)


class Stamp:
    """A signer that can be seen at work."""

    def sign(self, envelope: Element) -> Element:
        return replace(envelope, attributes={"signed": "yes"})

    def check(self, envelope: Element, body: bytes) -> None:
        if envelope.attributes.get("signed") != "yes":
            raise BadXml("nobody signed it")


def test_a_message_is_signed_and_one_that_is_not_is_refused() -> None:
    assert spi_reading.read(spi_writing.payment_order(ORDER, Stamp()), Stamp()) == ORDER
    with pytest.raises(BadXml, match="nobody signed it"):
        spi_reading.read(spi_writing.payment_order(ORDER), Stamp())


def test_messages_have_ids_of_their_own() -> None:
    made = {spi.new_message_id("99999010") for _ in range(1000)}
    assert len(made) == 1000
    assert all(spi.MESSAGE_ID.fullmatch(each) and each.startswith("M99999010") for each in made)


TEXTS = st.text(string.ascii_letters + string.digits + " &<>\"'çãé", min_size=1, max_size=140).filter(
    lambda text: text == text.strip() and text != ""
)


@given(
    amount=st.integers(1, 10**14),
    description=st.none() | TEXTS,
    minutes=st.integers(0, 10**6),
    key=st.none() | st.sampled_from(["+5511987654321", "pix@bcb.gov.br"]),
)
def test_any_order_is_read_as_it_was_written(
    amount: int, description: str | None, minutes: int, key: str | None
) -> None:
    when = NOW + timedelta(minutes=minutes)
    order = replace(
        ORDER,
        amount_cents=amount,
        description=description,
        accepted_at=when,
        end_to_end_id=end_to_end_id.new("99999010", when),
        key=key,
        instrument="MANU" if key is None else "QRES",
    )
    assert spi_reading.read(spi_writing.payment_order(order)) == order


def test_a_party_does_not_show_in_what_is_printed() -> None:
    assert repr(ANA) == "Party(99999010)"

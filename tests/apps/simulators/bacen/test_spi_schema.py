"""The shapes of the SPI's messages, and what their breach is answered with: admi.002, nothing else."""

import re
from pathlib import Path

import pytest

from apps.simulators.bacen.markup import parse, text
from apps.simulators.bacen.spi_messages import amount, cents
from apps.simulators.bacen.spi_schema import REASONS, RETURN_REASONS, faults_of
from tests.apps.simulators.bacen.scene import OWN, outcomes, scene

PUBLISHED = Path(__file__).parent / "published"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pacs.008_manu.xml", "pacs.008"),
        ("pacs.008_dict.xml", "pacs.008"),
        ("pacs.002_psp.xml", "pacs.002"),
        ("pacs.002_spi.xml", "pacs.002"),
        ("pacs.002_error.xml", "pacs.002"),
    ],
)
def test_messages_of_the_published_shape_are_sound(name: str, kind: str) -> None:
    assert faults_of(kind, parse((PUBLISHED / name).read_bytes())) == []


BROKEN = {
    "end-to-end id with a lower-case ISPB": (r"<EndToEndId>E........", "<EndToEndId>E9999901a"),
    "return id as end-to-end id": ("<EndToEndId>E", "<EndToEndId>D"),
    "end-to-end id of 31": (".</EndToEndId>", "</EndToEndId>"),
    "local time": (r"(<AccptncDtTm>.{19})\.000Z", r"\1-03:00"),
    "time without milliseconds": (r"(<AccptncDtTm>.{19})\.000Z", r"\1Z"),
    "no such day": (r"<AccptncDtTm>.{10}", "<AccptncDtTm>2026-02-30"),
    "amount with a comma": (r">100\.50<", ">100,50<"),
    "negative amount": (r">100\.50<", ">-100.50<"),
    "three decimals": (r">100\.50<", ">100.500<"),
    "nineteen digits": (r">100\.50<", ">12345678901234567.00<"),
    "another currency": ('Ccy="BRL"', 'Ccy="USD"'),
    "no currency": (' Ccy="BRL"', ""),
    "charges": (">SLEV<", ">SHAR<"),
    "form of payment": (">DICT<", ">CHEQ<"),
    "document with letters in a CPF": (r"<Id>11144477735<", "<Id>1114447773A<"),
    "document with its mask": (r"<Id>11144477735<", "<Id>111.444.777-35<"),
    "purpose": (">IPAY<", ">GIFT<"),
    "a name for the receiver": ("<Cdtr>", "<Cdtr><Nm>Maria</Nm>"),
    "an element that nobody knows": ("<Purp>", "<New/><Purp>"),
    "the wrong order": (r"(<AccptncDtTm>.*?</AccptncDtTm>)(<ChrgBr>SLEV</ChrgBr>)", r"\2\1"),
    "no account": ("<DbtrAcct>.*?</DbtrAcct>", ""),
    "no signature element": ("<Sgntr/>", ""),
    "no operation": ("<CdtTrfTxInf>.*</CdtTrfTxInf>", ""),
    "text where elements belong": ("<Purp>.*?</Purp>", "<Purp>IPAY</Purp>"),
    "settlement": (">CLRG<", ">INDA<"),
    "a MsgId of another form": ("<MsgId>M", "<MsgId>X"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_the_schema_comes_back_as_admi_002_and_moves_nothing(broken: tuple[str, str]) -> None:
    at = scene()
    payment = at.payment()
    sound = at.order(payment).decode()
    xml, found = re.subn(*broken, sound, count=1, flags=re.DOTALL)
    assert found, "the message has nothing to break"
    at.bacen.post(OWN, xml.encode())
    (answer,) = at.received()
    assert outcomes([answer]) == [("admi.002", None, "XML invalido")]
    root = parse(answer.xml)
    reason = "Document/admi.002.001.01"
    assert (text(root, f"{reason}/RltdRef/Ref") or "").startswith(f"M{OWN}")
    assert (text(root, f"{reason}/Rsn/ErrLctn") or "").startswith("/Envelope")
    assert at.bacen.spi.status(OWN, payment.end_to_end_id) is None, "it is no order"
    assert at.bacen.spi.contas[OWN].cents == at.bacen.conta_cents


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("pacs.008/1.16", "pacs.008/1.17", "Schema desconhecido"),
        ("https://www.bcb.gov.br/pi/", "urn:iso:std:iso:20022:tech:xsd:", "Schema desconhecido"),
        ("<Id>99999010</Id></Othr></FinInstnId></FIId></Fr>", "", "XML invalido"),
        ("<Id>00038166</Id>", "<Id>60701190</Id>", "Cabecalho invalido"),
        ("<BizMsgIdr>M99999010", "<BizMsgIdr>M60701190", "Cabecalho invalido"),
        ("pacs.008.spi.1.16", "pacs.008.spi.1.15", "Cabecalho invalido"),
        ("</Envelope>", "", "XML invalido"),
        ("<Envelope", '<!DOCTYPE x [<!ENTITY y "z">]><Envelope', "XML invalido"),
    ],
    ids=["version", "namespace", "sender", "receiver", "foreign MsgId", "definition", "cut off", "entities"],
)
def test_an_envelope_that_cannot_be_taken_comes_back(old: str, new: str, reason: str) -> None:
    at = scene()
    xml = at.order(at.payment()).decode()
    assert old in xml
    at.bacen.post(OWN, xml.replace(old, new, 1).encode())
    assert outcomes(at.received()) == [("admi.002", None, reason)]


def test_what_cannot_be_read_is_named_by_its_resource_id() -> None:
    at = scene()
    resource_id = at.bacen.post(OWN, b"no message at all")
    (answer,) = at.received()
    assert text(parse(answer.xml), "Document/admi.002.001.01/RltdRef/Ref") == resource_id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("<RtrId>D", "<RtrId>E", id="an E for a D"),
        pytest.param("<OrgnlEndToEndId>E", "<OrgnlEndToEndId>D", id="a return of a return"),
        pytest.param(">MD06<", ">AC03<", id="a reason of rejections"),
        pytest.param("<SttlmPrty>HIGH</SttlmPrty>", "", id="no priority"),
    ],
)
def test_a_return_of_another_shape_comes_back(old: str, new: str) -> None:
    at = scene()
    _, xml = at.give_back(at.end_to_end_id("60701190"), 1, "60701190")
    assert old in xml.decode()
    at.bacen.post(OWN, xml.decode().replace(old, new).encode())
    assert outcomes(at.received()) == [("admi.002", None, "XML invalido")]


def test_a_reason_that_no_pacs_002_has_comes_back() -> None:
    at = scene()
    order_id = at.end_to_end_id("60701190")
    at.bacen.post(OWN, at.answer(order_id, "RJCT", "MD06"))
    assert outcomes(at.received()) == [("admi.002", None, "XML invalido")]


def test_the_reasons_are_the_published_ones() -> None:
    assert len(REASONS) == 45
    assert frozenset({"AB03", "DUPL", "ED05", "UPAY"}) <= REASONS
    assert {"BE08", "FR01", "MD06", "SL02"} == RETURN_REASONS


@pytest.mark.parametrize(
    ("written", "value"),
    [("0.00", 0), ("0.01", 1), ("100.50", 10_050), ("9007199254740993.01", 900_719_925_474_099_301)],
)
def test_amounts_are_whole_centavos(written: str, value: int) -> None:
    assert cents(written) == value
    assert amount(value) == written


@pytest.mark.parametrize(
    "written", ["1", "1.5", "1.500", "1,00", "-1.00", "+1.00", "1e2", "", "\u0661.\u0660\u0660", None]
)
def test_an_amount_without_exactly_two_decimals_is_none(written: str | None) -> None:
    assert cents(written) is None


@pytest.mark.parametrize("written", ["100", "100.5"])
def test_what_only_the_schema_takes_is_refused_as_an_amount(written: str) -> None:
    at = scene()
    at.bacen.post(OWN, at.order(at.payment()).replace(b">100.50<", f">{written}<".encode()))
    assert outcomes(at.received()) == [("pacs.002", "RJCT", "AM12")]

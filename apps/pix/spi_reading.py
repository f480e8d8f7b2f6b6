"""What the SPI sends, read without trust: one message, complete, and of a kind that is known.

Elements that nobody asks for are ignored, and so is the version after a message's kind: catalogues change
twice a year and add. What is asked for and is missing, malformed or contradicts itself is `BadXml`.
"""

import re
from datetime import UTC, datetime
from typing import Any, get_args

from apps.pix import end_to_end_id
from apps.pix.end_to_end_id import BadId
from apps.pix.spi import (
    MESSAGE_ID,
    UNSIGNED,
    AccountType,
    Header,
    Instrument,
    Message,
    MessageRefused,
    Party,
    PaymentOrder,
    PaymentReturn,
    Purpose,
    ReturnReason,
    Signer,
    Status,
    StatusReport,
)
from apps.pix.tax_id import BadTaxId, normalised
from apps.pix.xml_document import BadXml, Element, parse

_ISPB = re.compile(r"[0-9A-Z]{8}")
_AMOUNT = re.compile(r"[0-9]{1,16}\.[0-9]{2}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_REASON = re.compile(r"[A-Z0-9]{4}")
_ACCOUNT = re.compile(r"[0-9A-Z]{1,20}")
_BRANCH = re.compile(r"[0-9]{1,4}")


def read(body: bytes, signer: Signer = UNSIGNED) -> Message:
    """The message. Raises `BadXml`."""
    envelope = parse(body)
    if envelope.name != "Envelope":
        raise BadXml("it is no envelope")
    signer.check(envelope, body)
    header = _header(envelope)
    kind = envelope.required("AppHdr/MsgDefIdr")
    for prefix, path, reader in (
        ("pacs.008.", "Document/FIToFICstmrCdtTrf", _payment_order),
        ("pacs.004.", "Document/PmtRtr", _payment_return),
        ("pacs.002.", "Document/FIToFIPmtStsRpt", _status_report),
    ):
        if kind.startswith(prefix):
            document = _one(envelope, path)
            if document.required("GrpHdr/MsgId") != header.message_id:
                raise BadXml("header and document have different ids")
            return reader(header, document)
    if kind.startswith("admi.002."):
        return _message_refused(header, _one(envelope, "Document"))
    raise BadXml("it is of a kind that nobody here knows")


def _header(envelope: Element) -> Header:
    message_id = envelope.required("AppHdr/BizMsgIdr")
    if not MESSAGE_ID.fullmatch(message_id):
        raise BadXml("BizMsgIdr is no message id")
    return Header(
        sender=_ispb(envelope, "AppHdr/Fr/FIId/FinInstnId/Othr/Id"),
        receiver=_ispb(envelope, "AppHdr/To/FIId/FinInstnId/Othr/Id"),
        message_id=message_id,
        created_at=_instant(envelope.required("AppHdr/CreDt")),
    )


def _payment_order(header: Header, document: Element) -> PaymentOrder:
    payment = _only(document, "CdtTrfTxInf")
    instrument: Instrument = _known(Instrument, payment.required("MndtRltdInf/Tp/LclInstrm/Prtry"))
    return PaymentOrder(
        header=header,
        end_to_end_id=_id(payment.required("PmtId/EndToEndId"), "E"),
        amount_cents=_amount(payment, "IntrBkSttlmAmt"),
        accepted_at=_instant(payment.required("AccptncDtTm")),
        instrument=instrument,
        debtor=_party(payment, "Dbtr", payment.required("Dbtr/Nm")),
        creditor=_party(payment, "Cdtr", None),
        purpose=_known(Purpose, payment.required("Purp/Cd")),
        key=payment.optional("CdtrAcct/Prxy/Id"),
        txid=payment.optional("PmtId/TxId"),
        description=payment.optional("RmtInf/Ustrd"),
    )


def _payment_return(header: Header, document: Element) -> PaymentReturn:
    returned = _only(document, "TxInf")
    return PaymentReturn(
        header=header,
        return_id=_id(returned.required("RtrId"), "D"),
        end_to_end_id=_id(returned.required("OrgnlEndToEndId"), "E"),
        amount_cents=_amount(returned, "RtrdIntrBkSttlmAmt"),
        reason=_known(ReturnReason, returned.required("RtrRsnInf/Rsn/Cd")),
        debtor_ispb=_ispb(returned, "OrgnlTxRef/DbtrAgt/FinInstnId/ClrSysMmbId/MmbId"),
        creditor_ispb=_ispb(returned, "OrgnlTxRef/CdtrAgt/FinInstnId/ClrSysMmbId/MmbId"),
        description=returned.optional("RtrRsnInf/AddtlInf"),
    )


def _status_report(header: Header, document: Element) -> StatusReport:
    report = _only(document, "TxInfAndSts")
    # A report about a return names the payment too, and is not about that.
    payment = _id(report.required("OrgnlEndToEndId"), "E")
    original = report.required("OrgnlInstrId")
    is_return = original.startswith("D")
    if not is_return and original != payment:
        raise BadXml("it is about two payments")
    status: Status = _known(Status, report.required("TxSts"))
    reason = report.optional("StsRsnInf/Rsn/Cd")
    if status == "RJCT" and (reason is None or not _REASON.fullmatch(reason)):
        raise BadXml("a rejection says why")
    settled_at = report.optional("FctvIntrBkSttlmDt/DtTm")
    return StatusReport(
        header=header,
        original_id=_id(original, "D" if is_return else "E"),
        status=status,
        reason=reason if status == "RJCT" else None,
        detail=report.optional("StsRsnInf/AddtlInf"),
        settled_at=_instant(settled_at) if settled_at is not None else None,
        end_to_end_id=payment if is_return else None,
    )


def _message_refused(header: Header, document: Element) -> MessageRefused:
    refusal = document.children[0] if len(document.children) == 1 else None
    if refusal is None:
        raise BadXml("a document has one message")
    return MessageRefused(
        header=header,
        related=refusal.required("RltdRef/Ref"),
        reason=refusal.required("Rsn/RjctgPtyRsn"),
        detail=refusal.optional("Rsn/RsnDesc"),
    )


def _party(payment: Element, role: str, name: str | None) -> Party:
    account = f"{role}Acct"
    number = payment.required(f"{account}/Id/Othr/Id")
    branch = payment.optional(f"{account}/Id/Othr/Issr")
    if not _ACCOUNT.fullmatch(number) or (branch is not None and not _BRANCH.fullmatch(branch)):
        raise BadXml(f"{account} is no account")
    tax_id = payment.required(f"{role}/Id/PrvtId/Othr/Id")
    try:
        # As it stands: the SPI sends documents without punctuation, in capitals.
        if normalised(tax_id) != tax_id:
            raise BadXml(f"{role} is written with punctuation")
    except BadTaxId as bad:
        raise BadXml(f"{role} {bad}") from None
    return Party(
        ispb=_ispb(payment, f"{role}Agt/FinInstnId/ClrSysMmbId/MmbId"),
        tax_id=tax_id,
        account=number,
        account_type=_known(AccountType, payment.required(f"{account}/Tp/Cd")),
        branch=branch,
        name=name,
    )


def _amount(element: Element, name: str) -> int:
    found = element.find(name)
    if found is None or not _AMOUNT.fullmatch(found.text) or found.attributes.get("Ccy") != "BRL":
        raise BadXml(f"{name} is no amount in reais with two decimals")
    return int(found.text.replace(".", ""))


def _instant(text: str) -> datetime:
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError  # noqa: TRY301 (one way out for both)
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise BadXml("a time is not UTC with Z") from None


def _id(text: str, prefix: str) -> str:
    try:
        end_to_end_id.read(text, "D" if prefix == "D" else "E")
    except BadId as bad:
        raise BadXml(f"an identification {bad}") from None
    return text


def _ispb(element: Element, path: str) -> str:
    ispb = element.required(path)
    if not _ISPB.fullmatch(ispb):
        raise BadXml(f"{path} is no ISPB")
    return ispb


def _known(values: object, text: str) -> Any:
    """The text as a value of a `Literal`. Raises `BadXml` for one that is none of its."""
    for value in get_args(values):
        if value == text:
            return value
    raise BadXml("a code is none of those that are known")


def _only(document: Element, name: str) -> Element:
    found = document.all(name)
    if len(found) != 1:
        raise BadXml(f"there is not exactly one {name}")
    return found[0]


def _one(envelope: Element, path: str) -> Element:
    found = envelope.find(path)
    if found is None:
        raise BadXml(f"there is no {path}")
    return found

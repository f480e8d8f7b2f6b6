"""Our messages to the SPI as XML: payment orders, returns, and answers to what others pay us.

The elements stand in the order of the XSDs of catalogue 5.13.1 (pacs.008.spi.1.16, pacs.002.spi.1.17). The
XSD of pacs.004 was not at hand: its version and elements are those of ISO 20022 as far as the others use
them.
"""

from collections.abc import Mapping

from apps.pix.spi import (
    UNSIGNED,
    WITH_PROXY,
    Header,
    Party,
    PaymentOrder,
    PaymentReturn,
    Signer,
    StatusReport,
    instant,
    reais,
)
from apps.pix.xml_document import Element, leaf, optional_leaf, render, tree

VERSIONS: Mapping[str, str] = {"pacs.008": "1.16", "pacs.002": "1.17", "pacs.004": "1.5"}
NAMESPACE = "https://www.bcb.gov.br/pi/"


class Unwritable(ValueError):  # noqa: N818
    """A message that the SPI would refuse for its form."""


def payment_order(order: PaymentOrder, signer: Signer = UNSIGNED) -> bytes:
    """A pacs.008. Raises `Unwritable`."""
    if (order.key is not None) != (order.instrument in WITH_PROXY):
        raise Unwritable(f"{order.instrument} goes {'with' if order.key is None else 'without'} a key")
    if order.amount_cents <= 0:
        raise Unwritable("an amount is above zero")
    if order.debtor.name is None:
        raise Unwritable("the debtor has a name")
    payment = tree(
        "CdtTrfTxInf",
        tree("PmtId", leaf("EndToEndId", order.end_to_end_id), optional_leaf("TxId", order.txid)),
        Element("IntrBkSttlmAmt", reais(order.amount_cents), attributes={"Ccy": "BRL"}),
        leaf("AccptncDtTm", instant(order.accepted_at)),
        leaf("ChrgBr", "SLEV"),
        tree("MndtRltdInf", tree("Tp", tree("LclInstrm", leaf("Prtry", order.instrument)))),
        tree("Dbtr", leaf("Nm", order.debtor.name), _identity(order.debtor)),
        _account("DbtrAcct", order.debtor, None),
        _agent("DbtrAgt", order.debtor.ispb),
        _agent("CdtrAgt", order.creditor.ispb),
        tree("Cdtr", _identity(order.creditor)),
        _account("CdtrAcct", order.creditor, order.key),
        tree("Purp", leaf("Cd", order.purpose)),
        tree("RmtInf", leaf("Ustrd", order.description)) if order.description is not None else None,
    )
    group = tree(
        "GrpHdr",
        *_group(order.header),
        leaf("NbOfTxs", "1"),
        tree("SttlmInf", leaf("SttlmMtd", "CLRG")),
        tree("PmtTpInf", leaf("InstrPrty", "HIGH"), tree("SvcLvl", leaf("Prtry", "PAGPRI"))),
    )
    return _envelope("pacs.008", order.header, tree("FIToFICstmrCdtTrf", group, payment), signer)


def payment_return(returned: PaymentReturn, signer: Signer = UNSIGNED) -> bytes:
    """A pacs.004. Raises `Unwritable`."""
    if returned.amount_cents <= 0:
        raise Unwritable("an amount is above zero")
    transaction = tree(
        "TxInf",
        leaf("RtrId", returned.return_id),
        leaf("OrgnlEndToEndId", returned.end_to_end_id),
        Element("RtrdIntrBkSttlmAmt", reais(returned.amount_cents), attributes={"Ccy": "BRL"}),
        leaf("SttlmPrty", "HIGH"),
        leaf("ChrgBr", "SLEV"),
        tree(
            "RtrRsnInf",
            tree("Rsn", leaf("Cd", returned.reason)),
            optional_leaf("AddtlInf", returned.description),
        ),
        tree(
            "OrgnlTxRef",
            _agent("DbtrAgt", returned.debtor_ispb),
            _agent("CdtrAgt", returned.creditor_ispb),
        ),
    )
    group = tree(
        "GrpHdr",
        *_group(returned.header),
        leaf("NbOfTxs", "1"),
        tree("SttlmInf", leaf("SttlmMtd", "CLRG")),
    )
    return _envelope("pacs.004", returned.header, tree("PmtRtr", group, transaction), signer)


def status_report(report: StatusReport, signer: Signer = UNSIGNED) -> bytes:
    """A pacs.002: that we will credit (ACSP), or why not (RJCT). Raises `Unwritable`."""
    if (report.reason is not None) != (report.status == "RJCT"):
        raise Unwritable("a reason comes with RJCT, and only with it")
    if (report.end_to_end_id is not None) != report.original_id.startswith("D"):
        raise Unwritable("a report about a return names the payment, and only that")
    reason = None
    if report.reason is not None:
        reason = tree(
            "StsRsnInf", tree("Rsn", leaf("Cd", report.reason)), optional_leaf("AddtlInf", report.detail)
        )
    settled = None
    if report.settled_at is not None:
        settled = tree("FctvIntrBkSttlmDt", leaf("DtTm", instant(report.settled_at)))
    transaction = tree(
        "TxInfAndSts",
        leaf("OrgnlInstrId", report.original_id),
        leaf("OrgnlEndToEndId", report.end_to_end_id or report.original_id),
        leaf("TxSts", report.status),
        reason,
        settled,
    )
    group = tree("GrpHdr", *_group(report.header))
    return _envelope("pacs.002", report.header, tree("FIToFIPmtStsRpt", group, transaction), signer)


def _envelope(kind: str, header: Header, document: Element, signer: Signer) -> bytes:
    version = VERSIONS[kind]
    application = tree(
        "AppHdr",
        _institution("Fr", header.sender),
        _institution("To", header.receiver),
        leaf("BizMsgIdr", header.message_id),
        leaf("MsgDefIdr", f"{kind}.spi.{version}"),
        leaf("CreDt", instant(header.created_at)),
        leaf("Sgntr", ""),
    )
    envelope = Element(
        "Envelope", "", (application, tree("Document", document)), namespace=f"{NAMESPACE}{kind}/{version}"
    )
    return render(signer.sign(envelope))


def _group(header: Header) -> tuple[Element, Element]:
    return leaf("MsgId", header.message_id), leaf("CreDtTm", instant(header.created_at))


def _institution(name: str, ispb: str) -> Element:
    return tree(name, tree("FIId", tree("FinInstnId", tree("Othr", leaf("Id", ispb)))))


def _agent(name: str, ispb: str) -> Element:
    return tree(name, tree("FinInstnId", tree("ClrSysMmbId", leaf("MmbId", ispb))))


def _identity(party: Party) -> Element:
    return tree("Id", tree("PrvtId", tree("Othr", leaf("Id", party.tax_id))))


def _account(name: str, party: Party, key: str | None) -> Element:
    return tree(
        name,
        tree("Id", tree("Othr", leaf("Id", party.account), optional_leaf("Issr", party.branch))),
        tree("Tp", leaf("Cd", party.account_type)),
        None if key is None else tree("Prxy", leaf("Id", key)),
    )

"""The SPI's messages, read and written: pacs.008, pacs.002, pacs.004 and admi.002 in their envelopes.

Catalogue 5.13.1; one default namespace on `Envelope`, times in UTC with milliseconds, amounts in BRL with two
decimals, kept as integer centavos.
"""

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from apps.simulators.bacen.clock import BRASILIA, stamp
from apps.simulators.bacen.directory import Account, Owner
from apps.simulators.bacen.markup import Element, Node, find, local, text, tree, written
from apps.simulators.bacen.spi_schema import DOCUMENTS, VERSIONS

SPI = "00038166"
"""Bacen's own ISPB, which sends and receives every message."""
_ALPHABET = string.ascii_letters + string.digits
_PRIORITY: Node = ("PmtTpInf", [("InstrPrty", "HIGH"), ("SvcLvl", [("Prtry", "PAGPRI")])])
_TWO_DECIMALS = re.compile(r"[0-9]{1,16}\.[0-9]{2}")


@dataclass(frozen=True)
class Payment:
    """A Pix that a bank orders. `key` where it was found by one, `tx_id` where a QR code asked for it,
    `initiator` the CNPJ of whoever started it elsewhere."""

    end_to_end_id: str
    amount_cents: int
    accepted_at: datetime
    instrument: str
    debtor: Owner
    debtor_account: Account
    creditor_tax_id: str
    creditor_account: Account
    key: str | None = None
    tx_id: str | None = None
    note: str | None = None
    initiator: str | None = None


@dataclass(frozen=True)
class Header:
    """Who sends a message to whom, under which MsgId, and when it was made."""

    sender: str
    receiver: str
    message_id: str
    now: datetime


@dataclass(frozen=True)
class Identifiers:
    """Makes identifiers out of a stream of chance."""

    chance: Random

    def message(self, ispb: str) -> str:
        """A MsgId: `M`, who sends, and 23 letters and digits."""
        return f"M{ispb}{self._tail(23)}"

    def operation(self, letter: str, ispb: str, now: datetime) -> str:
        """An end-to-end id (`E`) or the id of a return (`D`): who, when in UTC, and eleven more."""
        return f"{letter}{ispb}{stamp(now)[:16].translate({45: None, 58: None, 84: None})}{self._tail(11)}"

    def resource(self) -> str:
        """A PI-ResourceId."""
        return self._tail(32)

    def _tail(self, length: int) -> str:
        return "".join(self.chance.choices(_ALPHABET, k=length))


def cents(amount: str | None) -> int | None:
    """Centavos of an amount with exactly two decimals; none for any other."""
    if amount is None or not _TWO_DECIMALS.fullmatch(amount):
        return None
    return int(amount.replace(".", ""))


def amount(value_cents: int) -> str:
    """An amount as messages write it."""
    return f"{value_cents // 100}.{value_cents % 100:02d}"


def operations(kind: str, envelope: Element) -> Iterator[Element]:
    """The operations inside a message."""
    document, each = DOCUMENTS[kind]
    inside = find(envelope, f"Document/{document}")
    yield from (child for child in (inside if inside is not None else ()) if local(child) == each)


def agent(operation: Element, name: str) -> str:
    """The ISPB of `DbtrAgt` or `CdtrAgt`."""
    return text(operation, f"{name}/FinInstnId/ClrSysMmbId/MmbId") or ""


def pacs_008(header: Header, payment: Payment) -> bytes:
    """An order to pay, as a bank sends it."""
    proxy: Node | None = ("Prxy", [("Id", payment.key)]) if payment.key else None
    operation: Node = (
        "CdtTrfTxInf",
        [
            ("PmtId", [("EndToEndId", payment.end_to_end_id), ("TxId", payment.tx_id)]),
            _amount("IntrBkSttlmAmt", payment.amount_cents),
            ("AccptncDtTm", stamp(payment.accepted_at)),
            ("ChrgBr", "SLEV"),
            _deep("MndtRltdInf/Tp/LclInstrm/Prtry", payment.instrument),
            _deep("InitgPty/Id/OrgId/Othr/Id", payment.initiator)
            if payment.initiator
            else ("InitgPty", None),
            ("Dbtr", [("Nm", payment.debtor.name), _deep("Id/PrvtId/Othr/Id", payment.debtor.tax_id)]),
            ("DbtrAcct", _account(payment.debtor_account)),
            _agent("DbtrAgt", payment.debtor_account.participant),
            _agent("CdtrAgt", payment.creditor_account.participant),
            ("Cdtr", [_deep("Id/PrvtId/Othr/Id", payment.creditor_tax_id)]),
            ("CdtrAcct", [*_account(payment.creditor_account), *([proxy] if proxy else [])]),
            _deep("Purp/Cd", "IPAY"),
            ("RmtInf", [("Ustrd", payment.note)] if payment.note else None),
        ],
    )
    return _order("pacs.008", header, [operation], _PRIORITY)


def pacs_004(
    header: Header, *, return_id: str, original: str, payer: str, value_cents: int, reason: str
) -> bytes:
    """An order to give back, as the bank sends it that was paid; `payer` is the one that had paid."""
    operation: Node = (
        "TxInf",
        [
            ("RtrId", return_id),
            ("OrgnlEndToEndId", original),
            _amount("RtrdIntrBkSttlmAmt", value_cents),
            ("SttlmPrty", "HIGH"),
            ("ChrgBr", "SLEV"),
            _deep("RtrRsnInf/Rsn/Cd", reason),
            ("OrgnlTxRef", [_agent("DbtrAgt", payer), _agent("CdtrAgt", header.sender)]),
        ],
    )
    return _order("pacs.004", header, [operation], None)


def forwarded(header: Header, kind: str, envelope: Element, operation: Element) -> bytes:
    """The order as the SPI hands it on: one operation of `envelope`, alone, under a header of the SPI."""
    priority = find(envelope, f"Document/{DOCUMENTS[kind][0]}/GrpHdr/PmtTpInf")
    return _order(kind, header, [_bare(operation)], _bare(priority) if priority is not None else None)


def pacs_002(
    header: Header,
    *,
    operation_id: str,
    end_to_end_id: str,
    status: str,
    reason: str | None = None,
    information: str | None = None,
    settled_at: datetime | None = None,
) -> bytes:
    """What became of an order. Only the SPI writes `settled_at`."""
    why: Node | None = None
    if reason is not None:
        why = ("StsRsnInf", [_deep("Rsn/Cd", reason), ("AddtlInf", information)])
    settled: list[Node] = []
    if settled_at is not None:
        settled = [
            _deep("FctvIntrBkSttlmDt/DtTm", stamp(settled_at)),
            _deep("OrgnlTxRef/IntrBkSttlmDt", settled_at.astimezone(BRASILIA).date().isoformat()),
        ]
    operation: Node = (
        "TxInfAndSts",
        [
            ("OrgnlInstrId", operation_id),
            ("OrgnlEndToEndId", end_to_end_id),
            ("TxSts", status),
            *([why] if why else []),
            *settled,
        ],
    )
    group: Node = ("GrpHdr", [("MsgId", header.message_id), ("CreDtTm", stamp(header.now))])
    return _envelope("pacs.002", header, ("FIToFIPmtStsRpt", [group, operation]))


def admi_002(header: Header, *, reference: str, reason: str, location: str | None, details: str) -> bytes:
    """A message that could not be taken at all. `reference` is its MsgId or, unread, its resource id."""
    why: Node = (
        "Rsn",
        [
            ("RjctgPtyRsn", reason[:35]),
            ("RjctnDtTm", stamp(header.now)),
            ("ErrLctn", location[:350] if location else None),
            ("RsnDesc", details[:350]),
        ],
    )
    document: Node = ("admi.002.001.01", [("RltdRef", [("Ref", reference[:33])]), why])
    return _envelope("admi.002", header, document)


def _order(
    kind: str, header: Header, operations: Sequence[Node | Element], priority: Node | Element | None
) -> bytes:
    group: list[Node | Element] = [
        ("MsgId", header.message_id),
        ("CreDtTm", stamp(header.now)),
        ("NbOfTxs", str(len(operations))),
        _deep("SttlmInf/SttlmMtd", "CLRG"),
    ]
    if priority is not None:
        group.append(priority)
    return _envelope(kind, header, (DOCUMENTS[kind][0], [("GrpHdr", group), *operations]))


def _envelope(kind: str, header: Header, document: Node) -> bytes:
    version = VERSIONS[kind]
    head: list[Node | Element] = [
        _deep("Fr/FIId/FinInstnId/Othr/Id", header.sender),
        _deep("To/FIId/FinInstnId/Othr/Id", header.receiver),
        ("BizMsgIdr", header.message_id),
        ("MsgDefIdr", f"{kind}.spi.{version}"),
        ("CreDt", stamp(header.now)),
        Element("Sgntr"),
    ]
    root = tree(("Envelope", [("AppHdr", head), ("Document", [document])]))
    root.set("xmlns", f"https://www.bcb.gov.br/pi/{kind}/{version}")
    return written(root)


def _deep(path: str, value: str) -> Node:
    name, _, rest = path.partition("/")
    return (name, [_deep(rest, value)] if rest else value)


def _agent(name: str, ispb: str) -> Node:
    return _deep(f"{name}/FinInstnId/ClrSysMmbId/MmbId", ispb)


def _account(account: Account) -> list[Node | Element]:
    return [
        ("Id", [("Othr", [("Id", account.number), ("Issr", account.branch)])]),
        _deep("Tp/Cd", account.type),
    ]


def _amount(name: str, value_cents: int) -> Element:
    element = Element(name, {"Ccy": "BRL"})
    element.text = amount(value_cents)
    return element


def _bare(element: Element) -> Element:
    """The same without namespaces: it takes its new envelope's."""
    copy = Element(local(element), dict(element.attrib))
    copy.text = element.text if not len(element) else None
    copy.extend(_bare(child) for child in element)
    return copy

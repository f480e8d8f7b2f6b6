"""The shapes of the SPI's messages, element by element and in order, as the XSDs have them.

pacs.008.spi.1.16 and pacs.002.spi.1.17 are written down from the published schemas (X8, X2), without what
only Pix Saque, Troco and split taxes use (`Strd`, `Tax`). pacs.004.spi.1.5 was not at hand: it follows the
published description of its fields. `Sgntr` may hold anything (see `signature`).

Unlike the DICT, the SPI refuses what its schema does not know.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from apps.simulators.bacen.clock import moment
from apps.simulators.bacen.markup import Element, local

VERSIONS: Mapping[str, str] = {"pacs.008": "1.16", "pacs.002": "1.17", "pacs.004": "1.5", "admi.002": "1.5"}
NAMESPACES: Mapping[str, str] = {
    f"https://www.bcb.gov.br/pi/{kind}/{version}": kind for kind, version in VERSIONS.items()
}
_REASONS = """
    AB03 AB09 AB11 AC03 AC06 AC07 AC14 AG03 AG12 AG13 AGNT AM01 AM02 AM04 AM09 AM12 AM18 AM23 BE01 BE05
    BE15 BE17 CH11 CH16 CN01 DS02 DS04 DS0G DS27 DT02 DT05 DU03 DUPL ED05 FF07 FF08 FRAD INDT MD01 RC09
    RC10 RR04 RR06 SL02 UPAY
"""
REASONS = frozenset(_REASONS.split())
"""Why a pacs.002 may say no (X2)."""
RETURN_REASONS = frozenset({"BE08", "FR01", "MD06", "SL02"})


@dataclass(frozen=True)
class Part:
    """A child: its name, its shape, and how often it stands there (`most` of 0: without end)."""

    name: str
    shape: "Shape"
    least: int = 1
    most: int = 1


Shape = str | tuple[Part, ...] | None
"""A pattern for the text, the children in their order, or nothing that is looked at."""


def _deep(path: str, shape: Shape, least: int = 1) -> Part:
    """Elements with one child each: `FinInstnId/Othr/Id`."""
    name, _, rest = path.partition("/")
    return Part(name, (_deep(rest, shape),) if rest else shape, least)


def _one_of(values: str) -> str:
    return "|".join(values.split())


_ISPB = "[0-9A-Z]{8}"
_TIME = (
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
_TAIL = "[0-9A-Z]{8}[0-9]{4}[0-1][0-9][0-3][0-9][0-2][0-9][0-5][0-9][a-zA-Z0-9]{11}"
_E2E, _RETURN_ID, _EITHER_ID = f"E{_TAIL}", f"D{_TAIL}", f"[ED]{_TAIL}"
_MESSAGE_ID = "M[0-9A-Z]{8}[a-zA-Z0-9]{23}"
_AMOUNT = r"[0-9]{1,18}|[0-9]{1,17}\.[0-9]|[0-9]{1,16}\.[0-9]{2}"
_PERSON = _deep("Id/PrvtId/Othr/Id", "[0-9]{11}|[0-9A-Z]{12}[0-9]{2}")
_ACCOUNT_ID = _deep("Id/Othr", (Part("Id", "[0-9A-Z]{1,20}"), Part("Issr", "[0-9]{1,4}", 0)))
_ACCOUNT_TYPE = _deep("Tp/Cd", _one_of("CACC OTHR SLRY SVGS TRAN"))
_NAME, _NOTE, _KEY = ".{1,140}", ".{1,140}", ".{1,77}"


def _agent(name: str) -> Part:
    return _deep(f"{name}/FinInstnId/ClrSysMmbId/MmbId", _ISPB)


_HEADER = Part(
    "AppHdr",
    (
        _deep("Fr/FIId/FinInstnId/Othr/Id", _ISPB),
        _deep("To/FIId/FinInstnId/Othr/Id", _ISPB),
        Part("BizMsgIdr", _MESSAGE_ID),
        Part("MsgDefIdr", ".{1,35}"),
        Part("CreDt", _TIME),
        Part("Sgntr", None),
    ),
)
_GROUP = (Part("MsgId", _MESSAGE_ID), Part("CreDtTm", _TIME))
_CLEARED = (Part("NbOfTxs", "[0-9]{1,15}"), _deep("SttlmInf/SttlmMtd", "CLRG"))
_PRIORITY = Part(
    "PmtTpInf", (Part("InstrPrty", "HIGH|NORM"), _deep("SvcLvl/Prtry", _one_of("PAGAGD PAGFRD PAGPRI")))
)
_CREDIT_TRANSFER = (
    Part(
        "PmtId",
        (Part("InstrId", _EITHER_ID, 0), Part("EndToEndId", _E2E), Part("TxId", "[a-zA-Z0-9]{1,35}", 0)),
    ),
    Part("IntrBkSttlmAmt", _AMOUNT),
    Part("AccptncDtTm", _TIME),
    Part("ChrgBr", "SLEV"),
    _deep("MndtRltdInf/Tp/LclInstrm/Prtry", _one_of("APDN APES AUTO DICT INIC MANU QRDN QRES")),
    _deep("InitgPty/Id/OrgId/Othr/Id", "[0-9A-Z]{12}[0-9]{2}", 0),
    Part("Dbtr", (Part("Nm", _NAME), _PERSON)),
    Part("DbtrAcct", (_ACCOUNT_ID, _ACCOUNT_TYPE)),
    _agent("DbtrAgt"),
    _agent("CdtrAgt"),
    Part("Cdtr", (_PERSON,)),
    Part("CdtrAcct", (_ACCOUNT_ID, _ACCOUNT_TYPE, _deep("Prxy/Id", _KEY, 0))),
    _deep("Purp/Cd", _one_of("GSCB IPAY IPRT OTHR REFU")),
    _deep("RmtInf/Ustrd", _NOTE, 0),
)
_STATUS = (
    Part("OrgnlInstrId", _EITHER_ID),
    Part("OrgnlEndToEndId", _E2E),
    Part("TxSts", _one_of("ACCC ACSC ACSP RJCT")),
    Part(
        "StsRsnInf",
        (_deep("Rsn/Cd", "|".join(sorted(REASONS)), 0), Part("AddtlInf", ".{1,105}", 0, 0)),
        0,
        0,
    ),
    _deep("FctvIntrBkSttlmDt/DtTm", _TIME, 0),
    _deep("OrgnlTxRef/IntrBkSttlmDt", "[0-9]{4}-[0-9]{2}-[0-9]{2}", 0),
)
_RETURN = (
    Part("RtrId", _RETURN_ID),
    Part("OrgnlEndToEndId", _E2E),
    Part("RtrdIntrBkSttlmAmt", _AMOUNT),
    Part("SttlmPrty", "HIGH|NORM"),
    Part("ChrgBr", "SLEV"),
    Part(
        "RtrRsnInf", (_deep("Rsn/Cd", "|".join(sorted(RETURN_REASONS))), Part("AddtlInf", ".{1,105}", 0, 0))
    ),
    Part("OrgnlTxRef", (_deep("RmtInf/Ustrd", _NOTE, 0), _agent("DbtrAgt"), _agent("CdtrAgt"))),
)
DOCUMENTS: Mapping[str, tuple[str, str]] = {
    "pacs.008": ("FIToFICstmrCdtTrf", "CdtTrfTxInf"),
    "pacs.002": ("FIToFIPmtStsRpt", "TxInfAndSts"),
    "pacs.004": ("PmtRtr", "TxInf"),
}
"""The element of a message in its `Document`, and the one that stands for each operation in it."""


def _envelope(kind: str, group: tuple[Part, ...], operation: tuple[Part, ...]) -> Part:
    name, each = DOCUMENTS[kind]
    inside = (Part("GrpHdr", group), Part(each, operation, 1, 0))
    return Part("Envelope", (_HEADER, Part("Document", (Part(name, inside),))))


_SHAPES: Mapping[str, Part] = {
    "pacs.008": _envelope("pacs.008", (*_GROUP, *_CLEARED, _PRIORITY), _CREDIT_TRANSFER),
    "pacs.002": _envelope("pacs.002", _GROUP, _STATUS),
    "pacs.004": _envelope("pacs.004", (*_GROUP, *_CLEARED), _RETURN),
}


def faults_of(kind: str, envelope: Element) -> list[str]:
    """Where a message breaks its schema, each as `place: what`; empty for a sound one."""
    shape = _SHAPES[kind]
    if local(envelope) != shape.name:
        return [f"/: {local(envelope)} instead of {shape.name}"]
    return list(_checked(envelope, shape.shape, ""))


def _checked(element: Element, shape: Shape, where: str) -> Iterator[str]:
    here = f"{where}/{local(element)}"
    if isinstance(shape, tuple):
        yield from _children(element, shape, here)
    elif shape is not None:
        if len(element):
            yield f"{here}: has elements inside"
        elif not re.fullmatch(shape, element.text or "", re.DOTALL) or not _happens(shape, element):
            yield f"{here}: not of the right form"
        if element.tag.endswith("Amt") and element.attrib != {"Ccy": "BRL"}:
            yield f"{here}: not in BRL"


def _happens(shape: str, element: Element) -> bool:
    """Whether there is such a day, where a time stands: the pattern knows thirty days of February."""
    if shape is not _TIME:
        return True
    try:
        moment(element.text or "")
    except ValueError:
        return False
    return True


def _children(element: Element, parts: tuple[Part, ...], here: str) -> Iterator[str]:
    children = list(element)
    place = 0
    for part in parts:
        count = 0
        while place < len(children) and local(children[place]) == part.name and count != (part.most or -1):
            yield from _checked(children[place], part.shape, here)
            place, count = place + 1, count + 1
        if count < part.least:
            yield f"{here}: {part.name} is missing"
            return
    if place < len(children):
        yield f"{here}: {local(children[place])} is not expected here"

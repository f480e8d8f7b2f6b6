"""Orders and the SPI's own rules: what makes it refuse one before the receiver's bank hears of it.

Which rule comes first is assumed where two are broken. The codes are those of X2; the meanings OP's.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from apps.simulators.bacen.clock import moment
from apps.simulators.bacen.markup import Element, text
from apps.simulators.bacen.spi_messages import agent, cents

Status = Literal["WAITING", "SETTLED", "REJECTED"]
SETTLED_WITHIN = timedelta(seconds=40)
"""From the payer's acceptance to settlement (MT). Not the ten seconds that 99 of 100 payers wait at most."""
SCHEDULED_WITHIN = timedelta(minutes=45)
TOLERANCE = timedelta(hours=12)
"""How far the time in an identifier may be from now."""
RETURNED_WITHIN = timedelta(days=90)

_WITH_KEY = frozenset({"DICT", "QRDN", "QRES", "INIC", "APDN", "APES"})
_TX_ID = {
    "QRDN": re.compile(r"[a-zA-Z0-9]{26,35}"),
    "APDN": re.compile(r"[a-zA-Z0-9]{26,35}"),
    "INIC": re.compile(r"[a-zA-Z0-9]{1,25}"),
    "QRES": re.compile(r"[a-zA-Z0-9]{0,25}"),
    "APES": re.compile(r"[a-zA-Z0-9]{0,25}"),
    "MANU": re.compile(""),
    "DICT": re.compile(""),
}


@dataclass
class Order:
    """A payment (`E…`) or a return (`D…`). `returned_cents` is what its returns have taken or are taking."""

    id: str
    kind: Literal["payment", "return"]
    end_to_end_id: str
    payer: str
    payee: str
    amount_cents: int
    deadline: datetime
    digest: bytes
    payee_tax_id: str = ""
    key: str | None = None
    status: Status = "WAITING"
    reason: str | None = None
    settled_at: datetime | None = None
    returned_cents: int = 0
    original: "Order | None" = None

    def settle(self, now: datetime) -> None:
        """The money has moved, for good."""
        assert self.status == "WAITING", "an order is decided once"
        self.status, self.settled_at = "SETTLED", now

    def reject(self, reason: str) -> None:
        """It will not move; what a return had reserved is free again."""
        assert self.status == "WAITING", "an order is decided once"
        self.status, self.reason = "REJECTED", reason
        if self.original is not None:
            self.original.returned_cents -= self.amount_cents


@dataclass(frozen=True)
class Ruling:
    """What an order is judged by: who sends it, when, who takes part, and what was ordered before."""

    sender: str
    now: datetime
    participants: Collection[str]
    orders: Mapping[str, Order]


class Broken(Exception):  # noqa: N818
    """The SPI refuses an order. One that `is_kept` uses its id up all the same."""

    def __init__(self, order: Order, code: str, why: str, *, is_kept: bool = True) -> None:
        super().__init__(code)
        self.order = order
        self.code = code
        self.why = why
        self.is_kept = is_kept


def read_payment(ruling: Ruling, envelope: Element, operation: Element) -> Order:
    """The payment that an operation of a pacs.008 orders. Raises `Broken`."""
    order_id = text(operation, "PmtId/EndToEndId") or ""
    payer, payee = agent(operation, "DbtrAgt"), agent(operation, "CdtrAgt")
    level = text(envelope, "Document/FIToFICstmrCdtTrf/GrpHdr/PmtTpInf/SvcLvl/Prtry")
    amount = cents(text(operation, "IntrBkSttlmAmt"))
    accepted = moment(text(operation, "AccptncDtTm") or "")
    # Where fraud was suspected the time begins with the SPI; a scheduled payment has the other channel's.
    deadline = (ruling.now if level == "PAGFRD" else accepted) + (
        SCHEDULED_WITHIN if level == "PAGAGD" else SETTLED_WITHIN
    )
    order = Order(
        order_id,
        "payment",
        order_id,
        payer,
        payee,
        amount or 0,
        deadline,
        _digest(operation),
        payee_tax_id=text(operation, "Cdtr/Id/PrvtId/Othr/Id") or "",
        key=text(operation, "CdtrAcct/Prxy/Id"),
    )
    _check_new(ruling, order)
    instrument = text(operation, "MndtRltdInf/Tp/LclInstrm/Prtry") or ""
    initiator = (text(operation, "InitgPty/Id/OrgId/Othr/Id") or "")[:8]
    for code, why, is_right in (
        ("RC09", "the payer's participant takes no part in this", payer in ruling.participants),
        ("AGNT", "the sender does not settle for the payer's participant", payer == ruling.sender),
        ("RC10", "the receiver's participant takes no part in this", payee in ruling.participants),
        ("AG12", "payer and receiver at the same participant: no order for the SPI", payer != payee),
        ("AM12", "not an amount with two decimals", amount is not None),
        ("AM01", "an amount of zero", amount != 0),
        (
            "FF08",
            "the identifier is not the sender's, or not of this time",
            _is_of(ruling, order_id, initiator),
        ),
        (
            "CH16",
            "a key goes with this form, or does not",
            (order.key is not None) is (instrument in _WITH_KEY),
        ),
        ("CH16", "the TxId does not fit this form", _tx_id_fits(instrument, text(operation, "PmtId/TxId"))),
        ("AC14", "a salary account receives no Pix", text(operation, "CdtrAcct/Tp/Cd") != "SLRY"),
        ("AB03", "the time is over", ruling.now < deadline),
    ):
        if not is_right:
            raise Broken(order, code, why)
    return order


def read_return(ruling: Ruling, _: Element, operation: Element) -> Order:
    """The return that an operation of a pacs.004 orders, reserved on the original. Raises `Broken`."""
    order_id = text(operation, "RtrId") or ""
    end_to_end_id = text(operation, "OrgnlEndToEndId") or ""
    original = ruling.orders.get(end_to_end_id)
    amount = cents(text(operation, "RtrdIntrBkSttlmAmt"))
    # No time of acceptance in a pacs.004: the forty seconds begin with the SPI (assumed).
    deadline = ruling.now + SETTLED_WITHIN
    payee = original.payer if original else agent(operation, "OrgnlTxRef/DbtrAgt")
    digest = _digest(operation)
    order = Order(order_id, "return", end_to_end_id, ruling.sender, payee, amount or 0, deadline, digest)
    _check_new(ruling, order)
    if original is None or original.kind != "payment" or original.settled_at is None:
        raise Broken(order, "CH16", "no settled payment has this end-to-end id")
    for code, why, is_right in (
        ("AGNT", "only the participant that was paid gives back", original.payee == ruling.sender),
        (
            "CH16",
            "the participants are not the original's",
            _agents(operation) == (original.payer, original.payee),
        ),
        ("AM12", "not an amount with two decimals", amount is not None),
        ("AM01", "an amount of zero", amount != 0),
        ("FF08", "the identifier is not the sender's, or not of this time", _is_of(ruling, order_id, "")),
        ("DT05", "more than 90 days after the payment", ruling.now - original.settled_at <= RETURNED_WITHIN),
        (
            "AM09",
            "more than is left of the payment",
            (amount or 0) <= original.amount_cents - original.returned_cents,
        ),
    ):
        if not is_right:
            raise Broken(order, code, why)
    order.original = original
    original.returned_cents += order.amount_cents
    return order


def _check_new(ruling: Ruling, order: Order) -> None:
    before = ruling.orders.get(order.id)
    if before is not None:
        code = "DUPL" if before.digest == order.digest else "ED05"
        raise Broken(order, code, "an order had this identifier", is_kept=False)


def _is_of(ruling: Ruling, order_id: str, initiator: str) -> bool:
    """Whether an identifier was made by the sender, or the payment's initiator, and not long from now."""
    try:
        made = datetime.strptime(order_id[9:21], "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        return False
    return order_id[1:9] in {ruling.sender, initiator} and abs(ruling.now - made) <= TOLERANCE


def _tx_id_fits(instrument: str, tx_id: str | None) -> bool:
    pattern = _TX_ID.get(instrument)
    return pattern is None or pattern.fullmatch(tx_id or "") is not None


def _agents(operation: Element) -> tuple[str, str]:
    return agent(operation, "OrgnlTxRef/DbtrAgt"), agent(operation, "OrgnlTxRef/CdtrAgt")


def _digest(operation: Element) -> bytes:
    said = (f"{each.tag}={(each.text or '').strip()}" for each in operation.iter())
    return hashlib.sha256("\n".join(said).encode()).digest()

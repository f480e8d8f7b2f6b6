"""A payment or return to another bank: what its order says, and what an answer of the SPI means. No I/O.

The order is written once, when the payment becomes SENT, and its bytes never change. It may leave until forty
seconds after its acceptance; the SPI settles nothing later than that. Whoever does not know what became of it
asks, and only what `judged` gives decides.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from apps.pix import spi, spi_writing
from apps.pix.spi import (
    SPI_ISPB,
    UNSIGNED,
    Header,
    Instrument,
    Party,
    PaymentOrder,
    PaymentReturn,
    Signer,
    StatusReport,
)

SENDABLE_FOR = timedelta(seconds=40)
"""From acceptance to settlement on the primary channel (SPI, manual of times). Not the ten seconds that 99 of
100 payers wait at most."""
MARGIN = timedelta(seconds=10)
"""Clocks differ, and the last order that left in time takes a while: so much later the SPI knows it or never
will."""
RETURN_NOTE = 105
"""So long may be what a pacs.004 says beside its reason (MD06: its customer asked for it)."""
NOT_SENT = "not_sent"
"""The SPI never had the order."""
TIMED_OUT = "AB03"
OF_A_COPY = frozenset({"DUPL", "ED05", "AM09"})
"""Codes for an order that was there before: they say nothing of the first one."""


class BadPayment(ValueError):  # noqa: N818
    """A text that `written` did not make. It is not quoted: it names people."""


@dataclass(frozen=True)
class Outgoing:
    """Who pays whom, and how the payer named them. `key` is the Pix key that was used. The creditor's name is
    for the payer's eyes: no order has it. `returns` makes it a return: the end-to-end id of the payment that
    it gives back from."""

    instrument: Instrument
    debtor: Party
    creditor: Party
    key: str | None = field(default=None, repr=False)
    txid: str | None = None
    returns: str | None = None


@dataclass(frozen=True)
class Settled:
    """The money has moved, for good."""


@dataclass(frozen=True)
class Rejected:
    """It has not moved and will not: the SPI's `code`, or `NOT_SENT`."""

    code: str


@dataclass(frozen=True)
class Undecided:
    """Ask again. `resend` says that the SPI has no such order and that the same bytes may still leave."""

    resend: bool = False


Verdict = Settled | Rejected | Undecided


def written(outgoing: Outgoing) -> str:
    """The payment as one text, as the ledger keeps it beside the transfer."""
    parties: dict[str, Any] = {
        "debtor": vars(outgoing.debtor),
        "creditor": vars(outgoing.creditor),
    }
    document = {"instrument": outgoing.instrument, **parties, "key": outgoing.key, "txid": outgoing.txid}
    if outgoing.returns is not None:
        document["returns"] = outgoing.returns
    return json.dumps(document, ensure_ascii=False)


def turned_round(text: str, returns: str) -> str:
    """Who pays whom when the payment `returns` (its end-to-end id) goes back, all or some of it."""
    paid = read(text)
    return written(Outgoing("MANU", paid.creditor, paid.debtor, returns=returns))


def read(text: str) -> Outgoing:
    """What `written` wrote. Raises `BadPayment`."""
    try:
        document: Mapping[str, Any] = json.loads(text)
        return Outgoing(
            document["instrument"],
            Party(**document["debtor"]),
            Party(**document["creditor"]),
            document["key"],
            document["txid"],
            document.get("returns"),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise BadPayment(type(error).__name__) from None


@dataclass(frozen=True)
class Bytes:
    """An order as it leaves, with its MsgId."""

    order: str = field(repr=False)
    message_id: str


def ordered(
    outgoing: Outgoing,
    *,
    end_to_end_id: str,
    amount_cents: int,
    description: str | None,
    accepted_at: datetime,
    signer: Signer = UNSIGNED,
) -> Bytes:
    """The pacs.008, or the pacs.004 of a return, made once and signed once. Raises
    `spi_writing.Unwritable`."""
    message_id = spi.new_message_id(outgoing.debtor.ispb)
    header = Header(outgoing.debtor.ispb, SPI_ISPB, message_id, accepted_at)
    if outgoing.returns is not None:
        returned = PaymentReturn(
            header=header,
            return_id=end_to_end_id,
            end_to_end_id=outgoing.returns,
            amount_cents=amount_cents,
            reason="MD06",
            # The parties of the payment, which this one turns round.
            debtor_ispb=outgoing.creditor.ispb,
            creditor_ispb=outgoing.debtor.ispb,
            description=None if description is None else description[:RETURN_NOTE],
        )
        return Bytes(spi_writing.payment_return(returned, signer).decode(), message_id)
    order = PaymentOrder(
        header=header,
        end_to_end_id=end_to_end_id,
        amount_cents=amount_cents,
        accepted_at=accepted_at,
        instrument=outgoing.instrument,
        debtor=outgoing.debtor,
        creditor=replace(outgoing.creditor, name=None),
        key=outgoing.key,
        txid=outgoing.txid,
        description=description,
    )
    return Bytes(spi_writing.payment_order(order, signer).decode(), message_id)


def may_leave(accepted_at: datetime, now: datetime) -> bool:
    """Whether the order may be sent now, first or again."""
    return now < accepted_at + SENDABLE_FOR


def judged(
    report: StatusReport | None, accepted_at: datetime, now: datetime, *, asked: bool = True
) -> Verdict:
    """What a pacs.002 about a payment means for it; `None`: the SPI, asked, knows no such order. `asked` is
    false for a report that came by itself: a copy of the order may be what it rejects."""
    over = now >= accepted_at + SENDABLE_FOR + MARGIN
    if report is None:
        return Rejected(NOT_SENT) if over else Undecided(resend=may_leave(accepted_at, now))
    if report.status in {"ACSC", "ACCC"}:
        return Settled()
    if report.status == "ACSP" or report.reason is None or report.reason in OF_A_COPY:
        return Undecided()
    if report.reason == TIMED_OUT and not (asked and over):
        # A copy that came too late is told the same while the first one settles. But once nothing of ours
        # can be on its way any more, one AB03 is final if it was asked for by the end-to-end id: it is then
        # what became of the order when its forty seconds ended, and the SPI settles none after them. Had it
        # settled the order before, it would say ACSC when asked, whatever it has told a copy. So the wait
        # for "not found" is enough here too, and to ask once more would bring the same answer.
        return Undecided()
    return Rejected(report.reason)

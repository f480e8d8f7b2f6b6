"""A Pix from another bank: what the ledger keeps of it, and with which code we say no. No I/O."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from apps.pix import outgoing
from apps.pix.outgoing import Outgoing
from apps.pix.spi import Party, PaymentOrder, PaymentReturn, instant

_TRANSFERS = uuid.UUID("6d2c1f0a-58c4-5b0e-9f5e-0c3a8f6d7b21")
"""The namespace `spi` of transfers that other banks begin."""

OUR_FAULT = "AB09"
"""Something failed here; the payer may try again."""
UNKNOWN_ACCOUNT = "AC03"
_CODES: Mapping[str, str] = {
    "payee_not_found": UNKNOWN_ACCOUNT,
    "account_blocked": "AC06",
    "account_closed": "AC07",
    # Under review for a fault of ours, which is no reason that anybody else should read.
    "account_frozen": OUR_FAULT,
    "transfer_not_found": UNKNOWN_ACCOUNT,
    "not_returnable": UNKNOWN_ACCOUNT,
    "transfer_not_settled": OUR_FAULT,
    "return_exceeds_amount": "AM09",
    "return_too_late": "DT05",
}


def transfer_id(order_id: str) -> str:
    """The id of the transfer that a payment (`E…`) or return (`D…`) of another bank is here: its own record
    of having come."""
    return str(uuid.uuid5(_TRANSFERS, f"spi\n{order_id}"))


def digest(order: PaymentOrder | PaymentReturn) -> str:
    """SHA-256 of what an order says, to tell the same again from another under the same id. Its header is new
    each time."""
    said = {name: value for name, value in asdict(order).items() if name != "header"}
    return hashlib.sha256(json.dumps(said, default=_as_text, sort_keys=True).encode()).hexdigest()


def code_of(refusal: str) -> str:
    """What the SPI calls a refusal of the ledger's rules."""
    return _CODES.get(refusal, OUR_FAULT)


def objection(order: PaymentOrder, holder: Party | None, ours: str, most_cents: int) -> str | None:
    """The code of the first thing that keeps an order from being credited, as far as the order and the
    account's holder tell; none if nothing does. `ours` is our ISPB, `most_cents` the most that one transfer
    moves."""
    creditor = order.creditor
    for code, is_so in (
        # The SPI refuses these before us; a mistake there must cost nobody money here.
        ("RC10", creditor.ispb != ours),
        ("AG12", order.debtor.ispb == ours),
        ("FF08", is_of(order.end_to_end_id, ours)),
        ("AM01", order.amount_cents == 0),
        ("AM02", order.amount_cents > most_cents),
        (UNKNOWN_ACCOUNT, holder is None),
        ("AC14", holder is not None and holder.account_type != creditor.account_type),
        ("BE01", holder is not None and holder.tax_id != creditor.tax_id),
    ):
        if is_so:
            return code
    return None


def objection_to_return(returned: PaymentReturn, payment: str | None, ours: str) -> str | None:
    """The same for a return, as far as it and the payment that it names tell (`payment`: who paid whom)."""
    if payment is None:
        return UNKNOWN_ACCOUNT
    paid = outgoing.read(payment)
    for code, is_so in (
        ("FF08", is_of(returned.return_id, ours)),
        ("AM01", returned.amount_cents == 0),
        (
            UNKNOWN_ACCOUNT,
            (returned.debtor_ispb, returned.creditor_ispb) != (paid.debtor.ispb, paid.creditor.ispb),
        ),
    ):
        if is_so:
            return code
    return None


def payment_of(order: PaymentOrder, holder: Party) -> str:
    """Who pays whom, as the ledger keeps it beside the transfer."""
    return outgoing.written(Outgoing(order.instrument, order.debtor, holder, order.key, order.txid))


def is_of(order_id: str, ispb: str) -> bool:
    """Whether a participant made this id."""
    return order_id[1:9] == ispb


def _as_text(value: object) -> str:
    assert isinstance(value, datetime)
    return instant(value)

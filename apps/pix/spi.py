"""What the SPI and a participant say to each other, as values, and the two seams to the real one.

Catalogue 5.13.1: pacs.008 orders a payment, pacs.004 returns one, pacs.002 answers either, admi.002 refuses a
message that is none. `spi_writing` makes their XML, `spi_reading` reads it. Amounts are centavos, times UTC.

**Seam one, `Transport`: how a message travels.** Assumed, and not verified here: the network RSFN; ICOM as
HTTP with mutual TLS; messages of one XML document each, UTF-8, not compressed; a stream of incoming messages
that is read and then acknowledged, at least once and in no promised order; a question for the status of a
payment by its end-to-end id, answered by a pacs.002, or by nothing where the SPI does not know it.

**Seam two, `Signer`: who vouches for a message.** Assumed, and not verified here: an enveloped XMLDSig in
`AppHdr/Sgntr` over header and document; RSA with SHA-256 and exclusive canonicalisation; certificates of the
ICP-Brasil for SPI, known by serial number; signature checked before the content is believed. `UNSIGNED`
leaves the place empty and believes everything: good for the simulator alone.
"""

import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from apps.pix.xml_document import Element

SPI_ISPB = "00038166"
"""The Banco Central as a party of messages."""

AccountType = Literal["CACC", "SVGS", "TRAN", "SLRY", "OTHR"]
Instrument = Literal["MANU", "DICT", "QRDN", "QRES", "INIC", "AUTO", "APDN", "APES"]
Purpose = Literal["IPAY", "GSCB", "OTHR", "REFU", "IPRT"]
Status = Literal["ACSP", "ACSC", "ACCC", "RJCT"]
ReturnReason = Literal["MD06", "SL02", "BE08", "FR01"]

WITH_PROXY: frozenset[Instrument] = frozenset({"DICT", "QRDN", "QRES", "INIC"})
"""Forms of initiation that must name the key. MANU must not."""

MESSAGE_ID = re.compile(r"M[0-9A-Z]{8}[a-zA-Z0-9]{23}")
_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARACTERS = 23


@dataclass(frozen=True)
class Party:
    """Who pays or is paid, and the account. A creditor has no name in a pacs.008."""

    ispb: str
    tax_id: str
    account: str
    account_type: AccountType
    branch: str | None = None
    name: str | None = None

    def __repr__(self) -> str:
        return f"Party({self.ispb})"


@dataclass(frozen=True)
class Header:
    """Who sends a message to whom, its id (`M…`, unique) and when it was made."""

    sender: str
    receiver: str
    message_id: str
    created_at: datetime


@dataclass(frozen=True)
class PaymentOrder:
    """pacs.008 with one payment. `accepted_at` starts its 40 seconds; `key` is the Pix key that was used."""

    header: Header
    end_to_end_id: str
    amount_cents: int
    accepted_at: datetime
    instrument: Instrument
    debtor: Party
    creditor: Party
    purpose: Purpose = "IPAY"
    key: str | None = None
    txid: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class PaymentReturn:
    """pacs.004 with one return: all or a part of the payment `end_to_end_id` goes back."""

    header: Header
    return_id: str
    end_to_end_id: str
    amount_cents: int
    reason: ReturnReason
    debtor_ispb: str
    creditor_ispb: str
    description: str | None = None


@dataclass(frozen=True)
class StatusReport:
    """pacs.002 about one payment (`E…`) or return (`D…`), by its own id. `settled_at` comes with ACSC and
    ACCC, `end_to_end_id` with a report about a return: the payment that it gives back from."""

    header: Header
    original_id: str
    status: Status
    reason: str | None = None
    detail: str | None = None
    settled_at: datetime | None = None
    end_to_end_id: str | None = None


@dataclass(frozen=True)
class MessageRefused:
    """admi.002: a message of ours was none. `related` is its id, as far as the SPI could read one."""

    header: Header
    related: str
    reason: str
    detail: str | None = None


Message = PaymentOrder | PaymentReturn | StatusReport | MessageRefused


class Transport(Protocol):
    """How messages travel. What is assumed of it is said above."""

    def send(self, message: bytes) -> None:
        """Hands one message over; returning means that the SPI has it, and nothing more. Raises `OSError`
        when nobody knows."""
        ...

    def receive(self) -> Sequence[bytes]:
        """The next messages for us, which come again until `acknowledge`; empty when there are none now."""
        ...

    def acknowledge(self) -> None:
        """The messages of the last `receive` need not come again."""
        ...

    def status(self, end_to_end_id: str) -> bytes | None:
        """The SPI's pacs.002 about a payment or return; `None` where it knows none."""
        ...


class Signer(Protocol):
    """Who vouches for messages. What is assumed of it is said above."""

    def sign(self, envelope: Element) -> Element:
        """The envelope with its signature. Called once per message: the same bytes are sent again."""
        ...

    def check(self, envelope: Element, body: bytes) -> None:
        """Raises `xml_document.BadXml` when nobody of the SPI signed these bytes."""
        ...


class Unsigned:
    """No signature on either way: between us and the simulator."""

    def sign(self, envelope: Element) -> Element:
        """The envelope as it is."""
        return envelope

    def check(self, envelope: Element, body: bytes) -> None:
        """Believes it."""


UNSIGNED = Unsigned()


def new_message_id(ispb: str) -> str:
    """A fresh id of 32 characters for a message of participant `ispb`."""
    assert len(ispb) == 8, "an ISPB has eight characters"
    return f"M{ispb}" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))


def instant(moment: datetime) -> str:
    """A time as the SPI writes it: UTC, with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reais(cents: int) -> str:
    """An amount as the SPI writes it: `123.45`."""
    assert cents >= 0, "an amount is not negative"
    return f"{cents // 100}.{cents % 100:02d}"

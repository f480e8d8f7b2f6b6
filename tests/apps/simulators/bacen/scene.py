"""One Bacen for a test, at a time that the test moves, and a bank that talks to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from apps.simulators.bacen.app import bacen_app
from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.clock import ShiftedClock
from apps.simulators.bacen.directory import Account, Entry, Owner
from apps.simulators.bacen.markup import Element, parse, text
from apps.simulators.bacen.spi_messages import SPI, Header, Identifiers, Payment, pacs_002, pacs_004, pacs_008
from apps.simulators.bacen.transport import Message

OWN = "99999010"
NOON = datetime(2026, 11, 25, 15, 0, 0, tzinfo=UTC)
"""Noon in Brasília."""
OPENED = datetime(2020, 1, 10, 3, tzinfo=UTC)
MARIA, JOAO, BAKERY, WORKSHOP, SHOP = (
    "maria.silva@example.com",
    "+5511987650001",
    "11222333000181",
    "12ABC34501DE35",
    "3f1c9d52-7b1e-4c5a-9d0e-6a2b8c4d0e1f",
)
PAYER = Owner("11144477735", "Ana Souza")
ACCOUNT = Account(OWN, "0001", "0000012345", "CACC", OPENED)
XML = {"Content-Type": "application/xml"}


@dataclass
class Scene:
    """Bacen, and what a bank at it knows and does. Identifiers come from a chance of the bank's own."""

    bacen: Bacen
    chance: Random = field(default_factory=lambda: Random(7))

    @property
    def identifiers(self) -> Identifiers:
        return Identifiers(self.chance)

    def pass_time(self, seconds: float) -> None:
        self.bacen.clock.advance(timedelta(seconds=seconds))
        self.bacen.agenda.run_due()

    def entry(self, key: str) -> Entry:
        found = self.bacen.directory.get(key)
        assert found is not None
        return found

    def end_to_end_id(self, ispb: str = OWN) -> str:
        return self.identifiers.operation("E", ispb, self.bacen.clock())

    def payment(self, to: str = MARIA, amount_cents: int = 10_050, **changes: Any) -> Payment:
        """A payment to whoever has a key."""
        entry = self.entry(to)
        made = Payment(
            self.end_to_end_id(),
            amount_cents,
            self.bacen.clock(),
            "DICT",
            PAYER,
            ACCOUNT,
            entry.owner.tax_id,
            entry.account,
            to,
        )
        return replace(made, **changes)

    def header(self, ispb: str = OWN) -> Header:
        return Header(ispb, SPI, self.identifiers.message(ispb), self.bacen.clock())

    def order(self, payment: Payment) -> bytes:
        return pacs_008(self.header(), payment)

    def pay(self, payment: Payment) -> list[Message]:
        """Sends an order; what the SPI has said to it by then."""
        self.bacen.post(OWN, self.order(payment))
        return self.received()

    def answer(self, order_id: str, status: str, reason: str | None = None, *, original: str = "") -> bytes:
        return pacs_002(
            self.header(),
            operation_id=order_id,
            end_to_end_id=original or order_id,
            status=status,
            reason=reason,
        )

    def give_back(
        self, end_to_end_id: str, amount_cents: int, payer: str, **changes: Any
    ) -> tuple[str, bytes]:
        """A return of what this bank was paid: its id and the message."""
        return_id = changes.pop("return_id", None) or self.identifiers.operation("D", OWN, self.bacen.clock())
        said: dict[str, Any] = {
            "original": end_to_end_id,
            "payer": payer,
            "value_cents": amount_cents,
            "reason": "MD06",
            **changes,
        }
        return return_id, pacs_004(self.header(), return_id=return_id, **said)

    def received(self, ispb: str = OWN) -> list[Message]:
        """All messages that wait for a bank, taken and confirmed."""
        self.bacen.agenda.run_due()
        stream = self.bacen.transport.open(ispb)
        found: list[Message] = []
        while messages := self.bacen.transport.pull(stream, 10):
            found += messages
            stream.given = []
        self.bacen.transport.close(ispb, stream.token)
        return found

    def status_of(self, order_id: str, ispb: str = OWN) -> tuple[str | None, str | None]:
        """Status and reason that the SPI tells whoever asks."""
        told = self.bacen.spi.status(ispb, order_id)
        assert told is not None
        return said(told)


def said(xml: bytes) -> tuple[str | None, str | None]:
    """Status and reason of a pacs.002."""
    operation = "Document/FIToFIPmtStsRpt/TxInfAndSts"
    root = parse(xml)
    return text(root, f"{operation}/TxSts"), text(root, f"{operation}/StsRsnInf/Rsn/Cd")


def outcomes(messages: list[Message]) -> list[tuple[str, str | None, str | None]]:
    """Kind, status and reason of messages; a refusal of the message itself shows its reason."""
    shown: list[tuple[str, str | None, str | None]] = []
    for message in messages:
        if message.kind == "admi.002":
            rejected = text(parse(message.xml), "Document/admi.002.001.01/Rsn/RjctgPtyRsn")
            shown.append((message.kind, None, rejected))
        elif message.kind == "pacs.002":
            shown.append((message.kind, *said(message.xml)))
        else:
            shown.append((message.kind, None, None))
    return shown


def scene(seed: int = 1, **more: Any) -> Scene:
    """A Bacen at noon."""
    clock = ShiftedClock(lambda: NOON)
    return Scene(Bacen(seed, frozenset({OWN}), clock=clock, long_poll_seconds=0.0, **more))


async def no_time(_: float) -> None:
    """Sleeps not at all."""


@contextmanager
def served(at: Scene) -> Iterator[TestClient]:
    """A client of this Bacen. Its headers are those that the ICOM allows."""
    app = bacen_app(at.bacen, OWN, sleep=no_time)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.headers.clear()
        yield client


def lookup_headers(at: Scene, **changes: str) -> dict[str, str]:
    """The three headers of a look-up; `PI_PayerId=""` leaves one out."""
    headers = {
        "PI-RequestingParticipant": OWN,
        "PI-PayerId": PAYER.tax_id,
        "PI-EndToEndId": at.end_to_end_id(),
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value}


def problem(answer: Response, status: int, code: str) -> Element:
    """The RFC 7807 document of an answer that must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+xml"
    root = parse(answer.content)
    assert root.tag == "{urn:ietf:rfc:7807}problem"
    assert text(root, "type") == f"https://dict.pi.rsfn.net.br/api/v2/error/{code}"
    assert text(root, "status") == str(status)
    assert text(root, "title")
    return root


def texts(root: Element, *paths: str) -> dict[str, str | None]:
    """Several texts of a document."""
    return {path: text(root, path) for path in paths}


def without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    """Headers without one of them."""
    return {key: value for key, value in headers.items() if key != name}

"""The SPI in memory: what it has, what it says when asked, and what becomes of the next calls."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from apps.pix import spi_reading, spi_writing
from apps.pix.spi import SPI_ISPB, Header, PaymentOrder, Status, StatusReport, new_message_id

AT = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
Call = Callable[[], bytes | None]
Fault = Callable[[Call], bytes | None]
"""Gets the real call, and does with it what it likes."""


class FakeSpi:
    """`orders` are the bytes of each payment, by end-to-end id, as often as they came. A payment that it has
    is told as `says`, or as `told` says for it. `sends` and `asks` are the faults of the next calls."""

    def __init__(self) -> None:
        self.orders: dict[str, list[bytes]] = {}
        self.asked: list[str] = []
        self.says: tuple[Status, str | None] = ("ACSC", None)
        self.told: dict[str, tuple[Status, str | None] | bytes | None] = {}
        self.sends: list[Fault] = []
        self.asks: list[Fault] = []

    def send(self, message: bytes) -> None:
        def take() -> None:
            order = spi_reading.read(message)
            assert isinstance(order, PaymentOrder)
            self.orders.setdefault(order.end_to_end_id, []).append(message)

        (self.sends.pop(0) if self.sends else _calmly)(take)

    def status(self, end_to_end_id: str) -> bytes | None:
        self.asked.append(end_to_end_id)
        return (self.asks.pop(0) if self.asks else _calmly)(lambda: self._status(end_to_end_id))

    def receive(self) -> Sequence[bytes]:
        raise AssertionError("who sends reads no stream")

    def acknowledge(self) -> None:
        raise AssertionError("who sends reads no stream")

    def _status(self, end_to_end_id: str) -> bytes | None:
        default = self.says if end_to_end_id in self.orders else None
        says = self.told.get(end_to_end_id, default)
        return report(end_to_end_id, *says) if isinstance(says, tuple) else says


def report(end_to_end_id: str, status: Status, reason: str | None = None) -> bytes:
    """A pacs.002 of the SPI."""
    header = Header(SPI_ISPB, "99999010", new_message_id(SPI_ISPB), AT)
    return spi_writing.status_report(StatusReport(header, end_to_end_id, status, reason))


def lose_reply(call: Call) -> bytes | None:
    """Does it, and the answer never arrives."""
    call()
    raise TimeoutError


def lose_request(_: Call) -> bytes | None:
    """Does nothing, and looks just the same from outside."""
    raise TimeoutError


def _calmly(call: Call) -> bytes | None:
    return call()

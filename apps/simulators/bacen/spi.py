"""The SPI: takes orders, asks the bank that is paid, settles, tells both (X8, X2, MT; 2.2 to 2.6).

An order (pacs.008, or pacs.004 for a return) waits for the receiver's pacs.002. ACSP settles it: the banks'
Conta PI change, the payer's bank hears ACSC and the receiver's ACCC. Without an answer forty seconds after
the payer's acceptance both hear RJCT AB03. What breaks the schema is no order: admi.002.

Copies. A message with a known MsgId and the same bytes is the same message, and nothing happens. The same
MsgId with other bytes: admi.002 (assumed). An id that an order has had already, under another MsgId, is
refused: DUPL when it is the same operation again, ED05 when it is another (the facts give both codes for
copies; this reading is assumed). MsgIds are remembered for 24 hours, orders for good.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.simulators.bacen.clock import Agenda, Clock
from apps.simulators.bacen.faults import Faults
from apps.simulators.bacen.markup import Element, XmlRefused, namespace, parse, text
from apps.simulators.bacen.orders import Broken, Order, Ruling, read_payment, read_return
from apps.simulators.bacen.spi_messages import (
    SPI,
    Header,
    Identifiers,
    admi_002,
    forwarded,
    operations,
    pacs_002,
)
from apps.simulators.bacen.spi_schema import DOCUMENTS, NAMESPACES, VERSIONS, faults_of

REMEMBERED = timedelta(hours=24)
Deliver = Callable[[str, str, bytes], None]
"""Brings a message to a participant: its ISPB, the kind of message, the bytes."""


@dataclass
class Conta:
    """The account that a participant has at Bacen."""

    cents: int


class Spi:
    """All orders, and the money of the participants.

    `payment_sent` hears the end-to-end id of every payment that is passed on, `charge` who sent how many
    operations in which kind of message, `deliver` brings messages out.
    """

    def __init__(
        self,
        agenda: Agenda,
        identifiers: Identifiers,
        faults: Faults,
        participants: Collection[str],
        *,
        deliver: Deliver,
        payment_sent: Callable[[str], None],
        charge: Callable[[str, str, int], None],
        conta_cents: int,
    ) -> None:
        self._clock: Clock = agenda
        self._agenda = agenda
        self._identifiers = identifiers
        self._faults = faults
        self._deliver = deliver
        self._payment_sent = payment_sent
        self._charge = charge
        self._messages: dict[str, tuple[bytes, datetime]] = {}
        self.contas = {ispb: Conta(conta_cents) for ispb in participants}
        self.orders: dict[str, Order] = {}

    def receive(self, sender: str, document: bytes, resource_id: str) -> None:
        """Takes a message that a participant has posted; whatever is to be said comes by `deliver`."""
        try:
            envelope = parse(document)
        except XmlRefused as error:
            self._refuse(sender, resource_id, "XML invalido", None, str(error))
            return
        kind = NAMESPACES.get(namespace(envelope))
        if kind is None or kind not in DOCUMENTS:
            self._refuse(
                sender, resource_id, "Schema desconhecido", None, "Schema desconhecido ou nao habilitado"
            )
            return
        wrong = faults_of(kind, envelope)
        reference = text(envelope, "AppHdr/BizMsgIdr") or resource_id
        if wrong:
            where, _, what = wrong[0].partition(": ")
            self._refuse(sender, reference, "XML invalido", where, what)
            return
        if broken := _header_faults(sender, kind, envelope):
            self._refuse(
                sender, reference, "Cabecalho invalido", broken, "does not fit the sender or the message"
            )
            return
        self._charge(sender, kind, sum(1 for _ in operations(kind, envelope)))
        if self._is_copy(sender, reference, document):
            return
        if kind == "pacs.002":
            self._answered(sender, reference, envelope)
        else:
            self._ordered(sender, kind, envelope)

    def status(self, asker: str, order_id: str) -> bytes | None:
        """What became of an order, as a pacs.002 for one of its two banks; none if there is no such order."""
        order = self.orders.get(order_id)
        if order is None or asker not in {order.payer, order.payee}:
            return None
        word = "ACCC" if asker == order.payee else "ACSC"
        now = {"WAITING": "ACSP", "SETTLED": word, "REJECTED": "RJCT"}[order.status]
        return self._report(asker, order, now, order.reason)

    def _ordered(self, sender: str, kind: str, envelope: Element) -> None:
        listed = list(operations(kind, envelope))
        declared = text(envelope, f"Document/{DOCUMENTS[kind][0]}/GrpHdr/NbOfTxs")
        for operation in listed:
            try:
                order = self._judged(sender, kind, envelope, operation, int(declared or "0") == len(listed))
            except Broken as broken:
                self._tell(sender, broken.order, "RJCT", broken.code, broken.why)
                if broken.is_kept:
                    broken.order.reject(broken.code)
                    self.orders[broken.order.id] = broken.order
                continue
            self.orders[order.id] = order
            if order.kind == "payment":
                self._payment_sent(order.id)
            self._agenda.at(order.deadline, self._expiry(order))
            header = self._header(order.payee)
            self._deliver(order.payee, kind, forwarded(header, kind, envelope, operation))

    def _judged(
        self, sender: str, kind: str, envelope: Element, operation: Element, is_counted: bool
    ) -> Order:
        """The order of an operation. Raises `Broken`."""
        read = read_payment if kind == "pacs.008" else read_return
        order = read(Ruling(sender, self._clock(), self.contas.keys(), self.orders), envelope, operation)
        if not is_counted:
            raise Broken(order, "AM18", "NbOfTxs is not the number of operations")
        fault = self._faults.take("order", sender, kind)
        if fault is not None and fault.code is not None:
            raise Broken(order, fault.code, "as it was asked for")
        return order

    def _answered(self, sender: str, reference: str, envelope: Element) -> None:
        for operation in operations("pacs.002", envelope):
            order = self.orders.get(text(operation, "OrgnlInstrId") or "")
            said = text(operation, "TxSts")
            if order is None or order.payee != sender:
                what = "no order for this participant has this id"
                self._refuse(sender, reference, "Transacao inexistente", "OrgnlInstrId", what)
            elif said not in {"ACSP", "RJCT"}:
                what = "the bank that is paid says ACSP or RJCT"
                self._refuse(sender, reference, "TxSts invalido", "TxSts", what)
            elif order.status != "WAITING":
                continue  # too late, or once more: what was told stands
            elif said == "ACSP":
                self._settle(order)
            else:
                order.reject(text(operation, "StsRsnInf/Rsn/Cd") or "DS04")
                self._tell(order.payer, order, "RJCT", order.reason)

    def _settle(self, order: Order) -> None:
        payer, payee = self.contas[order.payer], self.contas[order.payee]
        if payer.cents < order.amount_cents:
            order.reject("AM04")
            self._tell(order.payer, order, "RJCT", "AM04")
            self._tell(order.payee, order, "RJCT", "AM04")
            return
        payer.cents -= order.amount_cents
        payee.cents += order.amount_cents
        order.settle(self._clock())
        self._tell(order.payer, order, "ACSC")
        self._tell(order.payee, order, "ACCC")

    def _expiry(self, order: Order) -> Callable[[], None]:
        def expire() -> None:
            if order.status == "WAITING":
                order.reject("AB03")
                self._tell(order.payer, order, "RJCT", "AB03")
                self._tell(order.payee, order, "RJCT", "AB03")

        return expire

    def _tell(
        self, receiver: str, order: Order, status: str, reason: str | None = None, why: str | None = None
    ) -> None:
        self._deliver(receiver, "pacs.002", self._report(receiver, order, status, reason, why))

    def _report(
        self, receiver: str, order: Order, status: str, reason: str | None = None, why: str | None = None
    ) -> bytes:
        return pacs_002(
            self._header(receiver),
            operation_id=order.id,
            end_to_end_id=order.end_to_end_id,
            status=status,
            reason=reason,
            information=why,
            settled_at=order.settled_at,
        )

    def _refuse(self, sender: str, reference: str, reason: str, location: str | None, details: str) -> None:
        message = admi_002(
            self._header(sender), reference=reference, reason=reason, location=location, details=details
        )
        self._deliver(sender, "admi.002", message)

    def _header(self, receiver: str) -> Header:
        return Header(SPI, receiver, self._identifiers.message(SPI), self._clock())

    def _is_copy(self, sender: str, message_id: str, document: bytes) -> bool:
        """Whether the MsgId is known; a copy with other bytes is refused."""
        digest, now = hashlib.sha256(document).digest(), self._clock()
        before = self._messages.get(message_id)
        if before is None or now - before[1] > REMEMBERED:
            self._messages[message_id] = (digest, now)
            return False
        if before[0] != digest:
            self._refuse(sender, message_id, "MsgId repetido", "AppHdr/BizMsgIdr", "another message had it")
        return True


def _header_faults(sender: str, kind: str, envelope: Element) -> str | None:
    """The first part of the header that lies, if any."""
    message_id = text(envelope, "AppHdr/BizMsgIdr") or ""
    for path, is_right in (
        ("AppHdr/Fr", text(envelope, "AppHdr/Fr/FIId/FinInstnId/Othr/Id") == sender),
        ("AppHdr/To", text(envelope, "AppHdr/To/FIId/FinInstnId/Othr/Id") == SPI),
        ("AppHdr/BizMsgIdr", message_id[1:9] == sender),
        ("AppHdr/MsgDefIdr", text(envelope, "AppHdr/MsgDefIdr") == f"{kind}.spi.{VERSIONS[kind]}"),
        ("GrpHdr/MsgId", text(envelope, f"Document/{DOCUMENTS[kind][0]}/GrpHdr/MsgId") == message_id),
    ):
        if not is_right:
            return path
    return None

"""The other banks: they answer payments to their customers, and pay and give back when they are told to.

They are participants like any other: what they do, they do by messages to the SPI.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Protocol

from apps.simulators.bacen.claims import Claim
from apps.simulators.bacen.clock import Agenda, Clock
from apps.simulators.bacen.directory import Account
from apps.simulators.bacen.faults import Faults
from apps.simulators.bacen.markup import Element, parse, text
from apps.simulators.bacen.neighbours import Credit, Neighbours
from apps.simulators.bacen.orders import Order
from apps.simulators.bacen.population import NEIGHBOURS, Customer, Habit, Population
from apps.simulators.bacen.refusals import Refused
from apps.simulators.bacen.spi_messages import (
    SPI,
    Header,
    Identifiers,
    Payment,
    cents,
    operations,
    pacs_002,
    pacs_004,
    pacs_008,
)

POLLED = timedelta(minutes=1)
"""How often a bank looks for new claims, at least (DM 5)."""
_ANSWERS: dict[Habit, str] = {"blocked": "AC06", "closed": "AC07", "refuses": "DS04"}


class ClaimDesk(Protocol):
    """What a bank does with claims."""

    def acknowledge(self, claim: Claim) -> None: ...

    def confirm(self, claim: Claim) -> None: ...

    def cancel(self, claim: Claim) -> None: ...

    def complete(self, claim: Claim) -> None: ...


class Banks:
    """All banks that answer by themselves. `send` gives the SPI a message of one of them."""

    def __init__(
        self,
        agenda: Agenda,
        identifiers: Identifiers,
        faults: Faults,
        population: Population,
        neighbours: Neighbours,
        *,
        send: Callable[[str, bytes], None],
    ) -> None:
        self._clock: Clock = agenda
        self._agenda = agenda
        self._identifiers = identifiers
        self._faults = faults
        self._population = population
        self._neighbours = neighbours
        self._send = send
        self._credits: dict[str, Credit] = {}
        self._payers: dict[str, str] = {}
        self._paid: set[str] = set()

    def take(self, ispb: str, kind: str, xml: bytes) -> None:
        """A message for one of the banks. What became of their own orders they need not know."""
        if kind == "pacs.002":
            self._told(xml)
        if kind not in {"pacs.008", "pacs.004"}:
            return
        for operation in operations(kind, parse(xml)):
            reason = self._judge(ispb, kind, operation)
            fault = self._faults.take("payee", ispb, kind)
            what = fault.what if fault else None
            if reason == "silent" or what == "silent":
                continue
            if fault is not None and what == "reject":
                reason = fault.code
            seconds = fault.seconds if fault is not None and what == "slow" else 0.0
            due = self._clock() + timedelta(seconds=seconds)
            self._agenda.at(due, partial(self._answer, ispb, operation, reason))

    def pay(
        self,
        ispb: str,
        tax_id: str,
        account: Account,
        amount_cents: int,
        *,
        key: str | None = None,
        tx_id: str | None = None,
        note: str | None = None,
    ) -> str:
        """A customer of a bank pays an account; gives the end-to-end id. What becomes of it is seen there."""
        payer = self._somebody_at(ispb)
        now = self._clock()
        end_to_end_id = self._identifiers.operation("E", ispb, now)
        instrument = (
            "MANU" if key is None else "DICT" if tx_id is None else "QRDN" if len(tx_id) > 25 else "QRES"
        )
        payment = Payment(
            end_to_end_id,
            amount_cents,
            now,
            instrument,
            payer.owner,
            payer.account,
            tax_id,
            account,
            key,
            tx_id,
            note,
        )
        self._paid.add(end_to_end_id)
        self._send(ispb, pacs_008(self._header(ispb), payment))
        return end_to_end_id

    def pay_for(self, payment: Payment) -> None:
        """A neighbour's customer pays: the order goes as it is."""
        ispb = payment.debtor_account.participant
        self._paid.add(payment.end_to_end_id)
        self._payers[payment.end_to_end_id] = payment.debtor_account.number
        self._send(ispb, pacs_008(self._header(ispb), payment))

    def give_back(self, order: Order, amount_cents: int, reason: str) -> str:
        """The bank that was paid gives some of it back; gives the id of the return."""
        return_id = self._identifiers.operation("D", order.payee, self._clock())
        message = pacs_004(
            self._header(order.payee),
            return_id=return_id,
            original=order.end_to_end_id,
            payer=order.payer,
            value_cents=amount_cents,
            reason=reason,
        )
        self._send(order.payee, message)
        return return_id

    def follow(self, claim: Claim, desk: ClaimDesk, live: frozenset[str]) -> None:
        """Looks after a new claim as donor, as claimer or as both, without anybody's user saying anything."""
        now = self._clock()
        if claim.donor not in live:
            self._agenda.at(now + POLLED, partial(_try, desk.acknowledge, claim))
            unanswered = desk.confirm if claim.kind == "OWNERSHIP" else desk.cancel
            self._agenda.at(claim.resolution_end, partial(_try, unanswered, claim))
        if claim.claimer_account.participant not in live:
            self._agenda.at(claim.completion_end, partial(_try, desk.complete, claim))

    def _answer(self, ispb: str, operation: Element, reason: str | None) -> None:
        order_id = text(operation, "RtrId") or text(operation, "PmtId/EndToEndId") or ""
        message = pacs_002(
            self._header(ispb),
            operation_id=order_id,
            end_to_end_id=text(operation, "OrgnlEndToEndId") or order_id,
            status="ACSP" if reason is None else "RJCT",
            reason=reason,
        )
        self._send(ispb, message)

    def _judge(self, ispb: str, kind: str, operation: Element) -> str | None:
        """Why a bank refuses an order for a customer; `silent` for one that it never answers."""
        if kind == "pacs.004":
            original = text(operation, "OrgnlEndToEndId") or ""
            if original in self._payers:
                self._remember(ispb, self._payers[original], operation, "RtrId", "RtrdIntrBkSttlmAmt")
            return None if original in self._paid else "AC03"
        if ispb in NEIGHBOURS:
            return self._judged_there(ispb, operation)
        number = text(operation, "CdtrAcct/Id/Othr/Id") or ""
        customer = self._population.customers.get((ispb, number))
        branch = text(operation, "CdtrAcct/Id/Othr/Issr")
        if customer is None or (branch or "").zfill(4) != (customer.account.branch or "").zfill(4):
            return "AC03"
        if text(operation, "CdtrAcct/Tp/Cd") != customer.account.type:
            return "AC14"
        if text(operation, "Cdtr/Id/PrvtId/Othr/Id") != customer.owner.tax_id:
            return "BE01"
        return "silent" if customer.habit == "silent" else _ANSWERS.get(customer.habit)

    def _judged_there(self, ispb: str, operation: Element) -> str | None:
        number = text(operation, "CdtrAcct/Id/Othr/Id") or ""
        tax_id = text(operation, "Cdtr/Id/PrvtId/Othr/Id") or ""
        reason = self._neighbours.judge(ispb, number, tax_id)
        if reason is None:
            self._remember(ispb, number, operation, "PmtId/EndToEndId", "IntrBkSttlmAmt")
        return reason

    def _remember(self, ispb: str, number: str, operation: Element, name: str, amount: str) -> None:
        order_id = text(operation, name) or ""
        payer = text(operation, "Dbtr/Nm") or "Devolução"
        self._credits[order_id] = Credit(
            order_id,
            ispb,
            number,
            cents(text(operation, amount)) or 0,
            payer,
            text(operation, "Dbtr/Id/PrvtId/Othr/Id"),
        )

    def _told(self, xml: bytes) -> None:
        """Money has come to a neighbour's customer: only now it is credited there."""
        for operation in operations("pacs.002", parse(xml)):
            if text(operation, "TxSts") == "ACCC":
                credit = self._credits.pop(text(operation, "OrgnlInstrId") or "", None)
                if credit is not None:
                    self._neighbours.credit(credit)

    def _somebody_at(self, ispb: str) -> Customer:
        found = next((each for each in self._population.of_bank(ispb) if each.habit == "accepts"), None)
        assert found is not None, f"no customer of {ispb} can pay"
        return found

    def _header(self, ispb: str) -> Header:
        return Header(ispb, SPI, self._identifiers.message(ispb), self._clock())


def _try(step: Callable[[Claim], None], claim: Claim) -> None:
    """Does what is still to be done; the other side may have been faster."""
    try:
        step(claim)
    except Refused:
        return

"""A bank on a fake DynamoDB and Bacen's simulator in one process, on one clock, and the line between them."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from apps.account.account import AccountType, Opening
from apps.consumers.icom import Icom
from apps.consumers.pix_answers import Answers
from apps.consumers.pix_orders import Orders
from apps.consumers.receive_pix import Reception, reception
from apps.consumers.send_pix import Sending
from apps.kit import events
from apps.kit.outbound import Answer, Call
from apps.ledger import items
from apps.ledger.transfer import HELD, Transfer
from apps.pix import incoming, spi_reading
from apps.pix.account_number import on_the_rail
from apps.pix.spi import UNSIGNED, StatusReport
from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.clock import ShiftedClock
from apps.simulators.bacen.directory import Account
from apps.simulators.bacen.orders import Order
from apps.transaction.destination import BankAccount
from tests.apps.ledger.bank import Bank, fake_bank, soon
from tests.apps.simulators.bacen.scene import OWN, Scene, served

ITAU = "60701190"
CPF = "52998224725"
OPENED = datetime(2020, 1, 10, 3, tzinfo=UTC)
Fault = Callable[[Call, Callable[[Call], Answer]], Answer]
"""Gets a call over the line and the real one, and does with it what it likes."""


@dataclass
class Stage:
    """`sent` are the messages that went to the SPI, `faults` what the next calls over the line meet."""

    bank: Bank
    bacen: Bacen
    line: Icom
    reception: Reception
    restart: Callable[[], None]
    sending: Sending
    asking: Answers
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def open(
        self, subject: str = "ana", tax_id: str = CPF, kind: AccountType = "CACC", *, granted: bool = True
    ) -> str:
        """An account, with its grant or before that has arrived."""
        opening = Opening(subject, subject.title(), tax_id, kind, uuid.uuid4().hex, None)
        profile, _ = self.bank.accounts.open(opening, lambda each: each.account_id, soon())
        if granted:
            self.bank.settle_all()
        return profile.account_id

    def account(self, account_id: str, **changes: str) -> Account:
        """An account of ours as another bank writes it."""
        profile = self.bank.accounts.profile(account_id)
        assert profile is not None
        said = {
            "participant": OWN,
            "branch": profile.branch,
            "number": on_the_rail(profile.number),
            "type": profile.account_type,
        } | changes
        return Account(**said, opened_at=OPENED)  # type: ignore[arg-type]

    def pay(self, account_id: str, cents: int = 5_000, *, tax_id: str | None = None, **changes: str) -> str:
        """A customer of another bank pays an account here; gives the end-to-end id."""
        profile = self.bank.accounts.profile(account_id)
        assert profile is not None
        account = self.account(account_id, **changes)
        return self.bacen.banks.pay(ITAU, tax_id or profile.tax_id, account, cents, note="Aluguel")

    def turn(self, times: int = 4) -> None:
        """Rounds of the worker, as many as an order needs to its end."""
        for _ in range(times):
            self.reception.turn()

    def work(self) -> None:
        """What relay, settle_transfers and send_pix do, without Kafka, until nothing is left to do."""
        while rows := self.bank.outbox.waiting(0, 100):
            for row in rows:
                record = events.record_from_json(row.record)
                event = events.decode(record.headers, record.value)
                if event.type == HELD and event.data["rail"] == "spi":
                    assert self.sending.send([event]) == [None]
                elif event.type == HELD:
                    self.bank.ledger.settle(row.transfer_id, (), soon())
                self.bank.raw.delete_item(TableName="events", Key=items.key("OUT#0", row.sort))
        self.asking.round()

    def send(self, payer: str, key: str, cents: int) -> str:
        """A Pix of an account here to a key of another bank; gives the transfer's id."""
        entry = self.bacen.directory.get(key)
        assert entry is not None
        to = BankAccount(
            entry.account.participant,
            str(entry.account.branch),
            entry.account.number,
            entry.account.type,  # type: ignore[arg-type]
            entry.owner.tax_id,
            entry.owner.name,
        )
        transfer_id = self.bank.pay("ana", payer, to, cents).transfer.transfer_id
        self.work()
        return transfer_id

    def come_back(self, end_to_end_id: str, cents: int) -> str:
        """The bank that was paid gives some of it back; gives the id of the return."""
        return_id = self.bacen.banks.give_back(self.there(end_to_end_id), cents, "MD06")
        self.bacen.agenda.run_due()
        return return_id

    def pass_time(self, seconds: float) -> None:
        self.bank.time.moment += timedelta(seconds=seconds)
        self.bacen.agenda.run_due()

    def here(self, order_id: str) -> Transfer | None:
        """The transfer that an order of another bank is here."""
        return self.bank.ledger.transfer(incoming.transfer_id(order_id))

    def there(self, order_id: str) -> Order:
        """The order as Bacen has it."""
        return self.bacen.spi.orders[order_id]

    def balance(self, account_id: str) -> tuple[int, int]:
        """Available, and waited for."""
        found = self.bank.ledger.balance(account_id)
        assert found is not None
        return found.available, found.pending_credits

    def answers(self) -> list[tuple[str, str | None]]:
        """Status and reason of every answer that went to the SPI."""
        read = [spi_reading.read(call.body) for call in self.calls if call.method == "POST" and call.body]
        return [(each.status, each.reason) for each in read if isinstance(each, StatusReport)]


@contextmanager
def stage() -> Iterator[Stage]:
    """A bank that nobody has paid yet."""
    bank = fake_bank()
    bacen = Bacen(1, frozenset({OWN}), clock=ShiftedClock(bank.time), long_poll_seconds=0.0)
    with ExitStack() as stack:
        client = stack.enter_context(served(Scene(bacen)))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        made: Stage

        def really(call: Call) -> Answer:
            answer = client.request(
                call.method,
                call.url,
                headers={"User-Agent": "gobanking", **call.headers},
                content=call.body,
            )
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status_code, headers, answer.content)

        def send(call: Call, _: float) -> Answer:
            made.calls.append(call)
            return made.faults.pop(0)(call, really) if made.faults else really(call)

        def restart() -> None:
            """A new process: what the old one had in mind is gone, and its stream is silent until it ends."""
            made.line, made.reception = started()

        def started() -> tuple[Icom, Reception]:
            line = Icom("http://testserver/api/v1", OWN, send)
            return line, reception(line, bank.client, bank.tables, bank.ledger, ispb=OWN, pool=pool)

        line, receiving = started()
        orders = Orders(line, UNSIGNED, bank.time)
        asking = Answers(bank.ledger, orders, monotonic=lambda: bank.time().timestamp(), pool=pool)
        made = Stage(bank, bacen, line, receiving, restart, Sending(bank.ledger, orders, asking), asking)
        yield made

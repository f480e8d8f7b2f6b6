"""A whole ledger on any DynamoDB client: the ways in, a clock that tests move, and a client that can fail."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.account.account import Opening
from apps.account.store import AccountStore, Grant
from apps.kit import events
from apps.kit.dynamo import Deadline
from apps.ledger import items
from apps.ledger.audit import Auditor
from apps.ledger.outbox import Outbox
from apps.ledger.store import Clock, Ledger, Tables
from apps.ledger.transfer import Transfer
from apps.transaction.accounts import HeldAccounts
from apps.transaction.api import rendered
from apps.transaction.destination import Destination, Destinations
from apps.transaction.qr_codes import QrCodes
from apps.transaction.request import Answer, GivingBack, Payment, Transfers
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.apps.kit.faulty_dynamo import Faulty
from tests.apps.transaction.fake_directory import FakeDirectory, NobodysKeys

GRANT_CENTS = 100_000
ISPB = "99999010"
CPFS = iter(f"{number:011d}" for number in range(1, 10_000))


@dataclass
class Time:
    """A clock that tests move."""

    moment: datetime

    def __call__(self) -> datetime:
        return self.moment


@dataclass
class Bank:
    """A ledger on fresh tables, and the ways in."""

    client: Faulty
    raw: Any
    tables: Tables
    ledger: Ledger
    accounts: AccountStore
    transfers: Transfers
    directory: FakeDirectory
    qr_codes: QrCodes
    outbox: Outbox
    auditor: Auditor
    time: Time

    def open(self, subject: str, tax_id: str | None = None, key: str | None = None) -> str:
        opening = Opening(subject, subject, tax_id or next(CPFS), "CACC", key or uuid.uuid4().hex, None)
        profile, _ = self.accounts.open(opening, lambda each: each.account_id, soon())
        return profile.account_id

    def rich(self, subject: str) -> str:
        """An account whose opening grant has arrived."""
        account_id = self.open(subject)
        self.settle_all()
        return account_id

    def pay(self, subject: str, payer: str, payee: Destination, cents: int, key: str | None = None) -> Answer:
        payment = Payment(subject, key or uuid.uuid4().hex, payer, payee, cents, None, None)
        return self.transfers.request(payment, soon())

    def paid(self, subject: str, payer: str, payee: str, cents: int) -> str:
        """A transfer that has arrived."""
        transfer_id = self.pay(subject, payer, payee, cents).transfer.transfer_id
        self.settle_all()
        return transfer_id

    def give_back(
        self, subject: str, original: str, cents: int, key: str | None = None, seconds: float = 2
    ) -> Answer:
        giving = GivingBack(subject, key or uuid.uuid4().hex, original, cents, "a test", None)
        return self.transfers.give_back(giving, Deadline.after(seconds))

    def standing_of(self, transfer_id: str) -> Transfer:
        found = self.ledger.transfer(transfer_id)
        assert found is not None
        return found

    def settle_all(self) -> None:
        """What relay and worker do, without Kafka."""
        for row in self.outbox.waiting(0, 100):
            record = events.record_from_json(row.record)
            event = events.decode(record.headers, record.value)
            if event.type.endswith("held"):
                self.ledger.settle(row.transfer_id, (), soon())
            self.raw.delete_item(TableName=self.tables.events, Key=items.key("OUT#0", row.sort))
        if self.outbox.waiting(0, 1):
            self.settle_all()

    def available(self, account_id: str) -> int:
        balance = self.ledger.balance(account_id)
        assert balance is not None
        return balance.available

    def count(self, table: str) -> int:
        return int(self.raw.scan(TableName=table, Select="COUNT")["Count"])


def soon() -> Deadline:
    return Deadline.after(2)


def bank_on(raw: Any, tables: Tables, time: Time, clock: Clock | None = None) -> Bank:
    """The bank on these tables, whose time of day is `time` unless a clock is given."""
    client = Faulty(raw)
    clock = clock or Clock(now=time)
    ledger = Ledger(client, tables, 1, clock=clock)
    directory = FakeDirectory()
    held = HeldAccounts(client, tables.accounts, ISPB)
    qr_codes = QrCodes(ledger.charges, held, NobodysKeys(), clock)
    destinations = Destinations(ISPB, held, directory, qr_codes)
    return Bank(
        client=client,
        raw=raw,
        tables=tables,
        ledger=ledger,
        accounts=AccountStore(client, tables.accounts, ledger, Grant(GRANT_CENTS, timedelta(minutes=30))),
        transfers=Transfers(ledger, ISPB, timedelta(minutes=30), rendered, destinations),
        directory=directory,
        qr_codes=qr_codes,
        outbox=Outbox(client, tables.events),
        auditor=Auditor(client, tables, 1, clock=clock),
        time=time,
    )


def fake_bank() -> Bank:
    """The bank on a fake of its own, on a summer morning."""
    time = Time(datetime(2026, 11, 25, 9, 0, tzinfo=UTC))
    raw = FakeDynamo(catalog_tables(""), lambda: time().timestamp())
    return bank_on(raw, Tables("accounts", "transactions", "events"), time)

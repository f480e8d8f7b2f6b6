"""Any order of what customers, workers and operators do, against a model of the bank (`bank_model`).

Customers come by HTTP through the two services, on one store; workers and operators by their own functions.
"""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from httpx2 import Response
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from apps.account.account import grant_id
from apps.account.api import AccountService
from apps.account.api import router as accounts_router
from apps.account.limits_api import router as limits_router
from apps.consumers.settle_transfers import Settlement
from apps.consumers.sweep_transfers import Sweep
from apps.kit import events
from apps.ledger.items import OPEN_SHARDS
from apps.ledger.store import Tables
from apps.ledger.transfer import HELD
from apps.operators import accounts as operators
from apps.operators.outcome import DONE, NOT_SOUND
from apps.transaction.api import TransferService
from apps.transaction.api import router as transfers_router
from apps.transaction.listing import Listing
from tests.apps.account.fake_linked import FakeLinked
from tests.apps.bank_model import Account, Model, Paid, period
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.apps.ledger.bank import GRANT_CENTS, Time, bank_on
from tests.apps.serving import problem, served, signed_in

CPFS = {"ana": "52998224725", "beto": "11144477735", "carla": "12345678909"}
STRANGER = "00000000-0000-4000-8000-000000000000"
NAMES = st.sampled_from(sorted(CPFS))
AMOUNTS = st.sampled_from([1, 30_000, 60_000, GRANT_CENTS])
RIGHTFUL = "who may"
CALLERS = st.sampled_from([RIGHTFUL] * 7 + sorted(CPFS))
LIFETIME = timedelta(minutes=30)


class BankMachine(RuleBasedStateMachine):
    """Every rule tells the model, and asks the bank the same."""

    accounts: Bundle[str] = Bundle("accounts")
    transfers: Bundle[str] = Bundle("transfers")

    def __init__(self) -> None:
        super().__init__()
        self.time = Time(datetime(2026, 11, 30, 23, 0, tzinfo=UTC))
        raw = FakeDynamo(catalog_tables(""), lambda: self.time().timestamp())
        self.bank = bank_on(raw, Tables("accounts", "transactions", "events"), self.time)
        self.model = Model()
        self.keys = 0
        self.answered: dict[str, tuple[str, str, dict[str, Any], bytes]] = {}
        self.granted: set[str] = set()
        self.ends: dict[str, datetime] = {}
        self.stack = ExitStack()
        account_service = AccountService(self.bank.accounts, "99999004", FakeLinked(), self.time)
        transfer_service = TransferService(self.bank.transfers, Listing(raw, "transactions"))
        both = APIRouter()
        both.include_router(accounts_router)
        both.include_router(limits_router)
        self.account_api = self.stack.enter_context(served(both, {"service": account_service}))
        self.transfer_api = self.stack.enter_context(served(transfers_router, {"service": transfer_service}))

    def teardown(self) -> None:
        report = self.bank.auditor.audit()
        self.stack.close()
        assert report.ok, report.drift

    def post(self, subject: str, path: str, body: dict[str, Any], key: str) -> Response:
        api = self.account_api if path == "/accounts" else self.transfer_api
        return api.post(path, json=body, headers=signed_in(subject, **{"Idempotency-Key": key}))

    def fresh_key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"

    def asked(self, subject: str, path: str, body: dict[str, Any], paid: Paid, refusal: str | None) -> Any:
        """Asks for a hold, and gives the transfer's id if the model has one too."""
        key = self.fresh_key()
        answer = self.post(subject, path, body, key)
        if refusal is not None:
            problem(answer, answer.status_code, refusal, final=True)
            return multiple()
        assert answer.status_code == 201, answer.text
        transfer_id: str = answer.json()["transfer_id"]
        self.held(transfer_id, paid)
        self.answered[key] = (subject, path, body, answer.content)
        return transfer_id

    # --- customers ----------------------------------------------------------------------------------

    @initialize(target=accounts)
    def two_have_money(self) -> Any:
        opened = [self.opened("ana"), self.opened("beto")]
        self.settled([grant_id(each) for each in opened])
        return multiple(*opened)

    @rule(target=accounts, name=NAMES)
    def open(self, name: str) -> str:
        return self.opened(name)

    def opened(self, name: str) -> str:
        body = {"name": name, "tax_id": CPFS[name], "account_type": "CACC"}
        key = self.fresh_key()
        answer = self.post(name, "/accounts", body, key)
        assert answer.status_code == 201, answer.text
        account_id: str = answer.json()["account_id"]
        self.answered[key] = (name, "/accounts", body, answer.content)
        self.model.accounts[account_id] = Account(name)
        if name not in self.granted:
            self.granted.add(name)
            self.held(grant_id(account_id), Paid("grant", "treasury", account_id, GRANT_CENTS))
        return account_id

    def held(self, transfer_id: str, paid: Paid) -> None:
        self.model.hold(transfer_id, paid)
        self.ends[transfer_id] = self.time() + LIFETIME

    @rule(name=NAMES, other=NAMES)
    def open_with_the_tax_id_of_another(self, name: str, other: str) -> None:
        if name == other or not {name, other} & self.granted:
            return
        body = {"name": name, "tax_id": CPFS[other], "account_type": "CACC"}
        problem(self.post(name, "/accounts", body, self.fresh_key()), 409, "tax_id_bound", final=True)

    @rule(target=transfers, by=CALLERS, payer=accounts, payee=accounts, cents=AMOUNTS)
    def transfer_by(self, by: str, payer: str, payee: str, cents: int) -> Any:
        return self.transfer(by, payer, payee, cents)

    def transfer(self, by: str, payer: str, payee: str, cents: int) -> Any:
        name = self.model.accounts[payer].owner if by == RIGHTFUL else by
        body = {"from_account": payer, "to": {"account": payee}, "amount_cents": cents}
        paid = Paid("transfer", payer, payee, cents, period=period(self.time()))
        return self.asked(name, "/transfers", body, paid, self.model.refusal(name, paid))

    @rule(target=transfers, payer=accounts, payee=accounts, cents=AMOUNTS)
    def transfer_that_arrives(self, payer: str, payee: str, cents: int) -> Any:
        transfer_id = self.transfer(RIGHTFUL, payer, payee, cents)
        if isinstance(transfer_id, str):
            self.settled([transfer_id])
        return transfer_id

    @rule(payer=accounts)
    def transfer_to_nobody(self, payer: str) -> None:
        self.transfer(RIGHTFUL, payer, STRANGER, 1)

    @rule(target=transfers, by=CALLERS, original=transfers, cents=AMOUNTS)
    def give_back(self, by: str, original: str, cents: int) -> Any:
        given = self.model.transfers[original]
        name = self.model.accounts[given.payee].owner if by == RIGHTFUL else by
        body = {"amount_cents": cents, "reason": "Pedido errado"}
        paid = Paid("return", given.payee, given.payer, cents, of=original)
        refusal = self.model.refusal_to_return(name, original, cents) or self.model.refusal(name, paid)
        return self.asked(name, f"/transfers/{original}/returns", body, paid, refusal)

    @precondition(lambda self: bool(self.answered))
    @rule(data=st.data(), other_body=st.booleans())
    def replay(self, data: st.DataObject, *, other_body: bool) -> None:
        """The first answer again, whatever has happened since."""
        key = data.draw(st.sampled_from(sorted(self.answered)))
        subject, path, body, first = self.answered[key]
        if other_body:
            more = body.get("amount_cents", 0) + 1
            changed = {"name": "another"} if path == "/accounts" else {"amount_cents": more}
            again = self.post(subject, path, body | changed, key)
            problem(again, 422, "idempotency_key_reused", final=True)
            return
        again = self.post(subject, path, body, key)
        assert (again.status_code, again.content) == (201, first)
        assert again.headers["idempotent-replayed"] == "true"

    @rule(account_id=accounts, name=st.sampled_from(["day", "night"]), cents=AMOUNTS)
    def limit(self, account_id: str, name: str, cents: int) -> None:
        """Lower at once; higher after a day, which is longer than all this takes."""
        account = self.model.accounts[account_id]
        body = {"account_id": account_id, f"{name}_cents": cents}
        answer = self.account_api.put("/limits", json=body, headers=signed_in(account.owner))
        if account.status == "CLOSED":
            problem(answer, 409, "account_closed")
            return
        assert answer.status_code == 200, answer.text
        account.limits[name] = min(account.limits[name], cents)

    @rule(account_id=accounts)
    def close(self, account_id: str) -> None:
        refusal = self.model.close(account_id)
        headers = signed_in(self.model.accounts[account_id].owner)
        answer = self.account_api.delete(f"/accounts/{account_id}", headers=headers)
        if refusal is not None:
            problem(answer, 409, refusal)
        else:
            assert answer.status_code == 204, answer.text

    # --- workers and operators ----------------------------------------------------------------------

    @precondition(lambda self: bool(self.model.transfers))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """What a poll brings: some events, those of transfers that were decided long ago too."""
        known = sorted(self.model.transfers, key=lambda each: self.model.transfers[each].status != "HELD")
        self.settled(data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4)))

    def settled(self, transfer_ids: list[str]) -> None:
        told = {}
        # No relay takes any of them away.
        for row in self.bank.outbox.waiting(0, 1_000):
            record = events.record_from_json(row.record)
            event = events.decode(record.headers, record.value)
            if event.type == HELD:
                told[event.subject] = event
        answers = Settlement(self.bank.ledger).settle([told[each] for each in transfer_ids])
        assert answers == [None] * len(transfer_ids)
        for each in dict.fromkeys(transfer_ids):
            self.model.settle(each)

    @rule(minutes=st.sampled_from([1, 1, 31]))
    def expire(self, minutes: int) -> None:
        """Time passes, for the older holds or for all of them, and the sweep comes by."""
        self.time.moment += timedelta(minutes=minutes)
        for shard in range(OPEN_SHARDS):
            Sweep(self.bank.ledger, self.bank.outbox).turn(shard)
        for transfer_id, paid in self.model.transfers.items():
            if paid.status == "HELD" and self.time() >= self.ends[transfer_id]:
                self.model.reject(transfer_id)

    @rule(account_id=accounts, command=st.sampled_from(["block", "unblock", "unblock"]))
    def block(self, account_id: str, command: str) -> None:
        account = self.model.accounts[account_id]
        outcome = operators.change(command, account_id, self.bank.ledger, self.bank.auditor, as_json=False)
        if account.status == "CLOSED":
            assert outcome.exit_code == NOT_SOUND
        else:
            assert outcome.exit_code == DONE
            account.status = {"block": "BLOCKED", "unblock": "ACTIVE"}[command]

    # --- what is true at all times ------------------------------------------------------------------

    @invariant()
    def the_bank_is_as_the_model(self) -> None:
        ids = self.model.accounts.keys() - {"treasury"}
        found = self.bank.ledger.balances_of(ids)
        for account_id in ids:
            modelled, balance = self.model.accounts[account_id], found[account_id]
            assert (balance.available, balance.on_hold, balance.status) == (
                modelled.available,
                modelled.on_hold,
                modelled.status,
            )
            now = period(self.time())
            assert balance.used.of(now) == modelled.sent[now]
        for transfer_id, paid in self.model.transfers.items():
            transfer = self.bank.standing_of(transfer_id)
            assert (transfer.status, transfer.returnable_cents) == (paid.status, paid.returnable)


TestBank = BankMachine.TestCase
TestBank.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

"""A Pix from another bank in the ledger: promised durably, credited once, and never refused after that."""

import itertools
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from apps.consumers.sweep_transfers import Sweep
from apps.kit import events
from apps.kit.dynamo import Deadline, OutcomeUnknown
from apps.ledger import account, items
from apps.ledger.account import SETTLEMENT, Frozen, Refusal, internal_item
from apps.ledger.entries import STATEMENT_KINDS, AccountStatus
from apps.ledger.incoming import Incoming, accept, credit, turn_away
from apps.ledger.receiving import Outcome, Receiving
from apps.ledger.transfer import (
    ACCEPTED,
    REJECTED,
    SETTLED,
    Order,
    Transfer,
    expired,
    next_look,
    partition_key,
)
from apps.transaction.api import rendered
from tests.apps.kit.faulty_dynamo import lose_reply
from tests.apps.ledger.bank import GRANT_CENTS, Bank, fake_bank, soon
from tests.apps.ledger.test_sent import order_of
from tests.apps.ledger.values import (
    ANA,
    ATTEMPT,
    BRUNO,
    NEXT_ATTEMPT,
    PAYMENT,
    PIX_IN,
    TRANSFER_ID,
    balance,
    settlement,
)


def accepted() -> tuple[Transfer, account.Balance]:
    change = accept(PIX_IN, balance(), None, ATTEMPT)
    return change.transfer, change.postings[0].after


# --- the rules ----------------------------------------------------------------------------------


def test_accepting_moves_no_money_and_raises_what_the_account_waits_for() -> None:
    change = accept(PIX_IN, balance(available=1000, pending_credits=50), None, ATTEMPT)
    assert (change.transfer.status, change.event.type, change.returnable) == ("ACCEPTED", ACCEPTED, None)
    (posting,) = change.postings
    assert (posting.after.available, posting.after.on_hold, posting.after.pending_credits) == (1000, 0, 350)
    entry = posting.entry
    assert (entry.kind, entry.delta_available, entry.delta_on_hold, entry.seq) == ("accept", 0, 0, 8)
    assert entry.kind not in STATEMENT_KINDS


def test_what_is_accepted_is_a_pix_from_another_bank_and_nothing_can_be_returned_of_it_yet() -> None:
    transfer, _ = accepted()
    assert (transfer.incoming, transfer.by_spi, transfer.returnable_cents) == (True, True, 0)
    assert (transfer.payer_owner, transfer.payee_owner) == ("", "ana")
    assert transfer.accepted_at == PIX_IN.accepted_at
    assert not transfer.seen_by("bruno")
    assert transfer.seen_by("ana")


@pytest.mark.parametrize(
    ("payee", "code"),
    [
        (None, "payee_not_found"),
        (settlement(), "payee_not_found"),
        (balance(status="BLOCKED"), "account_blocked"),
        (balance(status="CLOSED"), "account_closed"),
        (balance(frozen=True), "account_frozen"),
    ],
    ids=["nobody", "the bank itself", "blocked", "closed", "under review"],
)
def test_nothing_is_promised_that_cannot_be_kept(payee: account.Balance | None, code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        accept(PIX_IN, payee, None, ATTEMPT)
    assert refusal.value.code == code


@pytest.mark.parametrize("status", ["ACTIVE", "BLOCKED"])
def test_what_has_arrived_is_credited_whatever_has_happened_to_the_account(status: AccountStatus) -> None:
    transfer, payee = accepted()
    change = credit(transfer, settlement(), replace(payee, status=status), NEXT_ATTEMPT)
    assert (change.before, change.transfer.status, change.event.type) == ("ACCEPTED", "SETTLED", SETTLED)
    assert change.transfer.returnable_cents == 300
    paid, got = change.postings
    assert (paid.entry.kind, paid.after.available, paid.after.on_hold) == ("debit", -300, 0)
    assert (got.entry.kind, got.after.available, got.after.pending_credits) == ("credit", 1300, 0)
    assert got.after.status == status


@pytest.mark.parametrize("frozen", ["payee", "settlement"])
def test_a_frozen_account_waits(frozen: str) -> None:
    transfer, payee = accepted()
    ours = settlement(frozen=frozen == "settlement")
    with pytest.raises(Frozen):
        credit(transfer, ours, replace(payee, frozen=frozen == "payee"), NEXT_ATTEMPT)
    if frozen == "payee":
        with pytest.raises(Frozen):
            turn_away(transfer, replace(payee, frozen=True), "x", NEXT_ATTEMPT)


def test_what_will_not_come_ends_the_promise_and_moves_no_money() -> None:
    transfer, payee = accepted()
    change = turn_away(transfer, payee, "pix_timeout", NEXT_ATTEMPT)
    assert (change.transfer.status, change.transfer.reason) == ("REJECTED", "pix_timeout")
    (posting,) = change.postings
    assert (posting.entry.kind, posting.after.available, posting.after.pending_credits) == ("reject", 1000, 0)
    assert change.event.type == REJECTED


def decided() -> list[Transfer]:
    transfer, payee = accepted()
    return [
        credit(transfer, settlement(), payee, NEXT_ATTEMPT).transfer,
        turn_away(transfer, payee, "x", NEXT_ATTEMPT).transfer,
    ]


@pytest.mark.parametrize("transfer", decided(), ids=["settled", "rejected"])
def test_what_is_decided_is_decided_for_good(transfer: Transfer) -> None:
    _, payee = accepted()
    with pytest.raises(AssertionError):
        credit(transfer, settlement(), payee, NEXT_ATTEMPT)
    with pytest.raises(AssertionError):
        turn_away(transfer, payee, "x", NEXT_ATTEMPT)


def test_a_promise_never_expires_and_is_looked_at_for_ever() -> None:
    transfer, _ = accepted()
    years = ATTEMPT.now + timedelta(days=3650)
    assert not expired(transfer, years)
    later = next_look(transfer, years).due_at
    assert later is not None
    assert later > years.isoformat()
    assert transfer.due_at == "2026-11-25T12:00:05.000Z"


def test_its_events_go_with_the_account_that_is_credited() -> None:
    transfer, _ = accepted()
    assert partition_key(transfer) == ANA


def test_who_waits_for_money_cannot_close() -> None:
    waiting = balance(available=0, pending_credits=1)
    with pytest.raises(Refusal) as refusal:
        account.close(waiting, "2026-11-25T12:00:00.000Z")
    assert refusal.value.code == "account_not_empty"
    assert refusal.value.facts["pending_credits_cents"] == 1


def test_money_leaves_without_a_hold_only_where_there_is_no_limit() -> None:
    with pytest.raises(AssertionError):
        account.pay_out(balance(), 1, TRANSFER_ID, "2026-11-25T12:00:00.000Z")


@pytest.mark.parametrize("rule", [account.fulfil, account.forgo])
def test_more_than_was_promised_is_a_bug(rule: Callable[..., account.Posting]) -> None:
    with pytest.raises(AssertionError, match="pending_credits"):
        rule(balance(pending_credits=10), 11, TRANSFER_ID, "2026-11-25T12:00:00.000Z")


def test_only_the_parties_balances_are_touched() -> None:
    stranger = balance(BRUNO, owner="bruno", pending_credits=300)
    transfer, _ = accepted()
    with pytest.raises(AssertionError):
        accept(PIX_IN, stranger, None, ATTEMPT)
    with pytest.raises(AssertionError):
        credit(transfer, settlement(), stranger, ATTEMPT)
    with pytest.raises(AssertionError):
        turn_away(transfer, stranger, "x", ATTEMPT)


def test_an_accepted_transfer_is_read_back_as_it_was_written() -> None:
    transfer, _ = accepted()
    assert items.transfer_of(items.transfer_item(transfer)) == transfer


# --- on the tables ------------------------------------------------------------------------------


@dataclass
class Stage:
    bank: Bank
    ana: str

    @property
    def receiving(self) -> Receiving:
        return Receiving(self.bank.ledger)

    def order(self, cents: int = 300, payee: str | None = None, **more: str) -> Incoming:
        transfer_id = str(uuid.uuid4())
        return Incoming(
            transfer_id=transfer_id,
            kind="transfer" if not more else "return",
            payer=internal_item(SETTLEMENT, transfer_id),
            payee=payee or self.ana,
            amount_cents=cents,
            description=None,
            end_to_end_id=f"E60701190202611250900{transfer_id[:11].replace('-', 'a')}",
            accepted_at="2026-11-25T09:00:00.000Z",
            request_hash="h",
            payment=PAYMENT,
            **more,
        )

    def accept(self, order: Incoming) -> Outcome:
        (outcome,) = self.receiving.accept([order], soon())
        return outcome

    def credit(self, transfer_id: str) -> Outcome:
        (outcome,) = self.receiving.credit([transfer_id], soon())
        return outcome

    def held(self) -> str:
        """A transfer between two accounts here that nobody has settled yet."""
        bruno = self.bank.rich("bruno")
        return self.bank.pay("bruno", bruno, self.ana, 1).transfer.transfer_id

    def balance(self) -> tuple[int, int, int]:
        found = self.bank.ledger.balance(self.ana)
        assert found is not None
        return found.available, found.on_hold, found.pending_credits

    def types(self, transfer_id: str) -> list[str]:
        rows = self.bank.outbox.still_waiting(transfer_id, 1)
        records = [events.record_from_json(row.record) for row in rows]
        return sorted(events.decode(each.headers, each.value).type for each in records)


@pytest.fixture
def stage() -> Stage:
    bank = fake_bank()
    return Stage(bank, bank.rich("ana"))


def status_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Transfer), repr(outcome)
    return outcome.status


def test_a_promise_is_durable_with_its_event(stage: Stage) -> None:
    order = stage.order()
    made = stage.accept(order)
    assert made == stage.bank.standing_of(order.transfer_id)
    assert status_of(made) == "ACCEPTED"
    assert stage.balance() == (GRANT_CENTS, 0, 300)
    assert stage.types(order.transfer_id) == [ACCEPTED]


def test_the_same_order_again_promises_nothing_more(stage: Stage) -> None:
    order = stage.order()
    assert stage.accept(order) == stage.accept(order)
    assert stage.balance() == (GRANT_CENTS, 0, 300)


def test_what_arrived_is_credited_once_however_often_it_is_said(stage: Stage) -> None:
    order = stage.order()
    stage.accept(order)
    for _ in range(3):
        assert status_of(stage.credit(order.transfer_id)) == "SETTLED"
    assert stage.balance() == (GRANT_CENTS + 300, 0, 0)
    assert stage.bank.available(order.payer) == -300
    assert stage.types(order.transfer_id) == [ACCEPTED, SETTLED]
    assert stage.bank.auditor.audit().ok


ENDINGS = {
    "credit": lambda stage, each: stage.credit(each),
    "turn_away": lambda stage, each: stage.receiving.turn_away(each, "x", soon()),
    "accept": lambda stage, each: stage.accept(stage.order()),
}


@pytest.mark.parametrize("steps", list(itertools.permutations(["credit", "turn_away"])), ids="-".join)
def test_the_first_end_counts_and_the_other_changes_nothing(stage: Stage, steps: tuple[str, ...]) -> None:
    order = stage.order()
    stage.accept(order)
    for step in steps:
        ENDINGS[step](stage, order.transfer_id)
    settled = steps[0] == "credit"
    assert stage.bank.standing_of(order.transfer_id).status == ("SETTLED" if settled else "REJECTED")
    assert stage.balance() == (GRANT_CENTS + (300 if settled else 0), 0, 0)
    assert stage.accept(order) == stage.bank.standing_of(order.transfer_id), "an order that comes late"
    assert stage.bank.auditor.audit().ok


def test_a_yes_about_what_was_never_accepted_moves_nothing(stage: Stage) -> None:
    assert stage.credit(str(uuid.uuid4())) is None
    assert stage.balance() == (GRANT_CENTS, 0, 0)


def test_an_answer_about_a_transfer_of_another_kind_moves_nothing(stage: Stage) -> None:
    held = stage.held()
    assert status_of(stage.credit(held)) == "HELD"
    assert status_of(stage.receiving.turn_away(held, "x", soon())) == "HELD"


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_a_reply_that_was_lost_promises_and_credits_once(stage: Stage, lost: int) -> None:
    order = stage.order()
    stage.bank.client.faults.extend([lose_reply] * lost)
    assert status_of(stage.accept(order)) == "ACCEPTED"
    stage.bank.client.faults.extend([lose_reply] * lost)
    assert status_of(stage.credit(order.transfer_id)) == "SETTLED"
    assert stage.balance() == (GRANT_CENTS + 300, 0, 0)


def test_who_does_not_know_whether_it_stands_is_told_so(stage: Stage) -> None:
    stage.bank.client.faults.extend([lose_reply] * 1000)
    (outcome,) = stage.receiving.accept([stage.order()], Deadline.after(0.05))
    assert isinstance(outcome, OutcomeUnknown)
    stage.bank.client.faults.clear()


def test_many_for_one_account_share_a_transaction_and_each_has_its_own_outcome(stage: Stage) -> None:
    closed = stage.bank.open("bruno")
    stage.bank.ledger.change_status(closed, account.close, soon())
    orders = [stage.order(cents) for cents in (1, 2, 3)]
    orders.insert(1, stage.order(payee=closed))
    before = stage.bank.count("accounts")
    outcomes = stage.receiving.accept(orders, soon())
    assert [isinstance(each, Transfer) for each in outcomes] == [True, False, True, True]
    assert isinstance(outcomes[1], Refusal)
    assert stage.bank.count("accounts") == before + 3, "an entry each"
    assert stage.balance() == (GRANT_CENTS, 0, 6)
    stage.receiving.credit([each.transfer_id for each in orders], soon())
    assert stage.balance() == (GRANT_CENTS + 6, 0, 0)
    assert stage.bank.auditor.audit().ok


def test_many_workers_at_once_credit_once(stage: Stage) -> None:
    orders = [stage.order(1) for _ in range(6)]
    stage.receiving.accept(orders, soon())
    ids = [each.transfer_id for each in orders]
    workers = [threading.Thread(target=lambda: stage.receiving.credit(ids, soon())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stage.receiving.credit(ids, soon())
    assert stage.balance() == (GRANT_CENTS + 6, 0, 0)
    assert stage.bank.auditor.audit().ok


def test_a_blocked_payee_is_credited_and_a_frozen_one_when_it_moves_again(stage: Stage) -> None:
    blocked, frozen = stage.order(1), stage.order(2)
    stage.receiving.accept([blocked, frozen], soon())
    stage.bank.ledger.change_status(stage.ana, account.block, soon())
    assert status_of(stage.credit(blocked.transfer_id)) == "SETTLED"
    key = items.balance_key(stage.ana)
    stage.bank.raw.update_item(
        TableName="accounts",
        Key=key,
        UpdateExpression="SET frozen = :w",
        ExpressionAttributeValues={":w": {"S": "x"}},
    )
    assert isinstance(stage.credit(frozen.transfer_id), Frozen)
    assert isinstance(stage.receiving.turn_away(frozen.transfer_id, "x", soon()), Frozen)
    assert stage.bank.standing_of(frozen.transfer_id).status == "ACCEPTED"
    stage.bank.raw.update_item(TableName="accounts", Key=key, UpdateExpression="REMOVE frozen")
    assert status_of(stage.credit(frozen.transfer_id)) == "SETTLED"


def test_an_account_that_waits_for_money_cannot_be_closed(stage: Stage) -> None:
    empty = stage.bank.open("carla")
    order = stage.order(payee=empty)
    stage.accept(order)
    with pytest.raises(Refusal, match="account_not_empty"):
        stage.bank.ledger.change_status(empty, account.close, soon())
    stage.receiving.turn_away(order.transfer_id, "x", soon())
    stage.bank.ledger.change_status(empty, account.close, soon())


def test_the_sweep_leaves_promises_to_who_can_ask_and_they_are_found(stage: Stage) -> None:
    order = stage.order()
    stage.accept(order)
    stage.bank.time.moment += timedelta(days=2)
    shard = int(items.open_shard(order.transfer_id))
    assert Sweep(stage.bank.ledger, stage.bank.outbox).turn(shard) == 0
    assert stage.bank.ledger.due(shard, 50, accepted=True) == [order.transfer_id]
    stage.bank.ledger.look_later(stage.bank.standing_of(order.transfer_id))
    assert stage.bank.ledger.due(shard, 50, accepted=True) == []
    stage.credit(order.transfer_id)
    stage.bank.time.moment += timedelta(days=2)
    assert stage.bank.ledger.due(shard, 50, accepted=True) == []


def test_promises_that_wait_keep_no_hold_from_being_looked_at(stage: Stage) -> None:
    orders = [stage.order(1) for _ in range(12)]
    stage.receiving.accept(orders, soon())
    held = stage.held()
    stage.bank.time.moment += timedelta(days=2)
    shard = int(items.open_shard(held))
    assert stage.bank.ledger.due(shard, 2) == [held]


def test_the_auditor_agrees_at_every_step(stage: Stage) -> None:
    order, other = stage.order(), stage.order()
    stage.receiving.accept([order, other], soon())
    assert stage.bank.auditor.audit().ok
    stage.credit(order.transfer_id)
    assert stage.bank.auditor.audit().ok
    stage.receiving.turn_away(other.transfer_id, "x", soon())
    report = stage.bank.auditor.audit()
    assert report.ok
    assert report.sum_cents == 0


@pytest.mark.parametrize("change", [-1, 1])
def test_the_auditor_finds_a_promise_that_no_entry_tells_of(stage: Stage, change: int) -> None:
    stage.accept(stage.order())
    stage.bank.raw.update_item(
        TableName="accounts",
        Key=items.balance_key(stage.ana),
        UpdateExpression="SET pending_credits = pending_credits + :more",
        ExpressionAttributeValues={":more": {"N": str(change)}},
    )
    (drift,) = stage.bank.auditor.audit().drift
    assert (drift.account_id, drift.what) == (stage.ana, "wrong_pending_credits")


def test_an_audit_since_a_month_believes_what_older_entries_promise(stage: Stage) -> None:
    stage.accept(stage.order())
    stage.bank.time.moment += timedelta(days=70)
    bruno = stage.bank.rich("bruno")
    stage.bank.paid("bruno", bruno, stage.ana, 1)
    assert stage.bank.auditor.audit(since=stage.bank.auditor.last_month()).ok


# --- returns by another bank --------------------------------------------------------------------


def sent_pix(stage: Stage, cents: int = 300) -> str:
    """A Pix that was sent from here and has settled."""
    bank = stage.bank
    transfer_id = str(uuid.uuid4())

    payee = internal_item(SETTLEMENT, transfer_id)
    order = Order(
        transfer_id, "transfer", "ana", stage.ana, payee, cents, None, None, "h", None, payment=PAYMENT
    )
    first = bank.ledger.standing(transfer_id, (stage.ana, payee))
    bank.ledger.hold(order, first, timedelta(minutes=30), rendered, soon())
    bank.ledger.send(transfer_id, order_of, soon())
    bank.ledger.arrive(transfer_id, soon())
    return transfer_id


def test_a_return_takes_its_amount_off_the_original_as_soon_as_it_is_accepted(stage: Stage) -> None:
    original = sent_pix(stage)
    order = stage.order(120, original_transfer_id=original)
    returned = stage.accept(order)
    assert isinstance(returned, Transfer)
    assert (returned.kind, returned.original_transfer_id) == ("return", original)
    assert stage.bank.standing_of(original).returnable_cents == 180
    assert stage.balance() == (GRANT_CENTS - 300, 0, 120)
    stage.credit(order.transfer_id)
    assert stage.balance() == (GRANT_CENTS - 180, 0, 0)
    assert stage.bank.standing_of(original).returnable_cents == 180
    assert stage.bank.standing_of(order.transfer_id).returnable_cents == 0
    assert stage.bank.auditor.audit().ok


def test_a_return_that_does_not_come_can_be_made_again(stage: Stage) -> None:
    original = sent_pix(stage)
    order = stage.order(300, original_transfer_id=original)
    stage.accept(order)
    for _ in range(2):
        stage.receiving.turn_away(order.transfer_id, "x", soon())
    assert stage.bank.standing_of(original).returnable_cents == 300
    assert stage.bank.auditor.audit().ok
    assert status_of(stage.accept(stage.order(300, original_transfer_id=original))) == "ACCEPTED"
    assert stage.bank.auditor.audit().ok


def test_no_more_comes_back_than_was_paid(stage: Stage) -> None:
    original = sent_pix(stage)
    orders = [stage.order(cents, original_transfer_id=original) for cents in (200, 101, 100)]
    first, second, third = stage.receiving.accept(orders, soon())
    assert [status_of(first), status_of(third)] == ["ACCEPTED", "ACCEPTED"]
    assert isinstance(second, Refusal)
    assert second.code == "return_exceeds_amount"
    assert stage.bank.standing_of(original).returnable_cents == 0
    assert stage.bank.auditor.audit().ok


@pytest.mark.parametrize(
    ("after", "code"), [(timedelta(days=90), None), (timedelta(days=90, seconds=1), "return_too_late")]
)
def test_a_return_comes_within_ninety_days(stage: Stage, after: timedelta, code: str | None) -> None:
    original = sent_pix(stage)
    stage.bank.time.moment += after
    outcome = stage.accept(stage.order(1, original_transfer_id=original))
    assert (outcome.code if isinstance(outcome, Refusal) else None) == code


def test_nothing_comes_back_of_a_return_nor_of_what_is_not_settled(stage: Stage) -> None:
    original = sent_pix(stage)
    order = stage.order(100, original_transfer_id=original)
    stage.accept(order)
    stage.credit(order.transfer_id)
    refused = stage.accept(stage.order(1, original_transfer_id=order.transfer_id))
    assert isinstance(refused, Refusal)
    assert refused.code == "not_returnable"
    held = stage.held()
    refused = stage.accept(stage.order(1, original_transfer_id=held))
    assert isinstance(refused, Refusal)
    assert refused.code == "transfer_not_settled"
    refused = stage.accept(stage.order(1, original_transfer_id=str(uuid.uuid4())))
    assert isinstance(refused, Refusal)
    assert refused.code == "transfer_not_found"


def test_only_who_had_paid_gets_a_return(stage: Stage) -> None:
    original = sent_pix(stage)
    bruno = stage.bank.rich("bruno")
    outcome = stage.accept(stage.order(1, payee=bruno, original_transfer_id=original))
    assert isinstance(outcome, AssertionError)
    assert stage.bank.standing_of(original).returnable_cents == 300

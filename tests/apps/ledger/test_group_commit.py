"""Group commit on a DynamoDB that refuses, conflicts and loses replies: each caller gets its own outcome."""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.kit import dynamo
from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.kit.turns import GoOn, Turns
from apps.ledger import items
from apps.ledger.account import Balance, Refusal
from apps.ledger.committer import LOOK_SECONDS, Found, Job, Unread
from apps.ledger.entries import Drift
from apps.ledger.group import Action, Decided
from apps.ledger.items import Mark
from apps.ledger.room import REST_WRITES, RUNNING, Room
from apps.ledger.transfer import Change, Transfer
from apps.transaction.request import Answer, KeyReused, Payment, Unknown
from tests.apps.kit.faulty_dynamo import Fault, cancel, lose_reply, lose_request, refuse
from tests.apps.ledger.bank import GRANT_CENTS, Bank, Time, bank_on, fake_bank, soon

LONG = 20.0
SEND_SECONDS = 0.05
"""How long a transaction takes where a clock of a test's own stands still otherwise."""
CONDITION = "ConditionalCheckFailed"
Outcome = Answer | Exception


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a moment is no promise of the ledger, and nothing here needs it."""
    monkeypatch.setattr(dynamo, "pause", lambda attempt: None)


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


def payment(subject: str, payer: str, payee: str, cents: int = 1, key: str | None = None) -> Payment:
    return Payment(subject, key or uuid.uuid4().hex, payer, payee, cents, None, None)


def sends(bank: Bank, count: int) -> Deadline:
    """Over after so many transactions: no clock has a say in it."""
    return Deadline(count, lambda: len(bank.client.seen))


def together(
    bank: Bank,
    payments: Sequence[Payment],
    *faults: Fault,
    deadline: Deadline | None = None,
    deadlines: Mapping[Payment, Deadline] | None = None,
    finished: Callable[[int], None] = lambda place: None,
) -> list[Outcome]:
    """Asks for all of them while another hold is on its way, so that they share the next transaction, whose
    sends go through the faults. The transactions of interest are `bank.client.seen`."""
    opened, entered = threading.Event(), threading.Event()

    def door(_: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        entered.set()
        assert opened.wait(LONG)
        return call()

    one, other = bank.rich("door"), bank.rich("behind")
    bank.client.faults = [door, *faults]
    with ThreadPoolExecutor(len(payments) + 1) as pool:
        first = pool.submit(bank.pay, "door", one, other, 1)
        assert entered.wait(LONG)
        bank.client.seen.clear()
        futures: list[Future[Answer]] = []
        for each in payments:
            until_when = (deadlines or {}).get(each) or deadline or Deadline.after(LONG)
            futures.append(pool.submit(bank.transfers.request, each, until_when))
            futures[-1].add_done_callback(partial(lambda place, _: finished(place), len(futures) - 1))
            until(lambda: bank.ledger.waiting_holds == len(futures))
        opened.set()
        assert first.result().transfer.status == "HELD"
        return [_outcome(each) for each in futures]


def _outcome(future: "Future[Answer]") -> Outcome:
    try:
        return future.result(LONG)
    except Exception as error:  # noqa: BLE001
        return error


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(LONG / 0.001)):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it did not become true in time")


def held(outcome: Outcome) -> Transfer:
    assert isinstance(outcome, Answer), outcome
    return outcome.transfer


def transactions(bank: Bank) -> list[list[Any]]:
    return [request["TransactItems"] for request in bank.client.seen]


def written(actions: Sequence[Any], kind: str) -> list[str]:
    """The partitions of a kind that a transaction writes, without their prefix."""
    keys = [(action.get("Put") or action["Update"]) for action in actions]
    partitions = [(each.get("Item") or each["Key"])["pk"]["S"] for each in keys]
    return [each.removeprefix(kind) for each in partitions if each.startswith(kind)]


def in_store(bank: Bank, each: Payment) -> Transfer | Mark | None:
    return bank.ledger.find(each.transfer_id)


def clean(bank: Bank) -> None:
    report = bank.auditor.audit()
    assert report.ok, report.drift
    assert report.sum_cents == 0


# --- holds --------------------------------------------------------------------------------------


def test_holds_that_come_together_share_one_transaction_and_one_write_of_their_payer(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno, 10 + n) for n in range(6)]
    outcomes = together(bank, payments)
    (actions,) = transactions(bank)
    assert written(actions, "TX#") == [each.transfer_id for each in payments]
    assert written(actions, "ACC#") == [ana]
    assert len(written(actions, "ENT#")) == 6
    assert [held(each).amount_cents for each in outcomes] == [10, 11, 12, 13, 14, 15]
    assert [held(each).transfer_id for each in outcomes] == [each.transfer_id for each in payments]
    assert len({held(each).answer for each in outcomes}) == 6
    balance = bank.ledger.balance(ana)
    assert balance is not None
    assert (balance.available, balance.on_hold) == (GRANT_CENTS - 75, 75)
    clean(bank)


def test_a_lone_hold_reads_once_and_writes_once(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.client.seen.clear()
    bank.pay("ana", ana, bruno, 1)
    assert len(bank.client.seen) == 1
    bank.client.operation = "batch_get_item"
    bank.client.seen.clear()
    bank.pay("ana", ana, bruno, 1)
    assert len(bank.client.seen) == 1


def test_more_holds_than_a_transaction_takes_go_in_several_and_all_are_answered(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno) for _ in range(30)]
    outcomes = together(bank, payments)
    assert [held(each).transfer_id for each in outcomes] == [each.transfer_id for each in payments]
    sizes = [len(actions) for actions in transactions(bank)]
    assert len(sizes) == 2
    assert max(sizes) <= 100
    assert written(transactions(bank)[0], "TX#") == [each.transfer_id for each in payments[:24]]
    clean(bank)


def test_funds_are_given_in_order_and_a_refusal_is_answered_once_its_mark_stands(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno, cents) for cents in (60_000, 50_000, 40_000, 1)]
    first, second, third, fourth = together(bank, payments)
    assert (held(first).status, held(third).status) == ("HELD", "HELD")
    for outcome, asked in ((second, payments[1]), (fourth, payments[3])):
        assert isinstance(outcome, Refusal)
        assert outcome.code == "insufficient_funds"
        assert isinstance(in_store(bank, asked), Mark)
    assert isinstance(second, Refusal)
    assert second.facts == {"available_cents": 40_000}
    assert bank.available(ana) == 0
    clean(bank)


def test_the_limit_is_given_in_order_and_who_is_beyond_it_takes_nobody_along(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.time.moment += timedelta(hours=15)
    bank.paid("bruno", bruno, ana, 90_000)
    payments = [payment("ana", ana, bruno, cents) for cents in (60_000, 50_000, 40_000, 1)]
    first, second, third, fourth = together(bank, payments)
    (actions,) = transactions(bank)[:1]
    assert written(actions, "ACC#") == [ana]
    assert (held(first).limit_period, held(third).limit_period) == ("2026-11-25/night",) * 2
    for outcome, asked in ((second, payments[1]), (fourth, payments[3])):
        assert isinstance(outcome, Refusal)
        assert outcome.code == "limit_exceeded"
        assert isinstance(in_store(bank, asked), Mark)
    assert isinstance(second, Refusal)
    assert second.facts["left_cents"] == 40_000
    balance = bank.ledger.balance(ana)
    assert balance is not None
    assert balance.used.of("2026-11-25/night") == 100_000
    clean(bank)


def test_a_refusal_for_what_the_batch_does_is_decided_again_if_the_batch_does_it_not(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    large, small = payment("ana", ana, bruno, 60_000), payment("ana", ana, bruno, 50_000)

    def large_is_refused_elsewhere(_: str, call: Any) -> Any:
        assert bank.ledger.refuse(large.transfer_id, None, '["insufficient_funds", "no", {}]') is None
        return call()

    first, second = together(bank, [large, small], large_is_refused_elsewhere)
    assert isinstance(first, Refusal)
    assert held(second).status == "HELD"
    assert bank.available(ana) == GRANT_CENTS - 50_000
    clean(bank)


def test_a_refusal_in_a_batch_whose_outcome_stays_unknown_is_not_answered(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno, 60_000), payment("ana", ana, bruno, 50_000)]
    outcomes = together(bank, payments, *[lose_request] * 100, deadline=sends(bank, 9))
    assert isinstance(outcomes[0], Unknown)
    assert isinstance(outcomes[1], Unknown | Unavailable)
    assert [in_store(bank, each) for each in payments] == [None, None]


@pytest.mark.parametrize(
    "code", [CONDITION, "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
)
@pytest.mark.parametrize("index", range(15))
def test_a_cancellation_for_any_action_fails_no_hold(bank: Bank, index: int, code: str) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    payments = [payment("ana", ana, bruno), payment("carla", carla, bruno), payment("ana", ana, carla)]
    outcomes = together(bank, payments, cancel(*["None"] * index, code, *["None"] * (13 - index)))
    assert [held(each).transfer_id for each in outcomes] == [each.transfer_id for each in payments]
    sent = transactions(bank)
    assert len(sent[0]) == 14
    first, *rest = [written(actions, "TX#") for actions in sent]
    assert len(first) == 3
    if code == CONDITION and index < 9:
        # It leaves the batch alone; the others go on under a token of their own, and it follows.
        out = payments[index // 3].transfer_id
        assert rest == [[each for each in first if each != out], [out]]
    else:
        assert rest == [first]
    tokens = [request["ClientRequestToken"] for request in bank.client.seen]
    assert len(set(tokens)) == len(tokens)
    clean(bank)


@pytest.mark.parametrize("told", [True, False], ids=["told what stands there", "not told"])
def test_a_failed_balance_alone_is_known_anew_and_read_only_where_nobody_told(
    bank: Bank, *, told: bool
) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    elsewhere = bank_on(bank.raw, bank.tables, bank.time)
    reads: list[Any] = []
    real = bank.raw.batch_get_item

    def noted(**request: Any) -> Any:
        reads.append(request["RequestItems"])
        return real(**request)

    def another_process_is_first(_: str, call: Any) -> Any:
        elsewhere.pay("ana", ana, bruno, 300)
        bank.raw.batch_get_item = noted
        try:
            return call()
        except ClientError as cancelled:
            if not told:
                for reason in cancelled.response["CancellationReasons"]:
                    reason.pop("Item", None)
            raise

    payments = [payment("ana", ana, bruno), payment("carla", carla, bruno)]
    outcomes = together(bank, payments, another_process_is_first)
    assert [held(each).status for each in outcomes] == ["HELD", "HELD"]
    assert len(transactions(bank)) == 2
    again = {bank.tables.accounts: {"Keys": [items.balance_key(ana)], "ConsistentRead": True}}
    assert reads == ([] if told else [again])
    assert bank.available(ana) == GRANT_CENTS - 301
    clean(bank)


def test_a_payer_is_left_to_others_by_the_time_of_the_ledgers_own_clock(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    now, rests = [0.0], list[float]()

    def rest(seconds: float) -> None:
        rests.append(seconds)
        now[0] += seconds

    def takes_long(_: str, call: Any) -> Any:
        now[0] += SEND_SECONDS
        return call()

    clock = replace(bank.ledger.clock, monotonic=lambda: now[0], rest=rest)
    hot = bank_on(bank.raw, bank.tables, bank.time, clock)
    hot.client.faults = [takes_long] * RUNNING
    for _ in range(RUNNING):
        hot.pay("ana", ana, bruno, 1)
    assert rests == []
    hot.pay("ana", ana, bruno, 1)
    assert sum(rests) == pytest.approx(REST_WRITES * SEND_SECONDS, abs=LOOK_SECONDS)
    clean(hot)


def test_a_payer_that_is_left_to_others_for_a_while_keeps_nobody_else_waiting(bank: Bank) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    bank.pay("ana", ana, bruno, 1)
    waiting = bank.ledger.balance(ana)
    assert waiting is not None
    now = [0.0]
    room = bank.ledger._known.room = Room(lambda: now[0])
    for _ in range(RUNNING):
        room.wrote([waiting], 1.0)
    assert room.left_to_others([ana]) > 0

    def rest_is_over(_: str, call: Any) -> Any:
        now[0] += 1
        return call()

    payments = [payment("ana", ana, bruno), payment("carla", carla, bruno)]
    outcomes = together(bank, payments, rest_is_over)
    assert [held(each).status for each in outcomes] == ["HELD", "HELD"]
    one, two = [each.transfer_id for each in payments]
    assert [written(actions, "TX#") for actions in transactions(bank)] == [[two], [one]]
    clean(bank)


def test_a_balance_that_moved_in_another_month_has_moved(bank: Bank) -> None:
    """Its entry lies elsewhere than ours, so that nothing but the number on the balance tells."""
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    elsewhere = bank_on(bank.raw, bank.tables, Time(bank.time() + timedelta(days=31)))

    def another_process_is_first(_: str, call: Any) -> Any:
        elsewhere.pay("ana", ana, bruno, 300)
        return call()

    (outcome,) = together(bank, [payment("ana", ana, bruno)], another_process_is_first)
    assert held(outcome).status == "HELD"
    assert bank.available(ana) == GRANT_CENTS - 301
    clean(bank)


def test_who_is_on_no_balance_that_moves_again_and_again_goes_ahead(bank: Bank) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    elsewhere = bank_on(bank.raw, bank.tables, bank.time)

    def another_process_is_first(_: str, call: Any) -> Any:
        elsewhere.pay("ana", ana, bruno, 300)
        return call()

    payments = [payment("ana", ana, bruno), payment("carla", carla, bruno)]
    outcomes = together(bank, payments, another_process_is_first, another_process_is_first)
    assert [held(each).status for each in outcomes] == ["HELD", "HELD"]
    one, two = [each.transfer_id for each in payments]
    sent = [written(actions, "TX#") for actions in transactions(bank)]
    assert sent == [[one, two], [one, two], [two], [one]]
    assert bank.available(ana) == GRANT_CENTS - 601
    clean(bank)


def test_conflicts_repeat_the_whole_and_after_the_third_time_its_halves(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno) for _ in range(4)]
    outcomes = together(bank, payments, *[cancel("None", "TransactionConflict")] * 3)
    assert [held(each).transfer_id for each in outcomes] == [each.transfer_id for each in payments]
    ids = [each.transfer_id for each in payments]
    sent = [written(actions, "TX#") for actions in transactions(bank)]
    assert sent == [ids, ids, ids, ids[:2], ids[2:]]
    clean(bank)


def test_throttling_of_the_whole_request_is_divided_like_a_conflict(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno) for _ in range(4)]
    outcomes = together(bank, payments, *[refuse("ThrottlingException")] * 3)
    assert all(held(each).status == "HELD" for each in outcomes)
    assert [len(written(actions, "TX#")) for actions in transactions(bank)] == [4, 4, 4, 2, 2]


def _always(bank: Bank, wrong: Payment, fault: Fault) -> list[Fault]:
    """Every transaction that has this transfer in it meets the fault."""

    def look(name: str, call: Any) -> Any:
        if wrong.transfer_id in written(bank.client.seen[-1]["TransactItems"], "TX#"):
            return fault(name, call)
        return call()

    return [look] * 10_000


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        pytest.param(refuse("ValidationException"), Exception, id="not valid"),
        pytest.param(cancel("ValidationError"), Exception, id="cancelled as not valid"),
        pytest.param(cancel("None", "TransactionConflict"), Unavailable, id="always in conflict"),
        pytest.param(refuse("ThrottlingException"), Unavailable, id="always throttled"),
        pytest.param(cancel(CONDITION), Unavailable, id="a condition that never holds, of the wrong one"),
        pytest.param(cancel(), Unavailable, id="cancelled without reasons"),
    ],
)
def test_one_that_can_never_pass_fails_alone(bank: Bank, place: int, fault: Fault, failure: Any) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    wrong = payment("ana", ana, bruno, 7)
    good = [payment("ana", ana, bruno), payment("carla", carla, bruno)] * 2
    good = [replace(each, key=uuid.uuid4().hex) for each in good]
    payments = [*good[:place], wrong, *good[place:]]
    outcomes = together(bank, payments, *_always(bank, wrong, fault), deadlines={wrong: sends(bank, 60)})
    for asked, outcome in zip(payments, outcomes, strict=True):
        if asked is wrong:
            assert isinstance(outcome, failure)
        else:
            assert held(outcome).transfer_id == asked.transfer_id
    assert in_store(bank, wrong) is None
    bank.client.faults = []
    clean(bank)


@pytest.mark.parametrize("first", [lose_reply, lose_request, refuse("InternalServerError", 500)])
def test_an_unknown_outcome_repeats_the_identical_batch_under_the_identical_token(
    bank: Bank, first: Fault
) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno, 1 + n) for n in range(3)]
    outcomes = together(bank, payments, first, refuse("IdempotentParameterMismatchException"), lose_reply)
    assert [held(each).amount_cents for each in outcomes] == [1, 2, 3]
    assert len(bank.client.seen) == 4
    assert all(each == bank.client.seen[0] for each in bank.client.seen)
    assert bank.available(ana) == GRANT_CENTS - 6
    clean(bank)


@pytest.mark.parametrize(("fault", "stand"), [(lose_reply, True), (lose_request, False)])
def test_past_the_deadline_each_caller_gets_an_unknown_outcome_of_its_own_and_its_key_tells(
    bank: Bank, fault: Fault, *, stand: bool
) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno, 1 + n) for n in range(3)]
    outcomes = together(bank, payments, *[fault] * 100, deadline=sends(bank, 9))
    assert [getattr(each, "transfer_id", None) for each in outcomes] == [
        each.transfer_id for each in payments
    ]
    assert all(isinstance(each, Unknown) for each in outcomes)
    assert len({id(each) for each in outcomes}) == 3
    assert len({request["ClientRequestToken"] for request in bank.client.seen}) == 1
    bank.client.faults = []
    again = [bank.transfers.request(each, soon()) for each in payments]
    assert [each.replayed for each in again] == [stand] * 3
    assert bank.available(ana) == GRANT_CENTS - 6
    clean(bank)


def test_an_unknown_outcome_of_one_batch_keeps_no_other_from_being_held(bank: Bank) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    lost = payment("ana", ana, bruno)
    other: list[Answer] = []

    def meanwhile(name: str, call: Any) -> Any:
        # While the batch's outcome is unknown, another request comes and goes.
        bank.client.faults.clear()
        worker = threading.Thread(target=lambda: other.append(bank.pay("carla", carla, bruno, 5)))
        worker.start()
        worker.join(LONG)
        return call()

    (outcome,) = together(bank, [lost], lose_request, meanwhile)
    assert held(outcome).status == "HELD"
    assert [each.transfer.amount_cents for each in other] == [5]
    clean(bank)


def test_a_cancellation_after_a_lost_reply_is_not_forgotten(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno) for _ in range(2)]
    throttled = [refuse("ThrottlingException")] * 1000
    outcomes = together(
        bank, payments, lose_request, cancel("TransactionConflict"), *throttled, deadline=sends(bank, 9)
    )
    assert all(isinstance(each, Unknown) for each in outcomes)


class Nothing:
    """A wish that is never worked for."""

    def accounts(self, _found: Found | Unread) -> Sequence[str]:
        return ()

    def decide(self, _found: Found, _balances: Mapping[str, Balance]) -> Decided:
        return None

    def own(self, _change: Change) -> Sequence[Action]:
        return ()


@pytest.mark.parametrize(("unknown", "told"), [(False, Unavailable), (True, OutcomeUnknown)])
def test_whose_turn_does_not_come_in_time_is_told_what_an_earlier_send_may_have_done(
    unknown: bool, told: type[Exception]
) -> None:
    late = Job("late", Nothing(), Deadline.after(0))
    late.unknown = unknown

    def work(batch: list[Job], _go_on: GoOn) -> None:
        turns.take(late)
        for each in batch:
            each.answer(None)

    turns = Turns(work, 1)
    turns.take(Job("first", Nothing(), Deadline.after(60)))
    with pytest.raises(told):
        late.outcome()


@pytest.mark.parametrize("fault", [cancel("ValidationError"), refuse("AccessDeniedException")])
def test_a_mistake_after_a_lost_reply_decides_nothing_for_anybody(bank: Bank, fault: Fault) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno) for _ in range(2)]
    outcomes = together(bank, payments, lose_request, *[fault] * 9)
    assert all(isinstance(each, Unknown) for each in outcomes)


@pytest.mark.parametrize("fault", [refuse("ThrottlingException"), cancel("None", "TransactionConflict")])
def test_nobody_waits_for_one_that_is_kept_back_again_and_again(bank: Bank, fault: Fault) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")
    kept_back = payment("ana", ana, bruno)
    payments = [payment("carla", carla, bruno), kept_back, payment("carla", carla, bruno)]
    done: list[int] = []
    later: list[Answer] = []
    patience = 50_000

    def finished(place: int) -> None:
        done.append(place)
        if place == 0:
            later.append(bank.pay("bruno", bruno, carla, 1))

    def answered() -> bool:
        """Its neighbours, each in a thread of its own, and a request that came after all of them."""
        return bool(later) and {0, 2} <= set(done)

    over = Deadline(1, lambda: 2.0 if answered() or len(bank.client.seen) > patience else 0.0)
    outcomes = together(
        bank, payments, *_always(bank, kept_back, fault), deadlines={kept_back: over}, finished=finished
    )
    assert isinstance(outcomes[1], Unavailable)
    # The first has worked for all three, and is answered long before.
    assert done[-1] == 1
    assert len(later) == 1
    assert len(bank.client.seen) <= patience


def test_a_freeze_counts_although_it_raises_no_number(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    bank.pay("ana", ana, bruno, 1)
    bank.auditor.freeze(Drift(ana, "wrong_sum", "a test"))
    bank.client.seen.clear()
    with pytest.raises(Refusal) as refused:
        bank.pay("ana", ana, bruno, 1)
    assert refused.value.code == "account_frozen"
    assert bank.client.seen == []


def test_one_transfer_asked_for_twice_is_held_once_and_answered_twice(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    once = payment("ana", ana, bruno, 300, key="same")
    outcomes = together(bank, [once, payment("ana", ana, bruno), replace(once, request_id="again")])
    assert held(outcomes[0]) == held(outcomes[2])
    assert all(len(written(each, f"TX#{once.transfer_id}")) <= 1 for each in transactions(bank))
    assert bank.available(ana) == GRANT_CENTS - 301
    clean(bank)


def test_one_key_with_two_bodies_is_held_once_and_refused_once(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    once = payment("ana", ana, bruno, 300, key="same")
    first, second = together(bank, [once, replace(once, amount_cents=301)])
    assert held(first).amount_cents == 300
    assert isinstance(second, KeyReused)
    assert bank.available(ana) == GRANT_CENTS - 300


def test_no_hold_of_a_batch_commits_after_its_key_was_refused(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    payments = [payment("ana", ana, bruno, 1 + n) for n in range(3)]

    def the_second_is_refused(_: str, call: Any) -> Any:
        assert bank.ledger.refuse(payments[1].transfer_id, None, '["insufficient_funds", "no", {}]') is None
        return call()

    outcomes = together(bank, payments, the_second_is_refused)
    assert isinstance(outcomes[1], Refusal)
    assert isinstance(in_store(bank, payments[1]), Mark)
    assert [held(outcomes[n]).amount_cents for n in (0, 2)] == [1, 3]
    assert bank.available(ana) == GRANT_CENTS - 4
    clean(bank)


def test_a_frozen_payer_is_refused_and_its_neighbours_are_held(bank: Bank) -> None:
    ana, bruno, carla = bank.rich("ana"), bank.rich("bruno"), bank.rich("carla")

    def freeze(_: str, call: Any) -> Any:
        bank.auditor.freeze(Drift(ana, "wrong_sum", "a test"))
        return call()

    outcomes = together(bank, [payment("ana", ana, bruno), payment("carla", carla, bruno)], freeze)
    assert isinstance(outcomes[0], Refusal)
    assert outcomes[0].code == "account_frozen"
    assert held(outcomes[1]).status == "HELD"


# --- settlements --------------------------------------------------------------------------------


def pending(bank: Bank, count: int, payers: int = 2) -> tuple[list[Transfer], str]:
    """Transfers of 1, 2, 3, … centavos that wait to be settled, all to one payee."""
    payee = bank.rich("payee")
    ids = [(f"payer {n}", bank.rich(f"payer {n}")) for n in range(payers)]
    made = [bank.pay(*ids[n % payers], payee, 1 + n).transfer for n in range(count)]
    bank.client.seen.clear()
    return made, payee


def settle_all(bank: Bank, transfers: Sequence[Transfer], deadline: Deadline | None = None) -> list[Any]:
    wanted = [(each.transfer_id, (each.payer, each.payee)) for each in transfers]
    return bank.ledger.settle_together(wanted, deadline or Deadline.after(LONG))


def statuses(bank: Bank, transfers: Sequence[Transfer]) -> list[str]:
    found = [bank.ledger.transfer(each.transfer_id) for each in transfers]
    return [each.status if each else "nothing" for each in found]


def test_the_settlements_of_one_poll_share_a_read_and_a_transaction(bank: Bank) -> None:
    transfers, payee = pending(bank, 5)
    outcomes = settle_all(bank, transfers)
    assert [each.status for each in outcomes] == ["SETTLED"] * 5
    (actions,) = transactions(bank)
    assert sorted(written(actions, "ACC#")) == sorted({payee, *(each.payer for each in transfers)})
    assert len(written(actions, "ENT#")) == 10
    assert bank.available(payee) == GRANT_CENTS + 15
    clean(bank)


def test_a_large_poll_is_settled_in_full_transactions_and_few_reads(bank: Bank) -> None:
    transfers, payee = pending(bank, 50)
    bank.client.operation = "batch_get_item"
    assert [each.status for each in settle_all(bank, transfers)] == ["SETTLED"] * 50
    assert len(bank.client.seen) <= 4
    assert bank.available(payee) == GRANT_CENTS + 51 * 25
    clean(bank)


def test_a_transfer_that_comes_twice_in_a_poll_is_settled_once_and_answered_twice(bank: Bank) -> None:
    transfers, payee = pending(bank, 2)
    outcomes = settle_all(bank, [transfers[0], transfers[1], transfers[0]])
    assert [each.status for each in outcomes] == ["SETTLED"] * 3
    assert bank.available(payee) == GRANT_CENTS + 3
    clean(bank)


@pytest.mark.parametrize(
    "code", [CONDITION, "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
)
@pytest.mark.parametrize("index", range(16))
def test_a_cancellation_for_any_action_fails_no_settlement(bank: Bank, index: int, code: str) -> None:
    transfers, payee = pending(bank, 3)
    bank.client.faults = [cancel(*["None"] * index, code, *["None"] * (15 - index))]
    assert [each.status for each in settle_all(bank, transfers)] == ["SETTLED"] * 3
    assert bank.client.faults == []
    assert len(transactions(bank)[0]) == 6 + 4 + 5 + 1 - 1
    assert len(transactions(bank)) <= 3
    assert bank.available(payee) == GRANT_CENTS + 6
    clean(bank)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("how", ["settle", "expire"])
def test_a_transfer_that_another_worker_decided_takes_nobody_along(bank: Bank, place: int, how: str) -> None:
    transfers, payee = pending(bank, 3)
    elsewhere = bank_on(bank.raw, bank.tables, bank.time)

    def meanwhile(_: str, call: Any) -> Any:
        if how == "expire":
            elsewhere.time.moment += timedelta(minutes=31)
        getattr(elsewhere.ledger, how)(transfers[place].transfer_id, deadline=soon(), **parties)
        return call()

    parties = {"parties": ()} if how == "settle" else {}
    bank.client.faults = [meanwhile]
    outcomes = settle_all(bank, transfers)
    expected = ["SETTLED"] * 3
    if how == "expire":
        expected[place] = "REJECTED"
    assert [each.status for each in outcomes] == expected
    arrived = sum(
        each.amount_cents for each, now in zip(transfers, expected, strict=True) if now == "SETTLED"
    )
    assert bank.available(payee) == GRANT_CENTS + arrived
    clean(bank)


def test_a_payee_that_is_frozen_and_one_that_is_gone_concern_their_transfers_alone(bank: Bank) -> None:
    ana, bruno, frozen, gone = (bank.rich(name) for name in ("ana", "bruno", "frozen", "gone"))
    transfers = [bank.pay("ana", ana, each, 5).transfer for each in (bruno, frozen, gone, bruno)]
    bank.auditor.freeze(Drift(frozen, "wrong_sum", "a test"))
    bank.raw.delete_item(TableName=bank.tables.accounts, Key=items.balance_key(gone))
    first, second, third, fourth = settle_all(bank, transfers)
    assert (first.status, fourth.status) == ("SETTLED", "SETTLED")
    assert getattr(second, "account_id", None) == frozen
    assert (third.status, third.reason) == ("REJECTED", "payee_unavailable")
    assert statuses(bank, transfers) == ["SETTLED", "HELD", "REJECTED", "SETTLED"]
    assert bank.available(bruno) == GRANT_CENTS + 10


def test_an_event_of_no_transfer_has_its_answer_and_the_others_theirs(bank: Bank) -> None:
    transfers, payee = pending(bank, 2)
    wanted = [(each.transfer_id, (each.payer, payee)) for each in transfers]
    outcomes = bank.ledger.settle_together([wanted[0], ("nothing", ()), wanted[1]], soon())
    assert outcomes[1] is None
    assert [each.status for each in (outcomes[0], outcomes[2]) if isinstance(each, Transfer)] == [
        "SETTLED"
    ] * 2


def test_an_id_that_no_key_can_have_fails_alone(bank: Bank) -> None:
    transfers, payee = pending(bank, 2)
    wanted = [(each.transfer_id, (each.payer, payee)) for each in transfers]
    long = "x" * 3000
    outcomes = bank.ledger.settle_together([wanted[0], (long, (long,)), wanted[1]], soon())
    assert isinstance(outcomes[1], Exception)
    assert statuses(bank, transfers) == ["SETTLED", "SETTLED"]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("what", ["transfer", "payer", "payee"])
def test_an_item_that_cannot_be_read_concerns_its_transfers_alone(bank: Bank, place: int, what: str) -> None:
    ids = [bank.rich(f"party {n}") for n in range(6)]
    made = [bank.pay(f"party {n}", ids[n], ids[n + 3], 5).transfer for n in range(3)]
    spoilt = items.transfer_key(made[place].transfer_id)
    table, name = bank.tables.transactions, "payer_owner"
    if what != "transfer":
        spoilt = items.balance_key(getattr(made[place], what))
        table, name = bank.tables.accounts, "last_hash"
    bank.raw.update_item(TableName=table, Key=spoilt, UpdateExpression=f"REMOVE {name}")
    outcomes = settle_all(bank, made)
    assert isinstance(outcomes.pop(place), Exception)
    assert [each.status for each in outcomes] == ["SETTLED"] * 2


def test_a_request_that_cannot_be_read_keeps_no_other_from_being_read(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    opened, entered = threading.Event(), threading.Event()

    def door(_: str, call: Any) -> Any:
        entered.set()
        assert opened.wait(LONG)
        return call()

    bank.client.operation = "batch_get_item"
    bank.client.faults = [door]
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(bank.ledger.standing, "first", [ana])
        assert entered.wait(LONG)
        wrong = pool.submit(bank.ledger.standing, "wrong", ["x" * 3000])
        right = pool.submit(bank.ledger.standing, "right", [bruno])
        until(lambda: bank.ledger.waiting_looks == 2)
        opened.set()
        assert set(first.result(LONG).balances) == {ana}
        assert set(right.result(LONG).balances) == {bruno}
        with pytest.raises(ClientError):
            wrong.result(LONG)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(
    "fault", [cancel("ValidationError"), cancel(CONDITION), cancel("TransactionConflict"), cancel()]
)
def test_a_settlement_that_can_never_pass_fails_alone(bank: Bank, place: int, fault: Fault) -> None:
    transfers, _ = pending(bank, 3)

    def look(name: str, call: Any) -> Any:
        if transfers[place].transfer_id in written(bank.client.seen[-1]["TransactItems"], "TX#"):
            return fault(name, call)
        return call()

    bank.client.faults = [look] * 10_000
    outcomes = settle_all(bank, transfers, sends(bank, 60))
    assert isinstance(outcomes[place], Exception)
    bank.client.faults = []
    expected = ["SETTLED"] * 3
    expected[place] = "HELD"
    assert statuses(bank, transfers) == expected
    clean(bank)


@pytest.mark.parametrize(("fault", "status"), [(lose_reply, "SETTLED"), (lose_request, "HELD")])
def test_a_poll_whose_outcome_is_unknown_says_so_of_each_and_may_come_again(
    bank: Bank, fault: Fault, status: str
) -> None:
    transfers, payee = pending(bank, 3)
    bank.client.faults = [fault] * 100
    outcomes = settle_all(bank, transfers, sends(bank, 9))
    assert all(isinstance(each, OutcomeUnknown) for each in outcomes)
    assert statuses(bank, transfers) == [status] * 3
    bank.client.faults = []
    assert [each.status for each in settle_all(bank, transfers)] == ["SETTLED"] * 3
    assert bank.available(payee) == GRANT_CENTS + 6
    clean(bank)


# --- all of it, in any order --------------------------------------------------------------------

NAMES = ("ana", "bruno", "carla")
FAULTS: Mapping[str, Callable[[int], Fault]] = {
    "passes": lambda _: lambda _, call: call(),
    "loses the reply": lambda _: lose_reply,
    "loses the request": lambda _: lose_request,
    "throttled": lambda _: refuse("ThrottlingException"),
    "condition": lambda index: cancel(*["None"] * index, CONDITION),
    "conflict": lambda index: cancel(*["None"] * index, "TransactionConflict"),
    "no reasons": lambda _: cancel(),
}
faults = st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(0, 20)), max_size=6)
asked = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from([1, 20_000, 70_000, 100_001])),
    min_size=1,
    max_size=7,
)


@settings(max_examples=40)
@example(asked=[("ana", "bruno", 70_000)] * 3, on_hold=[("condition", 0)], on_settle=[("loses the reply", 0)])
@given(asked=asked, on_hold=faults, on_settle=faults)
def test_whatever_happens_each_is_told_what_became_of_it_and_no_money_is_made_or_lost(
    asked: list[tuple[str, str, int]], on_hold: list[tuple[str, int]], on_settle: list[tuple[str, int]]
) -> None:
    bank = fake_bank()
    ids = {name: bank.rich(name) for name in NAMES}
    payments = [payment(payer, ids[payer], ids[payee], cents) for payer, payee, cents in asked]
    outcomes = together(bank, payments, *(FAULTS[name](index) for name, index in on_hold))
    bank.client.faults = []
    spent = dict.fromkeys(NAMES, 0)
    for (payer, payee, cents), wanted, outcome in zip(asked, payments, outcomes, strict=True):
        stands = in_store(bank, wanted)
        if isinstance(outcome, Answer):
            assert stands == outcome.transfer
            spent[payer] += cents
        else:
            assert isinstance(outcome, Refusal)
            assert isinstance(stands, Mark)
            assert outcome.code == ("same_account" if payer == payee else "insufficient_funds")
    for name in NAMES:
        balance = bank.ledger.balance(ids[name])
        assert balance is not None
        assert (balance.available, balance.on_hold) == (GRANT_CENTS - spent[name], spent[name])
        assert balance.available >= 0
    clean(bank)
    transfers = [each.transfer for each in outcomes if isinstance(each, Answer)]
    bank.client.faults = [FAULTS[name](index) for name, index in on_settle]
    if transfers:
        assert [each.status for each in settle_all(bank, transfers)] == ["SETTLED"] * len(transfers)
    bank.client.faults = []
    arrived = {
        name: sum(each.amount_cents for each in transfers if each.payee == ids[name]) for name in NAMES
    }
    for name in NAMES:
        assert bank.available(ids[name]) == GRANT_CENTS - spent[name] + arrived[name]
    clean(bank)

"""Many transfers in one transaction, by the rules alone: it does what they would do one by one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.ledger import account, items
from apps.ledger import transfer as rules
from apps.ledger.account import Balance, Posting, Refusal
from apps.ledger.entries import fold as folded_entries
from apps.ledger.group import AGAIN, MAX_ACTIONS, Decided, Folded, Writing, fold, place_of, verdict
from apps.ledger.transfer import Attempt, Change, Order
from tests.apps.ledger.values import AT, LIFETIME, NOON

NAMES = ("ana", "bruno", "carla", "davi")


@dataclass(eq=False)
class Holding:
    """A hold that wants to be in a batch."""

    number: int
    payer: str
    payee: str
    amount: int
    instead: Any = None

    def accounts(self) -> Iterable[str]:
        return self.payer, self.payee

    def decide(self, balances: Mapping[str, Balance]) -> Decided:
        if isinstance(self.instead, Exception):
            raise self.instead
        if self.instead is not None:
            decided: Decided = self.instead
            return decided
        return decided_hold(self, balances)

    def own(self, change: Change) -> Sequence[dict[str, Any]]:
        identity = items.key(f"E2E#{self.number}", "E2E")
        return [_put(items.transfer_key(change.transfer.transfer_id)), _put(identity)]


def decided_hold(holding: Holding, balances: Mapping[str, Balance]) -> Change:
    order = Order(
        f"{holding.number:08x}",
        "transfer",
        holding.payer,
        holding.payer,
        holding.payee,
        holding.amount,
        None,
        None,
        "",
        None,
    )
    payer, payee = balances.get(holding.payer), balances.get(holding.payee)
    return rules.hold(order, payer, payee, LIFETIME, Attempt(NOON, f"event-{holding.number}"))


def _put(key: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "t", "Item": key}}


def _balance(before: Balance, after: Balance) -> dict[str, Any]:
    key = items.balance_key(after.account_id)
    return {"Update": {"TableName": "t", "Key": key, "from": before, "to": after}}


def _entry(posting: Posting) -> list[dict[str, Any]]:
    return [_put(items.entry_item(posting.entry))]


WRITING = Writing(_balance, _entry, items.balance_of)


def funded(name: str, cents: int) -> Balance:
    return account.post(
        account.unopened(name, name, AT), "credit", None, AT, available=cents, on_hold=0
    ).after


def bank(cents: int = 1000) -> dict[str, Balance]:
    return {name: funded(name, cents) for name in NAMES}


def changed(folded: Folded[Holding]) -> list[int]:
    return [each.number for each, _ in folded.batch.changes]


def updates(folded: Folded[Holding]) -> list[tuple[Balance, Balance]]:
    found = [action["Update"] for action in folded.batch.actions if "Update" in action]
    return [(each["from"], each["to"]) for each in found]


def entries(folded: Folded[Holding], name: str) -> list[Any]:
    puts = [action["Put"]["Item"] for action in folded.batch.actions if "Put" in action]
    return [items.entry_of(item) for item in puts if item["pk"]["S"].startswith(f"ENT#{name}#")]


def test_all_changes_to_one_balance_are_one_write_with_consecutive_entries() -> None:
    balances = bank()
    folded = fold([Holding(n, "ana", NAMES[1 + n % 3], 10 + n) for n in range(5)], balances, WRITING)
    assert changed(folded) == [0, 1, 2, 3, 4]
    ((before, after),) = updates(folded)
    assert before == balances["ana"]
    made = entries(folded, "ana")
    assert [each.seq for each in made] == [before.seq + 1 + n for n in range(5)]
    assert [each.delta_available for each in made] == [-10, -11, -12, -13, -14]
    assert made[0].prev_hash == before.last_hash
    assert [each.prev_hash for each in made[1:]] == [each.hash for each in made[:-1]]
    assert (after.seq, after.last_hash) == (made[-1].seq, made[-1].hash)
    assert (after.available, after.on_hold) == (1000 - 60, 60)
    assert folded.batch.after == {"ana": after}


def test_each_change_is_held_against_what_those_before_it_leave() -> None:
    wanted = [
        Holding(0, "ana", "bruno", 600),
        Holding(1, "ana", "bruno", 500),
        Holding(2, "ana", "bruno", 400),
    ]
    folded = fold(wanted, bank(), WRITING)
    assert changed(folded) == [0, 2]
    ((refused, refusal),) = folded.batch.refused
    assert (refused.number, refusal.code, refusal.facts) == (
        1,
        "insufficient_funds",
        {"available_cents": 400},
    )
    assert folded.answers == ()


def test_a_refusal_that_the_batch_has_no_part_in_is_an_answer_at_once() -> None:
    folded = fold([Holding(0, "ana", "bruno", 1), Holding(1, "carla", "davi", 1001)], bank(), WRITING)
    assert changed(folded) == [0]
    assert folded.batch.refused == ()
    ((refused, refusal),) = folded.answers
    assert refused.number == 1
    assert isinstance(refusal, Refusal)
    assert refusal.facts == {"available_cents": 1000}


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    "instead",
    [ZeroDivisionError(), AssertionError(), Refusal("some_rule", "no"), account.Frozen("carla")],
    ids=["fault", "assertion", "refusal", "frozen"],
)
def test_one_that_fails_fails_no_neighbour(place: int, instead: Exception) -> None:
    wanted = [Holding(n, "ana", "bruno", 10) for n in range(3)]
    wanted.insert(place, Holding(9, "carla", "davi", 10, instead))
    folded = fold(wanted, bank(), WRITING)
    assert changed(folded) == [0, 1, 2]
    ((failed, answer),) = folded.answers
    assert (failed.number, answer) == (9, instead)


def test_what_stands_already_is_an_answer_and_what_does_not_fit_together_is_read_again() -> None:
    standing = decided_hold(Holding(7, "ana", "bruno", 1), bank()).transfer
    wanted = [
        Holding(0, "ana", "bruno", 1, standing),
        Holding(1, "ana", "bruno", 1, AGAIN),
        Holding(2, "ana", "bruno", 1),
    ]
    folded = fold(wanted, bank(), WRITING)
    assert [(each.number, answer) for each, answer in folded.answers] == [(0, standing)]
    assert [each.number for each in folded.again] == [1]
    assert changed(folded) == [2]


def test_a_batch_takes_as_many_as_one_transaction_can_write_and_the_rest_in_order() -> None:
    # Two items of its own and an entry each, and one balance for all.
    folded = fold([Holding(n, "ana", "bruno", 1) for n in range(60)], bank(), WRITING)
    assert changed(folded) == list(range(33))
    assert len(folded.batch.actions) == 3 * 33 + 1 == MAX_ACTIONS
    uniform = [Holding(n, f"payer {n}", "bruno", 1) for n in range(60)]
    everybody = {**bank(), **{each.payer: funded(each.payer, 1) for each in uniform}}
    assert changed(fold(uniform, everybody, WRITING)) == list(range(MAX_ACTIONS // 4))


def test_a_transfer_is_in_a_batch_once() -> None:
    first, second = Holding(0, "ana", "bruno", 1), Holding(0, "carla", "bruno", 1)
    folded = fold([first, second, Holding(1, "ana", "bruno", 1)], bank(), WRITING)
    assert next(each for each, _ in folded.batch.changes) is first
    assert changed(folded) == [0, 1]
    assert folded.answers == ()


def test_every_action_has_its_owner_and_no_item_two_actions() -> None:
    folded = fold([Holding(n, NAMES[n % 2], "carla", 1) for n in range(6)], bank(), WRITING)
    batch = folded.batch
    places = [place_of(action) for action in batch.actions]
    assert len(set(places)) == len(places) == len(batch.owners)
    for (_, partition, _), owner in zip(places, batch.owners, strict=True):
        if isinstance(owner, str):
            assert partition.split("#")[0] in {"ACC", "ENT"}
            assert partition.split("#")[1] == owner
        else:
            assert partition in {f"TX#{owner.number:08x}", f"E2E#{owner.number}"}


@pytest.mark.parametrize("index", range(11))
def test_a_failed_condition_concerns_its_transfer_or_its_balance_alone(index: int) -> None:
    wanted = [Holding(0, "ana", "carla", 1), Holding(1, "bruno", "carla", 1), Holding(2, "ana", "carla", 1)]
    batch = fold(wanted, bank(), WRITING).batch
    reasons = ["None"] * len(batch.actions)
    assert len(reasons) == 11
    reasons[index] = "ConditionalCheckFailed"
    found = verdict(batch, reasons)
    owner = batch.owners[index]
    assert not found.contended
    if isinstance(owner, str):
        assert found.out == ()
        assert found.stale == {owner}
    else:
        assert (found.out, found.stale) == ((owner,), frozenset())


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_contention_concerns_the_whole_and_takes_nobody_out(code: str) -> None:
    batch = fold([Holding(n, "ana", "carla", 1) for n in range(2)], bank(), WRITING).batch
    for index in range(len(batch.actions)):
        reasons = ["None"] * len(batch.actions)
        reasons[index] = code
        found = verdict(batch, reasons)
        assert found.contended
        assert (found.out, found.stale) == ((), frozenset())


def test_conditions_and_contention_in_one_cancellation_are_both_seen() -> None:
    wanted = [Holding(n, "ana", "carla", 1) for n in range(2)]
    batch = fold(wanted, bank(), WRITING).batch
    reasons = ["ConditionalCheckFailed", *["None"] * 3, "ConditionalCheckFailed", "TransactionConflict"]
    found = verdict(batch, reasons)
    assert found.out == (wanted[0],)
    assert found.stale == {"ana"}
    assert found.contended


def test_without_reasons_all_start_again() -> None:
    batch = fold([Holding(n, NAMES[n], "carla", 1) for n in range(2)], bank(), WRITING).batch
    found = verdict(batch, [])
    assert [each.number for each in found.out] == [0, 1]
    assert found.stale == {"ana", "bruno"}
    assert found.contended


holds = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1, 60)), max_size=30)


@example(holds=[("ana", "bruno", 60), ("ana", "carla", 41), ("ana", "carla", 40), ("bruno", "bruno", 1)])
@given(holds=holds)
def test_a_batch_equals_its_transfers_one_by_one(holds: list[tuple[str, str, int]]) -> None:
    balances = bank(100)
    wanted = [Holding(number, *each) for number, each in enumerate(holds)]
    folded = fold(wanted, balances, WRITING)
    model = dict(balances)
    accepted, refused = [], {}
    for each in wanted[: len(folded.batch.changes) + len(folded.batch.refused) + len(folded.answers)]:
        try:
            change = decided_hold(each, model)
        except Refusal as refusal:
            refused[each.number] = (refusal.code, refusal.facts)
            continue
        (posting,) = change.postings
        model[each.payer] = posting.after
        accepted.append(each.number)
    assert changed(folded) == accepted
    said = {
        each.number: (no.code, no.facts)
        for each, no in (*folded.batch.refused, *folded.answers)
        if isinstance(no, Refusal)
    }
    assert said == refused
    assert {**balances, **folded.batch.after} == model
    assert all(each.available >= 0 for each in model.values())
    for name, after in folded.batch.after.items():
        opening = account.post(account.unopened(name, name, AT), "credit", None, AT, available=100, on_hold=0)
        proven = folded_entries(name, [opening.entry, *entries(folded, name)])
        assert (proven.seq, proven.available, proven.on_hold) == (after.seq, after.available, after.on_hold)

"""Opening an account against a table in memory: what each failure of the store means for the caller."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from apps.account.account import Opening, Profile, number_of
from apps.account.store import AccountStore, Grant
from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.ledger import items
from apps.ledger.account import INTERNAL_ITEMS, Refusal
from apps.ledger.store import Ledger, Tables
from apps.ledger.transfer import Transfer

OPENING = Opening("ana", "Ana Souza", "52998224725", "CACC", "key", None)
Stored = dict[tuple[str, str, str], Any]


@dataclass
class Table:
    """Puts and gets of a few items. `before` runs when a transaction arrives, and may raise."""

    items: Stored = field(default_factory=dict)
    before: Callable[[int], None] = lambda _: None
    after: Callable[[int], None] = lambda _: None
    sent: list[list[Any]] = field(default_factory=list)

    def get_item(self, **request: Any) -> Mapping[str, Any]:
        item = self.items.get(place(request["TableName"], request["Key"]))
        return {"Item": copy.deepcopy(item)} if item else {}

    def transact_write_items(self, **request: Any) -> Mapping[str, Any]:
        self.sent.append(request["TransactItems"])
        self.before(len(self.sent))
        reasons = [self._reason(each) for each in request["TransactItems"]]
        if any(each["Code"] != "None" for each in reasons):
            answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(answer, "TransactWriteItems")
        for action in request["TransactItems"]:
            (write,) = action.values()
            item = write.get("Item") or write["Key"] | {
                name.removeprefix(":"): value for name, value in write["ExpressionAttributeValues"].items()
            }
            self.items[place(write["TableName"], item)] = item
        self.after(len(self.sent))
        return {}

    def _reason(self, action: Mapping[str, Any]) -> dict[str, str]:
        (write,) = action.values()
        there = self.items.get(place(write["TableName"], write.get("Item") or write["Key"]))
        passes = there is None or (
            " OR #name = :value" in write["ConditionExpression"]
            and there[write["ExpressionAttributeNames"]["#name"]]
            == write["ExpressionAttributeValues"][":value"]
        )
        return {"Code": "None" if passes else "ConditionalCheckFailed"}


def place(table: str, item: Mapping[str, Any]) -> tuple[str, str, str]:
    return table, item["pk"]["S"], item["sk"]["S"]


def opened(
    table: Table, opening: Opening = OPENING, *, grant: int = 100, seconds: float = 5
) -> tuple[Profile, bool]:
    client: Any = table
    ledger = Ledger(client, Tables("accounts", "transactions", "events"), 4)
    store = AccountStore(client, "accounts", ledger, Grant(grant, timedelta(minutes=30)))
    return store.open(opening, lambda profile: f"opened {profile.number}", Deadline.after(seconds))


def holds(table: Table) -> list[Transfer]:
    return [items.transfer_of(each) for name, each in table.items.items() if name[2] == items.TRANSFER_SORT]


def another(opening: Opening = OPENING, **changes: Any) -> Opening:
    return Opening(**{**vars(opening), **changes})


def test_a_persons_first_account_comes_with_the_grants_hold_and_the_second_without() -> None:
    table = Table()
    first, found = opened(table)
    assert not found
    (hold,) = holds(table)
    assert (hold.payee, hold.amount_cents, hold.kind, hold.status) == (first.account_id, 100, "grant", "HELD")
    second, _ = opened(table, another(key="second"))
    assert second.account_id != first.account_id
    assert holds(table) == [hold]


def test_without_a_grant_nothing_is_held() -> None:
    table = Table()
    opened(table, grant=0)
    assert holds(table) == []


def test_a_key_that_opened_an_account_finds_it_and_writes_nothing() -> None:
    table = Table()
    first, _ = opened(table)
    assert opened(table) == (first, True)
    assert len(table.sent) == 1


@pytest.mark.parametrize(
    "other",
    [another(subject="beto"), another(tax_id="11144477735", key="second")],
    ids=["another login, same tax id", "same login, another tax id"],
)
def test_a_binding_holds_both_ways(other: Opening) -> None:
    table = Table()
    opened(table)
    with pytest.raises(Refusal, match="tax_id_bound"):
        opened(table, other)
    assert len(table.sent) == 1


def test_a_number_that_is_taken_makes_way_for_the_next() -> None:
    table = Table()
    taken = number_of(OPENING.account_id, 0)
    table.items["accounts", f"NUM#0001#{taken}", "NUM"] = items.key(f"NUM#0001#{taken}", "NUM")
    profile, found = opened(table)
    assert profile.number == number_of(OPENING.account_id, 1)
    assert profile.answer == f"opened {profile.number}"
    assert not found


def test_two_first_accounts_at_once_share_one_grant() -> None:
    table = Table()

    def meanwhile(sent: int) -> None:
        if sent == 1:
            opened(table, another(key="second"))

    table.before = meanwhile
    first, _ = opened(table)
    (hold,) = holds(table)
    assert hold.payee != first.account_id


def test_a_lost_reply_is_asked_for_again_with_the_same_bytes() -> None:
    table = Table()

    def lost(sent: int) -> None:
        if sent == 1:
            raise ReadTimeoutError(endpoint_url="dynamodb")

    table.before = lost
    opened(table)
    assert len(table.sent) == 2
    assert table.sent[0] == table.sent[1]


def test_a_reply_that_stays_lost_leaves_the_outcome_unknown_and_the_account_to_be_found() -> None:
    table = Table()

    def lost(_: int) -> None:
        raise ReadTimeoutError(endpoint_url="dynamodb")

    table.after = lost
    with pytest.raises(OutcomeUnknown):
        opened(table, seconds=0)
    profile, found = opened(table)
    assert found
    assert profile.account_id == OPENING.account_id


def test_while_the_treasury_is_frozen_first_accounts_wait_and_others_open() -> None:
    table = Table()
    betos = another(subject="beto", tax_id="11144477735")
    opened(table, betos)
    (used,) = [
        each
        for _, pk, sk in list(table.items)
        if pk.startswith("ACC#treasury#") and sk == "BAL"
        for each in [table.items["accounts", pk, sk]]
    ]
    for number in range(INTERNAL_ITEMS):
        account_id = f"treasury#{number}"
        frozen = {"account_id": {"S": account_id}, "owner_subject": {"S": ""}, "frozen": {"BOOL": True}}
        table.items["accounts", f"ACC#{account_id}", "BAL"] = used | frozen
    # It is the bank that is under review, not this customer: no refusal, they try again.
    with pytest.raises(Unavailable):
        opened(table)
    assert len(table.sent) == 1
    opened(table, another(betos, key="second"))
    assert len(table.sent) == 2

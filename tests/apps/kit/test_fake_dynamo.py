"""What the fake DynamoDB promises besides what it shares with an emulator (`tests/contract`)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from apps.ledger.items import attributes, key, number, text
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def fake(seconds: Seconds) -> FakeDynamo:
    return FakeDynamo(catalog_tables(""), seconds)


def put(partition: str) -> dict[str, Any]:
    item = key(partition, "s")
    return {"Put": {"TableName": "events", "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def code_of(call: Callable[..., Any], **request: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**request)
    return str(refused.value.response["Error"]["Code"])


def count(fake: FakeDynamo) -> int:
    return int(fake.scan(TableName="events", Select="COUNT")["Count"])


def test_a_token_is_forgotten_after_ten_minutes(fake: FakeDynamo, seconds: Seconds) -> None:
    fake.transact_write_items(TransactItems=[put("a")], ClientRequestToken="one")
    seconds.now += 599
    fake.transact_write_items(TransactItems=[put("a")], ClientRequestToken="one")
    other = {"TransactItems": [put("b")], "ClientRequestToken": "one"}
    assert code_of(fake.transact_write_items, **other) == "IdempotentParameterMismatchException"
    seconds.now += 1
    fake.transact_write_items(**other)
    assert count(fake) == 2
    assert code_of(fake.transact_write_items, TransactItems=[put("a")]) == "TransactionCanceledException"


def test_a_token_that_is_too_long_is_refused(fake: FakeDynamo) -> None:
    refused = {"TransactItems": [put("a")], "ClientRequestToken": "x" * 37}
    assert code_of(fake.transact_write_items, **refused) == "ValidationException"
    assert count(fake) == 0


def test_what_it_gave_and_what_it_got_are_copies(fake: FakeDynamo) -> None:
    given = {**key("a", "s"), "offsets": {"M": {"0": number(1)}}}
    fake.put_item(TableName="events", Item=given)
    given["offsets"] = text("changed")
    first = fake.get_item(TableName="events", Key=key("a", "s"))["Item"]
    first["offsets"]["M"]["0"] = number(2)
    assert fake.get_item(TableName="events", Key=key("a", "s"))["Item"]["offsets"] == {"M": {"0": number(1)}}


def test_pages_end_where_they_are_told_to(fake: FakeDynamo) -> None:
    for name in "abcde":
        fake.put_item(TableName="events", Item=key(name, "s"))
    fake.page_items = 2
    seen: list[str] = []
    more: dict[str, Any] = {}
    for _ in range(3):
        page = fake.scan(TableName="events", **more)
        seen += [item["pk"]["S"] for item in page["Items"]]
        more = {"ExclusiveStartKey": page.get("LastEvaluatedKey")}
    assert more == {"ExclusiveStartKey": None}
    assert sorted(seen) == ["a", "b", "c", "d", "e"]


def test_the_same_calls_give_the_same_answers_in_the_same_order(seconds: Seconds) -> None:
    answers = []
    for _ in range(2):
        fake = FakeDynamo(catalog_tables(""), seconds)
        for partition in range(20):
            fake.put_item(TableName="events", Item=key(str(partition), "s"))
        answers.append(fake.scan(TableName="events")["Items"])
    assert answers[0] == answers[1]
    assert answers[0] != sorted(answers[0], key=lambda item: int(item["pk"]["S"]))


def test_threads_lose_no_update(fake: FakeDynamo) -> None:
    def raise_once(_: int) -> None:
        fake.update_item(
            TableName="events",
            Key=key("a", "s"),
            UpdateExpression="SET n = if_not_exists(n, :zero)",
            ExpressionAttributeValues={":zero": number(0)},
        )
        fake.update_item(
            TableName="events",
            Key=key("a", "s"),
            UpdateExpression="SET n = n + :one",
            ExpressionAttributeValues={":one": number(1)},
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(raise_once, range(200)))
    assert fake.get_item(TableName="events", Key=key("a", "s"))["Item"]["n"] == number(200)


def test_an_update_that_writes_an_attribute_twice_is_refused(fake: FakeDynamo) -> None:
    twice = {
        "TableName": "events",
        "Key": key("a", "s"),
        "UpdateExpression": "SET n = :one REMOVE n",
        "ExpressionAttributeValues": attributes({":one": 1}),
    }
    assert code_of(fake.update_item, **twice) == "ValidationException"


def test_a_filter_of_a_query_that_looks_at_a_key_is_refused(fake: FakeDynamo) -> None:
    filtered = {
        "TableName": "events",
        "KeyConditionExpression": "pk = :p",
        "FilterExpression": "sk = :p",
        "ExpressionAttributeValues": attributes({":p": "p"}),
    }
    assert code_of(fake.query, **filtered) == "ValidationException"


@pytest.mark.parametrize(
    "request_",
    [
        {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": attributes({":one": 1})},
        {"UpdateExpression": "REMOVE a.b"},
        {"UpdateExpression": "REMOVE a", "ReturnValues": "ALL_NEW"},
    ],
    ids=["ADD", "document path", "ReturnValues"],
)
def test_what_it_does_not_know_is_no_answer(fake: FakeDynamo, request_: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="the fake"):
        fake.update_item(TableName="events", Key=key("a", "s"), **request_)

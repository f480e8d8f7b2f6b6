"""Calls to DynamoDB, and what they come to, on the catalog's tables by their catalog names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.ledger.items import attributes, key, number, text

Call = tuple[str, dict[str, Any]]

INVALID = "ValidationException"
FAILED = "ConditionalCheckFailedException"
CANCELLED = "TransactionCanceledException"


def item(partition: str, sort: str = "s", **values: str | int) -> dict[str, Any]:
    return {**key(partition, sort), **attributes(values)}


def put(partition: str, sort: str = "s", table: str = "accounts", **values: str | int) -> Call:
    return "put_item", {"TableName": table, "Item": item(partition, sort, **values)}


def get(partition: str, sort: str = "s", **more: Any) -> Call:
    return "get_item", {
        "TableName": "accounts",
        "Key": key(partition, sort),
        "ConsistentRead": True,
        **more,
    }


def delete(partition: str, sort: str = "s") -> Call:
    return "delete_item", {"TableName": "accounts", "Key": key(partition, sort)}


def given(**values: str | int) -> dict[str, Any]:
    return {"ExpressionAttributeValues": {f":{name}": value for name, value in attributes(values).items()}}


def put_if(condition: str, **more: Any) -> Call:
    request = {"TableName": "accounts", "Item": item("a", n=2), "ConditionExpression": condition}
    return "put_item", {**request, **more}


def update(change: str, **more: Any) -> Call:
    return "update_item", {
        "TableName": "accounts",
        "Key": key("a", "s"),
        "UpdateExpression": change,
        **more,
    }


def query(condition: str, table: str = "accounts", **more: Any) -> Call:
    return "query", {"TableName": table, "KeyConditionExpression": condition, **more}


def together(*actions: Mapping[str, Any], token: str | None = None) -> Call:
    more = {} if token is None else {"ClientRequestToken": token}
    return "transact_write_items", {"TransactItems": list(actions), **more}


def action(kind: str, partition: str, condition: str | None = None, **more: Any) -> dict[str, Any]:
    place = {"Item": item(partition)} if kind == "Put" else {"Key": key(partition, "s")}
    conditional = {} if condition is None else {"ConditionExpression": condition}
    return {kind: {"TableName": "accounts", **place, **conditional, **more}}


COUNT: Call = ("scan", {"TableName": "accounts", "Select": "COUNT"})
NEW = "attribute_not_exists(pk)"
TELL = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
ENTRIES = [put("p", f"{number:03d}", n=number) for number in range(1, 6)]
OPEN_INDEX = {"table": "transactions", "IndexName": "open"}
OPEN = [
    put("t1", table="transactions", open_shard="1", due_at="2026-01-02"),
    put("t2", table="transactions", open_shard="1", due_at="2026-01-01"),
    put("t3", table="transactions", open_shard="1"),
    put("t4", table="transactions", open_shard="2", due_at="2026-01-01"),
]


@dataclass(frozen=True)
class Case:
    """Calls in order, and what the last one comes to: sort keys, an attribute `n`, an error's code, ..."""

    promise: str
    calls: Sequence[Call]
    comes_to: object


CASES = [
    Case("an item that was put is read back", [put("a", n=1), get("a")], item("a", n=1)),
    Case("nothing is read where nothing is", [get("a")], None),
    Case(
        "a number has one spelling",
        [update("SET n = :n", ExpressionAttributeValues={":n": {"N": "-007"}}), get("a")],
        item("a", n=-7),
    ),
    Case(
        "some attributes are read", [put("a", n=1, m=2), get("a", ProjectionExpression="m")], {"m": number(2)}
    ),
    Case(
        "a put under a condition that holds",
        [put("a", n=1), put_if("n = :one", **given(one=1)), get("a")],
        item("a", n=2),
    ),
    Case("a put under a condition that does not hold", [put("a", n=1), put_if(NEW)], FAILED),
    Case("a refused put tells the old item", [put("a", n=1), put_if(NEW, **TELL)], (FAILED, item("a", n=1))),
    Case("a refused put has no old item to tell", [put_if("n = :one", **given(one=1), **TELL)], FAILED),
    Case(
        "AND binds more than OR",
        [
            put("a", n=1),
            put_if("n = :one OR n = :two AND n = :three", **given(one=1, two=2, three=3)),
            get("a"),
        ],
        item("a", n=2),
    ),
    Case(
        "parentheses bind most",
        [put("a", n=1), put_if("(n = :one OR n = :two) AND n = :three", **given(one=1, two=2, three=3))],
        FAILED,
    ),
    Case(
        "NOT turns one test round",
        [put("a", n=1), put_if("NOT n = :two AND attribute_exists(n)", **given(two=2)), get("a")],
        item("a", n=2),
    ),
    Case(
        "numbers are compared as numbers",
        [put("a", n=10), put_if("n > :nine", **given(nine=9)), get("a")],
        item("a", n=2),
    ),
    Case("a number is never below a text", [put("a", n=1), put_if("n < :text", **given(text="z"))], FAILED),
    Case(
        "a missing attribute differs from everything",
        [put("a"), put_if("n <> :one", **given(one=1)), get("a")],
        item("a", n=2),
    ),
    Case("a missing attribute is not below anything", [put("a"), put_if("n < :one", **given(one=1))], FAILED),
    Case(
        "an update adds and takes away",
        [put("a", n=5, m=5), update("SET n = n + :two, m = m - :two", **given(two=2)), get("a")],
        item("a", n=7, m=3),
    ),
    Case(
        "an update makes the item that it misses",
        [update("SET n = if_not_exists(n, :zero)", **given(zero=0)), get("a")],
        item("a", n=0),
    ),
    Case(
        "an update reads what was there before it",
        [put("a", n=1, m=2), update("SET n = m, m = n"), get("a")],
        item("a", n=2, m=1),
    ),
    Case(
        "an update removes",
        [
            put("a", n=1, status="x"),
            update(
                "SET n = :two REMOVE #status", **given(two=2), ExpressionAttributeNames={"#status": "status"}
            ),
            get("a"),
        ],
        item("a", n=2),
    ),
    Case("an update adds to nothing", [put("a"), update("SET n = n + :one", **given(one=1))], INVALID),
    Case("an update refuses to move an item", [put("a"), update("SET sk = :s", **given(s="x"))], INVALID),
    Case("deleting twice is no error", [put("a"), delete("a"), delete("a"), get("a")], None),
    Case("a page ends at its limit", [*ENTRIES, query("pk = :p", Limit=2, **given(p="p"))], ["001", "002"]),
    Case(
        "a page goes on after a key",
        [*ENTRIES, query("pk = :p", Limit=2, ExclusiveStartKey=key("p", "002"), **given(p="p"))],
        ["003", "004"],
    ),
    Case(
        "a page goes on after a key that is gone",
        [*ENTRIES, delete("p", "002"), query("pk = :p", ExclusiveStartKey=key("p", "002"), **given(p="p"))],
        ["003", "004", "005"],
    ),
    Case(
        "a page that ends exactly at the end says that more may come",
        [*ENTRIES, query("pk = :p", Limit=5, **given(p="p"))],
        ["001", "002", "003", "004", "005"],
    ),
    Case(
        "the page after the last is empty",
        [*ENTRIES, query("pk = :p", ExclusiveStartKey=key("p", "005"), **given(p="p"))],
        [],
    ),
    Case(
        "a query runs backwards and goes on backwards",
        [
            *ENTRIES,
            query(
                "pk = :p", ScanIndexForward=False, ExclusiveStartKey=key("p", "003"), Limit=5, **given(p="p")
            ),
        ],
        ["002", "001"],
    ),
    Case(
        "a query starts above a key",
        [*ENTRIES, query("pk = :p AND sk > :s", **given(p="p", s="003"))],
        ["004", "005"],
    ),
    Case(
        "a query ends at a key",
        [*ENTRIES, query("pk = :p AND sk <= :s", **given(p="p", s="002"))],
        ["001", "002"],
    ),
    Case(
        "a query asks for a beginning",
        [*ENTRIES, put("p", "01"), query("pk = :p AND begins_with(sk, :s)", **given(p="p", s="00"))],
        ["001", "002", "003", "004", "005"],
    ),
    Case(
        "the limit counts before the filter",
        [*ENTRIES, query("pk = :p", Limit=2, FilterExpression="n >= :two", **given(p="p", two=2))],
        ["002"],
    ),
    Case(
        "a scan filters",
        [
            *ENTRIES,
            put("q", "900", n=5),
            (
                "scan",
                {
                    "TableName": "accounts",
                    "FilterExpression": "n = :five",
                    "ProjectionExpression": "sk",
                    **given(five=5),
                },
            ),
        ],
        ["005", "900"],
    ),
    Case("a scan counts", [*ENTRIES, COUNT], 5),
    Case(
        "an index shows only items with both of its keys, in order",
        [*OPEN, query("open_shard = :s", **OPEN_INDEX, **given(s="1"))],
        ["t2", "t1"],
    ),
    Case(
        "an item leaves an index with its key",
        [
            *OPEN,
            (
                "update_item",
                {"TableName": "transactions", "Key": key("t2", "s"), "UpdateExpression": "REMOVE due_at"},
            ),
            query("open_shard = :s AND due_at <= :d", **OPEN_INDEX, **given(s="1", d="2026-12")),
        ],
        ["t1"],
    ),
    Case(
        "a page of an index goes on",
        [
            *OPEN,
            query(
                "open_shard = :s",
                **OPEN_INDEX,
                ExclusiveStartKey=item("t2", open_shard="1", due_at="2026-01-01"),
                **given(s="1"),
            ),
        ],
        ["t1"],
    ),
    Case(
        "an index is never read consistently",
        [query("open_shard = :s", **OPEN_INDEX, ConsistentRead=True, **given(s="1"))],
        INVALID,
    ),
    Case(
        "several items are read at once",
        [
            put("a"),
            put("b"),
            (
                "batch_get_item",
                {
                    "RequestItems": {
                        "accounts": {"Keys": [key("a", "s"), key("c", "s"), key("b", "s")]},
                        "events": {"Keys": [key("a", "s")]},
                    }
                },
            ),
        ],
        {"accounts": [item("a"), item("b")]},
    ),
    Case(
        "the same item is not read twice",
        [("batch_get_item", {"RequestItems": {"accounts": {"Keys": [key("a", "s"), key("a", "s")]}}})],
        INVALID,
    ),
    Case(
        "a transaction does all",
        [
            put("b"),
            put("c", n=1),
            together(
                action("Put", "a", NEW),
                action("Delete", "b"),
                action("ConditionCheck", "c", "attribute_exists(pk)"),
            ),
            COUNT,
        ],
        2,
    ),
    Case(
        "a cancelled transaction does nothing",
        [put("b"), together(action("Put", "a"), action("Put", "b", NEW)), get("a")],
        None,
    ),
    Case(
        "reasons come in the order of the actions, with old items",
        [
            put("b", n=1),
            put("c", n=1),
            together(action("Put", "a", NEW), action("Put", "b", NEW, **TELL), action("Put", "c", NEW)),
        ],
        (CANCELLED, ["None", ("ConditionalCheckFailed", item("b", n=1)), "ConditionalCheckFailed"]),
    ),
    Case(
        "an update that cannot be done cancels",
        [
            put("a"),
            together(
                action("Update", "a", UpdateExpression="SET n = n + :one", **given(one=1)), action("Put", "b")
            ),
        ],
        (CANCELLED, ["ValidationError", "None"]),
    ),
    Case(
        "a failed condition comes before what cannot be done",
        [put("a"), together(action("Update", "a", NEW, UpdateExpression="SET n = n + :one", **given(one=1)))],
        (CANCELLED, ["ConditionalCheckFailed"]),
    ),
    Case("one item takes one action", [together(action("Put", "a"), action("Delete", "a"))], INVALID),
    Case(
        "a hundred actions are enough",
        [together(*(action("Put", f"a{each}") for each in range(101)))],
        INVALID,
    ),
    Case(
        "a hundred actions are not too many",
        [together(*(action("Put", f"a{each}") for each in range(100))), COUNT],
        100,
    ),
    Case(
        "a token repeats its success and does nothing more",
        [
            together(action("Put", "a", NEW), token="one"),
            delete("a"),
            together(action("Put", "a", NEW), token="one"),
            get("a"),
        ],
        None,
    ),
    Case(
        "a token belongs to one payload",
        [together(action("Put", "a", NEW), token="two"), together(action("Put", "b", NEW), token="two")],
        "IdempotentParameterMismatchException",
    ),
    Case(
        "the token of a cancelled transaction is free",
        [
            put("a"),
            together(action("Put", "a", NEW), token="three"),
            together(action("Put", "b", NEW), token="three"),
            get("b"),
        ],
        item("b"),
    ),
    Case("an unused value is refused", [put_if(NEW, **given(n=1))], INVALID),
    Case(
        "an unused value in a transaction is refused",
        [together(action("Put", "a", NEW, **given(n=1)))],
        INVALID,
    ),
    Case("an unused name is refused", [put_if(NEW, ExpressionAttributeNames={"#n": "n"})], INVALID),
    Case("a value that is not given is refused", [put_if("n = :n")], INVALID),
    Case("a name that is not given is refused", [put_if("#n = :n", **given(n=1))], INVALID),
    Case("no values are refused", [put_if(NEW, ExpressionAttributeValues={})], INVALID),
    Case("a broken expression is refused", [put_if("n = = :n", **given(n=1))], INVALID),
    Case("an empty expression is refused", [put_if("")], INVALID),
    Case("needless parentheses are refused", [put_if("((n = :n))", **given(n=1))], INVALID),
    Case("a reserved word is refused", [update("SET status = :s", **given(s="x"))], INVALID),
    Case("an empty key is refused", [put("")], INVALID),
    Case(
        "an empty key in a transaction is refused", [together(action("Put", "a"), action("Put", ""))], INVALID
    ),
    Case("an empty key of an index is refused", [put("a", owner="", opened_at="x")], INVALID),
    Case("a number as a key of an index is refused", [put("a", owner=1, opened_at="x")], INVALID),
    Case("a long key is refused", [put("a", "s" * 1025)], INVALID),
    Case(
        "half a key is refused", [("get_item", {"TableName": "accounts", "Key": {"pk": text("a")}})], INVALID
    ),
    Case("a query without its partition is refused", [query("sk = :s", **given(s="s"))], INVALID),
    Case("a query for a range of partitions is refused", [query("pk > :p", **given(p="p"))], INVALID),
    Case(
        "an index that is not there is refused", [query("pk = :p", IndexName="none", **given(p="p"))], INVALID
    ),
    Case(
        "a table that is not there is refused",
        [("describe_table", {"TableName": "elsewhere"})],
        "ResourceNotFoundException",
    ),
    Case(
        "a table that is not there cancels nothing",
        [together(action("Put", "a", TableName="elsewhere"))],
        "ResourceNotFoundException",
    ),
    Case("boto3 sends no transaction without actions", [together()], "ParamValidationError"),
    Case(
        "boto3 sends no number that is not text",
        [("put_item", {"TableName": "accounts", "Item": {**key("a", "s"), "n": {"N": 1}}})],
        "ParamValidationError",
    ),
]

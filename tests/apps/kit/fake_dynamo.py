"""DynamoDB in memory, for tests and simulations: faithful where the ledger relies on it, and nowhere lax.

One lock makes each call a single step, so transactions never meet: conflicts, throttling and lost replies
are injected (`faulty_dynamo`). There is no chance and no thread in it; `clock` alone says when a request
token expires. Indexes never lag and no item ends by its TTL. A request that boto3 would not send is a
`ParamValidationError` here too; one that DynamoDB knows and this does not is an `AssertionError`.
`tests/contract/test_dynamo.py` holds it against an emulator.
"""

import marshal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from apps.catalog import CATALOG, Table
from tests.apps.kit.dynamo_conditions import (
    Condition,
    Invalid,
    Item,
    Refused,
    holds,
    key_condition,
    names_in,
)
from tests.apps.kit.dynamo_parser import Expressions
from tests.apps.kit.dynamo_requests import check_sendable
from tests.apps.kit.dynamo_tables import Rows, View, copied_item
from tests.apps.kit.dynamo_writes import prepared, prepared_action, results

TOKEN_SECONDS = 600
"""A request token is remembered this long after its transaction (API_TransactWriteItems)."""
TOKEN_CHARACTERS = 36
TRANSACTION_ACTIONS = 100
BATCH_KEYS = 100


def catalog_tables(prefix: str) -> dict[str, Table]:
    """The catalog's tables by the names that they have under a prefix."""
    return {prefix + table.name: table for table in CATALOG.tables}


class FakeDynamo:
    """A `dynamo.Client` on these tables. `clock` gives seconds. One page of a query or scan looks at
    `page_items` items at most, where DynamoDB's ends after 1 MB. `check` looks at each request as boto3
    would, which takes a third of all the time."""

    def __init__(
        self,
        tables: Mapping[str, Table],
        clock: Callable[[], float],
        *,
        page_items: int = 1_000,
        check: Callable[[str, Mapping[str, Any]], None] = check_sendable,
    ) -> None:
        self.page_items = page_items
        self._check = check
        self._rows = {name: Rows(table) for name, table in tables.items()}
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[bytes, float]] = {}

    def describe_table(self, **request: Any) -> Mapping[str, Any]:
        """Says only that the table is there."""
        with self._serving("DescribeTable", request):
            self._table(request["TableName"])
            return {"Table": {"TableName": request["TableName"], "TableStatus": "ACTIVE"}}

    def get_item(self, **request: Any) -> Mapping[str, Any]:
        """One item by its key."""
        with self._serving("GetItem", request):
            found = self._read(request["TableName"], request["Key"], request)
            return {} if found is None else {"Item": found}

    def batch_get_item(self, **request: Any) -> Mapping[str, Any]:
        """Items by their keys, in another order than asked: DynamoDB promises none."""
        with self._serving("BatchGetItem", request):
            wanted = [(name, key) for name, each in request["RequestItems"].items() for key in each["Keys"]]
            if not 1 <= len(wanted) <= BATCH_KEYS:
                raise Invalid("Too many items requested for the BatchGetItem call, or none")
            if len({(name, self._table(name).key_of(key)) for name, key in wanted}) < len(wanted):
                raise Invalid("Provided list of item keys contains duplicates")
            found: dict[str, list[Item]] = {name: [] for name in request["RequestItems"]}
            for name, key in reversed(wanted):
                item = self._read(name, key, request["RequestItems"][name])
                found[name] += [] if item is None else [item]
            return {"Responses": found, "UnprocessedKeys": {}}

    def put_item(self, **request: Any) -> Mapping[str, Any]:
        """Puts a whole item."""
        return self._write_alone("PutItem", "Put", request)

    def update_item(self, **request: Any) -> Mapping[str, Any]:
        """Changes some attributes of an item, or makes it."""
        return self._write_alone("UpdateItem", "Update", request)

    def delete_item(self, **request: Any) -> Mapping[str, Any]:
        """Takes an item away, if it is there."""
        return self._write_alone("DeleteItem", "Delete", request)

    def query(self, **request: Any) -> Mapping[str, Any]:
        """A page of one partition of a table or an index."""
        with self._serving("Query", request):
            rows = self._table(request["TableName"])
            index = rows.index(request["IndexName"]) if "IndexName" in request else None
            if index is not None and request.get("ConsistentRead"):
                raise Invalid("Consistent reads are not supported on global secondary indexes")
            keys = ((index or rows.table).partition, (index or rows.table).sort)
            expressions = Expressions(request)
            value, sort = key_condition(expressions.condition("KeyConditionExpression"), *keys)
            wanted = expressions.condition("FilterExpression")
            if wanted is not None and set(keys) & set(names_in(wanted)):
                raise Invalid("Filter Expression can only contain non-primary key attributes")
            view = rows.partition(value, index)
            matching = [each for each in view.items if sort is None or holds(sort, each)]
            return self._page(replace(view, items=matching), wanted, expressions, request)

    def scan(self, **request: Any) -> Mapping[str, Any]:
        """A page of a whole table."""
        with self._serving("Scan", request):
            assert "IndexName" not in request, "the fake scans no index"
            view = self._table(request["TableName"]).everything()
            expressions = Expressions(request)
            return self._page(view, expressions.condition("FilterExpression"), expressions, request)

    def transact_write_items(self, **request: Any) -> Mapping[str, Any]:
        """All actions or none; once per token."""
        with self._serving("TransactWriteItems", request):
            actions = request["TransactItems"]
            if len(actions) > TRANSACTION_ACTIONS:
                raise Invalid(f"Member must have length less than or equal to {TRANSACTION_ACTIONS}")
            writes = [prepared_action(each, self._table) for each in actions]
            token = request.get("ClientRequestToken")
            if token is not None and self._repeats(token, actions):
                return {}
            if len({(id(each.rows), each.key) for each in writes}) < len(writes):
                raise Invalid("Transaction request cannot include multiple operations on one item")
            for write, item in zip(writes, results(writes), strict=True):
                write.rows.put(write.key, item)
            if token is not None:
                self._remember(token, actions)
            return {}

    @contextmanager
    def _serving(self, operation: str, request: Mapping[str, Any]) -> Iterator[None]:
        self._check(operation, request)
        with self._lock:
            try:
                yield
            except Refused as refused:
                raise _client_error(operation, refused) from refused

    def _table(self, name: str) -> Rows:
        if name not in self._rows:
            raise Refused("ResourceNotFoundException", "Requested resource not found")
        return self._rows[name]

    def _read(self, table: str, key: Item, request: Mapping[str, Any]) -> Item | None:
        rows = self._table(table)
        expressions = Expressions(request)
        projection = expressions.projection()
        expressions.check_all_used()
        item = rows.get(rows.key_of(key))
        return None if item is None else _projected(item, projection)

    def _page(
        self, view: View, wanted: Condition | None, expressions: Expressions, request: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The limit counts what is looked at, before the filter. A page that it ends says where to go on,
        even if nothing is left there."""
        projection = expressions.projection()
        expressions.check_all_used()
        forward = request.get("ScanIndexForward", True)
        size = min(request.get("Limit", self.page_items), self.page_items)
        looked_at = view.read(request.get("ExclusiveStartKey"), forward=forward)[:size]
        kept = [item for item in looked_at if wanted is None or holds(wanted, item)]
        answer: dict[str, Any] = {"Count": len(kept), "ScannedCount": len(looked_at)}
        if request.get("Select") != "COUNT":
            answer["Items"] = [_projected(item, projection) for item in kept]
        if len(looked_at) == size:
            answer["LastEvaluatedKey"] = copied_item(view.stopped_at(looked_at[-1]))
        return answer

    def _write_alone(self, operation: str, kind: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._serving(operation, request):
            write = prepared(kind, request, self._table)
            if not write.allowed:
                raise Refused(
                    "ConditionalCheckFailedException", "The conditional request failed", **write.told
                )
            write.rows.put(write.key, write.after())
            return {}

    def _repeats(self, token: str, actions: Any) -> bool:
        """Whether a transaction with this token was done. Raises `Refused` if it was another one."""
        if len(token) > TOKEN_CHARACTERS:
            raise Invalid(f"Member must have length less than or equal to {TOKEN_CHARACTERS}")
        known = self._tokens.get(token)
        if known is None or known[1] + TOKEN_SECONDS <= self._clock():
            return False
        if marshal.loads(known[0]) != actions:
            raise Refused(
                "IdempotentParameterMismatchException", "The token was used with a different payload"
            )
        return True

    def _remember(self, token: str, actions: Any) -> None:
        """Keeps the token, and lets go of the oldest whose time is over."""
        now = self._clock()
        self._tokens.pop(token, None)
        self._tokens[token] = (marshal.dumps(actions), now)
        while self._tokens[oldest := next(iter(self._tokens))][1] + TOKEN_SECONDS <= now:
            del self._tokens[oldest]


def _projected(item: Item, names: Sequence[str] | None) -> Item:
    """A copy of the item, or of the attributes asked for."""
    if names is None:
        return copied_item(item)
    return copied_item({name: item[name] for name in names if name in item})


def _client_error(operation: str, refused: Refused) -> ClientError:
    response: Any = {
        "Error": {"Code": refused.code, "Message": refused.message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        **refused.more,
    }
    return ClientError(response, operation)

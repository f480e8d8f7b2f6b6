"""Writes as DynamoDB does them: each action is checked first, alone or beside the others of a transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.apps.kit.dynamo_conditions import Condition, Invalid, Item, Refused, applied, holds
from tests.apps.kit.dynamo_parser import Expressions
from tests.apps.kit.dynamo_tables import EmptyIndexKey, Key, Rows, copied_item, stored_item

TableOf = Callable[[str], Rows]


@dataclass(frozen=True)
class Write:
    """One action, checked: where, under which condition, and what stands there afterwards."""

    rows: Rows
    key: Key
    condition: Condition | None
    becomes: Callable[[Item | None], Item | None]
    tells_old: bool

    @property
    def before(self) -> Item | None:
        """What stands there now."""
        return self.rows.get(self.key)

    @property
    def allowed(self) -> bool:
        """Whether the condition holds."""
        return self.condition is None or holds(self.condition, self.before or {})

    @property
    def told(self) -> dict[str, Any]:
        """The old item, for a caller who asked for it and may not write."""
        return {"Item": copied_item(self.before)} if self.tells_old and self.before else {}

    def after(self) -> Item | None:
        """What will stand there. Raises `Invalid` where the old item does not bear the update."""
        item = self.becomes(self.before)
        if item is not None:
            self.rows.check_index_keys(item)
        return item


def prepared(kind: str, request: Mapping[str, Any], table_of: TableOf) -> Write:
    """The action, if a request may ask for it at all. Raises `Refused`."""
    expressions = Expressions(request)
    condition = expressions.condition("ConditionExpression")
    update = expressions.update()
    expressions.check_all_used()
    rows = table_of(request["TableName"])
    tells_old = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    if kind == "Put":
        item = stored_item(request["Item"])
        return Write(rows, rows.place_of(item), condition, lambda _: item, tells_old)
    key = stored_item(request["Key"])
    if set(key) & set(update.names):
        raise Invalid("Cannot update an attribute that is part of the key")
    becomes: Mapping[str, Callable[[Item | None], Item | None]] = {
        "Update": lambda before: applied(update, before or key),
        "Delete": lambda _: None,
        "ConditionCheck": lambda before: before,
    }
    return Write(rows, rows.key_of(key), condition, becomes[kind], tells_old)


def prepared_action(action: Mapping[str, Mapping[str, Any]], table_of: TableOf) -> Write:
    """One action of a transaction. Raises `Refused`."""
    if len(action) != 1:
        raise Invalid("TransactItems can only contain one of Check, Put, Update or Delete")
    ((kind, request),) = action.items()
    return prepared(kind, request, table_of)


def results(writes: Sequence[Write]) -> list[Item | None]:
    """What each action leaves behind. Raises `Refused` with a reason per action if one cannot be done."""
    results: list[Item | None] = []
    reasons: list[dict[str, Any]] = []
    for write in writes:
        reason: dict[str, Any] = {"Code": "None"}
        if not write.allowed:
            message = "The conditional request failed"
            reason = {"Code": "ConditionalCheckFailed", "Message": message, **write.told}
        else:
            try:
                results.append(write.after())
            except EmptyIndexKey:
                raise
            except Invalid as invalid:
                reason = {"Code": "ValidationError", "Message": invalid.message}
        reasons.append(reason)
    if len(results) < len(writes):
        codes = ", ".join(reason["Code"] for reason in reasons)
        raise Refused(
            "TransactionCanceledException",
            f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
            CancellationReasons=reasons,
        )
    return results

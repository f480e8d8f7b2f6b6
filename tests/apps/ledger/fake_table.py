"""A table that keeps what is put into it and looks at no condition: those are for tests/contract."""

from typing import Any


class FakeTable:
    """The calls of DynamoDB's client that outbox and ledger make, on one dictionary."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Any] = {}

    def get_item(self, **request: Any) -> dict[str, Any]:
        found = self.items.get(_place(request["Key"]))
        return {"Item": found} if found is not None else {}

    def put_item(self, **request: Any) -> dict[str, Any]:
        self.items[_place(request["Item"])] = request["Item"]
        return {}

    def query(self, **request: Any) -> dict[str, Any]:
        partition = request["ExpressionAttributeValues"][":pk"]["S"]
        places = sorted(place for place in self.items if place[0] == partition)
        return {"Items": [self.items[place] for place in places[: request["Limit"]]]}

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        for action in request["TransactItems"]:
            if "Put" in action:
                self.put_item(**action["Put"])
            elif "Delete" in action:
                del self.items[_place(action["Delete"]["Key"])]
            else:
                self._update(**action["Update"])
        return {}

    def _update(self, **update: Any) -> None:
        """`SET a = :a, #b = :b`, and nothing else."""
        item = self.items.setdefault(_place(update["Key"]), dict(update["Key"]))
        names, values = update["ExpressionAttributeNames"], update["ExpressionAttributeValues"]
        for assignment in update["UpdateExpression"].removeprefix("SET ").split(", "):
            name, value = assignment.split(" = ")
            item[names.get(name, name)] = values[value]


def _place(key: Any) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]

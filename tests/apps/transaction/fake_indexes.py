"""The indexes `payer` and `payee` in memory: newest first, a millisecond in any order, pages of any size."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.ledger import items
from apps.ledger.transfer import Transfer


@dataclass
class FakeIndexes:
    """`most` is how many items one page has at most, whatever its `Limit`; `queries` counts them."""

    transfers: list[Transfer] = field(default_factory=list)
    most: int = 1000
    queries: int = 0

    def query(self, **request: Any) -> Mapping[str, Any]:
        self.queries += 1
        values = request["ExpressionAttributeValues"]
        index = request["IndexName"]
        assert request["ScanIndexForward"] is False
        assert request["KeyConditionExpression"] in {
            f"{index} = :account",
            f"{index} = :account AND created_at <= :at",
        }
        last = values.get(":at", {"S": "9999"})["S"]
        # Sorted by time alone: how ties stand is nobody's promise, here it is the order of insertion.
        there = sorted(
            (
                each
                for each in self.transfers
                if getattr(each, index) == values[":account"]["S"] and each.created_at <= last
            ),
            key=lambda each: each.created_at,
            reverse=True,
        )
        begin = 0
        if "ExclusiveStartKey" in request:
            ids = [each.transfer_id for each in there]
            begin = ids.index(request["ExclusiveStartKey"]["transfer_id"]["S"]) + 1
        end = begin + min(request["Limit"], self.most)
        answer: dict[str, Any] = {"Items": [items.transfer_item(each) for each in there[begin:end]]}
        if end <= len(there):
            # DynamoDB says so even when nothing follows.
            answer["LastEvaluatedKey"] = {"transfer_id": {"S": there[end - 1].transfer_id}}
        return answer

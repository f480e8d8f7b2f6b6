"""What the auditor reads: the three tables as they stand, each read consistent, with a heartbeat for each.

A scan can go through many entries before it meets a balance, and an account can have many months.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.kit import dynamo
from apps.kit.dynamo import Client
from apps.ledger import items
from apps.ledger import transfer as rules
from apps.ledger.account import Balance, month_of
from apps.ledger.entries import Entry, MonthOpening
from apps.ledger.items import text
from apps.ledger.store import Clock, Tables
from apps.ledger.transfer import Transfer


@dataclass(frozen=True)
class Reader:
    """Reads for one pass over the ledger. Every read may raise `Unavailable`, and `items.Corrupted`."""

    client: Client
    tables: Tables
    clock: Clock
    beat: Callable[[], None]

    def account_ids(self) -> Iterator[str]:
        """Every account that has a balance, whatever it says."""
        request: dict[str, Any] = {
            "TableName": self.tables.accounts,
            "FilterExpression": "sk = :balance",
            "ProjectionExpression": "pk",
            "ExpressionAttributeValues": {":balance": text(items.BALANCE_SORT)},
            "ConsistentRead": True,
        }
        for item in self._all(self.client.scan, request):
            yield items.account_of(item)

    def balance(self, account_id: str) -> Balance | None:
        """The balance of an account, if it exists."""
        answer = self._read(
            self.client.get_item,
            TableName=self.tables.accounts,
            Key=items.balance_key(account_id),
            ConsistentRead=True,
        )
        return items.balance_of(answer["Item"]) if "Item" in answer else None

    def transfer(self, transfer_id: str) -> Transfer | None:
        """A transfer, if it exists."""
        answer = self._read(
            self.client.get_item,
            TableName=self.tables.transactions,
            Key=items.transfer_key(transfer_id),
            ConsistentRead=True,
        )
        found = items.found_of(answer.get("Item"))
        return found if isinstance(found, Transfer) else None

    def openings(self, account_id: str, since: str) -> dict[str, MonthOpening]:
        """What the account's months begin with, from one month (yyyymm) on."""
        request = {
            "TableName": self.tables.accounts,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :month)",
            "ExpressionAttributeValues": {
                ":pk": items.balance_key(account_id)["pk"],
                ":month": text(items.MONTH_SORT),
            },
            "ConsistentRead": True,
        }
        found = [items.opening_of(item) for item in self._all(self.client.query, request)]
        return {each.month: each for each in found if each.month >= since}

    def months(self, balance: Balance, since: str, after: int) -> Iterator[tuple[str, list[Entry]]]:
        """The account's entries numbered above `after`, month by month from `since` (yyyymm) up to now; only
        months that have any."""
        until = max(month_of(rules.iso(self.clock.now())), balance.month)
        for month in _months(since, until):
            request = {
                "TableName": self.tables.accounts,
                "KeyConditionExpression": "pk = :pk AND sk > :after",
                "ExpressionAttributeValues": {
                    ":pk": text(items.entries_partition(balance.account_id, month)),
                    ":after": text(items.entry_sort(after)),
                },
                "ConsistentRead": True,
            }
            entries = [items.entry_of(item) for item in self._all(self.client.query, request)]
            if entries:
                yield month, sorted(entries, key=lambda entry: entry.seq)

    def since(self, balance: Balance) -> list[Entry]:
        """The entries that were written after the balance was read."""
        return [each for _, month in self.months(balance, balance.month, balance.seq) for each in month]

    def _all(
        self, call: Callable[..., Mapping[str, Any]], request: Mapping[str, Any]
    ) -> Iterable[dynamo.Item]:
        more: dict[str, Any] = {}
        while True:
            answer = self._read(call, **request, **more)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _read(self, call: Callable[..., Mapping[str, Any]], **request: Any) -> Mapping[str, Any]:
        self.beat()
        return dynamo.read(call, **request)


def _months(first: str, last: str) -> Iterator[str]:
    year, month = int(first[:4]), int(first[4:])
    while (current := f"{year:04d}{month:02d}") <= last:
        yield current
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)

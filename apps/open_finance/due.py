"""Which payment initiations are to be looked at, and when: one small item each while it is not final.

They share one partition of the table's owner index, sorted by time, so that finding them reads nothing else.
"""

from dataclasses import dataclass
from datetime import datetime

from apps.kit import dynamo
from apps.kit.dynamo import Client, ConditionFailed
from apps.ledger.items import Attribute, attributes, key, number, text
from apps.ledger.transfer import iso
from apps.open_finance.payment import Initiation

_ALL = "#payments-due"
_SORT = "DUE"


@dataclass(frozen=True)
class Due:
    """A look that is due. `at` is when, as it is kept; `looks` how many there have been."""

    initiation_id: str
    bank_id: str
    at: str
    looks: int


class DueLooks:
    """The looks that are to come, in the `consents` table."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    def plan(self, initiation: Initiation, at: datetime) -> None:
        """Lets an initiation be looked at, the first time then."""
        values: dict[str, str | int | None] = {
            "owner": _ALL,
            "created_at": iso(at),
            "initiation_id": initiation.initiation_id,
            "bank_id": initiation.bank_id,
            "looks": 0,
        }
        dynamo.put(self._client, self._table, _place(initiation.initiation_id) | attributes(values))

    def until(self, now: datetime) -> list[Due]:
        """What is due, the longest first. The index may lag behind by moments."""
        found = dynamo.pages(
            self._client,
            self._table,
            IndexName="owner",
            KeyConditionExpression="#owner = :owner AND created_at <= :now",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": text(_ALL), ":now": text(iso(now))},
        )
        return [
            Due(
                item["initiation_id"]["S"],
                item["bank_id"]["S"],
                item["created_at"]["S"],
                int(item["looks"]["N"]),
            )
            for item in found
        ]

    def take(self, due: Due, following: datetime, looks: int) -> bool:
        """Takes a look and plans the next one; false when another process was faster."""
        try:
            dynamo.write(
                self._client.update_item,
                TableName=self._table,
                Key=_place(due.initiation_id),
                UpdateExpression="SET created_at = :following, looks = :looks",
                ConditionExpression="created_at = :at",
                ExpressionAttributeValues={
                    ":following": text(iso(following)),
                    ":looks": number(looks),
                    ":at": text(due.at),
                },
            )
        except ConditionFailed:
            return False
        return True

    def drop(self, initiation_id: str) -> None:
        """Lets nobody look any more."""
        dynamo.write(self._client.delete_item, TableName=self._table, Key=_place(initiation_id))


def _place(initiation_id: str) -> dict[str, Attribute]:
    return key(f"PAY#{initiation_id}", _SORT)

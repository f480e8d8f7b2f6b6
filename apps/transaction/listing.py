"""Lists of an account's transfers, newest first, from the indexes by payer and by payee."""

import base64
import heapq
import re
from dataclasses import dataclass
from typing import Any, Literal

from apps.kit import dynamo
from apps.kit.dynamo import Client
from apps.ledger.items import text, transfer_of
from apps.ledger.transfer import Transfer

Direction = Literal["out", "in"]
_INDEXES: dict[Direction, str] = {"out": "payer", "in": "payee"}
_CURSOR = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([0-9a-f-]{36})", re.ASCII)


@dataclass(frozen=True, order=True)
class Place:
    """A place in the list: time, then id for transfers of one millisecond."""

    created_at: str
    transfer_id: str

    def opaque(self) -> str:
        """The place as clients carry it."""
        return base64.urlsafe_b64encode(f"{self.created_at} {self.transfer_id}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str) -> "Place":
        """The place a client brings back. Raises `ValueError` when it is not one of ours."""
        try:
            plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        except ValueError:
            plain = ""
        match = _CURSOR.fullmatch(plain)
        found = cls(*match.groups()) if match else None
        # Base64 is decoded leniently, so other spellings would pass for ours.
        if found is None or found.opaque() != cursor:
            raise ValueError("is not a cursor that a page gave")
        return found

    @classmethod
    def of(cls, transfer: Transfer) -> "Place":
        """Where a transfer stands."""
        return cls(transfer.created_at, transfer.transfer_id)


@dataclass(frozen=True)
class Cursor:
    """Where the next page goes on. It keeps the question, so that no later page answers another one."""

    place: Place
    account_id: str
    direction: Direction | None

    def opaque(self) -> str:
        """The cursor as clients carry it."""
        return f"{self.place.opaque()}.{self.account_id}.{self.direction or 'both'}"

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """The cursor a client brings back. Raises `ValueError` when it is not one of ours."""
        place, _, asked = text.partition(".")
        account_id, _, direction = asked.partition(".")
        known: dict[str, Direction | None] = {"out": "out", "in": "in", "both": None}
        if direction not in known:
            raise ValueError("is not a cursor that a page gave")
        return cls(Place.read(place), account_id, known[direction])


@dataclass(frozen=True)
class Listing:
    """Reads the indexes `payer` and `payee`, which may lag behind a hold by moments."""

    client: Client
    table: str

    def page(
        self, account_id: str, direction: Direction | None, below: Place | None, limit: int
    ) -> tuple[list[Transfer], Place | None]:
        """The newest `limit` transfers below a place, and the place where the next page goes on."""
        directions = [direction] if direction else list(_INDEXES)
        found = [self._read(_INDEXES[each], account_id, below, limit + 1) for each in directions]
        merged = list(heapq.merge(*found, key=Place.of, reverse=True))
        if len(merged) <= limit:
            return merged, None
        return merged[:limit], Place.of(merged[limit - 1])

    def _read(self, index: str, account_id: str, below: Place | None, wanted: int) -> list[Transfer]:
        condition = f"{index} = :account"
        values = {":account": text(account_id)}
        if below is not None:
            # The same millisecond is read again and what was shown of it is left out.
            condition += " AND created_at <= :at"
            values[":at"] = text(below.created_at)
        found: list[Transfer] = []
        more: dict[str, Any] = {}
        while True:
            answer = dynamo.read(
                self.client.query,
                TableName=self.table,
                IndexName=index,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                Limit=wanted + 1,
                **more,
            )
            for item in answer["Items"]:
                transfer = transfer_of(item)
                if below is None or Place.of(transfer) < below:
                    found.append(transfer)
            done = len(found) >= wanted and found[-1].created_at < found[wanted - 1].created_at
            if done or "LastEvaluatedKey" not in answer:
                return sorted(found, key=Place.of, reverse=True)[:wanted]
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

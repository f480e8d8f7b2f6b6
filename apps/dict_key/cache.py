"""Companies' keys as the DICT answered them, for as long as it says and never longer than three minutes.

A natural person's answer is not kept at all (DICT manual, section 12). A hit costs no token, and the DICT
learns nothing of the payment.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict

from apps.dict_key.entry import Account, Entry, Owner
from apps.kit import dynamo
from apps.kit.dynamo import Client
from apps.pix.keys import Key
from apps.pix.lookup_tokens import is_company

MAX_SECONDS = 180


class Cache:
    """The cached entries in the table `keys`. `now` gives epoch seconds."""

    def __init__(self, client: Client, table: str, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._now = now

    def entry(self, key: Key) -> Entry | None:
        """The entry of a key, while it may be used. Raises `Unavailable`."""
        answer = dynamo.read(self._client.get_item, TableName=self._table, Key=_place(key))
        item = answer.get("Item")
        # DynamoDB takes items away when it comes to it: until then they are here, and over.
        if item is None or int(item["ttl"]["N"]) <= self._now():
            return None
        document = json.loads(item["entry"]["S"])
        return Entry(key, Account(**document["account"]), Owner(**document["owner"]))

    def keep(self, entry: Entry, max_age: int) -> None:
        """Keeps an answer that may be kept, for so many seconds. Raises `Unavailable`, or
        `OutcomeUnknown`."""
        seconds = min(max_age, MAX_SECONDS)
        if seconds <= 0 or not is_company(entry.owner.tax_id):
            return
        document = {"account": asdict(entry.account), "owner": asdict(entry.owner)}
        dynamo.write(
            self._client.put_item,
            TableName=self._table,
            Item={
                **_place(entry.key),
                "entry": {"S": json.dumps(document)},
                "ttl": {"N": str(int(self._now()) + seconds)},
            },
        )


def _place(key: Key) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"cache#{hashlib.sha256(key.value.encode()).hexdigest()}"}, "sk": {"S": "CACHE"}}

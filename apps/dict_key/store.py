"""Keys and claims in the table `keys`: every change one transaction, on condition of what was read."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from apps.dict_key import items
from apps.dict_key.entry import Entry
from apps.dict_key.items import DUE, Attributes, ClaimRecord, Registration
from apps.kit import dynamo
from apps.kit.dynamo import Cancelled, Client, Deadline, OutcomeUnknown, Unavailable
from apps.pix.keys import Key
from apps.pix.lookup_tokens import is_company

KEYS_OF_A_PERSON = 5
KEYS_OF_A_COMPANY = 20
"""Per account, whatever the number of holders (DICT manual, section 1)."""
SECONDS = 3.0


class Changed(Exception):  # noqa: N818
    """Something else happened in between: read again and decide again. `key_held` and `full` say what."""

    def __init__(self, *, key_held: bool = False, full: bool = False) -> None:
        super().__init__("changed")
        self.key_held = key_held
        self.full = full


class KeyStore:
    """The table `keys`, without its buckets and its cache."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    def registration(self, key_id: str) -> Registration | None:
        """A registration, consistently read."""
        item = self._get(items.registration_place(key_id))
        return None if item is None else items.registration_of(item)

    def holder_of(self, key: Key) -> Registration | None:
        """The registration that has this key, in whatever state."""
        item = self._get(items.key_place(key.value))
        return None if item is None else self.registration(item["key_id"]["S"])

    def entry(self, key: Key) -> Entry | None:
        """The entry of a key that is held here. One on its way out still leads to its account."""
        found = self.holder_of(key)
        return found.entry if found is not None and found.status in {"ACTIVE", "DELETING"} else None

    def owned_by(self, subject: str) -> tuple[list[Registration], list[ClaimRecord]]:
        """A customer's keys and claims, oldest first. The index may lag behind by moments."""
        found = self._index("#owner = :owner", {":owner": {"S": subject}})
        registrations = [items.registration_of(each) for each in found if _is(each, items.REGISTRATION_SORT)]
        claims = [items.claim_of(each) for each in found if _is(each, items.CLAIM_SORT)]
        return registrations, claims

    def due(self, now: str) -> tuple[list[str], list[str]]:
        """The ids of registrations and of claims whose time has come."""
        values = {":owner": {"S": DUE}, ":now": {"S": now}}
        found = [each["pk"]["S"] for each in self._index("#owner = :owner AND created_at <= :now", values)]
        return (
            [each.removeprefix("reg#") for each in found if each.startswith("reg#")],
            [each.removeprefix("claim#") for each in found if each.startswith("claim#")],
        )

    def begin(self, registration: Registration, due_at: str) -> None:
        """Reserves a key and its place on the account before the DICT is asked. Raises `Changed`,
        `Unavailable` or `OutcomeUnknown`."""
        actions = [
            self._put(items.item_of(registration), "attribute_not_exists(pk)"),
            self._count_within(registration),
            self._due(items.registration_place(registration.key_id), due_at),
        ]
        if registration.key is not None:
            actions.append(self._hold_key(registration))
        self._transact(actions, {1: {"full": True}, 3: {"key_held": True}})

    def activate(self, registration: Registration, key: Key) -> Registration:
        """The DICT has the key: so do we. Raises as `begin` does."""
        active = replace(registration, status="ACTIVE", key=key.value, refusal=None)
        # What a refusal had given back is taken again: two attempts met, and the DICT took the second.
        counted = [self._count(registration, 1)] if registration.status == "REFUSED" else []
        self._transact(
            [
                self._put_seen(items.item_of(active), registration.status),
                self._hold_key(active),
                self._no_more_due(f"reg#{active.key_id}"),
                *counted,
            ],
            {1: {"key_held": True}},
        )
        return active

    def refuse(self, registration: Registration, refusal: str, ttl: int) -> None:
        """The DICT does not take the key: what was reserved is free, and the answer is kept for a day."""
        refused = replace(registration, status="REFUSED", refusal=refusal)
        item = items.item_of(refused) | {"ttl": {"N": str(ttl)}}
        self._transact([self._put_seen(item, "PENDING"), *self._freed(registration)], {})

    def begin_delete(self, registration: Registration, due_at: str) -> Registration:
        """Says that a key is to end, before the DICT is told."""
        leaving = replace(registration, status="DELETING")
        self._transact(
            [
                self._put_seen(items.item_of(leaving), "ACTIVE"),
                self._due(items.registration_place(leaving.key_id), due_at),
            ],
            {},
        )
        return leaving

    def keep(self, registration: Registration) -> None:
        """The DICT does not let a key go: it stays."""
        stays = replace(registration, status="ACTIVE")
        self._transact(
            [self._put_seen(items.item_of(stays), "DELETING"), self._no_more_due(f"reg#{stays.key_id}")], {}
        )

    def end(self, registration: Registration) -> None:
        """The key is gone, from the DICT and from here."""
        self._transact(
            [
                self._delete(registration),
                *self._freed(registration),
            ],
            {},
        )

    def claim(self, claim_id: str) -> ClaimRecord | None:
        """A claim, consistently read."""
        item = self._get(items.claim_place(claim_id))
        return None if item is None else items.claim_of(item)

    def claim_at_dict(self, dict_id: str) -> ClaimRecord | None:
        """Our claimer's record of a claim that the DICT knows by this id."""
        item = self._get(items.claim_pointer_place(dict_id))
        return None if item is None else self.claim(item["claim_id"]["S"])

    def save_claim(self, seen: ClaimRecord | None, record: ClaimRecord, due_at: str | None) -> None:
        """Writes a claim on condition that it still is as it was read, and when it is due next, if it is."""
        place = items.claim_place(record.claim_id)
        item = items.item_of(record)
        actions = [
            self._put(item, "attribute_not_exists(pk)")
            if seen is None
            else self._put_seen(item, seen.status),
            self._due(place, due_at) if due_at is not None else self._no_more_due(place["pk"]["S"]),
        ]
        if record.role == "CLAIMER" and record.dict_id is not None:
            pointer = items.claim_pointer_place(record.dict_id) | {"claim_id": {"S": record.claim_id}}
            actions.append({"Put": {"TableName": self._table, "Item": pointer}})
        self._transact(actions, {})

    def gain(self, record: ClaimRecord, seen: ClaimRecord, registration: Registration) -> None:
        """A claim is completed: its key is held here from now on."""
        place = items.claim_place(record.claim_id)
        self._transact(
            [
                self._put_seen(items.item_of(record), seen.status),
                self._hold_key(registration),
                self._put(items.item_of(registration), "attribute_not_exists(pk)"),
                self._count(registration, 1),
                self._no_more_due(place["pk"]["S"]),
            ],
            {1: {"key_held": True}},
        )

    def claims_read_until(self) -> str | None:
        """When the newest claim changed that was handled."""
        item = self._get(items.place("poll", "CLAIMS"))
        return None if item is None else str(item["until"]["S"])

    def note_claims_read(self, until: str) -> None:
        """Notes how far claims were handled."""
        item = items.place("poll", "CLAIMS") | {"until": {"S": until}}
        dynamo.write(self._client.put_item, TableName=self._table, Item=item)

    def _get(self, place: Attributes) -> dynamo.Item | None:
        return dynamo.item(self._client, self._table, place)

    def _index(self, condition: str, values: Mapping[str, Any]) -> list[dynamo.Item]:
        found = dynamo.pages(
            self._client,
            self._table,
            IndexName="owner",
            KeyConditionExpression=condition,
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues=dict(values),
        )
        return list(found)

    def _transact(self, actions: list[dict[str, Any]], meanings: Mapping[int, Mapping[str, bool]]) -> None:
        """One transaction, again while others hold its items for a moment. `meanings` say what a condition
        that failed means, by its action."""
        deadline = Deadline.after(SECONDS)
        attempt, unknown = 0, False
        while True:
            try:
                dynamo.transact(self._client, actions, deadline)
            except Cancelled as cancelled:
                if not cancelled.repeatable:
                    raise
                unknown = unknown or cancelled.after_unknown
                if not cancelled.only_contention:
                    raise (OutcomeUnknown() if unknown else _changed(cancelled, meanings)) from cancelled
                if deadline.passed:
                    raise (OutcomeUnknown if unknown else Unavailable)("contention") from cancelled
                dynamo.pause(attempt)
                attempt += 1
            else:
                return

    def _put(self, item: Attributes, condition: str, **more: Any) -> dict[str, Any]:
        return {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": condition, **more}}

    def _put_seen(self, item: Attributes, status: str) -> dict[str, Any]:
        # DynamoDB remembers identical transactions for ten minutes and does them no second time; a key that
        # the DICT keeps goes the same way twice, and each time counts.
        return self._put(
            item | {"written": {"S": uuid.uuid4().hex}},
            "#status = :status",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":status": {"S": status}},
        )

    def _hold_key(self, registration: Registration) -> dict[str, Any]:
        assert registration.key is not None
        item = items.key_place(registration.key) | {"key_id": {"S": registration.key_id}}
        return self._put(
            item,
            "attribute_not_exists(pk) OR key_id = :mine",
            ExpressionAttributeValues={":mine": {"S": registration.key_id}},
        )

    def _freed(self, registration: Registration) -> list[dict[str, Any]]:
        """The key and its place on the account are free again, and nothing is due."""
        actions = [self._count(registration, -1), self._no_more_due(f"reg#{registration.key_id}")]
        if registration.key is not None:
            actions.append(
                {
                    "Delete": {
                        "TableName": self._table,
                        "Key": items.key_place(registration.key),
                        "ConditionExpression": "key_id = :mine",
                        "ExpressionAttributeValues": {":mine": {"S": registration.key_id}},
                    }
                }
            )
        return actions

    def _count(self, registration: Registration, change: int) -> dict[str, Any]:
        """One key more or less on the account."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.count_place(registration.account_id),
                "UpdateExpression": "SET used = if_not_exists(used, :zero) + :change",
                "ExpressionAttributeValues": {":zero": {"N": "0"}, ":change": {"N": str(change)}},
            }
        }

    def _count_within(self, registration: Registration) -> dict[str, Any]:
        """One key more on the account, if it may have one more."""
        action = self._count(registration, 1)
        most = KEYS_OF_A_COMPANY if is_company(registration.tax_id) else KEYS_OF_A_PERSON
        action["Update"]["ConditionExpression"] = "attribute_not_exists(used) OR used < :most"
        action["Update"]["ExpressionAttributeValues"][":most"] = {"N": str(most)}
        return action

    def _due(self, of: Attributes, at: str) -> dict[str, Any]:
        return {"Put": {"TableName": self._table, "Item": items.due_item(of, at)}}

    def _no_more_due(self, partition: str) -> dict[str, Any]:
        return {"Delete": {"TableName": self._table, "Key": items.place(partition, items.DUE_SORT)}}

    def _delete(self, registration: Registration) -> dict[str, Any]:
        """Takes a registration away, as it was read. Its request id tells it from one made anew."""
        return {
            "Delete": {
                "TableName": self._table,
                "Key": items.registration_place(registration.key_id),
                "ConditionExpression": "#status = :status AND request_id = :request",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {
                    ":status": {"S": registration.status},
                    ":request": {"S": registration.request_id},
                },
            }
        }


def _changed(cancelled: Cancelled, meanings: Mapping[int, Mapping[str, bool]]) -> Changed:
    # The record itself decides first: its own change explains all others.
    for index, meaning in ((0, {}), *meanings.items()):
        if cancelled.failed(index):
            return Changed(**meaning)
    return Changed()


def _is(item: dynamo.Item, sort: str) -> bool:
    return bool(item["sk"]["S"] == sort)

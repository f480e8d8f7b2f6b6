"""Charges on DynamoDB, in the table of transfers: made once, read, and taken together with a hold."""

from dataclasses import fields

from apps.kit import dynamo
from apps.kit.dynamo import Client, ConditionFailed
from apps.ledger import items
from apps.ledger.charge import Charge
from apps.ledger.group import Action
from apps.ledger.items import attributes, text


class Charges:
    """The charges of a table."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    def find(self, charge_id: str) -> Charge | None:
        """The charge, consistently read. Raises `Unavailable` or `items.Corrupted`."""
        item = dynamo.item(self._client, self._table, _key(charge_id))
        return _charge_of(item) if item is not None else None

    def make(self, charge: Charge) -> Charge:
        """Writes the charge, or finds the one that its id has already. Raises `Unavailable` or
        `OutcomeUnknown`, after which it may simply be repeated."""
        values: dict[str, str | int | None] = {
            each.name: getattr(charge, each.name) for each in fields(charge)
        }
        try:
            dynamo.write(
                self._client.put_item,
                TableName=self._table,
                Item=_key(charge.charge_id) | attributes(values),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as failed:
            return _charge_of(failed.item or {})
        return charge


def take(table: str, charge_id: str, transfer_id: str) -> Action:
    """The write that makes a charge a transfer's own, if it is nobody's."""
    return _update(
        table,
        charge_id,
        transfer_id,
        "SET taken_by = :transfer",
        "attribute_exists(pk) AND attribute_not_exists(taken_by)",
    )


def give_back(table: str, charge_id: str, transfer_id: str) -> Action:
    """The write that lets a charge of the transfer be paid again."""
    return _update(table, charge_id, transfer_id, "REMOVE taken_by", "taken_by = :transfer")


def _update(table: str, charge_id: str, transfer_id: str, update: str, condition: str) -> Action:
    return {
        "Update": {
            "TableName": table,
            "Key": _key(charge_id),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":transfer": text(transfer_id)},
        }
    }


def _key(charge_id: str) -> dict[str, items.Attribute]:
    return items.key(f"CHARGE#{charge_id}", "CHARGE")


def _charge_of(item: dynamo.Item) -> Charge:
    with items.whole(item):
        return Charge(
            charge_id=item["charge_id"]["S"],
            subject=item["subject"]["S"],
            account_id=item["account_id"]["S"],
            amount_cents=int(item["amount_cents"]["N"]),
            description=item["description"]["S"] if "description" in item else None,
            created_at=item["created_at"]["S"],
            expires_at=item["expires_at"]["S"],
            request_hash=item["request_hash"]["S"],
            code=item["code"]["S"],
            taken_by=item["taken_by"]["S"] if "taken_by" in item else None,
        )

"""A table of the local environment, taken back to how it was: what a restore that caught less would give."""

from typing import Any

from environments.local.ministack import root_client
from environments.local.names import PREFIX
from tests.environment import Environment

Image = dict[tuple[str, str], Any]


def image(bank: Environment, table: str) -> Image:
    """Every item of a table."""
    client = root_client("dynamodb", bank.description["dynamodb_endpoint"])
    pages = client.get_paginator("scan").paginate(TableName=PREFIX + table, ConsistentRead=True)
    found = [item for page in pages for item in page["Items"]]
    return {(each["pk"]["S"], each["sk"]["S"]): each for each in found}


def take_back(bank: Environment, table: str, then: Image) -> None:
    """Gives a table the items that it had then, and no others. Leases stay: they say who relays now."""
    client = root_client("dynamodb", bank.description["dynamodb_endpoint"])
    now = image(bank, table)
    for key in {*then, *now}:
        if then.get(key) == now.get(key) or key[1] == "LEASE":
            continue
        if key in then:
            client.put_item(TableName=PREFIX + table, Item=then[key])
        else:
            place = {"pk": {"S": key[0]}, "sk": {"S": key[1]}}
            client.delete_item(TableName=PREFIX + table, Key=place)

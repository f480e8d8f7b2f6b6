"""Which accounts other banks mean, and who holds them: read from the account service's table, many at once.

Only the items that this needs are read; their form is the account service's, and a test reads here what that
service wrote.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from apps.kit import dynamo
from apps.kit.dynamo import Client, Item
from apps.pix import account_number
from apps.pix.spi import AccountType, Party

OUR_BRANCH = "0001"
"""What a bank means that names no branch: we have one."""

Place = tuple[str, str]
"""Branch and number of an account, as they stand here."""


@dataclass(frozen=True)
class Holding:
    """An account here with its holder, as other banks know them."""

    account_id: str
    party: Party


class AccountHolders:
    """The table `accounts`, read. `ispb` is our own."""

    def __init__(self, client: Client, table: str, ispb: str) -> None:
        self._client = client
        self._table = table
        self._ispb = ispb

    def named(self, parties: Iterable[Party]) -> Mapping[Place, Holding]:
        """The accounts that these name by branch and number, by `place_of`. Raises `Unavailable`."""
        places = {place for each in parties if (place := place_of(each)) is not None}
        numbers = self._read(_key(f"NUM#{branch}#{number}", "NUM") for branch, number in places)
        ids = {item["account"]["S"] for item in numbers}
        profiles = self._read(_key(f"ACC#{account_id}", "PROFILE") for account_id in ids)
        return {(item["branch"]["S"], item["number"]["S"]): self._holding(item) for item in profiles}

    def _holding(self, profile: Item) -> Holding:
        return Holding(
            account_id=profile["account_id"]["S"],
            party=Party(
                ispb=self._ispb,
                tax_id=profile["tax_id"]["S"],
                account=account_number.on_the_rail(profile["number"]["S"]),
                account_type=cast("AccountType", profile["account_type"]["S"]),
                branch=profile["branch"]["S"],
                name=profile["name"]["S"],
            ),
        )

    def _read(self, keys: Iterable[Item]) -> list[Item]:
        wanted = list(keys)
        if not wanted:
            return []
        return dynamo.read_together(self._client, {self._table: wanted})[self._table]


def place_of(party: Party) -> Place | None:
    """Branch and number that a party of an order names, as they stand here; `None` for none of ours."""
    number = account_number.shown(party.account)
    return None if number is None else ((party.branch or OUR_BRANCH).zfill(4), number)


def _key(partition: str, sort: str) -> Item:
    return {"pk": {"S": partition}, "sk": {"S": sort}}

"""Who holds an account, and which account has a number: read from the account service's table.

Only the items that this needs are read; their form is the account service's, and a test reads here what that
service wrote.
"""

from typing import cast

from apps.kit import dynamo
from apps.kit.dynamo import Client, Item
from apps.pix import account_number
from apps.pix.spi import AccountType, Party


class HeldAccounts:
    """The table `accounts`, read. `ispb` is our own."""

    def __init__(self, client: Client, table: str, ispb: str) -> None:
        self._client = client
        self._table = table
        self._ispb = ispb

    def party(self, account_id: str) -> Party | None:
        """The account and its holder as other banks know them. Raises `Unavailable`."""
        item = self._get(f"ACC#{account_id}", "PROFILE")
        if item is None:
            return None
        return Party(
            ispb=self._ispb,
            tax_id=item["tax_id"]["S"],
            account=account_number.on_the_rail(item["number"]["S"]),
            account_type=cast("AccountType", item["account_type"]["S"]),
            branch=item["branch"]["S"],
            name=item["name"]["S"],
        )

    def account_at(self, branch: str, number: str) -> str | None:
        """The id of the account with this branch and number, both as other banks write them. Raises
        `Unavailable`."""
        shown = account_number.shown(number)
        item = None if shown is None else self._get(f"NUM#{branch.zfill(4)}#{shown}", "NUM")
        return None if item is None else str(item["account"]["S"])

    def _get(self, partition: str, sort: str) -> Item | None:
        return dynamo.item(self._client, self._table, {"pk": {"S": partition}, "sk": {"S": sort}})

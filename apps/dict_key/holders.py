"""Who a caller is to the bank, and what their accounts are: read from the account service's table.

Only the items that this needs are read; their form is the account service's, and a test reads here what that
service wrote.
"""

from dataclasses import dataclass
from typing import cast

from apps.dict_key.entry import Account, AccountType, Owner
from apps.kit import dynamo
from apps.kit.dynamo import Client, Item
from apps.pix import account_number


@dataclass(frozen=True)
class Holding:
    """An account of ours with its holder."""

    account_id: str
    subject: str
    account: Account
    owner: Owner


class Holders:
    """The table `accounts`, read."""

    def __init__(self, client: Client, table: str, ispb: str) -> None:
        self._client = client
        self._table = table
        self._ispb = ispb

    def tax_id(self, subject: str) -> str | None:
        """The document that a subject is bound to; `None` before their first account."""
        item = self._get(f"SUB#{subject}", "BINDING")
        return None if item is None else str(item["tax_id"]["S"])

    def holding(self, account_id: str) -> Holding | None:
        """An account, if there is one."""
        item = self._get(f"ACC#{account_id}", "PROFILE")
        if item is None:
            return None
        return Holding(
            account_id=account_id,
            subject=item["owner"]["S"],
            account=Account(
                participant=self._ispb,
                branch=item["branch"]["S"],
                number=account_number.on_the_rail(item["number"]["S"]),
                account_type=cast("AccountType", item["account_type"]["S"]),
                opened_at=item["opened_at"]["S"],
            ),
            owner=Owner(item["tax_id"]["S"], item["name"]["S"]),
        )

    def _get(self, partition: str, sort: str) -> Item | None:
        return dynamo.item(self._client, self._table, {"pk": {"S": partition}, "sk": {"S": sort}})

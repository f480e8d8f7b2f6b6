"""Our customers' accounts as others may read them: found in the bank's own table, changed by nobody here."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from apps.kit import dynamo
from apps.kit.dynamo import Client, Item
from apps.ledger import items
from apps.ledger.account import Balance
from apps.ledger.entries import STATEMENT_KINDS, Entry
from apps.ledger.items import key, text
from apps.open_finance.holder.answers import money, stamp
from apps.open_finance.payment import BRASILIA

BRAND = "GO Banking"
COMPE = "990"
"""No number of the clearing house's list: this bank has none."""
TYPES = {"CACC": "CONTA_DEPOSITO_A_VISTA", "SVGS": "CONTA_POUPANCA", "TRAN": "CONTA_PAGAMENTO_PRE_PAGA"}


@dataclass(frozen=True)
class Held:
    """An account here. `number` has no check digit."""

    account_id: str
    owner: str
    tax_id: str
    kind: str
    branch: str
    number: str
    check_digit: str
    opened_at: str

    def listed(self, cnpj: str) -> dict[str, Any]:
        """The account in a list."""
        return {
            "brandName": BRAND,
            "companyCnpj": cnpj,
            "type": self.kind,
            "compeCode": COMPE,
            "branchCode": self.branch,
            "number": self.number,
            "checkDigit": self.check_digit,
            "accountId": self.account_id,
        }

    def described(self) -> dict[str, Any]:
        """The account alone."""
        return {
            "compeCode": COMPE,
            "branchCode": self.branch,
            "number": self.number,
            "checkDigit": self.check_digit,
            "type": self.kind,
            "subtype": "INDIVIDUAL",
            "currency": "BRL",
        }


class HeldAccounts:
    """The `accounts` table, read."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    def of(self, owner: str) -> list[Held]:
        """A login's accounts, oldest first. The index may lag behind an opening by moments."""
        pages = self._pages(
            IndexName="owner",
            KeyConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": text(owner)},
        )
        return [_held(item) for item in pages if item["sk"]["S"] == "PROFILE"]

    def find(self, account_id: str) -> Held | None:
        """An account, consistently read."""
        item = self._get(key(f"ACC#{account_id}", "PROFILE"))
        return _held(item) if item else None

    def balance(self, account_id: str) -> Balance:
        """What is on an account that there is."""
        item = self._get(items.balance_key(account_id))
        assert item is not None, "profile and balance are written in one transaction"
        return items.balance_of(item)

    def lines(
        self, held: Held, first: date, last: date, indicator: str | None, *, skip: int, limit: int
    ) -> tuple[list[Entry], bool]:
        """Debits and credits of these days of Brasília, newest first, after the first `skip`; and whether
        there are more."""
        found: list[Entry] = []
        for entry in self._entries(held, first, last):
            if entry.kind not in STATEMENT_KINDS or indicator not in {None, direction(entry)}:
                continue
            day = datetime.fromisoformat(entry.at).astimezone(BRASILIA).date()
            if not first <= day <= last:
                continue
            if len(found) == skip + limit:
                return found[skip:], True
            found.append(entry)
        return found[skip:], False

    def _entries(self, held: Held, first: date, last: date) -> Iterator[Entry]:
        """All entries of the months, in UTC, that these days can lie in; newest first."""
        opened = datetime.fromisoformat(held.opened_at).date()
        month = (last + timedelta(days=1)).replace(day=1)
        end = max(first, opened - timedelta(days=1)).replace(day=1)
        while month >= end:
            partition = items.entries_partition(held.account_id, f"{month:%Y%m}")
            yield from (
                items.entry_of(item)
                for item in self._pages(
                    KeyConditionExpression="pk = :pk",
                    ExpressionAttributeValues={":pk": text(partition)},
                    ScanIndexForward=False,
                    ConsistentRead=True,
                )
            )
            month = (month - timedelta(days=1)).replace(day=1)

    def _get(self, place: dict[str, items.Attribute]) -> Item | None:
        return dynamo.item(self._client, self._table, place)

    def _pages(self, **request: Any) -> Iterator[Item]:
        return dynamo.pages(self._client, self._table, **request)


def direction(entry: Entry) -> str:
    """Which way an entry's money went."""
    return "CREDITO" if entry.kind == "credit" else "DEBITO"


def balance_view(balance: Balance, now: datetime) -> dict[str, Any]:
    """`data` of an account's balance."""
    return {
        "availableAmount": money(balance.available),
        "blockedAmount": money(balance.on_hold),
        "automaticallyInvestedAmount": money(0),
        "updateDateTime": stamp(now),
    }


def transaction_view(entry: Entry) -> dict[str, Any]:
    """A booked transaction. The entry's place in the account never changes, so neither does its id."""
    at = datetime.fromisoformat(entry.at).astimezone(UTC)
    is_credit = entry.kind == "credit"
    return {
        "transactionId": f"{entry.account_id}-{entry.seq}",
        "completedAuthorisedPaymentType": "TRANSACAO_EFETIVADA",
        "creditDebitType": direction(entry),
        "transactionName": "Transferência recebida" if is_credit else "Transferência enviada",
        # An entry does not say by which rail its money went.
        "type": "OUTROS",
        "transactionAmount": money(abs(entry.delta_available + entry.delta_on_hold)),
        "transactionDateTime": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z",
    }


def _held(item: Item) -> Held:
    number, _, check_digit = item["number"]["S"].partition("-")
    return Held(
        account_id=item["account_id"]["S"],
        owner=item["owner"]["S"],
        tax_id=item["tax_id"]["S"],
        kind=TYPES[item["account_type"]["S"]],
        branch=item["branch"]["S"],
        number=number,
        check_digit=check_digit,
        opened_at=item["opened_at"]["S"],
    )

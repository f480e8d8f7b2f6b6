"""The three tables of the ledger as an outsider reads them: plain values, by the documented items alone.

Nothing here uses the product's own reading of its items, so that a mistake there is not made here again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from apps.ledger.entries import Entry

Item = Mapping[str, Mapping[str, Any]]
R = TypeVar("R")
OPEN_SHARDS = 4
SETTLEMENT = "settlement#"
INTERNAL_ITEMS = 8


@dataclass(frozen=True)
class Account:
    """A balance item. `internal` ones belong to the bank itself."""

    account_id: str
    seq: int
    available: int
    on_hold: int
    pending_credits: int
    last_hash: str
    frozen: bool

    @property
    def internal(self) -> bool:
        return "#" in self.account_id


@dataclass(frozen=True)
class Payment:
    """A transfer item, as far as it concerns money and events. `payment` says who pays whom of a Pix to or
    from another bank; `accepted_at` is there once the SPI may have its order."""

    transfer_id: str
    kind: str
    status: str
    payer: str
    payee: str
    amount_cents: int
    description: str | None
    event_id: str
    end_to_end_id: str | None
    payment: str | None
    accepted_at: str | None

    @property
    def outgoing(self) -> bool:
        """Whether it goes to another bank."""
        return self.payee.startswith(SETTLEMENT)

    @property
    def incoming(self) -> bool:
        """Whether it comes from another bank."""
        return self.payer.startswith(SETTLEMENT)


@dataclass(frozen=True)
class Sent:
    """A row of the event history: what Kafka took."""

    transfer_id: str
    event_id: str
    record: str

    @property
    def status(self) -> str:
        """The status that the event tells of, by its type's last word."""
        kinds = ("held", "sent", "accepted", "settled", "rejected")
        return next((kind.upper() for kind in kinds if f"br.gobanking.transfer.{kind}" in self.record), "?")


@dataclass
class Books:
    """All of it, read at one time."""

    accounts: dict[str, Account] = field(default_factory=dict)
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    history: list[Sent] = field(default_factory=list)
    waiting: int = 0
    """Rows of the outbox."""

    @classmethod
    def of(cls, accounts: Iterable[Item], transactions: Iterable[Item], events: Iterable[Item]) -> "Books":
        """The books that these items are."""
        books = cls()
        for item in accounts:
            if item["sk"]["S"] == "BAL":
                balance = _plain(item)
                account = Account(frozen="frozen" in item, **_named(Account, balance, without="frozen"))
                books.accounts[account.account_id] = account
            elif item["pk"]["S"].startswith("ENT#") and item["sk"]["S"].isdecimal():
                # Missing is what an entry says of no transfer; its hash covers that too.
                values = _plain(item)
                entry = Entry(**{each.name: values.get(each.name) for each in fields(Entry)})  # type: ignore[arg-type]
                books.entries.setdefault(item["pk"]["S"].split("#", 1)[1].rsplit("#", 1)[0], []).append(entry)
        for item in transactions:
            if item["sk"]["S"] == "TX" and "transfer_id" in item:
                payment = Payment(**_named(Payment, _plain(item)))
                books.payments[payment.transfer_id] = payment
        for item in events:
            books.waiting += item["pk"]["S"].startswith("OUT#")
            if item["pk"]["S"].startswith("HIS#"):
                books.history.append(Sent(**_named(Sent, _plain(item))))
        for entries in books.entries.values():
            entries.sort(key=lambda entry: entry.seq)
        return books


@dataclass(frozen=True)
class Tables:
    """The tables of a running environment, with the emulator's root keys."""

    client: Any
    prefix: str

    def books(self) -> Books:
        """Reads everything. Not one moment: for when nothing moves."""
        return Books.of(*(list(self.items(name)) for name in ("accounts", "transactions", "events")))

    def items(self, table: str) -> Iterator[Item]:
        """Every item of a table."""
        more: dict[str, Any] = {}
        while True:
            answer = self.client.scan(TableName=self.prefix + table, ConsistentRead=True, **more)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def waiting(self, shards: int = 1) -> list[str]:
        """The rows of the outbox, oldest first."""
        return [
            f"{item['transfer_id']['S']} since {item['sk']['S'].partition('#')[0]}"
            for shard in range(shards)
            for item in self._query("events", KeyConditionExpression="pk = :pk", pk=f"OUT#{shard}")
        ]

    def undecided(self) -> list[str]:
        """The transfers that are not decided, by the index that has only those."""
        return [
            f"{item['transfer_id']['S']} due {item['due_at']['S']}, {item['looks']['N']} looks"
            for shard in range(OPEN_SHARDS)
            for item in self._query(
                "transactions", KeyConditionExpression="open_shard = :pk", IndexName="open", pk=f"{shard}"
            )
        ]

    def balance_ids(self) -> list[str]:
        """Every account that has a balance, and the bank's own that get theirs with their first transfer."""
        found = [item["account_id"]["S"] for item in self.items("accounts") if item["sk"]["S"] == "BAL"]
        return list(dict.fromkeys([*found, *(f"{SETTLEMENT}{number}" for number in range(INTERNAL_ITEMS))]))

    def snapshot(self, account_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Available and on_hold of at most a hundred accounts at one moment; without those not there."""
        wanted = [
            {"Get": {"TableName": f"{self.prefix}accounts", "Key": _key(f"ACC#{each}", "BAL")}}
            for each in account_ids
        ]
        answer = self.client.transact_get_items(TransactItems=wanted)
        found = [response["Item"] for response in answer["Responses"] if response.get("Item")]
        return {
            item["account_id"]["S"]: (int(item["available"]["N"]), int(item["on_hold"]["N"]))
            for item in found
        }

    def change(self, table: str, pk: str, sk: str, **values: Any) -> None:
        """Writes into an item by hand, as nobody should."""
        self.client.update_item(
            TableName=self.prefix + table,
            Key=_key(pk, sk),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )

    def _query(self, table: str, *, pk: str, **query: Any) -> list[Item]:
        """The first page: enough to see whether there is any."""
        answer = self.client.query(
            TableName=self.prefix + table, ExpressionAttributeValues={":pk": {"S": pk}}, **query
        )
        return list(answer["Items"])


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _plain(item: Item) -> dict[str, Any]:
    return {
        name: int(value["N"]) if "N" in value else value["S"]
        for name, value in item.items()
        if "N" in value or "S" in value
    }


def _named(kind: type[Any], values: Mapping[str, Any], without: str = "") -> dict[str, Any]:
    return {each.name: values.get(each.name) for each in fields(kind) if each.name != without}

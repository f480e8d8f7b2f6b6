"""The fake DynamoDB in a world: calls take time, cross each other, fail, lose their replies and come late.

Two transactions on one item that are under way at once conflict, as DynamoDB's do; what a call finds when it
arrives, and who is first, is chance. The store also knows what nobody in the bank can know, such as the sum
of all money at each moment, and tells the world of every promise that is broken before its eyes.
"""

import marshal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from apps.ledger import items
from apps.ledger.account import is_internal
from apps.ledger.group import Action, place_of
from apps.ledger.items import Mark
from apps.ledger.store import Tables
from apps.ledger.transfer import Transfer
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.simulator.world import Killed, Process, World

TABLES = Tables("accounts", "transactions", "events")
SHARDS = 2
"""Of the outbox."""
READ_TIMEOUT = 2.0
LATE_SECONDS = 6.0
"""So much later at most a request that nobody waits for any more still arrives."""
WRITES = {"put_item", "update_item", "delete_item", "transact_write_items"}
Call = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Chances:
    """How probably a call meets each fault; zero everywhere is a calm world."""

    refused: float = 0.0
    """Throttling, or no connection: certainly not done."""
    failed: float = 0.0
    """An error of the server, before or after it was done."""
    lost: float = 0.0
    """The request or the reply is lost."""
    late: float = 0.0
    """The request arrives when nobody waits for it any more."""
    cancelled: float = 0.0
    """A conflict or throttling inside a transaction, for no visible reason."""
    stalled: float = 0.0
    """The process is stopped for a while, as by SIGSTOP."""
    killed: float = 0.0
    """The process is killed, before the call or after it."""


CALM = Chances()


@dataclass
class Store:
    """Tables that a whole bank shares. `made` says under which end-to-end id each transfer
    was made; `decided` hears of each transfer, by id, which status it has got."""

    world: World
    raw: FakeDynamo
    chances: Chances = CALM
    made: dict[str, str | None] = field(default_factory=dict)
    decided: Callable[[str, str], None] = lambda *_: None
    _under_way: dict[tuple[str, ...], str] = field(default_factory=dict)
    _payloads: dict[str, bytes] = field(default_factory=dict)
    _totals: dict[str, int] = field(default_factory=dict)

    def client(self, process: Process) -> Any:
        """The DynamoDB client of a process."""
        return _Client(self, process)

    # --- what only the simulator may see ------------------------------------------------------------

    def at(self, transfer_id: str) -> Transfer | Mark | None:
        """What stands at a transfer's id this moment."""
        rows = self.raw._rows[TABLES.transactions]
        return items.found_of(rows.get((f"TX#{transfer_id}", items.TRANSFER_SORT)))

    def status(self, transfer_id: str) -> str | None:
        """A transfer's status this moment."""
        item = self.raw._rows[TABLES.transactions].get((f"TX#{transfer_id}", items.TRANSFER_SORT))
        return item["status"]["S"] if item is not None and "status" in item else None

    def promised(self, account_id: str) -> bool:
        """Whether an account waits for money from another bank this moment."""
        item = self.raw._rows[TABLES.accounts].get((f"ACC#{account_id}", items.BALANCE_SORT))
        return item is not None and item["pending_credits"]["N"] != "0"

    def made_as(self, end_to_end_id: str) -> Transfer:
        """The transfer that was made under this id."""
        (transfer_id,) = (each for each, made in self.made.items() if made == end_to_end_id)
        found = self.at(transfer_id)
        assert isinstance(found, Transfer)
        return found

    @property
    def waiting(self) -> int:
        """How many events wait in the outbox."""
        kept = self.raw._rows[TABLES.events]._items
        return sum(len(rows) for partition, rows in kept.items() if partition.startswith("OUT#"))

    @property
    def undecided(self) -> int:
        """How many transfers are still held."""
        return sum(map(len, self.raw._rows[TABLES.transactions]._indexed["open"].values()))

    @property
    def searching(self) -> bool:
        """Whether somebody still looks for what the broker has lost."""
        rows = self.raw._rows[TABLES.events]
        leases = [rows.get((f"LEASE#{shard}", "LEASE")) for shard in range(SHARDS)]
        return any(each is not None and "search" in each for each in leases)

    # --- calls --------------------------------------------------------------------------------------

    def call(self, process: Process, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One call of a process, with what chance does to it."""
        self.world.step(operation)
        chances, chance = self.chances, self.world.chance
        if chances is not CALM:
            self._meet(process)

        def done() -> Mapping[str, Any]:
            if operation == "transact_write_items":
                return self._transacted(request, chances)
            return self._answered(operation, request)

        if chances is CALM:
            return done()
        drawn = chance.random()
        for probability, fault in (
            (chances.refused, self._refuse),
            (chances.failed, self._fail),
            (chances.lost, self._lose),
            (chances.late, self._come_late),
        ):
            if drawn < probability:
                return fault(operation, done)
            drawn -= probability
        answer = done()
        if operation in WRITES:
            self.world.step("reply")
            self._meet(process)
        return answer

    def _meet(self, process: Process) -> None:
        """A process may be stopped, or die, at any call."""
        chances, chance = self.chances, self.world.chance
        if chances.killed and chance.random() < chances.killed:
            self.world.kill(process)
            raise Killed
        if chances.stalled and chance.random() < chances.stalled:
            self.world.rest(chance.uniform(0.0, 15.0))

    def _refuse(self, operation: str, _: Call) -> Mapping[str, Any]:
        if self.world.chance.random() < 0.5:
            raise EndpointConnectionError(endpoint_url="http://dynamodb")
        raise _error(operation, "ThrottlingException", 400)

    def _fail(self, operation: str, done: Call) -> Mapping[str, Any]:
        if self.world.chance.random() < 0.5:
            done()
        raise _error(operation, "InternalServerError", 500)

    def _lose(self, _: str, done: Call) -> Mapping[str, Any]:
        if self.world.chance.random() < 0.7:
            done()
        self.world.rest(self.world.chance.uniform(0.0, READ_TIMEOUT))
        raise ReadTimeoutError(endpoint_url="http://dynamodb")

    def _come_late(self, operation: str, done: Call) -> Mapping[str, Any]:
        if operation in WRITES:

            def arrive() -> None:
                self.world.rest(self.world.chance.uniform(0.0, LATE_SECONDS))
                try:
                    done()
                except ClientError:
                    return

            self.world.spawn("network", arrive)
        self.world.rest(self.world.chance.uniform(0.0, READ_TIMEOUT))
        raise ReadTimeoutError(endpoint_url="http://dynamodb")

    def _answered(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation in WRITES and self._under_way:
            key = request["Key"] if "Key" in request else request["Item"]
            if (request["TableName"], key["pk"]["S"], key["sk"]["S"]) in self._under_way:
                raise _error(operation, "TransactionConflictException", 400)
        answer: Mapping[str, Any] = getattr(self.raw, operation)(**request)
        return answer

    def _transacted(self, request: Mapping[str, Any], chances: Chances) -> Mapping[str, Any]:
        """All or nothing, after a moment in which nobody else may write these items."""
        actions: Sequence[Action] = request["TransactItems"]
        token: str = request["ClientRequestToken"]
        if self._payloads.setdefault(token, payload := marshal.dumps(request["TransactItems"], 2)) != payload:
            self.world.violated(f"token {token} belongs to two payloads")
        places = [place_of(each) for each in actions]
        if self._under_way:
            if token in self._under_way.values():
                raise _error("TransactWriteItems", "TransactionInProgressException", 400)
            met = [place in self._under_way for place in places]
            if any(met):
                raise _cancelled(["TransactionConflict" if each else "None" for each in met])
        if chances.cancelled and self.world.chance.random() < chances.cancelled:
            reasons = ["None"] * len(actions)
            codes = ("TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded")
            reasons[self.world.chance.randrange(len(actions))] = self.world.chance.choice(codes)
            raise _cancelled(reasons)
        self._under_way |= dict.fromkeys(places, token)
        try:
            # Once it is under way the fate of whoever sent it does not matter to it.
            sender = self.world.current
            process, sender.process = sender.process, None
            try:
                self.world.step("under way")
            finally:
                sender.process = process
            known = token in self.raw._tokens
            self.raw.transact_write_items(**request)
        except ClientError as error:
            self._look_at_refusal(error)
            raise
        else:
            if not known:
                self._look_at(actions)
            return {}
        finally:
            for place in places:
                self._under_way.pop(place, None)

    # --- promises -----------------------------------------------------------------------------------

    def _look_at_refusal(self, error: ClientError) -> None:
        """No request of ours is one that DynamoDB never carries out."""
        response: Any = error.response
        codes = {
            response["Error"]["Code"],
            *(each["Code"] for each in response.get("CancellationReasons", ())),
        }
        if codes & {"ValidationException", "ValidationError"}:
            self.world.violated(f"a transaction that can never be done: {response['Error']['Message']}")

    def _look_at(self, actions: Sequence[Action]) -> None:
        """What has just been done left the sum at zero and nobody below."""
        money = False
        for action in actions:
            if "Put" in action:
                item = action["Put"]["Item"]
                if item["pk"]["S"].startswith("TX#"):
                    e2e = item["end_to_end_id"]["S"] if "end_to_end_id" in item else None
                    self.made.setdefault(item["transfer_id"]["S"], e2e)
            elif "Update" in action and action["Update"]["TableName"] == TABLES.accounts:
                values = action["Update"]["ExpressionAttributeValues"]
                account_id = values[":account_id"]["S"]
                available, on_hold = int(values[":available"]["N"]), int(values[":on_hold"]["N"])
                self._totals[account_id] = available + on_hold
                money = True
                if on_hold < 0 or (available < 0 and not is_internal(account_id)):
                    self.world.violated(f"{account_id} has {available} available and {on_hold} on hold")
            elif "Update" in action and ":status" in action["Update"]["ExpressionAttributeValues"]:
                update = action["Update"]
                transfer_id = update["Key"]["pk"]["S"].removeprefix("TX#")
                self.decided(transfer_id, update["ExpressionAttributeValues"][":status"]["S"])
        if money and sum(self._totals.values()) != 0:
            self.world.violated(f"the sum of all accounts is {sum(self._totals.values())}")

    def know_totals(self) -> None:
        """Takes what stands as the beginning."""
        for rows in self.raw._rows[TABLES.accounts]._items.values():
            if items.BALANCE_SORT in rows:
                balance = items.balance_of(rows[items.BALANCE_SORT])
                self._totals[balance.account_id] = balance.total


class _Client:
    """What a process calls DynamoDB by."""

    def __init__(self, store: Store, process: Process) -> None:
        self._store = store
        self._process = process

    def __getattr__(self, operation: str) -> Callable[..., Mapping[str, Any]]:
        return lambda **request: self._store.call(self._process, operation, request)


def copied(raw: FakeDynamo, clock: Callable[[], float]) -> FakeDynamo:
    """Tables of their own with the same items in them. Items are never changed, only replaced."""
    copy = FakeDynamo(catalog_tables(""), clock, check=lambda *_: None)
    for name, rows in raw._rows.items():
        copy._rows[name]._items = {partition: dict(each) for partition, each in rows._items.items()}
        copy._rows[name]._indexed = {
            index: {partition: dict(each) for partition, each in kept.items()}
            for index, kept in rows._indexed.items()
        }
    return copy


def _error(operation: str, code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


def _cancelled(codes: Sequence[str]) -> ClientError:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        "CancellationReasons": [{"Code": each} for each in codes],
    }
    return ClientError(response, "TransactWriteItems")

"""The DynamoDB client of a process, and what can become of a call: three outcomes with three names.

A call either answered, was refused by a condition (`Cancelled`), certainly did nothing (`Unavailable`),
or may or may not have happened (`OutcomeUnknown`). Only the caller knows which of them may be repeated,
so nothing here hides one behind another.
"""

import hashlib
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
)

MAX_CONNECTIONS = 40
"""As many as FastAPI has threads (anyio's default), so that no call waits for a connection."""
_TOKENS = uuid.UUID("5f6c0d4e-6a53-5a3e-9a4e-6d0f5b1f6a01")

Item = Mapping[str, Mapping[str, Any]]
"""An item in DynamoDB's own shape: `{"seq": {"N": "4"}}`."""


class Client(Protocol):
    """The part of boto3's DynamoDB client that the bank uses."""

    def get_item(self, **request: Any) -> Mapping[str, Any]: ...

    def batch_get_item(self, **request: Any) -> Mapping[str, Any]: ...

    def put_item(self, **request: Any) -> Mapping[str, Any]: ...

    def update_item(self, **request: Any) -> Mapping[str, Any]: ...

    def delete_item(self, **request: Any) -> Mapping[str, Any]: ...

    def query(self, **request: Any) -> Mapping[str, Any]: ...

    def scan(self, **request: Any) -> Mapping[str, Any]: ...

    def describe_table(self, **request: Any) -> Mapping[str, Any]: ...

    def transact_write_items(self, **request: Any) -> Mapping[str, Any]: ...


class Unavailable(Exception):  # noqa: N818
    """DynamoDB could not answer a read, or certainly did not do a write. Try again later."""


class OutcomeUnknown(Exception):  # noqa: N818
    """A write was sent and its reply is missing: it may stand, or not."""


class Undecidable(OutcomeUnknown):
    """A mistake of ours after a send without a reply: no other send will tell what became of that one."""


@dataclass(frozen=True)
class Reason:
    """Why one action of a transaction failed: DynamoDB's code, and the old item where it was asked for."""

    code: str
    item: Item | None = None


class Cancelled(Exception):  # noqa: N818
    """A transaction did nothing. `reasons` are in the order of its actions; code `None` is 'not this one'.

    `after_unknown` says that an earlier send of the same bytes got no reply: that one may still stand.
    """

    def __init__(self, reasons: Sequence[Reason], *, after_unknown: bool = False) -> None:
        super().__init__(", ".join(reason.code for reason in reasons))
        self.reasons = tuple(reasons)
        self.after_unknown = after_unknown

    @property
    def only_contention(self) -> bool:
        """No condition failed: the same transaction may pass a moment later."""
        return all(reason.code in _CONTENTION for reason in self.reasons)

    @property
    def repeatable(self) -> bool:
        """Only conditions and contention: a new attempt may pass. Anything else is a mistake of ours."""
        return all(reason.code in _CONTENTION | {_CONDITION} for reason in self.reasons)

    def failed(self, index: int) -> bool:
        """Whether the condition of action `index` failed. Some cancellations tell no reasons."""
        return index < len(self.reasons) and self.reasons[index].code == _CONDITION


class ConditionFailed(Exception):  # noqa: N818
    """A single write was refused by its condition. `item` is the old item where it was asked for."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("condition failed")
        self.item = item


_CONDITION = "ConditionalCheckFailed"
_CONTENTION = {
    "None",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
}
_NOT_DONE = {
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "TransactionConflictException",
}
_UNKNOWN = {
    "InternalServerError",
    "ServiceUnavailable",
    "TransactionInProgressException",
    # A token can also be remembered for a transaction whose reply was lost: a mismatch decides nothing.
    "IdempotentParameterMismatchException",
}
_NEVER_SENT = (ConnectTimeoutError, CredentialRetrievalError, EndpointConnectionError, NoCredentialsError)
_READ_TRIES = 3


def connect(region: str, endpoint: str | None = None) -> Client:
    """The process's DynamoDB client. Credentials come from boto3's own chain (Pod Identity on AWS)."""
    client: Any = boto3.session.Session().client(
        "dynamodb",
        region_name=region,
        endpoint_url=endpoint,
        config=Config(
            connect_timeout=1,
            read_timeout=2,
            # One send per call. A retry inside boto3 would hide that an earlier send of a write may stand:
            # its lost reply would come out as the throttling or the failed condition of the second send.
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=MAX_CONNECTIONS,
            tcp_keepalive=True,
            # Together a tenth of a transfer's time here: DynamoDB checks parameters itself, an account id in
            # the endpoint asks the credentials twice a call, and the agent's name is composed for each.
            parameter_validation=False,
            account_id_endpoint_mode="disabled",
            user_agent="gobanking",
        ),
    )
    made: Client = client
    return made


def token(actions: Sequence[Mapping[str, Any]]) -> str:
    """The client request token that belongs to exactly this payload: UUIDv5 of its SHA-256."""
    payload = json.dumps(actions, sort_keys=True, separators=(",", ":"))
    return str(uuid.uuid5(_TOKENS, hashlib.sha256(payload.encode()).hexdigest()))


@dataclass(frozen=True)
class Deadline:
    """A point on the monotonic clock after which no further try starts."""

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """A deadline `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return self.clock() >= self.at


def pause(attempt: int, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Full jitter: up to 15 ms doubling with each attempt, at most half a second."""
    sleep(random.uniform(0, min(0.5, 0.015 * 2**attempt)))  # noqa: S311 (jitter, not a secret)


def transact(client: Client, actions: Sequence[Mapping[str, Any]], deadline: Deadline) -> None:
    """Writes all `actions` or none, repeating the identical bytes under their own token while the outcome
    is unknown and the deadline has not passed.

    Raises `Cancelled` (nothing was written), `Unavailable` (nothing was ever accepted for certain) or
    `OutcomeUnknown`; and a mistake of ours as itself, unless an earlier send may stand.
    """
    sending = Sending(client, actions)
    attempt = 0
    while True:
        try:
            sending.send()
        except Undecidable:
            raise
        except (Unavailable, OutcomeUnknown):
            if not deadline.passed:
                pause(attempt)
                attempt += 1
            if deadline.passed:
                raise
        else:
            return


class Sending:
    """The sends of one transaction: identical bytes under their own token, however often."""

    def __init__(self, client: Client, actions: Sequence[Mapping[str, Any]]) -> None:
        self._client = client
        self._request = {"TransactItems": list(actions), "ClientRequestToken": token(actions)}
        self.unknown = False
        """Whether an earlier send got no reply: it may stand."""

    def send(self) -> None:
        """Sends once. Raises as `transact` does; `Unavailable` and `OutcomeUnknown` may be followed by the
        same again."""
        try:
            self._client.transact_write_items(**self._request)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and _code(error) == "TransactionCanceledException":
                raise Cancelled(_reasons(error), after_unknown=self.unknown) from error
            fate = _fate(error)
            self.unknown = self.unknown or fate == "unknown"
            if fate == "mistake":
                if self.unknown:
                    raise Undecidable from error
                raise
            raise (OutcomeUnknown if self.unknown else Unavailable) from error


def read(call: Callable[..., Mapping[str, Any]], **request: Any) -> Mapping[str, Any]:
    """Calls a read, up to three times; `Unavailable` when DynamoDB does not answer."""
    for attempt in range(_READ_TRIES):
        if attempt:
            pause(attempt)
        try:
            return call(**request)
        except (ClientError, BotoCoreError) as error:
            if _fate(error) == "mistake":
                raise
            last = error
    raise Unavailable(type(last).__name__) from last


def item(client: Client, table: str, place: Item) -> Item | None:
    """The item at a primary key, consistently read, if there is one. Raises `Unavailable`."""
    found: Item | None = read(client.get_item, TableName=table, Key=place, ConsistentRead=True).get("Item")
    return found


def pages(client: Client, table: str, **query: Any) -> Iterator[Item]:
    """All items that a query finds; a page is read once it is needed. Raises `Unavailable`."""
    more: dict[str, Any] = {}
    while True:
        answer = read(client.query, TableName=table, **query, **more)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def read_together(client: Client, keys: Mapping[str, Sequence[Item]]) -> dict[str, list[Item]]:
    """The items at these primary keys, by table, each consistently read; what is not there is left out.

    One call for all, not one moment for all: conditions guard whoever writes by what this gives. Raises
    `Unavailable`.
    """
    found: dict[str, list[Item]] = {table: [] for table in keys}
    wanted: Mapping[str, Any] = {
        table: {"Keys": list(each), "ConsistentRead": True} for table, each in keys.items() if each
    }
    for attempt in range(_READ_TRIES):
        if attempt:
            pause(attempt)
        answer = read(client.batch_get_item, RequestItems=wanted)
        for table, items in answer["Responses"].items():
            found[table] += items
        wanted = answer.get("UnprocessedKeys") or {}
        if not wanted:
            return found
    raise Unavailable("UnprocessedKeys")


def write(call: Callable[..., Mapping[str, Any]], **request: Any) -> Mapping[str, Any]:
    """Calls one conditional write. Raises `ConditionFailed`, `Unavailable` or `OutcomeUnknown`."""
    try:
        return call(**request)
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and _code(error) == "ConditionalCheckFailedException":
            raise ConditionFailed(_old_item(error)) from error
        fate = _fate(error)
        if fate == "mistake":
            raise
        raise (Unavailable if fate == "not done" else OutcomeUnknown)(type(error).__name__) from error


def put(
    client: Client,
    table: str,
    written: Item,
    condition: str | None = None,
    *,
    names: Mapping[str, str] | None = None,
    values: Item | None = None,
) -> None:
    """Puts one item, under a condition if one is given. Raises as `write` does."""
    more: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
    if names:
        more["ExpressionAttributeNames"] = names
    if values:
        more["ExpressionAttributeValues"] = values
    write(client.put_item, TableName=table, Item=written, **more)


class TableCheck:
    """A readiness check: the table exists and answers, asked at most every ten seconds."""

    SECONDS = 10

    def __init__(self, client: Client, table: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._good_until = float("-inf")

    def __call__(self) -> None:
        """Raises `Unavailable` or boto3's `ClientError` when the table does not answer."""
        if self._clock() < self._good_until:
            return
        read(self._client.describe_table, TableName=self._table)
        self._good_until = self._clock() + self.SECONDS


def _fate(error: ClientError | BotoCoreError) -> Literal["not done", "unknown", "mistake"]:
    """What became of a call that failed. A mistake (access denied, not valid) was refused before anything
    was done, and no retry mends it."""
    if isinstance(error, ClientError):
        code = _code(error)
        if code in _UNKNOWN or _status(error) >= 500:
            return "unknown"
        return "not done" if code in _NOT_DONE else "mistake"
    if isinstance(error, _NEVER_SENT):
        return "not done"
    return "unknown"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _reasons(error: ClientError) -> list[Reason]:
    answer: Mapping[str, Any] = error.response
    return [
        Reason(each.get("Code", "None"), each.get("Item")) for each in answer.get("CancellationReasons", [])
    ]


def _old_item(error: ClientError) -> Item | None:
    answer: Mapping[str, Any] = error.response
    return answer.get("Item")

"""A DynamoDB client that loses replies, refuses and conflicts on demand, around any other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

Fault = Callable[[str, Callable[[], Mapping[str, Any]]], Mapping[str, Any]]
"""Gets an operation's name and the real call, and does with it what it likes."""


@dataclass
class Faulty:
    """A DynamoDB client whose next calls go through the faults in `faults`, one each."""

    client: Any
    operation: str = "transact_write_items"
    faults: list[Fault] = field(default_factory=list)
    seen: list[Mapping[str, Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., Mapping[str, Any]]:
        call: Callable[..., Mapping[str, Any]] = getattr(self.client, name)
        if name != self.operation:
            return call

        def faulty(**request: Any) -> Mapping[str, Any]:
            self.seen.append(request)
            if self.faults:
                return self.faults.pop(0)(name, lambda: call(**request))
            return call(**request)

        return faulty


def lose_reply(_: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Does it, and the answer never arrives."""
    call()
    raise ReadTimeoutError(endpoint_url="http://127.0.0.1")


def lose_request(_: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Does nothing, and looks just the same from outside."""
    raise ReadTimeoutError(endpoint_url="http://127.0.0.1")


def refuse(code: str, status: int = 400) -> Fault:
    """DynamoDB answers with this error and does nothing."""

    def fault(name: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        raise ClientError(
            {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
            name,
        )

    return fault


def cancel(*reasons: str) -> Fault:
    """The transaction is cancelled with these reasons, one for each of its first actions."""

    def fault(name: str, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        raise ClientError(
            {
                "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
                "ResponseMetadata": {"HTTPStatusCode": 400},  # type: ignore[typeddict-item]
                "CancellationReasons": [{"Code": reason} for reason in reasons],
            },
            name,
        )

    return fault


conflict = cancel("TransactionConflict", "None")
"""Another transaction has one of the items."""

"""Writes down which item action each service asks DynamoDB for, on which table or index."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.client import BaseClient

TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def install(service: str) -> None:
    """Records the calls of this process from now on, one line each."""
    # The service's own environment says nothing of tests; where its output goes says where to write.
    records = Path("/proc/self/fd/1").readlink().parents[1] / f"{service}.calls"
    original = BaseClient._make_api_call  # type: ignore[attr-defined]
    written: set[str] = set()

    def recorded(client: Any, operation: str, request: Mapping[str, Any]) -> Any:
        if client.meta.service_model.service_name == "dynamodb":
            for line in set(actions(operation, request)) - written:
                written.add(line)
                with records.open("a") as file:
                    file.write(line + "\n")
        return original(client, operation, request)

    BaseClient._make_api_call = recorded  # type: ignore[attr-defined]


def actions(operation: str, request: Mapping[str, Any]) -> Iterator[str]:
    """The item actions of one call, as IAM sees them: `table action` or `table/index action`."""
    if operation == "TransactWriteItems":
        for action in request["TransactItems"]:
            for kind, content in action.items():
                yield f"{content['TableName']} {TRANSACTION[kind]}"
    elif operation == "BatchGetItem":
        for table in request["RequestItems"]:
            yield f"{table} BatchGetItem"
    elif "IndexName" in request:
        yield f"{request['TableName']}/{request['IndexName']} {operation}"
    else:
        yield f"{request['TableName']} {operation}"

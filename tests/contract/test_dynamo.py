"""The fake DynamoDB and an emulator give the same answers, call for call, so that tests on the fake count."""

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.contract.dynamo_cases import CASES, Case
from tests.contract.ministack import Store


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.promise)
def test_fake_and_emulator_answer_the_same(case: Case, emulated: Store, faked: Store) -> None:
    real = [_answer(emulated, *call) for call in case.calls]
    assert [_answer(faked, *call) for call in case.calls] == real
    assert _short(real[-1]) == case.comes_to


def _answer(store: Store, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """What a call came to, without what differs from one store to the next."""
    names = {name: getattr(store.tables, name) for name in ("accounts", "transactions", "events")}
    try:
        answer = getattr(store.client, operation)(**_named(request, names))
    except ParamValidationError:
        return {"error": "ParamValidationError"}
    except ClientError as error:
        response: Any = error.response
        reasons = [_reason(each) for each in response.get("CancellationReasons", [])]
        status = response["ResponseMetadata"]["HTTPStatusCode"]
        return {
            "error": response["Error"]["Code"],
            "item": response.get("Item"),
            "reasons": reasons,
            "status": status,
        }
    if "Responses" in answer:
        # In any order: DynamoDB promises none.
        return {name: sorted(answer["Responses"].get(names[name], []), key=str) for name in names}
    if operation == "scan" and "Items" in answer:
        return {**answer, "ResponseMetadata": None, "Items": sorted(answer["Items"], key=str)}
    return {**answer, "ResponseMetadata": None}


def _named(request: Any, names: Mapping[str, str]) -> Any:
    """The request with the store's own table names."""
    if isinstance(request, list):
        return [_named(each, names) for each in request]
    if not isinstance(request, dict):
        return request
    named = {name: _named(value, names) for name, value in request.items()}
    if "TableName" in named:
        named["TableName"] = names.get(named["TableName"], named["TableName"])
    if "RequestItems" in named:
        named["RequestItems"] = {names[name]: each for name, each in named["RequestItems"].items()}
    return named


def _reason(reason: Mapping[str, Any]) -> Any:
    return (reason["Code"], reason["Item"]) if "Item" in reason else reason["Code"]


def _short(answer: Mapping[str, Any]) -> object:
    """The part of an answer that the case is about."""
    if "error" in answer:
        more = answer.get("reasons") or answer.get("item")
        return (answer["error"], more) if more else answer["error"]
    if "Items" in answer:
        return [each["sk"]["S"] if each["sk"]["S"] != "s" else each["pk"]["S"] for each in answer["Items"]]
    if "Count" in answer:
        return answer["Count"]
    if "Item" in answer or "ResponseMetadata" in answer:
        return answer.get("Item")
    return {name: found for name, found in answer.items() if found}

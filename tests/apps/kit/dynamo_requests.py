"""Requests as boto3 would send them, checked by boto3's own model of the service."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import ParamValidationError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

NOT_FAKED = {
    "AttributesToGet",
    "AttributeUpdates",
    "ConditionalOperator",
    "Expected",
    "KeyConditions",
    "QueryFilter",
    "ReturnConsumedCapacity",
    "ReturnItemCollectionMetrics",
    "ReturnValues",
    "ScanFilter",
    "Segment",
    "TotalSegments",
}


def check_sendable(operation: str, request: Mapping[str, Any]) -> None:
    """Raises `ParamValidationError` where boto3 would, `AssertionError` for what the fake does not know."""
    shape = _service().operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())
    assert not NOT_FAKED & set(request), f"the fake does not know {NOT_FAKED & set(request)}"


@cache
def _service() -> ServiceModel:
    return botocore.session.Session().get_service_model("dynamodb")

"""What AWS still has of a preview."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from environments.preview.remains import CannotTell, remains


class Tagging:
    """The tagging API with two pages, or with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked = error, list[Any]()

    def client(self, service: str, **options: Any) -> "Tagging":
        self.asked.append((service, options))
        return self

    def get_paginator(self, operation: str) -> "Tagging":
        self.asked.append(operation)
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(asked["TagFilters"])
        if self.error is not None:
            raise self.error
        for arn in ("arn:b", "arn:a"):
            yield {"ResourceTagMappingList": [{"ResourceARN": arn}]}


def test_all_pages_of_what_carries_the_stacks_tag_are_listed() -> None:
    api = Tagging()
    assert remains("pr-x-0a1b2c", "sa-east-1", api.client) == ["arn:a", "arn:b"]
    assert api.asked == [
        ("resourcegroupstaggingapi", {"region_name": "sa-east-1"}),
        "get_resources",
        [{"Key": "gobanking:stack", "Values": ["pr-x-0a1b2c"]}],
    ]


@pytest.mark.parametrize(
    "error",
    [NoCredentialsError(), ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetResources")],
    ids=["no credentials", "not allowed"],
)
def test_when_aws_does_not_answer_it_is_said(error: Exception) -> None:
    with pytest.raises(CannotTell, match="what is left of pr-x-0a1b2c"):
        remains("pr-x-0a1b2c", "sa-east-1", Tagging(error).client)

"""What AWS still has of a preview: asked by the tag that everything of a stack carries."""

from collections.abc import Callable, Sequence
from typing import Any

TAG = "gobanking:stack"


class CannotTell(Exception):  # noqa: N818
    """AWS was not asked, or did not answer. The message says why."""


def remains(stack: str, region: str, client: Callable[..., Any] | None = None) -> Sequence[str]:
    """ARNs of what the tagging API lists. IAM is not in it. Raises `CannotTell`.

    It may still list for some minutes what is gone.
    """
    import boto3  # noqa: PLC0415 (slow to import)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        api = (client or boto3.client)("resourcegroupstaggingapi", region_name=region or None)
        pages = api.get_paginator("get_resources").paginate(
            TagFilters=[{"Key": TAG, "Values": [stack]}], ResourcesPerPage=100
        )
        return sorted(each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"])
    except (BotoCoreError, ClientError) as error:
        raise CannotTell(f"AWS cannot be asked what is left of {stack}: {error}") from None

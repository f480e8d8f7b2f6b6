"""The user pool's public keys for a service that must not reach the pool: one item in the table `accounts`.

`dict_key` may open connections to the DICT and to AWS's data services and to nothing else, so it cannot ask
Cognito for the keys that tokens are verified with. The account service can: each time it has read them it
leaves them in an item, and `dict_key` reads that item wherever another service reads the pool. Who may write
the item is decided by IAM (those who write accounts, and could move the money anyway); no caller hands over
keys of its own, and a rotation reaches `dict_key` as soon as the account service has seen it.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from apps.kit import dynamo
from apps.kit.dynamo import Client, Unavailable
from apps.kit.tokens import fetch_json

_PLACE = {"pk": {"S": "POOL"}, "sk": {"S": "JWKS"}}

_log = logging.getLogger(__name__)

Fetch = Callable[[str], Mapping[str, Any]]


def publishing(client: Client, table: str, fetch: Fetch = fetch_json) -> Fetch:
    """A `fetch` for `Verifier` that also leaves what it read for those who cannot read it."""

    def fetched(url: str) -> Mapping[str, Any]:
        document = fetch(url)
        if document["keys"]:
            try:
                client.put_item(
                    TableName=table,
                    Item={**_PLACE, "document": {"S": json.dumps(document)}, "url": {"S": url}},
                )
            except (ClientError, BotoCoreError) as error:
                # The keys are good here all the same; the next reading leaves them again.
                _log.warning("the pool's keys were not published", extra={"error": type(error).__name__})
        return document

    return fetched


def published(client: Client, table: str) -> Fetch:
    """A `fetch` for `Verifier` that reads what `publishing` left for the same URL. Raises `Unavailable`."""

    def fetched(url: str) -> Mapping[str, Any]:
        item = dynamo.item(client, table, _PLACE)
        if item is None or item["url"]["S"] != url:
            raise Unavailable("nobody has published the pool's keys")
        document: Mapping[str, Any] = json.loads(item["document"]["S"])
        return document

    return fetched

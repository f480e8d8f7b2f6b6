"""Gives tokens back for look-ups whose payment was sent: to the payer's bucket and to the bank's.

One transaction puts the mark `refund#<end-to-end id>` if it is absent and raises the buckets, so that an
event that comes twice gives back once. A payment whose key was not looked up at the DICT (an own key, a
cached one, an account typed by hand) has no look-up to refund: nothing is written. Nothing else in `keys` is
touched.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from apps.consumers.process import working
from apps.kit import dynamo, settings
from apps.kit.dynamo import Cancelled, Client, Deadline, Item, OutcomeUnknown, TableCheck, Unavailable
from apps.kit.events import Event
from apps.kit.kafka import Producer
from apps.kit.settings import KafkaSettings, ServiceSettings
from apps.kit.worker import Poison, TryAgain, Worker
from apps.ledger.transfer import ACCEPTED, EVENT_VERSION, HELD, REJECTED, SENT, SETTLED
from apps.pix import lookup_tokens

SECONDS = 5
REST_SECONDS = 0.5
"""A bucket that is raised half a second later is noticed by nobody, and most events are not for this."""
MARK_SECONDS = 30 * 24 * 3600
"""Longer than the topic keeps an event, and than the look-up itself is remembered."""


class RefundSettings(ServiceSettings, KafkaSettings):
    """What this worker reads from its environment."""

    dynamodb_endpoint: str | None = None
    table_keys: str


@dataclass(frozen=True)
class _Credit:
    """What one bucket gets: `tokens`, up to its `capacity`."""

    place: str
    tokens: int
    capacity: int


class Refunds:
    """Handles the events of transfers. `now` gives epoch seconds."""

    def __init__(self, client: Client, table: str, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._now = now

    def handlers(self) -> dict[str, tuple[int, Callable[[Event], None]]]:
        """What to do with each type of event, up to which version."""
        return {SENT: (EVENT_VERSION, self.refund)}

    def skips(self) -> dict[str, int]:
        """The types of event that give nothing back, up to which version."""
        return dict.fromkeys((HELD, ACCEPTED, SETTLED, REJECTED), EVENT_VERSION)

    def refund(self, event: Event) -> None:
        """Gives the look-up's tokens back, once. Raises `TryAgain` or `Poison`."""
        end_to_end_id = event.data.get("end_to_end_id")
        if not isinstance(end_to_end_id, str) or not end_to_end_id:
            raise Poison("end_to_end_id is missing or no text")
        try:
            lookup = self._get(lookup_tokens.lookup_partition(end_to_end_id), lookup_tokens.LOOKUP_SORT)
            if lookup is not None:
                self._give_back(end_to_end_id, _credits(lookup))
        except (Unavailable, OutcomeUnknown) as error:
            raise TryAgain(type(error).__name__) from error

    def _give_back(self, end_to_end_id: str, credits_: tuple[_Credit, ...]) -> None:
        deadline = Deadline.after(SECONDS)
        attempt = 0
        while True:
            actions = [self._mark(end_to_end_id)]
            actions += [action for each in credits_ if (action := self._raised(each)) is not None]
            try:
                dynamo.transact(self._client, actions, deadline)
            except Cancelled as cancelled:
                if not cancelled.repeatable:
                    raise
                if cancelled.failed(0):
                    # Given back before, by an event that came twice or by a send whose reply was lost.
                    return
                if deadline.passed:
                    raise TryAgain("contention") from cancelled
                dynamo.pause(attempt)
                attempt += 1
            else:
                return

    def _raised(self, credit: _Credit) -> dict[str, Any] | None:
        """What raises one bucket: by what it gets, or to the brim. None for a bucket that is full already.

        The item may be behind its refill; adding first and refilling later comes to the same, since both end
        at the capacity.
        """
        bucket = self._get(credit.place, lookup_tokens.BUCKET_SORT)
        if bucket is None or int(bucket["tokens"]["N"]) >= credit.capacity:
            return None
        values = {":room": {"N": str(credit.capacity - credit.tokens)}}
        if int(bucket["tokens"]["N"]) <= credit.capacity - credit.tokens:
            change, condition = "SET tokens = tokens + :more", "tokens <= :room"
            values[":more"] = {"N": str(credit.tokens)}
        else:
            change, condition = "SET tokens = :full", "tokens > :room AND tokens < :full"
            values[":full"] = {"N": str(credit.capacity)}
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(credit.place, lookup_tokens.BUCKET_SORT),
                "UpdateExpression": change,
                "ConditionExpression": condition,
                "ExpressionAttributeValues": values,
            }
        }

    def _mark(self, end_to_end_id: str) -> dict[str, Any]:
        item = _key(lookup_tokens.refund_partition(end_to_end_id), lookup_tokens.REFUND_SORT)
        ttl = {"ttl": {"N": str(int(self._now()) + MARK_SECONDS)}}
        return {
            "Put": {
                "TableName": self._table,
                "Item": item | ttl,
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }

    def _get(self, partition: str, sort: str) -> Item | None:
        return dynamo.item(self._client, self._table, _key(partition, sort))


def _credits(lookup: Item) -> tuple[_Credit, ...]:
    return (
        _Credit(
            lookup["user_bucket"]["S"], int(lookup["user_credit"]["N"]), int(lookup["user_capacity"]["N"])
        ),
        _Credit(
            lookup["participant_bucket"]["S"],
            lookup_tokens.PARTICIPANT_CREDIT,
            int(lookup["participant_capacity"]["N"]),
        ),
    )


def _key(partition: str, sort: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def main() -> None:
    """Gives back until told to stop."""
    config = settings.read(RefundSettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    refunds = Refunds(client, config.table_keys)
    joined: list[Callable[[], None]] = []

    def member() -> None:
        for check in joined:
            check()

    ready: list[Callable[[], None]] = [TableCheck(client, config.table_keys), member]
    with closing(Producer(config)) as producer, working(config, ready) as (stop, beat):
        worker = Worker(
            config,
            refunds.handlers(),
            producer,
            beat,
            skips=refunds.skips(),
            rest_seconds=REST_SECONDS,
        )
        joined.append(worker.ready)
        worker.run(stop)


if __name__ == "__main__":
    settings.run(main)

"""Token buckets in the table `keys`: a look-up takes a token of the payer's and one of the bank's before it
leaves, and the rest when its outcome is known. So many look-ups at once cannot share the last token.

A take is one conditional update, without reading, as long as the bucket's period lasts: all look-ups of the
bank write the same item, and must not collide on it. Whoever finds the period over refills it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apps.kit import dynamo
from apps.kit.dynamo import Client, ConditionFailed, Item, OutcomeUnknown, Unavailable
from apps.pix import lookup_tokens
from apps.pix.keys import KeyType
from apps.pix.lookup_tokens import Bucket, Category, Policy

TRIES = 12
WRITE_TRIES = 5
KEEP_SECONDS = 24 * 3600
"""A bucket that nobody used for so long is full again, and its item may end."""


class Exhausted(Exception):  # noqa: N818
    """There is no token. `of_user` says whose bucket it is; `retry_after` when there will be one, in
    seconds."""

    def __init__(self, retry_after: int, *, of_user: bool) -> None:
        super().__init__("exhausted")
        self.retry_after = retry_after
        self.of_user = of_user


@dataclass(frozen=True)
class Spending:
    """The tokens that one look-up took."""

    payer: str
    user: Policy
    participant: Policy

    @property
    def user_place(self) -> str:
        """The partition of the payer's bucket."""
        return lookup_tokens.user_bucket(self.user, self.payer)

    @property
    def participant_place(self) -> str:
        """The partition of the bank's bucket."""
        return lookup_tokens.participant_bucket(self.participant)


class Budget:
    """All buckets. `now` gives epoch seconds."""

    def __init__(
        self, client: Client, table: str, category: Category, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._table = table
        self._participant = lookup_tokens.participant_policy(category)
        self._now = now

    def admit(self, key_type: KeyType, payer: str) -> Spending:
        """Takes a token of the payer's and one of the bank's. Raises `Exhausted` or `Unavailable`."""
        spending = Spending(payer, lookup_tokens.user_policy(key_type, payer), self._participant)
        self._take(spending.user_place, spending.user, of_user=True)
        try:
            self._take(spending.participant_place, spending.participant, of_user=False)
        except Exhausted:
            self._change(spending.user_place, lookup_tokens.HIT_COST)
            raise
        return spending

    def missed(self, spending: Spending) -> None:
        """The key is not registered: that costs more, down below zero."""
        self._change(spending.user_place, lookup_tokens.HIT_COST - lookup_tokens.USER_MISS_COST)
        self._change(spending.participant_place, lookup_tokens.HIT_COST - lookup_tokens.PARTICIPANT_MISS_COST)

    def give_back(self, spending: Spending) -> None:
        """The DICT neither found nor missed: the look-up was free."""
        self._change(spending.user_place, lookup_tokens.HIT_COST)
        self._change(spending.participant_place, lookup_tokens.HIT_COST)

    def spend(self, policy: Policy) -> None:
        """Takes a token for another request of the bank's. Raises `Exhausted` or `Unavailable`."""
        self._take(lookup_tokens.participant_bucket(policy), policy, of_user=False)

    def remember(self, spending: Spending, end_to_end_id: str, keep_seconds: int) -> None:
        """Notes a look-up that the DICT answered, so that sending its payment gives the tokens back. Raises
        `Unavailable`."""
        self._written(
            self._client.put_item,
            Item={
                "pk": {"S": lookup_tokens.lookup_partition(end_to_end_id)},
                "sk": {"S": lookup_tokens.LOOKUP_SORT},
                "user_bucket": {"S": spending.user_place},
                "user_credit": {"N": str(lookup_tokens.user_credit(spending.payer))},
                "user_capacity": {"N": str(spending.user.capacity)},
                "participant_bucket": {"S": spending.participant_place},
                "participant_capacity": {"N": str(spending.participant.capacity)},
                "ttl": {"N": str(int(self._now()) + keep_seconds)},
            },
        )

    def _take(self, place: str, policy: Policy, *, of_user: bool) -> None:
        now = int(self._now())
        try:
            self._taken_within_period(place, policy, now)
        except ConditionFailed as failed:
            seen = failed.item
        else:
            return
        for attempt in range(TRIES):
            bucket = None if seen is None else _bucket(seen)
            fresh = lookup_tokens.refilled(bucket, policy, now)
            if fresh.tokens <= 0:
                raise Exhausted(lookup_tokens.wait_seconds(fresh, policy, now), of_user=of_user)
            try:
                self._replace(
                    place, bucket, Bucket(fresh.tokens - lookup_tokens.HIT_COST, fresh.refilled_at), now
                )
            except ConditionFailed as failed:
                seen = failed.item
                dynamo.pause(attempt)
            else:
                return
        raise Unavailable("contention")

    def _taken_within_period(self, place: str, policy: Policy, now: int) -> None:
        self._written(
            self._client.update_item,
            Key=_key(place),
            UpdateExpression="SET tokens = tokens - :one",
            ConditionExpression="tokens > :zero AND tokens < :full AND refilled_at > :over",
            ExpressionAttributeValues={
                ":one": {"N": str(lookup_tokens.HIT_COST)},
                ":zero": {"N": "0"},
                ":full": {"N": str(policy.capacity)},
                ":over": {"N": str(now - lookup_tokens.PERIOD_SECONDS)},
            },
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def _replace(self, place: str, seen: Bucket | None, bucket: Bucket, now: int) -> None:
        """Writes a bucket on condition that it still is as it was read."""
        values: dict[str, Any] = {
            ":tokens": {"N": str(bucket.tokens)},
            ":at": {"N": str(bucket.refilled_at)},
            ":ttl": {"N": str(now + KEEP_SECONDS)},
        }
        condition = "attribute_not_exists(pk)"
        if seen is not None:
            condition = "tokens = :seen AND refilled_at = :seen_at"
            values |= {":seen": {"N": str(seen.tokens)}, ":seen_at": {"N": str(seen.refilled_at)}}
        self._written(
            self._client.update_item,
            Key=_key(place),
            UpdateExpression="SET tokens = :tokens, refilled_at = :at, #ttl = :ttl",
            ConditionExpression=condition,
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues=values,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def _change(self, place: str, tokens: int) -> None:
        try:
            self._written(
                self._client.update_item,
                Key=_key(place),
                UpdateExpression="SET tokens = tokens + :tokens",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":tokens": {"N": str(tokens)}},
            )
        except ConditionFailed:
            # Its item ended meanwhile, which only a full bucket's does.
            return

    def _written(self, call: Callable[..., Any], **request: Any) -> None:
        """One write. It may meet a refund, whose transaction holds the bucket for a moment: then again."""
        for attempt in range(WRITE_TRIES):
            try:
                dynamo.write(call, TableName=self._table, **request)
            except OutcomeUnknown as unknown:
                # A token too few at the worst: stricter than Bacen, never laxer.
                raise Unavailable("bucket") from unknown
            except Unavailable:
                if attempt == WRITE_TRIES - 1:
                    raise
                dynamo.pause(attempt)
            else:
                return


def _key(place: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": place}, "sk": {"S": lookup_tokens.BUCKET_SORT}}


def _bucket(item: Item) -> Bucket:
    return Bucket(int(item["tokens"]["N"]), int(item["refilled_at"]["N"]))

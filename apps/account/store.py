"""Accounts on DynamoDB: profiles, the binding of subject and tax id, numbers, balances and statements."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from apps.account.account import BRANCH, AccountType, Opening, Profile, grant_id, number_of
from apps.account.history import Record, Then, at_moment
from apps.kit import dynamo
from apps.kit.dynamo import Cancelled, Client, Deadline, OutcomeUnknown, Unavailable
from apps.ledger import account as balances
from apps.ledger import items
from apps.ledger import transfer as transfers
from apps.ledger.account import TREASURY, Balance, Posting, Refusal
from apps.ledger.entries import Entry, MonthOpening
from apps.ledger.items import attributes, key, text
from apps.ledger.store import Ledger, check_repeatable
from apps.ledger.transfer import Attempt, Change, Order
from apps.pix import tax_id as tax_ids
from apps.pix.limits import Limits

NUMBER_ACTION = 3
"""The place of the account number among the actions of an opening."""


@dataclass(frozen=True)
class Grant:
    """The welcome money of a person's first account, from `treasury`. Zero means none."""

    amount_cents: int
    lifetime: timedelta


class AccountStore:
    """The `accounts` table as the account service uses it, next to the ledger's own items in it."""

    def __init__(self, client: Client, table: str, ledger: Ledger, grant: Grant) -> None:
        self._client = client
        self._table = table
        self._ledger = ledger
        self._grant = grant

    def profile(self, account_id: str) -> Profile | None:
        """The profile of an account, consistently read."""
        item = self._get(_profile_key(account_id))
        return _profile_of(item) if item else None

    def owned_by(self, subject: str) -> list[Profile]:
        """The subject's accounts, oldest first. The index may lag behind an opening by moments."""
        found = dynamo.pages(
            self._client,
            self._table,
            IndexName="owner",
            KeyConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": text(subject)},
        )
        return [_profile_of(item) for item in found]

    def balance(self, account_id: str) -> Balance:
        """The balance of an account that has a profile, consistently read."""
        balance = self._ledger.balance(account_id)
        assert balance is not None, "profile and balance are written in one transaction"
        return balance

    def balances_of(self, account_ids: Iterable[str]) -> dict[str, Balance]:
        """The balances of accounts that have profiles, consistently read, together."""
        wanted = set(account_ids)
        found = self._ledger.balances_of(wanted)
        assert found.keys() == wanted, "profile and balance are written in one transaction"
        return found

    def close(self, account_id: str, deadline: Deadline) -> None:
        """Ends an account for good. Raises `Refusal`, `Unavailable` or `OutcomeUnknown`."""
        self._ledger.change_status(account_id, balances.close, deadline)

    def limit(
        self, account_id: str, wish: Callable[[Limits, datetime], Limits], deadline: Deadline
    ) -> Balance:
        """Changes how much an account may send: gives the balance as it stands then. Raises `Refusal`,
        `BadLimit`, `Unavailable` or `OutcomeUnknown`."""

        def rule(balance: Balance, at: str) -> Posting | None:
            return balances.limit(balance, wish(balance.allowed, datetime.fromisoformat(at)), at)

        balance, _ = self._ledger.change_status(account_id, rule, deadline)
        return balance

    def at_moment(self, balance: Balance, moment: str) -> Then:
        """What was on an account at a moment since it was opened (ISO 8601, UTC)."""
        account_id = balance.account_id
        record = Record(
            newest=lambda month: self._newest(account_id, month),
            after=lambda month: self._opening(account_id, "sk > :month", month, forward=True),
            entry=lambda month, seq: self._entry(account_id, month, seq),
        )
        return at_moment(balance, moment, record)

    def _newest(self, account_id: str, month: str) -> MonthOpening:
        found = self._opening(account_id, "sk <= :month", month, forward=False)
        if found is None:
            raise items.Corrupted(f"ACC#{account_id} {items.MONTH_SORT}{month}", "is missing")
        return found

    def _opening(self, account_id: str, side: str, month: str, *, forward: bool) -> MonthOpening | None:
        """The nearest month with entries on one side of a month."""
        place = items.opening_key(account_id, month)
        answer = dynamo.read(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression=f"pk = :pk AND {side}",
            ExpressionAttributeValues={":pk": place["pk"], ":month": place["sk"]},
            ScanIndexForward=forward,
            ConsistentRead=True,
            Limit=1,
        )
        there = [item for item in answer["Items"] if item["sk"]["S"].startswith(items.MONTH_SORT)]
        return items.opening_of(there[0]) if there else None

    def _entry(self, account_id: str, month: str, seq: int) -> Entry:
        place = key(items.entries_partition(account_id, month), items.entry_sort(seq))
        item = self._get(place)
        if item is None:
            raise items.Corrupted(f"{place['pk']['S']} {place['sk']['S']}", "is missing")
        return items.entry_of(item)

    def entries_before(
        self, account_id: str, month: str, below: int | None, limit: int
    ) -> tuple[list[Entry], bool]:
        """A month's entries, newest first and numbered below `below`; and whether the month has more."""
        values = {":pk": text(items.entries_partition(account_id, month))}
        condition = "pk = :pk"
        if below is not None:
            condition += " AND sk < :below"
            values[":below"] = text(items.entry_sort(below))
        answer = dynamo.read(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit,
        )
        return [items.entry_of(item) for item in answer["Items"]], "LastEvaluatedKey" in answer

    def open(
        self, opening: Opening, render: Callable[[Profile], str], deadline: Deadline
    ) -> tuple[Profile, bool]:
        """Opens the account, or finds that this idempotency key has: gives the profile, and whether found.

        One transaction writes profile, bindings, number, balance and, for the first account of a tax id,
        the grant with its whole hold. Raises `Refusal` `tax_id_bound`, `Unavailable` or `OutcomeUnknown`.
        """
        tries = numbers = 0
        unknown = False
        while True:
            try:
                found = self.profile(opening.account_id)
                if found is not None:
                    return found, tries == 0
                self._check_bindings(opening)
                profile, actions = self._first_writes(opening, render, numbers)
                dynamo.transact(self._client, actions, deadline)
            except Cancelled as cancelled:
                unknown = unknown or cancelled.after_unknown
                check_repeatable(cancelled, unknown=unknown)
                numbers += cancelled.failed(NUMBER_ACTION)
            except Unavailable as error:
                if unknown:
                    raise OutcomeUnknown from error
                raise
            else:
                return profile, False
            if deadline.passed:
                raise (OutcomeUnknown if unknown else Unavailable)("contention")
            dynamo.pause(tries)
            tries += 1

    def _first_writes(
        self, opening: Opening, render: Callable[[Profile], str], numbers: int
    ) -> tuple[Profile, list[dict[str, Any]]]:
        attempt = self._ledger.clock.attempt()
        profile = Profile(
            account_id=opening.account_id,
            owner=opening.subject,
            name=opening.name,
            tax_id=opening.tax_id,
            account_type=opening.account_type,
            branch=BRANCH,
            number=number_of(opening.account_id, numbers),
            opened_at=attempt.at,
            request_hash=opening.request_hash,
            answer="",
        )
        profile = replace(profile, answer=render(profile))
        balance = balances.unopened(
            profile.account_id, profile.owner, attempt.at, tax_ids.kind(profile.tax_id)
        )
        granted = self._granted(profile, balance, attempt, opening.request_id)
        actions = [
            self._put(_profile_item(profile), "attribute_not_exists(pk)"),
            self._bind(f"SUB#{opening.subject}", "tax_id", opening.tax_id),
            self._bind(f"TAX#{opening.tax_id}", "subject", opening.subject),
            self._put(
                key(f"NUM#{profile.branch}#{profile.number}", "NUM")
                | attributes({"account": profile.account_id}),
                "attribute_not_exists(pk)",
            ),
        ]
        assert "NUM#" in actions[NUMBER_ACTION]["Put"]["Item"]["pk"]["S"]
        if granted is not None:
            actions.append(
                self._put(
                    _grant_key(opening.tax_id) | attributes({"transfer": granted.transfer.transfer_id}),
                    "attribute_not_exists(pk)",
                )
            )
        return profile, [*actions, *self._ledger.opening(balance, granted)]

    def _granted(
        self, profile: Profile, balance: Balance, attempt: Attempt, request_id: str | None
    ) -> Change | None:
        """The grant's hold on `treasury`, unless there is none to give or this person has had it."""
        if self._grant.amount_cents == 0 or self._get(_grant_key(profile.tax_id)) is not None:
            return None
        transfer_id = grant_id(profile.account_id)
        order = Order(
            transfer_id=transfer_id,
            kind="grant",
            subject="",
            payer=balances.internal_item(TREASURY, transfer_id),
            payee=profile.account_id,
            amount_cents=self._grant.amount_cents,
            description=None,
            end_to_end_id=None,
            request_hash=profile.request_hash,
            request_id=request_id,
        )
        treasury = self._ledger.balance(order.payer)
        try:
            return transfers.hold(order, treasury, balance, self._grant.lifetime, attempt)
        except Refusal as refusal:
            # The treasury is under review, which says nothing about this customer: they may try again.
            raise Unavailable(refusal.code) from refusal

    def _check_bindings(self, opening: Opening) -> None:
        """A subject has one tax id and a tax id one subject. Raises `Refusal`."""
        of_subject = self._get(key(f"SUB#{opening.subject}", "BINDING"))
        of_tax_id = self._get(key(f"TAX#{opening.tax_id}", "BINDING"))
        for item, name, expected in (
            (of_subject, "tax_id", opening.tax_id),
            (of_tax_id, "subject", opening.subject),
        ):
            if item is not None and item[name]["S"] != expected:
                raise Refusal("tax_id_bound", "This login or this tax id already belongs to somebody else.")

    def _bind(self, partition: str, name: str, value: str) -> dict[str, Any]:
        action = self._put(
            key(partition, "BINDING") | attributes({name: value}),
            "attribute_not_exists(pk) OR #name = :value",
        )
        action["Put"] |= {
            "ExpressionAttributeNames": {"#name": name},
            "ExpressionAttributeValues": {":value": text(value)},
        }
        return action

    def _put(self, item: dict[str, items.Attribute], condition: str) -> dict[str, Any]:
        return {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": condition}}

    def _get(self, place: dict[str, items.Attribute]) -> dynamo.Item | None:
        return dynamo.item(self._client, self._table, place)


def _profile_key(account_id: str) -> dict[str, items.Attribute]:
    return key(f"ACC#{account_id}", "PROFILE")


def _grant_key(tax_id: str) -> dict[str, items.Attribute]:
    return key(f"GRANT#{tax_id}", "GRANT")


def _profile_item(profile: Profile) -> dict[str, items.Attribute]:
    return _profile_key(profile.account_id) | attributes(vars(profile))


def _profile_of(item: dynamo.Item) -> Profile:
    return Profile(
        account_id=item["account_id"]["S"],
        owner=item["owner"]["S"],
        name=item["name"]["S"],
        tax_id=item["tax_id"]["S"],
        account_type=cast("AccountType", item["account_type"]["S"]),
        branch=item["branch"]["S"],
        number=item["number"]["S"],
        opened_at=item["opened_at"]["S"],
        request_hash=item["request_hash"]["S"],
        answer=item["answer"]["S"],
    )

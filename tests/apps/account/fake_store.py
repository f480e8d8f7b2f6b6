"""Accounts in memory, with the promises of the store on DynamoDB."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from apps.account.account import BRANCH, Opening, Profile, number_of
from apps.account.history import Then
from apps.account.store import AccountStore
from apps.kit.dynamo import Deadline
from apps.ledger import account
from apps.ledger.account import Balance, Refusal
from apps.ledger.entries import Entry, EntryKind
from apps.ledger.transfer import iso
from apps.pix import tax_id
from apps.pix.limits import Limits


class FakeStore(AccountStore):
    """`fails` is raised by whatever is asked next, as DynamoDB would have it; `reads` counts how often many
    balances were read together."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.balances: dict[str, Balance] = {}
        self.entries: list[Entry] = []
        self.fails: Exception | None = None
        self.close_fails: Exception | None = None
        self.limit_fails: Exception | None = None
        self.now = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
        self.reads = 0

    def profile(self, account_id: str) -> Profile | None:
        self._answer()
        return self.profiles.get(account_id)

    def owned_by(self, subject: str) -> list[Profile]:
        self._answer()
        return [each for each in self.profiles.values() if each.owner == subject]

    def balance(self, account_id: str) -> Balance:
        self._answer()
        return self.balances[account_id]

    def balances_of(self, account_ids: Iterable[str]) -> dict[str, Balance]:
        self._answer()
        self.reads += 1
        return {each: self.balances[each] for each in account_ids}

    def close(self, account_id: str, deadline: Deadline) -> None:
        if self.close_fails is not None:
            raise self.close_fails
        assert not deadline.passed
        posting = account.close(self.balances[account_id], "2026-11-25T13:00:00.000Z")
        if posting is not None:
            self.balances[account_id] = posting.after
            self.entries.append(posting.entry)

    def limit(
        self, account_id: str, wish: Callable[[Limits, datetime], Limits], deadline: Deadline
    ) -> Balance:
        if self.limit_fails is not None:
            raise self.limit_fails
        assert not deadline.passed
        before = self.balances[account_id]
        posting = account.limit(before, wish(before.allowed, self.now), iso(self.now))
        if posting is not None:
            self.balances[account_id] = posting.after
            self.entries.append(posting.entry)
        return self.balances[account_id]

    def at_moment(self, balance: Balance, moment: str) -> Then:
        self._answer()
        there = [each for each in self.entries if each.account_id == balance.account_id and each.at <= moment]
        if not there:
            return Then(0, 0, 0)
        return Then(there[-1].seq, there[-1].available_after, there[-1].on_hold_after)

    def entries_before(
        self, account_id: str, month: str, below: int | None, limit: int
    ) -> tuple[list[Entry], bool]:
        there = [
            each
            for each in reversed(self.entries)
            if (each.account_id, each.month) == (account_id, month) and (below is None or each.seq < below)
        ]
        return there[:limit], len(there) > limit

    def open(
        self, opening: Opening, render: Callable[[Profile], str], deadline: Deadline
    ) -> tuple[Profile, bool]:
        self._answer()
        assert not deadline.passed
        if opening.account_id in self.profiles:
            return self.profiles[opening.account_id], True
        for each in self.profiles.values():
            if (each.owner == opening.subject) != (each.tax_id == opening.tax_id):
                raise Refusal("tax_id_bound", "This login or this tax id already belongs to somebody else.")
        profile = Profile(
            account_id=opening.account_id,
            owner=opening.subject,
            name=opening.name,
            tax_id=opening.tax_id,
            account_type=opening.account_type,
            branch=BRANCH,
            number=number_of(opening.account_id, 0),
            opened_at="2026-11-25T12:00:00.000Z",
            request_hash=opening.request_hash,
            answer="",
        )
        profile = replace(profile, answer=render(profile))
        self.profiles[profile.account_id] = profile
        self.balances[profile.account_id] = account.unopened(
            profile.account_id, profile.owner, profile.opened_at, tax_id.kind(profile.tax_id)
        )
        return profile, False

    def write(self, account_id: str, kind: EntryKind, at: str, available: int, on_hold: int = 0) -> None:
        """One write to a balance, with its entry."""
        posting = account.post(
            self.balances[account_id], kind, None, at, available=available, on_hold=on_hold
        )
        self.balances[account_id] = posting.after
        self.entries.append(posting.entry)

    def _answer(self) -> None:
        if self.fails is not None:
            raise self.fails

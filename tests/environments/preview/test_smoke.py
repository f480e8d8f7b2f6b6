"""The smoke test: what passes, what fails, and that nobody is left in the pool."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from environments.clock import Clock
from environments.preview.smoke import (
    READY_SECONDS,
    SETTLE_SECONDS,
    Broken,
    NotRun,
    Smoke,
    Step,
    Verdict,
)
from environments.preview.users import Pool


@dataclass
class Users:
    """A pool that lets in whom it knows; `fails` names a method that does not work."""

    fails: str = ""
    people: set[str] = field(default_factory=set)
    ever: set[str] = field(default_factory=set)
    pool_id: str = "sa-east-1_Pool"

    def mfa(self) -> str:
        return "ON"

    def create(self, email: str, password: str) -> None:
        self._maybe("create")
        assert len(password) >= 14
        self.people.add(email)
        self.ever.add(email)

    def delete(self, email: str) -> None:
        self._maybe("delete")
        self.people.discard(email)

    def token(self, email: str, password: str) -> str:
        self._maybe("token")
        assert email in self.people
        return email

    def _maybe(self, what: str) -> None:
        if self.fails == what:
            raise RuntimeError(f"no {what}")


@dataclass
class Answer:
    status: int
    body: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.body)


@dataclass
class Bank:
    """A gateway that settles after some looks. `ready_after` is in seconds, with errors until then."""

    clock: "Time"
    ready_after: float = 0
    settles: str = "SETTLED"
    accounts: dict[str, str] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    answers: dict[str, int] = field(default_factory=dict)

    def client(self, token: str) -> "Client":
        return Client(self, token)


@dataclass
class Client:
    bank: Bank
    token: str

    def get(self, path: str) -> Answer:
        if path == "/readyz":
            if self.bank.clock.seconds < self.bank.ready_after:
                raise ConnectionError("no such name")
            return Answer(200, {})
        if path.startswith("/accounts/"):
            assert self.bank.accounts[path.rpartition("/")[2]] == self.token
            return Answer(200, {"available_cents": 100_000})
        return Answer(200, {"status": self.bank.settles})

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> Answer:
        status = self.bank.answers.get(path, 201)
        if path == "/accounts":
            account = f"account-{next(self.bank.numbers)}"
            self.bank.accounts[account] = self.token
            return Answer(status, {"account_id": account})
        assert self.bank.accounts[body["from_account"]] == self.token
        assert body["to"]["account"] != body["from_account"]
        return Answer(status, {"transfer_id": "t-1", "code": "insufficient_funds"})


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self.seconds += seconds

        return Clock(lambda: self.seconds, sleep)


def smoke(
    users: Users | None = None,
    audit: Callable[[], str] = lambda: "no drift",
    say: Callable[[Step], None] = lambda _step: None,
    **of: Any,
) -> Verdict:
    time = Time()
    pool: Any = users or Users()
    checked: Pool = pool
    return Smoke(checked, Bank(time, **of).client, audit, time.clock(), say).run()


def failed(verdict: Verdict) -> dict[str, str]:
    return {step.what: step.said for step in verdict.steps if step.outcome == "failed"}


def test_a_bank_that_works_passes_and_says_each_step() -> None:
    said: list[Step] = []
    users = Users()
    verdict = smoke(users, say=said.append)
    assert verdict.passed
    assert str(verdict) == "smoke test passed"
    assert tuple(said) == verdict.steps
    assert [step.outcome for step in said] == ["ok"] * 6
    assert "with a second factor" in str(said[1])
    assert len(users.ever) == 2
    assert users.people == set()
    assert all(email.endswith("@preview.invalid") for email in users.ever)


def test_it_waits_for_the_name_and_for_the_first_pods() -> None:
    verdict = smoke(ready_after=100)
    assert verdict.passed
    assert verdict.steps[0].said == "after 100 s"


@pytest.mark.parametrize(
    ("how", "what", "says"),
    [
        pytest.param(
            {"ready_after": 10 * READY_SECONDS}, "the gateway is ready", "ConnectionError", id="never ready"
        ),
        pytest.param(
            {"users": Users(fails="create")}, "two people are signed in by SRP", "no create", id="no keys"
        ),
        pytest.param(
            {"users": Users(fails="token")}, "two people are signed in by SRP", "no token", id="no sign-in"
        ),
        pytest.param(
            {"answers": {"/accounts": 500}},
            "each has an account with welcome money",
            "expected 201, got 500",
            id="no account",
        ),
        pytest.param(
            {"answers": {"/transfers": 409}}, "a transfer is settled", "insufficient_funds", id="no money"
        ),
        pytest.param({"settles": "REJECTED"}, "a transfer is settled", "it ended as REJECTED", id="rejected"),
        pytest.param(
            {"settles": "HELD"}, "a transfer is settled", f"within {SETTLE_SECONDS:.0f} s", id="never settled"
        ),
    ],
)
def test_what_does_not_work_is_named_and_the_people_are_gone(
    how: dict[str, Any], what: str, says: str
) -> None:
    users = how.pop("users", Users())
    verdict = smoke(users, **how)
    assert not verdict.passed
    assert says in failed(verdict)[what]
    assert str(verdict).startswith("smoke test FAILED")
    assert users.people == set()
    assert verdict.steps[-1] == Step("the two people are deleted", "ok", "")


def test_a_ledger_that_is_not_sound_fails() -> None:
    def audit() -> str:
        raise Broken("the ledger is not sound")

    assert failed(smoke(audit=audit)) == {"the audit": "the ledger is not sound"}


def test_an_audit_that_cannot_be_run_is_named_and_fails_nothing() -> None:
    def audit() -> str:
        raise NotRun("kubectl is missing")

    verdict = smoke(audit=audit)
    assert verdict.passed
    assert str(verdict) == "smoke test passed; not run: the audit"
    assert "kubectl is missing" in str(verdict.steps[4])


def test_people_who_cannot_be_deleted_are_named() -> None:
    users = Users(fails="delete")
    verdict = smoke(users)
    assert not verdict.passed
    said = failed(verdict)["the two people are deleted"]
    assert all(email in said for email in users.ever)
    assert "sa-east-1_Pool" in said

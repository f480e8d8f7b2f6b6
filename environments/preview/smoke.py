"""A smoke test through a preview's URL: two people, an account each, one transfer, the audit; and a verdict.

It goes in where customers do. The people are made for it and deleted after it, whatever happened between.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from environments.clock import Clock
from environments.local.demo import cpf
from environments.preview.users import Pool, password

AMOUNT_CENTS = 1
READY_SECONDS = 240.0
"""A new name has to be known to the resolvers, and the first pods healthy for the load balancer."""
SETTLE_SECONDS = 60.0
PAUSE_SECONDS = 2.0


class Answer(Protocol):
    """What a request brings back."""

    @property
    def status(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def body(self) -> dict[str, Any]: ...


class Client(Protocol):
    """One signed-in person's way to the gateway."""

    def get(self, path: str) -> Answer: ...
    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> Answer: ...


class Broken(Exception):  # noqa: N818
    """A step did not go as it must."""


class NotRun(Exception):  # noqa: N818
    """A step cannot be taken from here. The message says why."""


@dataclass(frozen=True)
class Step:
    """`outcome` is ok, failed or not run."""

    what: str
    outcome: str
    said: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:<8}{self.what}" + (f": {self.said}" if self.said else "")


@dataclass(frozen=True)
class Verdict:
    """It has passed when nothing failed; what was not run is named, and is no failure."""

    steps: tuple[Step, ...]

    @property
    def passed(self) -> bool:
        return all(step.outcome != "failed" for step in self.steps)

    def __str__(self) -> str:
        missing = [step.what for step in self.steps if step.outcome == "not run"]
        word = "passed" if self.passed else "FAILED"
        return f"smoke test {word}" + (f"; not run: {', '.join(missing)}" if missing else "")


@dataclass
class Person:
    """Somebody in the test. The address is of a domain that can have no mail (RFC 2606)."""

    name: str
    email: str
    password: str
    client: Client | None = None
    account_id: str = ""

    @property
    def api(self) -> Client:
        assert self.client is not None, "signed in before"
        return self.client


@dataclass
class Smoke:
    """`client` makes a client of a token, "" for nobody's; `audit` says how the ledger is, or raises
    `Broken` or `NotRun`."""

    pool: Pool
    client: Callable[[str], Client]
    audit: Callable[[], str]
    clock: Clock = field(default_factory=Clock)
    say: Callable[[Step], None] = lambda _step: None

    def run(self) -> Verdict:
        """All steps, up to the first that fails; then the people are deleted."""
        tag = uuid.uuid4().hex[:10]
        people = [
            Person(name, f"smoke-{name.split()[0].lower()}-{tag}@preview.invalid", password())
            for name in ("Ana Souza", "Bruno Lima")
        ]
        ana, bruno = people
        steps: list[Step] = []
        try:
            for what, step in (
                ("the gateway is ready", self._ready),
                ("two people are signed in by SRP", lambda: self._signed_in(people)),
                ("each has an account with welcome money", lambda: self._accounts(people)),
                ("a transfer is settled", lambda: self._transfer(ana, bruno)),
                ("the audit", self.audit),
            ):
                steps.append(self._taken(what, step))
                if steps[-1].outcome == "failed":
                    break
        finally:
            steps.append(self._taken("the two people are deleted", lambda: self._deleted(people)))
        return Verdict(tuple(steps))

    def _taken(self, what: str, step: Callable[[], str]) -> Step:
        try:
            done = Step(what, "ok", step())
        except NotRun as reason:
            done = Step(what, "not run", str(reason))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the verdict, and people are deleted)
            done = Step(what, "failed", f"{type(error).__name__}: {error}".removeprefix("Broken: "))
        self.say(done)
        return done

    def _ready(self) -> str:
        nobody = self.client("")
        began = self.clock.now()
        said = "no answer"
        while self.clock.now() - began < READY_SECONDS:
            try:
                answer = nobody.get("/readyz")
                if answer.status == 200:
                    return f"after {self.clock.now() - began:.0f} s"
                said = f"{answer.status}"
            except OSError as error:  # requests' errors are some: no such name yet, no listener, no TLS
                said = type(error).__name__
            self.clock.sleep(PAUSE_SECONDS)
        raise Broken(f"not within {READY_SECONDS:.0f} s, last: {said}")

    def _signed_in(self, people: list[Person]) -> str:
        mfa = self.pool.mfa()
        for person in people:
            self.pool.create(person.email, person.password)
            person.client = self.client(self.pool.token(person.email, person.password))
        return "with a second factor" if mfa == "ON" else f"second factor {mfa}"

    def _accounts(self, people: list[Person]) -> str:
        for person in people:
            body = {"name": person.name, "tax_id": cpf(), "account_type": "CACC"}
            person.account_id = str(_expected(person.api.post("/accounts", body), 201)["account_id"])
        for person in people:
            path = f"/accounts/{person.account_id}"
            self._until(person, path, lambda found: found.get("available_cents", 0) > 0, "welcome money")
        return ""

    def _transfer(self, payer: Person, payee: Person) -> str:
        began = self.clock.now()
        body = {
            "from_account": payer.account_id,
            "to": {"account": payee.account_id},
            "amount_cents": AMOUNT_CENTS,
        }
        made = _expected(payer.api.post("/transfers", body), 201)
        path = f"/transfers/{made['transfer_id']}"
        found = self._until(payer, path, lambda found: found.get("status") != "HELD", "settlement")
        if found["status"] != "SETTLED":
            raise Broken(f"it ended as {found['status']}")
        return f"after {self.clock.now() - began:.1f} s"

    def _until(
        self, person: Person, path: str, good: Callable[[Mapping[str, Any]], bool], what: str
    ) -> Mapping[str, Any]:
        began = self.clock.now()
        while True:
            found = _expected(person.api.get(path), 200)
            if good(found):
                return found
            if self.clock.now() - began > SETTLE_SECONDS:
                raise Broken(f"no {what} within {SETTLE_SECONDS:.0f} s")
            self.clock.sleep(PAUSE_SECONDS)

    def _deleted(self, people: list[Person]) -> str:
        left = []
        for person in people:
            try:
                self.pool.delete(person.email)
            except Exception as error:  # noqa: BLE001 (the other one is deleted all the same)
                left.append(f"{person.email} ({type(error).__name__})")
        if left:
            raise Broken(f"delete by hand in pool {self.pool.pool_id}: {', '.join(left)}")
        return ""


def _expected(answer: Answer, status: int) -> Mapping[str, Any]:
    if answer.status != status:
        raise Broken(f"expected {status}, got {answer.status}: {answer.text[:300]}")
    return answer.body

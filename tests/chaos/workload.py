"""The bank workload: random transfers among few accounts, by clients that time out, retry and repeat.

Small balances make refusals common, a hot account makes conflicts so, one request in ten repeats an earlier
key, and one in a hundred sends another body under it. Everything that was asked and told is kept, so that
the checker can hold it against the tables. One seed makes one sequence of requests for each client.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import requests
from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.books import Tables
from tests.chaos.checker import Answered, Asked, History
from tests.chaos.rail import Bacen

REPLAYED = 0.10
OTHER_BODY = 0.01
HOT = 0.3
"""How many of the transfers have the first account on one side."""
PIX_OUT, PIX_IN = 0.25, 0.2
"""How many of the payments go to another bank by key, and how many more come from one."""
COMPANY, PERSON, REFUSED = "11222333000181", "maria.silva@example.com", "blocked@example.com"
"""Keys that the simulator knows. Only a company's may be kept for a while: each payment to a person costs a
token of the few that a payer has at the DICT."""
LARGE = 0.05
"""How many are twenty times as much."""
PATIENCE_SECONDS = (0.3, 1.0, 3.0, 10.0)
"""How long a client waits for an answer: some give up long before the bank does."""
TRIES = 4
"""After so many undecided answers a client leaves its transfer for later."""
SNAPSHOT_SECONDS = 0.2
RESOLVE_SECONDS = 90.0
READERS = 8


@dataclass(frozen=True)
class Holder:
    """An account and who may pay from it. `token` gives a token that is good now."""

    account_id: str
    token: Callable[[], str]
    account: Mapping[str, str] = field(default_factory=dict)
    """As a payer at another bank knows it."""


@dataclass
class Workload:
    """`clients` closed loops through the gateway, for `seconds` or until `transfers` were asked for, and as
    long as there is `more` to come."""

    gateway_url: str
    bacen: Bacen
    holders: Sequence[Holder]
    tables: Tables
    seed: int
    most_cents: int
    clients: int = 8
    seconds: float | None = None
    transfers: int | None = None
    more: Callable[[], bool] = lambda: False
    history: History = field(default_factory=History)
    stopped: bool = False

    async def run(self) -> None:
        """Asks, and reads snapshots of all balances meanwhile."""
        started = time.monotonic()
        async with self._session() as session:
            snapshots = asyncio.create_task(self._watch())

            def over() -> bool:
                late = self.seconds is not None and time.monotonic() - started >= self.seconds
                enough = self.transfers is not None and len(self.history.asked) >= self.transfers
                return self.stopped or ((late or enough) and not self.more())

            try:
                await asyncio.gather(*(self._client(session, number, over) for number in range(self.clients)))
            finally:
                snapshots.cancel()
                await asyncio.gather(snapshots, return_exceptions=True)

    async def settle_questions(self) -> None:
        """Repeats each key whose outcome nobody knows until it is decided, in whatever time is given."""
        deadline = time.monotonic() + RESOLVE_SECONDS
        left = iter(self.history.unknown())

        async def work(session: aiohttp.ClientSession) -> None:
            for asked in left:
                while self.history.state(asked.key) == "unknown" and time.monotonic() < deadline:
                    await self._send(session, asked, patience=10.0)

        async with self._session() as session:
            await asyncio.gather(*(work(session) for _ in range(READERS)))

    async def look(self) -> None:
        """Reads every acknowledged transfer by GET."""
        ids = {
            str(each.transfer_id): self.history.asked[key]
            for key, answers in self.history.answered.items()
            for each in answers
            if each.outcome == "acked"
        }
        left = iter(ids.items())

        async def work(session: aiohttp.ClientSession) -> None:
            for transfer_id, asked in left:
                headers = {"Authorization": f"Bearer {await self._token(asked.payer)}"}
                url = f"{self.gateway_url}/transfers/{transfer_id}"
                async with session.get(url, headers=headers) as answer:
                    document: dict[str, Any] = await answer.json()
                self.history.seen[transfer_id] = str(document.get("status", answer.status))

        async with self._session() as session:
            await asyncio.gather(*(work(session) for _ in range(READERS)))

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=4 * self.clients))

    async def _client(self, session: aiohttp.ClientSession, number: int, over: Callable[[], bool]) -> None:
        chance = random.Random(f"{self.seed} {number}")
        mine: list[Asked] = []
        while not over():
            draw = chance.random()
            if draw < REPLAYED and mine:
                await self._insist(session, chance.choice(mine[-50:]), chance)
            elif draw < REPLAYED + OTHER_BODY and mine:
                asked = chance.choice(mine[-50:])
                if self.history.state(asked.key) == "acked":
                    await self._send(session, asked, patience=10.0, other_body=True)
            else:
                if chance.random() < PIX_IN:
                    await self._come_in(chance)
                asked = self._next(chance)
                mine.append(asked)
                # Some clients are so impatient that they ask twice at once.
                times = 2 if chance.random() < REPLAYED / 2 else 1
                await asyncio.gather(*(self._insist(session, asked, chance) for _ in range(times)))

    def _next(self, chance: random.Random) -> Asked:
        ids = [each.account_id for each in self.holders]
        payer, payee = chance.sample(ids, 2)
        if chance.random() < HOT and ids[0] not in {payer, payee}:
            payer, payee = chance.choice([(ids[0], payee), (payer, ids[0])])
        cents = chance.randint(1, self.most_cents) * (20 if chance.random() < LARGE else 1)
        key = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        asked = Asked(key, payer, payee, cents)
        if chance.random() < PIX_OUT:
            to = chance.choices((COMPANY, PERSON, REFUSED), weights=(15, 4, 1))[0]
            asked = Asked(key, payer, "", cents, pix_key=to)
        self.history.asked[key] = asked
        return asked

    async def _come_in(self, chance: random.Random) -> None:
        """Somebody at another bank pays one of the holders. Bacen's record says what became of it."""
        payee = chance.choice(self.holders)
        cents = chance.randint(1, 2 * self.most_cents)
        with suppress(requests.RequestException):
            await asyncio.to_thread(self.bacen.pay, payee.account, cents)

    async def _insist(self, session: aiohttp.ClientSession, asked: Asked, chance: random.Random) -> None:
        """Repeats a key a few times, as a client does before it lets its user wait."""
        for attempt in range(TRIES):
            patience = chance.choice(PATIENCE_SECONDS)
            if (await self._send(session, asked, patience=patience)).outcome != "unknown":
                return
            await asyncio.sleep(chance.uniform(0, 0.1 * 2**attempt))

    async def _send(
        self, session: aiohttp.ClientSession, asked: Asked, *, patience: float, other_body: bool = False
    ) -> Answered:
        body = {
            "from_account": asked.payer,
            "to": {"account": asked.payee} if asked.pix_key is None else {"key": asked.pix_key},
            "amount_cents": asked.amount_cents + other_body,
            "description": asked.key,
        }
        started = time.monotonic()
        status, text, document = 0, "", dict[str, Any]()
        try:
            headers = {
                "Authorization": f"Bearer {await self._token(asked.payer)}",
                "Idempotency-Key": asked.key,
            }
            timeout = aiohttp.ClientTimeout(total=patience)
            started = time.monotonic()
            async with session.post(
                f"{self.gateway_url}/transfers", json=body, headers=headers, timeout=timeout
            ) as answer:
                status, text = answer.status, await answer.text()
                document = await answer.json(content_type=None)
        except (TimeoutError, aiohttp.ClientError, ValueError):
            status = 0
        told = Answered(
            outcome="acked"
            if status == 201
            else "refused"
            if status and document.get("final")
            else "unknown",
            started=started,
            ended=time.monotonic(),
            transfer_id=document.get("transfer_id"),
            text=text if status == 201 else "",
            code=str(document.get("code", status)),
            other_body=other_body,
        )
        self.history.answered[asked.key].append(told)
        return told

    async def _token(self, account_id: str) -> str:
        token = next(each.token for each in self.holders if each.account_id == account_id)
        return await asyncio.to_thread(token)

    async def _watch(self) -> None:
        """Snapshots: all balances at one moment, again and again."""
        ids: list[str] = []
        while True:
            try:
                ids = ids or await asyncio.to_thread(self.tables.balance_ids)
                self.history.snapshots.append(await asyncio.to_thread(self.tables.snapshot, ids))
            except (ClientError, BotoCoreError):
                # The store is down on purpose.
                pass
            await asyncio.sleep(SNAPSHOT_SECONDS)


def told(history: History) -> Mapping[str, int]:
    """How many requests were told what: for a summary."""
    counts: dict[str, int] = {}
    # Copies: another thread may count while the clients go on.
    for answers in list(history.answered.values()):
        for each in list(answers):
            counts[each.outcome] = counts.get(each.outcome, 0) + 1
    return counts

"""Closed-loop load through the gateway: so many clients, each sending its next transfer when the last one
was acknowledged. Bounded in time, and only ever aimed at the loopback address that it is given."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp

DRAIN_SECONDS = 60.0
READERS = 8


@dataclass
class Run:
    """What one run saw. Milliseconds; `acknowledged` maps a transfer to the moment its 201 was read. Moments
    are epoch seconds, and both clocks are this machine's."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    acknowledged: dict[str, float] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    settled_ms: list[float] = field(default_factory=list)
    unsettled: int = 0
    began_at: float = field(default_factory=time.time)
    decided_at: float | None = None

    def decided(self, document: Mapping[str, Any], since: float) -> None:
        """Notes a transfer that was decided, and how long that took."""
        moment = datetime.fromisoformat(document["decided_at"]).timestamp()
        self.settled_ms.append(max(0.0, (moment - since) * 1000))
        self.decided_at = max(moment, self.decided_at or moment)

    @property
    def settled_per_second(self) -> float:
        """From the first request to the last decision."""
        if self.decided_at is None or self.decided_at <= self.began_at:
            return 0.0
        return len(self.settled_ms) / (self.decided_at - self.began_at)


Pair = Callable[[random.Random], tuple[str, str]]
"""Chooses payer and payee."""


def uniform(accounts: Sequence[str]) -> Pair:
    """Any account pays any other."""

    def pair(chance: random.Random) -> tuple[str, str]:
        payer, payee = chance.sample(accounts, 2)
        return payer, payee

    return pair


def hot_payee(accounts: Sequence[str]) -> Pair:
    """Everybody pays the first account."""
    return lambda chance: (chance.choice(accounts[1:]), accounts[0])


def hot_payer(accounts: Sequence[str]) -> Pair:
    """The first account pays everybody."""
    return lambda chance: (accounts[0], chance.choice(accounts[1:]))


class Clients:
    """Sends requests as one signed-in user."""

    def __init__(self, gateway_url: str, token: str) -> None:
        assert gateway_url.startswith("http://127.0.0.1:"), "load goes to loopback only"
        self._url = gateway_url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def _session(self, connections: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=15),
        )

    async def open_account(self, session: aiohttp.ClientSession, tax_id: str) -> str:
        """Opens one account and gives its id."""
        body = {"name": "Bench", "tax_id": tax_id, "account_type": "CACC"}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        async with session.post(f"{self._url}/accounts", json=body, headers=headers) as answer:
            document: dict[str, Any] = await answer.json()
            assert answer.status == 201, document
            return str(document["account_id"])

    async def open_accounts(self, tax_id: str, count: int, connections: int) -> list[str]:
        """Opens accounts of one person, the first of them alone: it gets the grant."""
        async with await self._session(connections) as session:
            first = await self.open_account(session, tax_id)
            left = iter(range(count - 1))

            async def work() -> list[str]:
                return [await self.open_account(session, tax_id) for _ in left]

            opened = await asyncio.gather(*(work() for _ in range(connections)))
            return [first, *(each for part in opened for each in part)]

    async def wait_for_money(self, account_id: str) -> None:
        """Waits until the account's opening grant has arrived."""
        deadline = time.monotonic() + DRAIN_SECONDS
        async with await self._session(1) as session:
            while time.monotonic() < deadline:
                async with session.get(f"{self._url}/accounts/{account_id}") as answer:
                    document: dict[str, Any] = await answer.json()
                if document.get("available_cents"):
                    return
                await asyncio.sleep(0.05)
        raise TimeoutError("the opening grant did not arrive")

    async def pay(self, payments: Sequence[tuple[str, str, int]], connections: int) -> Run:
        """Makes these payments once each, repeating what was not decided."""
        run = Run()
        left = iter(payments)
        async with await self._session(connections) as session:

            async def work() -> None:
                for payer, payee, cents in left:
                    await self._transfer(session, run, payer, {"account": payee}, cents)

            await asyncio.gather(*(work() for _ in range(connections)))
            await self._read_settlements(session, run)
        return run

    async def load(self, pair: Pair, clients: int, seconds: float, seed: int) -> Run:
        """One-centavo transfers by so many clients for so long; then waits until all are decided."""
        run = Run()
        started = time.perf_counter()
        async with await self._session(clients) as session:

            async def work(number: int) -> None:
                chance = random.Random(seed * 1000 + number)
                while time.perf_counter() - started < seconds:
                    payer, payee = pair(chance)
                    await self._transfer(session, run, payer, {"account": payee}, 1)

            await asyncio.gather(*(work(number) for number in range(clients)))
            run.seconds = time.perf_counter() - started
            await self._read_settlements(session, run)
        return run

    async def floor(self, clients: int, seconds: float) -> Run:
        """What HTTP alone costs: requests that gateway and service take in, verify and answer, without a call
        to the store. The service refuses a transfer without its key before it looks at anything else."""
        run = Run()
        body = {"from_account": str(uuid.uuid4()), "to": {"account": str(uuid.uuid4())}, "amount_cents": 1}
        started = time.perf_counter()
        async with await self._session(clients) as session:

            async def work() -> None:
                while (began := time.perf_counter()) - started < seconds:
                    async with session.post(f"{self._url}/transfers", json=body) as answer:
                        document = await answer.json()
                    assert document["code"] == "idempotency_key_missing", document
                    run.latencies_ms.append((time.perf_counter() - began) * 1000)

            await asyncio.gather(*(work() for _ in range(clients)))
            run.seconds = time.perf_counter() - started
        return run

    async def pix(self, accounts: Sequence[str], key: str, clients: int, seconds: float, seed: int) -> Run:
        """One-centavo payments to another bank's customer, by so many clients for so long. Each client waits
        until its payment is decided, as people do, before it pays again; what that took is counted from the
        request on, so the look-up of the key is in it."""
        run = Run()
        started = time.perf_counter()
        async with await self._session(clients) as session:

            async def work(number: int) -> None:
                chance = random.Random(seed * 1000 + number)
                while time.perf_counter() - started < seconds:
                    asked_at = time.time()
                    made = await self._transfer(session, run, chance.choice(accounts), {"key": key}, 1)
                    if made is None:
                        continue
                    decided = await self._decided(session, made, time.monotonic() + DRAIN_SECONDS, 0.1)
                    if decided is None:
                        run.unsettled += 1
                    elif decided["status"] != "SETTLED":
                        run.refused[decided["reason"]] = run.refused.get(decided["reason"], 0) + 1
                    else:
                        run.decided(decided, asked_at)

            await asyncio.gather(*(work(number) for number in range(clients)))
            run.seconds = time.perf_counter() - started
        return run

    async def _transfer(
        self, session: aiohttp.ClientSession, run: Run, payer: str, to: Mapping[str, str], cents: int
    ) -> str | None:
        """The id of a transfer that was acknowledged; none of one that was refused for good."""
        body = {"from_account": payer, "to": to, "amount_cents": cents}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        started = time.perf_counter()
        while True:
            async with session.post(f"{self._url}/transfers", json=body, headers=headers) as answer:
                document: dict[str, Any] = await answer.json()
            if answer.status == 201:
                run.latencies_ms.append((time.perf_counter() - started) * 1000)
                run.acknowledged[str(document["transfer_id"])] = time.time()
                return str(document["transfer_id"])
            code = str(document.get("code"))
            run.refused[code] = run.refused.get(code, 0) + 1
            if document.get("final"):
                return None

    async def _read_settlements(self, session: aiohttp.ClientSession, run: Run) -> None:
        """Reads when each transfer was decided. Both clocks are this machine's."""
        left = iter(list(run.acknowledged.items()))
        deadline = time.monotonic() + DRAIN_SECONDS

        async def work() -> None:
            for transfer_id, acknowledged_at in left:
                decided = await self._decided(session, transfer_id, deadline, 0.05)
                if decided is None:
                    run.unsettled += 1
                else:
                    run.decided(decided, acknowledged_at)

        await asyncio.gather(*(work() for _ in range(READERS)))

    async def _decided(
        self, session: aiohttp.ClientSession, transfer_id: str, deadline: float, pause: float
    ) -> dict[str, Any] | None:
        while time.monotonic() < deadline:
            async with session.get(f"{self._url}/transfers/{transfer_id}") as answer:
                document: dict[str, Any] = await answer.json()
            if document.get("decided_at"):
                return document
            await asyncio.sleep(pause)
        return None

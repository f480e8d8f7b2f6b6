"""The bank in a world: the processes that run the real code, and the customers and operators who use it."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from apps.consumers.pix_answers import Answers
from apps.consumers.pix_orders import Orders
from apps.consumers.receive_pix import reception
from apps.consumers.relay_outbox import Relay
from apps.consumers.send_pix import Sending
from apps.consumers.settle_transfers import Settlement
from apps.consumers.sweep_transfers import Sweep
from apps.kit import dynamo, metrics, turns
from apps.kit.dynamo import Deadline, OutcomeUnknown, Unavailable
from apps.kit.kafka import Producer
from apps.kit.settings import KafkaSettings, read
from apps.kit.worker import Worker
from apps.ledger import account
from apps.ledger.account import Refusal
from apps.ledger.items import Mark
from apps.ledger.outbox import Outbox
from apps.ledger.store import Clock, Ledger, Standing, StatusRule
from apps.ledger.transfer import Transfer
from apps.pix import end_to_end_id, incoming, spi
from apps.pix.spi import UNSIGNED
from apps.transaction.accounts import HeldAccounts
from apps.transaction.api import rendered
from apps.transaction.destination import BankAccount, Destinations
from apps.transaction.request import SECONDS, GivingBack, KeyReused, Payment, Transfers, Unknown
from tests.apps.transaction.fake_directory import FakeDirectory, StaticCodes
from tests.simulator.broker import DEAD_LETTERS, TOPIC, Broker, Consuming, Producing, Reading
from tests.simulator.elsewhere import MARIA, Elsewhere
from tests.simulator.patching import replaced
from tests.simulator.spi import Spi
from tests.simulator.store import SHARDS, TABLES, Store
from tests.simulator.world import Killed, Process, Signal, World

ISPB = "99999010"
LIFETIME = timedelta(minutes=30)
RULES = ("block", "unblock", "unblock", "close")
"""Of `apps.ledger.account`, by name: a rule that is broken on purpose is taken as it is then."""
MISTAKES = frozenset(
    {
        "arrivals_contradicted",
        "arrivals_failed",
        "arrivals_unmatched",
        "damaged_records",
        "messages_unread",
        "orders_not_written",
        "promises_stuck",
        "spi_messages_refused",
    }
)
"""Metrics of what must never be, whatever happens."""


def _settings(service: str, **more: str) -> KafkaSettings:
    return read(
        KafkaSettings,
        {
            "SERVICE": service,
            "ENVIRONMENT": "simulated",
            "AWS_REGION": "sa-east-1",
            "PORT": "1",
            "KAFKA_BOOTSTRAP": "127.0.0.1:1",
            "KAFKA_SECURITY": "PLAINTEXT",
            "TOPIC_TRANSFERS": TOPIC,
            "TOPIC_TRANSFERS_DEAD_LETTER": DEAD_LETTERS,
            **more,
        },
    )


RELAY_SETTINGS = _settings("relay_outbox", KAFKA_PRODUCES="transfers")
_CONSUMING = {
    "KAFKA_PRODUCES": "transfers.dead-letter",
    "KAFKA_CONSUMES": "transfers",
    "KAFKA_DEAD_LETTER": "transfers.dead-letter",
}
SETTLE_SETTINGS = _settings("settle_transfers", KAFKA_GROUP="settle", **_CONSUMING)
SEND_SETTINGS = _settings("send_pix", KAFKA_GROUP="send", **_CONSUMING)
ELSEWHERE = BankAccount(MARIA.ispb, "0001", MARIA.account, "TRAN", MARIA.tax_id, "Maria da Silva")
"""A customer of another bank."""


@dataclass(eq=False)
class Attempt:
    """One request of a customer, by one process. `saw` is what stood at the transfer's id when the request
    first looked (`None` as long as it has not), `told` what it was answered."""

    began: int
    looked: bool = False
    saw: Transfer | Mark | None = None
    e2e: str | None = None
    told: str = "nothing"


@dataclass(eq=False)
class Asked:
    """What a customer wants under one key, and what became of it. `refusals` are the numbers of the marks
    that stood when a refusal was answered, `body` the first answer."""

    wish: Payment | GivingBack
    attempts: list[Attempt] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    body: str | None = None
    busy: int = 0

    @property
    def transfer_id(self) -> str:
        return self.wish.transfer_id

    @property
    def decided(self) -> bool:
        """Whether its customer knows what became of it."""
        return bool(self.body or self.refusals) or any(each.told == "reused" for each in self.attempts)


class _Watched(Ledger):
    """A ledger that remembers what a request saw first."""

    def __init__(self, world: World, store: Store, process: Process) -> None:
        clock = Clock(world.clock_of(process), world.new_id, world.monotonic, world.rest)
        super().__init__(store.client(process), TABLES, SHARDS, clock=clock)
        self._world = world

    def standing(self, *args: Any) -> Standing:
        standing = super().standing(*args)
        note = self._world.current.note
        if note is not None and not note.looked:
            note.looked = True
            note.saw = standing.found
        return standing


class _InTurn(Executor):
    """Does each thing when it is asked for, in the task that asks."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@dataclass(eq=False)
class Service:
    """A process of the Transaction Service."""

    process: Process
    ledger: Ledger
    transfers: Transfers


@dataclass
class Bank:
    """All processes, on one store and one broker. `owners` says whose each account is; `elsewhere` is another
    bank."""

    world: World
    store: Store
    broker: Broker
    spi: Spi
    owners: dict[str, str]
    largest: int
    asked: dict[tuple[str, str], Asked] = field(default_factory=dict)
    services: list[Service] = field(default_factory=list)
    customers: int = 0

    def __post_init__(self) -> None:
        held = HeldAccounts(self.store.raw, TABLES.accounts, ISPB)
        accounts = {each: party for each in self.owners if (party := held.party(each)) is not None}
        self.elsewhere = Elsewhere(self.spi, accounts, self.largest)

    def start(self, services: int, relays: int, sweeps: int, receivers: int) -> None:
        """Starts every process; one that is killed is started again, as Kubernetes would."""
        for number in range(services):
            self._serve(number)
        for number in range(self.broker.settling.members):
            self._keep(f"settle{number}", partial(self._settle, number))
        for number in range(self.broker.sending.members):
            self._keep(f"send{number}", partial(self._send, number))
        for number in range(relays):
            self._keep(f"relay{number}", self._relay)
        for number in range(sweeps):
            self._keep(f"sweep{number}", self._sweep)
        for number in range(receivers):
            self._keep(f"receive{number}", self._receive)

    def _process(self, name: str, again: Callable[[], None]) -> Process:
        chance = self.world.chance

        def died() -> None:
            def later() -> None:
                self.world.rest(chance.uniform(0.0, 3.0))
                again()

            self.world.spawn(f"restart {name}", later)

        return Process(name, timedelta(seconds=chance.choice((0, 0, 0, -2, 2))), died=died)

    def _serve(self, number: int) -> None:
        process = self._process(f"service{number}", lambda: self._serve(number))
        ledger = _Watched(self.world, self.store, process)
        destinations = Destinations(
            ISPB,
            HeldAccounts(self.store.client(process), TABLES.accounts, ISPB),
            FakeDirectory(),
            StaticCodes(),
        )
        service = Service(process, ledger, Transfers(ledger, ISPB, LIFETIME, rendered, destinations))
        self.services[number:] = [service, *self.services[number + 1 :]]

    def _keep(self, name: str, run: Callable[[Process, Signal], None]) -> None:
        process = self._process(name, lambda: self._keep(name, run))
        self.world.spawn(name, lambda: run(process, self.world.signal()), process)

    def _settle(self, number: int, process: Process, stop: Any) -> None:
        settlement = Settlement(_Watched(self.world, self.store, process))
        worker = Worker(
            SETTLE_SETTINGS,
            settlement.handlers(),
            Producer(SETTLE_SETTINGS, lambda: Producing(self.broker, process)),
            lambda: None,
            together=settlement.together(),
            connect=lambda: Consuming(self.broker, self.broker.settling, process, number),
            clock=self.world.monotonic,
            jitter=self.world.chance.random,
        )
        worker.run(stop)

    def _send(self, number: int, process: Process, stop: Any) -> None:
        ledger = _Watched(self.world, self.store, process)
        orders = Orders(self.spi.line(process), UNSIGNED, ledger.clock.now)
        answers = Answers(ledger, orders, monotonic=self.world.monotonic, pool=_InTurn())
        sending = Sending(ledger, orders, answers)

        def ask() -> None:
            while True:
                self.world.rest(max(0.01, min(answers.round(), 0.25)))

        self.world.spawn(f"answers{number}", ask, process)
        worker = Worker(
            SEND_SETTINGS,
            sending.handlers(),
            Producer(SEND_SETTINGS, lambda: Producing(self.broker, process)),
            lambda: None,
            together=sending.together(),
            skips=sending.skips(),
            connect=lambda: Consuming(self.broker, self.broker.sending, process, number),
            clock=self.world.monotonic,
            jitter=self.world.chance.random,
        )
        worker.run(stop)

    def _receive(self, process: Process, stop: Any) -> None:
        reception(
            self.spi.line(process),
            self.store.client(process),
            TABLES,
            _Watched(self.world, self.store, process),
            ispb=ISPB,
            pool=_InTurn(),
        ).run(stop, lambda: None)

    def _relay(self, process: Process, stop: Any) -> None:
        clock = Clock(self.world.clock_of(process), self.world.new_id)
        publisher = Producer(RELAY_SETTINGS, lambda: Producing(self.broker, process))
        outbox = Outbox(self.store.client(process), TABLES.events)
        retention = timedelta(hours=24)
        reader = Reading(self.broker, process)
        relay = Relay(
            outbox,
            publisher,
            reader,
            SHARDS,
            clock.new_id(),
            retention=retention,
            clock=clock,
            monotonic=self.world.monotonic,
        )
        relay.run(stop, lambda: None)

    def _sweep(self, process: Process, stop: Any) -> None:
        ledger = _Watched(self.world, self.store, process)
        Sweep(ledger, Outbox(self.store.client(process), TABLES.events)).run(stop, lambda: None)

    # --- customers ----------------------------------------------------------------------------------

    def customer(self, name: str, wishes: int) -> None:
        """Asks for so many things, one after the other, and repeats each request while it is not decided."""
        self.customers += 1
        chance = self.world.chance

        def act() -> None:
            mine: list[Asked] = []
            for number in range(wishes):
                self.world.rest(chance.expovariate(10.0))
                drawn = chance.random()
                if mine and drawn < 0.1:
                    asked = chance.choice(mine)
                elif mine and drawn < 0.12:
                    asked = self._another(chance.choice(mine))
                else:
                    asked = self._wish(f"{name}-{number}")
                    mine.append(asked)
                    if isinstance(asked.wish, GivingBack) and chance.random() < 0.5:
                        same = self._keep_in_mind(
                            Asked(replace(asked.wish, key=f"{name}-{number}, the same from elsewhere"))
                        )
                        self.world.spawn(f"{name} elsewhere", partial(self.attempt, same))
                if chance.random() < 0.15:
                    self.world.spawn(f"{name} again", partial(self.attempt, asked))
                for _ in range(chance.randrange(1, 5)):
                    self.attempt(asked)
                    if asked.decided:
                        break
                    self.world.rest(chance.uniform(0.0, 1.0))
            self.customers -= 1

        self.world.spawn(name, act)

    def _wish(self, key: str) -> Asked:
        """A payment, or a return of something that was paid."""
        chance = self.world.chance
        asked: Asked | None = None
        if chance.random() < 0.25:
            asked = self._return(key)
        if asked is None:
            payer, payee = chance.sample(list(self.owners), 2)
            to = ELSEWHERE if chance.random() < 0.25 else payee
            amount = chance.randint(1, self.largest)
            asked = Asked(Payment(self.owners[payer], key, payer, to, amount, None, None))
        return self._keep_in_mind(asked)

    def _keep_in_mind(self, asked: Asked) -> Asked:
        self.asked[asked.wish.key, asked.wish.subject] = asked
        return asked

    def _return(self, key: str) -> Asked | None:
        """A return of what somebody here paid, or another bank."""
        chance = self.world.chance
        here = [
            (each.transfer_id, each.wish.to, each.wish.amount_cents)
            for each in self.asked.values()
            if isinstance(each.wish, Payment) and isinstance(each.wish.to, str)
        ]
        came = [
            (incoming.transfer_id(each.id), each.payee, each.cents)
            for each in self.spi.orders.values()
            if each.comes and each.payee is not None and each.returns is None
        ]
        paid = [
            settled
            for each in (here, came)
            if (settled := [one for one in each if self.store.status(one[0]) == "SETTLED"])
        ]
        if not paid:
            return None
        # One of the latest, so that several return the same.
        transfer_id, payee, amount = chance.choice(chance.choice(paid)[-4:])
        cents = chance.choice((amount, chance.randint(1, amount)))
        return Asked(GivingBack(self.owners[payee], key, transfer_id, cents, "simulated", None))

    def _another(self, asked: Asked) -> Asked:
        """Another request under the same key."""
        wish = replace(asked.wish, amount_cents=asked.wish.amount_cents + 1)
        return self.asked.setdefault((f"{wish.key}, another", wish.subject), Asked(wish))

    def attempt(self, asked: Asked) -> None:
        """One request, by a process that is there, and what its answer promises."""
        alive = [each for each in self.services if each.process.alive]
        if not alive:
            return
        world = self.world
        service = world.chance.choice(alive)
        note = Attempt(world.steps)
        asked.attempts.append(note)
        asked.busy += 1
        world.current.note = note
        try:
            with world.inside(service.process):
                if isinstance(asked.wish, Payment):
                    answer = service.transfers.request(asked.wish, Deadline.after(SECONDS))
                else:
                    answer = service.transfers.give_back(asked.wish, Deadline.after(SECONDS))
        except Killed:
            note.told = "nothing"
        except Refusal as refusal:
            note.told = refusal.code
            self._refused(asked, refusal)
        except KeyReused:
            note.told = "reused"
        except (Unknown, OutcomeUnknown):
            note.told = "unknown"
        except Unavailable:
            note.told = "unavailable"
            self._nothing_done(asked)
        else:
            note.told = "acked"
            self._acked(asked, answer.transfer)
        finally:
            world.current.note = None
            asked.busy -= 1

    def _acked(self, asked: Asked, told: Transfer) -> None:
        """What is acknowledged stands, and every answer is the first one."""
        found = self.store.at(asked.transfer_id)
        if not isinstance(found, Transfer) or found.request_hash != asked.wish.request_hash:
            self.world.violated(f"{asked.transfer_id} is acknowledged and does not stand")
        elif told.answer != (asked.body or found.answer):
            self.world.violated(f"{asked.transfer_id} is answered otherwise than at first")
        if json.loads(told.answer)["transfer_id"] != asked.transfer_id:
            self.world.violated(f"{asked.transfer_id} is answered by another transfer")
        asked.body = asked.body or told.answer

    def _refused(self, asked: Asked, refusal: Refusal) -> None:
        """A refusal is final for everything that had looked before: its mark says so."""
        found = self.store.at(asked.transfer_id)
        if isinstance(found, Mark):
            asked.refusals.append(found.refused)
        elif found is None:
            asked.refusals.append(-1)
            self.world.violated(f"{asked.transfer_id} is refused ({refusal.code}) without a mark")
        else:
            # A later request may have passed: `books` looks at what that one saw.
            asked.refusals.append(0)

    def _nothing_done(self, asked: Asked) -> None:
        """Who is told that nothing was done may believe it, unless an attempt is not decided."""
        others = {each.told for each in asked.attempts}
        found = self.store.at(asked.transfer_id) if others <= {"unavailable"} and asked.busy == 1 else None
        if isinstance(found, Transfer) and found.request_hash == asked.wish.request_hash:
            self.world.violated(f"{asked.transfer_id} is unavailable, and stands")

    # --- operators ----------------------------------------------------------------------------------

    def operator(self, changes: int) -> None:
        """Blocks, unblocks and closes accounts."""
        chance = self.world.chance

        process = Process("operator")

        def act() -> None:
            ledger = _Watched(self.world, self.store, process)
            for _ in range(changes):
                self.world.rest(chance.expovariate(1.0))
                account_id, rule = chance.choice(list(self.owners)), chance.choice(RULES)
                if chance.random() < 0.3:
                    account_id, rule = list(self.owners)[-1], "close"
                    self._await_promise(account_id)
                changed: StatusRule = getattr(account, rule)
                try:
                    ledger.change_status(account_id, changed, Deadline.after(SECONDS))
                except (Refusal, Unavailable, OutcomeUnknown):
                    continue

        self.world.spawn("operator", act, process)

    def _await_promise(self, account_id: str) -> None:
        """Waits a while for another bank's money to be on its way: then closing is worst."""
        for _ in range(self.world.chance.choice((0, 100))):
            if self.store.promised(account_id):
                return
            self.world.rest(0.02)


@contextmanager
def simulated(world: World) -> Iterator[None]:
    """The code under test gets its time, its pauses and its chance from the world."""

    def pause(attempt: int) -> None:
        world.rest(world.chance.uniform(0.0, min(0.5, 0.015 * 2**attempt)))

    def after(cls: type[Deadline], seconds: float) -> Deadline:
        return cls(world.now + seconds, world.monotonic)

    def fresh(letter: str, ispb: str, now: Any) -> str:
        made = f"{letter}{ispb}{now:%Y%m%d%H%M}{world.chance.getrandbits(40):011x}"[:32]
        if world.current.note is not None:
            world.current.note.e2e = made
        return made

    def emit(name: str, *_: Any, **said: Any) -> None:
        if name in MISTAKES:
            world.violated(f"{name}: {said}")

    class Threading:
        Lock = staticmethod(threading.Lock)
        Event = staticmethod(world.signal)

    with ExitStack() as stack:
        for owner, name, value in (
            (dynamo, "pause", pause),
            (Deadline, "after", classmethod(after)),
            (turns, "threading", Threading),
            (end_to_end_id, "_new", fresh),
            (spi, "new_message_id", lambda ispb: f"M{ispb}{world.chance.getrandbits(92):023x}"),
            (metrics, "emit", emit),
        ):
            stack.enter_context(replaced(owner, name, value))
        yield

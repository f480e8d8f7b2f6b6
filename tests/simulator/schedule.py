"""One schedule: a bank, its customers and its faults, all from one seed; and what it broke."""

import random
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from apps.consumers.relay_outbox import ASK_SECONDS
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.apps.ledger.bank import Time, bank_on
from tests.simulator import books, broker, spi, store
from tests.simulator.bank import Bank, simulated
from tests.simulator.broker import Broker, Group
from tests.simulator.mutants import Mutant
from tests.simulator.spi import Spi
from tests.simulator.store import TABLES, Store
from tests.simulator.world import World

OPENED = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
MONTH_END = datetime(2026, 11, 30, 23, 59, 58, tzinfo=UTC)
CPFS = {
    "ana": "52998224725",
    "bruno": "11144477735",
    "carla": "12345678909",
    "davi": "98765432100",
    "elisa": "24681357928",
}
DRAIN_SECONDS = 300.0
"""Virtual. Once all faults are over, everything is decided and told within this."""


@dataclass(frozen=True)
class Result:
    """What a schedule did. `trace` is a checksum of who did what in which order; `slips` are mistakes of the
    mutant, which breaks no rule then."""

    seed: int
    violations: tuple[str, ...]
    transfers: int
    steps: int
    trace: int
    slips: tuple[str, ...]


def replay(seed: int, mutant: Mutant | None = None) -> str:
    """The command that runs this schedule again, step by step the same."""
    broken = f" --mutant '{mutant.what}'" if mutant else ""
    return f"run it again: .venv/bin/python -m tests.simulator --seed {seed}{broken}"


@cache
def _opened() -> tuple[FakeDynamo, dict[str, str]]:
    """Five customers with money and one account without any: how every schedule begins."""
    time = Time(OPENED)
    raw = FakeDynamo(catalog_tables(""), lambda: time().timestamp())
    bank = bank_on(raw, TABLES, time)
    owners: dict[str, str] = {}
    for name, tax_id in CPFS.items():
        owners[bank.open(name, tax_id, name)] = name
        bank.settle_all()
    owners[bank.open("ana", CPFS["ana"], "empty")] = "ana"
    return raw, owners


def run(seed: int, wishes: int = 40, mutant: Mutant | None = None) -> Result:
    """Runs the schedule of a seed, with a rule broken if a mutant is given."""
    chance = random.Random(seed)
    start = chance.choice((OPENED + timedelta(days=1), MONTH_END))
    world = World(chance.getrandbits(64), start, stay=chance.choice((0.0, 0.3, 0.8)))
    raw, owners = _opened()
    kept = Store(world, store.copied(raw, world.monotonic), _store_chances(chance))
    settling, sending = Group(chance.randint(1, 3), None), Group(chance.randint(1, 2), "spi")
    topic = Broker(
        world, chance.randint(1, 4), settling, sending, kept.status, chances=_broker_chances(chance)
    )
    rail = Spi(world, kept, _spi_chances(chance))
    forgets = chance.random() < 0.1
    # A few accounts for all make them hot; small ones run out of money.
    *rich, empty = owners
    hot = [*chance.sample(rich, chance.choice((2, 3, 5))), *chance.choice(([], [empty]))]
    largest = chance.choice((100, 30_000, 80_000))
    bank = Bank(world, kept, topic, rail, {each: owners[each] for each in hot}, largest)
    with simulated(world), mutant.applied() if mutant else nullcontext(list[str]()) as slips:
        try:
            _play(bank, chance, wishes, forgets=forgets)
        finally:
            world.end()
    return Result(seed, tuple(world.violations), len(kept.made), world.steps, world.trace, tuple(slips))


def _play(bank: Bank, chance: random.Random, wishes: int, *, forgets: bool) -> None:
    world = bank.world
    before = books.opened(bank.store)
    bank.store.know_totals()
    bank.start(
        services=chance.randint(1, 2),
        relays=chance.randint(1, 2),
        sweeps=chance.randint(1, 2),
        receivers=chance.choice((1, 1, 2)),
    )
    customers = chance.choice((2, 5, 10))
    for number in range(customers):
        bank.customer(f"customer{number}", wishes // customers)
    for number in range(chance.choice((0, 1, 2))):
        bank.elsewhere.customer(f"elsewhere{number}", chance.randint(2, 6))
    if chance.random() < 0.5:
        bank.operator(chance.randint(1, 6))
    for happening in _happenings(bank, chance, forgets=forgets):
        if world.violations or not (bank.customers or bank.elsewhere.customers):
            break
        world.rest(happening)
    bank.store.chances, lost = store.CALM, bank.broker.memory
    bank.broker.calm()
    bank.spi.chances = spi.CALM
    for violation in _drained(bank, lost=bool(lost)):
        world.violated(violation)
    if not world.violations:
        for violation in books.final_misfits(bank, before):
            world.violated(violation)


def _happenings(bank: Bank, chance: random.Random, *, forgets: bool) -> Iterator[float]:
    """Looks at the books from time to time while everything moves; and what happens to all at once. Gives how
    long to wait until the next."""
    jump = chance.choice((None, None, None, timedelta(minutes=31), timedelta(seconds=-20)))
    for number in range(200):
        yield chance.uniform(0.1, 1.0)
        if number % 3 == 0:
            for violation in books.misfits(books.opened(bank.store), bank.spi):
                bank.world.violated(violation)
        if jump is not None and chance.random() < 0.3:
            bank.world.wall += jump
            jump = None
        if forgets and chance.random() < 0.3:
            bank.broker.forget()
            forgets = False


def _drained(bank: Bank, *, lost: bool) -> Iterator[str]:
    """Lets everything come to rest with nobody's help, but for customers who repeat what is undecided."""
    world = bank.world
    end = world.now + DRAIN_SECONDS
    # So long a relay may take to see that the broker has lost its memory, if nothing shows it earlier.
    settled_at = world.now + (ASK_SECONDS + 1.0 if lost else 0.0)
    while world.now < end and not world.violations:
        world.rest(0.25)
        for asked in list(bank.asked.values()):
            if not asked.decided and not asked.busy:
                bank.attempt(asked)
        if any(each.busy or not each.decided for each in bank.asked.values()):
            continue
        if bank.elsewhere.customers or not bank.spi.at_rest:
            continue
        if bank.customers or bank.store.undecided or bank.store.waiting or bank.store.searching:
            continue
        if world.now > settled_at:
            return
    if not world.violations:
        yield (
            f"{bank.store.undecided} transfers are held and {bank.store.waiting} events wait "
            f"{DRAIN_SECONDS:.0f} seconds after the last fault"
        )


def _store_chances(chance: random.Random) -> store.Chances:
    """A calm world, a rough one, or one with one kind of fault."""
    kinds = ("refused", "failed", "lost", "late", "cancelled", "stalled", "killed")
    most = {"refused": 0.05, "failed": 0.05, "lost": 0.05, "late": 0.05, "cancelled": 0.1, "stalled": 0.01}
    most["killed"] = 0.01
    mood = chance.choice(("rough", "rough", "one", "none"))
    chosen = {"rough": kinds, "one": (chance.choice(kinds),), "none": ()}[mood]
    scale = chance.choice((0.3, 1.0))
    return store.Chances(**{kind: most[kind] * scale for kind in chosen})


def _spi_chances(chance: random.Random) -> spi.Chances:
    if chance.random() < 0.25:
        return spi.CALM
    return spi.Chances(
        lost=chance.choice((0.0, 0.1, 0.3)),
        late=chance.choice((0.0, 0.1)),
        killed=chance.choice((0.0, 0.02)),
        copies=chance.choice((0.0, 0.5)),
        slow=chance.choice((0.0, 0.3)),
        rejected=chance.choice((0.0, 0.2)),
        unsaid=chance.choice((0.0, 0.3, 1.0)),
        twice=chance.choice((0.0, 0.3)),
        delayed=chance.choice((0.0, 0.3)),
    )


def _broker_chances(chance: random.Random) -> broker.Chances:
    if chance.random() < 0.25:
        return broker.Chances()
    return broker.Chances(
        lost=chance.choice((0.0, 0.1)),
        twice=chance.choice((0.0, 0.1)),
        delayed=chance.choice((0.0, 0.2)),
        again=chance.choice((0.0, 0.3)),
        uncommitted=chance.choice((0.0, 0.2)),
        away=chance.choice((0.0, 0.01)),
        moved=chance.choice((0.0, 0.05)),
        killed=chance.choice((0.0, 0.01)),
    )

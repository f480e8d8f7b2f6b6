"""The books after a schedule, by an eye of its own: what was answered, what stands, and what was told."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apps.kit import events
from apps.ledger import items
from apps.ledger.account import Balance, is_internal
from apps.ledger.audit import Auditor
from apps.ledger.entries import Drift, Entry, fold
from apps.ledger.items import Mark
from apps.ledger.store import Clock
from apps.ledger.transfer import ACCEPTED, HELD, REJECTED, SENT, SETTLED, Transfer
from apps.pix import incoming
from apps.pix.limits import USUAL
from tests.simulator import rail_books
from tests.simulator.bank import Asked, Attempt, Bank
from tests.simulator.broker import Stored
from tests.simulator.spi import Spi
from tests.simulator.store import SHARDS, TABLES, Store
from tests.simulator.world import Process


@dataclass(frozen=True)
class Books:
    """Everything that stands, at one moment."""

    balances: dict[str, Balance]
    entries: dict[str, list[Entry]]
    transfers: dict[str, Transfer]
    marks: dict[str, Mark]
    e2e: dict[str, list[str]]


def opened(store: Store) -> Books:
    """Reads all of it."""
    books = Books({}, defaultdict(list), {}, {}, defaultdict(list))
    for partition, rows in store.raw._rows[TABLES.accounts]._items.items():
        if partition.startswith("ACC#") and items.BALANCE_SORT in rows:
            balance = items.balance_of(rows[items.BALANCE_SORT])
            books.balances[balance.account_id] = balance
        elif partition.startswith("ENT#"):
            found = [items.entry_of(item) for item in rows.values()]
            books.entries[partition.split("#", 1)[1].rsplit("#", 1)[0]] += found
    for partition, rows in store.raw._rows[TABLES.transactions]._items.items():
        for item in rows.values():
            if partition.startswith("TX#"):
                standing = items.found_of(item)
                if isinstance(standing, Transfer):
                    books.transfers[standing.transfer_id] = standing
                elif standing is not None:
                    books.marks[partition.removeprefix("TX#")] = standing
            elif partition.startswith("E2E#"):
                books.e2e[item["transfer"]["S"]].append(partition.removeprefix("E2E#"))
    return books


def misfits(books: Books, spi: Spi) -> Iterator[str]:
    """What does not fit between balances, transfers and the SPI's record: true at every moment."""
    sums = _sums(books)
    for account_id, balance in books.balances.items():
        said = {
            "on hold, its held transfers are": balance.on_hold,
            "waited for, its promises are": balance.pending_credits,
            "in all, its transfers add up to": balance.total,
        }
        for what, cents in said.items():
            if cents != (added := sums[what][account_id]):
                yield f"{account_id} has {cents} {what} {added}"
        if balance.status == "CLOSED" and any(said.values()):
            yield f"{account_id} is closed and has {list(said.values())}"
        if balance.available < 0 and not is_internal(account_id):
            yield f"{account_id} has {balance.available} available"
    if sum(balance.total for balance in books.balances.values()) != 0:
        yield "the sum of all accounts is not zero"
    yield from rail_books.money_misfits(books.balances, books.transfers, spi)


def _sums(books: Books) -> dict[str, Counter[str]]:
    """What each account's balance says, as its transfers add up."""
    total, on_hold, pending = Counter[str](), Counter[str](), Counter[str]()
    for each in books.transfers.values():
        if each.status in {"HELD", "SENT"}:
            on_hold[each.payer] += each.amount_cents
        elif each.status == "ACCEPTED":
            pending[each.payee] += each.amount_cents
        elif each.status == "SETTLED":
            total[each.payer] -= each.amount_cents
            total[each.payee] += each.amount_cents
    return {
        "on hold, its held transfers are": on_hold,
        "waited for, its promises are": pending,
        "in all, its transfers add up to": total,
    }


def final_misfits(bank: Bank, before: Books) -> Iterator[str]:
    """All that does not fit once everything has come to rest. `before` is how the schedule began."""
    books = opened(bank.store)
    yield from misfits(books, bank.spi)
    yield from _entries(books)
    yield from _returns(books)
    yield from _limits(books)
    yield from rail_books.order_misfits(books.transfers, bank.spi)
    wished = {each.transfer_id for each in bank.asked.values()} | before.transfers.keys()
    wished |= {incoming.transfer_id(each.id) for each in bank.spi.orders.values() if each.comes}
    for transfer_id in books.transfers.keys() - wished:
        yield f"nobody asked for {transfer_id}"
    for asked in bank.asked.values():
        yield from _answers(bank, books, asked)
    for transfer_id, names in books.e2e.items():
        if transfer_id not in books.transfers or names != [books.transfers[transfer_id].end_to_end_id]:
            yield f"{transfer_id} is known by {names}"
    yield from _events(bank, [each for name, each in books.transfers.items() if name not in before.transfers])
    process = Process("auditor")
    report = Auditor(bank.store.raw, TABLES, SHARDS, clock=Clock(bank.world.clock_of(process))).audit()
    for drift in report.drift:
        yield f"the auditor says: {drift}"
    if report.sum_cents:
        yield f"the auditor says: the sum is {report.sum_cents}"


def _entries(books: Books) -> Iterator[str]:
    for account_id, balance in books.balances.items():
        entries = sorted(books.entries[account_id], key=lambda entry: entry.seq)
        try:
            folded = fold(account_id, entries)
        except Drift as drift:
            yield str(drift)
            continue
        said = (balance.seq, balance.available, balance.on_hold, balance.last_hash, balance.status)
        if said != (folded.seq, folded.available, folded.on_hold, folded.last_hash, folded.status):
            yield f"{account_id} is not what its entries add up to"


def _limits(books: Books) -> Iterator[str]:
    """What was sent in each period is within its limit, and what the balance says of it is the sum."""
    sent = Counter[tuple[str, str]]()
    for each in books.transfers.values():
        if each.limit_period is not None and each.status != "REJECTED":
            sent[each.payer, each.limit_period] += each.amount_cents
    for (account_id, period), cents in sent.items():
        limit = {"day": USUAL.day, "night": USUAL.night, "legal": USUAL.legal}[period.partition("/")[2]]
        if cents > limit.value:
            yield f"{account_id} has sent {cents} in {period}"
    for account_id, balance in books.balances.items():
        for period, cents in balance.used.periods:
            if cents != sent[account_id, period]:
                yield f"{account_id} says {cents} of {period}, it has sent {sent[account_id, period]}"


def _returns(books: Books) -> Iterator[str]:
    given = Counter[str]()
    for each in books.transfers.values():
        if each.original_transfer_id is not None and each.status != "REJECTED":
            given[each.original_transfer_id] += each.amount_cents
    for transfer_id, cents in given.items():
        if cents > books.transfers[transfer_id].amount_cents:
            yield f"more was returned of {transfer_id} than was paid"
    for each in books.transfers.values():
        whole = each.amount_cents if (each.kind, each.status) == ("transfer", "SETTLED") else 0
        if each.returnable_cents != whole - given[each.transfer_id]:
            yield f"{each.transfer_id} says that {each.returnable_cents} can be returned"


def _answers(bank: Bank, books: Books, asked: Asked) -> Iterator[str]:
    """What customers were told is how it is."""
    name = asked.transfer_id
    found = books.transfers.get(name)
    if found is None:
        if asked.body is not None:
            yield f"{name} was acknowledged and is not there"
        if not asked.decided:
            yield f"{name} was never decided"
        return
    if found.request_hash != asked.wish.request_hash:
        if asked.body is not None:
            yield f"{name} was acknowledged and is another request"
        return
    if asked.body is None and asked.decided and not asked.refusals:
        yield f"{name} was told to be another request, and stands"
    makers = [each for each in asked.attempts if each.e2e == bank.store.made[name]]
    if len(makers) != 1:
        yield f"{name} was made by {len(makers)} requests"
        return
    yield from _told(name, makers[0], asked.refusals)


def _told(name: str, maker: Attempt, refusals: Sequence[int]) -> Iterator[str]:
    """Who made the transfer was not told otherwise, and nobody had been refused whom it should have seen."""
    if maker.told not in {"acked", "unknown", "nothing"}:
        yield f"{name} was made by a request that was told {maker.told}"
    seen = maker.saw.refused if isinstance(maker.saw, Mark) else None
    for refused in refusals:
        # A refusal is final for every request that had looked before it.
        if seen is None or refused > seen:
            yield f"{name} was refused, and a request that had looked before made it"


def _events(bank: Bank, transfers: list[Transfer]) -> Iterator[str]:
    """Every change is on the topic, under one id and with the same bytes each time, and nothing else is."""
    copies: dict[tuple[str, str], list[Stored]] = defaultdict(list)
    for record in (record for log in bank.broker.logs for record in log):
        copies[record.header("ce_subject"), record.header("ce_type")].append(record)
    decided = {"SETTLED": SETTLED, "REJECTED": REJECTED}
    expected = {(each.transfer_id, ACCEPTED if each.incoming else HELD) for each in transfers}
    expected |= {(each.transfer_id, SENT) for each in transfers if each.message_id is not None}
    expected |= {(each.transfer_id, decided[each.status]) for each in transfers if each.status in decided}
    for transfer_id, kind in copies.keys() - expected:
        yield f"{kind} of {transfer_id} was told and is not so"
    for transfer_id, kind in expected - copies.keys():
        yield f"{kind} of {transfer_id} was never told"
    for (transfer_id, kind), records in copies.items():
        if len({(record.key, record.value, tuple(record.headers)) for record in records}) > 1:
            yield f"{kind} of {transfer_id} was told in two ways"
        body = events.decode(records[0].headers, records[0].value)
        if (transfer_id, kind) in expected and body.data["transfer_id"] != transfer_id:
            yield f"{kind} of {transfer_id} tells of another transfer"

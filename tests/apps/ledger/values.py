"""Ledger values for tests: fixed ones for examples, Hypothesis strategies for properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import strategies as st

from apps.kit import events as kit_events
from apps.ledger import outbox
from apps.ledger.account import Balance, month_of, unopened
from apps.ledger.entries import AccountStatus, Entry, EntryKind, MonthOpening
from apps.ledger.incoming import Incoming
from apps.ledger.items import Mark
from apps.ledger.outbox import Lease, Row
from apps.ledger.transfer import Attempt, Kind, Order, Sent, Status, Transfer, iso
from apps.pix import outgoing
from apps.pix.limits import Limits, Receiver, Setting, Used
from apps.pix.outgoing import Outgoing
from apps.pix.spi import Party

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
AT = "2026-11-25T12:00:00.000Z"
LATER = "2026-11-25T12:00:01.000Z"
LIFETIME = timedelta(minutes=30)

ANA = "0a000000-0000-5000-8000-000000000001"
BRUNO = "0b000000-0000-5000-8000-000000000002"
TREASURY_ITEM = "treasury#3"
TRANSFER_ID = "7e000000-0000-5000-8000-00000000000e"
ATTEMPT = Attempt(NOON, "e0000000-0000-4000-8000-000000000001")
NEXT_ATTEMPT = Attempt(NOON + timedelta(seconds=1), "e0000000-0000-4000-8000-000000000002")


def balance(
    account_id: str = ANA,
    *,
    owner: str = "ana",
    available: int = 1000,
    on_hold: int = 0,
    month: str = "202611",
    frozen: bool = False,
    status: AccountStatus = "ACTIVE",
    pending_credits: int = 0,
) -> Balance:
    """A balance in the middle of its life."""
    return Balance(
        account_id, owner, 7, available, on_hold, AT, month, "a" * 64, frozen, status, pending_credits
    )


def treasury(*, frozen: bool = False) -> Balance:
    """An item of the bank's own account that was never used."""
    new = unopened(TREASURY_ITEM, "", AT)
    return Balance(**(vars(new) | {"frozen": frozen}))


def settlement(*, frozen: bool = False) -> Balance:
    """An item of what is owed between banks that was never used."""
    new = unopened(SETTLEMENT_ITEM, "", AT)
    return Balance(**(vars(new) | {"frozen": frozen}))


ORDER = Order(
    transfer_id=TRANSFER_ID,
    kind="transfer",
    subject="ana",
    payer=ANA,
    payee=BRUNO,
    amount_cents=300,
    description="Almoço",
    end_to_end_id="E9999901020261125120000000000001",
    request_hash="c" * 64,
    request_id="req-1",
)
RETURN_ID = "7f000000-0000-5000-8000-00000000000f"
RETURN = Order(
    transfer_id=RETURN_ID,
    kind="return",
    subject="bruno",
    payer=BRUNO,
    payee=ANA,
    amount_cents=200,
    description="Pedido errado",
    end_to_end_id="D9999901020261125120000000000002",
    request_hash="d" * 64,
    request_id="req-2",
    original_transfer_id=TRANSFER_ID,
)
SETTLEMENT_ITEM = "settlement#1"
PAYMENT = outgoing.written(
    Outgoing(
        instrument="DICT",
        debtor=Party("99999010", "52998224725", "000012345", "CACC", "0001", "Ana Souza"),
        creditor=Party("18236120", "31827465026", "987654321", "TRAN", "0001", "Maria da Silva"),
        key="maria.silva@example.com",
    )
)
PIX = replace(ORDER, payee=SETTLEMENT_ITEM, payment=PAYMENT)
PIX_IN = Incoming(
    transfer_id=TRANSFER_ID,
    kind="transfer",
    payer=SETTLEMENT_ITEM,
    payee=ANA,
    amount_cents=300,
    description="Aluguel",
    end_to_end_id="E6070119020261125115900000000003",
    accepted_at="2026-11-25T11:59:59.000Z",
    request_hash="e" * 64,
    payment=outgoing.written(
        Outgoing(
            instrument="DICT",
            debtor=Party("60701190", "31827465026", "987654321", "TRAN", "0001", "Maria da Silva"),
            creditor=Party("99999010", "52998224725", "000012345", "CACC", "0001", "Ana Souza"),
            key="ana@example.com",
        )
    ),
)
SENT_ORDER = Sent("<Envelope/>", "M9999901000000000000000000000001", AT)
GRANT = Order(
    transfer_id=TRANSFER_ID,
    kind="grant",
    subject="",
    payer=TREASURY_ITEM,
    payee=ANA,
    amount_cents=100_000,
    description=None,
    end_to_end_id=None,
    request_hash="c" * 64,
    request_id=None,
)

# DynamoDB keeps text as UTF-8, so half a surrogate pair never gets there.
texts = st.text(st.characters(codec="utf-8"))
cents = st.integers(-(10**17), 10**17)
amounts = st.integers(1, 10**12)
counts = st.integers(0, 10**12 - 1)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
times = moments.map(iso)
ids = st.uuids().map(str)
account_ids = ids | st.builds(
    "{}#{}".format, st.sampled_from(["treasury", "settlement"]), st.integers(0, 7).map(str)
)

settings = st.builds(Setting, cents) | st.builds(Setting, cents, cents, times.map(datetime.fromisoformat))
limits = st.builds(Limits, settings, settings, settings, settings)
used = st.dictionaries(
    st.sampled_from(["2026-11-25/day", "2026-11-25/night", "2026-11-26/legal"]), counts
).map(lambda periods: Used(tuple(sorted(periods.items()))))
balances = st.builds(
    Balance,
    account_id=account_ids,
    owner=texts,
    seq=counts,
    available=cents,
    on_hold=cents,
    opened_at=times,
    month=times.map(month_of),
    last_hash=hashes,
    frozen=st.just(False),
    status=st.sampled_from(get_args(AccountStatus)),
    pending_credits=cents,
    holder=st.sampled_from(get_args(Receiver)),
    limits=st.none() | limits,
    used=used,
)
openings = st.builds(
    MonthOpening,
    account_id=account_ids,
    month=times.map(month_of),
    seq=counts,
    available=cents,
    on_hold=cents,
    last_hash=hashes,
    status=st.sampled_from(get_args(AccountStatus)),
)
entries = st.builds(
    Entry,
    account_id=account_ids,
    seq=counts,
    kind=st.sampled_from(get_args(EntryKind)),
    transfer_id=st.none() | ids,
    delta_available=cents,
    delta_on_hold=cents,
    available_after=cents,
    on_hold_after=cents,
    at=times,
    month=times.map(month_of),
    prev_hash=hashes,
    hash=hashes,
)
transfers = st.builds(
    Transfer,
    transfer_id=ids,
    kind=st.sampled_from(get_args(Kind)),
    status=st.sampled_from(get_args(Status)),
    payer=account_ids,
    payee=account_ids,
    payer_owner=texts,
    payee_owner=texts,
    amount_cents=amounts,
    description=st.none() | texts,
    end_to_end_id=st.none() | texts,
    created_at=times,
    expires_at=times,
    due_at=st.none() | times,
    looks=counts,
    decided_at=st.none() | times,
    reason=st.none() | texts,
    request_hash=hashes,
    request_id=st.none() | texts,
    event_id=ids,
    answer=texts,
    original_transfer_id=st.none() | ids,
    returnable_cents=counts,
    limit_period=st.none() | st.just("2026-11-25/night"),
)
marks = st.builds(Mark, refused=st.integers(1), problem=texts)
records = st.builds(
    lambda key, value: kit_events.record_to_json(kit_events.Record(outbox.TOPIC, key, value, ())),
    texts,
    st.binary(max_size=50),
)
rows = st.builds(
    Row,
    shard=st.integers(0, 15),
    sort=st.builds("{}#{}".format, times, ids),
    transfer_id=ids,
    event_id=ids,
    record=records,
)
places = st.dictionaries(st.integers(0, 99), st.builds(outbox.Mark, offset=counts, event_id=ids))
leases = st.builds(
    Lease,
    shard=st.integers(0, 15),
    owner=texts,
    epoch=counts,
    version=counts,
    until=times,
    memory=counts,
    last=places,
    witnesses=places,
)

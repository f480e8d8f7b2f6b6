"""Every event that was ever on the wire, byte for byte: `golden/<event>.v<version>.json`.

A golden file is a record as `record_from_json` reads it, written once and never changed: somewhere a topic,
an outbox or a dead-letter queue still holds these bytes. Whoever changes an event raises its version and
adds a file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from apps.consumers.settle_transfers import Settlement
from apps.kit import events
from apps.kit.events import Record
from apps.ledger import incoming, returns, transfer
from apps.ledger.outbox import row_of
from apps.ledger.store import Ledger
from apps.ledger.transfer import ACCEPTED, EVENT_VERSION, SENT, Change, hold, reject, send, settle
from tests.apps.ledger.values import (
    ATTEMPT,
    BRUNO,
    GRANT,
    LIFETIME,
    NEXT_ATTEMPT,
    ORDER,
    PIX,
    PIX_IN,
    RETURN,
    SENT_ORDER,
    balance,
    settlement,
    treasury,
)

FIRST_VERSIONS = {SENT: 3, ACCEPTED: 3}
"""Events that came later than the others."""
FILES = sorted((Path(__file__).parent / "golden").glob("*.json"))


def golden(name: str) -> Record:
    return events.record_from_json((Path(__file__).parent / "golden" / name).read_text(encoding="utf-8"))


def name_of(kind: str, version: int) -> str:
    """`br.gobanking.transfer.held`, 1: `transfer_held.v1.json`."""
    return f"{kind.removeprefix('br.gobanking.').replace('.', '_')}.v{version}.json"


def held() -> Change:
    return hold(ORDER, balance(), balance(BRUNO, owner="bruno"), LIFETIME, ATTEMPT)


def settled() -> Change:
    """A return, which names its original."""
    before = held()
    ana, bruno = before.postings[0].after, balance(BRUNO, owner="bruno")
    original = settle(before.transfer, ana, bruno, NEXT_ATTEMPT)
    bruno = original.postings[1].after
    giving = returns.hold(
        RETURN, original.transfer, bruno, balance(), lifetime=LIFETIME, attempt=NEXT_ATTEMPT
    )
    return settle(giving.transfer, giving.postings[0].after, balance(), NEXT_ATTEMPT)


def sent() -> Change:
    """A payment to another bank."""
    before = hold(PIX, balance(), settlement(), LIFETIME, ATTEMPT)
    return send(before.transfer, before.postings[0].after, SENT_ORDER, NEXT_ATTEMPT)


def accepted() -> Change:
    """A payment from another bank."""
    return incoming.accept(PIX_IN, balance(), None, ATTEMPT)


def rejected() -> Change:
    """A grant, which has neither description nor request nor end-to-end id."""
    before = hold(GRANT, treasury(), balance(), LIFETIME, ATTEMPT)
    return reject(before.transfer, before.postings[0].after, "payee_unavailable", NEXT_ATTEMPT)


def types() -> set[str]:
    """The types of event that the code names."""
    return {
        value
        for value in vars(transfer).values()
        if isinstance(value, str) and value.startswith("br.gobanking.")
    }


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("transfer_held.v3.json", held),
        ("transfer_sent.v3.json", sent),
        ("transfer_accepted.v3.json", accepted),
        ("transfer_settled.v3.json", settled),
        ("transfer_rejected.v3.json", rejected),
    ],
)
def test_todays_code_writes_exactly_these_bytes(name: str, change: Callable[[], Change]) -> None:
    made = change()
    assert name == name_of(made.event.type, made.event.version)
    assert events.record_from_json(row_of(made.event, made.transfer, 1).record) == golden(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_event_ever_written_is_still_read_and_handled(path: Path) -> None:
    record = golden(path.name)
    event = events.decode(record.headers, record.value)
    assert path.name == name_of(event.type, event.version)
    assert events.encode(event, record.topic, record.key) == record
    settlement = Settlement(cast("Ledger", None))
    newest = {kind: version for kind, (version, _) in settlement.handlers().items()}
    newest |= {kind: version for kind, (version, _) in settlement.together().items()}
    assert event.version <= newest[event.type]


@pytest.mark.parametrize("kind", sorted(types()))
def test_every_version_of_every_event_has_its_golden_file(kind: str) -> None:
    first = FIRST_VERSIONS.get(kind, 1)
    expected = {name_of(kind, version) for version in range(first, EVENT_VERSION + 1)}
    assert expected <= {path.name for path in FILES}


def test_the_code_names_five_events() -> None:
    assert types() == {each().event.type for each in (held, sent, accepted, settled, rejected)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_event_tells_nothing_that_is_only_for_the_ledger(path: Path) -> None:
    data = events.decode(golden(path.name).headers, golden(path.name).value).data
    secret = {"payer_owner", "payee_owner", "request_hash", "answer", "payment", "sent_order"}
    assert not secret & set(data)

"""Keys, buckets, refunds and the pool's keys on the fake and on MiniStack: the same requests, the same
outcome."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.consumers.refund_lookups import Refunds
from apps.dict_key.budget import Budget, Exhausted
from apps.dict_key.entry import Account, Owner
from apps.dict_key.items import ClaimRecord, Registration
from apps.dict_key.store import Changed, KeyStore
from apps.kit import pool_keys
from apps.kit.events import Event
from apps.ledger.transfer import SENT, iso
from apps.pix import lookup_tokens
from apps.pix.keys import classify
from tests.contract.ministack import Store

PAYER, E2E = "52998224725", "E9999901020261125123412345678900"
PHONE = classify("+5511987654321")


def table(store: Store) -> str:
    return store.tables.accounts.removesuffix("accounts") + "keys"


def registration(key_id: str = "1", key: str | None = PHONE.value, **more: Any) -> Registration:
    values: dict[str, Any] = {
        "key_id": key_id,
        "owner": "ana",
        "created_at": "2026-11-25T12:00:00.000Z",
        "account_id": "a",
        "key_type": "PHONE" if key else "EVP",
        "key": key,
        "status": "PENDING",
        "request_id": "r",
        "request_hash": "h",
        "tax_id": PAYER,
        "name": "Ana",
        "participant": "99999010",
        "branch": "0001",
        "number": "1",
        "account_type": "CACC",
        "opened_at": "2026-01-01T12:00:00.000Z",
    }
    return Registration(**(values | more))


def test_a_key_lives_from_its_reservation_to_its_end(store: Store) -> None:
    keys = KeyStore(store.client, table(store))
    wanted = registration()
    keys.begin(wanted, "2026-11-25T12:00:30.000Z")
    assert keys.entry(PHONE) is None
    assert keys.due("2026-11-25T12:00:29.000Z") == ([], [])
    assert keys.due("2026-11-25T12:00:30.000Z") == (["1"], [])
    active = keys.activate(wanted, PHONE)
    found = keys.entry(PHONE)
    assert found is not None
    assert (found.account, found.owner) == (
        Account("99999010", "0001", "1", "CACC", "2026-01-01T12:00:00.000Z"),
        Owner(PAYER, "Ana"),
    )
    assert keys.owned_by("ana") == ([active], [])
    assert keys.due("2027-01-01T00:00:00.000Z") == ([], [])
    with pytest.raises(Changed):
        keys.activate(wanted, PHONE)
    leaving = keys.begin_delete(active, iso(datetime.now(UTC)))
    keys.end(leaving)
    assert (keys.entry(PHONE), keys.owned_by("ana")) == (None, ([], []))


def test_a_key_is_reserved_once_and_an_account_has_its_five(store: Store) -> None:
    keys = KeyStore(store.client, table(store))
    keys.begin(registration(), "d")
    with pytest.raises(Changed) as changed:
        keys.begin(registration("2"), "d")
    assert (changed.value.key_held, changed.value.full) == (True, False)
    for number in range(4):
        keys.begin(registration(f"evp{number}", None), "d")
    with pytest.raises(Changed) as changed:
        keys.begin(registration("more", None), "d")
    assert changed.value.full
    keys.refuse(registration(), "[]", 2_000_000_000)
    keys.begin(registration("after"), "d")


def test_a_claim_moves_on_condition_of_what_was_read(store: Store) -> None:
    keys = KeyStore(store.client, table(store))
    claim = ClaimRecord(
        claim_id="c",
        owner="ana",
        created_at="2026-11-25T12:00:00.000Z",
        role="CLAIMER",
        type="PORTABILITY",
        status="CONFIRMED",
        key_type="PHONE",
        key=PHONE.value,
        account_id="a",
        request_id="r",
        request_hash="h",
        dict_id="d",
    )
    keys.save_claim(None, claim, "2026-11-25T12:00:30.000Z")
    with pytest.raises(Changed):
        keys.save_claim(None, claim, None)
    assert keys.claim_at_dict("d") == claim
    assert keys.due("2026-11-26T00:00:00.000Z") == ([], ["c"])
    done = ClaimRecord(**{**vars(claim), "status": "COMPLETED"})
    keys.gain(done, claim, registration("c", status="ACTIVE"))
    assert keys.claim("c") == done
    assert keys.entry(PHONE) is not None
    with pytest.raises(Changed):
        keys.gain(done, claim, registration("c", status="ACTIVE"))


def test_tokens_go_below_zero_come_back_and_are_refunded_once(store: Store) -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    budget = Budget(store.client, table(store), "H", lambda: now.timestamp())
    for _ in range(5):
        budget.missed(budget.admit("PHONE", PAYER))
    with pytest.raises(Exhausted) as exhausted:
        budget.admit("PHONE", PAYER)
    # 100 tokens less five misses of 20.
    assert (exhausted.value.of_user, exhausted.value.retry_after) == (True, 60)
    now += timedelta(minutes=1)
    spending = budget.admit("PHONE", PAYER)
    budget.remember(spending, E2E, 60)
    refunds = Refunds(store.client, table(store), lambda: now.timestamp())
    event = Event("1", SENT, 1, "/t", "t", iso(now), {"end_to_end_id": E2E})
    for _ in range(2):
        refunds.refund(event)
    for _ in range(2):
        budget.admit("PHONE", PAYER)
    with pytest.raises(Exhausted):
        budget.admit("PHONE", PAYER)
    assert lookup_tokens.user_policy("PHONE", PAYER).refill == 2


def test_the_pools_keys_pass_through_the_store(store: Store) -> None:
    document = {"keys": [{"kid": "k", "n": "x" * 400}]}
    pool_keys.publishing(store.client, store.tables.accounts, lambda _: document)("http://pool")
    assert pool_keys.published(store.client, store.tables.accounts)("http://pool") == document

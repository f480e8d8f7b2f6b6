"""Returns: who may give what back, and that never more goes back than came."""

from dataclasses import replace
from typing import Any

import pytest

from apps.ledger import returns
from apps.ledger.account import Refusal
from apps.ledger.transfer import Order, Returnable, Transfer, hold, reject, settle
from tests.apps.ledger.values import (
    ATTEMPT,
    BRUNO,
    LIFETIME,
    NEXT_ATTEMPT,
    ORDER,
    RETURN,
    TRANSFER_ID,
    balance,
)

BRUNOS = balance(BRUNO, owner="bruno", available=300)
HELD = hold(ORDER, balance(), BRUNOS, LIFETIME, ATTEMPT)
SETTLED = settle(HELD.transfer, HELD.postings[0].after, BRUNOS, ATTEMPT).transfer


def held(order: Order = RETURN, original: Transfer | None = SETTLED) -> Any:
    return returns.hold(order, original, BRUNOS, balance(), lifetime=LIFETIME, attempt=ATTEMPT)


def test_a_return_is_a_transfer_of_its_own_that_names_its_original_and_takes_from_it() -> None:
    change = held()
    assert (change.transfer.kind, change.transfer.status) == ("return", "HELD")
    assert change.transfer.original_transfer_id == TRANSFER_ID
    assert change.returnable == Returnable(TRANSFER_ID, -200)
    assert (change.event.data["kind"], change.event.data["original_transfer_id"]) == ("return", TRANSFER_ID)
    assert [posting.after.on_hold for posting in change.postings] == [200]


def test_a_settled_return_gives_nothing_back_and_cannot_be_returned_itself() -> None:
    change = settle(held().transfer, held().postings[0].after, balance(), NEXT_ATTEMPT)
    assert (change.transfer.status, change.transfer.returnable_cents, change.returnable) == (
        "SETTLED",
        0,
        None,
    )


@pytest.mark.parametrize("why", ["hold_expired", "payee_blocked"])
def test_a_rejected_return_puts_back_what_it_took(why: str) -> None:
    giving = held()
    if why == "hold_expired":
        change = reject(giving.transfer, giving.postings[0].after, why, NEXT_ATTEMPT)
    else:
        blocked = balance(status="BLOCKED")
        change = settle(giving.transfer, giving.postings[0].after, blocked, NEXT_ATTEMPT)
    assert (change.transfer.status, change.transfer.reason) == ("REJECTED", why)
    assert change.returnable == Returnable(TRANSFER_ID, 200)


@pytest.mark.parametrize(
    ("original", "changes", "code", "facts"),
    [
        (None, {}, "transfer_not_found", {}),
        (SETTLED, {"subject": "carla"}, "transfer_not_found", {}),
        (SETTLED, {"subject": ""}, "transfer_not_found", {}),
        (SETTLED, {"subject": "ana"}, "not_the_payee", {}),
        (replace(SETTLED, kind="return"), {}, "not_returnable", {}),
        (replace(SETTLED, kind="grant"), {}, "not_returnable", {}),
        (HELD.transfer, {}, "transfer_not_settled", {"transfer_status": "HELD"}),
        (replace(SETTLED, status="REJECTED"), {}, "transfer_not_settled", {"transfer_status": "REJECTED"}),
        (SETTLED, {"amount_cents": 301}, "return_exceeds_amount", {"returnable_cents": 300}),
        (
            replace(SETTLED, returnable_cents=199),
            {},
            "return_exceeds_amount",
            {"returnable_cents": 199},
        ),
        (
            replace(SETTLED, returnable_cents=0),
            {"amount_cents": 1},
            "return_exceeds_amount",
            {"returnable_cents": 0},
        ),
    ],
    ids=[
        "no transfer",
        "a stranger",
        "nobody",
        "the payer",
        "a return of a return",
        "a grant",
        "held",
        "rejected",
        "a centavo too much",
        "a centavo more than is left",
        "nothing left",
    ],
)
def test_a_return_is_refused_by_name(
    original: Transfer | None, changes: dict[str, Any], code: str, facts: dict[str, object]
) -> None:
    with pytest.raises(Refusal) as refused:
        held(replace(RETURN, **changes), original)
    assert (refused.value.code, refused.value.facts) == (code, facts)


def test_a_return_is_limited_by_what_is_available_too() -> None:
    with pytest.raises(Refusal, match="insufficient_funds"):
        returns.hold(
            RETURN, SETTLED, replace(BRUNOS, available=199), balance(), lifetime=LIFETIME, attempt=ATTEMPT
        )


def test_all_of_a_transfer_can_be_returned_in_parts() -> None:
    left = SETTLED
    for cents in (200, 99, 1):
        change = held(replace(RETURN, amount_cents=cents), left)
        left = replace(left, returnable_cents=left.returnable_cents + change.returnable.cents)
    assert left.returnable_cents == 0


@pytest.mark.parametrize("wrong", [{"original_transfer_id": "another"}, {"payee": BRUNO}], ids=str)
def test_a_return_of_something_else_stops_the_process(wrong: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        held(replace(RETURN, **wrong))  # type: ignore[arg-type]

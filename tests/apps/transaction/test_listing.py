"""Pages of transfers, put together, are the list: none lost, none doubled, ties of a millisecond included."""

import base64
import uuid
from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.ledger.transfer import Transfer, iso
from apps.transaction.listing import Direction, Listing, Place
from tests.apps.transaction.fake_indexes import FakeIndexes
from tests.apps.transaction.fake_ledger import NOON

A, B = "account-a", "account-b"


def transfer(number: int, millisecond: int, *, out: bool) -> Transfer:
    # Ids in no order, as hashes are.
    transfer_id = str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))
    return Transfer(
        transfer_id=transfer_id,
        kind="transfer",
        status="SETTLED",
        payer=A if out else B,
        payee=B if out else A,
        payer_owner="ana",
        payee_owner="beto",
        amount_cents=1,
        description=None,
        end_to_end_id=None,
        created_at=iso(NOON + timedelta(milliseconds=millisecond)),
        expires_at=iso(NOON),
        due_at=None,
        looks=0,
        decided_at=iso(NOON),
        reason=None,
        request_hash="",
        request_id=None,
        event_id="",
    )


def walked(
    indexes: FakeIndexes, direction: Direction | None, limits: Sequence[int], account: str = A
) -> list[Transfer]:
    """The pages one after the other, each cursor through a client's hands."""
    client: Any = indexes
    listing = Listing(client, "transactions")
    found: list[Transfer] = []
    below: Place | None = None
    for limit in cycle(limits):
        page, following = listing.page(account, direction, below, limit)
        assert len(page) <= limit
        found += page
        if following is None:
            return found
        assert len(page) == limit, "a page with another one behind it is full"
        below = Place.read(following.opaque())
    raise AssertionError


def plain(transfers: Sequence[Transfer], direction: Direction | None, account: str = A) -> list[Transfer]:
    """The list by looking at every transfer."""
    sides = {"out": ["payer"], "in": ["payee"], None: ["payer", "payee"]}[direction]
    mine = [each for each in transfers if account in [getattr(each, side) for side in sides]]
    return sorted(mine, key=lambda each: (each.created_at, each.transfer_id), reverse=True)


DIRECTIONS: st.SearchStrategy[Direction | None] = st.sampled_from(["out", "in", None])
# Few milliseconds for many transfers, so that ties lie across the ends of pages.
TRANSFERS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40).map(
    lambda drawn: [transfer(number, millisecond, out=out) for number, (millisecond, out) in enumerate(drawn)]
)


@settings(deadline=None)
@given(TRANSFERS, DIRECTIONS, st.lists(st.integers(1, 8), min_size=1, max_size=3), st.integers(1, 9))
def test_no_transfer_is_lost_or_doubled_whatever_the_page_size(
    transfers: list[Transfer], direction: Direction | None, limits: list[int], most: int
) -> None:
    assert walked(FakeIndexes(transfers, most), direction, limits) == plain(transfers, direction)


@settings(deadline=None)
@given(TRANSFERS, st.integers(1, 8))
def test_both_parties_have_the_same_transfers_the_other_way_round(
    transfers: list[Transfer], limit: int
) -> None:
    indexes = FakeIndexes(transfers)
    assert walked(indexes, "out", [limit], A) == walked(indexes, "in", [limit], B)
    assert walked(indexes, None, [limit], A) == walked(indexes, None, [limit], B)


@pytest.mark.parametrize("direction", ["out", "in", None])
def test_a_millisecond_with_more_transfers_than_a_page_is_walked_through(direction: Direction | None) -> None:
    transfers = [transfer(number, 0, out=number % 2 == 0) for number in range(250)]
    assert walked(FakeIndexes(transfers, most=30), direction, [20]) == plain(transfers, direction)


def test_a_new_transfer_moves_no_page() -> None:
    transfers = [transfer(number, number, out=True) for number in range(10)]
    indexes = FakeIndexes(list(transfers))
    client: Any = indexes
    listing = Listing(client, "transactions")
    first, following = listing.page(A, None, None, 4)
    indexes.transfers += [transfer(number, number, out=True) for number in range(10, 14)]
    second, _ = listing.page(A, None, following, 100)
    assert first + second == plain(transfers, None)


def test_a_page_is_read_by_as_many_queries_as_it_has_directions() -> None:
    transfers = [transfer(number, number, out=number % 2 == 0) for number in range(100)]
    for direction, queries in (("out", 1), (None, 2)):
        indexes = FakeIndexes(transfers)
        client: Any = indexes
        Listing(client, "transactions").page(A, direction, None, 10)  # type: ignore[arg-type]
        assert indexes.queries == queries


@pytest.mark.parametrize("limit", [3, 4])
def test_the_last_page_has_no_cursor(limit: int) -> None:
    client: Any = FakeIndexes([transfer(number, number, out=True) for number in range(3)])
    page, following = Listing(client, "transactions").page(A, "out", None, limit)
    assert len(page) == 3
    assert following is None


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


OURS = "2026-11-25T12:00:00.000Z aaaaaaaa-0000-4000-8000-000000000000"


def test_a_cursor_comes_back_as_it_was() -> None:
    place = Place(*OURS.split(" "))
    assert Place.read(place.opaque()) == place
    assert place.opaque() == encoded(OURS)


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "é",
        "x",
        "\x00",
        OURS,
        encoded(""),
        encoded(OURS + "\n"),
        encoded(OURS + "0"),
        encoded(OURS.replace(" ", "  ")),
        encoded(OURS.upper()),
        encoded(OURS.replace("aaaaaaaa", "gggggggg")),
        encoded(OURS.replace("2026", "\u0662\u0660\u0662\u0666")),
        encoded(OURS.replace(".000Z", "Z")),
        encoded(OURS.partition(" ")[0]),
        encoded(OURS) + "!!!!",
        "*" + encoded(OURS),
    ],
    ids=repr,
)
def test_a_cursor_that_no_page_gave_is_refused(foreign: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a cursor that a page gave$"):
        Place.read(foreign)


@given(st.text(max_size=128))
def test_any_text_is_a_cursor_or_is_refused(text: str) -> None:
    try:
        found = Place.read(text)
    except ValueError:
        return
    assert found.opaque() == text

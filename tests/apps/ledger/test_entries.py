"""The chain of entries: nothing can be changed, left out, doubled or slipped in unseen."""

import hashlib
from collections.abc import Iterable
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ledger.account import credit, debit, hold, open_account, release, unopened
from apps.ledger.entries import GENESIS, STATEMENT_KINDS, Drift, Entry, Folded, digest, fold
from tests.apps.ledger.values import ANA, AT, BRUNO, LATER, TRANSFER_ID, entries

CODES = {
    "account_id": "foreign_entry",
    "seq": "gap",
    "prev_hash": "broken_chain",
    "kind": "wrong_hash",
    "transfer_id": "wrong_hash",
    "delta_available": "wrong_hash",
    "delta_on_hold": "wrong_hash",
    "available_after": "wrong_hash",
    "on_hold_after": "wrong_hash",
    "at": "wrong_hash",
    "month": "wrong_hash",
    "hash": "wrong_hash",
}
"""What `fold` says of a sealed entry of which one field is not what it was."""


@cache
def chain(account_id: str = ANA) -> tuple[Entry, ...]:
    """An account's history with every kind of entry once."""
    opened = open_account(unopened(account_id, "", AT), AT)
    first = credit(opened.after, 1000, TRANSFER_ID, AT)
    second = hold(first.after, 300, TRANSFER_ID, AT)
    third = release(second.after, 100, TRANSFER_ID, AT)
    fourth = debit(third.after, 200, TRANSFER_ID, LATER)
    return tuple(each.entry for each in (opened, first, second, third, fourth))


LENGTH = 5
places = st.integers(0, LENGTH - 1)


def drift(history: Iterable[Entry]) -> Drift:
    with pytest.raises(Drift) as drifted:
        fold(ANA, history)
    return drifted.value


def with_entry(place: int, entry: Entry) -> list[Entry]:
    return [*chain()[:place], entry, *chain()[place + 1 :]]


def test_a_chain_folds_to_what_its_last_entry_says() -> None:
    assert fold(ANA, chain()) == Folded(5, 800, 0, chain()[-1].hash)


def test_an_account_without_entries_is_zero() -> None:
    assert fold(ANA, []) == Folded(0, 0, 0, GENESIS)


def test_every_field_of_an_entry_is_under_the_seal() -> None:
    assert {field.name for field in fields(Entry)} == set(CODES)


@pytest.mark.parametrize("name", sorted(CODES))
@given(data=st.data())
def test_a_sealed_entry_changed_in_any_one_field_is_refused(name: str, data: Any) -> None:
    place = data.draw(places)
    sealed = chain()[place]
    other = data.draw(entries.map(lambda entry: getattr(entry, name)))
    if other == getattr(sealed, name):
        return
    drifted = drift(with_entry(place, replace(sealed, **{name: other})))
    assert drifted.what == CODES[name]
    assert drifted.account_id == ANA
    assert str(drifted).startswith(f"{ANA}: {CODES[name]}: entry ")


@pytest.mark.parametrize("name", sorted(set(CODES) - {"hash"}))
@given(data=st.data())
def test_a_forged_entry_that_is_sealed_anew_shows_all_the_same(name: str, data: Any) -> None:
    """The forger knows the hash function. What is left: the sums, the numbers, and the hash that the next
    entry, or the balance, keeps."""
    place = data.draw(places)
    other = data.draw(entries.map(lambda entry: getattr(entry, name)))
    if other == getattr(chain()[place], name):
        return
    forged = replace(chain()[place], **{name: other}).sealed()
    code = "wrong_sum" if name.startswith(("delta_", "available_", "on_hold_")) else CODES[name]
    if code != "wrong_hash":
        assert drift(with_entry(place, forged)).what == code
    elif place < LENGTH - 1:
        assert drift(with_entry(place, forged)).what == "broken_chain"
    else:
        assert fold(ANA, with_entry(place, forged)).last_hash != chain()[-1].hash


@given(place=places, name=st.sampled_from(["delta_available", "delta_on_hold"]), by=st.integers(1, 10**12))
def test_money_that_comes_from_nowhere_is_a_wrong_sum(place: int, name: str, by: int) -> None:
    forged = replace(chain()[place], **{name: getattr(chain()[place], name) + by}).sealed()
    drifted = drift(with_entry(place, forged))
    assert drifted.what == "wrong_sum"
    assert f"entry {place + 1} " in drifted.detail


@given(place=places, by=st.integers(1, 10**12))
def test_held_money_that_shows_as_available_is_a_wrong_sum(place: int, by: int) -> None:
    """The total is right, so only each part on its own tells."""
    sealed = chain()[place]
    more, less = sealed.available_after + by, sealed.on_hold_after - by
    forged = replace(sealed, available_after=more, on_hold_after=less).sealed()
    assert drift(with_entry(place, forged)).what == "wrong_sum"


@pytest.mark.parametrize("place", range(LENGTH - 1))
def test_an_entry_left_out_is_a_gap(place: int) -> None:
    drifted = drift([*chain()[:place], *chain()[place + 1 :]])
    assert (drifted.what, drifted.detail) == ("gap", f"entry {place + 2} follows entry {place}")


@pytest.mark.parametrize("place", range(LENGTH))
def test_an_entry_that_is_there_twice_is_a_gap(place: int) -> None:
    assert drift([*chain()[: place + 1], *chain()[place:]]).what == "gap"


@given(order=st.permutations(range(LENGTH)))
def test_only_the_order_of_the_numbers_folds(order: list[int]) -> None:
    history = [chain()[place] for place in order]
    if order == list(range(LENGTH)):
        assert fold(ANA, history).seq == LENGTH
    else:
        assert drift(history).what == "gap"


@pytest.mark.parametrize("place", range(LENGTH))
def test_an_entry_of_another_account_is_foreign(place: int) -> None:
    drifted = drift(with_entry(place, chain(BRUNO)[place]))
    assert (drifted.what, drifted.account_id) == ("foreign_entry", ANA)
    assert BRUNO in drifted.detail


@pytest.mark.parametrize("place", range(1, LENGTH))
def test_an_entry_that_follows_another_history_breaks_thechain(place: int) -> None:
    forged = replace(chain()[place], prev_hash="f" * 64).sealed()
    assert drift(with_entry(place, forged)).what == "broken_chain"


def test_a_history_without_its_beginning_does_not_fold() -> None:
    assert drift([replace(chain()[0], prev_hash="f" * 64).sealed()]).what == "broken_chain"
    assert drift(chain()[1:]).what == "gap"


@given(entry=entries)
def test_sealing_changes_nothing_but_the_hash(entry: Entry) -> None:
    sealed = entry.sealed()
    assert replace(sealed, hash=entry.hash) == entry
    assert sealed.hash == digest(entry) == digest(sealed)
    assert sealed.sealed() == sealed


def test_the_hash_of_a_stored_entry_never_changes() -> None:
    """A new field, or another way to write one, breaks the chain of every account there is."""
    entry = Entry("ana", 2, "hold", None, -300, 300, 700, 300, "Almoço", "202611", GENESIS)
    written = (
        b'{"account_id":"ana","at":"Almo\\u00e7o","available_after":700,"delta_available":-300,'
        b'"delta_on_hold":300,"kind":"hold","month":"202611","on_hold_after":300,"prev_hash":"'
        + b"0" * 64
        + b'","seq":2,"transfer_id":null}'
    )
    assert digest(entry) == hashlib.sha256(written).hexdigest()


def test_a_statement_shows_only_money_that_left_or_came() -> None:
    assert {"debit", "credit"} == STATEMENT_KINDS

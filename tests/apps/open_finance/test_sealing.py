"""What is sealed opens with our keys, at its own place, unchanged, and in no other way."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.open_finance.sealing import Sealer, Unreadable

OLD, NEW = b"o" * 32, b"n" * 32
SEALER = Sealer({"old": OLD, "new": NEW}, "new")


@settings(deadline=None)
@given(st.text(), st.text(min_size=1))
def test_what_is_sealed_opens_at_its_place(content: str, place: str) -> None:
    sealed = SEALER.seal(content, place)
    assert SEALER.open(sealed, place) == content
    with pytest.raises(Unreadable):
        SEALER.open(sealed, place + "x")


def test_one_text_is_never_sealed_the_same_way_twice() -> None:
    assert SEALER.seal("a", "here") != SEALER.seal("a", "here")


def test_what_an_older_key_sealed_still_opens() -> None:
    assert SEALER.open(Sealer({"old": OLD}, "old").seal("a", "here"), "here") == "a"


@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB"),
        lambda sealed: "old" + sealed[3:],
        lambda sealed: "none" + sealed[3:],
        lambda sealed: sealed[:10],
        lambda sealed: sealed + "!",
        lambda _: "",
        lambda _: "new.",
    ],
    ids=["changed", "another key", "unknown key", "cut off", "no Base64", "empty", "nothing in it"],
)
def test_anything_else_is_unreadable(change: Callable[[str], str]) -> None:
    with pytest.raises(Unreadable):
        SEALER.open(change(SEALER.seal("secret", "here")), "here")


@pytest.mark.parametrize(("keys", "current"), [({"a": b"short"}, "a"), ({"a": OLD}, "b"), ({}, "a")])
def test_keys_that_cannot_seal_are_refused_at_the_start(keys: dict[str, bytes], current: str) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(keys, current)

"""Every key, id and code of the table gets exactly its verdict."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from apps.pix import br_code, end_to_end_id, keys
from apps.pix.br_code import BadCode, DynamicCode
from apps.pix.end_to_end_id import BadId
from apps.pix.keys import BadKey
from tests.apps.pix.verdicts import CODES, IDS, KEYS, NAMED


def test_the_table_is_as_long_as_it_must_be() -> None:
    assert len(KEYS) + len(NAMED) + len(IDS) + len(CODES) >= 60
    assert len({given for given, _ in KEYS}) == len(KEYS)


def key_verdict(read: Callable[[], keys.Key]) -> tuple[str, str]:
    """What a rule says of a text, and its message."""
    try:
        key = read()
    except BadKey as bad:
        return bad.code, str(bad)
    return f"{key.type} {key.value}", ""


def code_verdict(text: str) -> str:
    try:
        code = br_code.decode(text)
    except BadCode as bad:
        return bad.code
    if isinstance(code, DynamicCode):
        return f"dynamic {code.url}"
    said = ["static", code.key, code.amount_cents, code.txid]
    return " ".join(str(each) for each in said if each is not None)


def id_verdict(prefix: str, text: str) -> str:
    try:
        found = end_to_end_id.read(text, "D" if prefix == "D" else "E")
    except BadId as bad:
        return bad.code
    return f"{found.ispb} {found.minute:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(("given", "verdict"), KEYS, ids=[ascii(given)[:40] for given, _ in KEYS])
def test_a_key_is_what_the_table_says(given: str, verdict: str) -> None:
    said, message = key_verdict(lambda: keys.classify(given))
    assert said == verdict
    assert not given.strip() or given not in message


@pytest.mark.parametrize("given", [given for given, verdict in KEYS if " " in verdict], ids=ascii)
def test_the_stored_form_of_a_key_is_that_same_key(given: str) -> None:
    key = keys.classify(given)
    assert keys.classify(key.value) == keys.of_type(key.type, key.value) == key


@pytest.mark.parametrize(("key_type", "given", "verdict"), NAMED)
def test_a_key_of_a_named_type_is_what_the_table_says(
    key_type: keys.KeyType, given: str, verdict: str
) -> None:
    assert key_verdict(lambda: keys.of_type(key_type, given))[0] == verdict


def test_a_key_does_not_show_in_what_is_printed() -> None:
    assert repr(keys.classify("529.982.247-25")) == "Key(CPF)"


@pytest.mark.parametrize(("prefix", "given", "verdict"), IDS)
def test_an_id_is_what_the_table_says(prefix: str, given: str, verdict: str) -> None:
    assert id_verdict(prefix, given) == verdict


@pytest.mark.parametrize(("given", "verdict"), CODES, ids=range(len(CODES)))
def test_a_code_is_what_the_table_says(given: str, verdict: str) -> None:
    assert code_verdict(given) == verdict


NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("away", "good"),
    [
        (timedelta(0), True),
        (timedelta(hours=12), True),
        (timedelta(hours=-12), True),
        (timedelta(hours=12, minutes=1), False),
        (timedelta(hours=-12, minutes=-1), False),
    ],
    ids=str,
)
def test_an_id_is_of_the_twelve_hours_around_now(away: timedelta, *, good: bool) -> None:
    found = end_to_end_id.read(end_to_end_id.new("99999010", NOON), "E")
    if good:
        end_to_end_id.check_time(found, NOON + away)
        return
    with pytest.raises(BadId) as bad:
        end_to_end_id.check_time(found, NOON + away)
    assert bad.value.code == "id_too_far"

"""CloudEvents in Kafka's binary mode: written the same way always, read strictly."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kit.events import (
    Event,
    Malformed,
    Record,
    decode,
    encode,
    record_from_json,
    record_to_json,
    type_and_version,
)

EVENT = Event(
    id="9b2f",
    type="br.gobanking.transfer.held",
    version=2,
    source="/ledger",
    subject="transfer/1",
    time="2026-11-25T03:00:00.123Z",
    data={"payer": "João", "amount_cents": 1999, "codes": ["a"], "note": None},
    request_id="req-1",
)
HEADERS = encode(EVENT, "transfers", "k").headers


def without(name: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(pair for pair in HEADERS if pair[0] != name)


def having(name: str, content: bytes) -> tuple[tuple[str, bytes], ...]:
    return (*without(name), (name, content))


def test_an_event_is_written_in_binary_mode_to_the_last_byte() -> None:
    assert encode(EVENT, "transfers", "account-2") == Record(
        topic="transfers",
        key="account-2",
        value='{"amount_cents":1999,"codes":["a"],"note":null,"payer":"João"}'.encode(),
        headers=(
            ("ce_specversion", b"1.0"),
            ("ce_id", b"9b2f"),
            ("ce_source", b"/ledger"),
            ("ce_type", b"br.gobanking.transfer.held"),
            ("ce_subject", b"transfer/1"),
            ("ce_time", b"2026-11-25T03:00:00.123Z"),
            ("ce_schemaversion", b"2"),
            ("ce_requestid", b"req-1"),
            ("content-type", b"application/json"),
        ),
    )


@pytest.mark.parametrize("event", [EVENT, replace(EVENT, request_id=None)])
def test_what_was_written_is_read_back(event: Event) -> None:
    record = encode(event, "transfers", "k")
    assert decode(record.headers, record.value) == event


def test_headers_of_others_and_unknown_attributes_are_passed_over() -> None:
    more = (*HEADERS, ("ce_newattribute", b"x"), ("traceparent", b"\xff"), ("traceparent", b"y"))
    assert decode(more, b"{}").id == EVENT.id


@pytest.mark.parametrize("name", [name for name, _ in HEADERS if name != "ce_requestid"])
def test_each_attribute_is_required_once_and_as_text(name: str) -> None:
    for headers in (without(name), having(name, b""), having(name, b"\xff"), (*HEADERS, (name, b"1"))):
        with pytest.raises(Malformed, match=name):
            decode(headers, b"{}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ce_specversion", b"0.3"),
        ("content-type", b"application/avro"),
        *(("ce_schemaversion", bad) for bad in (b"0", b"-1", b"1.0", b"01", b" 1", b"1\n", b"9999999999")),
        ("ce_schemaversion", b"\xd9\xa1"),
        *(("ce_time", bad) for bad in (b"yesterday", b"2026-11-25", b"2026-11-25T03:00:00")),
        ("ce_time", b"2026-13-25T03:00:00Z"),
    ],
)
def test_an_attribute_with_a_wrong_value_is_malformed(name: str, content: bytes) -> None:
    with pytest.raises(Malformed, match=name):
        decode(having(name, content), b"{}")


def test_parameters_of_the_content_type_are_allowed() -> None:
    assert decode(having("content-type", b"application/json; charset=utf-8"), b"{}").id == EVENT.id


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"1",
        b"null",
        b"\xff\xfe",
        b'{"a":1.5}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":1,"a":2}',
        b'{"a":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' + b"9" * 5_000 + b"}",
    ],
)
def test_data_that_is_not_one_object_of_whole_numbers_is_malformed(value: bytes | None) -> None:
    with pytest.raises(Malformed):
        decode(HEADERS, value)


def test_a_reason_does_not_quote_the_data() -> None:
    with pytest.raises(Malformed) as malformed:
        decode(HEADERS, b'{"tax_id": 123.5}')
    assert "123" not in malformed.value.reason


def test_type_and_version_are_known_before_anything_else_is_understood() -> None:
    future = (
        ("ce_type", b"br.gobanking.transfer.held"),
        ("ce_schemaversion", b"3"),
        ("content-type", b"x/y"),
    )
    assert type_and_version(future) == ("br.gobanking.transfer.held", 3)


def test_data_that_is_no_json_is_refused_by_the_writer() -> None:
    with pytest.raises(ValueError):
        encode(replace(EVENT, data={"rate": float("nan")}), "transfers", "k")


@given(
    st.builds(
        Record,
        topic=st.text(),
        key=st.text(st.characters(codec="utf-8")),
        value=st.binary(),
        headers=st.lists(st.tuples(st.text(), st.binary())).map(tuple),
    )
)
def test_any_record_survives_being_stored_as_text(record: Record) -> None:
    assert record_from_json(record_to_json(record)) == record


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"topic":"t","key":"k","value":1,"headers":[]}',
        '{"topic":"t","key":"k","value":{"base64":"%"},"headers":[]}',
    ],
)
def test_text_that_is_no_stored_record_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        record_from_json(text)

"""Events as CloudEvents 1.0 in Kafka's binary mode: attributes in headers, the data as one JSON object.

A reader first asks `type_and_version`, which looks at two headers only, so that it can recognise an event
from the future without understanding it, and then `decode`, which is strict: a missing or doubled
attribute, broken JSON, a doubled key, a fractional number or text that is no text is `Malformed`.
`encode` and `record_to_json` are deterministic: the same event gives the same bytes, always.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


class Malformed(Exception):  # noqa: N818
    """These bytes are no event, and will not become one. `reason` says why, without quoting the data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Event:
    """Something that happened to `subject`, at `time` (RFC 3339). `version` is that of `data`."""

    id: str
    type: str
    version: int
    source: str
    subject: str
    time: str
    data: Mapping[str, object]
    request_id: str | None = None


@dataclass(frozen=True)
class Record:
    """One record for a topic, by catalog name. Records with the same key go to the same partition."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def encode(event: Event, topic: str, key: str) -> Record:
    """The event as a record. `ValueError` when its data is not JSON of text, integers and the like."""
    attributes = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": event.id,
        "ce_source": event.source,
        "ce_type": event.type,
        "ce_subject": event.subject,
        "ce_time": event.time,
        "ce_schemaversion": str(event.version),
    }
    if event.request_id is not None:
        attributes["ce_requestid"] = event.request_id
    attributes["content-type"] = CONTENT_TYPE
    headers = tuple((name, text.encode()) for name, text in attributes.items())
    return Record(topic, key, _json(event.data).encode(), headers)


def type_and_version(headers: Iterable[tuple[str, bytes]]) -> tuple[str, int]:
    """What an event calls itself, before anything else of it is believed. `Malformed` if it does not say."""
    attributes = _attributes(headers)
    version = _required(attributes, "ce_schemaversion")
    if _VERSION.fullmatch(version) is None:
        raise Malformed("ce_schemaversion is not a positive whole number")
    return _required(attributes, "ce_type"), int(version)


def decode(headers: Iterable[tuple[str, bytes]], value: bytes | None) -> Event:
    """The event that `encode` wrote, from a record's headers and value. `Malformed` for anything else."""
    pairs = tuple(headers)
    kind, version = type_and_version(pairs)
    attributes = _attributes(pairs)
    if _required(attributes, "ce_specversion") != SPEC_VERSION:
        raise Malformed(f"ce_specversion is not {SPEC_VERSION}")
    if _required(attributes, "content-type").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise Malformed(f"content-type is not {CONTENT_TYPE}")
    return Event(
        id=_required(attributes, "ce_id"),
        type=kind,
        version=version,
        source=_required(attributes, "ce_source"),
        subject=_required(attributes, "ce_subject"),
        time=_checked_time(_required(attributes, "ce_time")),
        data=_data(value),
        request_id=attributes.get("ce_requestid"),
    )


def record_to_json(record: Record) -> str:
    """The record as text that `record_from_json` turns back into exactly the same record."""
    return _json(
        {
            "topic": record.topic,
            "key": record.key,
            "value": _packed(record.value),
            "headers": [[name, _packed(content)] for name, content in record.headers],
        }
    )


def record_from_json(text: str) -> Record:
    """The record that `record_to_json` wrote; `Malformed` when it did not write this."""
    try:
        fields = json.loads(text)
        headers = tuple((str(name), _unpacked(content)) for name, content in fields["headers"])
        return Record(str(fields["topic"]), str(fields["key"]), _unpacked(fields["value"]), headers)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise Malformed("not a stored record") from None


def _attributes(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, content in headers:
        if not name.startswith("ce_") and name != "content-type":
            continue
        if name in attributes:
            raise Malformed(f"{_shown(name)} is there twice")
        try:
            # A header can be null on the wire.
            attributes[name] = (content or b"").decode()
        except UnicodeDecodeError:
            raise Malformed(f"{_shown(name)} is not UTF-8") from None
    return attributes


def _required(attributes: Mapping[str, str], name: str) -> str:
    text = attributes.get(name)
    if not text:
        raise Malformed(f"{name} is missing")
    return text


def _shown(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "?", name[:40])


def _checked_time(text: str) -> str:
    if _TIME.fullmatch(text) is None:
        raise Malformed("ce_time is not RFC 3339 time")
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise Malformed("ce_time is not RFC 3339 time") from None
    return text


def _data(value: bytes | None) -> Mapping[str, object]:
    if not value:
        raise Malformed("there is no data")
    try:
        data = json.loads(
            value.decode(),
            object_pairs_hook=_object,
            parse_float=_fractional,
            parse_constant=_fractional,
        )
        # JSON can spell half a character (`\ud800`), which no store takes.
        _json(data).encode()
    except UnicodeError:
        raise Malformed("the data is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise Malformed("the data is not JSON") from None
    if not isinstance(data, dict):
        raise Malformed("the data is not a JSON object")
    return data


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Malformed("the data names a field twice")
    return fields


def _fractional(_: str) -> NoReturn:
    raise Malformed("the data holds a number that is not whole")


def _json(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _packed(content: bytes) -> object:
    """Text stays readable for whoever looks at the stored record; other bytes are base64."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _unpacked(content: object) -> bytes:
    if isinstance(content, str):
        return content.encode()
    if not isinstance(content, dict):
        raise TypeError
    try:
        return base64.b64decode(content["base64"], validate=True)
    except binascii.Error:
        raise ValueError from None

"""The topic as it goes by: one line for each event, what a person wrote masked."""

import json
from collections.abc import Callable, Iterator

from apps.kit.topics import Stored, TopicReader
from apps.operators.dead_letters import shown

TOPIC = "transfers"


def lines(
    reader: TopicReader, last: int, *, follow: bool, stopped: Callable[[], bool], as_json: bool
) -> Iterator[str]:
    """The newest `last` events, and with `follow` each that comes. Raises `TopicUnavailable`."""
    for each in reader.follow(TOPIC, last, stopped if follow else lambda: True):
        document = _document(each)
        yield json.dumps(document, ensure_ascii=False) if as_json else _in_words(document)


def _document(stored: Stored) -> dict[str, object]:
    headers = {name: (content or b"").decode(errors="backslashreplace") for name, content in stored.headers}
    return {
        "at": stored.at,
        "topic": stored.topic,
        "partition": stored.partition,
        "offset": stored.offset,
        "type": headers.get("ce_type"),
        "version": headers.get("ce_schemaversion"),
        "event_id": headers.get("ce_id"),
        "request_id": headers.get("ce_requestid"),
        "data": shown(stored.value),
    }


def _in_words(document: dict[str, object]) -> str:
    place = f"{document['partition']}:{document['offset']}"
    data = document["data"]
    rest = (
        " ".join(f"{name}={value}" for name, value in data.items() if value is not None)
        if isinstance(data, dict)
        else data
    )
    return f"{document['at']}  {place}  {document['type']} v{document['version']}  {rest}"

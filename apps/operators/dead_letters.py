"""Dead letters: records that no worker could handle, as they were, with where they stood and why they left.

A letter is named `PARTITION:OFFSET`, its place on the dead-letter topic. Replaying puts the record itself
back on the topic that it came from, without what the worker wrote beside it; the letter stays where it is.
Money is safe either way: a transfer's status decides, not the number of its events.
"""

import base64
import json
import re
from dataclasses import dataclass

from apps.kit.kafka import ForbiddenTopic, Producer
from apps.kit.topics import Stored, TopicReader
from apps.operators.outcome import masked

TOPIC = "transfers.dead-letter"
WRITTEN = ("dl_reason", "dl_topic", "dl_partition", "dl_offset", "dl_at")
"""The headers that the worker adds, in this order, after the record's own."""
_ID = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")


@dataclass(frozen=True)
class Letter:
    """A dead letter: the record as it stands, and what the worker wrote down when it gave up."""

    record: Stored
    reason: str
    topic: str
    partition: int
    offset: int
    at: str

    @property
    def id(self) -> str:
        """Its place on the dead-letter topic."""
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def headers(self) -> tuple[tuple[str, bytes | None], ...]:
        """The record's own headers, as they were."""
        return self.record.headers[: -len(WRITTEN)]

    def document(self) -> dict[str, object]:
        """What it is and why, without what it says."""
        kinds = [content for name, content in self.headers if name == "ce_type"]
        return {
            "id": self.id,
            "at": self.at,
            "reason": self.reason,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "type": _text(kinds[0]) if kinds else None,
            "bytes": len(self.record.value or b""),
        }

    def whole(self, *, raw: bool) -> dict[str, object]:
        """All of it: what people wrote masked, or with `raw` every byte (base64)."""
        found = self.document() | {
            "key": _text(self.record.key),
            "headers": [[name, _text(content)] for name, content in self.headers],
        }
        if not raw:
            return found | {"value": shown(self.record.value)}
        return found | {
            "key_base64": _packed(self.record.key),
            "headers_base64": [[name, _packed(content)] for name, content in self.headers],
            "value_base64": _packed(self.record.value),
        }


@dataclass(frozen=True)
class DeadLetters:
    """The dead-letter topic, and the way back."""

    reader: TopicReader
    producer: Producer

    def all(self) -> list[Letter]:
        """Every letter there is, oldest first. Raises `TopicUnavailable`."""
        return [letter for each in self.reader.stored(TOPIC) if (letter := _letter(each)) is not None]

    def find(self, letter_id: str) -> Letter:
        """One letter. Raises `LookupError` or `TopicUnavailable`."""
        match = _ID.fullmatch(letter_id)
        if match is None:
            raise LookupError(f"'{letter_id}' names no dead letter: an id is PARTITION:OFFSET, such as 0:12")
        stored = self.reader.one(TOPIC, int(match[1]), int(match[2]))
        letter = _letter(stored) if stored is not None else None
        if letter is None:
            raise LookupError(f"no dead letter has the id {letter_id}")
        return letter

    def replay(self, letter_id: str) -> dict[str, object]:
        """Puts the original record back on its topic, and says where it is now.

        Raises `LookupError`, `TopicUnavailable`, `ForbiddenTopic` or `PublishFailed`.
        """
        letter = self.find(letter_id)
        topic = self.reader.name_of(letter.topic)
        if topic is None:
            raise ForbiddenTopic(f"{letter_id} came from '{letter.topic}', which is no topic of this bank")
        record = letter.record
        delivery = self.producer.forward(topic, record.key, record.value, letter.headers)
        return letter.document() | {
            "replayed_to": {
                "topic": letter.topic,
                "partition": delivery.partition,
                "offset": delivery.offset,
            }
        }


def in_words(letter: dict[str, object]) -> str:
    """A letter on one line."""
    came = f"{letter['topic']} {letter['partition']}:{letter['offset']}"
    said = f"{letter['id']}  {letter['at']}  {came}  {letter['type'] or 'no type'}: {letter['reason']}"
    back = letter.get("replayed_to")
    if isinstance(back, dict):
        said += f"\n  is back on {back['topic']} at {back['partition']}:{back['offset']}"
    return said


def shown(value: bytes | None) -> object:
    """A record's data for people: JSON with what a person wrote masked, or only its size."""
    try:
        data = json.loads((value or b"").decode())
    except ValueError:
        return f"{len(value or b'')} bytes that are no JSON"
    if isinstance(data, dict) and "description" in data:
        data["description"] = masked(data["description"])
    return data


def _letter(stored: Stored) -> Letter | None:
    """The letter in a record of the topic; nothing where somebody else wrote there."""
    added = stored.headers[-len(WRITTEN) :]
    if tuple(name for name, _ in added) != WRITTEN:
        return None
    reason, topic, partition, offset, at = (_text(content) or "" for _, content in added)
    if not partition.isdecimal() or not offset.isdecimal():
        return None
    return Letter(stored, reason, topic, int(partition), int(offset), at)


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="backslashreplace")


def _packed(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()

"""One transfer from its request to its last event: what each table says of it, in the order of time.

What a person wrote is masked; of accounts only their ids show. Log lines join where a folder of them is
named: one file per service, one JSON object a line, found by the request's id and by the transfer's.
Without a folder, as on AWS, where they are CloudWatch's and not this role's to read, `not_included` says so.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apps.kit import events
from apps.ledger.account import month_of
from apps.ledger.items import Mark
from apps.ledger.outbox import Outbox, Row
from apps.ledger.reading import Reader
from apps.ledger.store import Ledger
from apps.ledger.transfer import Transfer, iso
from apps.operators.outcome import masked

Line = dict[str, object]
ORDER = ("request", "refusal", "log", "entry", "rail", "decision", "event")
"""What is of one millisecond is shown in this order."""


@dataclass(frozen=True)
class Tracer:
    """Reads what there is of a transfer. `retention` is how long the topic keeps an event."""

    ledger: Ledger
    reader: Reader
    outbox: Outbox
    shards: int
    retention: timedelta

    def trace(self, transfer_id: str, logs: Path | None) -> dict[str, object]:
        """The transfer's story as JSON. Raises `LookupError` where there is none, `Unavailable`, or
        `items.Corrupted`."""
        found = self.ledger.find(transfer_id)
        if found is None:
            raise LookupError(f"no transfer has the id {transfer_id}")
        request_id = found.request_id if isinstance(found, Transfer) else None
        wanted = {transfer_id, *([request_id] if request_id else [])}
        told = list(log_lines(logs, wanted)) if logs is not None else []
        left_out = [] if logs is not None else ["log"]
        if isinstance(found, Mark):
            return {
                "transfer_id": transfer_id,
                "status": "REFUSED",
                "request_id": None,
                "timeline": [_refusal(found), *told],
                "not_included": left_out,
            }
        lines = [*_request(found), *_rail(found), *self._entries(found), *self._events(found), *told]
        return {
            "transfer_id": transfer_id,
            "status": found.status,
            "request_id": request_id,
            "original_transfer_id": found.original_transfer_id,
            "timeline": sorted(lines, key=_place),
            "not_included": left_out,
        }

    def _entries(self, transfer: Transfer) -> Iterator[Line]:
        for account_id in (transfer.payer, transfer.payee):
            balance = self.reader.balance(account_id)
            if balance is None:
                continue
            for _, entries in self.reader.months(balance, month_of(transfer.created_at), 0):
                for entry in entries:
                    if entry.transfer_id == transfer.transfer_id:
                        yield {
                            "at": entry.at,
                            "what": "entry",
                            "account_id": account_id,
                            "seq": entry.seq,
                            "kind": entry.kind,
                            "delta_available_cents": entry.delta_available,
                            "delta_on_hold_cents": entry.delta_on_hold,
                        }

    def _events(self, transfer: Transfer) -> Iterator[Line]:
        for taken in self.outbox.taken(transfer.transfer_id):
            kept_until = datetime.fromisoformat(taken.published_at) + self.retention
            yield _event(taken.row) | {
                "topic": taken.topic,
                "partition": taken.partition,
                "offset": taken.offset,
                "published_at": taken.published_at,
                "kept_until": iso(kept_until),
            }
        for row in self.outbox.still_waiting(transfer.transfer_id, self.shards):
            yield _event(row) | {"topic": None, "waits_in_shard": row.shard}


def in_words(story: Mapping[str, object]) -> str:
    """The story for people, a line for each thing that happened."""
    timeline = story["timeline"]
    assert isinstance(timeline, list)
    lines = [f"{story['transfer_id']}: {story['status']}"]
    for line in timeline:
        rest = " ".join(
            f"{name}={value}"
            for name, value in line.items()
            if name not in {"at", "what"} and value is not None
        )
        lines.append(f"{line['at'] or '-':<24}  {line['what']:<8}  {rest}")
    if story["not_included"]:
        lines.append("log lines: not looked for, since no folder of them was named")
    return "\n".join(lines)


def log_lines(folder: Path, wanted: Iterable[str]) -> Iterator[Line]:
    """The log lines that belong to a request or name a transfer."""
    ids = set(wanted)
    for path in sorted(folder.glob("*.log")):
        with path.open(errors="replace") as file:
            for text in file:
                if any(each in text for each in ids) and (line := _logged(text, ids)) is not None:
                    yield line


def _logged(text: str, ids: set[str]) -> Line | None:
    try:
        said = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict) or not ids & {each for each in said.values() if isinstance(each, str)}:
        return None
    at = said.pop("at", None)
    if not isinstance(at, str):
        return None
    moment = datetime.fromisoformat(at).astimezone(UTC)
    return {"at": iso(moment), "what": "log", **said}


def _request(transfer: Transfer) -> Iterator[Line]:
    yield {
        "at": transfer.created_at,
        "what": "request",
        "kind": transfer.kind,
        "payer": transfer.payer,
        "payee": transfer.payee,
        "amount_cents": transfer.amount_cents,
        "description": masked(transfer.description),
        "end_to_end_id": transfer.end_to_end_id,
        "expires_at": transfer.expires_at,
        "request_id": transfer.request_id,
    }
    if transfer.decided_at is not None:
        yield {
            "at": transfer.decided_at,
            "what": "decision",
            "status": transfer.status,
            "reason": transfer.reason,
            "returnable_cents": transfer.returnable_cents,
        }


def _rail(transfer: Transfer) -> Iterator[Line]:
    """The order of a Pix to another bank, or of one from there. The bytes of ours name people, so they are
    told by their hash alone; theirs are not kept. What was said to it is in the logs of who sends and
    receives."""
    if transfer.accepted_at is None:
        return
    message = "pacs.004" if transfer.kind == "return" else "pacs.008"
    if transfer.sent_order is None:
        yield {
            "at": transfer.accepted_at,
            "what": "rail",
            "rail_message": message,
            "direction": "in",
            "end_to_end_id": transfer.end_to_end_id,
        }
        return
    order = transfer.sent_order.encode()
    yield {
        "at": transfer.accepted_at,
        "what": "rail",
        "rail_message": message,
        "direction": "out",
        "message_id": transfer.message_id,
        "end_to_end_id": transfer.end_to_end_id,
        "bytes": len(order),
        "sha256": hashlib.sha256(order).hexdigest(),
    }


def _refusal(mark: Mark) -> Line:
    code, detail, _ = json.loads(mark.problem)
    return {"at": None, "what": "refusal", "number": mark.refused, "code": code, "detail": detail}


def _event(row: Row) -> Line:
    record = events.record_from_json(row.record)
    event = events.decode(record.headers, record.value)
    return {
        "at": event.time,
        "what": "event",
        "event_id": event.id,
        "type": event.type,
        "version": event.version,
    }


def _place(line: Line) -> tuple[str, int]:
    return str(line["at"]), ORDER.index(str(line["what"]))

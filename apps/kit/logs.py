"""One JSON object per line on standard output, with what the context knows (the request's id)."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default={})  # noqa: B039 (never changed)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object. Exceptions show as their class alone: texts can hold secrets."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "message": record.getMessage(),
            **_context.get(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["where"] = _where(record)
        # In ASCII, so that no text can end the line or be none that the output can encode.
        return json.dumps(line, default=str)


def configure(service: str, level: str) -> None:
    """Sends this process's log to standard output. Libraries speak only from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("apps").setLevel(level)
    # It repeats itself for every connection that is refused; what matters is logged by our own code.
    logging.getLogger("kafka").setLevel(logging.ERROR)
    # Its warnings quote addresses, and those of the DICT end with somebody's key.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Adds fields to every line that is logged inside."""
    mark = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(mark)


def request_id() -> str | None:
    """The id of the request that this code runs for."""
    found = _context.get().get("request_id")
    return found if isinstance(found, str) else None


def _where(record: logging.LogRecord) -> str | None:
    """File and line that raised, which is what a bug report needs; no values."""
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else None

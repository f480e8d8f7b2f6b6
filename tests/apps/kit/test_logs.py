"""The log: one JSON object per line, with what the context knows, and no text of an exception ever."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from _pytest.logging import LogCaptureHandler

from apps.kit import logs
from apps.kit.logs import JsonLines, bound, request_id

SECRET = "token eyJhbGciOi of 123.456.789-09"


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger whose lines `lines` reads."""
    root = logging.getLogger()
    kept = root.handlers, root.level
    yield logging.getLogger("apps.test")
    root.handlers, level = kept
    root.setLevel(level)


@pytest.fixture
def output(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What arrives at the other end of standard output."""
    arrived = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(arrived, encoding="utf-8", write_through=True))
    logs.configure("transaction", "INFO")
    return arrived


def lines(output: io.BytesIO) -> list[dict[str, Any]]:
    text = output.getvalue().decode()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def test_a_line_says_when_who_how_bad_and_what(log: logging.Logger, output: io.BytesIO) -> None:
    log.info("settled %s of %d", "one", 2, extra={"account_id": "a-1", "ms": 1.5})
    (line,) = lines(output)
    at = datetime.fromisoformat(line.pop("at"))
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert line == {
        "level": "INFO",
        "service": "transaction",
        "message": "settled one of 2",
        "account_id": "a-1",
        "ms": 1.5,
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("one\ntwo\r\nthree", id="line ends"),
        pytest.param("one\u2028two\u2029three\x85four", id="Unicode's line ends"),
        pytest.param('"quoted" \\ {"level": "ERROR"}', id="JSON"),
        pytest.param("São Paulo, ação", id="Portuguese"),
        pytest.param("half a pair: \ud800", id="lone surrogate"),
    ],
)
def test_whatever_is_said_is_one_line_that_gives_it_back(
    log: logging.Logger, output: io.BytesIO, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    # pytest keeps what is logged for its reports, and a worker of xdist can not hand half a pair on.
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, LogCaptureHandler)]
    log.warning(text, extra={"reason": text})
    (line,) = lines(output)
    assert line["message"] == line["reason"] == text
    assert len(output.getvalue().decode().splitlines()) == 1, "for readers that split at any line end"
    assert capsys.readouterr().err == ""


def test_what_is_no_json_is_written_as_text(log: logging.Logger, output: io.BytesIO) -> None:
    log.info("late", extra={"by": timedelta(seconds=5)})
    assert lines(output)[0]["by"] == "0:00:05"


def raise_it() -> None:
    raise ValueError(SECRET)


def caused() -> None:
    try:
        raise_it()
    except ValueError as error:
        raise RuntimeError(f"while: {error}") from error


@pytest.mark.parametrize(("cause", "name"), [(raise_it, "ValueError"), (caused, "RuntimeError")])
def test_an_exception_shows_its_class_and_place_and_never_its_text(
    log: logging.Logger, output: io.BytesIO, capsys: pytest.CaptureFixture[str], cause: Any, name: str
) -> None:
    try:
        cause()
    except (ValueError, RuntimeError):
        log.exception("a request failed", stack_info=True)
    (line,) = lines(output)
    assert line["error"] == name
    assert line["where"] == f"{__file__}:{line['where'].rpartition(':')[2]}"
    said = output.getvalue().decode() + capsys.readouterr().err
    assert "eyJ" not in said
    assert "123.456" not in said
    assert "Traceback" not in said


def test_an_error_without_an_exception_has_no_class(log: logging.Logger, output: io.BytesIO) -> None:
    log.exception("nothing was raised")  # noqa: LOG004 (just that)
    (line,) = lines(output)
    assert {"error", "where"} & set(line) == set()


def test_what_is_bound_is_on_every_line_inside_and_on_none_outside(
    log: logging.Logger, output: io.BytesIO
) -> None:
    log.info("before")
    with bound(request_id="r-1", attempt=1):
        log.info("inside")
        with bound(attempt=2):
            log.info("deeper")
        log.info("inside again")
    log.info("after")
    assert [(line["message"], line.get("request_id"), line.get("attempt")) for line in lines(output)] == [
        ("before", None, None),
        ("inside", "r-1", 1),
        ("deeper", "r-1", 2),
        ("inside again", "r-1", 1),
        ("after", None, None),
    ]


def test_what_is_bound_goes_when_its_code_fails(log: logging.Logger, output: io.BytesIO) -> None:
    with pytest.raises(ValueError), bound(request_id="r-1"):
        raise_it()
    log.info("after")
    assert "request_id" not in lines(output)[0]


def test_two_threads_do_not_see_what_the_other_bound() -> None:
    seen: list[str | None] = []
    both = threading.Barrier(2)

    def work(name: str) -> None:
        with bound(request_id=name):
            both.wait(timeout=10)
            seen.append(request_id())
            both.wait(timeout=10)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, seen)) == ["one", "two"]
    assert request_id() is None


@pytest.mark.parametrize(("given", "expected"), [("r-1", "r-1"), (None, None), (7, None)])
def test_the_request_id_is_the_bound_text(given: object, expected: str | None) -> None:
    with bound(request_id=given):
        assert request_id() == expected


def test_libraries_speak_from_warning_on_and_kafka_only_of_errors(
    log: logging.Logger, output: io.BytesIO
) -> None:
    for name in ("apps.test", "botocore", "kafka.conn"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(level, name)
    assert [(line["message"], line["level"]) for line in lines(output)] == [
        ("apps.test", "INFO"),
        ("apps.test", "WARNING"),
        ("apps.test", "ERROR"),
        ("botocore", "WARNING"),
        ("botocore", "ERROR"),
        ("kafka.conn", "ERROR"),
    ]


def test_configuring_twice_writes_each_line_once(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("transaction", "INFO")
    logs.configure("transaction", "ERROR")
    log.info("not any more")
    log.error("once")
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["once"]


def test_a_field_of_the_record_itself_is_not_repeated() -> None:
    record = logging.makeLogRecord(
        {"msg": "hello", "levelname": "INFO", "taskName": "Task-1", "asctime": "now"}
    )
    assert set(json.loads(JsonLines("test").format(record))) == {"at", "level", "service", "message"}

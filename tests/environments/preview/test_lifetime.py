"""How long a preview lives, and how it is told."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from environments.preview.lifetime import lifetime, read, shown, written
from environments.preview.names import Refused


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("15m", timedelta(minutes=15)),
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("14d", timedelta(days=14)),
    ],
)
def test_a_time_to_live_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert lifetime(text) == span


@pytest.mark.parametrize("text", ["", "24", "h", "1.5h", "-1h", "24 h", "14m", "15d", "99999d", "٢h", "24H"])
def test_any_other_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused, match="--ttl"):
        lifetime(text)


def test_a_time_in_a_tag_is_read_as_it_was_written() -> None:
    moment = datetime(2026, 11, 25, 9, 30, 5, tzinfo=timezone(timedelta(hours=-3)))
    assert written(moment) == "2026-11-25T12:30:05Z"
    assert read(written(moment)) == moment
    assert read("2026-11-25T12:30:05Z").tzinfo is UTC
    with pytest.raises(ValueError):
        read("yesterday")


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(minutes=5), "5m"),
        (timedelta(hours=23, minutes=5, seconds=59), "23h 5m"),
        (timedelta(days=1, hours=4, minutes=59), "1d 4h"),
        (-timedelta(hours=2), "-2h 0m"),
        (timedelta(0), "0m"),
    ],
)
def test_a_span_is_shown_in_its_two_largest_units(span: timedelta, text: str) -> None:
    assert shown(span) == text

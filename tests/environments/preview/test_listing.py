"""Previews as people and programs see them."""

from datetime import timedelta

from environments.preview.listing import COLUMNS, rows, table
from tests.environments.preview.records import NOON, record


def test_a_row_has_age_time_left_url_and_cost() -> None:
    (row,) = rows([record()], {}, NOON + timedelta(hours=3, minutes=30))
    assert row.age_seconds == 3.5 * 3600
    assert row.ttl_left_seconds == 20.5 * 3600
    assert row.cells == (
        row.name,
        "feature/pix",
        "up",
        "3h 30m",
        "20h 30m",
        "0.17",
        f"https://{row.name}.preview.bank.com.br",
    )
    assert len(row.cells) == len(COLUMNS)
    document = row.document()
    assert {"name", "branch", "pr", "owner", "url", "expires", "ttl_left_seconds", "usd_a_day"} <= set(
        document
    )


def test_the_first_to_go_is_the_first() -> None:
    late, soon = record("late", expires=NOON + timedelta(days=9)), record("soon")
    assert [row.branch for row in rows([late, soon], {}, NOON)] == ["soon", "late"]


def test_a_base_that_was_updated_later_is_told_of() -> None:
    newer = {"dev": (NOON + timedelta(minutes=1)).isoformat()}
    older = {"dev": (NOON - timedelta(minutes=1)).isoformat().replace("+00:00", ".123Z")}
    assert [row.stale for row in rows([record()], newer, NOON)] == [True]
    assert [row.stale for row in rows([record()], older, NOON)] == [False]
    assert [row.stale for row in rows([record(state="creating")], newer, NOON)] == [False]
    assert [row.stale for row in rows([record()], {"dev": ""}, NOON)] == [False]
    assert "base is newer" in rows([record()], newer, NOON)[0].cells[2]


def test_a_table_cuts_no_name_and_no_url_off_and_its_columns_stand_under_each_other() -> None:
    found = rows([record("b" * 200), record("short")], {}, NOON)
    head, *lines = table(found)
    assert head.split()[:3] == ["preview", "branch", "state"]
    assert [line.split()[0] for line in lines] == [row.name for row in found]
    assert [line.split()[-1] for line in lines] == [row.url for row in found]
    assert {line.index("https") for line in lines} == {head.index("URL")}
    assert max(map(len, lines)) < 160


def test_what_is_over_and_what_costs_nobody_knows_what_is_shown_so() -> None:
    (row,) = rows([record(usd_a_day=None)], {}, NOON + timedelta(hours=26))
    assert row.cells[4:6] == ("-2h 0m", "?")

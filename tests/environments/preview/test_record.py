"""What is known of a preview survives in the tags of its stack."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.preview.record import STATES, VALUE_LIMIT, is_of, recorded
from tests.environments.preview.records import NOON, record


@given(
    branch=st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=VALUE_LIMIT).filter(
        lambda text: bool(text.strip()) and text[0] != "-" and text.lower() not in {"dev", "staging", "prod"}
    ),
    pr=st.from_regex(r"[0-9]{0,6}", fullmatch=True),
    state=st.sampled_from(STATES),
    cost=st.none() | st.floats(0, 100),
    priority=st.integers(1, 49_999),
)
def test_tags_are_read_as_they_were_written(
    branch: str, pr: str, state: Any, cost: float | None, priority: int
) -> None:
    known = record(branch, pr=pr, state=state, usd_a_day=cost, priority=priority)
    assert recorded(known.name, known.tags()) == known


def test_tags_are_within_what_backends_take() -> None:
    known = record(
        "x" * 5_000, owner="o" * 500, url="https://" + "u" * 120, base="organization/gobanking/dev"
    )
    for name, value in known.tags().items():
        assert re.fullmatch(r"[a-zA-Z0-9-_.:]{1,40}", name)
        assert 0 < len(value) <= VALUE_LIMIT


def test_ttl_branch_pr_and_owner_are_tags_that_people_can_read() -> None:
    tags = record().tags()
    assert tags["gobanking:ttl"] == "24h until 2026-11-26T12:00:00Z"
    assert tags["gobanking:branch"] == "feature/pix"
    assert (tags["gobanking:pr"], tags["gobanking:owner"]) == ("7", "ana@example.com")
    assert len(tags) <= 6, "each is a call of the command line"


def test_a_branch_whose_name_was_cut_is_still_known_by_its_digest() -> None:
    long, longer = "x" * 300, "x" * 301
    read = recorded("any", record(long).tags())
    assert read is not None
    assert is_of(read, long)
    assert not is_of(read, longer)


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param({"gobanking:facts": None}, id="no facts"),
        pytest.param({"gobanking:facts": "[]"}, id="facts of another form"),
        pytest.param({"gobanking:state": "{}"}, id="no state"),
        pytest.param({"gobanking:state": '{"is":"lost","since":"2026-11-25T12:00:00Z"}'}, id="unknown state"),
        pytest.param({"gobanking:ttl": "24h"}, id="no end"),
        pytest.param({"gobanking:ttl": "24h until tomorrow"}, id="an end that is none"),
    ],
)
def test_tags_that_are_not_all_there_say_nothing(spoiled: dict[str, str | None]) -> None:
    tags = {key: value for key, value in {**record().tags(), **spoiled}.items() if value is not None}
    assert recorded("pr-x-0a1b2c", tags) is None
    assert recorded("pr-x-0a1b2c", {}) is None


def test_a_change_of_state_changes_one_tag() -> None:
    before = record()
    after = before.entering("removing", NOON + timedelta(hours=1))
    changed = {key for key, value in after.tags().items() if before.tags()[key] != value}
    assert changed == {"gobanking:state"}
    assert json.loads(after.tags()["gobanking:state"])["is"] == "removing"

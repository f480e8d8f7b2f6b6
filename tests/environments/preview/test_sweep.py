"""What a sweep takes, and above all what it leaves."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from environments.preview.names import stack_name
from environments.preview.sweep import Seen, due, unknown
from tests.environments.preview.records import NOON, record

BRANCH = "feature/pix"
LATER = NOON + timedelta(hours=3)


def seen(more: Mapping[str, Any] | None = None, **of: Any) -> Seen:
    values: dict[str, Any] = {
        "records": [record(BRANCH, **(more or {}))],
        "untold": {},
        "branches": {BRANCH, "main"},
        "stacks": {"dev", stack_name(BRANCH)},
        "now": LATER,
    }
    return Seen(**{**values, **of})


@pytest.mark.parametrize(
    ("what", "says"),
    [
        pytest.param(seen({"expires": LATER}), "its time is over", id="past its time"),
        pytest.param(seen(branches={"main"}), "its branch feature/pix is gone", id="branch gone"),
        pytest.param(seen(stacks={stack_name(BRANCH)}), "its base .*/dev is gone", id="base gone"),
        pytest.param(seen({"state": "creating"}), "stuck: creating", id="never came up"),
        pytest.param(seen({"state": "removing"}), "stuck: removing", id="never went"),
    ],
)
def test_what_is_due_goes_and_it_is_said_why(what: Seen, says: str) -> None:
    (found,) = due(what)
    assert found.name == stack_name(BRANCH)
    import re  # noqa: PLC0415

    assert re.search(says, found.reason)


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(seen(), id="all is well"),
        pytest.param(seen({"expires": LATER + timedelta(seconds=1)}), id="a second is left"),
        pytest.param(seen(branches=None), id="the remote cannot be asked"),
        pytest.param(seen(branches=set()), id="a remote without branches was not read"),
        pytest.param(
            seen({"base": "organization/another/dev"}, stacks={stack_name(BRANCH)}),
            id="a base of another project, whose stacks are not known here",
        ),
        pytest.param(seen({"published": False}, branches={"main"}), id="its branch was never pushed"),
        pytest.param(
            seen({"state": "creating", "since": LATER - timedelta(minutes=5)}), id="it is coming up"
        ),
        pytest.param(seen({"state": "removing", "since": LATER - timedelta(minutes=5)}), id="it is going"),
        pytest.param(seen(branches={BRANCH, "dev", "prod", "-odd"}), id="branches without previews"),
    ],
)
def test_what_lives_stays(what: Seen) -> None:
    assert due(what) == []


def test_a_stack_that_was_never_begun_goes_and_one_that_holds_something_is_for_people() -> None:
    what = seen(untold={"pr-a-000001": 0, "pr-b-000002": 7})
    assert [(each.name, each.reason) for each in due(what)] == [("pr-a-000001", "it was never begun")]
    assert unknown(what) == ["pr-b-000002"]

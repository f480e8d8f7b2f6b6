"""What a run of the program refuses, it refuses before any resource exists."""

from collections.abc import Mapping

import pytest

import program
from apps.catalog import CATALOG
from configuration_values import SettingsError
from environments.graph.evaluation import Graph, evaluate
from program import NotReady, run
from tests.platform.examples import EXAMPLES, ROOT

STACK = "pulumi:pulumi:Stack"


def refused(error: type[Exception], changes: Mapping[str, str]) -> tuple[str, Graph]:
    """What the program says when it ends with that error, and what it has registered until then."""
    said: list[str] = []

    def guarded() -> None:
        with pytest.raises(error) as refusal:
            run(ROOT, CATALOG)
        said.append(str(refusal.value))

    example = EXAMPLES["dev"]
    config = {**example.config(), **changes}
    found = evaluate(guarded, config=config, stack=example.stack)
    (message,) = said
    return message, found


def test_settings_that_cannot_be_make_nothing() -> None:
    message, found = refused(SettingsError, {"gobanking:natPerZone": "perhaps", "gobanking:zones": "1"})
    assert "gobanking:natPerZone" in message
    assert [each.type for each in found] == [STACK]


def test_what_the_machine_lacks_is_said_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = ["docker buildx: not there. Install it, or give images.", "and another thing"]
    monkeypatch.setattr(program, "prerequisites", lambda _: lacks)
    message, found = refused(NotReady, {})
    assert message == "\n".join(lacks)
    assert [each.type for each in found] == [STACK]

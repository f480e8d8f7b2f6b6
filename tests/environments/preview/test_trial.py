"""What `gobank preview up` does once the stack stands: it tries that, and the verdict is its exit code."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from environments.cli import app
from environments.preview import commands, git, trial
from environments.preview.smoke import Step, Verdict
from environments.preview.trial import Say
from tests.environments.preview.records import record

BRANCH = "feature/pix"
STANDING = SimpleNamespace(
    record=record(BRANCH, url="https://pr-feature-pix.preview.bank.com.br"),
    outputs={
        "user_pool_id": "sa-east-1_pool",
        "app_client_id": "client",
        "operators_job": {},
        "kubeconfig": "",
    },
)
GOOD = Step("a transfer is settled", "ok", "after 2 s")
BAD = Step("a transfer is settled", "failed", "it is HELD after 60 s")
MISSING = Step("the audit", "not run", "kubectl is not on PATH")


class Previews:
    """One that comes up at once."""

    def planned(self, asked: Any) -> Any:
        return SimpleNamespace(record=STANDING.record, asked=asked)

    def up(self, _plan: Any) -> Any:
        return STANDING


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is tried: a URL, a pool, and what audits it."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(commands, "_previews", lambda *_: Previews())
    monkeypatch.setattr(git, "remote_branches", lambda *_: None)
    monkeypatch.setattr(git, "owner", lambda _: "ana@example.com")
    monkeypatch.setattr(trial, "pool", lambda pool_id, client_id: (pool_id, client_id))
    monkeypatch.setattr(trial, "audited", lambda outputs: f"audited {outputs['user_pool_id']}")
    return found


def up(
    monkeypatch: pytest.MonkeyPatch, tries: list[tuple[Any, ...]], steps: tuple[Step, ...], *more: str
) -> Result:
    def tried(url: str, users: Any, audit: Callable[[], str], say: Say) -> Verdict:
        tries.append((url, users, audit()))
        for step in steps:
            say(step)
        return Verdict(steps)

    monkeypatch.setattr(trial, "tried", tried)
    return CliRunner().invoke(app, ["preview", "up", "--branch", BRANCH, *more])


@pytest.mark.parametrize(
    ("steps", "code", "verdict"),
    [
        ((GOOD,), 0, "smoke test passed"),
        ((GOOD, MISSING), 0, "smoke test passed; not run: the audit"),
        ((BAD, MISSING), 1, "smoke test FAILED; not run: the audit"),
    ],
)
def test_a_preview_is_tried_through_its_own_url_and_the_verdict_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    tries: list[tuple[Any, ...]],
    steps: tuple[Step, ...],
    code: int,
    verdict: str,
) -> None:
    done = up(monkeypatch, tries, steps)
    assert done.exit_code == code, done.output
    assert tries == [(STANDING.record.url, ("sa-east-1_pool", "client"), "audited sa-east-1_pool")]
    assert verdict in done.stderr
    for step in steps:
        assert str(step) in done.stderr
    # Also where it fails: whoever is to find out why needs the URL, and whoever gives up the command.
    assert done.stdout == f"{STANDING.record.url}\n"
    assert "Remove it: gobank preview down --branch 'feature/pix'" in done.stderr


def test_without_a_smoke_test_nothing_is_tried(
    monkeypatch: pytest.MonkeyPatch, tries: list[tuple[Any, ...]]
) -> None:
    done = up(monkeypatch, tries, (BAD,), "--no-smoke")
    assert (done.exit_code, tries) == (0, [])
    assert "smoke test" not in done.stderr

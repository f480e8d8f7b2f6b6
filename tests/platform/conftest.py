"""Snapshots of whole graphs, reviewed like code."""

import difflib
import gc
from collections.abc import Callable
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parent / "snapshots"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write tests/platform/snapshots anew")


@pytest.fixture(scope="session", autouse=True)
def sdks_aside() -> None:
    """Takes the SDKs, imported by now, out of every later collection: 500 ms each, one for each refusal."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the one kept under that name; `--update-snapshots` keeps the new one."""
    # Where pytest starts above this folder the option is not parsed: then nothing is written.
    update = request.config.getoption("update_snapshots", default=False)

    def check(name: str, text: str) -> None:
        path = SNAPSHOTS / f"{name}.json"
        if update:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        kept = path.read_text() if path.exists() else ""
        changed = "\n".join(
            difflib.unified_diff(kept.splitlines(), text.splitlines(), "kept", "now", lineterm="")
        )
        if changed:
            pytest.fail(f"{path.name} has changed; see --update-snapshots\n{changed}", pytrace=False)

    return check

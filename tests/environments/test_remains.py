"""What an environment leaves on the machine outside its own folder: nothing."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environment import Environment, environment


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A short path: the fork server's socket lies below, and a socket's path has a limit."""
    with tempfile.TemporaryDirectory(prefix="gb-", dir="/tmp") as folder:
        yield Path(folder)


def test_nothing_is_written_outside_its_folder_that_stays(tmp_path: Path, temporary: Path) -> None:
    with environment(tmp_path, TMPDIR=str(temporary)) as bank:
        assert signing_keys(bank), "where does MiniStack keep its keys?"
        assert list(temporary.glob("ministack*")) == []
    assert list(temporary.iterdir()) == []
    assert signing_keys(bank) == []


def signing_keys(bank: Environment) -> list[Path]:
    return list(bank.state.ministack.rglob("*.pem"))

"""What Git tells of branches."""

import subprocess
from pathlib import Path

import pytest

from environments.preview.git import current_branch, owner, remote_branches
from environments.preview.names import Refused


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "feature/🎉")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    git(folder, "config", "user.email", "ana@example.com")
    return folder


def test_the_branch_that_is_checked_out_is_told_and_without_one_it_must_be_named(checkout: Path) -> None:
    assert current_branch(checkout) == "feature/🎉"
    assert owner(checkout) == "ana@example.com"
    git(checkout, "checkout", "-q", "--detach")
    with pytest.raises(Refused, match="--branch: no branch is checked out"):
        current_branch(checkout)


def test_the_remotes_branches_are_those_that_it_has_now(checkout: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", str(remote))
    git(checkout, "push", "-q", str(remote), "HEAD:refs/heads/main", "HEAD:refs/heads/feature/a")
    git(checkout, "tag", "v1")
    git(checkout, "push", "-q", str(remote), "v1")
    assert remote_branches(checkout, str(remote)) == frozenset({"main", "feature/a"})


def test_a_remote_that_cannot_be_asked_tells_nothing(checkout: Path, tmp_path: Path) -> None:
    assert remote_branches(checkout, str(tmp_path / "nowhere")) is None
    assert remote_branches(tmp_path / "nowhere", "origin") is None

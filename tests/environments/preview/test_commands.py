"""`gobank preview` as it is typed: what is refused, and by which message."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from environments.cli import app
from environments.preview.names import Refused
from environments.preview.pulumi_cli import PulumiCli, PulumiFailed, find


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOBANK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", (tmp_path / "state").as_uri())


def gobank(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["preview", *arguments])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["up", "--branch", "prod"], "that is the name of an environment", id="protected"),
        pytest.param(["up", "--branch", "x", "--ttl", "1y"], "--ttl '1y'", id="ttl"),
        pytest.param(["up", "--branch", "x", "--ttl", "30d"], "14d at most", id="too long"),
        pytest.param(["up", "--branch", "x", "--images", "/nowhere"], "--images '/nowhere'", id="no images"),
        pytest.param(["down", "--stack", "dev"], "nothing else is touched here", id="down of dev"),
        pytest.param(["down", "--branch", "staging"], "no preview may touch", id="down of staging"),
    ],
)
def test_what_cannot_be_is_refused_by_name_before_anything_is_asked(arguments: list[str], says: str) -> None:
    done = gobank(*arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "down", "sweep"])
def test_whatever_changes_something_can_be_tried_first(command: str) -> None:
    assert "--dry-run" in gobank(command, "--help").stdout


def test_without_pulumi_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match=r"make \.tools/bin/pulumi"):
        find(tmp_path)


def test_the_checkouts_own_pulumi_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("bin", ".tools/bin"):
        path = tmp_path / folder / "pulumi"
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find(tmp_path) == str(tmp_path / ".tools" / "bin" / "pulumi")
    (tmp_path / ".tools" / "bin" / "pulumi").unlink()
    assert find(tmp_path) == str(tmp_path / "bin" / "pulumi")


def script(path: Path, text: str) -> PulumiCli:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return PulumiCli(str(path), {"TOLD": "by us"})


def test_a_tags_value_is_never_taken_for_an_option(tmp_path: Path) -> None:
    cli = script(tmp_path / "pulumi", f'printf "%s\\n" "$TOLD" "$@" > {tmp_path}/asked')
    cli.tag(tmp_path, "pr-x-0a1b2c", "gobanking:branch", "--force 🎉")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "by us"
    assert asked[-3:] == ["--", "gobanking:branch", "--force 🎉"]


def test_what_pulumi_says_is_the_message(tmp_path: Path) -> None:
    cli = script(tmp_path / "pulumi", "echo 'error: no stack named x found' >&2; exit 255")
    with pytest.raises(PulumiFailed, match=r"^error: no stack named x found$"):
        cli.outputs(tmp_path, "x")


def test_stacks_are_known_by_their_own_names_on_every_backend(tmp_path: Path) -> None:
    listed = '[{"name": "dev"}, {"name": "acme/gobanking/pr-x-0a1b2c", "resourceCount": 7}]'
    cli = script(tmp_path / "pulumi", f"echo '{listed}'")
    assert cli.stacks(tmp_path).keys() == {"dev", "pr-x-0a1b2c"}


def test_previews_keep_the_callers_keys_and_the_local_bank_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    try:
        monkeypatch.setenv("AWS_PROFILE", "mine")
        gobank("down", "--stack", "dev")
        assert os.environ["AWS_PROFILE"] == "mine"
        CliRunner().invoke(app, ["url"])
        assert "AWS_PROFILE" not in os.environ
    finally:
        os.environ.clear()
        os.environ.update(before)

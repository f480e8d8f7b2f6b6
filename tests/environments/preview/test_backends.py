"""Where a preview's state is kept, and what encrypts its secrets: any backend, any provider, by setting."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation

from environments.preview import commands
from environments.preview.engine import Engine
from environments.preview.pulumi_cli import PulumiCli
from environments.preview.stacks import Stacks

BUCKET = "s3://previews-state?region=sa-east-1"
KEY = "awskms://alias/previews?region=sa-east-1"
NAME = "pr-feature-pix-0a1b2c"


class SilentCli(PulumiCli):
    """Fails on every call: what is asked of it here must be known without it."""

    def run(self, folder: Path, *arguments: str) -> str:
        raise AssertionError(f"asked the CLI for {arguments} in {folder}")


def engine(secrets_provider: str) -> Engine:
    return Engine("pulumi", {"PULUMI_BACKEND_URL": BUCKET}, lambda: None, secrets_provider)


def stacks(folder: Path, backend: str, secrets_provider: str) -> Stacks:
    (folder / "Pulumi.yaml").write_text("name: gobanking\nmain: platform\n")
    cli = SilentCli("pulumi", {})
    return Stacks(folder, folder / "home", backend, secrets_provider, cli, lambda: engine(secrets_provider))


@pytest.mark.parametrize(("provider", "given"), [(KEY, KEY), ("", None)])
def test_the_engine_keeps_the_state_where_it_is_told_and_encrypts_by_what_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, given: str | None
) -> None:
    made: list[Mapping[str, Any]] = []

    def create_or_select_stack(**asked: Any) -> Any:
        made.append(asked)
        raise automation.CommandError(automation.CommandResult(stdout="", stderr="", code=1))

    monkeypatch.setattr(automation, "create_or_select_stack", create_or_select_stack)
    monkeypatch.setattr(Engine, "_checked", lambda _: None)
    with pytest.raises(Exception, match="code: 1"):
        engine(provider).create(tmp_path, NAME)
    (asked,) = made
    assert asked["stack_name"] == NAME
    assert asked["opts"].secrets_provider == given
    assert asked["opts"].env_vars["PULUMI_BACKEND_URL"] == BUCKET
    assert asked["opts"].work_dir == str(tmp_path)


def test_a_stacks_file_names_its_provider_so_that_the_cli_alone_can_open_it(tmp_path: Path) -> None:
    folder = stacks(tmp_path, BUCKET, KEY).prepared(NAME, {"aws:region": "sa-east-1"})
    found = yaml.safe_load((folder / f"Pulumi.{NAME}.yaml").read_text())
    assert found == {"secretsprovider": KEY, "config": {"aws:region": "sa-east-1"}}


@pytest.mark.parametrize("backend", [BUCKET, "gs://bucket", "azblob://container", "file:///tmp/state"])
def test_a_base_in_a_backend_of_files_has_the_organization_that_those_give(
    tmp_path: Path, backend: str
) -> None:
    assert stacks(tmp_path, backend, "").reference("dev") == "organization/gobanking/dev"


def test_the_settings_reach_the_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_: Path) -> str:
        return "pulumi"

    monkeypatch.setattr(commands, "find", find)
    monkeypatch.setenv("GOBANK_HOME", str(tmp_path))
    found = commands._stacks(BUCKET, KEY)
    told: Sequence[str] = (found.backend, found.secrets_provider, found.engine().secrets_provider)
    assert tuple(told) == (BUCKET, KEY, KEY)
    assert found.engine().variables == {"PULUMI_BACKEND_URL": BUCKET}

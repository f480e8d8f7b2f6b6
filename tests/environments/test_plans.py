"""What a stack costs, by its settings alone: no cloud, no credentials, no CLI of Pulumi."""

import json
import subprocess

import pytest
from typer.testing import CliRunner, Result

from environments.blueprint import NoStack, draw_up
from environments.cli import app
from tests.environment import GOBANK, ROOT


def gobank(*arguments: str) -> Result:
    """In this process: a new one would import Pulumi's packages each time."""
    return CliRunner().invoke(app, arguments)


def test_a_stacks_cost_is_estimated_from_its_file() -> None:
    done = subprocess.run([GOBANK, "cost", "dev"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "USD a month in sa-east-1" in done.stdout
    assert "node m7g.large" in done.stdout
    assert "What would be cheaper:" in done.stdout
    assert "Without a price" not in done.stdout


def test_a_setting_otherwise_costs_otherwise() -> None:
    def total(*changes: str) -> float:
        done = gobank("cost", "dev", "--json", *changes)
        assert done.exit_code == 0, done.stderr
        return float(json.loads(done.stdout)["total_usd"])

    assert total("--set", "natPerZone=true") > total()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(
            ["cost", "nope"],
            "STACK 'nope': there is no Pulumi.nope.yaml. There are: dev, prod.",
            id="no stack",
        ),
        pytest.param(["cost", "dev", "--set", "nodes"], "--set 'nodes': must be KEY=VALUE", id="no value"),
        pytest.param(
            ["cost", "dev", "--set", "nodes=0"], "gobanking:nodes = 0", id="a setting that cannot be"
        ),
        pytest.param(["cost", "prod"], "is a placeholder; write the real one", id="prod as committed"),
        pytest.param(
            ["cost", "dev", "--set", "aws:region=eu-west-9"], "eu-west-9", id="a region without prices"
        ),
    ],
)
def test_what_cannot_be_priced_is_refused_by_name(arguments: list[str], says: str) -> None:
    done = gobank(*arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_blueprint_is_the_program_that_pulumi_would_run() -> None:
    drawn = draw_up("dev", {})
    assert (drawn.stack, drawn.region, drawn.kind) == ("dev", "sa-east-1", "dev")
    assert len(drawn.resources) == len(list(drawn.graph))
    with pytest.raises(NoStack, match="gobanking:nodes = none"):
        draw_up("dev", {"gobanking:nodes": "none"})


def test_the_picture_in_the_readme_is_the_one_that_the_program_draws() -> None:
    done = gobank("diagram", "dev")
    assert done.exit_code == 0, done.stderr
    kept = ROOT / "docs" / "architecture.svg"
    assert "docs/architecture.svg" in (ROOT / "README.md").read_text()
    assert done.stdout == kept.read_text(), "the architecture has changed: run `make docs`"

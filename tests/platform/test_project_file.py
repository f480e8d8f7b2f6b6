"""Promises about `Pulumi.yaml` and the files that Pulumi reads beside it."""

from pathlib import Path

import pytest
import yaml

from configuration import project_defaults

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
PYTHON_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


@pytest.mark.parametrize("key", PROJECT["config"])
def test_every_key_is_described_and_typed_as_its_default_is(key: str) -> None:
    about = PROJECT["config"][key]
    assert key.startswith(f"{PROJECT['name']}:")
    assert len(about["description"]) > 10
    assert not about["description"].endswith(".")
    if "default" in about:
        assert type(about["default"]) is PYTHON_TYPES[about["type"]]
    assert ("items" in about) == (about["type"] == "array")
    if about["type"] == "array":
        assert about["items"] == {"type": "string"}
        assert all(type(item) is str for item in about["default"])


def test_only_the_image_source_must_be_chosen() -> None:
    assert [key for key, about in PROJECT["config"].items() if "default" not in about] == [
        "gobanking:imageSource"
    ]


def test_defaults_are_as_pulumi_gives_them_to_the_program() -> None:
    text = """
config:
  p:text: {type: string, default: "1.30"}
  p:empty: {type: string, default: ""}
  p:number: {type: integer, default: 3}
  p:flag: {type: boolean, default: false}
  p:list: {type: array, items: {type: string}, default: ["a", "b"]}
  p:object: {type: object, default: {}}
  p:needed: {type: string}
"""
    assert project_defaults(text) == {
        "p:text": "1.30",
        "p:empty": "",
        "p:number": "3",
        "p:flag": "false",
        "p:list": '["a","b"]',
        "p:object": "{}",
    }


def test_dev_needs_a_region_and_an_image_source_and_nothing_else() -> None:
    dev = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    assert set(dev) == {"aws:region", "gobanking:imageSource"}


def test_pulumi_install_fills_the_projects_own_environment_with_the_pins() -> None:
    """Pulumi's pip toolchain reads `requirements.txt` in the program's folder, which `main` names."""
    assert PROJECT["runtime"] == {
        "name": "python",
        "options": {"toolchain": "pip", "virtualenv": ".venv"},
    }
    program = ROOT / PROJECT["main"]
    lines = (program / "requirements.txt").read_text().splitlines()
    (include,) = [line for line in lines if not line.startswith("#")]
    option, name = include.split()
    assert option == "-r"
    assert (program / name).resolve() == ROOT / "requirements" / "platform.txt"


@pytest.mark.parametrize("group", ["platform", "dev"])
def test_the_environment_has_pip_which_pulumi_asks_for_the_plugins(group: str) -> None:
    """Without it every `pulumi preview` fails, and an environment made by uv has none."""
    pins = (ROOT / "requirements" / f"{group}.txt").read_text().splitlines()
    assert [pin for pin in pins if pin.startswith("pip==")]

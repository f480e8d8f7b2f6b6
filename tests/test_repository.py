"""Promises about the repository itself."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


def test_platform_at_the_root_is_still_the_standard_library() -> None:
    program = "import platform, uuid; print(platform.__file__); print(platform.system())"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(done.stdout.splitlines()[0]).parent != ROOT / "platform"
    assert not (ROOT / "platform" / "__init__.py").exists()


@pytest.mark.parametrize("group", ["apps", "platform", "local", "dev", "policy"])
def test_pins_have_hashes_and_no_download_address(group: str) -> None:
    text = (ROOT / "requirements" / f"{group}.txt").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins
    for pin in pins:
        assert "==" in pin, pin
        assert pin.endswith("\\"), f"{pin} has no hash"
    assert "://" not in text


def test_one_version_of_a_package_is_pinned_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for group in ("apps", "local", "dev", "platform"):
        for line in (ROOT / "requirements" / f"{group}.txt").read_text().splitlines():
            if "==" in line and not line.startswith((" ", "#")):
                name, version = line.split(" ")[0].split("==")
                pins.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}


def test_no_lock_file_and_no_test_package_is_committed() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in _tracked()}
    assert "uv.lock" not in names
    assert not [name for name in names if name.startswith("tests/") and name.endswith("__init__.py")]


def test_no_service_names_the_faults_that_tests_put_into_it() -> None:
    for path in (ROOT / "apps").rglob("*.py"):
        text = path.read_text()
        # The simulators of other institutions have bad days of their own: that is what they are for.
        simulator = "simulators" in path.parts
        for word in ("GOBANK_INSTRUMENT", "tests.", "chaos", *(() if simulator else ("faults",))):
            assert word not in text, f"{path} names {word}"

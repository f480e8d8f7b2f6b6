"""Promises about the repository itself."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
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


def test_every_metric_is_listed_with_what_it_says() -> None:
    called = re.compile(r"\bemit\(\s*(.)([^\"]*)")
    paths = [path for path in (ROOT / "apps").rglob("*.py") if path.name != "metrics.py"]
    calls = [call for path in paths for call in called.findall(path.read_text())]
    assert {mark for mark, _ in calls} == {'"'}, "a name that is put together cannot be looked up"
    tables = [
        line for line in (ROOT / "apps" / "README.md").read_text().splitlines() if line.startswith("| `")
    ]
    listed = {name for line in tables for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert len(calls) > 30
    assert {name for _, name in calls} - listed == set()


PROGRAM = ROOT / "platform"


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A folder of flat modules has nothing above it that a leading dot could name.
            assert node.level == 0, f"{path} imports relatively"
            yield f"{node.module}"


def test_the_aws_program_knows_the_catalog_and_no_other_module_of_ours() -> None:
    """The import contracts are over packages, and `platform/` must never be one."""
    files = [path for path in _tracked() if PROGRAM in path.parents and path.suffix == ".py"]
    flat = {path.stem for path in files if path.parent == PROGRAM}
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"platform"}
    found = {(path.relative_to(ROOT).as_posix(), module) for path in files for module in _imports(path)}
    roots = {module.partition(".")[0] for _, module in found}
    assert len(files) > 40
    assert {"pulumi", "apps", "names"} <= roots
    assert {each for each in found if each[1].partition(".")[0] in ours} == {
        (name, "apps.catalog") for name, module in found if module == "apps.catalog"
    }
    # The rules are run by another Python too, with another SDK: they need nothing of the program.
    rules = {module for name, module in found if name.startswith("platform/policies/")}
    assert {module for module in rules if module in flat} == set()

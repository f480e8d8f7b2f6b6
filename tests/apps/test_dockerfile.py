"""Each image holds what its program needs and nothing else of ours; there is no Docker here, so the file is
read, and what it copies is copied and run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from apps.catalog import CATALOG, Service
from tests.dockerfile import FINAL, ROOT, STAGES, arguments_of, copied, ignored, installed, of, variables

RUNNABLE = CATALOG.services


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stage `packages` makes."""
    return installed(tmp_path_factory.mktemp("packages"))


def run_in(folder: Path, packages: Path, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs a program as the image does: its variables, its packages, and of this machine only Python."""
    path = variables()["PYTHONPATH"].replace("/bank/packages", str(packages)).replace("/bank", str(folder))
    return subprocess.run(
        [sys.executable, "-S", *command],
        cwd=folder,
        env={**variables(), "PYTHONPATH": path, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


LIST_MODULES = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps({name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}))
"""


@pytest.mark.parametrize("service", RUNNABLE, ids=lambda service: service.name)
def test_a_program_runs_on_what_its_image_holds(service: Service, tmp_path: Path, packages: Path) -> None:
    folder = copied(arguments_of(service), tmp_path)
    done = run_in(folder, packages, "-c", LIST_MODULES, service.module)
    assert done.returncode == 0, done.stderr
    files: dict[str, str | None] = json.loads(done.stdout)
    ours = {name.split(".")[0] for name, file in files.items() if file and Path(file).is_relative_to(folder)}
    assert ours == {"apps"}
    strangers = [file for file in files.values() if file and Path(file).is_relative_to(ROOT)]
    assert strangers == [], "the checkout was on the path"
    assert list(folder.rglob("__pycache__")) == [], "nothing is written"


@pytest.mark.parametrize("service", RUNNABLE, ids=lambda service: service.name)
def test_an_image_holds_no_other_services_code(service: Service, tmp_path: Path) -> None:
    folder = copied(arguments_of(service), tmp_path)
    own = arguments_of(service)["FOLDER"].split("/")[1]
    assert {path.name for path in (folder / "apps").iterdir()} == {
        "__init__.py",
        "run.py",
        "probe.py",
        "kit",
        "ledger",
        "pix",
        own,
    }
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".py"}


@pytest.mark.parametrize("name", ["gateway", "relay_outbox", "operators"])
def test_the_entry_reaches_the_program_which_asks_for_its_settings(
    name: str, tmp_path: Path, packages: Path
) -> None:
    service = CATALOG.service(name)
    (entry,) = of("final", "ENTRYPOINT")
    python, *command = entry.command
    assert python == "python3"
    # Arguments of the container are the program's.
    extra = ["audit"] if service.kind == "job" else []
    done = run_in(copied(arguments_of(service), tmp_path), packages, *command, *extra, MODULE=service.module)
    assert done.returncode == 2, done.stderr
    assert "settings are missing or wrong" in done.stderr
    assert "- SERVICE: is not set" in done.stderr


@pytest.mark.parametrize("word", ["ENTRYPOINT", "HEALTHCHECK"])
def test_what_is_started_is_started_without_a_shell(word: str) -> None:
    (instruction,) = of("final", word)
    assert instruction.command[:2] == ["python3", "-m"]
    assert (ROOT / instruction.command[2].replace(".", "/")).with_suffix(".py").exists()


def test_the_final_stage_runs_nothing_so_it_needs_neither_shell_nor_processor() -> None:
    assert of("final", "RUN") == []
    assert of("final", "ADD") == []
    assert [instruction.rest.split()[0] for instruction in of("final", "COPY")] == [
        "--from=packages",
        "--from=program",
    ]
    for stage in ("packages", "program"):
        (source,) = of(stage, "FROM")
        assert source.rest.startswith("--platform=$BUILDPLATFORM "), stage


def test_the_program_is_nobody() -> None:
    (user,) = of("final", "USER")
    assert user.rest == "10001:10001"
    after = FINAL[FINAL.index(user) :]
    assert {instruction.word for instruction in after} == {"USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"}


def test_nothing_is_written_at_run_time() -> None:
    found = variables()
    assert found["PYTHONDONTWRITEBYTECODE"] == "1"
    assert found["PYTHONSAFEPATH"] == "1"
    assert found["HOME"] == "/nonexistent"
    assert of("final", "VOLUME") == []


def test_dependencies_are_the_pinned_ones_and_wheels_only() -> None:
    (copy,) = of("packages", "COPY")
    assert copy.words == ["requirements/apps.txt", "/requirements.txt"]
    (run,) = of("packages", "RUN")
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "--requirement /requirements.txt"):
        assert option in run.rest
    everything = " ".join(instruction.rest for stage in STAGES.values() for instruction in stage)
    for tool in ("curl", "wget", "apt-get", "git ", "http"):
        assert tool not in everything, tool


def test_the_image_has_the_python_that_tests_run_on_unless_told_otherwise() -> None:
    defaults = dict(each.rest.split("=", 1) for each in of("global", "ARG"))
    assert defaults["PYTHON"] == "3.11"
    assert defaults["BASE_IMAGE"] == defaults["BUILD_IMAGE"]
    assert "${PYTHON}" in defaults["BASE_IMAGE"]
    assert "@" not in defaults["BASE_IMAGE"], "a digest that no command has fetched"
    assert [each.rest for each in FINAL if each.word == "FROM"] == ["${BASE_IMAGE}"]


@pytest.mark.parametrize("argument", ["SERVICE", "MODULE", "FOLDER", "PORT"])
def test_every_argument_that_is_given_is_asked_for(argument: str) -> None:
    asked = {each.rest.partition("=")[0] for stage in STAGES.values() for each in stage if each.word == "ARG"}
    assert argument in asked


@pytest.mark.parametrize(
    ("module", "folder", "code"),
    [
        ("apps.gateway.main", "apps/gateway", 0),
        ("", "apps/gateway", 1),
        ("apps.gateway.main", "", 1),
        ("", "", 1),
    ],
)
def test_a_build_that_does_not_say_what_to_build_ends(module: str, folder: str, code: int) -> None:
    guard = of("program", "RUN")[0]
    place = STAGES["program"].index
    assert place(guard) < place(of("program", "COPY")[0]), "without a folder everything would be copied"
    done = subprocess.run(
        ["sh", "-c", guard.rest],
        env={"MODULE": module, "FOLDER": folder},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert ("apps.gateway.main" in done.stderr) is (code != 0)


@pytest.mark.parametrize("path", ["apps/gateway/main.py", "apps/kit/__init__.py", "requirements/apps.txt"])
def test_the_builder_gets_what_is_copied(path: str) -> None:
    assert not ignored(path)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        ".gobank/environment.json",
        "Pulumi.prod.yaml",
        "platform/settings.py",
        "requirements/dev.txt",
        "apps/README.md",
        "apps/catalog.py",
        "apps/Dockerfile",
        "apps/kit/__pycache__/money.cpython-311.pyc",
        "tests/conftest.py",
        ".env",
    ],
)
def test_the_builder_gets_nothing_else(path: str) -> None:
    assert ignored(path)

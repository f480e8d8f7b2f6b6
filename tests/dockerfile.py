"""What `apps/Dockerfile` says, read as data; and what it copies, copied."""

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from apps.catalog import Service

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Instruction:
    """One instruction: `COPY`, and the rest of its line."""

    word: str
    rest: str

    @property
    def words(self) -> list[str]:
        return [word for word in self.rest.split() if not word.startswith("--")]

    @property
    def command(self) -> list[str]:
        """The exec form; an error for a shell's."""
        found: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return found


def read_stages() -> dict[str, list[Instruction]]:
    """The instructions of each stage by its name, the last one's by `final`, those before by `global`."""
    text = "\n".join(
        line for line in (ROOT / "apps" / "Dockerfile").read_text().splitlines() if not line.startswith("#")
    )
    stages: dict[str, list[Instruction]] = {"global": []}
    name = "global"
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            name = rest.split(" AS ")[1] if " AS " in rest else "final"
            stages[name] = []
        stages[name].append(Instruction(word, rest))
    return stages


STAGES = read_stages()
FINAL = STAGES["final"]


def of(stage: str, word: str) -> list[Instruction]:
    return [instruction for instruction in STAGES[stage] if instruction.word == word]


def variables() -> dict[str, str]:
    """What `ENV` sets in the final stage."""
    (instruction,) = of("final", "ENV")
    return dict(pair.split("=", 1) for pair in instruction.rest.split())


def arguments_of(service: Service) -> dict[str, str]:
    """What the platform gives; `tests/deployed` holds the graph against this."""
    arguments = {
        "SERVICE": service.name,
        "MODULE": service.module,
        "FOLDER": service.module.rpartition(".")[0].replace(".", "/"),
    }
    return arguments if service.port is None else {**arguments, "PORT": str(service.port)}


def ignored(path: str) -> bool:
    """Whether `.dockerignore` keeps a file from the builder: the last pattern that matches decides."""
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(pattern, each) for each in above):
            out = not line.startswith("!")
    return out


def copied(arguments: Mapping[str, str], to: Path) -> Path:
    """Does in `to` what the stage `program` does for these build arguments; `to` itself."""
    for instruction in of("program", "COPY"):
        *sources, target = (
            re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], word) for word in instruction.words
        )
        for source in sources:
            for path in sorted((ROOT / source).rglob("*")) if (ROOT / source).is_dir() else [ROOT / source]:
                relative = path.relative_to(ROOT).as_posix()
                if path.is_dir() or ignored(relative):
                    continue
                # A folder's content goes to the target, a file into it.
                inside = path.relative_to(ROOT / source) if (ROOT / source).is_dir() else Path(path.name)
                (to / target / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, to / target / inside)
    return to


def installed(to: Path) -> Path:
    """Does in `to` what the stage `packages` does, of the pinned packages as they are installed here; `to`.

    Files are linked where they can be, else copied, and what was compiled comes along. Raises `LookupError`
    for a package that is installed in another version than the pinned one.
    """
    lines = (ROOT / "requirements" / "apps.txt").read_text().splitlines()
    for name, version in (line.split()[0].split("==") for line in lines if "==" in line):
        try:
            pinned = distribution(name)
        except PackageNotFoundError:  # for another platform
            continue
        if pinned.version != version:
            raise LookupError(f"{name} {version} is pinned, and {pinned.version} installed: make .venv/dev")
        for file in pinned.files or []:
            if ".." in file.parts or file.suffix == ".pyc":
                continue
            source = Path(str(pinned.locate_file(file)))
            _link(source, to / file)
            if (
                file.suffix == ".py"
                and (cache := Path(importlib.util.cache_from_source(str(source)))).exists()
            ):
                _link(cache, to / file.parent / "__pycache__" / cache.name)
    return to


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

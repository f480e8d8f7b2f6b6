"""What differs between two sets of inputs, and what it takes to make it so."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.engine.answers import replacing
from tests.engine.wire import Properties, is_object, object_at, plain

Path = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One input that differs: ADD, DELETE or UPDATE, and whether that takes a new object."""

    path: Path
    kind: str
    replaces: bool

    @property
    def dotted(self) -> str:
        """The path as the engine writes it: `tags["gobanking:ttl"]`."""
        written = "".join(f".{key}" if re.fullmatch(r"\w+", key) else f'["{key}"]' for key in self.path)
        return written.removeprefix(".")


def changes(resource_type: str, olds: Properties, news: Properties) -> list[Change]:
    """Lists are compared whole. An input that is not known yet differs, as the real providers hold."""
    forced = replacing(resource_type)
    return [
        Change(path, kind, any(".".join(path[: n + 1]) in forced for n in range(len(path))))
        for path, kind in _differences(plain(olds), plain(news))
    ]


def keeps_a_chosen_name(olds: Properties, news: Properties) -> bool:
    """Whether the program chose the object's name: then it cannot stand beside its replacement."""
    if "name" in news:
        return "name" not in news.get("__defaults", []) and bool(news["name"] == olds.get("name"))
    old, new = object_at(olds, "metadata"), object_at(news, "metadata")
    chosen = "pulumi.com/autonamed" not in object_at(new, "annotations")
    return "name" in new and chosen and all(old.get(key) == new.get(key) for key in ("name", "namespace"))


def _differences(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if not is_object(old) or not is_object(new):
        if old != new:
            yield path, "UPDATE"
        return
    for key in sorted(old.keys() | new.keys()):
        if key.startswith("__"):
            continue
        if key not in old or key not in new:
            yield (*path, key), "ADD" if key in new else "DELETE"
        else:
            yield from _differences(old[key], new[key], (*path, key))

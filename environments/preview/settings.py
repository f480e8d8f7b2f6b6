"""The configuration of a preview: a pure function of its base's and of what was asked for.

What belongs to the base (network, cluster, brokers, user pool, domain) is left out, and refused by the
program's own settings if it ever came in. Simulators always stand in for Bacen: a branch never reaches it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from environments.preview.names import Refused

PROJECT = "gobanking"
INHERITED = ("ispb", "openingGrantCents", "holdMinutes", "outboxShards", "auditSeconds", "logLevel")
"""What a branch is to have as its base has it."""
LOG_DAYS = 1
TAG_VALUE_LIMIT = 256


@dataclass(frozen=True)
class Wanted:
    """What was asked for. `base` is the stack's full name; no `images` means that they are built."""

    branch: str
    base: str
    ttl: str
    pr: str
    owner: str
    priority: int
    images: Sequence[str] = ()


def base_configuration(root: Path, base: str) -> dict[str, Any]:
    """What the base's own file says, over the project's defaults. Raises `Refused` without one."""
    name = base.rpartition("/")[2]
    path = root / f"Pulumi.{name}.yaml"
    if not path.exists():
        raise Refused(
            f"--base '{base}': there is no {path.name} in this checkout, so its region and settings are "
            "not known. Name a stack that has its file here."
        )
    return {**defaults(root), **(yaml.safe_load(path.read_text()) or {}).get("config", {})}


def defaults(root: Path) -> dict[str, Any]:
    """The project's defaults, as `Pulumi.yaml` writes them."""
    declared = yaml.safe_load((root / "Pulumi.yaml").read_text())["config"]
    return {key: about["default"] for key, about in declared.items() if "default" in about}


def preview_configuration(base: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """What the stack file of a preview says."""
    own: dict[str, Any] = {
        "kind": "preview",
        "base": "reference",
        "baseStack": wanted.base,
        "rulePriority": wanted.priority,
        "simulators": True,
        "logRetentionDays": LOG_DAYS,
        "tags": {**_further_tags(base), **resource_tags(wanted)},
        "imageSource": "given" if wanted.images else "build",
    }
    if wanted.images:
        own["images"] = list(wanted.images)
    for key in INHERITED:
        if (name := f"{PROJECT}:{key}") in base:
            own[key] = base[name]
    region = {"aws:region": base["aws:region"]} if "aws:region" in base else {}
    return region | {f"{PROJECT}:{key}": value for key, value in own.items()}


def resource_tags(wanted: Wanted) -> dict[str, str]:
    """What everything on AWS is tagged with besides the project's own tags: whose it is, and for how long.

    The time left is no tag here: it would change every resource with each `up`.
    """
    tags = {"branch": wanted.branch, "owner": wanted.owner, "pr": wanted.pr, "ttl": wanted.ttl}
    return {f"{PROJECT}:{name}": taggable(value) for name, value in tags.items() if value}


def taggable(text: str) -> str:
    """A text with only characters that AWS takes in a tag's value."""
    return re.sub(r"[^\w +\-=._:/@]", "-", text, flags=re.ASCII)[:TAG_VALUE_LIMIT]


def as_text(configuration: Mapping[str, Any]) -> dict[str, str]:
    """As Pulumi gives it to the program: everything as text."""
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in configuration.items()
    }


def given_images(text: str) -> tuple[str, ...]:
    """SERVICE=REFERENCE lines, or a JSON list of them. That they are good is judged by the program."""
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except ValueError as error:
            raise Refused(f"--images: is no list in JSON: {error}.") from None
        return tuple(str(item) for item in items)
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _further_tags(base: Mapping[str, Any]) -> dict[str, str]:
    tags = base.get(f"{PROJECT}:tags", {})
    found = json.loads(tags) if isinstance(tags, str) else tags
    return {str(name): str(value) for name, value in found.items()}

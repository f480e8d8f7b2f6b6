"""The AWS program as previews see it. Its folder is no package, so it goes on the path, behind everything."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "platform"
if str(PROGRAM) not in sys.path:
    sys.path.append(str(PROGRAM))

import program  # noqa: E402
from apps.catalog import CATALOG  # noqa: E402
from base import WrongBase, checked  # noqa: E402
from configuration import read  # noqa: E402
from configuration_values import SettingsError  # noqa: E402
from edge import priority  # noqa: E402
from environments.preview.names import Refused  # noqa: E402
from environments.preview.settings import PROJECT, as_text, defaults  # noqa: E402
from revision import revision  # noqa: E402

__all__ = ["PROGRAM", "ROOT", "judge", "priority", "run", "usable"]


def run() -> None:
    """Registers the environment of the stack that Pulumi runs, as running the folder does."""
    program.run(ROOT, CATALOG)


def usable(exported: Any, stack: str) -> Mapping[str, Any]:
    """The values of a base that a preview can stand on. Raises `Refused`, naming the key that is wrong."""
    try:
        base = checked(exported, stack)
    except WrongBase as wrong:
        raise Refused(str(wrong)) from None
    if not base["host_suffix"]:
        raise Refused(
            f"gobanking:domain of '{stack}': that base has no domain, so a preview would have no name of its "
            "own. Set gobanking:domain and gobanking:hostedZoneId there, and bring it up."
        )
    return base


def judge(configuration: Mapping[str, Any], stack: str) -> None:
    """Refuses, with all that is wrong, a configuration that the program would refuse."""
    given_revision = revision(ROOT)
    try:
        read(
            as_text({**defaults(ROOT), **configuration}),
            project=PROJECT,
            stack=stack,
            revision=given_revision,
            catalog=CATALOG,
            defaults=as_text(defaults(ROOT)),
        )
    except SettingsError as refused:
        raise Refused(str(refused)) from None

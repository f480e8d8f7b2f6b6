"""One run of the program: the stack's settings are read, the environment laid out, its outputs exported."""

from pathlib import Path

import pulumi
from pulumi.runtime import config

from apps.catalog import Catalog
from configuration import project_defaults, read
from environment import Environment, EnvironmentArgs
from images import prerequisites
from revision import revision

SEEN_FROM_HERE = Path("..")
"""The checkout from where Pulumi runs the program. The whole path is one machine's, and in the state."""


class NotReady(Exception):  # noqa: N818
    """Something is missing on the machine that runs this. Nothing was made."""


def run(root: Path, catalog: Catalog) -> None:
    """Registers the environment of the stack that Pulumi runs. `root` is the checkout.

    Raises `SettingsError` or `NotReady` before any resource exists, each with all that is wrong.
    """
    settings = read(
        {**config.get_config_env(), **config.CONFIG.get()},
        project=pulumi.get_project(),
        stack=pulumi.get_stack(),
        revision=revision(root),
        catalog=catalog,
        defaults=project_defaults((root / "Pulumi.yaml").read_text()),
    )
    if missing := prerequisites(settings.images):
        raise NotReady("\n".join(missing))
    bank = Environment("bank", EnvironmentArgs(settings=settings, catalog=catalog, root=SEEN_FROM_HERE))
    for name, value in bank.outputs.items():
        pulumi.export(name, value)

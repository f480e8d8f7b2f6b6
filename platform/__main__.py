"""What Pulumi runs: reads the stack's settings, lays the environment out, exports its outputs."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Behind everything, so that `apps` is found and nothing else is hidden (design section 1.1).
sys.path.append(str(ROOT))

import pulumi  # noqa: E402
from pulumi.runtime import config  # noqa: E402

from apps.catalog import CATALOG  # noqa: E402
from configuration import project_defaults, read  # noqa: E402
from environment import Environment, EnvironmentArgs  # noqa: E402
from revision import revision  # noqa: E402

settings = read(
    {**config.get_config_env(), **config.CONFIG.get()},
    project=pulumi.get_project(),
    stack=pulumi.get_stack(),
    revision=revision(ROOT),
    catalog=CATALOG,
    defaults=project_defaults((ROOT / "Pulumi.yaml").read_text()),
)
bank = Environment("bank", EnvironmentArgs(settings=settings, catalog=CATALOG, root=ROOT))
for name, value in bank.outputs.items():
    pulumi.export(name, value)

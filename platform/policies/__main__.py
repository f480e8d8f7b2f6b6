"""The policy pack that `pulumi up --policy-pack platform/policies` runs."""

import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[1]
# Appended: nothing here may stand before what Pulumi itself imports.
sys.path += [str(PROGRAM), str(PROGRAM.parent)]

import pulumi
import pulumi_policy

from policies.pack import policies


def read(key: str) -> str | None:
    """A key of the configuration of the stack that is looked at."""
    return pulumi.Config("gobanking").get(key)


# Serves until the engine ends it.
pulumi_policy.PolicyPack("gobanking", policies(pulumi_policy, read))

"""Run by the pack's own Python: makes the pack with Pulumi's real SDK and judges two stacks of one resource.

Prints, as JSON, its policies and what each stack is told.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "platform"), str(ROOT)]

import pulumi_policy  # noqa: E402
from pulumi.runtime.rpc import UNKNOWN  # noqa: E402
from pulumi_policy.proxy import unknown_checking_proxy  # noqa: E402

from policies.pack import policies  # noqa: E402

TAGS = {f"gobanking:{tag}": "a" for tag in ("project", "stack", "kind", "managed-by")}
GOOD = {"name": "logs", "arn": UNKNOWN, "kmsKeyId": UNKNOWN, "retentionInDays": 30}
BAD = {**GOOD, "retentionInDays": 0}


def resource(properties: Mapping[str, Any]) -> Any:
    """A log group as the SDK shows it, with its provider."""
    urn = "urn:pulumi:prod::gobanking::"
    options = pulumi_policy.PolicyResourceOptions(
        protect=False,
        ignore_changes=[],
        delete_before_replace=None,
        aliases=[],
        custom_timeouts=pulumi_policy.PolicyCustomTimeouts(0, 0, 0),
        additional_secret_outputs=[],
    )
    provider = pulumi_policy.PolicyProviderResource(
        "pulumi:providers:aws",
        unknown_checking_proxy({"defaultTags": json.dumps({"tags": TAGS})}),
        f"{urn}pulumi:providers:aws::aws",
        "aws",
    )
    kind = "aws:cloudwatch/logGroup:LogGroup"
    props = unknown_checking_proxy(dict(properties))
    return pulumi_policy.PolicyResource(
        kind, props, f"{urn}{kind}::logs", "logs", options, provider, None, [], {}
    )


def told(pack: list[Any], properties: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the pack says of a stack with that log group, by policy."""
    found: dict[str, list[str]] = {}
    for policy in pack:
        said: list[str] = []
        stack = pulumi_policy.StackValidationArgs([resource(properties)])
        policy.validate(stack, lambda message, urn=None, said=said: said.append(message))
        if said:
            found[policy.name] = said
    return found


def main() -> None:
    """Prints it."""
    pack = policies(pulumi_policy, {"kind": "prod", "domain": "bank.com.br"}.get)
    # Whether the SDK takes them, without the server that a pack ends in.
    assert all(isinstance(policy, pulumi_policy.StackValidationPolicy) for policy in pack)
    levels = [(policy.name, policy.enforcement_level.value) for policy in pack]
    sys.stdout.write(json.dumps({"policies": levels, "good": told(pack, GOOD), "bad": told(pack, BAD)}))


main()

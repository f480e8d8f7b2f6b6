"""What a killed update leaves in a stack's state: operations whose end nobody saw.

A created table that the state does not hold cannot be created again, and a deleted one not deleted. So what
was on its way is put into the state under the id that it has on AWS, told by its own inputs or by the ARNs
that carry the stack's tag, and then asked for by a refresh, which keeps what there is and drops what there
is not.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAMED_BY = {
    "aws:cloudwatch/dashboard:Dashboard": "dashboardName",
    "aws:cloudwatch/logGroup:LogGroup": "name",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "name",
    "aws:dynamodb/table:Table": "name",
    "aws:iam/role:Role": "name",
}
"""Types whose id is an input of theirs. Pulumi decides on a name that the program leaves to it before it asks
AWS, so that one is an input too."""
ARN_ENDS_WITH = {
    "aws:lb/targetGroup:TargetGroup": ":targetgroup/{name}/",
    "aws:sns/topic:Topic": ":{name}",
}
"""Types whose id is an ARN with their name in it; a target group's has a digest behind that."""
RULE = "aws:lb/listenerRule:ListenerRule"
RULE_ARN = ":listener-rule/"
"""A preview has one rule, and its ARN no name."""


@dataclass(frozen=True)
class Recovered:
    """A state without pending operations. `doubtful` are URNs that a refresh must look at; `lost` are
    resources that may exist and that nothing here can find, as type and name."""

    deployment: dict[str, Any]
    doubtful: tuple[str, ...]
    lost: tuple[str, ...]


def recovered(deployment: Mapping[str, Any], arns: Sequence[str] = ()) -> Recovered | None:
    """The state as it is to be imported; None when nothing is pending. `arns` are all of the stack's."""
    pending = deployment.get("pending_operations") or []
    if not pending:
        return None
    mended = copy.deepcopy(dict(deployment))
    mended["pending_operations"] = []
    resources: list[dict[str, Any]] = mended.setdefault("resources", [])
    known = {each["urn"] for each in resources}
    ids = {each.get("id") for each in resources}
    unknown = [arn for arn in arns if arn not in ids]
    doubtful, lost = [], []
    for operation in pending:
        resource = operation["resource"]
        urn = resource["urn"]
        if urn in known:
            doubtful.append(urn)
        elif (found := physical_id(resource, unknown)) is not None:
            resources.append({"outputs": {}, **resource, "id": found})
            doubtful.append(urn)
        elif resource.get("custom") and not resource["type"].startswith("pulumi:"):
            lost.append(f"{resource['type']} {urn.rpartition('::')[2]}")
    return Recovered(mended, tuple(doubtful), tuple(sorted(lost)))


def physical_id(resource: Mapping[str, Any], arns: Sequence[str]) -> str | None:
    """The id that a resource has if it exists, where it can be told; `arns` are those in no state."""
    inputs, kind = resource.get("inputs") or {}, resource["type"]
    name = inputs.get(NAMED_BY.get(kind, "name"))
    if kind in NAMED_BY:
        return name if isinstance(name, str) else None
    if kind in ARN_ENDS_WITH and isinstance(name, str):
        part = ARN_ENDS_WITH[kind].format(name=name)
        return _only([arn for arn in arns if arn.endswith(part) or (part.endswith("/") and part in arn)])
    if kind == RULE:
        return _only([arn for arn in arns if RULE_ARN in arn])
    if kind.startswith("kubernetes:"):
        metadata = inputs.get("metadata") or {}
        parts = [metadata.get("namespace"), metadata.get("name")]
        return "/".join(part for part in parts if part) if metadata.get("name") else None
    return None


def _only(found: Sequence[str]) -> str | None:
    return found[0] if len(found) == 1 else None

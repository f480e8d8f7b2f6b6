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

ID_OF_INPUTS = {
    "aws:dynamodb/table:Table": "{name}",
    "aws:iam/role:Role": "{name}",
    "aws:iam/rolePolicy:RolePolicy": "{role}:{name}",
    "aws:msk/topic:Topic": "{clusterArn},{name}",
}
"""How an import calls what its own inputs name. Pulumi decides on a name that the program leaves to it before
it asks AWS, so that one is an input too."""
ARN_HOLDS = {
    "aws:lb/listenerRule:ListenerRule": ":listener-rule/",
    "aws:lb/targetGroup:TargetGroup": ":targetgroup/{name}/",
    "aws:secretsmanager/secret:Secret": ":secret:{name}-",
}
"""Types that an import calls by their ARN, and what is in it: AWS puts a digest behind each name. A preview
has one rule, whose ARN has no name."""


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
    texts = {key: value for key, value in inputs.items() if isinstance(value, str)}
    try:
        if kind in ID_OF_INPUTS:
            return ID_OF_INPUTS[kind].format(**texts)
        if kind in ARN_HOLDS:
            part = ARN_HOLDS[kind].format(**texts)
            return _only([arn for arn in arns if part in arn])
    except KeyError:
        return None
    if kind.startswith("kubernetes:"):
        metadata = inputs.get("metadata") or {}
        parts = [metadata.get("namespace"), metadata.get("name")]
        return "/".join(part for part in parts if part) if metadata.get("name") else None
    return None


def _only(found: Sequence[str]) -> str | None:
    return found[0] if len(found) == 1 else None

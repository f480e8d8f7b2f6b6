"""Names that AWS and Kubernetes take: found before a deployment stops half-way at one that they do not."""

import re
from collections.abc import Iterator, Sequence

from policies.graph import Facts, Resource, Violation, of, violation

NAMES: dict[str, tuple[str, str]] = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("name", r".{1,255}"),
    "aws:cloudwatch/dashboard:Dashboard": ("dashboardName", r"[A-Za-z0-9_-]{1,255}"),
    "aws:cloudwatch/logGroup:LogGroup": ("name", r"[A-Za-z0-9_/.#-]{1,512}"),
    "aws:cognito/userPool:UserPool": ("name", r"[\w\s+=,.@-]{1,128}"),
    "aws:dynamodb/table:Table": ("name", r"[A-Za-z0-9_.-]{3,255}"),
    "aws:ecr/repository:Repository": ("name", r"(?=.{2,256}$)[a-z0-9]+([._/-][a-z0-9]+)*"),
    "aws:eks/cluster:Cluster": ("name", r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}"),
    "aws:iam/policy:Policy": ("name", r"[\w+=,.@-]{1,128}"),
    "aws:iam/role:Role": ("name", r"[\w+=,.@-]{1,64}"),
    "aws:kms/alias:Alias": ("name", r"alias/(?!aws/)[A-Za-z0-9/_-]{1,250}"),
    "aws:lb/loadBalancer:LoadBalancer": ("name", r"(?!internal-)[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"),
    "aws:lb/targetGroup:TargetGroup": ("name", r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"),
    "aws:msk/cluster:Cluster": ("clusterName", r".{1,64}"),
    "aws:msk/topic:Topic": ("name", r"[A-Za-z0-9._-]{1,249}"),
    "aws:s3/bucket:Bucket": ("bucket", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "aws:secretsmanager/secret:Secret": ("name", r"[A-Za-z0-9/_+=.@-]{1,512}"),
    "aws:wafv2/webAcl:WebAcl": ("name", r"[\w-]{1,128}"),
}
"""By type: where a physical name stands, and what AWS takes there."""
KUBERNETES = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""RFC 1123's label, which namespaces, services and what names pods must be."""
KUBERNETES_NAMED = (
    "kubernetes:apps/v1:Deployment",
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:Service",
    "kubernetes:core/v1:ServiceAccount",
)


def names_fit(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every name that is given is one that AWS or Kubernetes takes."""
    for resource in of(resources, *NAMES, *KUBERNETES_NAMED):
        if resource.type in NAMES:
            where, pattern = NAMES[resource.type]
            name = resource.at(where)
        else:
            pattern, name = KUBERNETES, resource.at("metadata", "name")
        if isinstance(name, str) and not re.fullmatch(pattern, name):
            yield violation(resource, f"'{name}' is no name for it: {pattern}")

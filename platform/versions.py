"""What runs in a cluster of each Kubernetes version: nothing follows "latest", so no `up` changes it unasked.

The one place to change when Kubernetes is upgraded, one minor version at a time. What AWS offers for a
version, and which of it is its default:

    aws eks describe-addon-versions --kubernetes-version 1.35 --addon-name coredns
    aws ssm get-parameter --name \\
        /aws/service/eks/optimized-ami/1.35/amazon-linux-2023/arm64/standard/recommended/release_version
"""

from collections.abc import Mapping
from dataclasses import dataclass

LOAD_BALANCER_CONTROLLER_CHART = "3.5.0"
AUTOSCALER_CHART = "9.59.0"


@dataclass(frozen=True)
class Versions:
    """Add-ons by their EKS names, the image of the nodes (AL2023) and the autoscaler's.

    The node image is pinned like the rest: a new one replaces every node, which a person should decide, and
    do about once a month for its patches. The autoscaler is of the cluster's own minor version.
    """

    vpc_cni: str
    kube_proxy: str
    coredns: str
    metrics_server: str
    eks_pod_identity_agent: str
    eks_node_monitoring_agent: str
    amazon_cloudwatch_observability: str
    node_image: str
    autoscaler: str


VERSIONS: Mapping[str, Versions] = {
    # Standard support ends 2026-12-02: after it AWS upgrades such a cluster by itself (`upgrade_policy`).
    "1.34": Versions(
        vpc_cni="v1.22.4-eksbuild.3",
        kube_proxy="v1.34.6-eksbuild.21",
        coredns="v1.13.2-eksbuild.11",
        metrics_server="v0.9.0-eksbuild.7",
        eks_pod_identity_agent="v1.3.10-eksbuild.3",
        eks_node_monitoring_agent="v1.7.0-eksbuild.1",
        # The last with one agent and one configuration; 5 and later split both, see addons.py.
        amazon_cloudwatch_observability="v4.10.3-eksbuild.1",
        node_image="1.34.9-20260810",
        autoscaler="v1.34.5",
    ),
    # Standard support ends 2027-03-27.
    "1.35": Versions(
        vpc_cni="v1.22.4-eksbuild.3",
        kube_proxy="v1.35.3-eksbuild.21",
        coredns="v1.13.2-eksbuild.21",
        metrics_server="v0.9.0-eksbuild.7",
        eks_pod_identity_agent="v1.3.10-eksbuild.3",
        eks_node_monitoring_agent="v1.7.0-eksbuild.1",
        amazon_cloudwatch_observability="v4.10.3-eksbuild.1",
        node_image="1.35.7-20260911",
        autoscaler="v1.35.2",
    ),
}


def versions(kubernetes: str) -> Versions:
    """What goes with a Kubernetes version. Raises `ValueError` when none is pinned for it."""
    if kubernetes not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise ValueError(f"no versions are pinned for Kubernetes {kubernetes}, only for {known}")
    return VERSIONS[kubernetes]

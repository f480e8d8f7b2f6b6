"""How a program reaches the cluster: as whoever runs it, by `aws eks get-token`; nothing here is secret."""

import json

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import Output, ResourceOptions


def kubeconfig(name: str, endpoint: str, ca: str, region: str) -> str:
    """For `kubectl` and for the provider. `ca` is the certificate in base64, as EKS gives it.

    Needs the AWS CLI, 2.7 or later, on the path, and in its environment the credentials that Pulumi has.
    """
    token = ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"]
    call = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "args": token}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": ca}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {"exec": call}}],
        }
    )


def provider(
    resource_name: str,
    *,
    cluster_name: pulumi.Input[str],
    endpoint: pulumi.Input[str],
    ca: pulumi.Input[str],
    region: str,
    delete_unreachable: bool,
    opts: ResourceOptions,
) -> kubernetes.Provider:
    """A provider for one cluster.

    It is the cluster's name that makes it another provider, and replaces everything under it; without
    `cluster_identifier` a new endpoint or certificate would. With `delete_unreachable` a destroy forgets
    what it cannot reach: only for what may be lost, since such objects may own things outside the cluster.
    """
    return kubernetes.Provider(
        resource_name,
        kubeconfig=Output.all(cluster_name, endpoint, ca, region).apply(lambda plain: kubeconfig(*plain)),
        cluster_identifier=cluster_name,
        delete_unreachable=delete_unreachable,
        opts=opts,
    )

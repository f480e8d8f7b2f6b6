"""Access to the cluster: a kubeconfig without secrets, and a provider that is not replaced by chance."""

import json
from typing import Any

import pytest
from pulumi import Output, ResourceOptions

from environments.graph.evaluation import UNKNOWN, evaluate
from kubernetes_access import kubeconfig, provider
from tests.platform.cluster_program import cluster_graph
from tests.platform.types_check import complaints

PROVIDER = "pulumi:providers:kubernetes"
ENDPOINT = "https://api.example.com"


def test_the_kubeconfig_asks_aws_for_a_token() -> None:
    config = json.loads(kubeconfig("dev-1", ENDPOINT, "Y2E=", "sa-east-1"))
    (user,) = config["users"]
    call = user["user"]["exec"]
    assert call["command"] == "aws"
    assert call["args"] == [
        "--region",
        "sa-east-1",
        "eks",
        "get-token",
        "--cluster-name",
        "dev-1",
        "--output",
        "json",
    ]
    assert set(user["user"]) == {"exec"}, "no token, no certificate"


def test_the_kubeconfig_names_one_cluster_and_uses_it() -> None:
    config = json.loads(kubeconfig("dev-1", ENDPOINT, "Y2E=", "sa-east-1"))
    (cluster,), (context,) = config["clusters"], config["contexts"]
    assert cluster["cluster"] == {"server": ENDPOINT, "certificate-authority-data": "Y2E="}
    assert context["context"] == {"cluster": cluster["name"], "user": config["users"][0]["name"]}
    assert config["current-context"] == context["name"]


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize("delete_unreachable", [False, True])
def test_the_provider_is_the_clusters_whatever_its_endpoint(delete_unreachable: bool, preview: bool) -> None:
    def program() -> None:
        provider(
            "kubernetes",
            cluster_name=Output.from_input("dev-1"),
            endpoint=ENDPOINT,
            ca="Y2E=",
            region="sa-east-1",
            delete_unreachable=delete_unreachable,
            opts=ResourceOptions(),
        )

    node = evaluate(program, preview=preview).one(PROVIDER)
    assert complaints(node) == []
    assert node.inputs["clusterIdentifier"] == "dev-1"
    assert node.inputs["deleteUnreachable"] == str(delete_unreachable).lower()
    assert node.inputs["kubeconfig"] == kubeconfig("dev-1", ENDPOINT, "Y2E=", "sa-east-1")


def test_the_clusters_own_provider_forgets_nothing_that_it_cannot_reach() -> None:
    node = cluster_graph(preview=False).one(PROVIDER, "cluster-kubernetes")
    assert node.inputs["deleteUnreachable"] == "false"
    assert node.inputs["clusterIdentifier"] == "dev-0a1b2c3"
    config: dict[str, Any] = json.loads(node.inputs["kubeconfig"])
    assert config["clusters"][0]["cluster"]["certificate-authority-data"] == "Y2VydGlmaWNhdGU="


def test_a_first_preview_has_a_provider_that_is_still_unknown() -> None:
    inputs = cluster_graph(preview=True).one(PROVIDER, "cluster-kubernetes").inputs
    assert inputs["kubeconfig"] is UNKNOWN
    assert inputs["clusterIdentifier"] is UNKNOWN

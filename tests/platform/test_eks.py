"""The whole cluster: what is made in which order, what it hands out, and who may do what."""

import json
from typing import Any

import pytest

from environments.graph import answers as cloud
from environments.graph.evaluation import UNKNOWN, Graph, Node
from tests.platform.cluster_program import (
    ADDON,
    ASSOCIATION,
    ATTACHMENT,
    CLUSTER,
    INLINE,
    LOG_GROUP,
    NODE_GROUP,
    RELEASE,
    ROLE,
    WORKLOAD,
    cluster_graph,
    cluster_with,
    rights,
)
from tests.platform.types_check import complaints

NAME = "dev-0a1b2c3"
NAME_LIMIT, SUFFIX = 64, len("-0a1b2c3")

both = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])


def addon(graph: Graph, name: str) -> Node:
    (found,) = [node for node in graph.of_type(ADDON) if node.inputs["addonName"] == name]
    return found


def before_nodes(graph: Graph) -> list[Node]:
    return [
        graph.one(CLUSTER),
        addon(graph, "eks-pod-identity-agent"),
        graph.one(ASSOCIATION, "cluster-cni-identity"),
        graph.one("aws:ec2/route:Route"),
    ]


def after_nodes(graph: Graph) -> list[Node]:
    return [node for node in graph.of_type(ADDON) if node.inputs["addonName"] != "eks-pod-identity-agent"]


@both
def test_every_input_is_one_that_the_sdks_take(preview: bool) -> None:
    graph = cluster_graph(preview=preview, insights=True, protect=True)
    assert [f"{node.name}: {fault}" for node in graph for fault in complaints(node)] == []


@both
def test_everything_hangs_off_the_component_and_says_what_it_made(preview: bool) -> None:
    graph = cluster_graph(preview=preview)
    assert graph.outside_components() == []
    cluster = graph.one("gobanking:platform:Cluster")
    ours = [cluster, *(node for node in graph.descendants(cluster) if node.type.startswith("gobanking:"))]
    assert {node.type.rpartition(":")[2] for node in ours} == {
        "Addons",
        "Cluster",
        "ControlPlane",
        "Controllers",
        "Nodes",
        "PodRole",
    }
    assert [node.name for node in ours if node.outputs is None] == []


def test_what_others_need_comes_out_as_plain_values() -> None:
    outputs = dict(cluster_graph(preview=False).outputs)
    assert outputs.pop("security_group_id").startswith("sg-")
    assert outputs == {
        "name": NAME,
        "endpoint": "https://EXAMPLED539D4633E53DE1B716D3041E.gr7.sa-east-1.eks.amazonaws.com",
        "ca": "Y2VydGlmaWNhdGU=",
        "log_groups": {
            kind: f"/aws/containerinsights/{NAME}/{kind}" for kind in ("application", "dataplane", "host")
        },
    }


def test_a_first_preview_knows_none_of_it_and_survives() -> None:
    outputs = cluster_graph(preview=True).outputs
    assert {outputs[name] for name in ("name", "endpoint", "ca", "security_group_id")} == {UNKNOWN}


@both
def test_all_of_aws_goes_through_the_given_provider(preview: bool) -> None:
    graph = cluster_graph(preview=preview)
    ours = graph.one("pulumi:providers:aws", "ours").urn
    assert {node.provider for node in graph if node.type.startswith("aws:")} == {ours}
    assert graph.one(CLUSTER).providers["aws"] == ours
    assert {invoke.provider for invoke in graph.invokes} == {ours}
    kubernetes = graph.one("pulumi:providers:kubernetes", "cluster-kubernetes").urn
    assert {node.provider for node in graph.of_type(RELEASE)} == {kubernetes}


@both
def test_a_node_starts_when_network_plugin_its_rights_and_the_way_out_stand(preview: bool) -> None:
    """Otherwise it never joins, and the group fails after half an hour."""
    graph = cluster_graph(preview=preview)
    group = graph.one(NODE_GROUP)
    assert [need.name for need in before_nodes(graph) if not graph.depends(group, need)] == []
    assert [need.name for need in before_nodes(graph) if graph.depends(need, group)] == []


@both
def test_addons_with_pods_wait_for_nodes(preview: bool) -> None:
    """CoreDNS without nodes stays DEGRADED and times out (pulumi-eks#1819)."""
    graph = cluster_graph(preview=preview)
    group = graph.one(NODE_GROUP)
    assert sorted(node.inputs["addonName"] for node in after_nodes(graph)) == [
        "amazon-cloudwatch-observability",
        "coredns",
        "eks-node-monitoring-agent",
        "metrics-server",
    ]
    assert [node.name for node in after_nodes(graph) if not graph.depends(node, group)] == []


@both
def test_controllers_go_before_addons_and_those_before_nodes(preview: bool) -> None:
    """What the destroy needs: the other way round, nobody is left to clean up."""
    graph = cluster_graph(preview=preview)
    releases = graph.of_type(RELEASE)
    assert len(releases) == 2
    for release in releases:
        for node in (*graph.of_type(ADDON), graph.one(NODE_GROUP), graph.one(CLUSTER)):
            assert graph.depends(release, node), f"{release.name} outlives {node.name}"


@both
def test_workloads_wait_for_every_addon_and_controller(preview: bool) -> None:
    """Names, figures for their autoscalers, roles, readiness gates: all must stand when a pod starts."""
    graph = cluster_graph(preview=preview)
    workload = graph.one("aws:ec2/eip:Eip", WORKLOAD)
    needed = {node.urn for type_ in (ADDON, RELEASE) for node in graph.of_type(type_)}
    assert len(needed) == 7
    assert needed <= workload.dependencies


@both
def test_a_role_has_its_rights_before_pods_get_it(preview: bool) -> None:
    """Associations are read when a pod starts; one that came late means no credentials until it restarts."""
    graph = cluster_graph(preview=preview)
    pairs = {
        "cluster-cni-identity": "cluster-cni-rights",
        "cluster-controllers-aws-load-balancer-controller-identity": (
            "cluster-controllers-aws-load-balancer-controller-rights"
        ),
        "cluster-controllers-cluster-autoscaler-identity": "cluster-controllers-cluster-autoscaler-rights",
        "cluster-addons-amazon-cloudwatch-observability": "cluster-addons-cloudwatch-rights",
    }
    by_name = {node.name: node for node in graph}
    for taker, given in pairs.items():
        assert graph.depends(by_name[taker], by_name[given])
    for release in graph.of_type(RELEASE):
        identity = release.name.removesuffix("-release") + "-identity"
        assert graph.depends(release, by_name[identity])


@both
def test_log_groups_stand_before_what_writes_to_them(preview: bool) -> None:
    """Whoever finds none makes one, without encryption, that is kept for ever and in our way."""
    graph = cluster_graph(preview=preview, insights=True)
    assert graph.depends(graph.one(CLUSTER), graph.one(LOG_GROUP, "cluster-control-plane-logs"))
    agent = addon(graph, "amazon-cloudwatch-observability")
    for kind in ("application", "dataplane", "host", "performance"):
        assert graph.depends(agent, graph.one(LOG_GROUP, f"cluster-addons-{kind}-logs"))


def test_log_groups_are_encrypted_and_emptied() -> None:
    groups = cluster_graph(preview=False, insights=True).of_type(LOG_GROUP)
    assert {node.inputs["name"] for node in groups} == {
        f"/aws/eks/{NAME}/cluster",
        *(
            f"/aws/containerinsights/{NAME}/{kind}"
            for kind in ("application", "dataplane", "host", "performance")
        ),
    }
    assert {node.inputs["kmsKeyId"] for node in groups} == {cloud.arn("kms", "key/logs")}
    assert {node.inputs["retentionInDays"] for node in groups} == {7}


@pytest.mark.parametrize("protect", [False, True], ids=["dev", "prod"])
def test_protection_is_for_the_cluster_and_its_logs(protect: bool) -> None:
    graph = cluster_graph(preview=False, protect=protect)
    guarded = {node.type for node in graph if node.protect}
    assert guarded == ({CLUSTER, LOG_GROUP} if protect else set())
    assert graph.one(CLUSTER).inputs["deletionProtection"] is protect


def statements(graph: Graph) -> list[tuple[str, dict[str, Any]]]:
    return [
        (node.name, statement)
        for node in graph.of_type(INLINE)
        for statement in json.loads(node.inputs["policy"])["Statement"]
    ]


def test_nothing_may_be_done_to_everything_but_look() -> None:
    """The only statements on `*` are those of calls that AWS scopes to nothing, all of them reads."""
    everywhere = [
        (name, action)
        for name, statement in statements(cluster_graph(preview=False))
        if statement["Resource"] == "*"
        for action in statement["Action"]
    ]
    assert {name for name, _ in everywhere} == {
        "cluster-controllers-aws-load-balancer-controller-rights",
        "cluster-controllers-cluster-autoscaler-rights",
    }
    reads = ("Describe", "Get")
    assert [pair for pair in everywhere if not pair[1].partition(":")[2].startswith(reads)] == []


def test_no_action_is_a_pattern() -> None:
    found = statements(cluster_graph(preview=False))
    assert found
    for _, statement in found:
        actions = statement["Action"]
        assert "*" not in json.dumps(actions), actions
        assert statement["Effect"] == "Allow"


def test_each_role_has_the_managed_policies_that_it_needs_and_no_more() -> None:
    """The nodes' role, which all pods of the host network could take, may not change the network."""
    assert rights(cluster_graph(preview=False)) == {
        "cluster-control-plane-role-0a1b2c3": {"AmazonEKSClusterPolicy", "AmazonEKSVPCResourceController"},
        "cluster-nodes-role-0a1b2c3": {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"},
        "cluster-cni-role-0a1b2c3": {"AmazonEKS_CNI_Policy"},
        "cluster-addons-cloudwatch-role-0a1b2c3": {"CloudWatchAgentServerPolicy"},
    }


def test_roles_of_pods_are_for_one_service_account_of_this_cluster() -> None:
    graph = cluster_graph(preview=False)
    accounts = {}
    for node in graph.of_type(ROLE):
        (statement,) = json.loads(node.inputs["assumeRolePolicy"])["Statement"]
        if statement["Principal"]["Service"] == "pods.eks.amazonaws.com":
            tags = statement["Condition"]["StringEquals"]
            assert tags["aws:RequestTag/eks-cluster-arn"] == cloud.arn("eks", f"cluster/{NAME}")
            accounts[node.outputs["arn"] if node.outputs else ""] = (
                tags["aws:RequestTag/kubernetes-namespace"],
                tags["aws:RequestTag/kubernetes-service-account"],
            )
    associated = {
        node.inputs["roleArn"]: (node.inputs["namespace"], node.inputs["serviceAccount"])
        for node in graph.of_type(ASSOCIATION)
    }
    (agent,) = addon(graph, "amazon-cloudwatch-observability").inputs["podIdentityAssociations"]
    associated[agent["roleArn"]] = ("amazon-cloudwatch", agent["serviceAccount"])
    assert associated == accounts
    assert len(accounts) == 4


@both
def test_names_that_pulumi_makes_up_fit_iam(preview: bool) -> None:
    for node in cluster_graph(preview=preview).of_type(ROLE):
        assert len(node.name) + SUFFIX <= NAME_LIMIT, node.name


def test_attachments_are_of_policies_that_aws_keeps() -> None:
    for node in cluster_graph(preview=False).of_type(ATTACHMENT):
        assert node.inputs["policyArn"].startswith("arn:aws:iam::aws:policy/")


def test_a_kubernetes_version_without_pins_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ValueError, match=r"no versions are pinned for Kubernetes 1\.29, only for 1\.34, "):
        cluster_with(version="1.29")

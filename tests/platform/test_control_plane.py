"""What the control plane is asked for, from settings to the options of the network plugin."""

import json

import pytest

from control_plane import ADMIN_POLICY, access_entries, cluster_arn, cluster_name, cni_options
from environments.graph import answers as cloud
from environments.graph.evaluation import UNKNOWN
from tests.platform.cluster_program import ADMIN, CLUSTER, ROLE, SETTINGS, cluster_graph, cluster_with
from versions import VERSIONS


def test_the_cluster_is_what_the_settings_say() -> None:
    inputs = cluster_graph(preview=False).one(CLUSTER).inputs
    assert inputs["version"] == SETTINGS.version
    assert inputs["vpcId"] == "vpc-1"
    assert inputs["privateSubnetIds"] == [f"subnet-private-{zone}" for zone in "abc"]
    assert inputs["publicSubnetIds"] == [f"subnet-public-{zone}" for zone in "abc"]
    assert inputs["encryptionConfigKeyArn"] == cloud.arn("kms", "key/cluster")
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}
    assert set(inputs["enabledClusterLogTypes"]) == {
        "api",
        "audit",
        "authenticator",
        "controllerManager",
        "scheduler",
    }


def test_only_named_addresses_reach_the_public_endpoint() -> None:
    inputs = cluster_graph(preview=False).one(CLUSTER).inputs
    assert inputs["endpointPublicAccess"] is True
    assert inputs["publicAccessCidrs"] == ["203.0.113.0/24"]
    assert inputs["endpointPrivateAccess"] is True


def test_no_named_address_closes_the_public_endpoint() -> None:
    """AWS's own default is an endpoint that is open to the world."""
    inputs = cluster_with(api_cidrs=()).inputs
    assert inputs["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in inputs, "pulumi-eks refuses both together"
    assert inputs["endpointPrivateAccess"] is True


def test_administrators_come_in_by_access_entries_only() -> None:
    inputs = cluster_graph(preview=False).one(CLUSTER).inputs
    assert inputs["authenticationMode"] == "API"
    assert {"roleMappings", "userMappings", "instanceRoles"} & set(inputs) == set()
    assert inputs["accessEntries"] == {
        "111122223333-teams-platform": {
            "principalArn": ADMIN,
            "accessPolicies": {"admin": {"policyArn": ADMIN_POLICY, "accessScope": {"type": "cluster"}}},
        }
    }


def test_the_order_of_administrators_means_nothing() -> None:
    other = "arn:aws:iam::444455556666:role/teams/platform"
    keys = set(access_entries([ADMIN, other]))
    assert keys == {"111122223333-teams-platform", "444455556666-teams-platform"}
    assert set(access_entries([other, ADMIN])) == keys
    assert access_entries([]) == {}


def test_the_component_makes_neither_nodes_nor_groups_nor_coredns() -> None:
    """CoreDNS would wait for nodes, which wait for the component (pulumi-eks#1819)."""
    inputs = cluster_graph(preview=False).one(CLUSTER).inputs
    assert inputs["skipDefaultNodeGroup"] is True
    assert inputs["skipDefaultSecurityGroups"] is True
    assert inputs["bootstrapSelfManagedAddons"] is False
    assert "corednsAddonOptions" not in inputs


def test_its_addons_are_pinned() -> None:
    inputs, pinned = cluster_graph(preview=False).one(CLUSTER).inputs, VERSIONS[SETTINGS.version]
    assert inputs["vpcCniOptions"]["addonVersion"] == pinned.vpc_cni
    assert inputs["kubeProxyAddonOptions"]["version"] == pinned.kube_proxy


def test_egress_of_pods_with_their_own_security_group_is_filtered() -> None:
    """Each of these alone looks right, and lets such a pod reach the whole internet."""
    options = cni_options("v1.22.4-eksbuild.3")
    assert options.enable_pod_eni is True
    assert options.cni_external_snat is True
    assert options.external_snat is None, "pulumi-eks refuses both"
    assert options.disable_tcp_early_demux is True
    assert options.configuration_values == {"env": {"POD_SECURITY_GROUP_ENFORCING_MODE": "standard"}}
    assert options.enable_network_policy is True
    assert options.enable_prefix_delegation is True
    assert options.service_account_role_arn is None, "its rights come by Pod Identity"


def test_the_role_may_be_taken_by_eks_alone() -> None:
    role = cluster_graph(preview=False).one(ROLE, "cluster-control-plane-role")
    (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "eks.amazonaws.com"}
    assert cluster_graph(preview=False).one(CLUSTER).inputs["serviceRole"] == f"{role.name}-0a1b2c3"


def test_a_cluster_that_is_made_anew_has_another_name() -> None:
    """The old one's log group comes back after it was deleted, and would be in the way."""
    names = {cluster_name("dev", f"cluster-control-plane-role-{end}") for end in ("0a1b2c3", "4d5e6f7")}
    assert names == {"dev-0a1b2c3", "dev-4d5e6f7"}
    assert cluster_graph(preview=False).one(CLUSTER).inputs["name"] == "dev-0a1b2c3"
    assert cluster_graph(preview=True).one(CLUSTER).inputs["name"] is UNKNOWN


@pytest.mark.parametrize("prefix", ["dev", "a" * 25], ids=["short", "longest"])
def test_a_clusters_name_fits_eks_and_its_arn_says_it(prefix: str) -> None:
    name = cluster_name(prefix, "cluster-control-plane-role-0a1b2c3")
    assert name.startswith(f"{prefix}-")
    assert len(name) <= 100
    assert cluster_arn("sa-east-1", "111122223333", name).endswith(f":cluster/{name}")

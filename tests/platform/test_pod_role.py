"""Roles of pods, and who may take a role at all."""

import json
from typing import Any

import pytest
from pulumi import ResourceOptions

import trust
from environments.graph.evaluation import Graph, evaluate
from pod_role import PodRole, PodRoleArgs, associate
from tests.platform.types_check import complaints

ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
INLINE = "aws:iam/rolePolicy:RolePolicy"
ROLE = "aws:iam/role:Role"
CLUSTER = "arn:aws:eks:sa-east-1:111122223333:cluster/dev-1"
both = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])


def made(preview: bool, **rights: Any) -> Graph:
    def program() -> None:
        args = PodRoleArgs(
            account_id="111122223333",
            cluster_arn=CLUSTER,
            namespace="kube-system",
            service_account="controller",
            **rights,
        )
        role = PodRole("controller", args)
        associate("identity", args, role, "dev-1", ResourceOptions(parent=role))

    return evaluate(program, preview=preview)


@both
@pytest.mark.parametrize(
    ("rights", "type_"),
    [({"policy": "{}"}, INLINE), ({"managed_policy": "CloudWatchAgentServerPolicy"}, ATTACHMENT)],
    ids=["a document", "a managed policy"],
)
def test_the_account_gets_the_role_after_its_rights(
    rights: dict[str, str], type_: str, preview: bool
) -> None:
    graph = made(preview, **rights)
    association = graph.one(ASSOCIATION)
    assert graph.depends(association, graph.one(type_))
    assert graph.depends(association, graph.one(ROLE))
    assert association.inputs["namespace"] == "kube-system"
    assert association.inputs["serviceAccount"] == "controller"
    assert [fault for node in graph for fault in complaints(node)] == []


def test_a_document_is_the_roles_own_and_a_name_is_an_arn() -> None:
    inline = made(False, policy='{"a": 1}').one(INLINE)
    assert (inline.inputs["policy"], inline.inputs["role"]) == ('{"a": 1}', "controller-role-0a1b2c3")
    attached = made(False, managed_policy="AmazonEKS_CNI_Policy").one(ATTACHMENT)
    assert attached.inputs["policyArn"] == "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"


@pytest.mark.parametrize(
    "rights", [{}, {"policy": "{}", "managed_policy": "AmazonEKS_CNI_Policy"}], ids=["none", "two"]
)
def test_rights_come_from_one_place(rights: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="controller: rights come from a policy or from a managed one"):
        made(False, **rights)


def test_pods_of_another_account_cluster_namespace_or_service_account_are_refused() -> None:
    (statement,) = json.loads(trust.by_pods("111122223333", CLUSTER, "kube-system", "controller"))[
        "Statement"
    ]
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:SourceAccount": "111122223333",
            "aws:RequestTag/eks-cluster-arn": CLUSTER,
            "aws:RequestTag/kubernetes-namespace": "kube-system",
            "aws:RequestTag/kubernetes-service-account": "controller",
        }
    }


def test_pod_identity_also_tags_its_sessions() -> None:
    """Without the right to, it cannot take the role at all."""
    (statement,) = json.loads(trust.by_pods("1", CLUSTER, "a", "b"))["Statement"]
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]


def test_a_service_is_trusted_alone() -> None:
    assert json.loads(trust.by_service("ec2")) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }

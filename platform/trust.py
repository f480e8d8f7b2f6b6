"""Who may take a role: AWS services, and the pods of one service account by EKS Pod Identity."""

import json
from collections.abc import Mapping


def document(*statements: Mapping[str, object]) -> str:
    """An IAM policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def managed(policy: str) -> str:
    """The ARN of a policy that AWS keeps."""
    return f"arn:aws:iam::aws:policy/{policy}"


def by_service(service: str) -> str:
    """Trust in an AWS service, `ec2` for instance."""
    principal = {"Service": f"{service}.amazonaws.com"}
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def by_pods(account_id: str, cluster_arn: str, namespace: str, service_account: str) -> str:
    """Trust in the pods of one service account of one cluster.

    Without the conditions, whoever may make a Pod Identity association anywhere in the account could hand
    the role to any pod. The request tags are those that EKS sets (EKS user guide, "Grant Pods access to AWS
    resources based on tags").
    """
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": account_id,
                    "aws:RequestTag/eks-cluster-arn": cluster_arn,
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": service_account,
                }
            },
        }
    )

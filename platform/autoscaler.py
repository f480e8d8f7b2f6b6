"""The Cluster Autoscaler: what it is told, and what it may do, to the nodes of its own cluster."""

import pulumi

from trust import document

NAME = "cluster-autoscaler"


def values(cluster_name: pulumi.Input[str], region: str, version: str) -> dict[str, object]:
    """The chart's values. `version` is of the cluster's minor version.

    It finds the node group by the tags that EKS puts on it. Nodes with system pods or with `emptyDir` may go
    too, or none ever would: every node has both.
    """
    return {
        "cloudProvider": "aws",
        "awsRegion": region,
        "autoDiscovery": {"clusterName": cluster_name},
        "fullnameOverride": NAME,
        "image": {"tag": version},
        "rbac": {"serviceAccount": {"create": True, "name": NAME}},
        "extraArgs": {
            "expander": "least-waste",
            "skip-nodes-with-local-storage": False,
            "skip-nodes-with-system-pods": False,
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containerSecurityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
    }


def policy(region: str, account_id: str, cluster_name: str) -> str:
    """Looks at all groups, changes those of its cluster, which EKS has tagged."""
    group = f"arn:aws:autoscaling:{region}:{account_id}:autoScalingGroup:*:autoScalingGroupName/*"
    tag = "aws:ResourceTag/k8s.io/cluster-autoscaler"
    return document(
        {
            "Sid": "Look",
            "Effect": "Allow",
            "Action": [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLaunchConfigurations",
                "autoscaling:DescribeScalingActivities",
                "autoscaling:DescribeTags",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:GetInstanceTypesFromInstanceRequirements",
            ],
            "Resource": "*",  # AWS scopes none of these to a resource
        },
        {
            "Sid": "LookAtNodeGroups",
            "Effect": "Allow",
            "Action": "eks:DescribeNodegroup",
            "Resource": f"arn:aws:eks:{region}:{account_id}:nodegroup/{cluster_name}/*/*",
        },
        {
            "Sid": "Scale",
            "Effect": "Allow",
            "Action": [
                "autoscaling:SetDesiredCapacity",
                "autoscaling:TerminateInstanceInAutoScalingGroup",
            ],
            "Resource": group,
            "Condition": {
                "StringEquals": {f"{tag}/enabled": "true", f"{tag}/{cluster_name}": "owned"},
            },
        },
    )

"""The AWS Load Balancer Controller: what it is told, and what it may do, for target groups alone."""

import pulumi

from trust import document

NAME = "aws-load-balancer-controller"


def values(cluster_name: pulumi.Input[str], region: str, vpc_id: pulumi.Input[str]) -> dict[str, object]:
    """The chart's values: target groups, and nothing else that it can do.

    Region and VPC are said because pods cannot ask the node. The webhook on Services would refuse every
    Service while the controller is not ready; no Service of ours wants a load balancer. Pods get a readiness
    gate in namespaces that are labelled for it.
    """
    return {
        "clusterName": cluster_name,
        "region": region,
        "vpcId": vpc_id,
        "serviceAccount": {"create": True, "name": NAME},
        "enablePodReadinessGateInject": True,
        "enableServiceMutatorWebhook": False,
        "enableBackendSecurityGroup": False,
        "enableShield": False,
        "enableWaf": False,
        "enableWafv2": False,
        "createIngressClassResource": False,
        "ingressClassParams": {"create": False},
        "defaultTargetType": "ip",
        "replicaCount": 2,
        "podDisruptionBudget": {"maxUnavailable": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
    }


def policy(region: str, account_id: str, vpc_id: str) -> str:
    """What a `TargetGroupBinding` takes, out of the far larger policy that comes with the controller.

    That one may make and delete load balancers, and open any security group of the account.
    """
    ec2 = f"arn:aws:ec2:{region}:{account_id}"
    balancing = f"arn:aws:elasticloadbalancing:{region}:{account_id}"
    return document(
        {
            "Sid": "Look",
            "Effect": "Allow",
            "Action": [
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeInstances",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetHealth",
            ],
            "Resource": "*",  # AWS scopes none of these to a resource
        },
        {
            "Sid": "Register",
            "Effect": "Allow",
            "Action": ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"],
            "Resource": f"{balancing}:targetgroup/*/*",
        },
        {
            "Sid": "OpenToTheLoadBalancer",
            "Effect": "Allow",
            "Action": ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"],
            "Resource": f"{ec2}:security-group/*",
            "Condition": {"ArnEquals": {"ec2:Vpc": f"{ec2}:vpc/{vpc_id}"}},
        },
    )

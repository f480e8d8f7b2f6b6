"""Who may do what: no wildcard that nobody looked at, no principal that is everybody."""

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any

from policies.graph import UNKNOWN, Facts, Resource, Violation, at, document, of, violation

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
POLICY = "aws:iam/policy:Policy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
LASTING = ("aws:iam/user:User", "aws:iam/accessKey:AccessKey", "aws:iam/userPolicy:UserPolicy")
RESOURCE_POLICIES = {
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyDocument",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:kms/key:Key": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
}
"""Where each says who may use it. (What a VPC endpoint lets through is somebody who already may.)"""

WIDE_ACTIONS = frozenset({"autoscaling:Describe*", "ec2:Describe*", "elasticloadbalancing:Describe*"})
"""Read-only, and AWS adds to them: what controllers look at."""
ON_ANYTHING = (
    "acm:DescribeCertificate",
    "acm:ListCertificates",
    "autoscaling:Describe*",
    "cloudwatch:PutMetricData",
    "cognito-idp:DescribeUserPoolClient",
    "ec2:Describe*",
    "ec2:GetCoipPoolUsage",
    "ec2:GetInstanceTypesFromInstanceRequirements",
    "ec2:GetSecurityGroupsForVpc",
    "ecr:GetAuthorizationToken",
    "elasticloadbalancing:Describe*",
    "iam:GetServerCertificate",
    "iam:ListServerCertificates",
    "logs:DescribeLogGroups",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)
"""What AWS ties to no resource, or what only looks at infrastructure."""
WIDE_MANAGED = ("AdministratorAccess", "PowerUserAccess", "FullAccess")


def wildcard_actions(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every action is written out, but for a few read-only ones of controllers."""
    for resource, statement in _granted(resources):
        if "NotAction" in statement:
            yield violation(resource, "allows everything but (NotAction)")
        for action in _listed(statement.get("Action")):
            if "*" in action and action not in WIDE_ACTIONS:
                yield violation(resource, f"allows {action}")


def wildcard_resources(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """`*` as a resource only for actions that AWS ties to none, or under a condition."""
    for resource, statement in _granted(resources):
        if "NotResource" in statement:
            yield violation(resource, "allows everything but (NotResource)")
        if "*" not in _listed(statement.get("Resource")) or statement.get("Condition"):
            continue
        for action in _listed(statement.get("Action")):
            if not any(fnmatch.fnmatchcase(action, each) for each in ON_ANYTHING):
                yield violation(resource, f"allows {action} on every resource")


def trust(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """A role names who takes it; one for pods also says of which account they are."""
    for role in of(resources, ROLE):
        for statement in _statements(role.at("assumeRolePolicy")):
            if _anybody(statement):
                yield violation(role, "anybody may take it")
            pods = "pods.eks.amazonaws.com" in _principals(statement, "Service")
            if pods and not statement.get("Condition"):
                yield violation(role, "pods of any account may take it: aws:SourceAccount is missing")


def managed_policies(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """No role has one of AWS's wide policies."""
    attached = [(each, each.at("policyArn")) for each in of(resources, ATTACHMENT)]
    attached += [(role, arn) for role in of(resources, ROLE) for arn in role.each("managedPolicyArns")]
    for resource, arn in attached:
        if isinstance(arn, str) and arn.endswith(WIDE_MANAGED):
            yield violation(resource, f"has {arn.rpartition('/')[2]}")


def lasting_credentials(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """No users and no access keys: roles only, whose keys end."""
    for each in of(resources, *LASTING):
        yield violation(each, "a key that never ends")


def everybody(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """A policy of a resource names its principals; everybody only under a condition."""
    for resource in of(resources, *RESOURCE_POLICIES):
        for statement in _statements(resource.at(RESOURCE_POLICIES[resource.type])):
            allows = statement.get("Effect") == "Allow" and _anybody(statement)
            if allows and not statement.get("Condition"):
                yield violation(resource, f"allows everybody {', '.join(_listed(statement.get('Action')))}")


def _granted(resources: Sequence[Resource]) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """The statements that allow something to a role."""
    for resource in of(resources, ROLE_POLICY, POLICY, ROLE):
        inline = [at(each, "policy") for each in resource.each("inlinePolicies")]
        for text in (resource.at("policy"), *inline):
            for statement in _statements(text):
                if statement.get("Effect") == "Allow":
                    yield resource, statement


def _statements(text: Any) -> list[dict[str, Any]]:
    if text is None or text is UNKNOWN:
        return []
    found = document(text).get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _principals(statement: dict[str, Any], kind: str) -> list[str]:
    return _listed(at(statement.get("Principal"), kind))


def _anybody(statement: dict[str, Any]) -> bool:
    everybody_ = statement.get("Principal") == "*" or "*" in _principals(statement, "AWS")
    return everybody_ or "NotPrincipal" in statement

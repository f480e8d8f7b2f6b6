"""Ways to make the small bank break each of the rules."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policies.graph import Resource
from tests.platform.policing import DIGEST, Edit, allow, change, gone, more, option, policy

PUBLIC_RULE = {"securityGroupId": "sg-x", "fromPort": 443, "toPort": 443, "cidrIpv4": "0.0.0.0/0"}
INLINE = {"fromPort": 22, "toPort": 22, "cidrBlocks": ["198.51.100.7/32"]}
ANYBODY = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sns:Publish", "Resource": "*"}
VPC_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def as_it_is(whole: Sequence[Resource]) -> list[Resource]:
    return list(whole)


def expiring(**selection: Any) -> str:
    """What expires images by their number."""
    return json.dumps({"rules": [{"selection": {"countType": "imageCountMoreThan", **selection}}]})


def inside(path: str, value: Any) -> Edit:
    """Another pod of the gateway."""
    return change("gateway", f"spec.template.spec.{path}", value)


def contained(path: str, value: Any) -> Edit:
    """Another container in it."""
    return inside(f"containers.0.{path}", value)


@dataclass(frozen=True)
class Bad:
    """How to make the small bank break a rule, in what environment, and what is then said."""

    rule: str
    edit: Edit
    says: str
    kind: str = "prod"
    config: Mapping[str, str] = field(default_factory=dict)


BAD = [
    Bad("public-ingress-only-at-the-load-balancer", more(VPC_RULE, **PUBLIC_RULE), "reaches what is not"),
    Bad("public-ingress-only-at-the-load-balancer", change("in-443", "toPort", 8443), "not 443 or 80 alone"),
    Bad(
        "public-ingress-only-at-the-load-balancer",
        as_it_is,
        "0.0.0.0/0 is not in gobanking:ingressCidrs",
        config={"ingressCidrs": '["203.0.113.0/24"]'},
    ),
    Bad("public-ingress-only-at-the-load-balancer", change("inside", "ingress", [INLINE]), "198.51.100.7/32"),
    Bad(
        "public-ingress-only-at-the-load-balancer",
        more(
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            type="ingress",
            securityGroupId="sg-x",
            fromPort=0,
            toPort=65535,
            ipv6CidrBlocks=["::/0"],
        ),
        "::/0 reaches what is not",
    ),
    Bad("no-public-addresses", change("public", "mapPublicIpOnLaunch", True), "every interface"),
    Bad(
        "no-public-addresses",
        change("nodes", "networkInterfaces.0.associatePublicIpAddress", "true"),
        "nodes",
    ),
    Bad(
        "no-public-addresses",
        change("brokers", "brokerNodeGroupInfo.connectivityInfo.publicAccess.type", "SERVICE_PROVIDED_EIPS"),
        "brokers are public",
    ),
    Bad(
        "no-doors-made-by-kubernetes", change("gateway-service", "spec.type", "LoadBalancer"), "LoadBalancer"
    ),
    Bad("no-doors-made-by-kubernetes", more("kubernetes:networking.k8s.io/v1:Ingress"), "an Ingress"),
    Bad("private-buckets", gone("access-logs-block"), "has no block"),
    Bad("private-buckets", change("access-logs-block", "bucket", "another"), "access-logs: has no block"),
    Bad("private-buckets", change("access-logs-block", "ignorePublicAcls", False), "ignorePublicAcls"),
    Bad("tls", change("https", "sslPolicy", "ELBSecurityPolicy-2016-08"), "ELBSecurityPolicy-2016-08"),
    Bad("tls", change("https", "sslPolicy", None), "its TLS policy is None"),
    Bad("tls", change("http", "defaultActions.0.type", "forward"), "answers plain HTTP"),
    Bad("tls", change("http", "defaultActions.0.type", "forward"), "answers plain HTTP", "dev"),
    Bad(
        "tls",
        change("brokers", "encryptionInfo.encryptionInTransit.clientBroker", "TLS_PLAINTEXT"),
        "in clear",
    ),
    Bad("tls", change("brokers", "clientAuthentication.unauthenticated", True), "need not say"),
    Bad("closed-cluster-endpoint-in-prod", change("cluster", "publicAccessCidrs", ["0.0.0.0/0"]), "open"),
    Bad("closed-cluster-endpoint-in-prod", change("cluster", "publicAccessCidrs", None), "open"),
    Bad(
        "closed-cluster-endpoint-in-prod",
        more("aws:eks/cluster:Cluster", vpcConfig={"publicAccessCidrs": ["::/0", "10.0.0.0/8"]}),
        "open",
    ),
    Bad("no-wildcard-actions", change("gateway-policy", "policy", policy(allow("dynamodb:*"))), "dynamodb:*"),
    Bad(
        "no-wildcard-actions",
        change(
            "gateway-policy", "policy", policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "a"})
        ),
        "NotAction",
    ),
    Bad(
        "no-wildcard-actions",
        change("gateway-role", "inlinePolicies", [{"name": "a", "policy": policy(allow("s3:Get*"))}]),
        "s3:Get*",
    ),
    Bad(
        "no-wildcard-resources",
        change("gateway-policy", "policy", policy(allow("s3:GetObject", "*"))),
        "s3:GetObject",
    ),
    Bad(
        "no-wildcard-resources",
        more(
            "aws:iam/policy:Policy", policy=policy({"Effect": "Allow", "Action": "a:B", "NotResource": "c"})
        ),
        "NotResource",
    ),
    Bad("narrow-trust", change("gateway-role", "assumeRolePolicy", policy(ANYBODY)), "anybody"),
    Bad(
        "narrow-trust",
        change(
            "gateway-role",
            "assumeRolePolicy",
            policy({**ANYBODY, "Principal": {"Service": "pods.eks.amazonaws.com"}}),
        ),
        "aws:SourceAccount",
    ),
    Bad(
        "no-wide-managed-policies",
        change("nodes-policy", "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess"),
        "AdministratorAccess",
    ),
    Bad(
        "no-wide-managed-policies",
        change("gateway-role", "managedPolicyArns", ["arn:aws:iam::aws:policy/AmazonS3FullAccess"]),
        "AmazonS3FullAccess",
    ),
    Bad("no-lasting-credentials", more("aws:iam/accessKey:AccessKey", user="ci"), "never ends"),
    Bad("nobody-is-everybody", change("alarms-policy", "policy", policy(ANYBODY)), "everybody sns:Publish"),
    Bad("nobody-is-everybody", change("key", "policy", policy({**ANYBODY, "Principal": "*"})), "everybody"),
    Bad(
        "our-keys-at-rest",
        change("table", "serverSideEncryption.kmsKeyArn", None),
        "serverSideEncryption.kmsKeyArn",
    ),
    Bad("our-keys-at-rest", change("logs", "kmsKeyId", None), "kmsKeyId"),
    Bad("our-keys-at-rest", change("alarms", "kmsMasterKeyId", "alias/aws/sns"), "kmsMasterKeyId"),
    Bad("our-keys-at-rest", change("secret", "kmsKeyId", None), "kmsKeyId"),
    Bad("our-keys-at-rest", change("brokers", "encryptionInfo.encryptionAtRestKmsKeyArn", None), "AtRest"),
    Bad("our-keys-at-rest", change("cluster", "encryptionConfigKeyArn", None), "encryptionConfigKeyArn"),
    Bad("our-keys-at-rest", change("images", "encryptionConfigurations.0.kmsKey", None), "images"),
    Bad("our-keys-at-rest", change("images", "encryptionConfigurations", None), "images"),
    Bad("encrypted-disks", change("nodes", "blockDeviceMappings.0.ebs.encrypted", "false"), "not encrypted"),
    Bad("encrypted-disks", change("nodes", "blockDeviceMappings.0.ebs.kmsKeyId", None), "key of ours"),
    Bad("encrypted-disks", change("nodes", "blockDeviceMappings", None), "to the image"),
    Bad("encrypted-disks", more("aws:ebs/volume:Volume", encrypted=True), "key of ours"),
    Bad("encrypted-buckets", gone("access-logs-encryption"), "how it is encrypted"),
    Bad("keys-rotate", change("key", "enableKeyRotation", False), "does not rotate"),
    Bad("keys-rotate", change("key", "enableKeyRotation", None), "does not rotate"),
    Bad("logs-end", change("logs", "retentionInDays", None), "for ever"),
    Bad("logs-end", change("logs", "retentionInDays", 0), "for ever"),
    Bad("backups-in-prod", change("table", "pointInTimeRecovery.enabled", False), "point-in-time"),
    Bad("backups-in-prod", change("table", "pointInTimeRecovery", None), "point-in-time"),
    Bad("releases-stay", change("expiry", "policy", expiring(tagStatus="any")), "releases"),
    Bad(
        "releases-stay",
        change("expiry", "policy", expiring(tagStatus="tagged", tagPrefixList=["main-"])),
        "r",
    ),
    Bad(
        "releases-stay",
        change("expiry", "policy", expiring(tagStatus="tagged", tagPrefixList=["m"])),
        "r",
    ),
    Bad(
        "releases-stay",
        change("expiry", "policy", expiring(tagStatus="tagged", tagPatternList=["*"])),
        "r",
    ),
    *(
        Bad("protected-in-prod", option(name, protect=False), "is not protected")
        for name in ("table", "brokers", "pool", "key", "secret", "images", "access-logs", "transfers")
    ),
    Bad("guarded-in-prod", change("table", "deletionProtectionEnabled", False), "deletionProtectionEnabled"),
    Bad(
        "guarded-in-prod",
        change("pool", "deletionProtection", "INACTIVE"),
        "deletionProtection is not ACTIVE",
    ),
    Bad("guarded-in-prod", change("balancer", "enableDeletionProtection", None), "enableDeletionProtection"),
    Bad("previews-go-away", option("gateway", protect=True), "gateway: is protected", "preview"),
    Bad("previews-go-away", as_it_is, "deletionProtectionEnabled holds", "preview"),
    Bad("previews-go-away", as_it_is, "forceDelete is not True", "preview"),
    Bad("previews-go-away", as_it_is, "recoveryWindowInDays is not 0", "preview"),
    Bad("tags-on-everything", change("aws", "defaultTags", {"tags": {"a": "b"}}), "gobanking:kind"),
    Bad("tags-on-everything", change("aws", "defaultTags", '{"tags": {}}'), "gobanking:kind"),
    Bad("tags-on-everything", change("aws", "defaultTags", None), "gobanking:kind"),
    Bad("tags-on-everything", option("table", provider=None), "table: its provider gives it no tag"),
    Bad(
        "labels-on-workloads",
        change("gateway", "metadata.labels", {"app.kubernetes.io/name": "a"}),
        "part-of",
    ),
    Bad("labels-on-workloads", change("gateway-service", "metadata.labels", None), "managed-by"),
    Bad("restricted-pods", inside("securityContext.runAsNonRoot", None), "root"),
    Bad(
        "restricted-pods",
        inside("securityContext.seccompProfile", None),
        "seccomp",
    ),
    Bad("restricted-pods", inside("hostNetwork", True), "hostNetwork"),
    Bad(
        "restricted-pods",
        inside("volumes.0", {"hostPath": {"path": "/"}}),
        "path",
    ),
    Bad("restricted-pods", contained("securityContext", None), "allowPrivilegeEscalation"),
    Bad("restricted-pods", contained("securityContext.privileged", True), "privileged"),
    Bad(
        "restricted-pods",
        contained("securityContext.readOnlyRootFilesystem", False),
        "readOnlyRootFilesystem",
    ),
    Bad(
        "restricted-pods",
        contained("securityContext.capabilities.drop", ["NET_RAW"]),
        "drop",
    ),
    Bad(
        "restricted-pods",
        contained("securityContext.capabilities.add", ["SYS_TIME"]),
        "adds",
    ),
    Bad("restricted-pods", more("kubernetes:core/v1:Pod", spec={"containers": [{"name": "a"}]}), "root"),
    Bad(
        "no-service-account-tokens",
        inside("automountServiceAccountToken", None),
        "token",
    ),
    Bad(
        "bounded-containers",
        contained("resources.limits", None),
        "no resources.limits.memory",
    ),
    Bad("bounded-containers", contained("resources.requests.cpu", None), "requests.cpu"),
    Bad("bounded-containers", contained("readinessProbe", None), "no readinessProbe"),
    Bad(
        "images-by-digest",
        contained("image", "gateway:latest"),
        "gateway:latest is no digest",
    ),
    Bad("images-by-digest", contained("image", f"gateway@{DIGEST[:-1]}"), "is no digest"),
    Bad(
        "images-by-digest",
        inside("initContainers", [{"name": "init", "image": "busybox"}]),
        "init: busybox",
    ),
    Bad("closed-namespaces", gone("closed"), "has no NetworkPolicy"),
    Bad("closed-namespaces", change("closed", "spec.podSelector", {"matchLabels": {"a": "b"}}), "has no"),
    Bad("closed-namespaces", change("closed", "spec.policyTypes", ["Ingress"]), "has no NetworkPolicy"),
    Bad("closed-namespaces", change("closed", "spec.egress", [{}]), "has no NetworkPolicy"),
    Bad("closed-namespaces", change("closed", "metadata.namespace", "other"), "has no NetworkPolicy"),
    Bad("closed-namespaces", change("space", "metadata.labels", {}), "is not restricted"),
    Bad(
        "no-simulators-in-prod",
        change("gateway", "metadata.labels", {"app.kubernetes.io/name": "bacen"}),
        "simulator",
    ),
    Bad("names-fit", change("balancer", "name", "a" * 33), "is no name for it"),
    Bad("names-fit", change("gateways", "name", "prod_gateway"), "prod_gateway"),
    Bad("names-fit", change("gateway-role", "name", "r" * 65), "is no name for it"),
    Bad("names-fit", change("space", "metadata.name", "Prod"), "'Prod' is no name"),
    Bad("names-fit", change("access-logs", "bucket", "Logs"), "'Logs' is no name"),
    Bad("names-fit", change("images", "name", "prod//gateway"), "prod//gateway"),
    Bad("nothing-expensive-in-a-preview", as_it_is, "brokers: belongs to the base", "preview"),
    Bad("nothing-expensive-in-a-preview", as_it_is, "cluster: belongs to the base", "preview"),
    Bad("nothing-expensive-in-a-preview", more("aws:ec2/natGateway:NatGateway"), "new: belongs", "preview"),
    Bad("nothing-expensive-in-a-preview", as_it_is, "table: is backed up", "preview"),
    Bad(
        "nothing-expensive-in-a-preview",
        as_it_is,
        "transfers: takes more than one",
        "preview",
    ),
    Bad("nothing-expensive-in-a-preview", change("table", "billingMode", None), "by the hour", "preview"),
]

NAMES = [f"{place}-{bad.rule}" for place, bad in enumerate(BAD)]

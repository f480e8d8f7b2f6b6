"""Graphs as the policies take them, and a small bank that breaks none of their rules."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes

from environments.graph.evaluation import Graph, evaluate
from policies.graph import Facts, Resource

TAGS = frozenset(f"gobanking:{name}" for name in ("project", "stack", "kind", "managed-by"))
DIGEST = "sha256:" + "0123456789abcdef" * 4
LABELS = {
    "app.kubernetes.io/part-of": "go-banking",
    "app.kubernetes.io/name": "gateway",
    "app.kubernetes.io/managed-by": "pulumi",
}


def facts(kind: str = "prod", **changes: Any) -> Facts:
    whole: dict[str, Any] = {
        "kind": kind,
        "domain": True,
        "ingress_cidrs": frozenset({"0.0.0.0/0"}),
        "tags": TAGS,
        "simulators": frozenset({"bacen", "other-bank"}),
        **changes,
    }
    return Facts(**whole)


def edited(whole: Sequence[Resource], name: str, path: str, value: Any) -> list[Resource]:
    """The same resources, one property of one of them changed: `spec.template.spec.containers.0.image`.

    `None` takes it away. The resource must be there, and hold what holds the property.
    """
    [found] = [each for each in whole if each.name == name]
    properties = json.loads(json.dumps(found.properties))
    *above, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    holder = properties
    for part in above:
        holder = holder[part]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return [replace(each, properties=properties) if each is found else each for each in whole]


def policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], on: str = "arn:aws:dynamodb:::table/a", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on, **more}


def small_bank(preview: bool = False) -> Graph:
    """One of each kind, the way it must be, with everything that an SDK insists on."""
    return evaluate(_small_bank, preview=preview)


def _small_bank() -> None:
    tags = dict.fromkeys(sorted(TAGS), "x")
    provider = aws.Provider("aws", region="sa-east-1", default_tags=aws.ProviderDefaultTagsArgs(tags=tags))
    whole = pulumi.ComponentResource(
        "gobanking:platform:Bank", "bank", {}, pulumi.ResourceOptions(providers=[provider])
    )
    key = _keys_and_data(pulumi.ResourceOptions(parent=whole, protect=True))
    opts = pulumi.ResourceOptions(parent=whole)
    _edge(opts)
    _compute(opts, key)
    _roles(opts)
    _pods(opts)


def _keys_and_data(opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    root = allow("kms:*", "*", Principal={"AWS": "arn:aws:iam::111122223333:root"})
    key = aws.kms.Key("key", enable_key_rotation=True, policy=policy(root), opts=opts)
    aws.dynamodb.Table(
        "table",
        name="prod-accounts",
        billing_mode="PAY_PER_REQUEST",
        hash_key="pk",
        attributes=[aws.dynamodb.TableAttributeArgs(name="pk", type="S")],
        server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True, kms_key_arn=key.arn),
        point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
        deletion_protection_enabled=True,
        opts=opts,
    )
    aws.cloudwatch.LogGroup(
        "logs", name="/aws/eks/prod/cluster", retention_in_days=30, kms_key_id=key.arn, opts=opts
    )
    aws.secretsmanager.Secret("secret", name="prod-dict", kms_key_id=key.arn, opts=opts)
    topic = aws.sns.Topic("alarms", kms_master_key_id=key.arn, opts=opts)
    publish = allow("sns:Publish", "*", Principal={"Service": "cloudwatch.amazonaws.com"})
    aws.sns.TopicPolicy("alarms-policy", arn=topic.arn, policy=policy(publish), opts=opts)
    aws.ecr.Repository(
        "images",
        name="prod/gateway",
        encryption_configurations=[
            aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=key.arn)
        ],
        opts=opts,
    )
    rules = [
        {"selection": {"tagStatus": "untagged", "countType": "sinceImagePushed"}},
        {"selection": {"tagStatus": "tagged", "tagPrefixList": ["pr-"], "countType": "imageCountMoreThan"}},
    ]
    expiry = json.dumps({"rules": rules})
    aws.ecr.LifecyclePolicy("expiry", repository="prod/gateway", policy=expiry, opts=opts)
    bucket = aws.s3.Bucket("access-logs", bucket="prod-access-logs", opts=opts)
    aws.s3.BucketPublicAccessBlock(
        "access-logs-block",
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    by_default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
        sse_algorithm="AES256"
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        "access-logs-encryption",
        bucket=bucket.id,
        rules=[
            aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=by_default
            )
        ],
        opts=opts,
    )
    aws.cognito.UserPool("pool", name="prod", deletion_protection="ACTIVE", opts=opts)
    aws.msk.Cluster(
        "brokers",
        cluster_name="prod",
        kafka_version="3.9.x.kraft",
        number_of_broker_nodes=3,
        broker_node_group_info=aws.msk.ClusterBrokerNodeGroupInfoArgs(
            instance_type="kafka.m7g.large",
            client_subnets=["subnet-1"],
            security_groups=["sg-1"],
            connectivity_info=aws.msk.ClusterBrokerNodeGroupInfoConnectivityInfoArgs(
                public_access=aws.msk.ClusterBrokerNodeGroupInfoConnectivityInfoPublicAccessArgs(
                    type="DISABLED"
                )
            ),
        ),
        client_authentication=aws.msk.ClusterClientAuthenticationArgs(
            unauthenticated=False, sasl=aws.msk.ClusterClientAuthenticationSaslArgs(iam=True)
        ),
        encryption_info=aws.msk.ClusterEncryptionInfoArgs(
            encryption_at_rest_kms_key_arn=key.arn,
            encryption_in_transit=aws.msk.ClusterEncryptionInfoEncryptionInTransitArgs(client_broker="TLS"),
        ),
        opts=opts,
    )
    aws.msk.Topic(
        "transfers",
        cluster_arn="arn:msk",
        name="prod.transfers",
        partition_count=6,
        replication_factor=3,
        opts=opts,
    )
    return key.arn


def _edge(opts: pulumi.ResourceOptions) -> None:
    aws.ec2.Subnet(
        "public", vpc_id="vpc-1", cidr_block="10.0.0.0/24", map_public_ip_on_launch=False, opts=opts
    )
    group = aws.ec2.SecurityGroup("door", vpc_id="vpc-1", opts=opts)
    inside = aws.ec2.SecurityGroup("inside", vpc_id="vpc-1", ingress=[], opts=opts)
    for port in (443, 80):
        aws.vpc.SecurityGroupIngressRule(
            f"in-{port}",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            cidr_ipv4="0.0.0.0/0",
            opts=opts,
        )
    aws.vpc.SecurityGroupIngressRule(
        "from-the-vpc",
        security_group_id=inside.id,
        ip_protocol="tcp",
        from_port=8000,
        to_port=8000,
        cidr_ipv4="10.0.0.0/16",
        opts=opts,
    )
    balancer = aws.lb.LoadBalancer(
        "balancer",
        name="prod",
        security_groups=[group.id],
        enable_deletion_protection=True,
        subnets=["subnet-1"],
        opts=opts,
    )
    aws.lb.Listener(
        "https",
        load_balancer_arn=balancer.arn,
        port=443,
        protocol="HTTPS",
        ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        certificate_arn="arn:certificate",
        default_actions=[aws.lb.ListenerDefaultActionArgs(type="fixed-response")],
        opts=opts,
    )
    redirect = aws.lb.ListenerDefaultActionRedirectArgs(status_code="HTTP_301", protocol="HTTPS", port="443")
    aws.lb.Listener(
        "http",
        load_balancer_arn=balancer.arn,
        port=80,
        protocol="HTTP",
        default_actions=[aws.lb.ListenerDefaultActionArgs(type="redirect", redirect=redirect)],
        opts=opts,
    )
    aws.lb.TargetGroup("gateways", name="prod-gateway", port=8000, protocol="HTTP", vpc_id="vpc-1", opts=opts)


def _compute(opts: pulumi.ResourceOptions, key: pulumi.Output[str]) -> None:
    eks.Cluster(
        "cluster",
        name="prod",
        skip_default_node_group=True,
        endpoint_public_access=True,
        public_access_cidrs=["203.0.113.0/24"],
        encryption_config_key_arn=key,
        opts=opts,
    )
    aws.ec2.LaunchTemplate(
        "nodes",
        block_device_mappings=[
            aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                device_name="/dev/xvda",
                ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(encrypted="true", kms_key_id=key),
            )
        ],
        network_interfaces=[
            aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                associate_public_ip_address="false", security_groups=["sg-1"]
            )
        ],
        opts=opts,
    )


def _roles(opts: pulumi.ResourceOptions) -> None:
    pods = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}},
    }
    role = aws.iam.Role("gateway-role", assume_role_policy=policy(pods), opts=opts)
    aws.iam.RolePolicy(
        "gateway-policy",
        role=role.name,
        policy=policy(
            allow(["dynamodb:GetItem", "dynamodb:Query"]),
            allow(["ecr:GetAuthorizationToken", "ec2:Describe*"], "*"),
            allow("ec2:CreateTags", "*", Condition={"StringEquals": {"ec2:Vpc": "vpc-1"}}),
        ),
        opts=opts,
    )
    aws.iam.RolePolicyAttachment(
        "nodes-policy",
        role=role.name,
        policy_arn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
        opts=opts,
    )


def manifest(part: Mapping[str, Any]) -> Any:
    """A dict where the SDK would have classes, as the program has for Kubernetes."""
    return part


def _pods(opts: pulumi.ResourceOptions) -> None:
    provider = kubernetes.Provider("kubernetes", kubeconfig="apiVersion: v1")
    opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=provider))
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubernetes.core.v1.Namespace("space", metadata={"name": "prod", "labels": {**LABELS, **level}}, opts=opts)
    closed: Any = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    service: Any = {"type": "ClusterIP", "ports": [{"port": 8000}]}
    meta = {"namespace": "prod", "labels": LABELS}
    kubernetes.networking.v1.NetworkPolicy(
        "closed",
        metadata=manifest({"name": "default-deny", **meta}),
        spec=closed,
        opts=opts,
    )
    kubernetes.core.v1.Service(
        "gateway-service",
        metadata=manifest({"name": "gateway", **meta}),
        spec=service,
        opts=opts,
    )
    container: Any = {
        "name": "gateway",
        "image": f"registry.example/gateway@{DIGEST}",
        "resources": {"requests": {"cpu": "250m", "memory": "192Mi"}, "limits": {"memory": "256Mi"}},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": 8000}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8000}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod: Any = {
        "automountServiceAccountToken": False,
        "hostNetwork": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [container],
    }
    template: Any = {"metadata": {"labels": LABELS}, "spec": pod}
    spec: Any = {"selector": {"matchLabels": LABELS}, "template": template}
    kubernetes.apps.v1.Deployment(
        "gateway",
        metadata=manifest({"name": "gateway", **meta}),
        spec=spec,
        opts=opts,
    )


Edit = Callable[[Sequence[Resource]], list[Resource]]


def change(name: str, path: str, value: Any) -> Edit:
    return lambda whole: edited(whole, name, path, value)


def more(type_: str, **properties: Any) -> Edit:
    """One more resource, through the provider that tags it."""

    def add(whole: Sequence[Resource]) -> list[Resource]:
        provider = next(each for each in whole if each.type == "pulumi:providers:aws")
        return [*whole, Resource(type_, "new", f"urn:{type_}::new", properties, provider=provider.urn)]

    return add


def option(name: str, **options: Any) -> Edit:
    return lambda whole: [replace(each, **options) if each.name == name else each for each in whole]


def gone(name: str) -> Edit:
    return lambda whole: [each for each in whole if each.name != name]

"""What each kind of resource is billed for: a function for each, and the kinds that cost nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from environments import prices
from environments.prices import Price
from environments.resources import Resource


@dataclass(frozen=True)
class Usage:
    """What a month brings. `balancer_units` are the average; `flow_log_gb` is of all traffic."""

    nat_gb: float
    log_gb: float
    flow_log_gb: float
    million_writes: float
    million_reads: float
    stored_gb: float
    balancer_units: float
    users: int
    image_gb: float


@dataclass(frozen=True)
class Stack:
    """What a price may depend on besides its resource: what is used is shared by all of a kind."""

    resources: Sequence[Resource]
    usage: Usage

    def number(self, type_: str) -> int:
        """How many there are of a type."""
        return sum(each.type == type_ for each in self.resources)


class NoPriceError(LookupError):
    """Of a type that is priced, a kind that is not."""


Billed = tuple[str, str, float, Price]
"""The group that one lever moves, what it is, how much of it, at which price."""
Pricing = Callable[[Resource, Stack], Iterator[Billed]]

ADDRESS = "aws:ec2/eip:Eip"
CLUSTER = "aws:eks/cluster:Cluster"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
NAT = "aws:ec2/natGateway:NatGateway"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
REPOSITORY = "aws:ecr/repository:Repository"
TABLE = "aws:dynamodb/table:Table"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
REJECTED_SHARE = 0.05
"""Of all traffic, what a network's rules refuse."""
DISK_GIB = 20
"""Of a node whose template does not say."""


def _of(table: Mapping[str, Price], kind: Any) -> Price:
    if kind not in table:
        raise NoPriceError(str(kind))
    return table[kind]


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _number(value: Any, otherwise: float) -> float:
    """A preview has marks where a value is not known yet."""
    return float(value) if isinstance(value, int | float) else otherwise


def _cluster(_cluster: Resource, _stack: Stack) -> Iterator[Billed]:
    yield "control-plane", "Kubernetes control plane", 1, prices.CONTROL_PLANE


def _cluster_component(component: Resource, stack: Stack) -> Iterator[Billed]:
    """It holds the cluster itself, which a graph may not show."""
    if not stack.number(CLUSTER):
        yield from _cluster(component, stack)


def _node_group(group: Resource, stack: Stack) -> Iterator[Billed]:
    nodes = _nodes(group)
    templates = [each for each in stack.resources if each.type == TEMPLATE]
    kinds = group.inputs.get("instanceTypes") or [each.inputs.get("instanceType") for each in templates]
    kind = next(iter(kinds), None)
    yield "nodes", f"node {kind}", nodes, _of(prices.NODES, kind)
    sizes = [_number(_at(disk, "ebs", "volumeSize"), 0) for each in templates[:1] for disk in _disks(each)]
    yield "nodes", "disk of a node, GiB", nodes * (sum(sizes) or DISK_GIB), prices.DISK_GIB


def _nodes(group: Resource) -> float:
    return _number(_at(group.inputs, "scalingConfig", "desiredSize"), 1)


def _disks(template: Resource) -> list[Any]:
    found: list[Any] = template.inputs.get("blockDeviceMappings") or []
    return found


def _addon(addon: Resource, stack: Stack) -> Iterator[Billed]:
    insights = "enhanced_container_insights" in str(addon.inputs.get("configurationValues", ""))
    if addon.inputs.get("addonName") == "amazon-cloudwatch-observability" and insights:
        nodes = sum(_nodes(each) for each in stack.resources if each.type == NODE_GROUP)
        yield "insights", "Container Insights, a node", nodes, prices.INSIGHTS_NODE


def _nat(_nat: Resource, stack: Stack) -> Iterator[Billed]:
    gateways = stack.number(NAT)
    yield "nat", "NAT gateway", 1, prices.NAT
    yield "nat-data", "through NAT, GB", stack.usage.nat_gb / gateways, prices.NAT_GB


def _endpoint(endpoint: Resource, _stack: Stack) -> Iterator[Billed]:
    if endpoint.inputs.get("vpcEndpointType") == "Interface":
        zones = len(endpoint.inputs.get("subnetIds") or [1, 2, 3])
        yield "endpoints", "interface endpoint, a zone", zones, prices.ENDPOINT_ZONE


def _balancer(balancer: Resource, stack: Stack) -> Iterator[Billed]:
    yield "edge", "load balancer", 1, prices.BALANCER
    yield "edge", "load balancer capacity unit", stack.usage.balancer_units, prices.BALANCER_UNIT
    if not balancer.inputs.get("internal"):
        zones = len(balancer.inputs.get("subnets") or [1, 2, 3])
        yield "edge", "public address of the balancer", zones, prices.PUBLIC_ADDRESS


def _firewall(firewall: Resource, _stack: Stack) -> Iterator[Billed]:
    yield "firewall", "firewall", 1, prices.FIREWALL
    yield "firewall", "rule of the firewall", len(firewall.inputs.get("rules") or ()), prices.FIREWALL_RULE


def _brokers(brokers: Resource, _stack: Stack) -> Iterator[Billed]:
    number = _number(brokers.inputs.get("numberOfBrokerNodes"), 3)
    kind = _at(brokers.inputs, "brokerNodeGroupInfo", "instanceType")
    yield "brokers", f"broker {kind}", number, _of(prices.BROKERS, kind)
    size = _at(brokers.inputs, "brokerNodeGroupInfo", "storageInfo", "ebsStorageInfo", "volumeSize")
    yield "brokers", "disk of a broker, GiB", number * _number(size, 0), prices.BROKER_GIB


def _table(table: Resource, stack: Stack) -> Iterator[Billed]:
    """The use is of all tables: each has its share."""
    tables = stack.number(TABLE)
    usage = stack.usage
    yield "tables", "writes, million", usage.million_writes / tables, prices.MILLION_WRITES
    yield "tables", "reads, million", usage.million_reads / tables, prices.MILLION_READS
    yield "tables", "kept in tables, GB", usage.stored_gb / tables, prices.TABLE_GB
    if _at(table.inputs, "pointInTimeRecovery", "enabled") is True:
        yield "tables", "backed up, GB", usage.stored_gb / tables, prices.TABLE_BACKUP_GB


def _user_pool(pool: Resource, stack: Stack) -> Iterator[Billed]:
    if pool.inputs.get("userPoolTier") == "PLUS":
        yield "users", "user (Plus)", stack.usage.users, prices.PLUS_USER
    else:
        billed = max(0, stack.usage.users - prices.ESSENTIALS_FREE_USERS)
        yield "users", "user (Essentials), past the free ones", billed, prices.ESSENTIALS_USER


def _logs(_group: Resource, stack: Stack) -> Iterator[Billed]:
    groups = stack.number(LOGS)
    yield "logs", "logs, GB", stack.usage.log_gb / groups, prices.LOG_GB


def _flow_log(flow: Resource, stack: Stack) -> Iterator[Billed]:
    share = 1.0 if flow.inputs.get("trafficType") == "ALL" else REJECTED_SHARE
    yield "flow-logs", "flow logs, GB", stack.usage.flow_log_gb * share, prices.LOG_GB


def _alarm(alarm: Resource, _stack: Stack) -> Iterator[Billed]:
    queries = alarm.inputs.get("metricQueries") or [{"metric": {}}]
    metrics = sum(isinstance(_at(query, "metric"), Mapping) for query in queries)
    yield "alarms", "metric of an alarm", metrics, prices.ALARM_METRIC


def _each(group: str, what: str, price: Price) -> Pricing:
    def pricing(_resource: Resource, _stack: Stack) -> Iterator[Billed]:
        yield group, what, 1, price

    return pricing


def _repository(_repository: Resource, stack: Stack) -> Iterator[Billed]:
    repositories = stack.number(REPOSITORY)
    yield "images", "images, GB", stack.usage.image_gb / repositories, prices.IMAGE_GB


PRICED: Mapping[str, Pricing] = {
    CLUSTER: _cluster,
    "eks:index:Cluster": _cluster_component,
    NODE_GROUP: _node_group,
    "aws:eks/addon:Addon": _addon,
    NAT: _nat,
    ADDRESS: _each("nat", "public address", prices.PUBLIC_ADDRESS),
    ENDPOINT: _endpoint,
    "aws:ec2/flowLog:FlowLog": _flow_log,
    "aws:lb/loadBalancer:LoadBalancer": _balancer,
    "aws:wafv2/webAcl:WebAcl": _firewall,
    "aws:msk/cluster:Cluster": _brokers,
    TABLE: _table,
    "aws:cognito/userPool:UserPool": _user_pool,
    LOGS: _logs,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": _each(
        "alarms", "composite alarm", prices.COMPOSITE_ALARM
    ),
    "aws:cloudwatch/dashboard:Dashboard": _each("alarms", "dashboard", prices.DASHBOARD),
    "aws:kms/key:Key": _each("keys", "key", prices.KEY),
    "aws:secretsmanager/secret:Secret": _each("keys", "secret", prices.SECRET),
    "aws:route53/zone:Zone": _each("edge", "DNS zone", prices.ZONE),
    REPOSITORY: _repository,
}

FREE = frozenset(
    {
        "aws:acm/certificate:Certificate",
        "aws:acm/certificateValidation:CertificateValidation",
        "aws:appautoscaling/policy:Policy",
        "aws:appautoscaling/target:Target",
        "aws:budgets/budget:Budget",
        "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
        "aws:cognito/userGroup:UserGroup",
        "aws:cognito/userPoolClient:UserPoolClient",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/launchTemplate:LaunchTemplate",
        "aws:ec2/route:Route",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "aws:iam/instanceProfile:InstanceProfile",
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/alias:Alias",
        "aws:lb/listener:Listener",
        "aws:lb/listenerRule:ListenerRule",
        "aws:lb/targetGroup:TargetGroup",
        "aws:msk/configuration:Configuration",
        "aws:msk/topic:Topic",
        "aws:route53/record:Record",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:sns/topic:Topic",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "aws:wafv2/webAclAssociation:WebAclAssociation",
        "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
    }
)
"""What costs nothing, or cents (buckets of logs, mails) beside the rest."""

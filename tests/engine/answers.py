"""What the emulated clouds answer where the SDK's classes cannot tell: ids, ARNs, values that programs use.

Strings are templates over `Facts`; anything else is as it stands, and a function gets the facts.
A type that is in no table still works: its id, its ARN and its computed outputs are made from its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.engine.wire import Properties


@dataclass(frozen=True)
class Facts:
    """What is known of one object while it is made. `seed` is 64 hex digits that no other object has."""

    type: str
    name: str
    seed: str
    version: int
    region: str
    account: str
    inputs: Properties
    id: str = ""
    arn: str = ""

    @property
    def variables(self) -> dict[str, str]:
        short, service = self.seed[:17], self.type.split(":")[1].split("/")[0]
        kind = self.type.rpartition(":")[2].lower()
        uuid = "-".join(self.seed[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
        return {
            "account": self.account,
            "arn": self.arn,
            "byte": str(int(short[:2], 16)),
            "digest": self.seed,
            "hex": short,
            "HEX": self.seed[:32].upper(),
            "id": self.id,
            "kind": kind,
            "name": self.name,
            "region": self.region,
            "service": service,
            "uuid": uuid,
            "version": str(self.version),
        }

    def render(self, value: Any) -> Any:
        """The value with its templates filled in."""
        if callable(value):
            return value(self)
        if isinstance(value, str):
            return value.format_map(self.variables)
        if isinstance(value, list):
            return [self.render(each) for each in value]
        if isinstance(value, dict):
            return {key: self.render(each) for key, each in value.items()}
        return value


def _validation_options(facts: Facts) -> list[Properties]:
    names = [facts.inputs["domainName"], *facts.inputs.get("subjectAlternativeNames", [])]
    record = {
        "resourceRecordType": "CNAME",
        "resourceRecordValue": f"_{facts.seed[:32]}.acm-validations.aws.",
    }
    return [
        {"domainName": name, "resourceRecordName": f"_{facts.seed[:32]}.{name}.", **record} for name in names
    ]


NAMES: Mapping[str, str] = {
    "aws:eks/nodeGroup:NodeGroup": "nodeGroupName",
    "aws:msk/cluster:Cluster": "clusterName",
}
"""The input that is the physical name, where it is not `name`."""

IDS: Mapping[str, Any] = {
    "aws:acm/certificate:Certificate": "{arn}",
    "aws:cloudwatch/logGroup:LogGroup": "{name}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "{name}",
    "aws:cognito/userPool:UserPool": "{region}_{HEX:.9}",
    "aws:cognito/userPoolClient:UserPoolClient": "{digest:.26}",
    "aws:dynamodb/table:Table": "{name}",
    "aws:ec2/eip:Eip": "eipalloc-{hex}",
    "aws:ec2/flowLog:FlowLog": "fl-{hex}",
    "aws:ec2/internetGateway:InternetGateway": "igw-{hex}",
    "aws:ec2/launchTemplate:LaunchTemplate": "lt-{hex}",
    "aws:ec2/natGateway:NatGateway": "nat-{hex}",
    "aws:ec2/routeTable:RouteTable": "rtb-{hex}",
    "aws:ec2/securityGroup:SecurityGroup": "sg-{hex}",
    "aws:ec2/subnet:Subnet": "subnet-{hex}",
    "aws:ec2/vpc:Vpc": "vpc-{hex}",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpce-{hex}",
    "aws:ecr/repository:Repository": "{name}",
    "aws:eks/cluster:Cluster": "{name}",
    "aws:iam/policy:Policy": "{arn}",
    "aws:iam/role:Role": "{name}",
    "aws:kms/alias:Alias": "{name}",
    "aws:kms/key:Key": "{uuid}",
    "aws:lb/listener:Listener": "{arn}",
    "aws:lb/listenerRule:ListenerRule": "{arn}",
    "aws:lb/loadBalancer:LoadBalancer": "{arn}",
    "aws:lb/targetGroup:TargetGroup": "{arn}",
    "aws:msk/cluster:Cluster": "{arn}",
    "aws:msk/configuration:Configuration": "{arn}",
    "aws:msk/topic:Topic": lambda facts: f"{facts.inputs.get('clusterArn')},{facts.name}",
    "aws:route53/zone:Zone": "Z{HEX:.20}",
    "aws:secretsmanager/secret:Secret": "{arn}",
    "aws:sns/topic:Topic": "{arn}",
}
"""Otherwise `<type>-<hex>`. Two objects of one type cannot have one id: a name taken twice is refused."""

ARNS: Mapping[str, str] = {
    "aws:acm/certificate:Certificate": "arn:aws:acm:{region}:{account}:certificate/{uuid}",
    "aws:cloudwatch/logGroup:LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
    "aws:cognito/userPool:UserPool": "arn:aws:cognito-idp:{region}:{account}:userpool/{id}",
    "aws:iam/policy:Policy": "arn:aws:iam::{account}:policy/{name}",
    "aws:iam/role:Role": "arn:aws:iam::{account}:role/{name}",
    "aws:kms/alias:Alias": "arn:aws:kms:{region}:{account}:{name}",
    "aws:lb/listener:Listener": (
        "arn:aws:elasticloadbalancing:{region}:{account}:listener/app/{name}/{hex:.16}/{digest:.16}"
    ),
    "aws:lb/listenerRule:ListenerRule": (
        "arn:aws:elasticloadbalancing:{region}:{account}:listener-rule/app/{name}/{hex:.16}/{digest:.16}"
    ),
    "aws:lb/loadBalancer:LoadBalancer": (
        "arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/{name}/{hex:.16}"
    ),
    "aws:lb/targetGroup:TargetGroup": (
        "arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{name}/{hex:.16}"
    ),
    "aws:msk/cluster:Cluster": "arn:aws:kafka:{region}:{account}:cluster/{name}/{uuid}-1",
    "aws:msk/configuration:Configuration": "arn:aws:kafka:{region}:{account}:configuration/{name}/{uuid}-1",
    "aws:secretsmanager/secret:Secret": "arn:aws:secretsmanager:{region}:{account}:secret:{name}-{hex:.6}",
    "aws:sns/topic:Topic": "arn:aws:sns:{region}:{account}:{name}",
}
DEFAULT_ARN = "arn:aws:{service}:{region}:{account}:{kind}/{id}"

COMPUTED: Mapping[str, Mapping[str, Any]] = {
    "aws:acm/certificate:Certificate": {"domainValidationOptions": _validation_options},
    "aws:cognito/userPool:UserPool": {"endpoint": "cognito-idp.{region}.amazonaws.com/{id}"},
    "aws:ec2/eip:Eip": {"allocationId": "{id}", "publicIp": "203.0.113.{byte}", "privateIp": "10.0.0.{byte}"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": lambda facts: facts.version},
    "aws:ec2/vpc:Vpc": {
        "defaultNetworkAclId": "acl-{hex}",
        "defaultRouteTableId": "rtb-{hex}",
        "defaultSecurityGroupId": "sg-{hex}",
        "mainRouteTableId": "rtb-{hex}",
    },
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        "cidrBlocks": ["52.94.{byte}.0/24", "52.119.224.0/20"],
        "prefixListId": "pl-{hex}",
    },
    "aws:ecr/repository:Repository": {"repositoryUrl": "{account}.dkr.ecr.{region}.amazonaws.com/{name}"},
    "aws:eks/cluster:Cluster": {
        "certificateAuthority": {"data": "Y2VydGlmaWNhdGU="},
        "endpoint": "https://{HEX}.gr7.{region}.eks.amazonaws.com",
        "identities": [{"oidcs": [{"issuer": "https://oidc.eks.{region}.amazonaws.com/id/{HEX}"}]}],
        "status": "ACTIVE",
        "vpcConfig": {"clusterSecurityGroupId": "sg-{hex}", "vpcId": "vpc-{hex}"},
    },
    "aws:eks/nodeGroup:NodeGroup": {"resources": [{"autoscalingGroups": [{"name": "eks-{name}-{uuid}"}]}]},
    "aws:kms/key:Key": {"keyId": "{id}"},
    "aws:lb/loadBalancer:LoadBalancer": {
        "arnSuffix": "app/{name}/{hex:.16}",
        "dnsName": "{name}-{hex:.10}.{region}.elb.amazonaws.com",
        "zoneId": "Z2P70J7HTTTPLU",
    },
    "aws:lb/targetGroup:TargetGroup": {"arnSuffix": "targetgroup/{name}/{hex:.16}"},
    "aws:msk/cluster:Cluster": {
        "bootstrapBrokersSaslIam": ",".join(
            f"b-{n}.{{hex:.8}}.c2.kafka.{{region}}.amazonaws.com:9098" for n in (1, 2, 3)
        ),
        "clusterUuid": "{uuid}-1",
    },
    "aws:msk/configuration:Configuration": {"latestRevision": lambda facts: facts.version},
    "aws:route53/zone:Zone": {"zoneId": "{id}", "nameServers": [f"ns-{n}.awsdns.example" for n in range(4)]},
    "docker-build:index:Image": {
        "digest": "sha256:{digest}",
        "ref": lambda facts: f"{(facts.inputs.get('tags') or [facts.name])[0]}@sha256:{facts.seed}",
    },
    "kubernetes:helm.sh/v3:Release": {"name": "{name}", "status": {"name": "{name}", "status": "deployed"}},
}
"""Values that programs take apart or hand on. Every other computed output is made from its own name."""

VOLATILE: Mapping[str, str] = {
    "aws:ec2/launchTemplate:LaunchTemplate": "latestVersion",
    "aws:msk/cluster:Cluster": "currentVersion",
    "aws:msk/configuration:Configuration": "latestRevision",
    "docker-build:index:Image": "contextHash digest ref",
}
"""Outputs that an update changes, so a preview of an update does not know them either."""

REPLACES: Mapping[str, str] = {
    "aws:acm/certificate:Certificate": "domainName subjectAlternativeNames validationMethod",
    "aws:cognito/userPool:UserPool": "aliasAttributes usernameAttributes usernameConfiguration",
    "aws:cognito/userPoolClient:UserPoolClient": "generateSecret userPoolId",
    "aws:dynamodb/table:Table": "hashKey rangeKey",
    "aws:ec2/eip:Eip": "domain",
    "aws:ec2/natGateway:NatGateway": "allocationId connectivityType subnetId",
    "aws:ec2/route:Route": "destinationCidrBlock routeTableId",
    "aws:ec2/routeTable:RouteTable": "vpcId",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "gatewayId subnetId",
    "aws:ec2/securityGroup:SecurityGroup": "description vpcId",
    "aws:ec2/subnet:Subnet": "availabilityZone cidrBlock vpcId",
    "aws:ec2/vpc:Vpc": "cidrBlock",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "serviceName vpcEndpointType vpcId",
    "aws:ecr/repository:Repository": "encryptionConfigurations",
    "aws:eks/accessEntry:AccessEntry": "clusterName principalArn type",
    "aws:eks/addon:Addon": "addonName clusterName",
    "aws:eks/cluster:Cluster": "encryptionConfig kubernetesNetworkConfig roleArn",
    "aws:eks/nodeGroup:NodeGroup": (
        "amiType capacityType clusterName instanceTypes nodeGroupName nodeRoleArn subnetIds"
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": "clusterName namespace serviceAccount",
    "aws:iam/policy:Policy": "description path",
    "aws:iam/role:Role": "path",
    "aws:iam/rolePolicy:RolePolicy": "role",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "policyArn role",
    "aws:kms/key:Key": "customKeyStoreId keyUsage multiRegion",
    "aws:lb/listener:Listener": "loadBalancerArn",
    "aws:lb/listenerRule:ListenerRule": "listenerArn",
    "aws:lb/loadBalancer:LoadBalancer": "internal loadBalancerType",
    "aws:lb/targetGroup:TargetGroup": "port protocol targetType vpcId",
    "aws:msk/cluster:Cluster": (
        "brokerNodeGroupInfo.clientSubnets clusterName encryptionInfo.encryptionAtRestKmsKeyArn"
    ),
    "aws:msk/topic:Topic": "clusterArn replicationFactor",
    "aws:route53/record:Record": "type zoneId",
    "kubernetes:apps/v1:Deployment": "spec.selector",
    "kubernetes:batch/v1:Job": "spec.selector spec.template",
    "kubernetes:core/v1:ConfigMap": "binaryData data immutable",
    "kubernetes:core/v1:Secret": "data immutable stringData type",
}
"""Inputs whose change makes a new object, besides its `IDENTITY`."""

IDENTITY: Mapping[str, frozenset[str]] = {
    "aws": frozenset({"name", "namePrefix", "region"}),
    "kubernetes": frozenset({"apiVersion", "kind", "metadata.name", "metadata.namespace"}),
}
RENAMED_IN_PLACE = frozenset({"aws:cognito/userPoolClient:UserPoolClient"})


def replacing(resource_type: str) -> frozenset[str]:
    """The inputs, as dotted paths, whose change forces a replacement."""
    own = frozenset(REPLACES.get(resource_type, "").split())
    identity = IDENTITY.get(resource_type.split(":", maxsplit=1)[0], frozenset())
    return own | (identity - {"name"} if resource_type in RENAMED_IN_PLACE else identity)

"""What a cloud would answer: the outputs of each type of resource, and the data sources.

Only what a program hands on is here; whatever is asked of it beyond the table is `None`, and an
input that depends on it disappears, which `types_check` reports as missing. Values look like the
real ones, so that a rule over ARNs, host names or ids can be tested on them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from environments.graph.recorder import Asked, Data
from environments.graph.wire import Reference

ACCOUNT = "111122223333"
REGION = "sa-east-1"

Outputs = Mapping[str, Any]


def physical(asked: Asked) -> str:
    """The name in the cloud: the one given, or the one that Pulumi makes up."""
    given = asked.inputs.get("name") or asked.inputs.get("namePrefix")
    return str(given or f"{asked.name}-0a1b2c3")


def identifier(asked: Asked, prefix: str) -> str:
    """An id in EC2's form, always the same for the same name."""
    number = 0
    for letter in asked.name.encode():
        number = (number * 257 + letter) % 0xFFFFFFFFFFFFFFFFF
    return f"{prefix}-{number:017x}"


def arn(service: str, resource: str, *, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def numbered(prefix: str, **more: str) -> Callable[[Asked], Outputs]:
    """Resources of EC2: an id with a prefix, an ARN, and other ids that come with them."""
    kind = {"vpc": "vpc", "subnet": "subnet", "sg": "security-group"}.get(prefix, prefix)

    def outputs(asked: Asked) -> Outputs:
        made = identifier(asked, prefix)
        others = {output: identifier(asked, other) for output, other in more.items()}
        return {"id": made, "arn": arn("ec2", f"{kind}/{made}"), **others}

    return outputs


def named(service: str, pattern: str, *, region: str = REGION) -> Callable[[Asked], Outputs]:
    """Resources whose id is their name."""

    def outputs(asked: Asked) -> Outputs:
        name = physical(asked)
        return {"id": name, "name": name, "arn": arn(service, pattern.format(name), region=region)}

    return outputs


def by_arn(service: str, pattern: str) -> Callable[[Asked], Outputs]:
    """Resources whose id is their ARN."""

    def outputs(asked: Asked) -> Outputs:
        name = physical(asked)
        made = arn(service, pattern.format(name))
        return {"id": made, "name": name, "arn": made}

    return outputs


def address(asked: Asked) -> Outputs:
    made = identifier(asked, "eipalloc")
    last = sum(asked.name.encode()) % 250 + 1
    return {"id": made, "allocationId": made, "publicIp": f"203.0.113.{last}"}


def table(asked: Asked) -> Outputs:
    outputs = named("dynamodb", "table/{}")(asked)
    streams = asked.inputs.get("streamEnabled")
    return {**outputs, "streamArn": f"{outputs['arn']}/stream/2026-01-01" if streams else None}


def key(asked: Asked) -> Outputs:
    made = identifier(asked, "key")
    return {"id": made, "keyId": made, "arn": arn("kms", f"key/{made}")}


def load_balancer(asked: Asked) -> Outputs:
    name = physical(asked)
    made = arn("elasticloadbalancing", f"loadbalancer/app/{name}/50dc6c495c0c9188")
    host = f"{name}-1234567890.{REGION}.elb.amazonaws.com"
    suffix = made.partition(":loadbalancer/")[2]
    return {
        "id": made,
        "arn": made,
        "arnSuffix": suffix,
        "name": name,
        "dnsName": host,
        "zoneId": "Z2P70J7HTTTPLU",
    }


def target_group(asked: Asked) -> Outputs:
    outputs = by_arn("elasticloadbalancing", "targetgroup/{}/50dc6c495c0c9188")(asked)
    return {**outputs, "arnSuffix": outputs["arn"].rpartition(":")[2]}


def dns_record(asked: Asked) -> Outputs:
    name, zone, kind = (str(asked.inputs[key]) for key in ("name", "zoneId", "type"))
    return {"id": f"{zone}_{name}_{kind}", "name": name, "fqdn": name.removesuffix(".")}


def bucket(asked: Asked) -> Outputs:
    name = str(asked.inputs.get("bucket") or f"{asked.name}-0a1b2c3")
    return {"id": name, "bucket": name, "arn": f"arn:aws:s3:::{name}"}


def image(asked: Asked) -> Outputs:
    digest = "sha256:" + hashlib.sha256(asked.name.encode()).hexdigest()
    tags = asked.inputs.get("tags") or ["unnamed"]
    return {"id": digest, "digest": digest, "ref": f"{tags[0]}@{digest}", "contextHash": digest}


def certificate(asked: Asked) -> Outputs:
    made = arn("acm", f"certificate/{identifier(asked, 'cert')}")
    domains = [asked.inputs["domainName"], *asked.inputs.get("subjectAlternativeNames", [])]
    options = [
        {
            "domainName": domain,
            "resourceRecordName": f"_validate.{domain.removeprefix('*.')}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": "_proof.acm-validations.aws.",
        }
        for domain in domains
    ]
    return {"id": made, "arn": made, "domainValidationOptions": options}


def brokers(asked: Asked) -> Outputs:
    name = asked.inputs.get("clusterName") or physical(asked)
    made = arn("kafka", f"cluster/{name}/11111111-2222-3333-4444-555555555555-6")
    hosts = ",".join(f"b-{number}.{name}.kafka.{REGION}.amazonaws.com:9098" for number in (1, 2, 3))
    uuid = made.rsplit("/", 1)[1]
    return {
        "id": made,
        "arn": made,
        "clusterName": name,
        "clusterUuid": uuid,
        "bootstrapBrokersSaslIam": hosts,
    }


def user_pool(asked: Asked) -> Outputs:
    made = f"{REGION}_Pool{len(asked.name):05d}"
    host = f"cognito-idp.{REGION}.amazonaws.com/{made}"
    return {"id": made, "arn": arn("cognito-idp", f"userpool/{made}"), "endpoint": host}


def repository(asked: Asked) -> Outputs:
    outputs = named("ecr", "repository/{}")(asked)
    host = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    return {**outputs, "registryId": ACCOUNT, "repositoryUrl": f"{host}/{outputs['name']}"}


def kubernetes_cluster(asked: Asked) -> Outputs:
    outputs = named("eks", "cluster/{}")(asked)
    issuer = f"https://oidc.eks.{REGION}.amazonaws.com/id/EXAMPLED539D4633E53DE1B716D3041E"
    network = {**asked.inputs.get("vpcConfig", {}), "clusterSecurityGroupId": identifier(asked, "sg")}
    return {
        **outputs,
        "endpoint": f"https://EXAMPLED539D4633E53DE1B716D3041E.gr7.{REGION}.eks.amazonaws.com",
        "certificateAuthority": {"data": "Y2VydGlmaWNhdGU="},
        "identities": [{"oidcs": [{"issuer": issuer}]}],
        "vpcConfig": network,
    }


def eks_component(asked: Asked) -> Outputs:
    """`eks.Cluster` is remote: it hands out resources that only its own provider saw made."""
    name = physical(asked)
    inner = Asked("aws:eks/cluster:Cluster", asked.name, {"name": name}, remote=False)
    state = {key: value for key, value in kubernetes_cluster(inner).items() if key != "id"}
    group = state["vpcConfig"]["clusterSecurityGroupId"]
    cluster = Reference("aws:eks/cluster:Cluster", f"{asked.name}-eksCluster", name, state)
    role_arn = arn("iam", f"role/{name}-eksRole", region="")
    role = Reference("aws:iam/role:Role", f"{asked.name}-eksRole-role", f"{name}-eksRole", {"arn": role_arn})
    config = {"apiVersion": "v1", "kind": "Config", "clusters": [{"cluster": {"server": state["endpoint"]}}]}
    provider = Reference("pulumi:providers:kubernetes", f"{asked.name}-provider", "kubernetes", {})
    subnets = [
        subnet
        for kind in ("subnetIds", "publicSubnetIds", "privateSubnetIds")
        for subnet in asked.inputs.get(kind, [])
    ]
    core = {
        "cluster": cluster,
        "clusterIamRole": role,
        "endpoint": state["endpoint"],
        "instanceRoles": [],
        "nodeGroupOptions": {},
        "provider": provider,
        "subnetIds": subnets,
        "vpcId": asked.inputs.get("vpcId", "vpc-default"),
        "kubeconfig": config,
    }
    return {
        "eksCluster": cluster,
        "core": core,
        "kubeconfig": config,
        "kubeconfigJson": json.dumps(config),
        "clusterSecurityGroupId": group,
        "nodeSecurityGroupId": group,
        "oidcIssuer": state["identities"][0]["oidcs"][0]["issuer"].removeprefix("https://"),
        "oidcProviderArn": "",
    }


def kubernetes_object(asked: Asked) -> Outputs:
    metadata = dict(asked.inputs.get("metadata") or {})
    name = metadata.setdefault("name", f"{asked.name}-0a1b2c3")
    namespace = metadata.get("namespace")
    return {"id": f"{namespace}/{name}" if namespace else name, "metadata": metadata}


COMPUTED: Mapping[str, Callable[[Asked], Outputs]] = {
    "aws:acm/certificate:Certificate": certificate,
    "aws:acm/certificateValidation:CertificateValidation": lambda asked: {
        "id": "2026-01-01 00:00:00 +0000 UTC",
        "certificateArn": asked.inputs["certificateArn"],
    },
    "aws:cloudwatch/dashboard:Dashboard": lambda asked: {
        "id": asked.inputs["dashboardName"],
        "dashboardArn": arn("cloudwatch", f"dashboard/{asked.inputs['dashboardName']}", region=""),
    },
    "aws:cloudwatch/logGroup:LogGroup": named("logs", "log-group:{}"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": named("cloudwatch", "alarm:{}"),
    "aws:cognito/userPool:UserPool": user_pool,
    "aws:cognito/userPoolClient:UserPoolClient": lambda asked: {"id": f"{len(asked.name):026d}"},
    "aws:dynamodb/table:Table": table,
    "aws:ec2/eip:Eip": address,
    "aws:ec2/internetGateway:InternetGateway": numbered("igw"),
    "aws:ec2/launchTemplate:LaunchTemplate": lambda asked: {
        **numbered("lt")(asked),
        "name": physical(asked),
        "latestVersion": 1,
        "defaultVersion": 1,
    },
    "aws:ec2/natGateway:NatGateway": lambda asked: {**numbered("nat")(asked), "publicIp": "203.0.113.254"},
    "aws:ec2/routeTable:RouteTable": numbered("rtb"),
    "aws:ec2/securityGroup:SecurityGroup": numbered("sg"),
    "aws:ec2/subnet:Subnet": numbered("subnet"),
    "aws:ec2/vpc:Vpc": numbered(
        "vpc",
        defaultSecurityGroupId="sg",
        defaultNetworkAclId="acl",
        mainRouteTableId="rtb",
        defaultRouteTableId="rtb",
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda asked: {
        **numbered("vpce")(asked),
        "prefixListId": identifier(asked, "pl"),
        "cidrBlocks": ["198.51.100.0/24"],
    },
    "aws:ecr/repository:Repository": repository,
    "aws:eks/cluster:Cluster": kubernetes_cluster,
    "aws:iam/policy:Policy": lambda asked: {
        **named("iam", "policy/{}", region="")(asked),
        "id": arn("iam", f"policy/{physical(asked)}", region=""),
    },
    "aws:iam/role:Role": named("iam", "role/{}", region=""),
    "aws:kms/key:Key": key,
    "aws:lb/listener:Listener": by_arn("elasticloadbalancing", "listener/app/{}/50dc6c495c0c9188/1"),
    "aws:lb/loadBalancer:LoadBalancer": load_balancer,
    "aws:lb/targetGroup:TargetGroup": target_group,
    "aws:msk/cluster:Cluster": brokers,
    "aws:msk/configuration:Configuration": lambda asked: {
        **by_arn("kafka", "configuration/{}/11111111-2222-3333-4444-555555555555-6")(asked),
        "latestRevision": 1,
    },
    "aws:route53/record:Record": dns_record,
    "aws:route53/zone:Zone": lambda _: {
        "id": "Z0000000000000000000",
        "zoneId": "Z0000000000000000000",
        "nameServers": ["ns-1.awsdns-01.org"],
    },
    "aws:s3/bucket:Bucket": bucket,
    "aws:secretsmanager/secret:Secret": by_arn("secretsmanager", "secret:{}-AbCdEf"),
    "docker-build:index:Image": image,
    "aws:sns/topic:Topic": by_arn("sns", "{}"),
    "eks:index:Cluster": eks_component,
}


def computed(asked: Asked) -> Outputs:
    """The outputs of any resource: those of the table, or an id and an ARN."""
    if asked.type in COMPUTED:
        return COMPUTED[asked.type](asked)
    package, module, kind = asked.type.split(":")
    if package == "pulumi":
        return {"id": asked.name}
    if package == "kubernetes":
        return kubernetes_object(asked)
    service = module.split("/")[0]
    return {"id": f"{asked.name}-id", "arn": arn(service, f"{kind.lower()}/{physical(asked)}")}


DATA: Mapping[str, Data] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "id": ACCOUNT,
        "accountId": ACCOUNT,
        "arn": arn("iam", "role/deployer", region=""),
        "userId": "AROAEXAMPLE:deployer",
    },
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": lambda _: {
        "id": REGION,
        "authorizationToken": "QVdTOnRva2Vu",
        "expiresAt": "2026-01-01T12:00:00Z",
        "proxyEndpoint": f"https://{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com",
        "userName": "AWS",
        "password": "token",
    },
    "aws:index/getRegion:getRegion": lambda args: {
        "id": args.get("region", REGION),
        "name": args.get("region", REGION),
        "region": args.get("region", REGION),
        "description": "South America (Sao Paulo)",
        "endpoint": f"ec2.{REGION}.amazonaws.com",
    },
    "aws:index/getPartition:getPartition": lambda _: {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    },
    "aws:index/getDefaultTags:getDefaultTags": lambda _: {
        "id": "tags",
        "tags": {"project": "gobanking", "environment": "dev"},
    },
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _: {
        "id": REGION,
        "names": [f"{REGION}{letter}" for letter in "abc"],
        "zoneIds": [f"sae1-az{number}" for number in (1, 2, 3)],
        "groupNames": [REGION],
    },
    "aws:secretsmanager/getSecretVersions:getSecretVersions": lambda args: {
        "id": args["secretId"],
        "secretId": args["secretId"],
        "versions": [{"versionId": "00000000-0000-0000-0000-000000000000", "versionStages": ["AWSCURRENT"]}],
    },
    "aws:ec2/getPrefixList:getPrefixList": lambda args: {
        "id": "pl-5ca54035",
        "prefixListId": "pl-5ca54035",
        "name": args["name"],
        "region": args.get("region", REGION),
        "cidrBlocks": ["198.51.100.0/24"],
    },
}

"""Data sources that programs may ask; any other is an error that names it."""

from collections.abc import Callable, Mapping

from tests.engine.wire import Properties

DataSource = Callable[[Properties, str, str], Properties]
"""Gets the arguments, the region and the account."""


def _zones(arguments: Properties, region: str, account: str) -> Properties:
    names = [f"{region}{letter}" for letter in "abc"]
    return {"id": region, "names": names, "zoneIds": [f"{name}-id" for name in names], "groupNames": [region]}


DATA_SOURCES: Mapping[str, DataSource] = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": lambda arguments, region, account: {
        "id": region,
        "authorizationToken": "QVdTOnRva2Vu",
        "expiresAt": "2030-01-01T00:00:00Z",
        "password": "token",
        "proxyEndpoint": f"https://{account}.dkr.ecr.{region}.amazonaws.com",
        "userName": "AWS",
    },
    "aws:ec2/getPrefixList:getPrefixList": lambda arguments, region, account: {
        "id": "pl-1",
        "cidrBlocks": ["52.94.2.0/24", "52.119.224.0/20"],
        "name": arguments["name"],
        "region": region,
    },
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getCallerIdentity:getCallerIdentity": lambda arguments, region, account: {
        "id": account,
        "accountId": account,
        "arn": f"arn:aws:iam::{account}:user/engine",
        "userId": "AIDAENGINE",
    },
    "aws:index/getDefaultTags:getDefaultTags": lambda arguments, region, account: {"id": "tags", "tags": {}},
    "aws:index/getPartition:getPartition": lambda arguments, region, account: {
        "id": "aws",
        "dnsSuffix": "amazonaws.com",
        "partition": "aws",
        "reverseDnsPrefix": "com.amazonaws",
    },
    "aws:index/getRegion:getRegion": lambda arguments, region, account: {
        "id": region,
        "description": region,
        "endpoint": f"ec2.{region}.amazonaws.com",
        "name": region,
        "region": region,
    },
    "aws:lb/getHostedZoneId:getHostedZoneId": lambda arguments, region, account: {
        "id": "Z2P70J7HTTTPLU",
        "region": region,
    },
    "aws:secretsmanager/getSecretVersions:getSecretVersions": lambda arguments, region, account: {
        "id": arguments["secretId"],
        "secretId": arguments["secretId"],
        "versions": [],
    },
    "aws:route53/getZone:getZone": lambda arguments, region, account: {
        "id": "Z0EMULATED",
        "arn": "arn:aws:route53:::hostedzone/Z0EMULATED",
        "name": arguments.get("name", "example.com"),
        "nameServers": ["ns-0.awsdns.example"],
        "zoneId": "Z0EMULATED",
    },
}

"""Puts the catalog on the emulators: tables, a role with its policy for each service, the user pool."""

import json
from dataclasses import dataclass
from typing import Any

from apps.catalog import Catalog, Table, policy
from environments.local.ministack import root_client
from environments.local.names import ACCOUNT, REGION, LocalArns, LocalNames, role_name

ACCESS_TOKEN_MINUTES = 30
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "sts:AssumeRole",
        },
    ],
}


@dataclass(frozen=True)
class UserPool:
    """The Cognito user pool and its one app client. Tokens carry AWS's issuer, the keys are here."""

    endpoint: str
    user_pool_id: str
    client_id: str

    @property
    def issuer(self) -> str:
        """The `iss` of every token."""
        return f"https://cognito-idp.{REGION}.amazonaws.com/{self.user_pool_id}"

    @property
    def jwks_url(self) -> str:
        """Where the public keys are."""
        return f"{self.endpoint}/{self.user_pool_id}/.well-known/jwks.json"


def everything(catalog: Catalog, names: LocalNames, dynamodb: str, stack: str) -> UserPool:
    """Puts all of it on the emulator at `stack`, the tables on the DynamoDB at `dynamodb`."""
    create_tables(catalog, names, dynamodb)
    create_roles(catalog, stack)
    return create_user_pool(stack)


def create_tables(catalog: Catalog, names: LocalNames, endpoint: str) -> None:
    """Creates the tables that are not there yet."""
    client = root_client("dynamodb", endpoint)
    there = set(client.list_tables()["TableNames"])
    for table in catalog.tables:
        if names.table(table.name) in there:
            continue
        client.create_table(**table_request(table, names.table(table.name)))
        if table.ttl is not None:
            client.update_time_to_live(
                TableName=names.table(table.name),
                TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl},
            )


def table_request(table: Table, name: str) -> dict[str, Any]:
    """The CreateTable request of a catalog table."""
    keys = {table.partition, table.sort}
    for index in table.indexes:
        keys |= {index.partition, index.sort}
    request: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _schema(table.partition, table.sort),
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in sorted(keys)],
    }
    if table.indexes:
        request["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _schema(index.partition, index.sort),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in table.indexes
        ]
    return request


def create_roles(catalog: Catalog, endpoint: str) -> None:
    """One role per service, with the very policy that it will have on AWS."""
    client = root_client("iam", endpoint)
    for service in catalog.services:
        role = role_name(service.name)
        client.create_role(
            RoleName=role, AssumeRolePolicyDocument=json.dumps(_TRUST), MaxSessionDuration=43_200
        )
        document = policy(catalog, service.name, LocalArns())
        if document["Statement"]:
            client.put_role_policy(RoleName=role, PolicyName="catalog", PolicyDocument=json.dumps(document))


def create_user_pool(endpoint: str) -> UserPool:
    """A pool that signs in by SRP and refresh alone, with e-mail as the user's name and no client secret."""
    client = root_client("cognito-idp", endpoint)
    pool = client.create_user_pool(
        PoolName="local-users", UsernameAttributes=["email"], AutoVerifiedAttributes=["email"]
    )["UserPool"]["Id"]
    app = client.create_user_pool_client(
        UserPoolId=pool,
        ClientName="app",
        GenerateSecret=False,
        ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        AccessTokenValidity=ACCESS_TOKEN_MINUTES,
        IdTokenValidity=ACCESS_TOKEN_MINUTES,
        RefreshTokenValidity=1,
        TokenValidityUnits={"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"},
        PreventUserExistenceErrors="ENABLED",
    )["UserPoolClient"]["ClientId"]
    return UserPool(endpoint, pool, app)


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]

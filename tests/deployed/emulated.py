"""The cloud of the graph, emulated: what the graph registers is made on MiniStack and on a Kafka broker.

Everything is made of the graph's inputs: the user pool, its client and the secrets while
the program runs, because AWS makes their ids up and the program hands them on; the rest afterwards, by name.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient

from environments.graph import answers
from environments.graph.evaluation import Graph
from environments.graph.recorder import Asked
from environments.local import broker, emulators, tansu
from environments.local.broker import Broker
from environments.local.ministack import MiniStack, root_client
from tests.deployed import mapping
from tests.deployed.pods import Json, Role
from tests.environment import until

SECRET = "aws:secretsmanager/secret:Secret"
TABLE = "aws:dynamodb/table:Table"
TOPIC = "aws:msk/topic:Topic"
POOL = "aws:cognito/userPool:UserPool"
CLIENT = "aws:cognito/userPoolClient:UserPoolClient"
CREDENTIAL_SECONDS = 3600


@dataclass
class Cloud:
    """Both emulators, up in `folder`, in the account that the graph's ARNs name."""

    folder: Path
    stack: MiniStack = field(default_factory=MiniStack)
    kafka: Broker = field(default_factory=tansu.prepare)
    _processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self) -> None:
        """Starts both and waits until they answer."""
        environ = {**self.stack.env_in(self.folder), "MINISTACK_ACCOUNT_ID": answers.ACCOUNT}
        self._processes.append(emulators.start(self.stack.argv, environ, self.folder / "ministack.log"))
        self._processes.append(emulators.start(self.kafka.argv, self.kafka.env, self.folder / "kafka.log"))
        until(self.stack.answers, bool, 60)
        until(lambda: broker.is_ready(self.kafka), bool, 60)
        _ = self._sts

    @cached_property
    def _sts(self) -> Any:
        """One for all: making a client takes longer than botocore waits for a container's keys."""
        return root_client("sts", self.stack.url)

    def stop(self) -> None:
        """Ends both."""
        emulators.stop(self._processes)

    def computed(self, asked: Asked) -> Mapping[str, Any]:
        """What AWS would compute for a resource: real ids for users, made-up ones for the rest."""
        outputs = answers.computed(asked)
        if asked.type == POOL:
            made = self._pool(asked.inputs)
            return {
                **outputs,
                "id": made,
                "arn": answers.arn("cognito-idp", f"userpool/{made}"),
                "endpoint": f"cognito-idp.{answers.REGION}.amazonaws.com/{made}",
            }
        if asked.type == CLIENT:
            return {**outputs, "id": self._client(asked.inputs)}
        if asked.type == SECRET:
            made = self._secret(asked.inputs["name"])
            return {**outputs, "id": made, "arn": made}
        return outputs

    def make(self, graph: Graph) -> None:
        """Tables and topics."""
        dynamodb = root_client("dynamodb", self.stack.url)
        for node in graph.of_type(TABLE):
            dynamodb.create_table(**table_request(node.inputs))
        options = {"bootstrap_servers": self.kafka.bootstrap.split(",")}
        admin: Any = KafkaAdminClient(**options)
        try:
            admin.create_topics(topics(graph), wait_for_metadata=True)
        finally:
            admin.close()

    def grant(self, role: Role) -> None:
        """Makes a role as the graph has it, or gives it other rights where it is there."""
        iam = root_client("iam", self.stack.url)
        trust = json.dumps(mapping.trusted(role.trust, answers.ACCOUNT))
        if role.name not in {each["RoleName"] for each in iam.list_roles()["Roles"]}:
            iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=trust)
        for name, document in role.policies.items():
            iam.put_role_policy(RoleName=role.name, PolicyName=name, PolicyDocument=json.dumps(document))

    def keys(self, role: Role) -> dict[str, str]:
        """Fresh keys of a role, for a session with the tags that EKS gives it."""
        answer = self._sts.assume_role(
            RoleArn=role.arn,
            RoleSessionName="eks-pod",
            DurationSeconds=CREDENTIAL_SECONDS,
            Tags=[{"Key": key, "Value": value} for key, value in role.tags.items()],
        )["Credentials"]
        return {
            "AccessKeyId": answer["AccessKeyId"],
            "SecretAccessKey": answer["SecretAccessKey"],
            "Token": answer["SessionToken"],
            "Expiration": answer["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def fill(self, secret: str, text: str) -> None:
        """Puts a value into a secret, as an operator does."""
        client = root_client("secretsmanager", self.stack.url)
        client.put_secret_value(SecretId=secret, SecretString=text)

    def _secret(self, name: str) -> str:
        """Its ARN, which ends in letters of AWS's own. It is empty, as `up` leaves it."""
        client = root_client("secretsmanager", self.stack.url)
        made: str = client.create_secret(Name=name)["ARN"]
        return made

    def _pool(self, inputs: Mapping[str, Any]) -> str:
        cognito = root_client("cognito-idp", self.stack.url)
        password = {_pascal(key): value for key, value in inputs["passwordPolicy"].items()}
        made: str = cognito.create_user_pool(
            PoolName=inputs["name"],
            UsernameAttributes=inputs["usernameAttributes"],
            AutoVerifiedAttributes=inputs["autoVerifiedAttributes"],
            UsernameConfiguration={"CaseSensitive": inputs["usernameConfiguration"]["caseSensitive"]},
            Policies={"PasswordPolicy": password},
        )["UserPool"]["Id"]
        cognito.set_user_pool_mfa_config(
            UserPoolId=made,
            SoftwareTokenMfaConfiguration={"Enabled": inputs["softwareTokenMfaConfiguration"]["enabled"]},
            MfaConfiguration=inputs["mfaConfiguration"],
        )
        return made

    def _client(self, inputs: Mapping[str, Any]) -> str:
        cognito = root_client("cognito-idp", self.stack.url)
        kept = (
            *("accessTokenValidity", "explicitAuthFlows", "generateSecret", "idTokenValidity", "userPoolId"),
            *("preventUserExistenceErrors", "readAttributes", "refreshTokenValidity", "writeAttributes"),
        )
        made: str = cognito.create_user_pool_client(
            ClientName=inputs["name"],
            TokenValidityUnits={_pascal(key): value for key, value in inputs["tokenValidityUnits"].items()},
            **{_pascal(key): inputs[key] for key in kept},
        )["UserPoolClient"]["ClientId"]
        return made


def table_request(inputs: Mapping[str, Any]) -> Json:
    """A table of the graph as DynamoDB's API asks for one. The emulator keeps no key to encrypt it with."""
    request: Json = {
        "TableName": inputs["name"],
        "BillingMode": inputs["billingMode"],
        "KeySchema": [
            {"AttributeName": inputs["hashKey"], "KeyType": "HASH"},
            {"AttributeName": inputs["rangeKey"], "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": each["name"], "AttributeType": each["type"]} for each in inputs["attributes"]
        ],
    }
    if indexes := inputs.get("globalSecondaryIndexes"):
        request["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index["name"],
                "KeySchema": [
                    {"AttributeName": key["attributeName"], "KeyType": key["keyType"]}
                    for key in index["keySchemas"]
                ],
                "Projection": {"ProjectionType": index["projectionType"]},
            }
            for index in indexes
        ]
    return request


def topics(graph: Graph) -> dict[str, Json]:
    """The graph's topics for kafka-python, on the one broker that is here."""
    return {
        node.inputs["name"]: {
            "num_partitions": node.inputs["partitionCount"],
            "replication_factor": 1,
            "configs": {"retention.ms": json.loads(node.inputs["configs"])["retention.ms"]},
        }
        for node in graph.of_type(TOPIC)
    }


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]

"""Each action on Kafka that a role has is one that MSK asks of what its program is told to do, and no fewer.

Tansu has no permissions, so this compares the catalog's policies with its variables, by the same reading of
the MSK guide that starts every pod of `test_deployed`. Tables are in `tests/journeys/test_permissions.py`,
where every action is seen in use. KMS is enforced nowhere on one machine.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from apps.catalog import CATALOG, environment, policy
from names import AwsArns, AwsNames
from tests.deployed.mapping import msk_refuses
from tests.deployed.pods import Role

CLUSTER = "arn:aws:kafka:sa-east-1:123456789012:cluster/dev/0a1b"
SETTINGS = dict.fromkeys(
    [
        *CATALOG.settings,
        *("environment", "aws_region", "log_level", "kafka_bootstrap", "kafka_security"),
        *("cognito_issuer", "cognito_jwks_url", "cognito_client_ids"),
    ],
    "a value",
)
NAMES = AwsNames(CATALOG, "dev", SETTINGS)
ARNS = AwsArns(
    "sa-east-1",
    "123456789012",
    "dev",
    "arn:aws:kms:::key/tables",
    "arn:aws:kms:::key/secrets",
    CLUSTER,
    {secret: f"arn:aws:secretsmanager:::secret:dev-{secret}-x" for secret in CATALOG.secrets},
)
USERS = [
    service.name for service in CATALOG.services if service.produces or service.reads or service.consumes
]


def role(document: Any) -> Role:
    return Role("dev", "arn:aws:iam::123456789012:role/dev", {}, {"rights": document}, {})


def refused(service: str, document: Any) -> list[str]:
    variables = {name: str(value) for name, value in environment(CATALOG, service, NAMES).items()}
    return msk_refuses(role(document), variables, CLUSTER)


def rights(document: Any) -> Iterator[tuple[str, str]]:
    """What a policy allows on Kafka: each action on each resource."""
    for statement in document["Statement"]:
        for action in statement["Action"]:
            if action.startswith("kafka-cluster:"):
                yield from ((action, resource) for resource in statement["Resource"])


def without(document: Any, action: str, resource: str) -> Any:
    """The policy without that right, whichever statements give it."""
    found = copy.deepcopy(document)
    split = []
    for statement in found["Statement"]:
        for each in statement["Action"]:
            kept = [one for one in statement["Resource"] if (each, one) != (action, resource)]
            split.append({**statement, "Action": [each], "Resource": kept})
    return {**found, "Statement": split}


CASES = [
    (service, action, resource)
    for service in USERS
    for action, resource in dict.fromkeys(rights(policy(CATALOG, service, ARNS)))
]


@pytest.mark.parametrize("service", USERS)
def test_msk_lets_a_program_do_what_it_is_told_to(service: str) -> None:
    assert refused(service, policy(CATALOG, service, ARNS)) == []


@pytest.mark.parametrize(
    ("service", "action", "resource"),
    CASES,
    ids=[f"{service}-{action[14:]}-{resource.rpartition('/')[2]}" for service, action, resource in CASES],
)
def test_msk_would_refuse_a_program_without_any_one_of_its_rights(
    service: str, action: str, resource: str
) -> None:
    less = without(policy(CATALOG, service, ARNS), action, resource)
    assert set(refused(service, less)) == {f"{action} on {resource}"}


def test_every_kind_of_right_is_among_them() -> None:
    assert {action.partition(":")[2] for _, action, _ in CASES} == {
        "AlterGroup",
        "Connect",
        "DescribeGroup",
        "DescribeTopic",
        "ReadData",
        "WriteData",
        "WriteDataIdempotently",
    }

"""All that differs between AWS and this machine for a program: four kinds of variables, three added ones.

Every other variable of a manifest reaches its program as the graph has it. A value that AWS itself would
not work with is refused here (`CannotBe`), so that the mapping never mends a mistake.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from environments.local.broker import Broker
from tests.deployed.pods import Role


class CannotBe(Exception):  # noqa: N818
    """On AWS this would not work. The message says why."""


@dataclass(frozen=True)
class Places:
    """Where on this machine things are.

    `aws` answers for every AWS API. `region` and `brokers` (MSK's own addresses) are what the graph says of
    AWS, and `service` follows an address in the cluster to a pod.
    """

    aws: str
    region: str
    brokers: str
    kafka: Broker
    service: Callable[[str], str]


def _cognito(value: str, places: Places) -> str:
    """Cognito's key sets are at the emulator; which pool stays as it is."""
    origin = f"https://cognito-idp.{places.region}.amazonaws.com"
    at = urlsplit(value)
    if f"{at.scheme}://{at.netloc}" != origin:
        raise CannotBe(f"{value} is not at {origin}")
    return places.aws + at.path


def _brokers(value: str, places: Places) -> str:
    """The brokers are one here, of another address."""
    if value != places.brokers:
        raise CannotBe(f"{value} are not the cluster's brokers: {places.brokers}")
    return places.kafka.bootstrap


def _security(value: str, places: Places) -> str:
    """No broker but MSK signs clients in by IAM: here nobody is asked, and `msk_refuses` asks instead."""
    if value != "AWS_MSK_IAM":
        raise CannotBe(f"MSK speaks AWS_MSK_IAM and nothing else, not {value}")
    return places.kafka.security


def _service(value: str, places: Places) -> str:
    """A Service's name leads to the address of the pod behind it."""
    return places.service(value)


MAPPED: Mapping[str, Callable[[str, Places], str]] = {
    "COGNITO_JWKS_URL": _cognito,
    "KAFKA_BOOTSTRAP": _brokers,
    "KAFKA_SECURITY": _security,
    "URL_*": _service,
}
"""What is changed, by the variable's name."""


def added(address: str, places: Places) -> dict[str, str]:
    """What a pod has on AWS without being told: an address of its own, and AWS's APIs where they are."""
    return {
        "HOST": address,
        "DYNAMODB_ENDPOINT": places.aws,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": places.aws,
    }


def patience(variables: Mapping[str, str], places: Places) -> dict[str, str]:
    """What the embedded broker needs of whoever has a topic: it is slow to begin with a long session, and to
    answer a fetch that waits."""
    if "KAFKA_BOOTSTRAP" not in variables:
        return {}
    return places.kafka.variables("")


def mapped(variables: Mapping[str, str], places: Places) -> dict[str, str]:
    """A manifest's variables as they are right here."""
    return {name: _mapped(name, value, places) for name, value in variables.items()}


def _mapped(name: str, value: str, places: Places) -> str:
    for pattern, change in MAPPED.items():
        if fnmatchcase(name, pattern):
            return change(value, places)
    return value


def trusted(trust: Mapping[str, Any], account: str) -> dict[str, Any]:
    """A role's trust without the one condition whose key the emulator does not know, which holds."""
    (statement,) = trust["Statement"]
    conditions = dict(statement["Condition"]["StringEquals"])
    if conditions.pop("aws:SourceAccount") != account:
        raise CannotBe(f"the role trusts another account than {account}")
    return {**trust, "Statement": [{**statement, "Condition": {"StringEquals": conditions}}]}


def msk_refuses(role: Role | None, variables: Mapping[str, str], cluster_arn: str) -> list[str]:
    """What MSK would refuse to a program with these variables and this role; empty when it lets it work."""
    wanted = _wanted(variables, cluster_arn)
    allowed = (
        []
        if role is None
        else [each for document in role.policies.values() for each in document["Statement"]]
    )
    return [
        f"{action} on {resource}"
        for action, resource in wanted
        if not any(_covers(statement, action, resource) for statement in allowed)
    ]


def _wanted(variables: Mapping[str, str], cluster_arn: str) -> list[tuple[str, str]]:
    """Actions and resources, after "Semantics of IAM authorization policy actions" in the MSK guide.

    A name that the variables lack is asked for by nobody: the program itself must refuse to start then.
    """
    if "KAFKA_BOOTSTRAP" not in variables:
        return []
    produced = [name for name in variables.get("KAFKA_PRODUCES", "").split(",") if name]
    read = [name for name in variables.get("KAFKA_READS", "").split(",") if name]
    read += [variables["KAFKA_CONSUMES"]] if "KAFKA_CONSUMES" in variables else []
    group = variables.get("KAFKA_GROUP")
    wanted = [("Connect", cluster_arn)]
    wanted += [("WriteDataIdempotently", cluster_arn)] if produced else []
    for names, action in ((produced, "WriteData"), (read, "ReadData")):
        for topic in (variables.get(_topic_variable(name)) for name in names):
            if topic is not None:
                arn = _within(cluster_arn, "topic", topic)
                wanted += [("DescribeTopic", arn), (action, arn)]
    if group is not None:
        arn = _within(cluster_arn, "group", group)
        wanted += [("AlterGroup", arn), ("DescribeGroup", arn)]
    return [(f"kafka-cluster:{action}", resource) for action, resource in wanted]


def _topic_variable(name: str) -> str:
    return "TOPIC_" + name.upper().replace("-", "_").replace(".", "_")


def _within(cluster_arn: str, kind: str, name: str) -> str:
    return f"{cluster_arn.replace(':cluster/', f':{kind}/', 1)}/{name}"


def _covers(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    return action in statement["Action"] and resource in statement["Resource"]

"""What things are called: physical names that are given, and where the catalog's names lead on AWS.

A name is given only where AWS demands one or where another part must know it before the thing exists;
the rest Pulumi makes up. Everything here is a pure function of the prefix.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi

from apps.catalog import Catalog, CatalogError

PREFIX_LIMIT = 25
"""With it every name below is within AWS's and Kubernetes' limits; a test tries the longest."""


def physical(prefix: str, name: str) -> str:
    """`dev-accounts`: the name of a table, secret, repository or consumer group."""
    return f"{prefix}-{name}"


def topic(prefix: str, name: str) -> str:
    """`dev.transfers`: dots, since a topic's own name may have them."""
    return f"{prefix}.{name}"


def namespace(prefix: str) -> str:
    """The Kubernetes namespace of an environment."""
    return prefix


def workload(service: str) -> str:
    """A service's name in Kubernetes, where `_` is not allowed."""
    return service.replace("_", "-")


def url(prefix: str, catalog: Catalog, service: str) -> str:
    """Where a service listens for the others. Its port is its container's."""
    port = catalog.service(service).port
    return f"http://{workload(service)}.{namespace(prefix)}.svc.cluster.local:{port}"


@dataclass(frozen=True)
class AwsNames:
    """Names for `apps.catalog.environment`. `settings` by the catalog's names."""

    catalog: Catalog
    prefix: str
    settings: Mapping[str, pulumi.Input[str]]

    def table(self, name: str) -> str:
        """A table's physical name."""
        return physical(self.prefix, name)

    def topic(self, name: str) -> str:
        """A topic's physical name."""
        return topic(self.prefix, name)

    def group(self, name: str) -> str:
        """A consumer group's physical name."""
        return physical(self.prefix, name)

    def url(self, service: str) -> str:
        """Where a service listens."""
        return url(self.prefix, self.catalog, service)

    def secret(self, name: str) -> str:
        """A secret's physical name."""
        return physical(self.prefix, name)

    def setting(self, name: str) -> pulumi.Input[str]:
        """The value of a setting. Raises `CatalogError` when this environment has none."""
        try:
            return self.settings[name]
        except KeyError:
            raise CatalogError(f"the environment on AWS has no value for setting '{name}'") from None


@dataclass(frozen=True)
class AwsArns:
    """ARNs for `apps.catalog.policy`, resolved. `kafka_arn` is the MSK cluster's; secrets by their name's
    ARN as Secrets Manager gives it, with its random ending."""

    region: str
    account_id: str
    prefix: str
    table_key_arn: str
    secret_key_arn: str
    kafka_arn: str
    secrets: Mapping[str, str]

    def table(self, name: str) -> str:
        """A table's ARN."""
        return f"arn:aws:dynamodb:{self.region}:{self.account_id}:table/{physical(self.prefix, name)}"

    def index(self, table: str, index: str) -> str:
        """An index's ARN."""
        return f"{self.table(table)}/index/{index}"

    def table_key(self) -> str:
        """The key of the tables."""
        return self.table_key_arn

    def secret_key(self) -> str:
        """The key of the secrets."""
        return self.secret_key_arn

    def via(self, aws_service: Literal["dynamodb", "secretsmanager"]) -> str:
        """The `kms:ViaService` value."""
        return f"{aws_service}.{self.region}.amazonaws.com"

    def kafka_cluster(self) -> str:
        """The MSK cluster."""
        return self.kafka_arn

    def topic(self, name: str) -> str:
        """A topic's ARN: the cluster's, with another kind and one more name."""
        return f"{self._of_cluster('topic')}/{topic(self.prefix, name)}"

    def group(self, name: str) -> str:
        """A consumer group's ARN."""
        return f"{self._of_cluster('group')}/{physical(self.prefix, name)}"

    def secret(self, name: str) -> str:
        """A secret's ARN."""
        return self.secrets[name]

    def _of_cluster(self, kind: str) -> str:
        return self.kafka_arn.replace(":cluster/", f":{kind}/", 1)

"""Where this machine keeps what the catalog names: strings and ARNs of the emulated account."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from apps.catalog import CatalogError

REGION = "sa-east-1"
ACCOUNT = "000000000000"
PREFIX = "local-"


@dataclass(frozen=True)
class LocalNames:
    """Names for `apps.catalog.environment`: `ports` by service, `settings` by name."""

    ports: Mapping[str, int]
    settings: Mapping[str, str]

    def table(self, name: str) -> str:
        """A table's physical name."""
        return PREFIX + name

    def topic(self, name: str) -> str:
        """A topic's physical name."""
        return PREFIX + name

    def group(self, name: str) -> str:
        """A consumer group's physical name."""
        return PREFIX + name

    def url(self, service: str) -> str:
        """Where a service listens."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def secret(self, name: str) -> str:
        """A secret's physical name."""
        return PREFIX + name

    def setting(self, name: str) -> str:
        """The value of a setting. Raises `CatalogError` when this environment has none."""
        try:
            return self.settings[name]
        except KeyError:
            raise CatalogError(f"the local environment has no value for setting '{name}'") from None


class LocalArns:
    """ARNs for `apps.catalog.policy`, of the same names in the emulated account."""

    def table(self, name: str) -> str:
        """A table's ARN."""
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{PREFIX}{name}"

    def index(self, table: str, index: str) -> str:
        """An index's ARN."""
        return f"{self.table(table)}/index/{index}"

    def table_key(self) -> str:
        """The ARN that the tables' key would have; local tables are not encrypted."""
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/tables"

    def secret_key(self) -> str:
        """The ARN that the secrets' key would have."""
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/secrets"

    def via(self, aws_service: Literal["dynamodb", "secretsmanager"]) -> str:
        """The `kms:ViaService` value."""
        return f"{aws_service}.{REGION}.amazonaws.com"

    def kafka_cluster(self) -> str:
        """The ARN that an MSK cluster of this name would have."""
        return f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/local/1"

    def topic(self, name: str) -> str:
        """A topic's ARN."""
        return f"arn:aws:kafka:{REGION}:{ACCOUNT}:topic/local/1/{PREFIX}{name}"

    def group(self, name: str) -> str:
        """A group's ARN."""
        return f"arn:aws:kafka:{REGION}:{ACCOUNT}:group/local/1/{PREFIX}{name}"

    def secret(self, name: str) -> str:
        """A secret's ARN."""
        return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{PREFIX}{name}"


def role_name(service: str) -> str:
    """The IAM role of a service."""
    return f"{PREFIX}{re.sub(r'[^A-Za-z0-9+=,.@-]', '-', service)}"

"""What is in Secrets Manager under the names that the catalog gives. An operator put it there."""

from typing import Any, Protocol

import boto3
from botocore.exceptions import ClientError

from apps.kit.settings import SettingsError


class Secrets(Protocol):
    """The part of boto3's Secrets Manager client that is used here."""

    def get_secret_value(self, **request: Any) -> Any: ...


class NoSecret(SettingsError):  # noqa: N818
    """The secret has no value yet."""


def connect(region: str) -> Secrets:
    """The process's client of Secrets Manager."""
    client: Any = boto3.session.Session().client("secretsmanager", region_name=region)
    made: Secrets = client
    return made


def read(secrets: Secrets, name: str) -> str:
    """The secret's text. Raises `NoSecret`, or boto3's error when Secrets Manager refuses."""
    try:
        return str(secrets.get_secret_value(SecretId=name)["SecretString"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise NoSecret(
            f"the secret {name} has no value yet. Put one in: aws secretsmanager put-secret-value "
            f"--secret-id {name} --secret-string file://FILE"
        ) from error

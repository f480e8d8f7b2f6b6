"""Secrets by the name that the catalog's environment gave them: from Secrets Manager, or from a folder where
an environment has none."""

from pathlib import Path
from typing import Any

import boto3


class NoSecret(Exception):  # noqa: N818
    """The secret has no value yet."""


def read(name: str, region: str, folder: str | None) -> str:
    """The secret's text. Raises `NoSecret`, or boto3's error when Secrets Manager refuses."""
    if folder is not None:
        try:
            return (Path(folder) / name).read_text()
        except FileNotFoundError as error:
            raise NoSecret(name) from error
    client: Any = boto3.session.Session().client("secretsmanager", region_name=region)
    try:
        value = client.get_secret_value(SecretId=name)
    except client.exceptions.ResourceNotFoundException as error:
        raise NoSecret(name) from error
    return str(value["SecretString"])

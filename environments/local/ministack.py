"""MiniStack: DynamoDB, Cognito, IAM and STS in one process, in memory, with IAM evaluated (`AUTH=true`)."""

import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from environments.local.broker import free_port
from environments.local.names import REGION

ROOT_KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
"""The emulator's root. It exists nowhere else."""


@dataclass(frozen=True)
class MiniStack:
    """The emulator as data: `argv` and `env` (added to the parent's) start it."""

    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where every emulated AWS API answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def argv(self) -> tuple[str, ...]:
        """The command."""
        return (sys.executable, "-m", "ministack")

    @property
    def env(self) -> dict[str, str]:
        """What the command needs to know."""
        return {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "AUTH": "true",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "ERROR",
        }

    def env_in(self, folder: Path) -> dict[str, str]:
        """The same, with all that it writes in `folder`: its default is a folder of /tmp that every user
        can read and every MiniStack shares, and there lie the keys that sign the pools' tokens.
        """
        return {**self.env, "STATE_DIR": str(folder), "TMPDIR": str(folder)}

    def answers(self) -> bool:
        """Whether it serves."""
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


def root_client(service: str, endpoint: str) -> Any:
    """A boto3 client with the emulator's root keys."""
    session: Any = boto3.session.Session()
    return session.client(
        service,
        **ROOT_KEYS,
        region_name=REGION,
        endpoint_url=endpoint,
        config=Config(retries={"total_max_attempts": 3}, connect_timeout=2, read_timeout=10),
    )


def unsigned_cognito(endpoint: str) -> Any:
    """The Cognito client that a user's own program has: no keys at all."""
    return boto3.session.Session().client(
        "cognito-idp",
        region_name=REGION,
        endpoint_url=endpoint,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 3}),
    )

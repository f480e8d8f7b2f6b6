"""The tags of many stacks at once, where the backend is a folder or a bucket of S3.

Pulumi's command line tells one stack's tags in a third of a second, so fifty would take a quarter of a
minute. Such a backend keeps them in a small file beside each stack's state. This is only a short cut: a
stack that it does not find is asked for by the command, and a test compares both.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

THREADS = 16

Reader = Callable[[str], str | None]
"""Gives the text at a path below the backend, None when there is nothing."""


def reader(backend: str, client: Callable[..., Any] | None = None) -> Reader | None:
    """What reads the files of a backend; None for a backend that keeps no such files, or is unknown."""
    url = urlsplit(backend)
    if url.scheme == "file":
        return _folder(Path(unquote(url.path)).expanduser())
    if url.scheme == "s3":
        return _bucket(url.netloc, url.path.strip("/"), parse_qs(url.query), client)
    return None


def tags(read: Reader, project: str, stacks: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
    """The tags of those stacks that the backend has a file for."""
    names = list(stacks)
    with ThreadPoolExecutor(THREADS) as pool:
        texts = pool.map(lambda name: read(f".pulumi/stacks/{project}/{name}.pulumi-tags"), names)
        found = {name: _parsed(text) for name, text in zip(names, texts, strict=True) if text is not None}
    return {name: each for name, each in found.items() if each is not None}


def _parsed(text: str) -> dict[str, str] | None:
    try:
        document = json.loads(text)
        return {str(key): str(value) for key, value in document["tags"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _folder(root: Path) -> Reader:
    def read(path: str) -> str | None:
        try:
            return (root / path).read_text()
        except OSError:
            return None

    return read


def _bucket(
    bucket: str, prefix: str, query: Mapping[str, list[str]], client: Callable[..., Any] | None
) -> Reader:
    import boto3  # noqa: PLC0415 (slow to import, and needed for a bucket alone)
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    endpoint = query.get("endpoint", [""])[0]
    s3 = (client or boto3.client)(
        "s3",
        region_name=query.get("region", [None])[0],
        endpoint_url=endpoint or None,
        config=Config(max_pool_connections=THREADS, s3={"addressing_style": "path"} if endpoint else {}),
    )

    def read(path: str) -> str | None:
        key = f"{prefix}/{path}" if prefix else path
        try:
            return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        except (BotoCoreError, ClientError):
            return None

    return read

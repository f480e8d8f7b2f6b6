"""Tags of many stacks at once, from a folder or a bucket."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from environments.preview.folder_backend import mended
from environments.preview.tag_files import reader, tags

TAGS = {"gobanking:branch": "ação 🎉"}


def write(root: Path, stack: str, text: str) -> None:
    path = root / ".pulumi" / "stacks" / "gobanking" / f"{stack}.pulumi-tags"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_folder_is_read_and_what_is_not_there_or_broken_is_left_to_the_cli(tmp_path: Path) -> None:
    root = tmp_path / "with space"
    write(root, "pr-a-000001", json.dumps({"version": 1, "tags": TAGS}))
    write(root, "pr-b-000002", "{")
    write(root, "pr-c-000003", '{"tags": 1}')
    read = reader(root.as_uri())
    assert read is not None
    names = ["pr-a-000001", "pr-b-000002", "pr-c-000003", "pr-d-000004"]
    assert tags(read, "gobanking", names) == {"pr-a-000001": TAGS}


class Bucket:
    """S3 with one object, and what it was asked."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.asked: list[tuple[str, str]] = []

    def client(self, service: str, **options: Any) -> "Bucket":
        self.made = {"service": service, **options}
        return self

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.asked.append((Bucket, Key))
        if not Key.endswith("/pr-a-000001.pulumi-tags"):
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no"}}, "GetObject")
        return {"Body": io.BytesIO(json.dumps({"tags": TAGS}).encode())}


def test_a_bucket_is_read_where_its_url_says() -> None:
    bucket = Bucket()
    read = reader("s3://state/team?region=sa-east-1&endpoint=http://127.0.0.1:1", bucket.client)
    assert read is not None
    assert tags(read, "gobanking", ["pr-a-000001", "pr-b-000002"]) == {"pr-a-000001": TAGS}
    assert set(bucket.asked) == {
        ("state", "team/.pulumi/stacks/gobanking/pr-a-000001.pulumi-tags"),
        ("state", "team/.pulumi/stacks/gobanking/pr-b-000002.pulumi-tags"),
    }
    assert (bucket.made["region_name"], bucket.made["endpoint_url"]) == ("sa-east-1", "http://127.0.0.1:1")


@pytest.mark.parametrize("backend", ["", "https://api.pulumi.com", "gs://state", "azblob://state"])
def test_other_backends_are_left_to_the_cli(backend: str) -> None:
    assert reader(backend) is None


def test_only_broken_attributes_are_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / ".pulumi" / "stacks"
    folder.mkdir(parents=True)
    (folder / "a.json.attrs").write_text("")
    (folder / "b.json.attrs").write_text('{"md5": "1"}')
    (folder / "a.json").write_text("")
    assert mended(tmp_path.as_uri()) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json.attrs"]
    assert mended("s3://state") == 0

"""Builds every service's image for arm64, pushes it, and prints what `gobanking:images` takes: one line each.

    publish.py REGISTRY TAG      REGISTRY is what the repositories' names begin with, such as HOST/prod-

A service's line is SERVICE=REGISTRY+SERVICE@sha256:DIGEST. Nothing is printed unless all were pushed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT), str(ROOT / "platform")]

from apps.catalog import CATALOG, Service  # noqa: E402 (the path first)
from images import build_arguments  # noqa: E402


def main() -> None:
    """Builds and pushes them all. Raises `CalledProcessError` when one fails."""
    registry, tag = sys.argv[1:]
    lines = [f"{each.name}={pushed(each, registry + each.name, tag)}" for each in CATALOG.services]
    sys.stdout.write("\n".join(lines) + "\n")


def pushed(service: Service, repository: str, tag: str) -> str:
    """The reference, by digest, of a service's image after it was pushed."""
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.json"
        subprocess.run(
            [
                *("docker", "buildx", "build", "--platform", "linux/arm64", "--pull", "--push", "--quiet"),
                *("--metadata-file", str(metadata), "--tag", f"{repository}:{tag}"),
                *("--label", f"org.opencontainers.image.version={tag}"),
                *(f"--build-arg={name}={value}" for name, value in build_arguments(service).items()),
                *("--file", "apps/Dockerfile", "."),
            ],
            cwd=ROOT,
            check=True,
            stdout=sys.stderr,
        )
        return f"{repository}@{json.loads(metadata.read_text())['containerimage.digest']}"


if __name__ == "__main__":
    main()

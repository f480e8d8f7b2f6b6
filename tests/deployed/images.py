"""The image of each service as a root file system: built as `apps/Dockerfile` says, or assembled.

`make images` builds them all with mmdebstrap and buildah: on a base of Debian packages, without Docker and
without a registry of images. CI does so first. Where that was not done, or not of these very files, a tree is
assembled: what the Dockerfile copies, the pinned packages as they are installed, this machine's Python.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.catalog import CATALOG
from tests.dockerfile import ROOT, arguments_of, copied, of, variables

KEPT = ROOT / ".tools" / "images"
"""Where buildah keeps layers and images, and `built.json` says which there are."""
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "python3,python3-pip,dash,coreutils"
BASE = f"localhost/base:{SUITE}"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LENT = ("/etc/ssl/certs", "/etc/pip.conf")
"""What a build may read of this machine, where it is there: how to reach the package index."""
SYSTEM = ("usr", "lib", "lib32", "lib64", "bin", "sbin")


@dataclass(frozen=True)
class Image:
    """A root file system and what an image says of it. `binds` are folders of this machine in it."""

    root: Path
    binds: Mapping[str, str]
    variables: Mapping[str, str]
    folder: str
    entry: tuple[str, ...]
    user: str


class NotBuilt(Exception):  # noqa: N818
    """There are no images, or not of these files. The message says why."""


def assembled(arguments: Mapping[str, str], packages: Path, to: Path) -> Image:
    """The tree that stands in for an image, in the folder `to`."""
    copied(arguments, to / "bank")
    binds = {str(packages): "/bank/packages"}
    for name in SYSTEM:
        here = Path("/", name)
        if here.is_symlink():
            (to / name).symlink_to(here.readlink())
        elif here.is_dir():
            binds[str(here)] = str(here)
    if not sys.base_prefix.startswith("/usr"):
        # Under its own path, where its libraries are looked for.
        binds[sys.base_prefix] = sys.base_prefix
    for target in (*binds.values(), "/proc", "/dev", "/run", "/tmp"):
        (to / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
    given = {name: value.replace("${MODULE}", arguments["MODULE"]) for name, value in variables().items()}
    (folder,), (user,), (entry,) = (of("final", word) for word in ("WORKDIR", "USER", "ENTRYPOINT"))
    return Image(
        root=to,
        binds=binds,
        variables={"PATH": f"{sys.base_prefix}/bin:{SYSTEM_PATH}", **given},
        folder=folder.rest,
        entry=tuple(entry.command),
        user=user.rest,
    )


def built(arguments: Mapping[str, str]) -> str:
    """The id of the image that these build arguments made. Raises `NotBuilt`; `LookupError` for others."""
    try:
        kept = json.loads((KEPT / "built.json").read_text())
    except FileNotFoundError:
        raise NotBuilt("no image was built here (make images)") from None
    if kept["of"] != fingerprint():
        raise NotBuilt("the images that were built here are of other files")
    for image, given in kept["images"].items():
        if given == arguments:
            return str(image)
    raise LookupError(f"no image is built with {dict(arguments)}")


def mounted(image: str) -> tuple[str, Image]:
    """A container of a built image, mounted: its name, for `gone`, and what it is. Needs root."""
    name = _buildah("from", "--pull-never", image)
    config = json.loads(_buildah("inspect", "--type", "image", image))["Docker"]["config"]
    return name, Image(
        root=Path(_buildah("mount", name)),
        binds={},
        variables=dict(each.split("=", 1) for each in config["Env"]),
        folder=config["WorkingDir"],
        entry=tuple(config["Entrypoint"]),
        user=config["User"],
    )


def gone(container: str) -> None:
    """Takes a container away."""
    _buildah("umount", container)
    _buildah("rm", container)


def fingerprint() -> str:
    """Of every file that an image can hold or is made by."""
    digest = hashlib.sha256()
    files = [ROOT / "requirements" / "apps.txt", ROOT / ".dockerignore", ROOT / "apps" / "Dockerfile"]
    for path in [*files, *sorted((ROOT / "apps").rglob("*.py")), Path(__file__)]:
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def build() -> None:
    """Builds every service's image. Raises `CalledProcessError` or `OSError` where that is not permitted."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "built.json").unlink(missing_ok=True)
    if not _buildah("images", "--quiet", "--filter", f"reference={BASE}"):
        _build_base()
    made = {}
    for service in CATALOG.services:
        arguments = arguments_of(service)
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        options += [f"--build-arg=BUILD_IMAGE={BASE}", f"--build-arg=BASE_IMAGE={_base_of(service.name)}"]
        options += [f"--volume={path}:{path}:ro" for path in LENT if Path(path).exists()]
        image = _buildah(
            # Chroot: the other kinds want control groups, which a container of CI rarely has.
            *("bud", "--quiet", "--layers", "--pull-never", "--isolation=chroot", "--network=host"),
            *("--format=docker", *options, "--file", "apps/Dockerfile", "."),
        )
        made[image.splitlines()[-1]] = arguments
        sys.stdout.write(f"built {service.name}\n")
        sys.stdout.flush()
    (KEPT / "built.json").write_text(json.dumps({"of": fingerprint(), "images": made}, indent=1))


def _base_of(service: str) -> str:
    """The base under another name. Layers are kept by their instructions as they are written (buildah 1.28),
    so on one base a second service would get the first one's `ENV MODULE=${MODULE}`."""
    container = _buildah("from", "--pull-never", BASE)
    _buildah("config", f"--label=for={service}", container)
    _buildah("commit", "--quiet", "--rm", container, f"localhost/base:{service}")
    return f"localhost/base:{service}"


def _build_base() -> None:
    """Unpacked packages and nothing else: no package runs code of its own, none is configured."""
    container = _buildah("from", "scratch")
    tar = KEPT / "base.tar"
    command = ("mmdebstrap", "--quiet", "--mode=root", "--variant=extract", f"--include={PACKAGES}")
    left_out = (f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "locale", "man"))
    subprocess.run([*command, *left_out, SUITE, str(tar), MIRROR], check=True, stdout=sys.stderr)
    _buildah("add", "--quiet", container, str(tar), "/")
    tar.unlink()
    _buildah("config", f"--env=PATH={SYSTEM_PATH}", container)
    _buildah("commit", "--quiet", "--rm", container, BASE)


def _buildah(*arguments: str) -> str:
    place = [f"--root={KEPT / 'storage'}", f"--runroot={KEPT / 'run'}"]
    done = subprocess.run(
        ["buildah", *place, *arguments],
        cwd=ROOT,
        env={**os.environ, "BUILDAH_LAYERS": "true"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def main() -> int:
    """Builds, or says why that cannot be; then the tests run the programs from assembled trees."""
    try:
        build()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"NO IMAGES: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

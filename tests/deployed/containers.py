"""Runs a pod's container: the image's entry point, as the pod's user, in the image's files and no others.

In this order: an image that buildah built; the assembled tree, entered as a container is; and where this
machine permits neither, the assembled tree by its path, as the present user. `Containers.how` says which.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from environments.local import emulators
from tests.deployed import images
from tests.deployed.images import Image, NotBuilt
from tests.deployed.pods import Pod
from tests.dockerfile import installed

ENTER = Path(__file__).parent / "enter.py"
CREDENTIAL_FOLDER = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
CREDENTIAL_FILE = "eks-pod-identity-token"
"""Where EKS puts the token of Pod Identity (EKS user guide, "Understand how EKS Pod Identity works")."""


@dataclass
class Containers:
    """Images by their build arguments, made when they are first asked for, in `folder`."""

    folder: Path
    enters: bool = field(default_factory=lambda: may_enter())
    how: set[str] = field(default_factory=set)
    _images: dict[str, Image] = field(default_factory=dict)
    _mounted: list[str] = field(default_factory=list)
    _packages: Path | None = None

    def image(self, arguments: Mapping[str, str]) -> Image:
        """The image that these build arguments make."""
        key = json.dumps(arguments, sort_keys=True)
        if key not in self._images:
            self._images[key] = self._image(arguments)
        return self._images[key]

    def run(
        self,
        name: str,
        pod: Pod,
        arguments: Mapping[str, str],
        variables: Mapping[str, str],
        token: str | None,
    ) -> "subprocess.Popen[bytes]":
        """Starts a pod's container, and gives its process. What it says is in `log(name)`."""
        image = self.image(arguments)
        command = [*(pod.command or image.entry), *pod.arguments]
        environ = {**image.variables, **variables}
        if not self.enters:
            return self._run_by_path(image, command, environ, token, self.log(name))
        orders = {
            "root": str(image.root),
            "folder": image.folder,
            "binds": image.binds,
            "files": {} if token is None else {CREDENTIAL_FOLDER: {CREDENTIAL_FILE: token}},
            "scratch": {path: size.removesuffix("i").lower() for path, size in pod.scratch.items()},
            "read_only": pod.read_only,
            "user": pod.user,
            "group": pod.group,
            "command": command,
            "variables": environ,
        }
        argv = (sys.executable, "-I", str(ENTER), json.dumps(orders))
        return emulators.start(argv, {}, self.log(name))

    def log(self, name: str) -> Path:
        """What a pod's program says."""
        return self.folder / f"{name}.log"

    def close(self) -> None:
        """Takes the mounted images away."""
        for container in self._mounted:
            images.gone(container)

    def _image(self, arguments: Mapping[str, str]) -> Image:
        try:
            image = self._built(arguments)
        except NotBuilt as why:
            tree = "an ASSEMBLED tree: the Dockerfile's files, the pinned packages, this machine's Python"
            manner = "in containers" if self.enters else "WITHOUT containers, as this user, nothing read-only"
            self.how.add(f"{tree}, {manner}, because {why}")
            if self._packages is None:
                self._packages = installed(self.folder / "packages")
            return images.assembled(arguments, self._packages, self.folder / "trees" / arguments["SERVICE"])
        self.how.add("images that buildah built from apps/Dockerfile, in containers")
        return image

    def _built(self, arguments: Mapping[str, str]) -> Image:
        image = images.built(arguments)
        if not self.enters or os.geteuid() != 0:
            raise NotBuilt("only root may mount an image")
        container, found = images.mounted(image)
        self._mounted.append(container)
        return found

    def _run_by_path(
        self, image: Image, command: list[str], environ: dict[str, str], token: str | None, log: Path
    ) -> "subprocess.Popen[bytes]":
        environ = {**environ, "PYTHONPATH": f"{image.root}/bank:{self._packages}"}
        if token is not None:
            path = self.folder / f"{log.stem}.token"
            path.write_text(token)
            environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(path)
        python, *rest = command
        assert python == "python3"
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-S", *rest],
                cwd=image.root / "bank",
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


def may_enter() -> bool:
    """Whether this machine lets this user make a container of its own."""
    if sys.platform != "linux":
        return False
    # Some systems give a user a namespace and no right in it, so a mount is tried too.
    flags = 0x00020000 | (0 if os.geteuid() == 0 else 0x10000000)
    trial = (
        "import ctypes, sys; libc = ctypes.CDLL(None); "
        f"sys.exit(libc.unshare({flags}) or libc.mount(b'none', b'/', b'', 1 << 18 | 16384, None))"
    )
    return subprocess.run([sys.executable, "-c", trial], check=False).returncode == 0

"""Which image each service runs: given by digest, or built here from `apps/Dockerfile` and pushed."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

from apps.catalog import Catalog, Service
from settings import BuiltImages, GivenImages

BUILDX = ("docker", "buildx", "version")
MENDING = (
    "install Docker with its Buildx plugin (package docker-buildx-plugin), or set gobanking:imageSource to "
    "given and name every service's image in gobanking:images"
)

Runner = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class ImagesArgs:
    """`root` is the checkout as Pulumi sees it from the program's folder (`..`): it stands in the state, and
    the path of one machine would make every other build anew. `repository_urls` are by service."""

    settings: GivenImages | BuiltImages
    catalog: Catalog
    repository_urls: pulumi.Input[Mapping[str, str]]
    root: Path


class Images(pulumi.ComponentResource):
    """Makes nothing when images are given; otherwise builds one per service for arm64 and pushes it.

    An image is built again when a file changes that `.dockerignore` lets through; its tag must be a new one
    then, because tags are immutable. That leaves no tag for a cache in the registry either: layers are cached
    by the builder alone. A preview builds nothing.
    """

    references: dict[str, pulumi.Output[str]]
    """By the service's name in the catalog, `repository[:tag]@sha256:digest`."""

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Images", name, {}, opts)
        services = args.catalog.services
        match args.settings:
            case GivenImages(references):
                self.references = {
                    service.name: pulumi.Output.from_input(references[service.name]) for service in services
                }
            case BuiltImages(tag):
                login = aws.ecr.get_authorization_token_output(opts=pulumi.InvokeOutputOptions(parent=self))
                self.references = {
                    service.name: self._built(f"{name}-{service.name}", service, tag, login, args)
                    for service in services
                }
        self.register_outputs({"references": self.references})

    def _built(
        self,
        name: str,
        service: Service,
        tag: str,
        login: pulumi.Output[aws.ecr.GetAuthorizationTokenResult],
        args: ImagesArgs,
    ) -> pulumi.Output[str]:
        url = pulumi.Output.from_input(args.repository_urls).apply(partial(repository, service=service.name))
        image = docker_build.Image(
            name,
            push=True,
            context=docker_build.BuildContextArgs(location=str(args.root)),
            dockerfile=docker_build.DockerfileArgs(location=str(args.root / "apps" / "Dockerfile")),
            build_args=build_arguments(service),
            labels={"org.opencontainers.image.version": tag},
            platforms=[docker_build.Platform.LINUX_ARM64],
            pull=True,
            tags=[pulumi.Output.concat(url, ":", tag)],
            registries=[
                docker_build.RegistryArgs(
                    address=url.apply(registry),
                    username=login.apply(lambda token: token.user_name),
                    password=pulumi.Output.secret(login.apply(lambda token: token.password)),
                )
            ],
            build_on_preview=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return image.ref


def build_arguments(service: Service) -> dict[str, str]:
    """What `apps/Dockerfile` asks for: the service, the module that it runs, and the folder of that."""
    folder = service.module.rpartition(".")[0].replace(".", "/")
    arguments = {"SERVICE": service.name, "MODULE": service.module, "FOLDER": folder}
    return arguments if service.port is None else {**arguments, "PORT": str(service.port)}


def repository(urls: Mapping[str, str], service: str) -> str:
    """The repository of a service. `LookupError` when the base, made of an older catalog, has none."""
    if service not in urls:
        there = ", ".join(sorted(urls)) or "none"
        raise LookupError(
            f"the base has no repository for service '{service}', only for: {there}; update the base"
        )
    return urls[service]


def registry(repository_url: str) -> str:
    """The registry's host, which one logs in to."""
    return repository_url.partition("/")[0]


def prerequisites(settings: GivenImages | BuiltImages, run: Runner | None = None) -> list[str]:
    """What this machine lacks to provide the images, and how to mend it; before any resource exists."""
    if isinstance(settings, GivenImages):
        return []
    try:
        done = (run or _run)(BUILDX)
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    else:
        if done.returncode == 0:
            return []
        said = (done.stderr or done.stdout).strip().partition("\n")[0] or f"it ended with {done.returncode}"
    problem = f"gobanking:imageSource is build, but `{' '.join(BUILDX)}` does not work here: {said}"
    return [f"{problem}; {MENDING}"]


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

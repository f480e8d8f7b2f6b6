"""Images are given by digest or built from the checkout; a machine that cannot build says so first."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pulumi
import pytest

from apps.catalog import CATALOG, Service
from ecr import Repositories, RepositoriesArgs
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from images import BUILDX, Images, ImagesArgs, build_arguments, prerequisites, registry, repository
from settings import BuiltImages, GivenImages
from tests.platform.types_check import complaints

IMAGE = "docker-build:index:Image"
HOST = "111122223333.dkr.ecr.sa-east-1.amazonaws.com"
NAMES = [service.name for service in CATALOG.services]
GIVEN = GivenImages({name: f"registry.example/{name}@sha256:{'0' * 64}" for name in NAMES})
BUILT = BuiltImages("main-0123abc")
TOKEN = "aws:ecr/getAuthorizationToken:getAuthorizationToken"


def graph(settings: GivenImages | BuiltImages, *, preview: bool = False) -> Graph:
    def program() -> None:
        made = Repositories(
            "repositories", RepositoriesArgs(CATALOG, "dev", "arn:aws:kms:::key/x", True, False)
        )
        urls = pulumi.Output.all(**made.urls)
        images = Images("images", ImagesArgs(settings, CATALOG, urls, Path("..")))
        pulumi.export("references", images.references)

    return evaluate(program, preview=preview)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_given_images_are_used_as_they_are(preview: bool) -> None:
    made = graph(GIVEN, preview=preview)
    assert made.outputs["references"] == GIVEN.references
    assert made.of_type(IMAGE) == []
    assert TOKEN not in {invoke.token for invoke in made.invokes}


def test_a_service_without_a_given_image_is_an_error() -> None:
    with pytest.raises(KeyError, match="gateway"):
        graph(
            GivenImages(
                {name: reference for name, reference in GIVEN.references.items() if name != "gateway"}
            )
        )


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_every_service_is_built_for_the_nodes_and_pushed_to_its_repository(preview: bool) -> None:
    made = graph(BUILT, preview=preview)
    assert [said for node in made for said in complaints(node)] == []
    assert made.outside_components() == []
    assert len(made.of_type(IMAGE)) == len(NAMES)
    for service in CATALOG.services:
        image = made.one(IMAGE, f"images-{service.name}")
        assert image.inputs["push"] is True
        assert image.inputs["buildOnPreview"] is False
        assert image.inputs["platforms"] == ["linux/arm64"]
        assert image.inputs["context"] == {"location": ".."}
        assert image.inputs["dockerfile"] == {"location": "../apps/Dockerfile"}
        assert image.inputs["buildArgs"] == build_arguments(service)
        tag = UNKNOWN if preview else f"{HOST}/dev-{service.name}:main-0123abc"
        assert image.inputs["tags"] == [tag]
        assert made.depends(image, made.one("aws:ecr/repository:Repository", f"repositories-{service.name}"))


def test_what_runs_is_named_by_digest() -> None:
    references = graph(BUILT).outputs["references"]
    assert sorted(references) == sorted(NAMES)
    for name, reference in references.items():
        assert reference.startswith(f"{HOST}/dev-{name}:main-0123abc@sha256:")


def test_the_registry_is_logged_in_to_and_its_password_stays_secret() -> None:
    for preview in (False, True):
        for image in graph(BUILT, preview=preview).of_type(IMAGE):
            (login,) = image.inputs["registries"]
            assert login["address"] == (UNKNOWN if preview else HOST)
            assert login["username"] == "AWS"
            assert "registries[0].password" in image.secrets


def test_no_image_has_the_digest_of_one_with_another_tag() -> None:
    for image in graph(BUILT).of_type(IMAGE):
        assert image.inputs["labels"] == {"org.opencontainers.image.version": "main-0123abc"}


def test_no_cache_is_kept_under_a_tag_that_could_be_pushed_only_once() -> None:
    for image in graph(BUILT).of_type(IMAGE):
        assert "cacheTo" not in image.inputs
        assert "cacheFrom" not in image.inputs


@pytest.mark.parametrize("service", CATALOG.services, ids=lambda service: service.name)
def test_build_arguments_say_which_module_of_which_folder(service: Service) -> None:
    arguments = build_arguments(service)
    assert arguments["SERVICE"] == service.name
    assert arguments["MODULE"] == service.module
    assert arguments["FOLDER"] == "/".join(service.module.split(".")[:-1])
    assert arguments.get("PORT") == (None if service.port is None else str(service.port))


def test_a_base_without_the_repository_says_which_it_has() -> None:
    assert repository({"a": "host/a"}, "a") == "host/a"
    with pytest.raises(LookupError, match=r"no repository for service 'c', only for: a, b; update the base"):
        repository({"b": "host/b", "a": "host/a"}, "c")
    with pytest.raises(LookupError, match="only for: none"):
        repository({}, "c")


def test_the_registry_is_the_host_of_its_repositories() -> None:
    assert registry(f"{HOST}/dev-gateway") == HOST


def answering(
    code: int, out: str = "", error: str = ""
) -> Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]:
    def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        assert command == BUILDX
        return subprocess.CompletedProcess(command, code, out, error)

    return run


def raising(error: Exception) -> Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]:
    def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        raise error

    return run


def test_given_images_need_nothing_of_this_machine() -> None:
    assert prerequisites(GIVEN, raising(AssertionError("nothing is run"))) == []


def test_a_machine_with_buildx_can_build() -> None:
    assert prerequisites(BUILT, answering(0, "github.com/docker/buildx v0.19.3\n")) == []


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (raising(FileNotFoundError(2, "No such file or directory", "docker")), "No such file or directory"),
        (raising(subprocess.TimeoutExpired(BUILDX, 60)), "timed out"),
        (
            answering(1, error="docker: unknown command: docker buildx\n\nRun 'docker --help'"),
            "unknown command",
        ),
        (answering(125, "no error stream"), "no error stream"),
        (answering(127), "it ended with 127"),
    ],
    ids=["no docker", "hangs", "no plugin", "says it on stdout", "says nothing"],
)
def test_a_machine_that_cannot_build_is_told_what_to_do(
    run: Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"], said: str
) -> None:
    (problem,) = prerequisites(BUILT, run)
    assert said in problem
    assert "docker buildx version" in problem
    assert "docker-buildx-plugin" in problem
    assert "gobanking:images" in problem
    assert "\n" not in problem

"""The table of pins is whole and consistent; AWS alone knows whether a version exists."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from versions import AUTOSCALER_CHART, LOAD_BALANCER_CONTROLLER_CHART, VERSIONS, versions

ADDON_VERSION = r"v\d+\.\d+\.\d+-eksbuild\.\d+"
PROJECT = Path(__file__).parents[2] / "Pulumi.yaml"
each = pytest.mark.parametrize("kubernetes", VERSIONS)


@each
def test_every_addon_has_a_full_version(kubernetes: str) -> None:
    pinned = asdict(versions(kubernetes))
    image, autoscaler = pinned.pop("node_image"), pinned.pop("autoscaler")
    assert [name for name, version in pinned.items() if not re.fullmatch(ADDON_VERSION, version)] == []
    assert re.fullmatch(r"\d+\.\d+\.\d+-\d{8}", image)
    assert re.fullmatch(r"v\d+\.\d+\.\d+", autoscaler)


@each
def test_what_goes_with_kubernetes_is_of_its_minor_version(kubernetes: str) -> None:
    pinned = versions(kubernetes)
    assert pinned.node_image.startswith(f"{kubernetes}.")
    assert pinned.kube_proxy.startswith(f"v{kubernetes}.")
    assert pinned.autoscaler.startswith(f"v{kubernetes}.")


@each
def test_cloudwatch_gets_its_role_by_pod_identity(kubernetes: str) -> None:
    """Possible since 3.1.0; from 5 on the add-on's configuration has another shape."""
    major, minor = map(int, versions(kubernetes).amazon_cloudwatch_observability[1:].split(".")[:2])
    assert (3, 1) <= (major, minor) < (5, 0)


def test_the_default_of_the_project_has_pins() -> None:
    found = re.search(
        r"gobanking:kubernetesVersion:\n(?: .*\n)*?    default: \"([\d.]+)\"", PROJECT.read_text()
    )
    assert found
    assert found[1] in VERSIONS


def test_charts_are_pinned_to_one_version() -> None:
    for chart in (LOAD_BALANCER_CONTROLLER_CHART, AUTOSCALER_CHART):
        assert re.fullmatch(r"\d+\.\d+\.\d+", chart)


def test_a_version_without_pins_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(ValueError, match=re.escape(f"1.99, only for {', '.join(VERSIONS)}")):
        versions("1.99")

"""The environments that the tests look at: the stack files as they are committed, filled and varied."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import yaml

from apps.catalog import CATALOG, Catalog
from configuration import project_defaults, read
from environment import Environment, EnvironmentArgs
from environments.graph import answers as cloud
from environments.graph.evaluation import Graph, evaluate

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "platform"
DEFAULTS = project_defaults((ROOT / "Pulumi.yaml").read_text())
DIGEST = "sha256:" + "0a" * 32
REVISION = "0123456789ab"
BASE_STACK = "organization/gobanking/dev"


def images(catalog: Catalog) -> list[str]:
    """Every service's image, given by digest."""
    return [f"{each.name}=ghcr.io/bank/{each.name}@{DIGEST}" for each in catalog.services]


@dataclass(frozen=True)
class Example:
    """A stack: its name, which committed file it starts from, and what is set besides."""

    stack: str
    file: str | None
    more: Mapping[str, Any] = field(default_factory=dict)

    def stated(self, catalog: Catalog = CATALOG) -> dict[str, Any]:
        """What the stack's file says: the committed one and `more`; images by digest where they are given."""
        stated: dict[str, Any] = {}
        if self.file is not None:
            stated |= yaml.safe_load((ROOT / self.file).read_text())["config"]
        stated |= {key if ":" in key else f"gobanking:{key}": value for key, value in self.more.items()}
        if stated.get("gobanking:imageSource") == "given":
            stated["gobanking:images"] = images(catalog)
        return stated

    def config(self, catalog: Catalog = CATALOG) -> dict[str, str]:
        """The whole configuration as Pulumi gives it to the program."""
        return DEFAULTS | {key: _text(value) for key, value in self.stated(catalog).items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


GIVEN = {"imageSource": "given"}
EXAMPLES: Mapping[str, Example] = {
    "dev": Example("dev", "Pulumi.dev.yaml"),
    "dev with a domain": Example(
        "dev",
        "Pulumi.dev.yaml",
        {"domain": "dev.bank.com.br", "hostedZoneId": "Z0123456789ABCDEFGHI", **GIVEN},
    ),
    "dev in a VPC of its own": Example(
        "dev",
        "Pulumi.dev.yaml",
        {
            "vpcId": "vpc-0a1b2c3d",
            "vpcCidr": "10.8.0.0/20",
            "publicSubnets": [f"subnet-0000000{i}=10.8.{i}.0/24" for i in (1, 2, 3)],
            "privateSubnets": [f"subnet-0000000{i}=10.8.{i}.0/24" for i in (4, 5, 6)],
            "isolatedSubnets": [f"subnet-0000000{i}=10.8.{i}.0/24" for i in (7, 8, 9)],
            "natAddresses": ["18.228.0.1"],
            **GIVEN,
        },
    ),
    "prod": Example(
        "prod",
        "Pulumi.prod.yaml",
        {
            "clusterApiCidrs": ["18.228.0.0/24"],
            "adminRoles": ["arn:aws:iam::210987654321:role/platform"],
            "domain": "api.bank.com.br",
            "hostedZoneId": "Z0123456789ABCDEFGHI",
            "dictCidrs": ["200.218.0.0/28"],
            "spiCidrs": ["200.218.0.16/28"],
            "alarmEmail": "platform@bank.com.br",
        },
    ),
    "preview": Example(
        "pr-pix-0a1b2c",
        None,
        {
            "aws:region": "sa-east-1",
            "kind": "preview",
            "base": "reference",
            "baseStack": BASE_STACK,
            **GIVEN,
        },
    ),
}


def program(example: Example, catalog: Catalog) -> None:
    """What `platform/__main__.py` does, for any catalog."""
    settings = read(
        example.config(catalog),
        project="gobanking",
        stack=example.stack,
        revision=REVISION,
        catalog=catalog,
        defaults=DEFAULTS,
    )
    bank = Environment("bank", EnvironmentArgs(settings=settings, catalog=catalog, root=Path("..")))
    for name, value in bank.outputs.items():
        pulumi.export(name, value)


@cache
def graph(name: str, *, preview: bool = False) -> Graph:
    """The resource graph of an example."""
    example = EXAMPLES[name]
    bases = {} if name != "preview" else {BASE_STACK: base_outputs()}
    return evaluate(
        lambda: program(example, CATALOG),
        config=example.config(CATALOG),
        stack=example.stack,
        preview=preview,
        stack_outputs=bases,
    )


@cache
def base_outputs() -> Mapping[str, Any]:
    """What the stack of the base exports, as another stack reads it."""
    return graph("dev with a domain").outputs


ALL = tuple(EXAMPLES)
REGION = cloud.REGION
